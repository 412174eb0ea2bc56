//! Vocabularies from the files that checkpoints bring, and the two that are built in.

use std::collections::HashMap;
use std::io::Read;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{TASK_TOKENS, TIMESTAMPS, Vocabulary, WhisperTokenizer};
use crate::languages::{self, LANGUAGES, Language};

static MULTILINGUAL: &[u8] = include_bytes!("../../data/whisper-multilingual.vocab.z");
static ENGLISH: &[u8] = include_bytes!("../../data/whisper-english.vocab.z");

/// Ordinary tokens of the multilingual and of the English-only models.
const MULTILINGUAL_TOKENS: usize = 50257;
const ENGLISH_TOKENS: usize = 50256;
/// Size of the smallest multilingual vocabulary.
const MULTILINGUAL_SIZE: usize = 51865;

/// A vocabulary that is not one of a Whisper model; the text says what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a Whisper vocabulary: {0}")]
pub struct VocabularyError(String);

fn error<T>(reason: impl Into<String>) -> Result<T, VocabularyError> {
    Err(VocabularyError(reason.into()))
}

#[derive(Deserialize)]
struct TokenizerJson {
    model: Model,
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
}

#[derive(Deserialize)]
struct Model {
    vocab: HashMap<String, u32>,
    #[serde(default, rename = "merges")]
    _merges: IgnoredAny,
}

#[derive(Deserialize)]
struct AddedToken {
    id: u32,
    content: String,
}

impl WhisperTokenizer {
    /// The built-in vocabulary of OpenAI's models with `vocab_size` tokens: 51864, 51865, 51866, or more if tokens were
    /// appended.
    pub fn built_in(vocab_size: usize) -> Result<Self, VocabularyError> {
        let packed = if vocab_size >= MULTILINGUAL_SIZE { MULTILINGUAL } else { ENGLISH };
        let mut bytes = Vec::new();
        flate2::read::ZlibDecoder::new(packed).read_to_end(&mut bytes).expect("the built-in table is sound");
        let mut rest = bytes.as_slice();
        let tokens = std::iter::from_fn(|| {
            let (&length, tail) = rest.split_first()?;
            let (token, tail) = tail.split_at(usize::from(length));
            rest = tail;
            Some(token)
        });
        build(tokens.collect(), &HashMap::new(), vocab_size)
    }

    /// Reads a `tokenizer.json` of the Hugging Face tokenizers library.
    pub fn from_tokenizer_json(bytes: &[u8]) -> Result<Self, VocabularyError> {
        let file: TokenizerJson =
            serde_json::from_slice(bytes).or_else(|reason| error(format!("tokenizer.json: {reason}")))?;
        let specials: HashMap<&str, u32> =
            file.added_tokens.iter().map(|token| (token.content.as_str(), token.id)).collect();
        if !specials.contains_key("<|endoftext|>") || !specials.contains_key("<|translate|>") {
            return error("tokenizer.json does not list <|endoftext|> and <|translate|> as added tokens");
        }
        let tokens = ordered(&file.model.vocab, specials["<|endoftext|>"])?;
        build(tokens, &specials, 0)
    }

    /// Reads a `vocab.json`: tokens in the printable spelling, each with its id. Special tokens may be missing from it;
    /// then they are where `vocab_size` says.
    pub fn from_vocab_json(bytes: &[u8], vocab_size: usize) -> Result<Self, VocabularyError> {
        let vocabulary: HashMap<String, u32> =
            serde_json::from_slice(bytes).or_else(|reason| error(format!("vocab.json: {reason}")))?;
        let specials: HashMap<&str, u32> = vocabulary
            .iter()
            .filter(|(token, _)| is_special(token.as_bytes()))
            .map(|(token, &id)| (token.as_str(), id))
            .collect();
        let count = specials.get("<|endoftext|>").map_or(ordinary_tokens(vocab_size), |&id| id as usize);
        build(ordered(&vocabulary, count as u32)?, &specials, vocab_size)
    }

    /// Takes a list of tokens in the order of their ids in the printable spelling (CTranslate2's `vocabulary.txt` and
    /// `vocabulary.json`). What the list lacks at its end is where `vocab_size` says.
    pub fn from_printable_tokens<T: AsRef<str>>(
        tokens: &[T],
        vocab_size: usize,
    ) -> Result<Self, VocabularyError> {
        let bytes: Option<Vec<Vec<u8>>> = tokens.iter().map(|token| from_printable(token.as_ref())).collect();
        match bytes {
            Some(bytes) => Self::from_vocabulary_tokens(&bytes, vocab_size),
            None => error("a token is not spelled in the characters that stand for bytes"),
        }
    }

