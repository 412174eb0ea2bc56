//! Sums of money.

use super::numbers;
use super::quantity::{Number, number};
use super::spoken::{Place, Spoken};
use super::units::{Currency, currency_at};

const SCALES: [(&str, &str); 14] = [
    (" hundred", "hundred"),
    (" thousand", "thousand"),
    (" million", "million"),
    (" billion", "billion"),
    (" trillion", "trillion"),
    ("k", "thousand"),
    ("K", "thousand"),
    ("m", "million"),
    ("M", "million"),
    ("mn", "million"),
    ("bn", "billion"),
    ("b", "billion"),
    ("B", "billion"),
    ("tn", "trillion"),
];

/// Whether the character before a place is a currency sign.
pub(super) fn is_after_sign(place: &Place<'_>) -> bool {
    place.previous_char().is_some_and(|c| "$£€¥₹₩".contains(c))
}

/// An amount with its sign or code before it: $3.50, US$1.2 million, £5-10, -€3, USD 100.
pub(super) fn amount(place: &Place<'_>) -> Option<(usize, Spoken)> {
    let rest = place.rest();
    let sign_len = ["-", "−", "+"].into_iter().find(|sign| rest.starts_with(*sign)).map_or(0, str::len);
    let currency = currency_at(&rest[sign_len..])?;
    let mut start = sign_len + currency.0.len();
    if rest[start..].starts_with(' ') {
        start += 1;
    }
    let at = |offset: usize| Place { at: place.at + offset, ..*place };
    let first = number(&at(start))?;
    let (mut len, mut words, mut one) = sum(&at(start), &first, currency);
    len += start;
    // A range: the second sum may repeat the sign.
    let tail = &rest[len..];
    for dash in ["-", "–", " - ", " – ", " to "] {
        let Some(after) = tail.strip_prefix(dash) else {
            continue;
        };
        let repeated = after.strip_prefix(currency.0);
        let next = rest.len() - repeated.unwrap_or(after).len();
        if dash == " to " && repeated.is_none() {
            break;
        }
        let Some(second) = number(&at(next)) else {
            break;
        };
        let (second_len, second_words, _) = sum(&at(next), &second, currency);
        if repeated.is_none() {
            // "$5-10 million": one unit for both.
            words = first.words.clone();
        }
        words = format!("{words} to {second_words}");
        len = next + second_len;
        one = false;
        break;
    }
    if !place.ends_word(len) {
        return None;
    }
    let attributive = matches!(place.previous_word(), "a" | "an" | "A" | "An")
        && place.before().ends_with(' ')
        && place.word_after(len).starts_with(|c: char| c.is_lowercase());
    if (attributive || rest[len..].starts_with('-')) && !one {
        words = words.strip_suffix(currency.2).map_or(words.clone(), |head| format!("{head}{}", currency.1));
    }
    if let Some(tail) = rest[len..].strip_prefix('/')
        && tail.starts_with(char::is_alphabetic)
    {
        words.push_str(" per");
        len += 1;
    }
    let sign = match &rest[..sign_len] {
        "" => Spoken::default(),
        "+" => Spoken::from("plus"),
        _ => Spoken::from("minus"),
    };
    Some((len, sign.say(&words)))
}

/// A sum at a place after its sign: length, words, and whether it is exactly one.
fn sum(place: &Place<'_>, number: &Number, currency: Currency) -> (usize, String, bool) {
    let (_, singular, plural, cent, cents) = currency;
    let mut number = number.clone();
    let mut written = place.rest()[..number.len].to_owned();
    // The continental "2,50".
    let hundredths: String = place.rest()[number.len..].chars().take(3).collect();
    if let Some(digits) = hundredths.strip_prefix(',')
        && digits.len() == 2
        && digits.bytes().all(|b| b.is_ascii_digit())
        && place.ends_word(number.len + 3)
        && !written.contains(['.', ','])
    {
        written = format!("{written}.{digits}");
        number.len += 3;
    }
    let after = &place.rest()[number.len..];
    let scale = SCALES
        .iter()
        .filter(|(suffix, _)| after.starts_with(suffix) && place.ends_word(number.len + suffix.len()))
        .max_by_key(|(suffix, _)| suffix.len());
    if let Some((suffix, scale)) = scale {
        return (number.len + suffix.len(), format!("{} {scale} {plural}", number.words), false);
    }
    if let Some((whole, part)) = written.split_once('.')
        && part.len() == 2
        && !cent.is_empty()
    {
        let is_zero = |digits: &str| digits.bytes().all(|b| matches!(b, b'0' | b','));
        let main = |digits: &str| {
            let unit = if digits == "1" { singular } else { plural };
            format!("{} {unit}", numbers::decimal(digits, place.and()))
        };
        let small = || {
            let unit = if part == "01" { cent } else { cents };
            format!("{} {unit}", numbers::cardinal(part, place.and()))
        };
        let words = match (is_zero(whole), is_zero(part)) {
            (_, true) => main(if whole.is_empty() { "0" } else { whole }),
            (true, false) => small(),
            (false, false) => format!("{} and {}", main(whole), small()),
        };
        return (number.len, words, whole == "1" && is_zero(part));
    }
    let unit = if number.one { singular } else { plural };
    (number.len, format!("{} {unit}", number.words), number.one)
}

/// An amount with its sign or code after it: 5€, 100 USD, 50p, 20¢.
pub(super) fn amount_before_sign(place: &Place<'_>, number: &Number) -> Option<(usize, Spoken)> {
    let after = &place.rest()[number.len..];
    let spaced = after.strip_prefix(' ').unwrap_or(after);
    let start = place.rest().len() - spaced.len();
    let (len, singular, plural) = if spaced.starts_with('¢') {
        ('¢'.len_utf8(), "cent", "cents")
    } else if after.starts_with('p') && place.and() {
        (1, "penny", "pence")
    } else {
        let currency = currency_at(spaced)?;
        // "5 $3 tickets": a sign before digits belongs to them.
        if spaced[currency.0.len()..].trim_start().starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let written = &place.rest()[..number.len];
        if start == number.len && written.contains('.') || written.contains('.') {
            let (_, words, _) = sum(place, number, currency);
            let len = start + currency.0.len();
            return place.ends_word(len).then(|| (len, Spoken::from(words)));
        }
        (currency.0.len(), currency.1, currency.2)
    };
    let len = start + len;
    let unit = if number.one { singular } else { plural };
    place.ends_word(len).then(|| (len, Spoken::from(format!("{} {unit}", number.words))))
}
