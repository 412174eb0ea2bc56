//! Text normalization of Chinese: verbalizes numbers, dates, times, money, percentages and units. Latin text in between is
//! read as English.

mod numbers;
mod rules;
mod units;

use crate::english::{self, Dialect};

/// The language of numbers next to neither Chinese characters nor enough English words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dominant {
    /// Chinese.
    Chinese,
    /// English.
    English,
}

/// Number of English words above which Latin text between Chinese characters counts as English: "3 words" in a Chinese text is
/// read in Chinese, "these are 3 words" in English.
const ENGLISH_WORDS: usize = 3;

/// Verbalizes a text of Chinese, English or both; punctuation is kept.
pub fn normalise(text: &str, dominant: Dominant) -> String {
    let mut said = String::with_capacity(text.len());
    for stretch in stretches(text, dominant) {
        match stretch {
            Stretch::Chinese(stretch) => chinese(stretch, &mut said),
            Stretch::English(stretch) => english(stretch, &mut said),
        }
    }
    said
}

enum Stretch<'a> {
    Chinese(&'a str),
    English(&'a str),
}

fn is_chinese(c: char) -> bool {
    matches!(c, '\u{3000}'..='\u{303f}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{ff00}'..='\u{ffef}')
}

/// Splits a text where its language changes.
fn stretches(text: &str, dominant: Dominant) -> Vec<Stretch<'_>> {
    let mut found = Vec::new();
    let (mut start, mut at) = (0, 0);
    while at < text.len() {
        let rest = &text[at..];
        let length = rest.find(is_chinese).unwrap_or(rest.len());
        if length == 0 {
            at += rest.find(|c| !is_chinese(c)).unwrap_or(rest.len());
            continue;
        }
        // Numbers that touch a Chinese character belong to it.
        let (mut from, mut to) = (at, at + length);
        let touches = |c: char| c.is_ascii_digit() || "%.,:/+-~$°".contains(c);
        if at > 0 {
            from += text[from..to].find(|c| !touches(c)).unwrap_or(to - from);
        }
        if to < text.len() {
            to = from + text[from..to].trim_end_matches(touches).len();
        }
        let words =
            text[from..to].split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty()).count();
        let enough = if dominant == Dominant::English { 1 } else { ENGLISH_WORDS };
        if words >= enough || dominant == Dominant::English && at == 0 && at + length == text.len() {
            if start < from {
                found.push(Stretch::Chinese(&text[start..from]));
            }
            found.push(Stretch::English(&text[from..to]));
            start = to;
        }
        at += length;
    }
    if start < text.len() {
        found.push(Stretch::Chinese(&text[start..]));
    }
    found
}

fn chinese(text: &str, said: &mut String) {
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let inside_number = text[..at].ends_with(|c: char| c.is_ascii_digit());
        let starts = c.is_ascii_digit() || "-−－¥￥$€£₩₽&HUNACRE".contains(c);
        let found = (starts && !inside_number).then(|| rules::say(&text[..at], &text[at..])).flatten();
        if let Some((length, words)) = found {
            said.push_str(&words);
            at += length;
        } else {
            said.push(c);
            at += c.len_utf8();
        }
    }
}

fn english(text: &str, said: &mut String) {
    let words = text.trim();
    let lead = text.len() - text.trim_start().len();
    said.push_str(&text[..lead]);
    match english::normalise(words, Dialect::American) {
        Ok(spoken) => said.push_str(&spoken),
        // Letters of another script: the text is not changed.
        Err(_) => said.push_str(words),
    }
    said.push_str(&text[lead + words.len()..]);
}

#[cfg(test)]
mod tests;
