//! Whisper's languages: codes, names, other spellings.

/// A language of Whisper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Language {
    /// Whisper's code: ISO 639-1 if there is one (`en`), else ISO 639-3 (`yue`, `haw`); Javanese is `jw`.
    pub code: &'static str,
    /// English name in lower case.
    pub name: &'static str,
}

macro_rules! languages {
    ($($code:literal $name:literal),* $(,)?) => { [$(Language { code: $code, name: $name }),*] };
}

/// All languages in the order of their tokens. Models before large-v3 have all but the last.
pub const LANGUAGES: [Language; 100] = languages![
    "en" "english", "zh" "chinese", "de" "german", "es" "spanish", "ru" "russian", "ko" "korean", "fr" "french",
    "ja" "japanese", "pt" "portuguese", "tr" "turkish", "pl" "polish", "ca" "catalan", "nl" "dutch", "ar" "arabic",
    "sv" "swedish", "it" "italian", "id" "indonesian", "hi" "hindi", "fi" "finnish", "vi" "vietnamese",
    "he" "hebrew", "uk" "ukrainian", "el" "greek", "ms" "malay", "cs" "czech", "ro" "romanian", "da" "danish",
    "hu" "hungarian", "ta" "tamil", "no" "norwegian", "th" "thai", "ur" "urdu", "hr" "croatian", "bg" "bulgarian",
    "lt" "lithuanian", "la" "latin", "mi" "maori", "ml" "malayalam", "cy" "welsh", "sk" "slovak", "te" "telugu",
    "fa" "persian", "lv" "latvian", "bn" "bengali", "sr" "serbian", "az" "azerbaijani", "sl" "slovenian",
    "kn" "kannada", "et" "estonian", "mk" "macedonian", "br" "breton", "eu" "basque", "is" "icelandic",
    "hy" "armenian", "ne" "nepali", "mn" "mongolian", "bs" "bosnian", "kk" "kazakh", "sq" "albanian",
    "sw" "swahili", "gl" "galician", "mr" "marathi", "pa" "punjabi", "si" "sinhala", "km" "khmer", "sn" "shona",
    "yo" "yoruba", "so" "somali", "af" "afrikaans", "oc" "occitan", "ka" "georgian", "be" "belarusian",
    "tg" "tajik", "sd" "sindhi", "gu" "gujarati", "am" "amharic", "yi" "yiddish", "lo" "lao", "uz" "uzbek",
    "fo" "faroese", "ht" "haitian creole", "ps" "pashto", "tk" "turkmen", "nn" "nynorsk", "mt" "maltese",
    "sa" "sanskrit", "lb" "luxembourgish", "my" "myanmar", "bo" "tibetan", "tl" "tagalog", "mg" "malagasy",
    "as" "assamese", "tt" "tatar", "haw" "hawaiian", "ln" "lingala", "ha" "hausa", "ba" "bashkir", "jw" "javanese",
    "su" "sundanese", "yue" "cantonese",
];

/// Other common names and codes, in lower case.
const ALIASES: [(&str, &str); 34] = [
    ("burmese", "my"),
    ("valencian", "ca"),
    ("flemish", "nl"),
    ("haitian", "ht"),
    ("letzeburgesch", "lb"),
    ("pushto", "ps"),
    ("panjabi", "pa"),
    ("moldavian", "ro"),
    ("moldovan", "ro"),
    ("sinhalese", "si"),
    ("castilian", "es"),
    ("mandarin", "zh"),
    ("farsi", "fa"),
    ("filipino", "tl"),
    ("bokmål", "no"),
    ("bokmal", "no"),
    // ISO 639-1 where Whisper's code differs, withdrawn codes, and macro-language members.
    ("nb", "no"),
    ("jv", "jw"),
    ("iw", "he"),
    ("in", "id"),
    ("ji", "yi"),
    ("fil", "tl"),
    ("cmn", "zh"),
    // ISO 639-2 and 639-3 of the most spoken.
    ("eng", "en"),
    ("deu", "de"),
    ("fra", "fr"),
    ("spa", "es"),
    ("ita", "it"),
    ("por", "pt"),
    ("rus", "ru"),
    ("jpn", "ja"),
    ("kor", "ko"),
    ("zho", "zh"),
    ("ara", "ar"),
];

