//! Roman numerals after names and headings.

use super::numbers;
use super::spoken::{Place, Spoken};

/// Names whose numeral is an ordinal: rulers and popes.
const RULERS: &[&str] = &[
    "King",
    "Queen",
    "Pope",
    "Emperor",
    "Tsar",
    "Kaiser",
    "Henry",
    "Louis",
    "Edward",
    "George",
    "William",
    "Charles",
    "James",
    "Richard",
    "Elizabeth",
    "Napoleon",
    "Pius",
    "Benedict",
    "Leo",
    "Paul",
    "Ramses",
    "Ramesses",
    "Frederick",
    "Philip",
    "Alexander",
    "Nicholas",
    "Peter",
    "Catherine",
    "Ivan",
    "Umberto",
    "Emmanuel",
    "Gustav",
    "Christian",
    "Ferdinand",
    "Gregory",
    "Innocent",
    "Clement",
    "Urban",
    "John",
    "Mary",
    "Margaret",
    "Robert",
    "David",
    "Malcolm",
    "Francis",
    "Leopold",
    "Joseph",
    "Carl",
    "Charlemagne",
    "Otto",
    "Wilhelm",
    "Thutmose",
    "Amenhotep",
    "Cleopatra",
    "Ptolemy",
    "Darius",
    "Xerxes",
    "Edmund",
    "Harold",
    "Haakon",
    "Olav",
    "Baldwin",
    "Stephen",
    "Sixtus",
    "Julius",
    "Adrian",
    "Celestine",
    "Boniface",
    "Victoria",
    "Juan",
    "Carlos",
    "Felipe",
    "Alfonso",
    "Albert",
];

/// Words whose numeral is a plain number even where a single letter.
const HEADINGS: &[&str] = &[
    "chapter", "part", "act", "scene", "section", "volume", "book", "phase", "article", "war", "mark",
    "type", "level", "stage", "class", "grade", "bowl", "episode", "round", "appendix", "figure", "table",
    "title", "unit", "lesson", "canto", "sonata", "symphony", "movement", "corps", "apollo", "gemini",
    "rocky", "fantasy", "division", "category", "schedule", "tier", "step", "verse",
];

/// A numeral at the start of a word.
pub(super) fn numeral(place: &Place<'_>) -> Option<(usize, Spoken)> {
    let rest = place.rest();
    let len = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let word = &rest[..len];
    let suffix = ["th", "st", "nd", "rd"].iter().find(|s| word.ends_with(**s)).map_or(0, |s| s.len());
    let capitals = &word[..len - suffix];
    let previous = place.previous_word();
    let heading = HEADINGS.contains(&previous.to_lowercase().as_str()) && place.before().ends_with(' ');
    let lower_case = heading && word.bytes().all(|b| b"ivx".contains(&b)) && word.len() < 6;
    let upper = capitals.to_uppercase();
    if capitals.is_empty()
        || !(lower_case || capitals.bytes().all(|b| b.is_ascii_uppercase()))
        || !place.ends_word(len)
    {
        return None;
    }
    let digits = value(&upper)?.to_string();
    let after = &rest[len..];
    let ordinal = numbers::ordinal(&digits, place.and());
    if suffix > 0 || place.word_after(len).starts_with("centur") {
        return Some((len, Spoken::from(ordinal)));
    }
    if heading {
        if word == "I" && previous.starts_with(|c: char| c.is_lowercase())
            || previous == "Mark" && word.len() == 1 && word != "V" && word != "I"
        {
            return None;
        }
        return Some((len, Spoken::from(numbers::cardinal(&digits, place.and()))));
    }
    let ruler = RULERS.contains(&previous) && place.before().ends_with(' ');
    // "Henry I" is a king; "Mary I think" is not.
    let alone = len > 1
        || matches!(word, "V" | "X")
        || word == "I"
            && !place.word_after(len).starts_with(|c: char| c.is_lowercase())
            && !after.starts_with('\'');
    if ruler && alone {
        return Some((len, Spoken::from(format!("the {ordinal}"))));
    }
    let clear =
        len > 1 && upper.bytes().all(|b| b"IVX".contains(&b)) && !matches!(word, "IV" | "XI" | "XX" | "XV")
            || matches!(word, "IV" | "XI" | "XV" | "LVIII");
    let follows_name =
        previous.starts_with(char::is_uppercase) && previous.len() > 2 && place.before().ends_with(' ');
    (clear && follows_name).then(|| (len, Spoken::from(numbers::cardinal(&digits, place.and()))))
}

/// The value of a well-formed numeral in capitals, below 4000.
fn value(numeral: &str) -> Option<u32> {
    const SIGNS: [(&str, u32); 13] = [
        ("M", 1000),
        ("CM", 900),
        ("D", 500),
        ("CD", 400),
        ("C", 100),
        ("XC", 90),
        ("L", 50),
        ("XL", 40),
        ("X", 10),
        ("IX", 9),
        ("V", 5),
        ("IV", 4),
        ("I", 1),
    ];
    let (mut rest, mut total) = (numeral, 0);
    for (sign, worth) in SIGNS {
        let most = if matches!(worth, 1000 | 100 | 10 | 1) { 3 } else { 1 };
        for _ in 0..most {
            let Some(tail) = rest.strip_prefix(sign) else {
                break;
            };
            total += worth;
            rest = tail;
        }
    }
    // Writing the value again settles the order ("IXV" is none).
    let mut again = String::new();
    let mut left = total;
    for (sign, worth) in SIGNS {
        while left >= worth {
            again.push_str(sign);
            left -= worth;
        }
    }
    (total > 0 && rest.is_empty() && again == numeral).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values() {
        for (numeral, expected) in [
            ("I", Some(1)),
            ("IV", Some(4)),
            ("XIX", Some(19)),
            ("LVIII", Some(58)),
            ("MCMXCIV", Some(1994)),
            ("IIII", None),
            ("IXV", None),
            ("VV", None),
            ("ABC", None),
            ("", None),
        ] {
            assert_eq!(value(numeral), expected, "{numeral}");
        }
    }
}
