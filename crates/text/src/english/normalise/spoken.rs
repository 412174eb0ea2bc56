//! What the rules of normalisation see and give.

use std::ops::Range;

use crate::english::Dialect;

/// A place in a cleaned sentence where a rule may apply.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) text: &'a str,
    pub(super) at: usize,
    pub(super) dialect: Dialect,
}

impl<'a> Place<'a> {
    /// The text from here on.
    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// The text up to here.
    pub(super) fn before(&self) -> &'a str {
        &self.text[..self.at]
    }

    /// The character before.
    pub(super) fn previous_char(&self) -> Option<char> {
        self.before().chars().next_back()
    }

    /// The word before, without the marks around it; empty at the start.
    pub(super) fn previous_word(&self) -> &'a str {
        let before = self.before().trim_end_matches(|c: char| !c.is_alphanumeric());
        let start = before.rfind(|c: char| !c.is_alphanumeric() && c != '\'' && c != '.');
        let word =
            start.map_or(before, |i| &before[i + before[i..].chars().next().map_or(1, char::len_utf8)..]);
        word.trim_matches(|c: char| !c.is_alphanumeric())
    }

    /// The word that follows after `len` bytes and one space (or directly); empty if something else does.
    pub(super) fn word_after(&self, len: usize) -> &'a str {
        let rest = &self.rest()[len..];
        let rest = rest.strip_prefix(' ').unwrap_or(rest);
        let end = rest.find(|c: char| !c.is_alphabetic() && c != '\'').unwrap_or(rest.len());
        &rest[..end]
    }

    /// Whether a match of `len` bytes ends where a word may end.
    pub(super) fn ends_word(&self, len: usize) -> bool {
        let mut rest = self.rest()[len..].chars();
        match rest.next() {
            None => true,
            Some(c) if c.is_alphanumeric() || c == '_' => false,
            Some('.' | ',' | ':') => rest.next().is_none_or(|c| !c.is_ascii_digit()),
            Some('\'') => rest.next().is_none_or(|c| !c.is_alphanumeric()),
            Some(_) => true,
        }
    }

    /// Whether "and" goes into numbers.
    pub(super) fn and(&self) -> bool {
        self.dialect == Dialect::British
    }
}

/// A rule: how many bytes from the place on it reads, and what they sound like.
pub(super) type Rule = fn(&Place<'_>) -> Option<(usize, Spoken)>;

/// Words to say, of which some are spelled letter by letter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spoken {
    pub(super) text: String,
    /// Ranges of `text` that are letters with spaces between.
    pub(super) letters: Vec<Range<usize>>,
}

impl Spoken {
    /// Adds words, or punctuation that sticks to the last one.
    pub(super) fn say(mut self, words: &str) -> Self {
        if !self.text.is_empty() && words.starts_with(char::is_alphanumeric) {
            self.text.push(' ');
        }
        self.text.push_str(words);
        self
    }

    /// Adds a word spelled letter by letter.
    pub(super) fn spell(self, word: &str) -> Self {
        let letters: Vec<String> =
            word.chars().filter(|c| c.is_alphabetic()).map(|c| c.to_uppercase().to_string()).collect();
        let mut spoken = self.say(&letters.join(" "));
        let len = letters.join(" ").len();
        spoken.letters.push(spoken.text.len() - len..spoken.text.len());
        spoken
    }

    /// Gives the spelled letters at the end the ending of a plural.
    pub(super) fn with_s(mut self) -> Self {
        self.text.push_str("'s");
        if let Some(last) = self.letters.last_mut() {
            last.end = self.text.len();
        }
        self
    }

    /// Adds what another rule found.
    pub(super) fn then(mut self, other: &Self) -> Self {
        let joined = self.clone().say(&other.text);
        let offset = joined.text.len() - other.text.len();
        self.letters.extend(other.letters.iter().map(|range| range.start + offset..range.end + offset));
        self.text = joined.text;
        self
    }
}

impl From<&str> for Spoken {
    fn from(words: &str) -> Self {
        Self::default().say(words)
    }
}

impl From<String> for Spoken {
    fn from(words: String) -> Self {
        Self::from(words.as_str())
    }
}
