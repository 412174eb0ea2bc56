//! Dates and times of day.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::numbers;
use super::spoken::{Place, Spoken};
use crate::english::Dialect;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const MONTH: &str = r"(January|February|March|April|May|June|July|August|September|October|November|December|Jan\.?|Feb\.?|Mar\.?|Apr\.?|Jun\.?|Jul\.?|Aug\.?|Sept?\.?|Oct\.?|Nov\.?|Dec\.?)";

static ISO: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::\d{2}(?:\.\d+)?)?(Z)?)?").unwrap()
});
static SLASHED: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^(\d{1,2})([/.-])(\d{1,2})([/.-])(\d{4}|\d{2})").unwrap());
static MONTH_DAY: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(&format!(
        r"^{MONTH} (\d{{1,2}})(?:st|nd|rd|th)?(?: ?[-–] ?(\d{{1,2}})(?:st|nd|rd|th)?)?(,? \d{{4}})?"
    ))
    .unwrap()
});
static DAY_MONTH: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(&format!(
        r"^(\d{{1,2}})(st|nd|rd|th)?(?: ?[-–] ?(\d{{1,2}})(?:st|nd|rd|th)?)?( of)? {MONTH}(,? \d{{4}})?"
    ))
    .unwrap()
});
static MONTH_NAME: LazyLock<Regex> = LazyLock::new(|| Regex::new(&format!("^{MONTH}$")).unwrap());
static CLOCK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(\d{1,2})[:.](\d{2})(?::(\d{2}))?(?: ?([AaPp])(?:\.[Mm]\.|[Mm]\b))?").unwrap()
});
static HOUR: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(\d{1,2})(?: ?[-–] ?(\d{1,2})(?::(\d{2}))?)? ?([AaPp])(?:\.[Mm]\.|[Mm]\b)").unwrap()
});

/// Numeric dates: 2024-03-05, 3/5/2024, 5.3.2024.
pub(super) fn numeric_date(place: &Place<'_>) -> Option<(usize, Spoken)> {
    if let Some(found) = ISO.captures(place.rest()) {
        let mut words = full_date(place, &found[1], &found[2], &found[3])?;
        if let (Some(hour), Some(minute)) = (found.get(4), found.get(5)) {
            words = words.say("at").say(&clock_words(hour.as_str(), minute.as_str(), false)?);
            if found.get(6).is_some() {
                words = words.spell("UTC");
            }
        }
        return place.ends_word(found[0].len()).then(|| (found[0].len(), words));
    }
    let found = SLASHED.captures(place.rest())?;
    let (first, second) = (&found[1], &found[3]);
    if found[2] != found[4] || !place.ends_word(found[0].len()) {
        return None;
    }
    // Dots are the continental habit, day first; slashes and dashes follow the dialect.
    let day_first = &found[2] == "." || place.dialect == Dialect::British;
    let (month, day) = match (first.parse::<u8>().ok()?, second.parse::<u8>().ok()?) {
        (_, 13..) => (first, second),
        (13.., _) => (second, first),
        _ if day_first => (second, first),
        _ => (first, second),
    };
    let year = if found[5].len() == 2 {
        if &found[2] == "." {
            return None;
        }
        format!("{}{}", if &found[5] > "49" { "19" } else { "20" }, &found[5])
    } else {
        found[5].to_owned()
    };
    Some((found[0].len(), full_date(place, &year, month, day)?))
}

fn full_date(place: &Place<'_>, year: &str, month: &str, day: &str) -> Option<Spoken> {
    let month = MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?)?;
    let day = day_words(place, day)?;
    let year = numbers::year(year, place.and());
    Some(Spoken::from(match place.dialect {
        Dialect::American => format!("{month} {day}, {year}"),
        Dialect::British => format!("the {day} of {month}, {year}"),
    }))
}

fn day_words(place: &Place<'_>, day: &str) -> Option<String> {
    matches!(day.parse::<u8>(), Ok(1..=31)).then(|| numbers::ordinal(day, place.and()))
}

/// "December twenty fifth" for 12/25 (25/12 in Britain), of numbers that can be a month and a day.
pub(super) fn month_and_day(place: &Place<'_>, first: &str, second: &str) -> Option<String> {
    let (month, day) = match place.dialect {
        Dialect::American => (first, second),
        Dialect::British => (second, first),
    };
    let name = MONTHS.get(month.parse::<usize>().ok()?.checked_sub(1)?)?;
    let day = day_words(place, day)?;
    Some(match place.dialect {
        Dialect::American => format!("{name} {day}"),
        Dialect::British => format!("the {day} of {name}"),
    })
}

/// "March 3rd, 2024", "Jan. 5-7".
pub(super) fn month_day(place: &Place<'_>) -> Option<(usize, Spoken)> {
    let found = MONTH_DAY.captures(place.rest())?;
    let (len, year) = with_year(place, &found, 4)?;
    let article = if place.dialect == Dialect::British { "the " } else { "" };
    let mut words = format!("{} {article}{}", month_name(&found[1])?, day_words(place, &found[2])?);
    if let Some(last) = found.get(3) {
        words = format!("{words} to {article}{}", day_words(place, last.as_str())?);
    }
    Some((len, Spoken::from(words + &year)))
}

