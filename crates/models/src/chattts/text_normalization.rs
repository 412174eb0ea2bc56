//! Verbalizes numbers, dates, money and units in the language of the surrounding text. Tags in square brackets are kept.

use mynah_text::chinese::{self, Dominant};

use super::character_map::{Language, tag_length};

/// The text with numbers and so on as words.
pub(super) fn normalize_text(text: &str, language: Option<Language>) -> String {
    let language = language.unwrap_or_else(|| Language::of(text));
    let (mut out, mut start, mut at) = (String::with_capacity(text.len()), 0, 0);
    while let Some(c) = text[at..].chars().next() {
        if let Some(length) = tag_length(&text[at..]).filter(|_| has_letter(&text[at..])) {
            out.push_str(&verbalize(&text[start..at], language));
            out.push_str(&text[at..at + length]);
            at += length;
            start = at;
        } else {
            at += c.len_utf8();
        }
    }
    out.push_str(&verbalize(&text[start..], language));
    out
}

/// `[laugh_0]` is a tag, `[12]` is not.
fn has_letter(tag: &str) -> bool {
    tag[1..].starts_with(|c: char| c.is_ascii_alphabetic())
}

fn verbalize(text: &str, language: Language) -> String {
    let dominant = match language {
        Language::Chinese => Dominant::Chinese,
        Language::English => Dominant::English,
    };
    chinese::normalise(text, dominant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_kept() {
        assert_eq!(normalize_text("有3个[break_3]人[laugh]", None), "有三个[break_3]人[laugh]");
        assert_eq!(normalize_text("Page 3 [uv_break] of 4.", None), "Page three [uv_break] of four.");
        assert_eq!(normalize_text("Only 5%", Some(Language::Chinese)), "Only 百分之五");
    }
}
