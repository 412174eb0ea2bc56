//! Words and punctuation of a normalised sentence, cut the way the voice's tagger learned them.
//!
//! The conventions are the Penn Treebank's as spaCy's English tokenizer applies them: each whitespace-separated
//! chunk loses punctuation at its edges, contractions and abbreviations come from a table ("don't" is "do" + "n't"),
//! and hyphens, slashes and the like split what is left.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use super::{Error, files};

const QUOTES: &str = "'\"”“`‘´’‚,„»«";
const PUNCTUATION: &str = "…,:;!?¿¡()[]{}<>_#*&";
const ICONS: &str = "™®©°§¶†‡•";

/// The tokenizer with its table of special cases.
pub(super) struct Tokeniser {
    /// A chunk that is cut in its own way, and the lengths of its pieces in bytes.
    special: HashMap<String, Vec<usize>>,
}

impl Tokeniser {
    /// Reads `tokenizer_exceptions.json`: chunk to its pieces.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let table: HashMap<String, Vec<String>> = files::json(path)?;
        let mut special = HashMap::with_capacity(table.len());
        for (chunk, pieces) in table {
            if pieces.concat() != chunk || pieces.iter().any(String::is_empty) {
                return Err(Error::Data {
                    path: path.to_owned(),
                    reason: format!("the pieces of {chunk:?} do not make it up"),
                });
            }
            special.insert(chunk, pieces.iter().map(String::len).collect());
        }
        Ok(Self { special })
    }

    /// Byte ranges of the tokens of `text`, in order; none is empty and none holds whitespace.
    pub(super) fn tokens(&self, text: &str) -> Vec<Range<usize>> {
        let mut tokens = Vec::new();
        let mut start = 0;
        for chunk in text.split(char::is_whitespace) {
            if !chunk.is_empty() {
                self.chunk(chunk, start, &mut tokens);
            }
            start += chunk.len() + text[start + chunk.len()..].chars().next().map_or(0, char::len_utf8);
        }
        tokens
    }

    /// Cuts one chunk that starts at byte `offset`.
    fn chunk(&self, chunk: &str, offset: usize, tokens: &mut Vec<Range<usize>>) {
        if self.push_special(chunk, offset, tokens) {
            return;
        }
        let first = tokens.len();
        let (mut start, mut end) = (0, chunk.len());
        let mut suffixes = Vec::new();
        while start < end && !self.special.contains_key(&chunk[start..end]) {
            let prefix = prefix_len(&chunk[start..end]);
            if prefix > 0 && self.special.contains_key(&chunk[start + prefix..end]) {
                tokens.push(offset + start..offset + start + prefix);
                start += prefix;
                break;
            }
            let suffix = suffix_len(&chunk[start + prefix..end]);
            if suffix > 0 && self.special.contains_key(&chunk[start..end - suffix]) {
                suffixes.push(offset + end - suffix..offset + end);
                end -= suffix;
                break;
            }
            if prefix == 0 && suffix == 0 {
                break;
            }
            if prefix > 0 {
                tokens.push(offset + start..offset + start + prefix);
            }
            if suffix > 0 {
                suffixes.push(offset + end - suffix..offset + end);
            }
            start += prefix;
            end -= suffix;
        }
        if start < end && !self.push_special(&chunk[start..end], offset + start, tokens) {
            split_inside(&chunk[start..end], offset + start, tokens);
        }
        tokens.extend(suffixes.into_iter().rev());
        self.rejoin(chunk, offset, first, tokens);
    }

    fn push_special(&self, chunk: &str, offset: usize, tokens: &mut Vec<Range<usize>>) -> bool {
        let Some(pieces) = self.special.get(chunk) else {
            return false;
        };
        let mut start = offset;
        for len in pieces {
            tokens.push(start..start + len);
            start += len;
        }
        true
    }

    /// Joins neighbouring pieces that together spell a special case: "Sept" "." is "Sept.".
    fn rejoin(&self, chunk: &str, offset: usize, first: usize, tokens: &mut Vec<Range<usize>>) {
        let pieces = tokens.split_off(first);
        let mut i = 0;
        'pieces: while i < pieces.len() {
            for count in [3, 2] {
                if let Some(last) = pieces.get(i + count - 1) {
                    let joined = &chunk[pieces[i].start - offset..last.end - offset];
                    if self.push_special(joined, pieces[i].start, tokens) {
                        i += count;
                        continue 'pieces;
                    }
                }
            }
            tokens.push(pieces[i].clone());
            i += 1;
        }
    }
}

