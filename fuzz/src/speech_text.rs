//! Text to speak, including `[word](/phonemes/)`: it is spoken or refused, in American and British English and Chinese.

use mynah_text::chinese::{self, Dominant};
use mynah_text::english::{self, Dialect, Error, G2p};

/// Maximum text length, as the work grows with it.
const MAX_BYTES: usize = 300;
/// Maximum phonemes per utterance; few, so that cutting is tested too.
const MAX_PHONEMES: usize = 60;

/// Converts the text to phonemes for one of the voices.
pub fn run(input: &[u8], voices: &[&G2p]) {
    let Ok(text) = str::from_utf8(&input[..input.len().min(MAX_BYTES)]) else { return };
    let voice = voices.get(input.len() % voices.len().max(1));
    for dialect in [Dialect::American, Dialect::British] {
        let _ = english::normalise(text, dialect);
    }
    for dominant in [Dominant::Chinese, Dominant::English] {
        let _ = chinese::normalise(text, dominant);
    }
    for bytes in [60, 1200] {
        let mut end = 0;
        for sentence in english::sentences(text, bytes) {
            assert_eq!(&text[sentence.range.clone()], sentence.text);
            assert!(sentence.range.start >= end);
            end = sentence.range.end;
        }
    }
    if let Some(g2p) = voice {
        match g2p.utterances(text, MAX_PHONEMES) {
            Ok(utterances) => {
                for utterance in utterances {
                    let utterance = match utterance {
                        Ok(utterance) => utterance,
                        Err(error) => panic!("{error} came late"),
                    };
                    assert!(utterance.phonemes().chars().count() <= MAX_PHONEMES);
                    for word in &utterance.words {
                        assert_eq!(text[word.range.clone()], word.word);
                    }
                }
            }
            Err(Error::OtherScript { .. } | Error::NothingToSay) => {}
            Err(error) => panic!("{error}"),
        }
    }
}
