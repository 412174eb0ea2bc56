//! Numbers and what is counted: plain numbers, years, ranges, fractions, ordinals, percent, degrees, units.

use std::sync::LazyLock;

use regex::Regex;

use super::numbers;
use super::spoken::{Place, Spoken};
use super::units::{UNITS, localised};
use super::{calendar, money};
use crate::english::Dialect;

static NUMBER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?:\d{1,3}(?:,\d{2,3})*,\d{3}(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+)").unwrap());
static MIXED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^(\d+)[ -](\d{1,3})/(\d{1,4})").unwrap());
static FRACTION: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^(\d{1,4})/(\d{1,4})").unwrap());
static ORDINAL: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(\d{1,3}(?:,\d{3})+|\d+)(?:st|nd|rd|th|ST|ND|RD|TH)").unwrap());
static DECADE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^'?(\d0|\d\d[1-9]0|1[0-9]00|2[0-9]00|[1-9]000)(?:'?s)").unwrap());
static HEIGHT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"^(\d{1,2})' ?(\d{1,2})(?:"|'')?"#).unwrap());
static INCHES: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"^(\d+(?:\.\d+)?)(?:"|'')"#).unwrap());
static ANGLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^(\d{1,3})° ?(\d{1,2})' ?(?:(\d{1,2}(?:\.\d+)?)(?:"|'') ?)?([NSEW])\b"#).unwrap()
});
static SIDES: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^ ?[x×] ?(\d+(?:\.\d+)?)").unwrap());
static TIMES: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^[x×](?: |$|[,.;:!?)-])").unwrap());
static RATIO: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^\d+(?::\d+)+").unwrap());
static SCIENTIFIC: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(?:[eE]([+-]?)(\d{1,3})|( ?[x×·*] ?)10\^(-|−)?(\d{1,3}))").unwrap());
static SCALE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(?: ?(hundred|thousand|million|billion|trillion)|(k|K|M|m|bn|B|b|tn|T))\b").unwrap()
});

/// A number read at a place: its words and length.
#[derive(Clone)]
pub(super) struct Number {
    pub(super) len: usize,
    pub(super) words: String,
    /// Whether what it counts stands in the singular.
    pub(super) one: bool,
}

/// Any number without a sign, with a fraction after it if there is one: "5", "1,000.5", "2 1/2", "2½".
pub(super) fn number(place: &Place<'_>) -> Option<Number> {
    let rest = place.rest();
    if let Some(found) = MIXED.captures(rest)
        && is_proper(&found[2], &found[3])
        && !rest[found[0].len()..].starts_with(|c: char| c.is_alphanumeric() || c == '/')
    {
        let whole = numbers::cardinal(&found[1], place.and());
        let part = fraction_words(&found[2], &found[3], place.and());
        let part = part.strip_prefix("one ").map_or(part.clone(), |part| format!("{} {part}", article(part)));
        return Some(Number { len: found[0].len(), words: format!("{whole} and {part}"), one: false });
    }
    let found = NUMBER.find(rest)?.as_str();
    let words = numbers::decimal(found, place.and());
    let next = rest[found.len()..].chars().next();
    if let Some(part) = next.and_then(vulgar_fraction).filter(|_| !found.contains('.')) {
        return Some(Number {
            len: found.len() + next.map_or(0, char::len_utf8),
            words: format!("{words} and {part}"),
            one: false,
        });
    }
    Some(Number { len: found.len(), one: found == "1", words })
}

fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

fn is_proper(numerator: &str, denominator: &str) -> bool {
    let value = |digits: &str| digits.parse::<u32>().unwrap_or(0);
    value(numerator) > 0 && value(numerator) < value(denominator)
}

fn fraction_words(numerator: &str, denominator: &str, and: bool) -> String {
    let plural = numerator.trim_start_matches('0') != "1";
    format!("{} {}", numbers::cardinal(numerator, and), numbers::denominator(denominator, plural, and))
}