    /// Takes a list of tokens as bytes in the order of their ids (ggml files). What the list lacks at its end is where
    /// `vocab_size` says.
    pub fn from_vocabulary_tokens<T: AsRef<[u8]>>(
        tokens: &[T],
        vocab_size: usize,
    ) -> Result<Self, VocabularyError> {
        let specials: HashMap<&str, u32> = tokens
            .iter()
            .zip(0..)
            .filter(|(token, _)| is_special(token.as_ref()))
            .filter_map(|(token, id)| Some((std::str::from_utf8(token.as_ref()).ok()?, id)))
            .collect();
        let count = specials.get("<|endoftext|>").map_or(ordinary_tokens(vocab_size), |&id| id as usize);
        if tokens.len() < count {
            return error(format!("{} tokens where {count} are needed", tokens.len()));
        }
        build(tokens[..count].iter().map(AsRef::as_ref).collect(), &specials, vocab_size)
    }
}

fn ordinary_tokens(vocab_size: usize) -> usize {
    if vocab_size >= MULTILINGUAL_SIZE { MULTILINGUAL_TOKENS } else { ENGLISH_TOKENS }
}

fn is_special(token: &[u8]) -> bool {
    token.starts_with(b"<|") && token.ends_with(b"|>")
}

/// Ordinary tokens from a map to ids: the first `count` ids, which must all be there.
fn ordered(vocabulary: &HashMap<String, u32>, count: u32) -> Result<Vec<Vec<u8>>, VocabularyError> {
    if count as usize > vocabulary.len() {
        return error(format!("{} tokens where {count} are needed", vocabulary.len()));
    }
    let mut tokens = vec![None; count as usize];
    for (token, &id) in vocabulary {
        if id < count {
            let Some(bytes) = from_printable(token) else {
                return error(format!("token {id} is not spelled in the characters that stand for bytes"));
            };
            tokens[id as usize] = Some(bytes);
        }
    }
    match tokens.iter().position(Option::is_none) {
        Some(id) => error(format!("token {id} is missing")),
        None => Ok(tokens.into_iter().flatten().collect()),
    }
}

/// Joins ordinary tokens with the special ones, found by name or, where names are missing, by OpenAI's layout.
fn build<T: AsRef<[u8]>>(
    tokens: Vec<T>,
    specials: &HashMap<&str, u32>,
    vocab_size: usize,
) -> Result<WhisperTokenizer, VocabularyError> {
    let first_language = tokens.len() as u32 + 2;
    let languages: Arc<[Language]> = match specials.get("<|translate|>") {
        Some(&translate) => {
            let by_id: HashMap<u32, &str> = specials.iter().map(|(&name, &id)| (id, name)).collect();
            let codes = (first_language..translate).take(2 * LANGUAGES.len()).map(|id| {
                let name = by_id.get(&id).copied().unwrap_or_default();
                let code =
                    name.strip_prefix("<|").and_then(|name| name.strip_suffix("|>")).unwrap_or_default();
                languages::find(code).ok_or_else(|| {
                    VocabularyError(format!("token {id}, {name:?}, is no language that is known"))
                })
            });
            codes.collect::<Result<_, _>>()?
        }
        None => {
            let others = tokens.len() + 2 + (TASK_TOKENS + TIMESTAMPS) as usize;
            match vocab_size.checked_sub(others) {
                Some(count) if count + 1 >= LANGUAGES.len() => LANGUAGES[..count.min(LANGUAGES.len())].into(),
                _ => {
                    return error(format!(
                        "{vocab_size} tokens are none of Whisper's sizes (51864, 51865, 51866)"
                    ));
                }
            }
        }
    };
    for (name, expected) in [
        ("<|startoftranscript|>", first_language - 1),
        ("<|translate|>", first_language + languages.len() as u32),
    ] {
        if let Some(&id) = specials.get(name)
            && id != expected
        {
            return error(format!("{name} is token {id} and should be {expected}"));
        }
    }
    let multilingual = tokens.len() != ENGLISH_TOKENS;
    match Vocabulary::new(tokens) {
        Some(vocabulary) => {
            Ok(WhisperTokenizer { vocabulary: Arc::new(vocabulary), languages, multilingual })
        }
        None => error("the 256 single bytes are not all there"),
    }
}

/// Bytes of a token in the printable spelling of GPT-2's vocabulary files, where printable Latin-1 stands for itself and
/// the other bytes, in ascending order, are the characters from U+0100 on.
fn from_printable(token: &str) -> Option<Vec<u8>> {
    token.chars().map(byte_of).collect()
}

fn byte_of(character: char) -> Option<u8> {
    match u32::from(character) {
        code @ (0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) => Some(code as u8),
        // 0x00 to 0x20, then 0x7f to 0xa0, then 0xad.
        code @ 0x100..=0x120 => Some((code - 0x100) as u8),
        code @ 0x121..=0x142 => Some((code - 0x121 + 0x7f) as u8),
        0x143 => Some(0xad),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_characters_stand_for_all_bytes() {
        let bytes: std::collections::BTreeSet<u8> =
            (0..0x200).filter_map(char::from_u32).filter_map(byte_of).collect();
        assert_eq!(bytes.len(), 256);
        assert_eq!(from_printable("ĠaĊŃ"), Some(vec![b' ', b'a', b'\n', 0xad]));
        assert_eq!(from_printable("a b"), None);
    }
}