/// Finds a language by a code (`en`, `EN`), a code with script or region (`zh-CN`,
/// `pt_BR`), a name (`English`), or another common name (`Burmese`, `Mandarin`). `zh-HK` is Chinese, `zh-yue` Cantonese.
pub fn find(text: &str) -> Option<Language> {
    let wanted = text.trim().to_lowercase().replace('_', "-");
    if wanted == "zh-yue" {
        return find("yue");
    }
    exact(&wanted).or_else(|| exact(wanted.split_once('-')?.0))
}

fn exact(wanted: &str) -> Option<Language> {
    let code = ALIASES.iter().find(|(alias, _)| *alias == wanted).map_or(wanted, |(_, code)| code);
    LANGUAGES.iter().copied().find(|language| language.code == code || language.name == code)
}

/// Codes of the languages that are commonly written in a script, by its English name; that of the commonest first.
pub fn written_in(script: &str) -> &'static [&'static str] {
    match script {
        "Arabic" => &["ar", "fa", "ur"],
        "Armenian" => &["hy"],
        "Bengali" => &["bn"],
        "Chinese" => &["zh", "yue"],
        "Cyrillic" => &["ru", "uk", "bg", "sr"],
        "Devanagari" => &["hi", "mr", "ne"],
        "Ethiopic" => &["am"],
        "Georgian" => &["ka"],
        "Greek" => &["el"],
        "Gujarati" => &["gu"],
        "Gurmukhi" => &["pa"],
        "Hebrew" => &["he", "yi"],
        "Japanese" => &["ja"],
        "Kannada" => &["kn"],
        "Khmer" => &["km"],
        "Korean" => &["ko"],
        "Lao" => &["lo"],
        "Malayalam" => &["ml"],
        "Mongolian" => &["mn"],
        "Myanmar" => &["my"],
        "Sinhala" => &["si"],
        "Tamil" => &["ta"],
        "Telugu" => &["te"],
        "Thai" => &["th"],
        "Tibetan" => &["bo"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_unique_and_lower_case() {
        let mut seen = std::collections::HashSet::new();
        for language in LANGUAGES {
            assert!(seen.insert(language.code) && seen.insert(language.name), "{language:?}");
            assert_eq!(language.code, language.code.to_lowercase());
            assert_eq!(language.name, language.name.to_lowercase());
        }
        for (alias, code) in ALIASES {
            assert!(!seen.contains(alias), "{alias}");
            assert!(LANGUAGES.iter().any(|language| language.code == code), "{code}");
        }
    }

    #[test]
    fn scripts_have_known_languages() {
        for script in ["Chinese", "Cyrillic", "Arabic", "Tibetan"] {
            for code in written_in(script) {
                assert!(LANGUAGES.iter().any(|language| language.code == *code), "{script} {code}");
            }
            assert!(!written_in(script).is_empty());
        }
        assert!(written_in("other").is_empty());
    }

    #[test]
    fn languages_are_found_in_many_spellings() {
        for (text, code) in [
            ("en", "en"),
            ("EN", "en"),
            (" English ", "en"),
            ("zh-CN", "zh"),
            ("zh_Hant_TW", "zh"),
            ("zh-yue", "yue"),
            ("Cantonese", "yue"),
            ("pt-BR", "pt"),
            ("burmese", "my"),
            ("Haitian Creole", "ht"),
            ("jv", "jw"),
            ("haw", "haw"),
            ("Mandarin", "zh"),
            ("deu", "de"),
        ] {
            assert_eq!(find(text).map(|language| language.code), Some(code), "{text}");
        }
        for text in ["", "-", "xx", "klingon", "english please", "e n"] {
            assert_eq!(find(text), None, "{text}");
        }
    }
}