/// "a half", "three quarters" for ½, ¾ and their like.
pub(super) fn vulgar_fraction(sign: char) -> Option<&'static str> {
    Some(match sign {
        '½' => "a half",
        '¼' => "a quarter",
        '¾' => "three quarters",
        '⅓' => "a third",
        '⅔' => "two thirds",
        '⅕' => "a fifth",
        '⅖' => "two fifths",
        '⅗' => "three fifths",
        '⅘' => "four fifths",
        '⅙' => "a sixth",
        '⅚' => "five sixths",
        '⅛' => "an eighth",
        '⅜' => "three eighths",
        '⅝' => "five eighths",
        '⅞' => "seven eighths",
        _ => return None,
    })
}

/// 1/2, 3/16, 24/7, 8/10, 12/25.
pub(super) fn fraction(place: &Place<'_>) -> Option<(usize, Spoken)> {
    let found = FRACTION.captures(place.rest())?;
    let (top, bottom) = (&found[1], &found[2]);
    let len = found[0].len();
    let suffix =
        ["ths", "th", "rds", "rd", "nds", "nd"].iter().find(|s| place.rest()[len..].starts_with(**s));
    let len = len + suffix.map_or(0, |s| s.len());
    if !place.ends_word(len)
        || place.rest()[len..].starts_with('/')
        || bottom.trim_start_matches('0').is_empty()
    {
        return None;
    }
    let and = place.and();
    let cardinals =
        |joint: &str| format!("{}{joint}{}", numbers::cardinal(top, and), numbers::cardinal(bottom, and));
    // "8/10" and "5/5" are marks someone gave, "24/7" and "50/50" are names.
    let mark = matches!(bottom, "10" | "100") && top != "1" || bottom == "5" && top == "5";
    let name = matches!((top, bottom), ("24", "7") | ("9", "11")) || top == bottom && bottom.len() < 3;
    let words = if mark && suffix.is_none() {
        cardinals(" out of ")
    } else if name {
        cardinals(" ")
    } else if top.len() == 4 && bottom.len() == 2 {
        format!("{} {}", numbers::year(top, and), numbers::cardinal(bottom, and))
    } else if is_proper(top, bottom) && !is_month_and_day(place, top, bottom) {
        fraction_words(top, bottom, and)
    } else {
        calendar::month_and_day(place, top, bottom).unwrap_or_else(|| cardinals(" over "))
    };
    Some((len, Spoken::from(words)))
}

/// A pair that is more often a date than a fraction: a day beyond the usual denominators.
fn is_month_and_day(place: &Place<'_>, first: &str, second: &str) -> bool {
    let rare_denominator =
        !matches!(second, "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "10" | "12" | "16" | "20");
    rare_denominator
        && calendar::month_and_day(place, first, second).is_some()
        && matches!(
            place.previous_word(),
            "on" | "On" | "by" | "since" | "from" | "until" | "till" | "to" | "before" | "after" | "of"
        )
}

/// 1st, 22nd, 1,000th.
pub(super) fn ordinal(place: &Place<'_>) -> Option<(usize, Spoken)> {
    let found = ORDINAL.captures(place.rest())?;
    let digits: String = found[1].chars().filter(char::is_ascii_digit).collect();
    place
        .ends_word(found[0].len())
        .then(|| (found[0].len(), Spoken::from(numbers::ordinal(&digits, place.and()))))
}

/// 1990s, '90s, 60s; and single years as '99.
pub(super) fn decade(place: &Place<'_>) -> Option<(usize, Spoken)> {
    let rest = place.rest();
    if let Some(found) = DECADE.captures(rest)
        && place.ends_word(found[0].len())
    {
        return Some((found[0].len(), Spoken::from(numbers::decade(&found[1], place.and()))));
    }
    let digits = rest.strip_prefix('\'')?.get(..2)?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) || !place.ends_word(3) {
        return None;
    }
    let words = match digits.strip_prefix('0') {
        Some(ones) => format!("oh {}", numbers::cardinal(ones, false)),
        None => numbers::cardinal(digits, false),
    };
    Some((3, Spoken::from(words)))
}

