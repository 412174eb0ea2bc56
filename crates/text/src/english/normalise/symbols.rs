//! Signs with a name.

use super::numbers;
use super::quantity::vulgar_fraction;
use super::spoken::{Place, Spoken};

/// Signs that are said wherever they stand. An empty name drops them.
const NAMED: &[(&str, &str)] = &[
    ("&", "and"),
    ("=>", ""),
    ("->", "to"),
    ("==", "equals"),
    ("!=", "is not equal to"),
    ("<=", "is less than or equal to"),
    (">=", "is greater than or equal to"),
    ("=", "equals"),
    ("≠", "is not equal to"),
    ("≈", "approximately equals"),
    ("≤", "less than or equal to"),
    ("≥", "greater than or equal to"),
    ("±", "plus or minus"),
    ("×", "times"),
    ("÷", "divided by"),
    ("·", ""),
    ("√", "the square root of"),
    ("∞", "infinity"),
    ("°", "degrees"),
    ("§", "section"),
    ("¶", "paragraph"),
    ("()", ""),
    ("::", ""),
    ("¡", ""),
    ("¿", ""),
    ("©", "copyright"),
    ("®", ""),
    ("™", ""),
    ("•", ""),
    ("→", "to"),
    ("←", ""),
    ("↔", ""),
    ("∑", "sum"),
    ("∫", "integral"),
    ("∂", "partial"),
    ("∆", "delta"),
    ("%", "percent"),
    ("‰", "per mille"),
    ("¢", "cents"),
    ("$", "dollars"),
    ("£", "pounds"),
    ("€", "euros"),
    ("¥", "yen"),
    ("†", ""),
    ("‡", ""),
    ("|", ","),
    ("\\", ""),
    ("_", ""),
    ("*", ""),
    ("`", ""),
    ("^", ""),
    ("@", "at"),
    ("#", ""),
    ("~", ""),
    ("<", ""),
    (">", ""),
    ("+", "plus"),
];

const GREEK: [(&str, &str); 24] = [
    ("αΑ", "alpha"),
    ("βΒ", "beta"),
    ("γΓ", "gamma"),
    ("δΔ", "delta"),
    ("εΕ", "epsilon"),
    ("ζΖ", "zeta"),
    ("ηΗ", "eta"),
    ("θΘ", "theta"),
    ("ιΙ", "iota"),
    ("κΚ", "kappa"),
    ("λΛ", "lambda"),
    ("μΜ", "mu"),
    ("νΝ", "nu"),
    ("ξΞ", "xi"),
    ("οΟ", "omicron"),
    ("πΠ", "pi"),
    ("ρΡ", "rho"),
    ("σςΣ", "sigma"),
    ("τΤ", "tau"),
    ("υΥ", "upsilon"),
    ("φΦ", "phi"),
    ("χΧ", "chi"),
    ("ψΨ", "psi"),
    ("ωΩ", "omega"),
];

/// A sign at any place, not only at the start of a word.
pub(super) fn sign(place: &Place<'_>) -> Option<(usize, Spoken)> {
    let rest = place.rest();
    let first = rest.chars().next()?;
    if first.is_alphanumeric() && first.is_ascii() {
        return None;
    }
    let before_number = || {
        rest[first.len_utf8()..]
            .trim_start()
            .starts_with(|c: char| c.is_ascii_digit() || "$£€¥.-−".contains(c))
    };
    let after_number =
        place.before().trim_end().ends_with(|c: char| c.is_alphanumeric() || ")°%".contains(c));
    let alone = place.previous_char().is_none_or(|c| c == ' ') && rest[first.len_utf8()..].starts_with(' ');
    if let Some(words) = vulgar_fraction(first) {
        return Some((first.len_utf8(), Spoken::from(words)));
    }
    if first == '^' {
        return power(place);
    }
    let words = match first {
        '#' if before_number() => "number",
        '~' if before_number() => "about",
        '<' if before_number() => "less than",
        '>' if before_number() => "greater than",
        '<' if alone => "less than",
        '>' if alone && after_number => "greater than",
        '*' if after_number && before_number() => "times",
        '-' | '−' | '–' if alone && after_number && before_number() && place.text.contains('=') => {
            "minus"
        }
        '−' => "minus",
        '/' if alone && after_number && before_number() => "divided by",
        '/' if alone => "slash",
        '/' if !rest[1..].starts_with(char::is_alphabetic) && place.before().ends_with(is_greek) => "over",
        '#' if place.before().ends_with(['C', 'F']) && !before_number() => "sharp",
        // A dash with spaces is a pause; one that opens a line or follows a mark lists.
        '-' if alone && place.before().trim_end().ends_with(char::is_alphanumeric) => "—",
        '-' if alone => "",
        '+' if place.before().ends_with(['+', 'C']) && !before_number() => "plus",
        '.' | '!' | '?' | ',' => return repeated(place, first),
        _ => {
            let (sign, words) =
                NAMED.iter().filter(|(sign, _)| rest.starts_with(sign)).max_by_key(|(sign, _)| sign.len())?;
            return Some((sign.len(), Spoken::from(*words)));
        }
    };
    Some((first.len_utf8(), Spoken::from(words)))
}

fn is_greek(c: char) -> bool {
    GREEK.iter().any(|(letters, _)| letters.contains(c))
}

/// A Greek letter by its name.
pub(super) fn greek(place: &Place<'_>) -> Option<(usize, Spoken)> {
    let first = place.rest().chars().next()?;
    let (_, name) = GREEK.iter().find(|(letters, _)| letters.contains(first))?;
    Some((first.len_utf8(), Spoken::from(*name)))
}

/// "squared", "cubed", "to the power of five".
fn power(place: &Place<'_>) -> Option<(usize, Spoken)> {
    let exponent = &place.rest()[1..];
    let negative = exponent.starts_with(['-', '−']);
    let digits = exponent.trim_start_matches(['-', '−']);
    let start = place.rest().len() - digits.len();
    let digits = &digits[..digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len())];
    if digits.is_empty() {
        return Some((1, Spoken::from("to the power of")));
    }
    // A small number after a long word marks a footnote.
    let word = place.before().rsplit(|c: char| !c.is_alphabetic()).next()?;
    let len = start + digits.len();
    if word.chars().count() > 2 || place.previous_char().is_none_or(|c| !c.is_alphanumeric() && c != ')') {
        return Some((len, Spoken::default()));
    }
    let number = numbers::cardinal(digits, false);
    let words = match (negative, digits) {
        (false, "2") => "squared".to_owned(),
        (false, "3") => "cubed".to_owned(),
        (false, _) => format!("to the power of {number}"),
        (true, _) => format!("to the power of minus {number}"),
    };
    Some((len, Spoken::from(words)))
}

/// "!!!" is one mark, "..." an ellipsis.
fn repeated(place: &Place<'_>, mark: char) -> Option<(usize, Spoken)> {
    let rest = place.rest();
    let run = rest.len() - rest.trim_start_matches(mark).len();
    if run < 2 {
        return None;
    }
    let mut single = [0; 4];
    let said: &str = match mark {
        '.' => "…",
        _ => mark.encode_utf8(&mut single),
    };
    Some((run, Spoken { text: said.to_owned(), letters: Vec::new() }))
}