/// Length of the punctuation that `text` starts with, one mark (or a run of full stops).
fn prefix_len(text: &str) -> usize {
    let Some(first) = text.chars().next() else {
        return 0;
    };
    let second = text[first.len_utf8()..].chars().next();
    match first {
        '.' => dots(text.chars()),
        '+' if second.is_none_or(|c| !c.is_ascii_digit()) => 1,
        c if "%=—–".contains(c) || is_mark(c) => c.len_utf8(),
        _ => 0,
    }
}

/// Length of the punctuation or possessive that `text` ends with.
fn suffix_len(text: &str) -> usize {
    let mut back = text.chars().rev();
    let Some(last) = back.next() else {
        return 0;
    };
    let before = back.next();
    match last {
        '…' if before == Some('…') => 2 * last.len_utf8(),
        c if is_mark(c) || "—–".contains(c) => c.len_utf8(),
        's' | 'S' if before == Some('\'') => 2,
        '+' if before.is_some_and(|c| c.is_ascii_digit()) => 1,
        '.' => match (dots(text.chars().rev()), before) {
            (0, Some(c))
                if c.is_ascii_digit() || is_lower(c) || "%²-+".contains(c) || is_mark_for_stop(c) =>
            {
                1
            }
            (0, Some(c)) if is_upper(c) && back.next().is_some_and(is_upper) => 1,
            (run, _) => run,
        },
        _ => 0,
    }
}

/// Length of a run of at least two full stops.
fn dots(chars: impl Iterator<Item = char>) -> usize {
    match chars.take_while(|c| *c == '.').count() {
        1 => 0,
        run => run,
    }
}

/// Splits at hyphens, slashes, ellipses and the like that stand between letters.
fn split_inside(text: &str, offset: usize, tokens: &mut Vec<Range<usize>>) {
    let mut start = 0;
    let mut at = text.chars().next().map_or(0, char::len_utf8);
    while at < text.len() {
        let len = separator_len(&text[..at], &text[at..]);
        if len == 0 {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
            continue;
        }
        if start < at {
            tokens.push(offset + start..offset + at);
        }
        tokens.push(offset + at..offset + at + len);
        at += len;
        start = at;
    }
    if start < text.len() {
        tokens.push(offset + start..offset + text.len());
    }
}

/// Length of the separator at the start of `after`, which follows `before`.
fn separator_len(before: &str, after: &str) -> usize {
    let (Some(previous), Some(first)) = (before.chars().next_back(), after.chars().next()) else {
        return 0;
    };
    let next = |len: usize| after[len..].chars().next();
    let letter_follows = |len: usize| next(len).is_some_and(char::is_alphabetic);
    let after_word = previous.is_alphanumeric();
    let run = dots(after.chars());
    if run > 0 {
        return run;
    }
    match first {
        '…' => first.len_utf8(),
        c if ICONS.contains(c) => c.len_utf8(),
        '+' | '-' | '*' | '^'
            if previous.is_ascii_digit() && next(1).is_some_and(|c| c.is_ascii_digit() || c == '-') =>
        {
            1
        }
        '.' if (is_lower(previous) || QUOTES.contains(previous))
            && next(1).is_some_and(|c| is_upper(c) || QUOTES.contains(c)) =>
        {
            1
        }
        ',' if previous.is_alphabetic() && letter_follows(1) => 1,
        '-' | '–' | '—' | '~' if after_word => ["-", "–", "—", "--", "---", "——", "~"]
            .iter()
            .find(|dash| after.starts_with(**dash) && letter_follows(dash.len()))
            .map_or(0, |dash| dash.len()),
        ':' | '<' | '>' | '=' | '/' if after_word && letter_follows(1) => 1,
        _ => 0,
    }
}

fn is_mark(c: char) -> bool {
    QUOTES.contains(c) || PUNCTUATION.contains(c) || ICONS.contains(c)
}

fn is_mark_for_stop(c: char) -> bool {
    QUOTES.contains(c) || PUNCTUATION.contains(c)
}