/// Feet and inches (5'10"), inches (12"), and positions on the globe (40°26'46"N).
pub(super) fn feet_and_angles(place: &Place<'_>) -> Option<(usize, Spoken)> {
    let rest = place.rest();
    let cardinal = |digits: &str| numbers::decimal(digits, place.and());
    if let Some(found) = ANGLE.captures(rest) {
        let mut words = format!("{} degrees {} minutes", cardinal(&found[1]), cardinal(&found[2]));
        if let Some(second) = found.get(3) {
            words = format!("{words} {} seconds", cardinal(second.as_str()));
        }
        let side = match &found[4] {
            "N" => "north",
            "S" => "south",
            "E" => "east",
            _ => "west",
        };
        return Some((found[0].len(), Spoken::from(format!("{words} {side}"))));
    }
    if let Some(found) = HEIGHT.captures(rest)
        && found[2].parse::<u8>().is_ok_and(|inches| inches < 12)
    {
        let foot = if &found[1] == "1" { "foot" } else { "feet" };
        let words = format!("{} {foot} {}", cardinal(&found[1]), cardinal(&found[2]));
        return Some((found[0].len(), Spoken::from(words)));
    }
    let found = INCHES.captures(rest)?;
    // An odd quote before means that this one closes it.
    let closes = found[0].ends_with('"') && place.before().matches('"').count() % 2 == 1;
    if closes || !place.ends_word(found[0].len()) {
        return None;
    }
    let inch = if &found[1] == "1" || is_attributive(place, found[0].len()) { "inch" } else { "inches" };
    Some((found[0].len(), Spoken::from(format!("{} {inch}", cardinal(&found[1])))))
}

/// Whether a measure stands before the thing it describes: "a 10 km run" has "kilometer".
fn is_attributive(place: &Place<'_>, len: usize) -> bool {
    let after = place.word_after(len);
    matches!(place.previous_word(), "a" | "an" | "A" | "An")
        && after.starts_with(|c: char| c.is_lowercase())
        && !matches!(
            after,
            "of" | "or" | "and" | "is" | "to" | "in" | "per" | "on" | "at" | "from" | "for" | "away"
        )
}

/// Everything else that starts with a number, alone or as a range.
pub(super) fn quantity(place: &Place<'_>) -> Option<(usize, Spoken)> {
    let negative = ["-", "−", "–"].into_iter().find(|sign| {
        place.rest().starts_with(*sign)
            && place.previous_char().is_none_or(|c| " (=<>≤≥±~≈×÷+*/^".contains(c))
    });
    let sign_len = negative.map_or(0, str::len);
    let place = &Place { at: place.at + sign_len, ..*place };
    let first = number(place)?;
    let (len, spoken) = unsigned(place, &first)?;
    Some(match negative {
        Some(_) => (sign_len + len, Spoken::from("minus").then(&spoken)),
        None => (len, spoken),
    })
}

fn unsigned(place: &Place<'_>, first: &Number) -> Option<(usize, Spoken)> {
    let rest = place.rest();
    let after = &rest[first.len..];
    if let Some(found) = SCIENTIFIC.captures(after) {
        let power = found.get(2).or_else(|| found.get(5))?;
        let negative = found.get(1).is_some_and(|sign| sign.as_str() == "-") || found.get(4).is_some();
        let minus = if negative { "minus " } else { "" };
        let power = numbers::cardinal(power.as_str(), place.and());
        let len = first.len + found[0].len();
        if place.ends_word(len) {
            let words = format!("{} times ten to the power of {minus}{power}", first.words);
            return Some((len, Spoken::from(words)));
        }
    }
    if let Some(range) = range(place, first) {
        return Some(range);
    }
    let multiplies = after.starts_with(" ×") && place.text.contains('=');
    if let Some(found) = SIDES.captures(after).filter(|_| !multiplies) {
        let len = first.len + found[0].len();
        let last = Number { len, words: numbers::decimal(&found[1], place.and()), one: false };
        let mut words = format!("{} by {}", first.words, last.words);
        let mut end = len;
        while let Some(found) = SIDES.captures(&rest[end..]) {
            words = format!("{words} by {}", numbers::decimal(&found[1], place.and()));
            end += found[0].len();
        }
        let all = Number { len: end, words, one: false };
        if let Some(measured) = measured(place, &all) {
            return Some(measured);
        }
        return place.ends_word(end).then(|| (end, Spoken::from(all.words)));
    }
    if TIMES.is_match(after) {
        let times = if first.one { "time" } else { "times" };
        return Some((
            first.len + after.chars().next()?.len_utf8(),
            Spoken::from(format!("{} {times}", first.words)),
        ));
    }
    if let Some(measured) = measured(place, first) {
        return Some(measured);
    }
    plain(place, first)
}

