//! Text to be spoken, `[word](/phonemes/)` in it: it is spoken or refused, in English, British and Chinese.

use mynah_text::chinese::{self, Dominant};
use mynah_text::english::{self, Dialect, Error, G2p};

/// Longest text: work grows with it.
const MOST_BYTES: usize = 300;
/// Phonemes that an utterance may have; few, so that cutting is tried too.
const MOST_PHONEMES: usize = 60;

/// Reads the text aloud, as far as phonemes, with one of the voices.
pub fn run(input: &[u8], voices: &[&G2p]) {
    let Ok(text) = str::from_utf8(&input[..input.len().min(MOST_BYTES)]) else { return };
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
        match g2p.utterances(text, MOST_PHONEMES) {
            Ok(utterances) => {
                for utterance in utterances {
                    let utterance = match utterance {
                        Ok(utterance) => utterance,
                        Err(error) => panic!("{error} came late"),
                    };
                    assert!(utterance.phonemes().chars().count() <= MOST_PHONEMES);
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
