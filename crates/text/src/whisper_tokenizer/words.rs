//! Splits token sequences into words, for word timestamps.

use super::WhisperTokenizer;

/// Languages written without spaces between words.
const WITHOUT_SPACES: [&str; 6] = ["zh", "ja", "th", "lo", "my", "yue"];

pub(super) fn split(
    tokenizer: &WhisperTokenizer,
    tokens: &[u32],
    language: Option<&str>,
) -> Vec<(String, Vec<u32>)> {
    let characters = by_characters(tokenizer, tokens);
    if language.is_some_and(|code| WITHOUT_SPACES.contains(&code)) {
        return characters;
    }
    let mut words: Vec<(String, Vec<u32>)> = Vec::new();
    for (text, ids) in characters {
        let special = ids[0] >= tokenizer.eot();
        let punctuation = text.trim().chars().all(|character| character.is_ascii_punctuation());
        match words.last_mut() {
            Some((word, word_ids))
                if !(special || word_ids[0] >= tokenizer.eot() || text.starts_with(' ') || punctuation) =>
            {
                word.push_str(&text);
                word_ids.extend(ids);
            }
            _ => words.push((text, ids)),
        }
    }
    words
}

/// The shortest groups of tokens that are complete characters; a special token is a group of its own.
fn by_characters(tokenizer: &WhisperTokenizer, tokens: &[u32]) -> Vec<(String, Vec<u32>)> {
    let mut groups = Vec::new();
    let (mut bytes, mut ids) = (Vec::new(), Vec::new());
    let mut flush = |bytes: &mut Vec<u8>, ids: &mut Vec<u32>| {
        if !ids.is_empty() {
            groups.push((String::from_utf8_lossy(&std::mem::take(bytes)).into_owned(), std::mem::take(ids)));
        }
    };
    for &id in tokens {
        if let Some(name) = tokenizer.special_name(id) {
            flush(&mut bytes, &mut ids);
            flush(&mut name.into_bytes(), &mut vec![id]);
            continue;
        }
        bytes.extend_from_slice(tokenizer.token_bytes(id));
        ids.push(id);
        let unfinished = std::str::from_utf8(&bytes).is_err_and(|error| error.error_len().is_none());
        if !unfinished {
            flush(&mut bytes, &mut ids);
        }
    }
    flush(&mut bytes, &mut ids);
    groups
}
