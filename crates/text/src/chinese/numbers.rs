//! Numbers in Chinese words.

const DIGITS: [char; 10] = ['零', '一', '二', '三', '四', '五', '六', '七', '八', '九'];
/// Maximum number of digits; longer numbers are read digit by digit.
const LONGEST: usize = 16;

fn digit(c: char) -> Option<usize> {
    c.to_digit(10).map(|value| value as usize)
}

/// Digits one by one; other characters are skipped.
pub(super) fn digits(text: &str) -> String {
    text.chars().filter_map(digit).map(|value| DIGITS[value]).collect()
}

/// Digits of a telephone number, in which "one" is 幺 so that it is not confused with "seven".
pub(super) fn telephone(text: &str) -> String {
    digits(text).replace('一', "幺")
}

/// A whole number: "2024" is 二千零二十四 read as 两千零二十四.
pub(super) fn cardinal(text: &str) -> String {
    let text = text.trim_start_matches('0');
    if text.is_empty() {
        return "零".into();
    }
    if text.len() > LONGEST {
        return digits(text);
    }
    // Groups of four digits: ones, ten thousands, hundred millions, and ten thousands of those.
    let values: Vec<usize> = text.chars().filter_map(digit).collect();
    let groups: Vec<&[usize]> = values.rchunks(4).rev().collect();
    let mut said = String::new();
    let mut pending_zero = false;
    for (i, group) in groups.iter().enumerate() {
        let power = groups.len() - 1 - i;
        let value = group.iter().fold(0, |value, digit| value * 10 + digit);
        if value == 0 {
            pending_zero |= !said.is_empty();
            // 万亿 still ends in 亿.
            if power == 2 && !said.is_empty() {
                said.push('亿');
            }
            continue;
        }
        if !said.is_empty() && (pending_zero || value < 1000) {
            said.push('零');
        }
        pending_zero = false;
        said.push_str(&below_ten_thousand(value, said.is_empty(), power > 0));
        said.push_str(["", "万", "亿", "万"].get(power).copied().unwrap_or_default());
    }
    said
}

/// A group of four digits. A leading ten is 十, not 一十; two thousand is 两千, and so is two of a larger unit.
fn below_ten_thousand(value: usize, leads: bool, has_unit: bool) -> String {
    if value == 2 && has_unit {
        return "两".into();
    }
    let mut said = String::new();
    let mut zero = false;
    for (unit, size) in [("千", 1000), ("百", 100), ("十", 10), ("", 1)] {
        let digit = value / size % 10;
        if digit == 0 {
            zero |= !said.is_empty();
            continue;
        }
        if zero {
            said.push('零');
            zero = false;
        }
        match (digit, size) {
            (1, 10) if said.is_empty() && leads => {}
            (2, 1000) => said.push('两'),
            _ => said.push(DIGITS[digit]),
        }
        said.push_str(unit);
    }
    said
}

/// A number as it is written: sign, commas between groups, and a decimal point.
pub(super) fn number(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !matches!(c, ',' | '，')).collect();
    let (sign, plain) = match plain.strip_prefix(['-', '−', '－']) {
        Some(rest) => ("负", rest),
        None => ("", plain.strip_prefix('+').unwrap_or(&plain)),
    };
    match plain.split_once('.') {
        Some((whole, fraction)) => format!("{sign}{}点{}", cardinal(whole), digits(fraction)),
        None => format!("{sign}{}", cardinal(plain)),
    }
}

/// A number that counts something: a lone two is 两.
pub(super) fn count(text: &str) -> String {
    if text == "2" { "两".into() } else { number(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_are_read_in_groups_of_four() {
        for (written, said) in [
            ("0", "零"),
            ("007", "七"),
            ("10", "十"),
            ("11", "十一"),
            ("20", "二十"),
            ("102", "一百零二"),
            ("110", "一百一十"),
            ("1000", "一千"),
            ("1010", "一千零一十"),
            ("2024", "两千零二十四"),
            ("2200", "两千二百"),
            ("10000", "一万"),
            ("10001", "一万零一"),
            ("20000", "两万"),
            ("100500", "十万零五百"),
            ("120000", "十二万"),
            ("1000000", "一百万"),
            ("100000000", "一亿"),
            ("200000003", "两亿零三"),
            ("123456789", "一亿两千三百四十五万六千七百八十九"),
            ("1000000000000", "一万亿"),
            ("12345678901234567", "一二三四五六七八九零一二三四五六七"),
        ] {
            assert_eq!(cardinal(written), said, "{written}");
        }
    }

    #[test]
    fn signs_commas_and_points_are_read() {
        for (written, said) in [
            ("-3.05", "负三点零五"),
            ("1,234,567", "一百二十三万四千五百六十七"),
            ("+2", "二"),
            ("0.5", "零点五"),
        ] {
            assert_eq!(number(written), said, "{written}");
        }
        assert_eq!(
            (count("2").as_str(), count("12").as_str(), telephone("110").as_str()),
            ("两", "十二", "幺幺零")
        );
    }
}
