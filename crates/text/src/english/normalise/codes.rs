//! Letters and digits mixed (MP3, COVID-19, H2O), and initials that look like words (US, WHO).

use std::sync::LazyLock;

use regex::Regex;

use super::numbers;
use super::spoken::{Place, Spoken};

static MIXED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?:[A-Za-z]+[0-9]|[0-9]+[A-Za-z])[A-Za-z0-9]*").unwrap());
static PAIR: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^([A-Z]{1,3})&([A-Z]{1,3})\b").unwrap());
static HYPHENATED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^([A-Za-z]+)-(\d{1,4})(?:-|(?:\.(\d+))?([A-Za-z]{0,2})\b)").unwrap());

/// Initials that the dictionary would read as words, or not as initials.
const INITIALS: &[&str] = &["IT", "WHO", "US", "PhD", "PhDs", "pH"];

/// Letters and digits in one chunk.
pub(super) fn mixed(place: &Place<'_>) -> Option<(usize, Spoken)> {
    let rest = place.rest();
    if let Some(found) = HYPHENATED.captures(rest)
        && place.previous_char() != Some('-')
    {
        let (letters, digits) = (&found[1], &found[2]);
        // "mid-1970s" and "one-2" are words and numbers.
        let decade = digits.ends_with('0') && found.get(4).is_some_and(|letters| letters.as_str() == "s");
        if found[0].ends_with('-') || decade || letters == letters.to_lowercase() {
            return None;
        }
        let spoken = run_of_letters(Spoken::default(), letters).say(&digits_of(digits, place));
        let spoken = match found.get(3) {
            Some(decimals) => spoken.say("point").say(&numbers::each_digit(decimals.as_str())),
            None => spoken,
        };
        let spoken = match &found[4] {
            "" => spoken,
            "s" => Spoken { text: numbers::plural(&spoken.text), ..spoken },
            letters => spoken.spell(letters),
        };
        return place.ends_word(found[0].len()).then(|| (found[0].len(), spoken));
    }
    let found = MIXED.find(rest)?.as_str();
    if !place.ends_word(found.len()) {
        return None;
    }
    let mut spoken = Spoken::default();
    let mut start = 0;
    while start < found.len() {
        let digits = found.as_bytes()[start].is_ascii_digit();
        let len = found[start..].bytes().take_while(|b| b.is_ascii_digit() == digits).count();
        let run = &found[start..start + len];
        spoken = if digits {
            spoken.say(&digits_of(run, place))
        } else {
            // A possessive or plural s is no letter name.
            match run.strip_suffix('s').filter(|_| start + len == found.len() && start > 0) {
                Some("") => Spoken { text: numbers::plural(&spoken.text), ..spoken },
                _ => run_of_letters(spoken, run),
            }
        };
        start += len;
    }
    Some((found.len(), spoken))
}

fn digits_of(digits: &str, place: &Place<'_>) -> String {
    match digits.len() {
        1 | 2 if !digits.starts_with('0') => numbers::cardinal(digits, place.and()),
        _ => numbers::in_pairs(digits, place.and()),
    }
}

/// Letters of a code: spelled unless they make a word.
fn run_of_letters(spoken: Spoken, run: &str) -> Spoken {
    let vowels = run.bytes().any(|b| b"aeiouyAEIOUY".contains(&b));
    let capitals = run.bytes().all(|b| b.is_ascii_uppercase());
    if run.len() <= 2 && run != "Mk" && run != "No" || !vowels && run != "Mk" || capitals && run.len() < 4 {
        spoken.spell(run)
    } else {
        spoken.say(if run == "Mk" { "mark" } else { run })
    }
}

/// Initials in capitals.
pub(super) fn initials(place: &Place<'_>) -> Option<(usize, Spoken)> {
    let rest = place.rest();
    let len = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
    let word = &rest[..len];
    if !INITIALS.contains(&word) || place.previous_char() == Some('.') {
        return None;
    }
    // Plurals and possessives keep their ending as a sound.
    let (stem, plural) = match word.strip_suffix('s') {
        Some(stem) => (stem, true),
        None => (word, false),
    };
    let spoken = Spoken::default().spell(stem);
    Some((len, if plural { spoken.with_s() } else { spoken }))
}

/// Initials around "and": AT&T, R&D.
pub(super) fn pair_of_initials(place: &Place<'_>) -> Option<(usize, Spoken)> {
    let found = PAIR.captures(place.rest())?;
    let spoken = Spoken::default().spell(&found[1]).say("and").spell(&found[2]);
    Some((found[0].len(), spoken))
}
