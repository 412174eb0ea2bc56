//! WordPiece vocabularies of BERT (arXiv:1810.04805), read from a `tokenizer.json`.
//!
//! Added tokens such as `[laugh]` are matched first, anywhere in the text. The rest is cleaned, converted to lower case, stripped
//! of accents and cut at spaces, punctuation and around every Chinese character; each word is then covered by the longest
//! pieces of the vocabulary from left to right; pieces inside a word are written `##piece`. Truncation and padding that
//! a file requests are not applied, and no `[CLS]` or `[SEP]` is added.

use std::collections::HashMap;

use serde::Deserialize;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// A vocabulary.
#[derive(Debug)]
pub struct WordPiece {
    ids: HashMap<String, u32>,
    tokens: Vec<String>,
    /// Tokens that are matched before anything else, the longest first.
    added: Vec<(String, u32)>,
    unknown: u32,
    prefix: String,
    longest_word: usize,
    lowercase: bool,
    strip_accents: bool,
}

/// Why a vocabulary cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    added_tokens: Vec<Added>,
    normalizer: Option<Normalizer>,
    model: Model,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
}

#[derive(Deserialize)]
struct Normalizer {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    lowercase: bool,
    strip_accents: Option<bool>,
}

#[derive(Deserialize)]
struct Model {
    unk_token: String,
    continuing_subword_prefix: String,
    max_input_chars_per_word: usize,
    vocab: HashMap<String, u32>,
}

/// More tokens than any vocabulary has; limits memory.
const MOST_TOKENS: u32 = 1 << 20;

