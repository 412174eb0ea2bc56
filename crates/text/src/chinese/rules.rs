//! Rules for numbers with signs and units in Chinese, tried in order at each position of a text.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::numbers::{cardinal, count, digits, number, telephone};
use super::units;

/// Returns the words for a match; `None` if the rule does not apply after all.
type Say = fn(&Captures<'_>, Context<'_>) -> Option<String>;

/// The text around a match.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) before: &'a str,
    pub(super) after: &'a str,
}

struct Rule {
    pattern: Regex,
    say: Say,
}

/// Measure words; "two" before them is 两.
const MEASURES: &str = "个位名只条张本件台辆家次天年周岁秒倍种块分小颗棵层份步句页瓶杯盒包袋斤米公里吨道首头双对组间套部把座场届批点万千亿";

/// A number with an optional fraction and commas between groups of three.
const NUMBER: &str = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?";

static RULES: LazyLock<Vec<Rule>> = LazyLock::new(|| {
    let number = NUMBER;
    let currency = units::CURRENCY_SIGNS;
    let rule =
        |pattern: &str, say: Say| Rule { pattern: Regex::new(&format!("^(?:{pattern})")).unwrap(), say };
    vec![
        // 2024年3月5日; 2024-03-05
        rule(r"(\d{4})年(?:(\d{1,2})月(?:(\d{1,2})([日号]))?)?", |c, _| date(c)),
        rule(r"([12]\d{3})([-/.])(\d{1,2})[-/.](\d{1,2})", |c, _| numeric_date(c)),
        // 14:30, 14:30:05; 3:2
        rule(r"(\d{1,2})[:：](\d{2})(?:[:：](\d{2}))?", |c, _| time(c)),
        rule(r"(\d{1,3})[:：](\d{1,3})", |c, _| Some(format!("{}比{}", cardinal(&c[1]), cardinal(&c[2])))),
        // 13812345678; 010-12345678; 400-123-4567
        rule(r"(?:\+?86[- ]?)?(1[3-9]\d)[- ]?(\d{4})[- ]?(\d{4})", |c, context| {
            ends_number(context).then(|| [&c[1], &c[2], &c[3]].map(telephone).join("，"))
        }),
        rule(r"(0\d{2,3}|[48]00)-(\d{3,4})-?(\d{4})", |c, context| {
            ends_number(context).then(|| [&c[1], &c[2], &c[3]].map(telephone).join("，"))
        }),
        // ￥3.50, HK$20, $3万
        rule(&format!(r"({currency})\s?({number})([万亿]?)"), |c, _| {
            Some(format!("{}{}{}", trimmed(&c[2]), &c[3], units::currency(&c[1])?))
        }),
        // 3%-5%, 3-5%, 5%
        rule(&format!(r"({number})([%％‰]?)\s?[-~～—至到]\s?({number})([%％‰])"), |c, _| {
            let part = if &c[4] == "‰" { "千" } else { "百" };
            let again = if c[2].is_empty() { String::new() } else { format!("{part}分之") };
            Some(format!("{part}分之{}到{again}{}", number_of(&c[1]), number_of(&c[3])))
        }),
        rule(&format!(r"(-?(?:{number}))([%％‰])"), |c, _| percent(c)),
        // -5℃, 25°C
        rule(&format!(r"([-−－]?)({number})\s?(℃|℉|°C|°F|度)"), |c, _| temperature(c)),
        // 1/2
        rule(r"(\d+)/(\d+)", |c, context| {
            let is_fraction = ends_number(context) && &c[2] != "0" && !context.after.starts_with('/');
            is_fraction.then(|| format!("{}分之{}", cardinal(&c[2]), cardinal(&c[1])))
        }),
        // 1.2.3, 192.168.0.1
        rule(r"\d+(?:\.\d+){2,}", |c, _| {
            let parts: Vec<String> = c[0].split('.').map(digits).collect();
            Some(parts.join("点"))
        }),
        // 3-5个, 10~20
        rule(&format!(r"({number})\s?[-~～—]\s?({number})"), |c, context| {
            let is_range = ends_number(context) && !context.after.starts_with(['-', '~']);
            is_range.then(|| format!("{}到{}", count_of(&c[1], context), count_of(&c[2], context)))
        }),
        // 3+2=5, 3×4
        rule(&format!(r"({number})\s?([+×*÷=])\s?"), |c, context| {
            let sign = match &c[2] {
                "+" => "加",
                "=" => "等于",
                "÷" => "除以",
                _ => "乘以",
            };
            context
                .after
                .starts_with(|c: char| c.is_ascii_digit() || c == '-')
                .then(|| format!("{}{sign}", number_of(&c[1])))
        }),
        // 5km/h, 3 kg
        rule(&format!(r"({number})\s?({})", units::pattern()), |c, context| {
            let continues = context.after.starts_with(|c: char| c.is_ascii_alphanumeric());
            let unit = units::unit(&c[2]).filter(|_| !continues)?;
            Some(format!("{}{unit}", count(&c[1])))
        }),
        // 第3, No.3 and codes keep to their digits: 007, 2 of letters
        rule(r"0\d+", |c, context| (!context.after.starts_with('.')).then(|| digits(&c[0]))),
        rule(&format!(r"[-−－](?:{number})"), |c, context| {
            let before = context.before.chars().next_back();
            let is_sign = before.is_none_or(|c| !c.is_alphanumeric() || is_hanzi(c));
            is_sign.then(|| number_of(&c[0]))
        }),
        rule(number, |c, context| Some(plain(&c[0], context))),
        rule(r"&", |_, _| Some("和".into())),
    ]
});

