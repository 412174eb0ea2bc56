//! Where a reader breathes: sentences, paragraphs, and clauses of sentences that are too long.

use std::ops::Range;

use super::word_lists::{STARTERS, TITLES};

/// Abbreviations that never end a sentence.
const GO_ON: &[&str] =
    &["e.g", "i.e", "vs", "cf", "viz", "approx", "al", "ca", "Messrs", "Drs", "esp", "incl", "Insp", "Det"];
/// Abbreviations that a number follows.
const BEFORE_NUMBER: &[&str] = &[
    "No", "no", "Nos", "Fig", "fig", "Figs", "p", "pp", "Vol", "vol", "Ch", "ch", "Sec", "sec", "Art", "Eq",
    "Jan", "Feb", "Mar", "Apr", "Jun", "Jul", "Aug", "Sep", "Sept", "Oct", "Nov", "Dec", "v", "c",
];
/// Abbreviations after which a name goes on but a [`STARTERS`] word begins again.
const MAY_END: &[&str] = &[
    "Inc", "Ltd", "Corp", "Co", "Jr", "Sr", "Bros", "Ave", "Blvd", "Rd", "Ln", "Hwy", "Ph.D", "M.D", "B.A",
    "M.A", "D.C", "Jan", "Feb", "Mar", "Apr", "Jun", "Jul", "Aug", "Sep", "Sept", "Oct", "Nov", "Dec", "Mon",
    "Tue", "Wed", "Thu", "Fri", "Esq", "dept", "Dept", "est", "max",
];

/// Lines shorter than this end where they end; longer ones may be wrapped prose.
const WRAPPED_LINE: usize = 45;

/// A stretch of text to speak in one breath.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sentence<'a> {
    /// The text, without the whitespace around it.
    pub text: &'a str,
    /// Where it stands in the input, in bytes.
    pub range: Range<usize>,
    /// Whether a paragraph, heading or list item ends with it: a longer pause follows.
    pub ends_paragraph: bool,
}

/// Iterator over the sentences of a text; see [`sentences`].
#[derive(Clone, Debug)]
pub struct Sentences<'a> {
    text: &'a str,
    at: usize,
    limit: usize,
}

/// Cuts `text` into sentences of at most `limit` bytes (at least 16); a longer one is cut after a clause, else
/// between words, else anywhere. Work is done as the iterator advances, so the first sentence of a book comes at once.
pub fn sentences(text: &str, limit: usize) -> Sentences<'_> {
    Sentences { text, at: 0, limit: limit.max(16) }
}

impl<'a> Iterator for Sentences<'a> {
    type Item = Sentence<'a>;

    fn next(&mut self) -> Option<Sentence<'a>> {
        let skipped = self.text[self.at..].len() - self.text[self.at..].trim_start().len();
        self.at += skipped;
        let start = self.at;
        if start == self.text.len() {
            return None;
        }
        let (len, ends_paragraph) = self.find_end();
        let (len, ends_paragraph) = if len > self.limit {
            (cut(&self.text[start..start + len], self.limit), false)
        } else {
            (len, ends_paragraph)
        };
        self.at = start + len;
        let text = self.text[start..self.at].trim_end();
        let ends_paragraph = ends_paragraph || self.text[self.at..].trim_start().is_empty();
        Some(Sentence { text, range: start..start + text.len(), ends_paragraph })
    }
}

impl Sentences<'_> {
    /// Length of the sentence that starts here, and whether a paragraph ends with it. Looks a little beyond the limit
    /// at most.
    fn find_end(&self) -> (usize, bool) {
        let text = &self.text[self.at..];
        let mut line_start = 0;
        // How much of the first line the sentences before it took.
        let mut taken =
            self.text[..self.at].chars().rev().take(WRAPPED_LINE).take_while(|c| *c != '\n').count();
        for (i, c) in text.char_indices() {
            if i > self.limit {
                return (i, false);
            }
            let after = &text[i + c.len_utf8()..];
            match c {
                '\n' | '\u{2028}' | '\u{2029}' => {
                    let line = &text[line_start..i];
                    if ends_block(line, taken, after) {
                        return (i, true);
                    }
                    line_start = i + c.len_utf8();
                    taken = 0;
                }
                '.' | '!' | '?' | '…' => {
                    let end = i + c.len_utf8();
                    if let Some(end) = sentence_end(text, end) {
                        let rest = &text[end..];
                        let blank = &rest[..rest.len() - rest.trim_start().len()];
                        let block = match blank.find('\n') {
                            Some(newline) => ends_block(&text[line_start..end], taken, &rest[newline + 1..]),
                            None => false,
                        };
                        return (end, block);
                    }
                }
                _ => {}
            }
        }
        (text.len(), true)
    }
}

