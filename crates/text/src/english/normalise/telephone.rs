//! Numbers that are read digit by digit: telephone numbers, cards, identifiers, addresses of machines.

use std::sync::LazyLock;

use regex::Regex;

use super::numbers;
use super::spoken::{Place, Spoken};

/// North American numbers, numbers with a country code or a leading zero, and groups of four as on cards.
static TELEPHONE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(concat!(
        r"^(?:",
        r"(?:\+?1[-. ])?\(\d{3}\)[-. ]?\d{3}[-. ]\d{4}",
        r"|(?:\+?1[-. ])?\d{3}[-.]\d{3}[-.]\d{4}",
        r"|\+?1 \d{3} \d{3} \d{4}",
        r"|\d{3}-\d{4}",
        r"|\+\d{1,3}(?:[-. ]?\(?\d{1,5}\)?){2,6}",
        r"|0\d{2,4}[ -]\d{3,4}(?:[ -]?\d{3,4}){1,2}",
        r"|\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{4}",
        r"|\d{3}-\d{2}-\d{4}",
        r"|97[89]-\d+-\d+-\d+-\d",
        r")"
    ))
    .unwrap()
});
static VANITY: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(1-)?(\d{3})-([A-Z]{4,}(?:-[A-Z]+)*)\b").unwrap());
static DOTTED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^\d+(?:\.\d+){2,}").unwrap());

/// Reads groups of digits with a short pause between.
pub(super) fn telephone(place: &Place<'_>) -> Option<(usize, Spoken)> {
    if place.previous_char().is_some_and(|c| "-./".contains(c)) {
        return None;
    }
    if let Some(found) = VANITY.captures(place.rest()) {
        let head: Vec<String> =
            found.get(1).iter().map(|_| "one".to_owned()).chain([numbers::each_digit(&found[2])]).collect();
        return Some((
            found[0].len(),
            Spoken::from(format!("{}, {}", head.join(", "), &found[3].to_lowercase())),
        ));
    }
    let found = TELEPHONE.find(place.rest())?.as_str();
    let found = found.trim_end_matches([' ', '-', '.']);
    if !place.ends_word(found.len()) || place.rest()[found.len()..].starts_with(['-', '/', '%']) {
        return None;
    }
    let groups: Vec<String> = found
        .split(|c: char| !c.is_ascii_digit())
        .filter(|group| !group.is_empty())
        .map(numbers::each_digit)
        .collect();
    let plus = if found.starts_with('+') { "plus " } else { "" };
    Some((found.len(), Spoken::from(format!("{plus}{}", groups.join(", ")))))
}

/// Addresses (192.168.0.1) and versions (2.10.3).
pub(super) fn dotted(place: &Place<'_>) -> Option<(usize, Spoken)> {
    let found = DOTTED.find(place.rest())?.as_str();
    if !place.ends_word(found.len()) {
        return None;
    }
    let groups: Vec<&str> = found.split('.').collect();
    let is_address = groups.len() == 4 && groups.iter().all(|group| group.parse::<u8>().is_ok());
    let read = |group: &&str| {
        if is_address { numbers::in_pairs(group, false) } else { numbers::cardinal(group, false) }
    };
    let words: Vec<String> = groups.iter().map(read).collect();
    Some((found.len(), Spoken::from(words.join(if is_address { " dot " } else { " point " }))))
}