/// Two numbers with a dash between, and what they count.
fn range(place: &Place<'_>, first: &Number) -> Option<(usize, Spoken)> {
    let after = &place.rest()[first.len..];
    // The first number may carry its own sign: "5%-10%", "20°-25°C".
    let percent = if after.starts_with('%') { 1 } else { 0 };
    let trimmed = after[percent..].trim_start();
    let dash = ["--", "-", "–", "—"].into_iter().find(|dash| trimmed.starts_with(*dash))?;
    let spaced = after[percent..].starts_with(' ');
    let tail = trimmed[dash.len()..].trim_start();
    if dash == "—" && spaced || !tail.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let start = place.rest().len() - tail.len();
    let second_place = Place { at: place.at + start, ..*place };
    let second = number(&second_place)?;
    let len = start + second.len;
    let written = |from: usize, len: usize| &place.rest()[from..from + len];
    let (low, high) = (written(0, first.len), written(start, second.len));
    let mut next = place.rest()[len..].chars();
    if next.next().is_some_and(|c| "-–:/".contains(c)) && !next.next().is_some_and(char::is_alphabetic) {
        return None;
    }
    // "5 - 3 = 2" is arithmetic.
    let subtracts = spaced && place.rest()[len..].trim_start().starts_with('=')
        || dash != "–" && place.before().ends_with("= ");
    let joint = match (low, high) {
        _ if subtracts => " minus ",
        ("20", "20") | ("50", "50") => " ",
        _ => " to ",
    };
    let years = is_year(low) && (is_year(high) || high.len() == 2 && !high.contains('.'));
    let words = |number: &Number, digits: &str| {
        if years && digits.len() == 4 {
            numbers::year(digits, place.and())
        } else if digits.len() == 2 && digits.starts_with('0') {
            format!("oh {}", numbers::cardinal(&digits[1..], false))
        } else {
            number.words.clone()
        }
    };
    let both =
        Number { len, words: format!("{}{joint}{}", words(first, low), words(&second, high)), one: false };
    if let Some(measured) = measured(place, &both) {
        return Some(measured);
    }
    place.ends_word(len).then(|| (len, Spoken::from(both.words)))
}

/// What no other rule could read: a ratio, or digits inside something else.
pub(super) fn digits(place: &Place<'_>) -> Option<(usize, Spoken)> {
    if let Some(found) = RATIO.find(place.rest())
        && place.ends_word(found.end())
    {
        let parts: Vec<String> =
            found.as_str().split(':').map(|part| numbers::cardinal(part, place.and())).collect();
        return Some((found.end(), Spoken::from(parts.join(" to "))));
    }
    let rest = place.rest();
    let len = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let digits = &rest[..len];
    let by_digit = digits.starts_with('0') && len > 1 || len > 9;
    let words = if by_digit { numbers::each_digit(digits) } else { numbers::cardinal(digits, place.and()) };
    (len > 0).then(|| (len, Spoken::from(words)))
}