impl WordPiece {
    /// Reads the contents of a `tokenizer.json`.
    ///
    /// # Errors
    /// It is not JSON, not a WordPiece vocabulary, or its ids are not 0, 1, 2...
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        let file: File = serde_json::from_slice(json)
            .map_err(|reason| Error(format!("it is no WordPiece vocabulary: {reason}")))?;
        let normalizer =
            file.normalizer.ok_or_else(|| Error("it says nothing of how text is normalised".into()))?;
        if normalizer.kind != "BertNormalizer" {
            return Err(Error(format!("its normaliser is {}, not BertNormalizer", normalizer.kind)));
        }
        let model = file.model;
        let mut ids = model.vocab;
        let added: Vec<(String, u32)> =
            file.added_tokens.into_iter().map(|token| (token.content, token.id)).collect();
        ids.extend(added.iter().cloned());
        let count = ids.values().max().map_or(0, |&id| id.saturating_add(1));
        if count > MOST_TOKENS {
            return Err(Error(format!("it has ids up to {}", count - 1)));
        }
        let mut tokens = vec![String::new(); count as usize];
        ids.iter().for_each(|(token, &id)| tokens[id as usize].clone_from(token));
        if let Some(id) = tokens.iter().position(String::is_empty) {
            return Err(Error(format!("it has no token with id {id}")));
        }
        let unknown = *ids
            .get(&model.unk_token)
            .ok_or_else(|| Error(format!("its unknown token {:?} has no id", model.unk_token)))?;
        let mut added: Vec<_> = added.into_iter().filter(|(token, _)| !token.is_empty()).collect();
        added.sort_by_key(|(token, _)| std::cmp::Reverse(token.len()));
        Ok(Self {
            ids,
            tokens,
            added,
            unknown,
            prefix: model.continuing_subword_prefix,
            longest_word: model.max_input_chars_per_word,
            lowercase: normalizer.lowercase,
            strip_accents: normalizer.strip_accents.unwrap_or(normalizer.lowercase),
        })
    }

    /// Number of tokens.
    pub fn vocab_size(&self) -> usize {
        self.tokens.len()
    }

    /// Id of a token, spelled as in the vocabulary.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.ids.get(token).copied()
    }

    /// Ids of a text.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        let (mut start, mut at) = (0, 0);
        while let Some(c) = text[at..].chars().next() {
            let found = self.added.iter().find(|(token, _)| text[at..].starts_with(token.as_str()));
            if let Some((token, id)) = found {
                self.encode_plain(&text[start..at], &mut ids);
                ids.push(*id);
                at += token.len();
                start = at;
            } else {
                at += c.len_utf8();
            }
        }
        self.encode_plain(&text[start..], &mut ids);
        ids
    }

    /// Ids of a text without added tokens.
    fn encode_plain(&self, text: &str, ids: &mut Vec<u32>) {
        let mut word = String::new();
        for c in self.normalise(text).chars() {
            if c.is_whitespace() {
                self.encode_word(&std::mem::take(&mut word), ids);
            } else if is_punctuation(c) || is_chinese(c) {
                self.encode_word(&std::mem::take(&mut word), ids);
                self.encode_word(c.encode_utf8(&mut [0; 4]), ids);
            } else {
                word.push(c);
            }
        }
        self.encode_word(&word, ids);
    }

    fn normalise(&self, text: &str) -> String {
        let clean = text.chars().filter_map(|c| match c {
            '\t' | '\n' | '\r' => Some(' '),
            '\0' | '\u{fffd}' => None,
            c if is_control(c) => None,
            c if c.is_whitespace() => Some(' '),
            c => Some(c),
        });
        let stripped: String = if self.strip_accents {
            clean.nfd().filter(|&c| !(is_combining_mark(c) && is_nonspacing(c))).collect()
        } else {
            clean.collect()
        };
        if self.lowercase { stripped.chars().flat_map(char::to_lowercase).collect() } else { stripped }
    }

    fn encode_word(&self, word: &str, ids: &mut Vec<u32>) {
        if word.is_empty() {
            return;
        }
        if word.chars().count() > self.longest_word {
            ids.push(self.unknown);
            return;
        }
        let before = ids.len();
        let mut rest = word;
        while !rest.is_empty() {
            let prefix = if rest.len() == word.len() { "" } else { self.prefix.as_str() };
            let ends = rest.char_indices().map(|(at, c)| at + c.len_utf8()).rev();
            let found =
                ends.filter_map(|end| Some((*self.ids.get(&format!("{prefix}{}", &rest[..end]))?, end)));
            let Some((id, end)) = found.into_iter().next() else {
                // A word that cannot be covered is unknown as a whole.
                ids.truncate(before);
                ids.push(self.unknown);
                return;
            };
            ids.push(id);
            rest = &rest[end..];
        }
    }

    /// Text of ids: tokens with spaces between them, pieces inside words joined, and no space before punctuation and
    /// English contractions. Ids that are not in the vocabulary are skipped.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut text = String::new();
        for token in ids.iter().filter_map(|&id| self.tokens.get(id as usize)) {
            match token.strip_prefix(self.prefix.as_str()) {
                Some(piece) if !text.is_empty() => text.push_str(piece),
                _ => {
                    if !text.is_empty() {
                        text.push(' ');
                    }
                    text.push_str(token);
                }
            }
        }
        const JOINED: [(&str, &str); 10] = [
            (" .", "."),
            (" ?", "?"),
            (" !", "!"),
            (" ,", ","),
            (" ' ", "'"),
            (" n't", "n't"),
            (" 'm", "'m"),
            (" 's", "'s"),
            (" 've", "'ve"),
            (" 're", "'re"),
        ];
        JOINED.iter().fold(text, |text, (from, to)| text.replace(from, to))
    }
}

/// Characters of Unicode's category Other that are not white space.
fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{e000}'..='\u{f8ff}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// Non-spacing combining marks such as accents (category Mn); spacing ones (Mc) are kept.
fn is_nonspacing(c: char) -> bool {
    // Spacing marks are in these blocks; none of them is an accent.
    !matches!(c, '\u{903}' | '\u{93b}' | '\u{93e}'..='\u{940}' | '\u{949}'..='\u{94c}' | '\u{302e}' | '\u{302f}')
}

/// The ideographs that BERT treats as words of their own.
fn is_chinese(c: char) -> bool {
    matches!(c, '\u{4e00}'..='\u{9fff}' | '\u{3400}'..='\u{4dbf}' | '\u{20000}'..='\u{2a6df}'
        | '\u{2a700}'..='\u{2b81f}' | '\u{2b920}'..='\u{2ceaf}' | '\u{f900}'..='\u{faff}' | '\u{2f800}'..='\u{2fa1f}')
}

