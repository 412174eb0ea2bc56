//! A whole text as a stream of phoneme strings that a voice can take.

use std::collections::VecDeque;

use super::normalise::check_script;
use super::sentences::{Sentences, sentences};
use super::{Error, G2p, Phonemised};

/// Longest sentence read at once, in bytes; keeps the work before the first sound small whatever the text.
const SENTENCE_BYTES: usize = 1200;

/// What a voice says in one breath.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Utterance {
    /// Words and punctuation; ranges are places in the whole text, in bytes.
    pub words: Vec<Phonemised>,
    /// Whether a paragraph ends with it.
    pub ends_paragraph: bool,
}

impl Utterance {
    /// The string a voice is given.
    pub fn phonemes(&self) -> String {
        self.words.iter().map(|word| word.phonemes.as_str()).collect()
    }
}

/// Iterator over the utterances of a text; see [`G2p::utterances`].
pub struct Utterances<'a> {
    g2p: &'a G2p,
    sentences: Sentences<'a>,
    max_phonemes: usize,
    ready: VecDeque<Utterance>,
}

impl G2p {
    /// Reads `text` sentence by sentence as the iterator advances. Sentences of more than `max_phonemes` characters
    /// are cut after a clause, else between words, else inside a word. Sentences without anything to say are left
    /// out, their paragraph ends are not.
    ///
    /// # Errors
    /// [`Error::OtherScript`] and [`Error::NothingToSay`], before anything is spoken.
    pub fn utterances<'a>(&'a self, text: &'a str, max_phonemes: usize) -> Result<Utterances<'a>, Error> {
        check_script(text)?;
        let mut utterances = Utterances {
            g2p: self,
            sentences: sentences(text, SENTENCE_BYTES),
            max_phonemes: max_phonemes.max(1),
            ready: VecDeque::new(),
        };
        match utterances.next() {
            None => Err(Error::NothingToSay),
            Some(first) => {
                utterances.ready.push_front(first?);
                Ok(utterances)
            }
        }
    }
}

impl Iterator for Utterances<'_> {
    type Item = Result<Utterance, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() {
            let sentence = self.sentences.next()?;
            let mut words = match self.g2p.phonemes(sentence.text) {
                Ok(words) => words,
                Err(error) => return Some(Err(error)),
            };
            for word in &mut words {
                word.range.start += sentence.range.start;
                word.range.end += sentence.range.start;
            }
            self.ready.extend(
                parts(words, self.max_phonemes)
                    .into_iter()
                    .map(|words| Utterance { words, ends_paragraph: false }),
            );
            if let Some(last) = self.ready.back_mut() {
                last.ends_paragraph = sentence.ends_paragraph;
            }
        }
        self.ready.pop_front().map(Ok)
    }
}

/// Cuts a sentence so that no part has more than `limit` phonemes.
fn parts(words: Vec<Phonemised>, limit: usize) -> Vec<Vec<Phonemised>> {
    let mut rest: VecDeque<Phonemised> = words.into_iter().flat_map(|word| pieces(word, limit)).collect();
    let mut parts = Vec::new();
    while !rest.is_empty() {
        let mut length = 0;
        let mut fitting = 0;
        let mut after_clause = None;
        for word in &rest {
            // The space at the end of a part is not said.
            length += word.phonemes.chars().count();
            if length - usize::from(word.phonemes.ends_with(' ')) > limit {
                break;
            }
            fitting += 1;
            if !word.is_spoken() && word.phonemes.contains([',', ';', ':', '—', ')', '”', '.', '…', '!', '?'])
            {
                after_clause = Some(fitting);
            }
        }
        let count = match after_clause {
            Some(clause) if fitting < rest.len() && clause * 4 > fitting => clause,
            _ => fitting.max(1),
        };
        let mut part: Vec<Phonemised> = rest.drain(..count).collect();
        if let Some(last) = part.last_mut() {
            last.phonemes.truncate(last.phonemes.trim_end().len());
        }
        if part.iter().any(Phonemised::is_spoken) {
            parts.push(part);
        }
    }
    parts
}

/// A word whose phonemes alone are too many, in pieces of at most `limit` that share its place in the text.
fn pieces(word: Phonemised, limit: usize) -> Vec<Phonemised> {
    if word.phonemes.chars().count() <= limit {
        return vec![word];
    }
    let mut pieces = Vec::new();
    let mut rest = word.phonemes.as_str();
    while let Some((end, _)) = rest.char_indices().nth(limit) {
        let cut = rest[..end].rfind(' ').map_or(end, |space| space + 1);
        let (head, tail) = rest.split_at(cut);
        pieces.push(head);
        rest = tail;
    }
    pieces.push(rest);
    let piece = |phonemes: &str| Phonemised { phonemes: phonemes.to_owned(), ..word.clone() };
    pieces.into_iter().filter(|phonemes| !phonemes.is_empty()).map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(phonemes: &str) -> Phonemised {
        Phonemised { word: String::new(), range: 0..0, phonemes: phonemes.to_owned() }
    }

    #[track_caller]
    fn check(phonemes: &[&str], limit: usize, expected: &[&str]) {
        let words = phonemes.iter().map(|phonemes| word(phonemes)).collect();
        let found: Vec<String> = parts(words, limit)
            .iter()
            .map(|part| part.iter().map(|word| word.phonemes.as_str()).collect())
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn long_sentences_are_cut_after_clauses_then_words_then_anywhere() {
        check(&["ab ", "cd", ", ", "ef ", "gh", "."], 100, &["ab cd, ef gh."]);
        check(&["ab ", "cd", ", ", "ef ", "gh", "."], 10, &["ab cd,", "ef gh."]);
        check(&["ab ", "cd ", "ef ", "gh"], 5, &["ab cd", "ef gh"]);
        check(&["abcdefgh ", "ij"], 3, &["abc", "def", "gh", "ij"]);
        check(&["ab cd ef"], 5, &["ab", "cd ef"]);
        check(&["ab", ".", "…"], 2, &["ab"]);
        check(&[], 5, &[]);
    }
}
