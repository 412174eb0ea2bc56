//! The words of a speech as the bodies of the API, and as subtitles.

use mynah_api::{SpokenWords, Word};
use mynah_engine::Spoken;
use mynah_models::SpokenWord;
use mynah_text::subtitles::{self, Cue, Layout};

use super::numbers::seconds;

/// A speech's words as a body of their own.
pub fn spoken_body(text: &str, spoken: &Spoken) -> SpokenWords {
    SpokenWords { text: text.to_owned(), duration: seconds(spoken.duration_s), words: spoken_words(spoken) }
}

/// The words of a speech in the API's form.
pub(crate) fn spoken_words(spoken: &Spoken) -> Vec<Word> {
    let word = |word: &SpokenWord| Word {
        word: word.text.clone(),
        start: seconds(word.start_s),
        end: seconds(word.end_s),
        probability: None,
    };
    spoken.words.iter().map(word).collect()
}

/// Subtitles of a speech: cues of a few words each, with the punctuation of the text.
pub fn spoken_cues(text: &str, spoken: &Spoken) -> Vec<Cue> {
    let words = &spoken.words;
    let mut start = 0;
    let cue = |(i, word): (usize, &SpokenWord)| {
        // Up to the white space before the next word, whose opening quotes come after that space.
        let end = words.get(i + 1).map_or(text.len(), |next| {
            let gap = text.get(word.range.end..next.range.start).unwrap_or_default();
            gap.rfind(char::is_whitespace).map_or(next.range.start, |space| word.range.end + space)
        });
        let written = text.get(start..end).unwrap_or(&word.text);
        start = end;
        let written = written.split_whitespace().collect::<Vec<_>>().join(" ");
        let space = if text
            .get(..word.range.start)
            .is_some_and(|t| t.ends_with(|c: char| !c.is_alphanumeric() && c != '-'))
        {
            " "
        } else {
            ""
        };
        Cue { start_s: word.start_s, end_s: word.end_s, text: format!("{space}{written}") }
    };
    let cues: Vec<_> = words.iter().enumerate().map(cue).collect();
    subtitles::cues_of_words(&cues, &Layout::default())
}