/// A number with what it counts after it: a scale word, percent, degrees, a currency or a unit.
fn measured(place: &Place<'_>, number: &Number) -> Option<(usize, Spoken)> {
    let mut number = number.clone();
    if let Some(found) = SCALE.captures(&place.rest()[number.len..])
        && let Some(scaled) = scale_word(&found, place, &number)
    {
        number.words = format!("{} {scaled}", number.words);
        number.len += found[0].len();
        number.one = false;
        if let Some(amount) = money::amount_before_sign(place, &number) {
            return Some(amount);
        }
        let letter = found.get(2).is_some();
        return letter.then(|| (number.len, Spoken::from(number.words)));
    }
    let after = &place.rest()[number.len..];
    let space = usize::from(after.starts_with(' '));
    let sign = &after[space..];
    if let Some(rest) = sign.strip_prefix(['%', '‰']) {
        let name = if sign.starts_with('%') { "percent" } else { "per mille" };
        return Some((place.rest().len() - rest.len(), Spoken::from(format!("{} {name}", number.words))));
    }
    if let Some(found) = degrees(sign) {
        let (len, scale) = found;
        let degree = if number.one { "degree" } else { "degrees" };
        let words = format!("{} {degree} {scale}", number.words);
        return Some((number.len + space + len, Spoken::from(words.trim_end())));
    }
    if let Some(amount) = money::amount_before_sign(place, &number) {
        return Some(amount);
    }
    let hyphen = usize::from(space == 0 && sign.starts_with('-'));
    let sign = &sign[hyphen..];
    let unit = UNITS
        .iter()
        .filter(|(symbol, ..)| {
            sign.starts_with(symbol) && place.ends_word(number.len + space + hyphen + symbol.len())
        })
        .max_by_key(|(symbol, ..)| symbol.len())?;
    let (symbol, singular, plural) = *unit;
    if symbol == "s" && space == 0 && place.rest()[..number.len].contains(',') {
        return Some((number.len + 1, Spoken::from(numbers::plural(&number.words))));
    }
    // One letter is a unit right after its number; apart, only where nothing else is likely.
    let ambiguous = matches!(symbol, "h" | "s" | "N" | "J" | "in." | "min" | "V" | "W" | "L");
    if space == 1
        && ambiguous
        && place.ends_word(number.len)
        && !matches!(symbol, "min" | "in." | "V" | "W" | "L" | "h" | "s")
    {
        return None;
    }
    let mut len = number.len + space + hyphen + symbol.len();
    let one = number.one || hyphen == 1 || is_attributive(place, len);
    let name = localised(if one { singular } else { plural }, place.dialect == Dialect::British);
    // A full stop after an abbreviation that goes on is not a pause.
    let stop = &place.rest()[len..];
    if stop.starts_with(". ") && stop[2..].starts_with(|c: char| c.is_lowercase()) {
        len += 1;
    }
    Some((len, Spoken::from(format!("{} {name}", number.words))))
}

/// Degree signs: length, and the scale's name if one follows.
fn degrees(sign: &str) -> Option<(usize, &'static str)> {
    let rest = sign.strip_prefix('°')?.trim_start_matches(' ');
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric());
    let names =
        [("C", "Celsius"), ("F", "Fahrenheit"), ("N", "north"), ("S", "south"), ("E", "east"), ("W", "west")];
    for (letter, name) in names {
        if let Some(tail) = rest.strip_prefix(letter)
            && ends(tail)
        {
            return Some((sign.len() - tail.len(), name));
        }
    }
    Some(('°'.len_utf8(), ""))
}

/// "million" for the letter or word after a number. Capital K is a thousand only for money.
fn scale_word(found: &regex::Captures<'_>, place: &Place<'_>, number: &Number) -> Option<&'static str> {
    if let Some(word) = found.get(1) {
        return ["hundred", "thousand", "million", "billion", "trillion"]
            .into_iter()
            .find(|scale| *scale == word.as_str());
    }
    let letter = found.get(2)?.as_str();
    // A house number, "221B Baker Street".
    let next = place.word_after(number.len + letter.len());
    if letter == "B" && next.starts_with(char::is_uppercase) {
        return None;
    }
    let money = money::is_after_sign(place);
    let longer_unit = place.rest()[number.len + letter.len()..].starts_with(['/', '^']);
    if longer_unit {
        return None;
    }
    Some(match letter {
        "k" => "thousand",
        "K" if money => "thousand",
        "M" => "million",
        "m" if money => "million",
        "bn" => "billion",
        "B" => "billion",
        "b" if money => "billion",
        "tn" => "trillion",
        "T" if money => "trillion",
        _ => return None,
    })
}

