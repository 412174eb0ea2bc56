//! Chinese names of currency signs and unit abbreviations.

use std::sync::LazyLock;

/// A pattern of all currency signs.
pub(super) const CURRENCY_SIGNS: &str = r"HK\$|US\$|NT\$|A\$|C\$|[¥￥$€£₩₽]|RMB|CNY|USD|EUR";

/// Name of a currency sign.
pub(super) fn currency(sign: &str) -> Option<&'static str> {
    Some(match sign {
        "¥" | "￥" | "RMB" | "CNY" => "元",
        "$" | "US$" | "USD" => "美元",
        "€" | "EUR" => "欧元",
        "£" => "英镑",
        "HK$" => "港元",
        "NT$" => "新台币",
        "A$" => "澳元",
        "C$" => "加元",
        "₩" => "韩元",
        "₽" => "卢布",
        _ => return None,
    })
}

/// Unit abbreviations after numbers.
const UNITS: [(&str, &str); 62] = [
    ("km/h", "公里每小时"),
    ("km²", "平方公里"),
    ("km2", "平方公里"),
    ("km", "公里"),
    ("m/s", "米每秒"),
    ("m²", "平方米"),
    ("m2", "平方米"),
    ("㎡", "平方米"),
    ("m³", "立方米"),
    ("m3", "立方米"),
    ("cm²", "平方厘米"),
    ("cm", "厘米"),
    ("mm", "毫米"),
    ("μm", "微米"),
    ("nm", "纳米"),
    ("m", "米"),
    ("kg", "千克"),
    ("mg", "毫克"),
    ("μg", "微克"),
    ("g", "克"),
    ("t", "吨"),
    ("ml", "毫升"),
    ("mL", "毫升"),
    ("L", "升"),
    ("l", "升"),
    ("ms", "毫秒"),
    ("min", "分钟"),
    ("h", "小时"),
    ("s", "秒"),
    ("Hz", "赫兹"),
    ("kHz", "千赫兹"),
    ("MHz", "兆赫兹"),
    ("GHz", "吉赫兹"),
    ("KB", "千字节"),
    ("kB", "千字节"),
    ("MB", "兆字节"),
    ("GB", "吉字节"),
    ("TB", "太字节"),
    ("Mbps", "兆比特每秒"),
    ("Gbps", "吉比特每秒"),
    ("kWh", "千瓦时"),
    ("kW", "千瓦"),
    ("MW", "兆瓦"),
    ("W", "瓦"),
    ("kV", "千伏"),
    ("mV", "毫伏"),
    ("V", "伏"),
    ("mAh", "毫安时"),
    ("mA", "毫安"),
    ("A", "安"),
    ("Ω", "欧姆"),
    ("kΩ", "千欧姆"),
    ("dB", "分贝"),
    ("Pa", "帕"),
    ("kPa", "千帕"),
    ("MPa", "兆帕"),
    ("kcal", "千卡"),
    ("cal", "卡"),
    ("kJ", "千焦"),
    ("J", "焦耳"),
    ("rpm", "转每分钟"),
    ("px", "像素"),
];

/// A pattern of all abbreviations, the longest first.
pub(super) fn pattern() -> &'static str {
    static PATTERN: LazyLock<String> = LazyLock::new(|| {
        let mut names: Vec<&str> = UNITS.iter().map(|(name, _)| *name).collect();
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        names.join("|")
    });
    &PATTERN
}

/// Name of an abbreviation.
pub(super) fn unit(name: &str) -> Option<&'static str> {
    UNITS.iter().find(|(known, _)| *known == name).map(|(_, said)| *said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_found_by_its_own_name() {
        let pattern = regex::Regex::new(&format!("^(?:{})$", pattern())).unwrap();
        for (name, said) in UNITS {
            assert!(pattern.is_match(name), "{name}");
            assert_eq!(unit(name), Some(said));
        }
    }
}
