//! Number words.

/// Names of 0 to 19.
const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] =
    ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
const SCALES: [&str; 12] = [
    "",
    "thousand",
    "million",
    "billion",
    "trillion",
    "quadrillion",
    "quintillion",
    "sextillion",
    "septillion",
    "octillion",
    "nonillion",
    "decillion",
];

/// Whether "and" follows the hundreds: "one hundred and five" (British) or "one hundred five".
pub(super) type WithAnd = bool;

/// "one thousand two hundred five" of decimal digits; leading zeros count for nothing. Numbers beyond the names there
/// are for them are read digit by digit.
pub(super) fn cardinal(digits: &str, and: WithAnd) -> String {
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return SMALL[0].to_owned();
    }
    if significant.len() > 3 * SCALES.len() {
        return each_digit(significant);
    }
    let mut words = Vec::new();
    let mut rest = significant;
    while !rest.is_empty() {
        let scale = (rest.len() - 1) / 3;
        let (group, tail) = rest.split_at(rest.len() - 3 * scale);
        rest = tail;
        let value = group.bytes().fold(0, |value, digit| value * 10 + usize::from(digit - b'0'));
        if value == 0 {
            continue;
        }
        if and && scale == 0 && value < 100 && !words.is_empty() {
            words.push("and");
        }
        below_thousand(value, and, &mut words);
        if scale > 0 {
            words.push(SCALES[scale]);
        }
    }
    words.join(" ")
}

fn below_thousand(mut value: usize, and: WithAnd, words: &mut Vec<&str>) {
    if value >= 100 {
        words.extend([SMALL[value / 100], "hundred"]);
        value %= 100;
        if value > 0 && and {
            words.push("and");
        }
    }
    if value >= 20 {
        words.push(TENS[value / 10]);
        value %= 10;
    }
    if value > 0 {
        words.push(SMALL[value]);
    }
}

/// "twenty third" of decimal digits.
pub(super) fn ordinal(digits: &str, and: WithAnd) -> String {
    let words = cardinal(digits, and);
    let (head, last) = words.rsplit_once(' ').map_or(("", words.as_str()), |(head, last)| (head, last));
    let last = match last {
        "one" => "first".to_owned(),
        "two" => "second".to_owned(),
        "three" => "third".to_owned(),
        "five" => "fifth".to_owned(),
        "eight" => "eighth".to_owned(),
        "nine" => "ninth".to_owned(),
        "twelve" => "twelfth".to_owned(),
        other => match other.strip_suffix('y') {
            Some(stem) => format!("{stem}ieth"),
            None => format!("{other}th"),
        },
    };
    if head.is_empty() { last } else { format!("{head} {last}") }
}

/// "nineteen oh five", "two thousand five", "twenty twenty four": a year of at most four digits.
pub(super) fn year(digits: &str, and: WithAnd) -> String {
    let [century @ .., tens, ones] = digits.as_bytes() else {
        return cardinal(digits, and);
    };
    let century = &digits[..century.len()];
    let years = &digits[century.len()..];
    match (tens, ones) {
        _ if century.trim_start_matches('0').is_empty() || digits.len() > 4 => cardinal(digits, and),
        (b'0', _) if century.ends_with('0') => cardinal(digits, and),
        (b'0', b'0') => format!("{} hundred", cardinal(century, and)),
        (b'0', _) => format!("{} oh {}", cardinal(century, and), cardinal(years, and)),
        _ => format!("{} {}", cardinal(century, and), cardinal(years, and)),
    }
}

/// "nineteen nineties", "eighteen hundreds", "nineties": the plural of a decade's or century's first year.
pub(super) fn decade(digits: &str, and: WithAnd) -> String {
    plural(&year(digits, and))
}

/// Number words in the plural: "fifties", "fifty twos".
pub(super) fn plural(words: &str) -> String {
    match (words.strip_suffix('y'), words.strip_suffix("six")) {
        (Some(stem), _) => format!("{stem}ies"),
        (_, Some(stem)) => format!("{stem}sixes"),
        _ => format!("{words}s"),
    }
}

/// "zero zero seven": every digit by its name; other characters are passed over.
pub(super) fn each_digit(digits: &str) -> String {
    let names: Vec<&str> = digits.chars().filter_map(|c| c.to_digit(10)).map(|d| SMALL[d as usize]).collect();
    names.join(" ")
}