/// Whether the line break between `line`, before which stand `taken` characters more, and `after` is more than the
/// wrapping of a long line.
fn ends_block(line: &str, taken: usize, after: &str) -> bool {
    let next = after.split('\n').next().unwrap_or_default().trim();
    let line = line.trim();
    let numbered = next.trim_start_matches(|c: char| c.is_ascii_digit());
    let item = next.starts_with(['-', '*', '•', '#', '>', '|'])
        || numbered.len() < next.len() && numbered.starts_with([')', '.']);
    let runs_on = next.starts_with(char::is_lowercase) && !line.ends_with(['.', '!', '?', ':']);
    next.is_empty() || item || taken + line.chars().count() < WRAPPED_LINE && !runs_on
}

/// Where the sentence ends whose last mark ends at `end`: after quotes and brackets that close with it. None if the
/// mark does not end it.
fn sentence_end(text: &str, end: usize) -> Option<usize> {
    let tail = &text[end..];
    let close = tail.find(|c: char| !"\"”’'»)]}".contains(c)).unwrap_or(tail.len());
    let end_with_quotes = end + close;
    let rest = &text[end_with_quotes..];
    if rest.is_empty() {
        return Some(end_with_quotes);
    }
    if !rest.starts_with(char::is_whitespace) {
        return None;
    }
    let next = rest.trim_start().trim_start_matches(['"', '“', '‘', '\'', '(', '[', '«', '*', '_']);
    let first = next.chars().next()?;
    if first.is_lowercase() {
        return None;
    }
    let mark = text[..end].chars().next_back()?;
    if mark != '.' || close > 0 && !text[end..].starts_with([')', ']']) {
        return Some(end_with_quotes);
    }
    let head = &text[..end - 1];
    let start = head
        .rfind(|c: char| c.is_whitespace() || "(\"“'‘[—".contains(c))
        .map_or(0, |i| i + head[i..].chars().next().map_or(1, char::len_utf8));
    let word = &head[start..];
    let next_word = &next[..next.find(|c: char| !c.is_alphabetic() && c != '\'').unwrap_or(next.len())];
    let starts_again = STARTERS.contains(&next_word)
        || next_word.contains('\'') && STARTERS.contains(&next_word.split('\'').next()?);
    let goes_on = goes_on(&head[..start], word, first, starts_again, next_word);
    (!goes_on).then_some(end_with_quotes)
}

/// Whether the full stop after `word` belongs to the word alone.
fn goes_on(before: &str, word: &str, next: char, starts_again: bool, next_word: &str) -> bool {
    // The number of a list item.
    let opens = before.trim().is_empty();
    if opens
        && !word.is_empty()
        && (word.bytes().all(|b| b.is_ascii_digit()) || word.len() == 1 && word != "I")
    {
        return true;
    }
    let digit = next.is_ascii_digit();
    if GO_ON.contains(&word) || digit && BEFORE_NUMBER.contains(&word) {
        return true;
    }
    let after_name = before
        .trim_end()
        .rsplit(char::is_whitespace)
        .next()
        .is_some_and(|word| word.starts_with(char::is_uppercase));
    let is_title = TITLES.iter().any(|(title, _)| *title == word);
    if is_title {
        // "Main St. We" has a street, "St. John" a saint.
        return !(matches!(word, "St" | "Dr" | "Mt") && after_name && starts_again);
    }
    let letters = word.chars().count();
    if letters == 1 && word.chars().all(char::is_uppercase) {
        // Initials of a name; but "vitamin C. It" and "World War I. The" end.
        let next_is_initial = next_word.len() == 1 && (next_word != "I" || word != "I");
        return !starts_again || next_is_initial;
    }
    let dotted = word.contains('.')
        && word.split('.').all(|part| part.chars().count() <= 2 && part.chars().all(char::is_alphabetic));
    if matches!(word, "a.m" | "p.m" | "A.M" | "P.M") {
        let zone = matches!(
            next_word,
            "EST"
                | "PST"
                | "GMT"
                | "UTC"
                | "ET"
                | "PT"
                | "CET"
                | "BST"
                | "EDT"
                | "PDT"
                | "Monday"
                | "Tuesday"
                | "Wednesday"
                | "Thursday"
                | "Friday"
                | "Saturday"
                | "Sunday"
        );
        return zone || digit;
    }
    if dotted || MAY_END.contains(&word) {
        return !starts_again || digit;
    }
    false
}

/// Where to cut a text that is too long: after the last clause within the limit, else after the last word.
fn cut(text: &str, limit: usize) -> usize {
    let limit = (0..=limit.min(text.len())).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    let head = &text[..limit];
    let after = |found: Option<usize>| {
        found.map(|i| i + head[i..].chars().next().map_or(1, char::len_utf8)).filter(|end| *end > limit / 4)
    };
    let clause = head
        .char_indices()
        .filter(|(i, c)| ",;:—–)".contains(*c) && text[i + c.len_utf8()..].starts_with(char::is_whitespace))
        .map(|(i, _)| i)
        .next_back();
    after(clause).or_else(|| after(head.rfind(char::is_whitespace))).unwrap_or(limit)
}
