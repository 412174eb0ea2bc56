//! Maps text to the characters that the model knows: Chinese characters, Latin letters, and few punctuation marks. Tags in square
//! brackets such as `[laugh]` are kept.

use std::collections::HashMap;

/// Language of a text, which decides its punctuation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// Chinese: full-width punctuation.
    Chinese,
    /// English: punctuation is kept.
    English,
}

impl Language {
    /// Chinese if there are more Chinese characters than words of Latin letters.
    pub fn of(text: &str) -> Self {
        let hanzi = text.chars().filter(|&c| is_hanzi(c)).count();
        let words = text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        let words = words.filter(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphabetic()));
        if hanzi > words.count() { Self::Chinese } else { Self::English }
    }
}

pub(super) fn is_hanzi(c: char) -> bool {
    matches!(c, '\u{4e00}'..='\u{9fff}')
}

/// The replacements to apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Switches {
    /// Half-width punctuation of Chinese text becomes full-width.
    pub(super) punctuation: bool,
    /// Rare characters become common ones of the same pronunciation.
    pub(super) homophones: bool,
}

/// Characters and their homophones.
pub(super) type Homophones = HashMap<char, char>;

/// The text in the model's characters. `language` is detected if it is `None`.
pub(super) fn map_characters(
    text: &str,
    language: Option<Language>,
    switches: Switches,
    homophones: &Homophones,
) -> String {
    let mut text = text.to_owned();
    if switches.punctuation && language.unwrap_or_else(|| Language::of(&text)) == Language::Chinese {
        text = text.chars().map(full_width).collect();
    }
    let has_unknown = without_tags(&text).chars().any(|c| !is_known(c));
    if has_unknown {
        text = text.chars().map(simple).collect();
    }
    if switches.homophones {
        text = text.chars().map(|c| homophones.get(&c).copied().unwrap_or(c)).collect();
    }
    if has_unknown { keep_known(&text) } else { text }
}

/// Whether the model knows a character.
fn is_known(c: char) -> bool {
    is_hanzi(c) || c.is_ascii_alphabetic() || "，。、,. ".contains(c)
}

/// The full-width form of a half-width mark. Square brackets and underscores belong to tags.
fn full_width(c: char) -> char {
    match c {
        '.' => '。',
        '"' => '“',
        '\'' => '‘',
        '!' | '#'..='&' | '('..='-' | '/' | ':'..='@' | '\\' | '^' | '`' | '{'..='~' => {
            char::from_u32(u32::from(c) + 0xfee0).unwrap_or(c)
        }
        c => c,
    }
}

/// The comma or full stop that replaces a mark.
fn simple(c: char) -> char {
    match c {
        '：' | '；' | '（' | '）' | '【' | '】' | '『' | '』' | '「' | '」' | '《' | '》' | '－' => {
            '，'
        }
        '！' => '。',
        ':' | ';' | '(' | ')' | '>' | '<' | '-' => ',',
        '!' => '.',
        c => c,
    }
}

/// Length of the tag that `text` begins with: letters, digits and underscores in square brackets.
pub(super) fn tag_length(text: &str) -> Option<usize> {
    let inner = text.strip_prefix('[')?;
    let length = inner.find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
    (length > 0 && inner[length..].starts_with(']')).then_some(length + 2)
}

fn without_tags(text: &str) -> String {
    let (mut kept, mut at) = (String::new(), 0);
    while let Some(c) = text[at..].chars().next() {
        match tag_length(&text[at..]) {
            Some(length) => at += length,
            None => {
                kept.push(c);
                at += c.len_utf8();
            }
        }
    }
    kept
}

/// Drops characters that the model does not know, except in tags. Text after an unclosed bracket is dropped.
fn keep_known(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut tag = String::new();
    for c in text.chars() {
        if c == '[' {
            tag = c.to_string();
        } else if !tag.is_empty() {
            tag.push(c);
            if c == ']' {
                kept.push_str(&std::mem::take(&mut tag));
            }
        } else if is_known(c) {
            kept.push(c);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homophones_replace_characters_outside_and_inside_the_known_set() {
        let homophones: Homophones = [('妳', '你'), ('嘢', '也')].into();
        let switches = Switches { punctuation: true, homophones: true };
        assert_eq!(map_characters("妳好, 嘢!", None, switches, &homophones), "你好， 也。");
        let off = Switches { homophones: false, ..switches };
        assert_eq!(map_characters("妳好, 嘢!", None, off, &homophones), "妳好， 嘢。");
    }

    #[test]
    fn languages_are_detected_by_counting() {
        for (text, language) in [
            ("", Language::English),
            ("你好", Language::Chinese),
            ("你 hello", Language::English),
            ("你好hello world", Language::Chinese),
            ("我们 use two words", Language::English),
        ] {
            assert_eq!(Language::of(text), language, "{text}");
        }
    }
}
