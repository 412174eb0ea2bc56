//! Which text is shown when, of a transcript and of a speech.

use mynah_core::{SpokenWord, Transcript, Word};

use crate::subtitles::{Cue, Layout, cues_of_words};

/// Subtitles: a cue a segment, or cues of a few words each where words were asked for.
pub fn cues(transcript: &Transcript, words: bool) -> Vec<Cue> {
    let segments = transcript.segments.iter();
    if words {
        let cue = |word: &Word| Cue { start_s: word.start_s, end_s: word.end_s, text: word.text.clone() };
        let words: Vec<_> = segments.flat_map(|segment| &segment.words).map(cue).collect();
        return cues_of_words(&words, &Layout::default());
    }
    segments
        .map(|segment| Cue { start_s: segment.start_s, end_s: segment.end_s, text: segment.text.clone() })
        .collect()
}

/// Subtitles of a speech: cues of a few words each, with the punctuation of the text.
pub fn spoken_cues(text: &str, words: &[SpokenWord]) -> Vec<Cue> {
    let mut start = 0;
    let cue = |(i, word): (usize, &SpokenWord)| {
        // Up to the white space before the next word, after which its opening quotes stand.
        let end = words.get(i + 1).map_or(text.len(), |next| {
            let gap = text.get(word.range.end..next.range.start).unwrap_or_default();
            gap.rfind(char::is_whitespace).map_or(next.range.start, |space| word.range.end + space)
        });
        let written = text.get(start..end).unwrap_or(&word.text);
        start = end;
        let written = written.split_whitespace().collect::<Vec<_>>().join(" ");
        let before = text.get(..word.range.start);
        let is_apart = before.is_some_and(|t| t.ends_with(|c: char| !c.is_alphanumeric() && c != '-'));
        let space = if is_apart { " " } else { "" };
        Cue { start_s: word.start_s, end_s: word.end_s, text: format!("{space}{written}") }
    };
    let cues: Vec<_> = words.iter().enumerate().map(cue).collect();
    cues_of_words(&cues, &Layout::default())
}
