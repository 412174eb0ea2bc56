//! Dates and times as text, in UTC.

use std::time::{SystemTime, UNIX_EPOCH};

const DAY_S: u64 = 86_400;

/// Seconds since 1970.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// `2026-11-25 04:05:06`.
pub fn format_moment(unix_s: u64) -> String {
    let (year, month, day) = date(unix_s / DAY_S);
    let (hour, minute, second) = (unix_s / 3600 % 24, unix_s / 60 % 60, unix_s % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// Parses a date, or a date and a time; returns seconds since 1970.
///
/// # Errors
/// A message with the expected formats.
pub fn parse_moment(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not a date; write 2026-11-25 or 2026-11-25T04:05:06Z");
    let (day, clock) = text.trim().split_once(['T', ' ']).unwrap_or((text.trim(), "00:00:00"));
    let numbers = |text: &str, separator| -> Option<Vec<u64>> {
        text.split(separator).map(|part| part.parse().ok()).collect()
    };
    let clock = clock.trim_end_matches('Z').trim_end_matches("+00:00");
    // Fractions of a second are ignored.
    let clock = clock.split_once('.').map_or(clock, |(whole, _)| whole);
    match (numbers(day, '-').as_deref(), numbers(clock, ':').as_deref()) {
        (
            Some(&[year @ 1970..=9999, month @ 1..=12, day @ 1..=31]),
            Some(&[hour @ 0..=23, minute @ 0..=59, second @ 0..=59]),
        ) => {
            let days = days(year, month, day);
            if date(days) != (year, month, day) {
                return Err(wrong());
            }
            Ok(days * DAY_S + hour * 3600 + minute * 60 + second)
        }
        _ => Err(wrong()),
    }
}

/// Days from 1970 to a date of the Gregorian calendar. Years begin in March, so that the leap day is the last day.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    // From March of year 0 to January of 1970 there are 719 468 days.
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

/// The reverse of [`days`]: year, month and day.
fn date(days: u64) -> (u64, u64, u64) {
    // 146 097 days are 400 years.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_formatted_and_parsed() {
        // As `date -u -d @N` prints.
        for (unix_s, text) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_795_347_009, "2026-11-22 11:30:09"),
            (4_107_542_399, "2100-02-28 23:59:59"),
            (4_107_542_400, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(format_moment(unix_s), text);
            assert_eq!(parse_moment(text), Ok(unix_s));
        }
        assert_eq!(parse_moment("2000-02-29"), Ok(951_782_400));
        assert_eq!(parse_moment("2000-02-29T00:00:01.5Z"), Ok(951_782_401));
        for wrong in ["", "soon", "2001-02-29", "2026-13-01", "2026-01-01 24:00:00", "1969-01-01", "2026-01"]
        {
            assert!(parse_moment(wrong).is_err(), "{wrong}");
        }
    }
}