/// ASCII that is neither letter, digit nor space, and Unicode's category Punctuation in the blocks that text uses.
fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation()
        || matches!(c, '\u{a1}' | '\u{a7}' | '\u{ab}' | '\u{b6}' | '\u{b7}' | '\u{bb}' | '\u{bf}' | '\u{37e}' | '\u{387}'
            | '\u{55a}'..='\u{55f}' | '\u{589}' | '\u{58a}' | '\u{5be}' | '\u{5c0}' | '\u{5c3}' | '\u{5c6}' | '\u{5f3}'
            | '\u{5f4}' | '\u{60c}' | '\u{60d}' | '\u{61b}' | '\u{61e}' | '\u{61f}' | '\u{66a}'..='\u{66d}' | '\u{6d4}'
            | '\u{964}' | '\u{965}' | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{2043}' | '\u{2045}'..='\u{2051}'
            | '\u{2053}'..='\u{205e}' | '\u{207d}' | '\u{207e}' | '\u{208d}' | '\u{208e}' | '\u{2308}'..='\u{230b}'
            | '\u{2329}' | '\u{232a}' | '\u{2768}'..='\u{2775}' | '\u{27e6}'..='\u{27ef}' | '\u{2983}'..='\u{2998}'
            | '\u{29d8}'..='\u{29db}' | '\u{29fc}' | '\u{29fd}' | '\u{2e00}'..='\u{2e2e}' | '\u{2e30}'..='\u{2e4f}'
            | '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}' | '\u{3014}'..='\u{301f}' | '\u{3030}' | '\u{303d}'
            | '\u{30a0}' | '\u{30fb}' | '\u{fe10}'..='\u{fe19}' | '\u{fe30}'..='\u{fe52}' | '\u{fe54}'..='\u{fe61}'
            | '\u{fe63}' | '\u{fe68}' | '\u{fe6a}' | '\u{fe6b}' | '\u{ff01}'..='\u{ff03}' | '\u{ff05}'..='\u{ff0a}'
            | '\u{ff0c}'..='\u{ff0f}' | '\u{ff1a}' | '\u{ff1b}' | '\u{ff1f}' | '\u{ff20}' | '\u{ff3b}'..='\u{ff3d}'
            | '\u{ff3f}' | '\u{ff5b}' | '\u{ff5d}' | '\u{ff5f}'..='\u{ff65}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary() -> WordPiece {
        let words =
            ["[PAD]", "[UNK]", "hello", "un", "##affable", "##aff", "你", ",", "'", "s", "cafe", "##s", "."];
        let vocab: HashMap<_, _> = words.iter().enumerate().map(|(id, word)| (*word, id)).collect();
        let json = serde_json::json!({
            "truncation": {"max_length": 2}, "padding": {"strategy": {"Fixed": 9}},
            "added_tokens": [{"id": 1, "content": "[UNK]"}, {"id": 13, "content": "[laugh]"}, {"id": 14, "content": "[laugh_0]"}],
            "normalizer": {"type": "BertNormalizer", "lowercase": true, "strip_accents": null},
            "model": {"unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 10, "vocab": vocab},
        });
        WordPiece::from_json(json.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn words_are_covered_by_their_longest_pieces() {
        let vocabulary = vocabulary();
        for (text, ids) in [
            ("Hello,你hello", vec![2, 7, 6, 2]),
            ("unaffable unaffs", vec![3, 4, 3, 5, 11]),
            ("unhappy \u{200b}hel\u{ad}lo", vec![1, 2]),
            ("Café\tcafe\u{301}s", vec![10, 10, 11]),
            ("hello[laugh_0]hello [laugh].", vec![2, 14, 2, 13, 12]),
            ("hellohellohello", vec![1]),
            ("", vec![]),
        ] {
            assert_eq!(vocabulary.encode(text), ids, "{text}");
        }
        assert_eq!(vocabulary.decode(&[11, 2, 11, 7, 6, 8, 9, 13, 12, 99]), "##s hellos, 你's [laugh].");
        assert_eq!(
            (vocabulary.vocab_size(), vocabulary.id("[laugh]"), vocabulary.id("x")),
            (15, Some(13), None)
        );
    }

    #[test]
    fn files_of_another_kind_are_refused() {
        for (json, reason) in [
            ("{", "no WordPiece"),
            (r#"{"model": {"type": "BPE"}}"#, "no WordPiece"),
            (
                r###"{"normalizer": {"type": "NFC"}, "model": {"unk_token": "u", "continuing_subword_prefix": "##",
                   "max_input_chars_per_word": 9, "vocab": {"u": 0}}}"###,
                "NFC",
            ),
            (
                r###"{"normalizer": {"type": "BertNormalizer"}, "model": {"unk_token": "u", "continuing_subword_prefix": "##",
                   "max_input_chars_per_word": 9, "vocab": {"u": 1}}}"###,
                "id 0",
            ),
        ] {
            let error = WordPiece::from_json(json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