/// How names and codes are read: "seven forty seven", "one oh one", "sixty six", "forty ninety".
pub(super) fn in_pairs(digits: &str, and: WithAnd) -> String {
    match digits.as_bytes() {
        [b'0', _, ..] => each_digit(digits),
        [_, b'0', b'0'] | [_] | [_, _] | [_, _, b'0', b'0'] if !digits.ends_with("000") => match digits.len()
        {
            4 => year(digits, and),
            _ => cardinal(digits, and),
        },
        [_, b'0', _] => format!("{} oh {}", cardinal(&digits[..1], and), cardinal(&digits[2..], and)),
        [_, _, _] => format!("{} {}", cardinal(&digits[..1], and), cardinal(&digits[1..], and)),
        [_, b'0', b'0', _] => cardinal(digits, and),
        [_, _, _, _] => year(digits, and),
        _ => each_digit(digits),
    }
}

/// A number as written, "1,234.50", with or without its whole or decimal part.
pub(super) fn decimal(written: &str, and: WithAnd) -> String {
    let (whole, fraction) = written.split_once('.').unwrap_or((written, ""));
    let whole: String = whole.chars().filter(char::is_ascii_digit).collect();
    let mut words = if whole.is_empty() { String::new() } else { cardinal(&whole, and) };
    if !fraction.is_empty() {
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str("point ");
        words.push_str(&each_digit(fraction));
    }
    words
}

/// "half", "quarter", "third", "sixteenth": the name of a fraction's denominator, in the plural if asked.
pub(super) fn denominator(digits: &str, plural: bool, and: WithAnd) -> String {
    match (digits.trim_start_matches('0'), plural) {
        ("2", false) => "half".to_owned(),
        ("2", true) => "halves".to_owned(),
        ("4", false) => "quarter".to_owned(),
        ("4", true) => "quarters".to_owned(),
        (_, plural) => ordinal(digits, and) + if plural { "s" } else { "" },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cardinals() {
        for (digits, american, british) in [
            ("0", "zero", "zero"),
            ("000", "zero", "zero"),
            ("7", "seven", "seven"),
            ("013", "thirteen", "thirteen"),
            ("40", "forty", "forty"),
            ("105", "one hundred five", "one hundred and five"),
            ("1001", "one thousand one", "one thousand and one"),
            (
                "1234567",
                "one million two hundred thirty four thousand five hundred sixty seven",
                "one million two hundred and thirty four thousand five hundred and sixty seven",
            ),
            ("1000000000", "one billion", "one billion"),
        ] {
            assert_eq!(cardinal(digits, false), american);
            assert_eq!(cardinal(digits, true), british);
        }
        assert_eq!(cardinal(&"1".repeat(40), false), vec!["one"; 40].join(" "));
        assert_eq!(cardinal(&format!("1{}", "0".repeat(35)), false), "one hundred decillion");
    }

    #[test]
    fn ordinals_and_years() {
        for (digits, ordinal_words, year_words) in [
            ("1", "first", "one"),
            ("12", "twelfth", "twelve"),
            ("20", "twentieth", "twenty"),
            ("101", "one hundred first", "one oh one"),
            ("1066", "one thousand sixty sixth", "ten sixty six"),
            ("1900", "one thousand nine hundredth", "nineteen hundred"),
            ("1905", "one thousand nine hundred fifth", "nineteen oh five"),
            ("2000", "two thousandth", "two thousand"),
            ("2009", "two thousand ninth", "two thousand nine"),
            ("2024", "two thousand twenty fourth", "twenty twenty four"),
            ("0042", "forty second", "forty two"),
        ] {
            assert_eq!(ordinal(digits, false), ordinal_words);
            assert_eq!(year(digits, false), year_words);
        }
        assert_eq!(decade("1990", false), "nineteen nineties");
        assert_eq!(decade("1800", false), "eighteen hundreds");
        assert_eq!(decade("2000", false), "two thousands");
        assert_eq!(decade("60", false), "sixties");
    }

    #[test]
    fn codes_and_decimals() {
        for (digits, words) in [
            ("7", "seven"),
            ("66", "sixty six"),
            ("101", "one oh one"),
            ("747", "seven forty seven"),
            ("500", "five hundred"),
            ("4090", "forty ninety"),
            ("1000", "one thousand"),
            ("9001", "nine thousand one"),
            ("007", "zero zero seven"),
            ("12345", "one two three four five"),
        ] {
            assert_eq!(in_pairs(digits, false), words, "{digits}");
        }
        assert_eq!(decimal("1,234.50", false), "one thousand two hundred thirty four point five zero");
        assert_eq!(decimal(".5", false), "point five");
        assert_eq!(denominator("3", true, false), "thirds");
        assert_eq!(denominator("100", false, false), "one hundredth");
    }
}
