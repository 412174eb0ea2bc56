//! The decoder's prompt: hotwords, previous text and the start of the transcript.

use mynah_text::whisper_tokenizer::WhisperTokenizer;

/// Tokens of a prompt.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Prompt {
    pub(super) tokens: Vec<u32>,
    /// Index of `<|startoftranscript|>`, at which the model gives the no-speech probability.
    pub(super) start_of_transcript: usize,
}

/// Hotwords as text before the transcript; empty if there are none.
pub(super) fn hotword_tokens(tokenizer: &WhisperTokenizer, hotwords: &[String]) -> Vec<u32> {
    let words: Vec<&str> = hotwords.iter().map(|word| word.trim()).filter(|word| !word.is_empty()).collect();
    if words.is_empty() { Vec::new() } else { tokenizer.encode(&format!(" {}", words.join(", "))) }
}

/// Hotwords and the end of the previous text, which together take less than half of the decoder's `positions`, then
/// the start of the transcript.
pub(super) fn prompt(
    tokenizer: &WhisperTokenizer,
    hotwords: &[u32],
    previous: &[u32],
    start_sequence: &[u32],
    positions: usize,
) -> Prompt {
    let room = (positions / 2).saturating_sub(1);
    let hotwords = &hotwords[..hotwords.len().min(room)];
    let previous = &previous[previous.len().saturating_sub(room - hotwords.len())..];
    let mut tokens = Vec::with_capacity(1 + hotwords.len() + previous.len() + start_sequence.len());
    if !hotwords.is_empty() || !previous.is_empty() {
        tokens.push(tokenizer.sot_prev());
        tokens.extend_from_slice(hotwords);
        tokens.extend_from_slice(previous);
    }
    let start_of_transcript = tokens.len();
    tokens.extend_from_slice(start_sequence);
    Prompt { tokens, start_of_transcript }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn previous_text_takes_less_than_half_of_the_context() {
        let tokenizer = WhisperTokenizer::built_in(51865).unwrap();
        let start = [tokenizer.sot(), 50259, tokenizer.transcribe()];
        let build = |hotwords: &[u32], previous: &[u32]| prompt(&tokenizer, hotwords, previous, &start, 448);

        let bare = build(&[], &[]);
        assert_eq!((bare.tokens.as_slice(), bare.start_of_transcript), (&start[..], 0));

        let short = build(&[1], &[2, 3]);
        let sot_prev = tokenizer.sot_prev();
        assert_eq!(short.tokens, [&[sot_prev, 1, 2, 3], &start[..]].concat());
        assert_eq!(short.start_of_transcript, 4);

        let previous: Vec<u32> = (0..500).collect();
        let long = build(&[7, 8], &previous);
        assert_eq!((long.tokens.len(), long.start_of_transcript), (1 + 223 + 3, 224));
        assert_eq!((long.tokens[3], long.tokens[223]), (500 - 221, 499), "the end of the text is kept");

        let hot = build(&previous, &previous);
        assert_eq!((hot.tokens[1], hot.tokens[223], hot.start_of_transcript), (0, 222, 224));
    }

    #[test]
    fn hotwords_are_one_list() {
        let tokenizer = WhisperTokenizer::built_in(51865).unwrap();
        let words = ["Mynah ".to_owned(), " ".to_owned(), "CTranslate2".to_owned()];
        assert_eq!(tokenizer.decode(&hotword_tokens(&tokenizer, &words)), " Mynah, CTranslate2");
        assert!(hotword_tokens(&tokenizer, &[String::new()]).is_empty());
    }
}