/// Letters of Latin-1, which the rules about case know.
fn is_lower(c: char) -> bool {
    c.is_ascii_lowercase() || matches!(c, 'ß'..='ö' | 'ø'..='ÿ')
}

fn is_upper(c: char) -> bool {
    c.is_ascii_uppercase() || matches!(c, 'À'..='Ö' | 'Ø'..='Þ')
}

/// Cuts a token into the parts the lexicon looks up, which it first tries to find joined: runs of letters with their
/// apostrophes, capitalised parts (`iPhone`), hyphens, and single marks.
pub(super) fn subtokens(token: &str) -> Vec<Range<usize>> {
    let chars: Vec<(usize, char)> = token.char_indices().collect();
    let offset = |i: usize| chars.get(i).map_or(token.len(), |(offset, _)| *offset);
    let at = |i: usize| chars.get(i).map(|(_, c)| *c);
    let quote = |i: usize| at(i).is_some_and(|c| c == '\'' || c == '’' || c == '‘');
    let letter = |i: usize| at(i).is_some_and(char::is_alphabetic);
    let upper = |i: usize| at(i).is_some_and(is_upper);
    let lower = |i: usize| at(i).is_some_and(is_lower);
    let run = |from: usize, is: &dyn Fn(usize) -> bool| (from..chars.len()).take_while(|i| is(*i)).count();
    let mut parts = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let quotes = run(i, &quote);
        let len = if quotes > 0 && (i == 0 || quotes > 1 || i + quotes == chars.len()) {
            quotes
        } else if quotes > 0 {
            // A quote that no rule wants: between a letter's apostrophe group and more letters.
            i += 1;
            continue;
        } else if upper(i) && upper(i + 1) && lower(i + 2) {
            1
        } else if letter(i) {
            let letters = run(i, &letter);
            // A lower-case letter before a capital ends a part.
            let hump = (i..i + letters).find(|&j| lower(j) && upper(j + 1));
            if let Some(hump) = hump {
                hump + 1 - i
            } else {
                let mut end = i + letters;
                while quote(end) && letter(end + 1) {
                    end += 2;
                }
                end - i
            }
        } else {
            run(i, &|j| matches!(at(j), Some('-' | '_'))).max(1)
        };
        parts.push(offset(i)..offset(i + len));
        i += len;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokeniser() -> Tokeniser {
        let special =
            [("don't", vec![2, 3]), ("Mr.", vec![3]), ("gonna", vec![3, 2]), ("they're", vec![4, 3])];
        Tokeniser { special: special.map(|(chunk, pieces)| (chunk.to_owned(), pieces)).into() }
    }

    #[test]
    fn tokens_are_words_and_marks() {
        for (text, expected) in [
            ("Hello, world!", "Hello|,|world|!"),
            ("(don't) Mr. Smith's", "(|do|n't|)|Mr.|Smith|'s"),
            ("well-known and/or", "well|-|known|and|/|or"),
            ("wait... what?!", "wait|...|what|?|!"),
            ("\"Stop!\" she said—loudly.", "\"|Stop|!|\"|she|said|—|loudly|."),
            ("the U.S. army", "the|U.S.|army"),
            ("I'm gonna, they're", "I'm|gon|na|,|they|'re"),
            ("  spaced\tout\u{a0}text ", "spaced|out|text"),
            ("end.Next", "end|.|Next"),
            ("NASA.", "NASA|."),
            ("...", "..."),
            ("-", "-"),
            ("", ""),
        ] {
            let tokens: Vec<_> = tokeniser().tokens(text).into_iter().map(|range| &text[range]).collect();
            assert_eq!(tokens.join("|"), expected, "{text:?}");
        }
    }

    #[test]
    fn subtokens_are_what_the_lexicon_tries() {
        for (token, expected) in [
            ("iPhone", "i|Phone"),
            ("HTMLParser", "HTMLParser"),
            ("ABcd", "A|Bcd"),
            ("don't", "don't"),
            ("o'clock", "o'c|lock"),
            ("'tis", "'|tis"),
            ("dogs'", "dogs|'"),
            ("-", "-"),
            ("U.S.", "U|.|S|."),
            ("café", "café"),
            ("", ""),
        ] {
            let parts: Vec<_> = subtokens(token).into_iter().map(|range| &token[range]).collect();
            assert_eq!(parts.join("|"), expected, "{token:?}");
        }
    }
}
