//! Characters made uniform: one kind of space, quote and dash, composed letters, no pictures, and no other script.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::mapped::Mapped;
use crate::english::Error;

/// Emoji and other pictures, but not the signs that have a spoken name.
static PICTURE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"[\p{Extended_Pictographic}\p{Emoji_Modifier}\p{Regional_Indicator}--[[:ascii:]©®™↔ℹ‼⁉♀♂]]")
        .unwrap()
});
static LATIN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[\p{Latin}\p{Common}\p{Inherited}]").unwrap());
static SCRIPTS: LazyLock<Vec<(&str, Regex)>> = LazyLock::new(|| {
    [
        "Arabic",
        "Armenian",
        "Bengali",
        "Cyrillic",
        "Devanagari",
        "Ethiopic",
        "Georgian",
        "Greek",
        "Gujarati",
        "Gurmukhi",
        "Hebrew",
        "Kannada",
        "Khmer",
        "Lao",
        "Malayalam",
        "Mongolian",
        "Myanmar",
        "Sinhala",
        "Tamil",
        "Telugu",
        "Thai",
        "Tibetan",
    ]
    .map(|script| (script, script))
    .into_iter()
    .chain([("Chinese", "Han"), ("Japanese", "Hiragana"), ("Japanese", "Katakana"), ("Korean", "Hangul")])
    .map(|(name, script)| (name, Regex::new(&format!(r"\p{{{script}}}")).unwrap()))
    .collect()
});

/// The text in uniform characters. Every byte knows where in `text` it came from.
pub(super) fn clean(text: &str) -> Mapped {
    let mut cleaned = Mapped::default();
    let mut chars = text.char_indices().peekable();
    while let Some((start, first)) = chars.next() {
        let mut end = start + first.len_utf8();
        while let Some((at, mark)) = chars.next_if(|(_, c)| is_combining_mark(*c)) {
            end = at + mark.len_utf8();
        }
        add(&text[start..end], first, start..end, &mut cleaned);
    }
    cleaned
}

/// Adds one character with its combining marks.
fn add(cluster: &str, first: char, source: Range<usize>, cleaned: &mut Mapped) {
    let mut push = |text: &str| cleaned.push(text, source.clone());
    match first {
        c if c.is_ascii_graphic() && cluster.len() == 1 => push(cluster),
        // Superscript digits are powers.
        '⁰' | '¹' | '²' | '³' | '⁴'..='⁹' => {
            if !cleaned.text.ends_with(|c: char| c.is_ascii_digit()) || !cleaned.ends_in_power() {
                cleaned.push("^", source.clone());
            }
            let digits: String = first.nfkc().collect();
            cleaned.push(&digits, source);
        }
        c if c.is_whitespace() || c.is_control() => push(" "),
        '\u{ad}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{fff9}'..='\u{fffd}' => {}
        '‘' | '’' | 'ʼ' | '′' | '‛' => push("'"),
        '″' => push("\""),
        '„' | '«' | '‹' | '‟' => push("“"),
        '»' | '›' => push("”"),
        '‐' | '‑' | '‒' | '﹣' => push("-"),
        '―' => push("—"),
        '⁄' | '∕' => push("/"),
        '…' | '½' | '¼' | '¾' | '⅓' | '⅔' | '⅛' | '⅜' | '⅝' | '⅞' | '⅕' | '⅖' | '⅗' | '⅘' | '⅙' | '⅚'
        | '™' | 'ª' | 'º' => push(first.encode_utf8(&mut [0; 4])),
        // Phoneme letters of inline pronunciations, which compatibility forms would change.
        '\u{1d00}'..='\u{1dbf}' => push(cluster),
        _ if PICTURE.is_match(first.encode_utf8(&mut [0; 4])) => push(" "),
        _ => {
            let composed: String = cluster.nfkc().filter(|c| !is_combining_mark(*c)).collect();
            push(&composed);
        }
    }
}

/// Refuses letters and digits that are not Latin; single Greek letters pass, they have names.
pub(in crate::english) fn check_script(text: &str) -> Result<(), Error> {
    if text.is_ascii() {
        return Ok(());
    }
    for word in text.split(|c: char| !c.is_alphanumeric() && !is_combining_mark(c)) {
        if word.is_ascii() {
            continue;
        }
        let mut buffer = [0; 4];
        let greek_letter = word.chars().count() == 1;
        for c in word.chars() {
            let letter: &str = c.encode_utf8(&mut buffer);
            let foreign_digit =
                c.is_numeric() && !c.is_ascii_digit() && !c.nfkc().any(|c| c.is_ascii_digit());
            if LATIN.is_match(letter) && !foreign_digit {
                continue;
            }
            let script = SCRIPTS
                .iter()
                .find(|(_, pattern)| pattern.is_match(letter))
                .map_or("other", |(name, _)| name);
            if script == "Greek" && greek_letter {
                continue;
            }
            return Err(Error::OtherScript { sample: word.chars().take(32).collect(), script });
        }
    }
    Ok(())
}