/// A bare number: a year, a code with leading zeros, the number of a flight or room, or an amount.
fn plain(place: &Place<'_>, number: &Number) -> Option<(usize, Spoken)> {
    if !place.ends_word(number.len) {
        return None;
    }
    let written = &place.rest()[..number.len];
    let words = if !written.bytes().all(|b| b.is_ascii_digit()) {
        number.words.clone()
    } else if written.len() > 1 && written.starts_with('0') || written.len() > 15 {
        numbers::each_digit(written)
    } else if written.len() >= 3 && follows_label(place.previous_word()) {
        numbers::in_pairs(written, place.and())
    } else if written.len() == 5 && follows_state(place) {
        numbers::each_digit(written)
    } else if is_year(written) && !counts_something(place, number.len) || has_era(place, number.len) {
        numbers::year(written, place.and())
    } else {
        number.words.clone()
    };
    Some((number.len, Spoken::from(words)))
}

/// Four digits that are a year more often than an amount.
fn is_year(digits: &str) -> bool {
    digits.len() == 4
        && digits.bytes().all(|b| b.is_ascii_digit())
        && (matches!(digits.as_bytes(), [b'1', b'1'..=b'9', ..] | [b'2', b'0', ..]))
}

/// Whether BC, AD or the like, or "in the year", says that a number is a year.
fn has_era(place: &Place<'_>, len: usize) -> bool {
    let digits = &place.rest()[..len];
    let year_before = matches!(place.previous_word(), "year" | "AD" | "since" | "Since")
        || place.before().ends_with("in ")
        || place.before().ends_with("In ");
    let era = matches!(place.word_after(len), "BC" | "AD" | "BCE" | "CE");
    (digits.len() == 4 && digits.starts_with("10") && year_before
        || digits.len() > 2 && digits.len() <= 4 && era)
        && !digits.starts_with('0')
}

/// Whether a plural noun follows, so that the number is an amount.
fn counts_something(place: &Place<'_>, len: usize) -> bool {
    let next = place.word_after(len);
    let plain = place.rest()[len..].starts_with(' ') && next.chars().all(|c| c.is_ascii_lowercase());
    let plural = next.len() > 3
        && next.ends_with('s')
        && !next.ends_with("ss")
        && !matches!(
            next,
            "this"
                | "does"
                | "was"
                | "plus"
                | "minus"
                | "perhaps"
                | "always"
                | "has"
                | "thus"
                | "versus"
                | "elections"
                | "games"
                | "olympics"
        );
    let irregular =
        matches!(next, "people" | "men" | "women" | "children" | "feet" | "percent" | "sheep" | "fish");
    plain && (plural || irregular)
}

/// Names whose number is read in pairs: "Flight 370" is "three seventy".
fn follows_label(word: &str) -> bool {
    matches!(
        word,
        "Flight"
            | "flight"
            | "Room"
            | "room"
            | "Route"
            | "route"
            | "Highway"
            | "highway"
            | "Interstate"
            | "Boeing"
            | "Airbus"
            | "Bus"
            | "bus"
            | "Suite"
            | "suite"
            | "Apartment"
            | "apartment"
            | "Apt"
            | "Gate"
            | "gate"
            | "Extension"
            | "extension"
            | "ext"
            | "Unit"
            | "Porsche"
            | "Peugeot"
            | "Error"
            | "error"
            | "HTTP"
    )
}

/// Whether a state's abbreviation stands before: a ZIP code follows.
fn follows_state(place: &Place<'_>) -> bool {
    let word = place.previous_word();
    word.len() == 2 && word.bytes().all(|b| b.is_ascii_uppercase()) && place.before().ends_with(' ')
}