fn is_hanzi(c: char) -> bool {
    matches!(c, '\u{4e00}'..='\u{9fff}')
}

/// The words for the start of `text`, and the length of the match. `before` is the preceding text.
pub(super) fn say(before: &str, text: &str) -> Option<(usize, String)> {
    RULES.iter().find_map(|rule| {
        let captures = rule.pattern.captures(text)?;
        let length = captures[0].len();
        let context = Context { before, after: &text[length..] };
        Some((length, (rule.say)(&captures, context)?)).filter(|(length, _)| *length > 0)
    })
}

fn ends_number(context: Context<'_>) -> bool {
    !context.after.starts_with(|c: char| c.is_ascii_digit())
}

fn number_of(text: &str) -> String {
    number(text)
}

/// A number before a measure word: "two" is 两.
fn count_of(text: &str, context: Context<'_>) -> String {
    let counts = context.after.trim_start().starts_with(|c: char| MEASURES.contains(c));
    if counts { count(text) } else { number(text) }
}

/// A number on its own.
fn plain(text: &str, context: Context<'_>) -> String {
    const TELEPHONES: [&str; 8] = ["电话", "拨打", "热线", "手机", "号码", "报警", "客服", "拨"];
    let is_ordinal = context.before.ends_with('第') || context.after.starts_with(['月', '号', '日', '楼']);
    let whole = !text.contains(['.', ',']);
    let before = context.before.trim_end_matches([' ', ':', '：', '是', '为']);
    if whole && (3..=8).contains(&text.len()) && TELEPHONES.iter().any(|word| before.ends_with(word)) {
        telephone(text)
    } else if whole && context.before.ends_with(|c: char| c.is_ascii_alphabetic()) && text.len() > 2 {
        digits(text)
    } else if is_ordinal {
        number(text)
    } else {
        count_of(text, context)
    }
}

fn date(c: &Captures<'_>) -> Option<String> {
    let mut said = format!("{}年", digits(&c[1]));
    if let Some(month) = c.get(2) {
        said += &format!("{}月", cardinal(month.as_str()));
    }
    if let (Some(day), Some(word)) = (c.get(3), c.get(4)) {
        said += &format!("{}{}", cardinal(day.as_str()), word.as_str());
    }
    Some(said)
}

fn numeric_date(c: &Captures<'_>) -> Option<String> {
    let (month, day): (u32, u32) = (c[3].parse().ok()?, c[4].parse().ok()?);
    let exists = (1..=12).contains(&month) && (1..=31).contains(&day);
    exists.then(|| format!("{}年{}月{}日", digits(&c[1]), cardinal(&c[3]), cardinal(&c[4])))
}

fn time(c: &Captures<'_>) -> Option<String> {
    let (hour, minute): (u32, u32) = (c[1].parse().ok()?, c[2].parse().ok()?);
    if hour > 24 || minute > 59 {
        return None;
    }
    let hour = if hour == 2 { "两".into() } else { cardinal(&c[1]) };
    let seconds = c.get(3).map(|seconds| seconds.as_str());
    let minute = match (&c[2], seconds) {
        ("00", None) => "整".into(),
        (minute, _) if minute.starts_with('0') => {
            format!("零{}分", digits(&minute[1..])).replace("零零", "零")
        }
        (minute, _) => format!("{}分", cardinal(minute)),
    };
    let seconds = seconds.map_or_else(String::new, |seconds| format!("{}秒", cardinal(seconds)));
    Some(format!("{hour}点{minute}{seconds}"))
}

fn percent(c: &Captures<'_>) -> Option<String> {
    let part = if &c[2] == "‰" { "千" } else { "百" };
    let (sign, value) = match c[1].strip_prefix('-') {
        Some(value) => ("负", value),
        None => ("", &c[1]),
    };
    Some(format!("{sign}{part}分之{}", number(value)))
}

fn temperature(c: &Captures<'_>) -> Option<String> {
    let below = if c[1].is_empty() { "" } else { "零下" };
    let unit = match &c[3] {
        "℃" | "°C" => "摄氏度",
        "℉" | "°F" => "华氏度",
        unit => unit,
    };
    Some(format!("{below}{}{unit}", number(&c[2])))
}

/// An amount of money without trailing zeros: 3.50 is 三点五.
fn trimmed(amount: &str) -> String {
    let amount =
        if amount.contains('.') { amount.trim_end_matches('0').trim_end_matches('.') } else { amount };
    count(amount)
}