/// "3 March 2024", "the 3rd of March".
pub(super) fn day_month(place: &Place<'_>) -> Option<(usize, Spoken)> {
    let found = DAY_MONTH.captures(place.rest())?;
    let (len, year) = with_year(place, &found, 6)?;
    let needs_article = found.get(2).is_none() && !place.previous_word().eq_ignore_ascii_case("the");
    let article = if needs_article { "the " } else { "" };
    let mut day = format!("{article}{}", day_words(place, &found[1])?);
    if let Some(last) = found.get(3) {
        day = format!("{day} to {article}{}", day_words(place, last.as_str())?);
    }
    Some((len, Spoken::from(format!("{day} of {}{year}", month_name(&found[5])?))))
}

/// Length of a date whose optional year is group `group`, and the words of the year with the comma it had.
fn with_year(place: &Place<'_>, found: &Captures<'_>, group: usize) -> Option<(usize, String)> {
    let len = found[0].len();
    let follows_time = place.rest()[len..].starts_with([':', '%']);
    if let Some(year) = found.get(group)
        && place.ends_word(len)
    {
        let comma = if year.as_str().starts_with(',') { "," } else { "" };
        let digits = year.as_str().trim_start_matches([',', ' ']);
        return Some((len, format!("{comma} {}", numbers::year(digits, place.and()))));
    }
    let len = found.get(group).map_or(len, |year| year.start());
    // The full stop of an abbreviated month also ends the sentence.
    let len = if place.rest()[..len].ends_with('.') && place.rest()[len..].trim().is_empty() {
        len - 1
    } else {
        len
    };
    (place.ends_word(len) && !follows_time).then(|| (len, String::new()))
}

/// The full name of a month that may be abbreviated.
pub(super) fn month_name(written: &str) -> Option<&'static str> {
    let start = written.get(..3)?;
    MONTH_NAME.is_match(written).then_some(())?;
    MONTHS.into_iter().find(|month| month.starts_with(start))
}

/// Times of day: 7:30 pm, 14:05, 9 a.m., 9-5 pm.
pub(super) fn time(place: &Place<'_>) -> Option<(usize, Spoken)> {
    let rest = place.rest();
    if let Some(found) = HOUR.captures(rest)
        && in_day(&found[1])
    {
        let mut words = Spoken::from(numbers::cardinal(&found[1], false));
        if let Some(last) = found.get(2) {
            words = words.say("to").say(&match found.get(3) {
                Some(minute) => clock_words(last.as_str(), minute.as_str(), true)?,
                None => numbers::cardinal(last.as_str(), false),
            });
        }
        return Some(until(place, half_of_day(place, &found, 4, words)));
    }
    let found = CLOCK.captures(rest)?;
    let (hour, minute) = (&found[1], &found[2]);
    let has_half = found.get(4).is_some();
    let dotted = rest[hour.len()..].starts_with('.');
    let ends = has_half || place.ends_word(found[0].len());
    if !in_day(hour) || minute > "59" || !ends || dotted && !has_half {
        return None;
    }
    let words = Spoken::from(match found.get(3) {
        Some(second) => {
            let unit = if second.as_str() == "01" { "second" } else { "seconds" };
            let second = numbers::cardinal(second.as_str(), false);
            format!("{} and {second} {unit}", clock_words(hour, minute, true)?)
        }
        None => clock_words(hour, minute, has_half)?,
    });
    if !has_half {
        return Some(until(place, (found[0].len(), words)));
    }
    Some(until(place, half_of_day(place, &found, 4, words)))
}

/// A dash between two times is "to".
fn until(place: &Place<'_>, (len, words): (usize, Spoken)) -> (usize, Spoken) {
    let rest = place.rest();
    let next = rest[len..].trim_start().strip_prefix(['-', '–']).map(str::trim_start);
    match next {
        Some(next) if CLOCK.is_match(next) || HOUR.is_match(next) => {
            (rest.len() - next.len(), words.say("to"))
        }
        _ => (len, words),
    }
}

fn in_day(hour: &str) -> bool {
    hour.parse::<u8>().is_ok_and(|hour| hour <= 24)
}

/// Adds A M or P M; its last full stop stays in the text when it ends the sentence.
fn half_of_day(place: &Place<'_>, found: &Captures<'_>, group: usize, words: Spoken) -> (usize, Spoken) {
    let len = found[0].len();
    let ends_sentence =
        found[0].ends_with('.') && place.rest()[len..].trim_matches(['"', '”', ')', ' ', '\'']).is_empty();
    let half = format!("{}M", found[group].to_uppercase());
    (if ends_sentence { len - 1 } else { len }, words.spell(&half))
}

/// "seven thirty", "five oh six", "twelve o'clock", "fifteen hundred".
fn clock_words(hour: &str, minute: &str, plain_hour: bool) -> Option<String> {
    if !in_day(hour) || minute > "59" {
        return None;
    }
    let number = hour.parse::<u8>().ok()?;
    let hour = numbers::cardinal(hour, false);
    Some(match minute.as_bytes() {
        b"00" if plain_hour => hour,
        b"00" if number == 0 || number == 24 => "midnight".to_owned(),
        b"00" if number > 12 => format!("{hour} hundred"),
        b"00" => format!("{hour} o'clock"),
        [b'0', _] => format!("{hour} oh {}", numbers::cardinal(minute, false)),
        _ => format!("{hour} {}", numbers::cardinal(minute, false)),
    })
}
