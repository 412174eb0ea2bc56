//! Golden ids are those of openai-whisper 20250625 (tiktoken).

use std::collections::HashMap;
use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn multilingual() -> WhisperTokenizer {
    static TOKENIZER: LazyLock<WhisperTokenizer> =
        LazyLock::new(|| WhisperTokenizer::built_in(51865).unwrap());
    TOKENIZER.clone()
}

fn english() -> WhisperTokenizer {
    static TOKENIZER: LazyLock<WhisperTokenizer> =
        LazyLock::new(|| WhisperTokenizer::built_in(51864).unwrap());
    TOKENIZER.clone()
}

/// Text, its multilingual tokens, its English-only tokens.
#[rustfmt::skip]
const GOLDEN: [(&str, &[u32], &[u32]); 19] = [
    (" the time to talk, that's it.", &[264, 565, 281, 751, 11, 300, 311, 309, 13], &[262, 640, 284, 1561, 11, 326, 338, 340, 13]),
    ("Hello, World!  It's 2024\n\n\tOK   ", &[15947, 11, 3937, 0, 220, 467, 311, 45237, 198, 198, 197, 9443, 220, 220, 220], &[15496, 11, 2159, 0, 220, 632, 338, 48609, 628, 197, 11380, 220, 220, 220]),
    ("I'm you're they've we'll he'd don't CAN'T", &[40, 478, 291, 434, 436, 600, 321, 603, 415, 1116, 500, 380, 22931, 6, 51], &[40, 1101, 345, 821, 484, 1053, 356, 1183, 339, 1549, 836, 470, 15628, 6, 51]),
    ("Grüße aus München — naïve café, Ærøskøbing", &[20038, 774, 11451, 3437, 35840, 2470, 3466, 1667, 15487, 303, 25118, 11, 690, 228, 81, 6715, 5161, 6715, 4324], &[8642, 9116, 39683, 68, 257, 385, 40790, 77, 6607, 851, 41492, 40304, 11, 6184, 228, 81, 24172, 8135, 24172, 4623]),
    ("你好，世界！这是一个测试。", &[26410, 171, 120, 234, 24486, 171, 120, 223, 27455, 20182, 11038, 233, 5233, 243, 1543], &[19526, 254, 25001, 121, 171, 120, 234, 10310, 244, 45911, 234, 171, 120, 223, 32573, 247, 42468, 31660, 10310, 103, 38184, 233, 46237, 243, 16764]),
    ("日本語のテキスト、カタカナとひらがな。", &[27311, 31348, 2972, 22985, 15535, 40498, 1231, 10111, 12144, 10111, 26719, 3193, 26950, 5154, 5142, 3203, 1543], &[33768, 98, 17312, 105, 45739, 252, 5641, 24336, 25084, 43302, 23513, 21763, 23376, 21763, 26229, 30201, 2515, 110, 36853, 35585, 26945, 16764]),
    ("العربية: مرحبا بالعالم ١٢٣", &[6027, 3615, 25513, 10632, 25, 3714, 2288, 5016, 3555, 995, 20666, 3615, 45340, 1447, 94, 149, 95, 149, 96], &[23525, 44690, 26897, 39848, 22654, 45632, 25, 47048, 26897, 148, 255, 39848, 12919, 17550, 101, 23525, 44690, 23525, 25405, 18923, 94, 149, 95, 149, 96]),
    ("हिन्दी में नमस्ते दुनिया", &[44500, 33279, 35082, 27099, 3941, 99, 31881, 48449, 21981, 31945, 8485, 101, 48521, 45938, 27099, 36158, 21981, 8485, 99, 8703, 223, 35082, 33279, 48268, 17937], &[11976, 117, 11976, 123, 11976, 101, 24231, 235, 11976, 99, 24231, 222, 28225, 106, 24231, 229, 11976, 224, 28225, 101, 11976, 106, 11976, 116, 24231, 235, 11976, 97, 24231, 229, 28225, 99, 24231, 223, 11976, 101, 11976, 123, 11976, 107, 48077]),
    ("สวัสดีชาวโลก", &[13715, 7643, 5981, 13715, 9345, 6033, 17080, 4943, 7643, 24929, 10133, 6223], &[19567, 103, 19567, 100, 19567, 109, 19567, 103, 19567, 242, 19567, 113, 19567, 232, 19567, 110, 19567, 100, 31479, 224, 19567, 98, 19567, 223]),
    ("한국어 텍스트", &[3049, 7854, 3103, 18575, 235, 29271], &[47991, 250, 166, 113, 255, 168, 244, 112, 220, 169, 227, 235, 168, 232, 97, 169, 232, 116]),
    ("👩\u{200d}👩\u{200d}👧\u{200d}👦 🎉🇩🇪 ♪♪", &[31017, 102, 913, 235, 31017, 102, 913, 235, 31017, 100, 913, 235, 31017, 99, 19034, 231, 4222, 229, 102, 4222, 229, 103, 9061], &[41840, 102, 447, 235, 41840, 102, 447, 235, 41840, 100, 447, 235, 41840, 99, 12520, 236, 231, 8582, 229, 102, 8582, 229, 103, 20724, 103, 17992, 103]),
    ("x = (a+b)*c; // [1,2] {3} <<4>>", &[87, 6585, 522, 64, 10, 65, 8, 9, 66, 26, 29178, 542, 16, 11, 17, 60, 10929, 18, 92, 47425, 19, 893], &[87, 796, 357, 64, 10, 65, 27493, 66, 26, 3373, 685, 16, 11, 17, 60, 1391, 18, 92, 9959, 19, 4211]),
    (" \u{a0}\u{3000} mixed\u{2003}spaces \r\n", &[1815, 254, 756, 222, 7467, 913, 225, 4952, 2116, 220, 201, 198], &[5624, 5099, 222, 7668, 447, 225, 2777, 2114, 220, 201, 198]),
    ("Привет, мир", &[43971, 31259, 11, 20536], &[140, 253, 21169, 18849, 38857, 16843, 20375, 11, 12466, 120, 18849, 21169]),
    ("ᏣᎳᎩ Ⅷ ½ ²", &[157, 237, 96, 157, 236, 111, 157, 236, 102, 672, 227, 100, 32653, 1815, 110], &[157, 237, 96, 157, 236, 111, 157, 236, 102, 2343, 227, 100, 25208, 1587, 110]),
    ("e\u{301} \u{200b}zero", &[68, 32797, 6107, 32226], &[68, 136, 223, 20126, 22570]),
    ("က မြန်မာ ភាសា ລາວ", &[157, 222, 222, 21879, 222, 247, 157, 222, 120, 157, 222, 242, 157, 222, 118, 157, 222, 247, 157, 222, 105, 21879, 252, 245, 37756, 114, 37756, 253, 37756, 114, 220, 156, 118, 98, 156, 118, 110, 156, 118, 100], &[157, 222, 222, 28053, 222, 247, 157, 222, 120, 157, 222, 242, 157, 222, 118, 157, 222, 247, 157, 222, 105, 28053, 252, 245, 157, 252, 114, 157, 252, 253, 157, 252, 114, 220, 156, 118, 98, 156, 118, 110, 156, 118, 100]),
    ("1234567890 3.14159 1,000,000", &[4762, 18, 8465, 22452, 23, 7771, 805, 13, 7271, 5211, 24, 502, 11, 1360, 11, 1360], &[10163, 2231, 30924, 3829, 513, 13, 1415, 19707, 352, 11, 830, 11, 830]),
    ("ab\u{ad}c � \u{0}\u{7f}", &[455, 47781, 66, 16867, 220, 188, 221], &[397, 3907, 66, 20543, 220, 188, 221]),
];

#[test]
fn text_encodes_to_the_reference_ids() {
    let (multilingual, english) = (multilingual(), english());
    for (text, multilingual_ids, english_ids) in GOLDEN {
        assert_eq!(multilingual.encode(text), multilingual_ids, "{text:?}");
        assert_eq!(english.encode(text), english_ids, "{text:?}");
        assert_eq!(multilingual.decode(multilingual_ids), text);
        assert_eq!(english.decode(english_ids), text);
    }
}

#[test]
fn special_tokens_are_where_openai_has_them() {
    let ids = |t: &WhisperTokenizer| {
        let tasks =
            [t.translate(), t.transcribe(), t.sot_lm(), t.sot_prev(), t.no_speech(), t.no_timestamps()];
        (t.eot(), t.sot(), tasks, t.timestamp_begin(), t.vocab_size())
    };
    let large_v3 = WhisperTokenizer::built_in(51866).unwrap();
    assert_eq!(
        ids(&multilingual()),
        (50257, 50258, [50358, 50359, 50360, 50361, 50362, 50363], 50364, 51865)
    );
    assert_eq!(ids(&english()), (50256, 50257, [50357, 50358, 50359, 50360, 50361, 50362], 50363, 51864));
    assert_eq!(ids(&large_v3), (50257, 50258, [50359, 50360, 50361, 50362, 50363, 50364], 50365, 51866));
    assert!(multilingual().is_multilingual() && large_v3.is_multilingual() && !english().is_multilingual());

    assert_eq!(multilingual().language_tokens().len(), 99);
    assert_eq!(multilingual().language_token("yue"), None);
    assert_eq!(large_v3.language_tokens()[99], ("yue", 50358));
    assert_eq!(large_v3.language_token("de"), Some(50261));
    assert_eq!(large_v3.token_language(50261).map(|language| language.name), Some("german"));
    assert_eq!(large_v3.token_language(50359), None);

    assert_eq!(multilingual().special_name(50363).as_deref(), Some("<|notimestamps|>"));
    assert_eq!(multilingual().special_name(51864).as_deref(), Some("<|30.00|>"));
    assert_eq!(multilingual().special_name(51865), None);
    assert_eq!(multilingual().special_name(50256), None);
    assert_eq!(multilingual().timestamp_seconds(50364 + 51), Some(1.02));
}

#[test]
fn transcripts_start_as_the_model_was_taught() {
    use WhisperTask::{Transcribe, Translate};
    assert_eq!(multilingual().sot_sequence(Some("de"), Transcribe, true), [50258, 50261, 50359]);
    assert_eq!(multilingual().sot_sequence(Some("en"), Translate, false), [50258, 50259, 50358, 50363]);
    assert_eq!(multilingual().sot_sequence(None, Transcribe, true), [50258, 50359]);
    assert_eq!(english().sot_sequence(Some("de"), Translate, false), [50257, 50362]);
}

#[test]
fn symbols_that_are_not_spoken_are_openais() {
    let tokens = multilingual().non_speech_tokens();
    assert_eq!(tokens.len(), 82);
    assert_eq!(tokens[..13], [1, 2, 7, 8, 9, 10, 14, 25, 26, 27, 28, 29, 31]);
    assert_eq!(tokens[78..], [42863, 47425, 49870, 50254]);
    assert_eq!(tokens.iter().sum::<u32>(), 826_094);
    let tokens = english().non_speech_tokens();
    assert_eq!((tokens.len(), tokens.iter().sum::<u32>()), (84, 750_220));
    assert_eq!(english().prompt_only_tokens(), [50257, 50357, 50358, 50359, 50360, 50361]);
}

fn words(text: &str, language: &str) -> Vec<String> {
    let tokenizer = multilingual();
    let mut tokens = tokenizer.encode(text);
    tokens.push(tokenizer.eot());
    let words = tokenizer.split_to_word_tokens(&tokens, Some(language));
    assert_eq!(words.iter().flat_map(|(_, ids)| ids.clone()).collect::<Vec<_>>(), tokens);
    let mut words: Vec<String> = words.into_iter().map(|(word, _)| word).collect();
    assert_eq!(words.pop().as_deref(), Some("<|endoftext|>"));
    words
}

#[test]
fn words_are_cut_as_openai_cuts_them() {
    assert_eq!(
        words(" Hello, world! It's (fine) -- no?", "en"),
        [" Hello", ",", " world", "!", " It's", " (fine", ")", " --", " no", "?"]
    );
    assert_eq!(words(" Grüße 👩‍👩‍👧!", "de"), [" Grüße", " 👩‍👩‍👧", "!"]);
    assert_eq!(words("你好，世界。", "zh"), ["你好", "，", "世界", "。"]);
    assert_eq!(words("ภาษาไทย ดี", "th"), ["ภ", "า", "ษ", "า", "ไ", "ท", "ย", " ", "ด", "ี"]);
    assert_eq!(words("《日本》「語」", "ja"), ["《", "日本", "》", "「", "語", "」"]);
}

#[test]
fn broken_characters_and_timestamps_keep_their_tokens() {
    let split = |tokens: &[u32]| multilingual().split_to_word_tokens(tokens, Some("en"));
    assert_eq!(split(&[]), []);
    assert_eq!(split(&[171, 120]), [("\u{fffd}".to_owned(), vec![171, 120])]);
    let names: Vec<String> =
        split(&[50364, 467, 311, 171, 50400, 311]).into_iter().map(|(word, _)| word).collect();
    assert_eq!(names, ["<|0.00|>", " It's\u{fffd}", "<|0.72|>", "'s"]);
}

/// Printable spelling of the built-in ordinary tokens.
fn printable(tokenizer: &WhisperTokenizer) -> Vec<String> {
    let mut others = (0x100..).filter_map(char::from_u32);
    let spelled: Vec<char> = (0..=255u8)
        .map(|byte| match byte {
            0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => char::from(byte),
            _ => others.next().unwrap(),
        })
        .collect();
    let spell = |id| tokenizer.token_bytes(id).iter().map(|&byte| spelled[usize::from(byte)]).collect();
    (0..tokenizer.eot()).map(spell).collect()
}

#[test]
fn every_file_gives_the_same_vocabulary() {
    for vocab_size in [51864, 51865, 51866] {
        let expected = WhisperTokenizer::built_in(vocab_size).unwrap();
        let tokens = printable(&expected);
        let specials: Vec<(String, u32)> = (expected.eot()..expected.timestamp_begin())
            .map(|id| (expected.special_name(id).unwrap(), id))
            .collect();

        let added: Vec<_> = specials.iter().map(|(name, id)| json!({"content": name, "id": id})).collect();
        let vocab: HashMap<&str, usize> = tokens.iter().map(String::as_str).zip(0..).collect();
        let file = json!({"version": "1.0", "added_tokens": added,
            "model": {"type": "BPE", "vocab": vocab, "merges": ["a b", ["c", "d"]]}});
        let raw: Vec<&[u8]> = (0..expected.eot()).map(|id| expected.token_bytes(id)).collect();
        let mut listed = tokens.clone();
        listed.extend(specials.into_iter().map(|(name, _)| name));

        for (what, found) in [
            ("tokenizer.json", WhisperTokenizer::from_tokenizer_json(file.to_string().as_bytes())),
            (
                "vocab.json",
                WhisperTokenizer::from_vocab_json(json!(vocab).to_string().as_bytes(), vocab_size),
            ),
            ("raw list", WhisperTokenizer::from_vocabulary_tokens(&raw, vocab_size)),
            ("ordinary list", WhisperTokenizer::from_printable_tokens(&tokens, vocab_size)),
            ("whole list", WhisperTokenizer::from_printable_tokens(&listed, vocab_size)),
        ] {
            let found = found.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(found.language_tokens(), expected.language_tokens(), "{what}");
            assert_eq!(found.vocab_size(), expected.vocab_size(), "{what}");
            assert_eq!(found.is_multilingual(), expected.is_multilingual(), "{what}");
            assert!((0..found.eot()).all(|id| found.token_bytes(id) == expected.token_bytes(id)), "{what}");
            assert_eq!(found.encode(" the time"), expected.encode(" the time"), "{what}");
        }
    }
}

#[test]
fn tokens_added_after_the_timestamps_change_nothing() {
    let tokenizer = WhisperTokenizer::built_in(51968).unwrap();
    assert_eq!((tokenizer.vocab_size(), tokenizer.language_tokens().len()), (51866, 100));
}

#[test]
fn what_is_no_vocabulary_is_refused_with_the_reason() {
    let reason = |result: Result<WhisperTokenizer, VocabularyError>| result.unwrap_err().to_string();
    assert!(reason(WhisperTokenizer::built_in(1000)).contains("none of Whisper's sizes"));
    assert!(reason(WhisperTokenizer::from_tokenizer_json(b"{")).contains("tokenizer.json"));
    assert!(
        reason(WhisperTokenizer::from_tokenizer_json(br#"{"model": {"vocab": {}}}"#))
            .contains("added tokens")
    );
    let huge = br#"{"model": {"vocab": {"a": 0}}, "added_tokens":
        [{"id": 4294967295, "content": "<|endoftext|>"}, {"id": 3, "content": "<|translate|>"}]}"#;
    assert!(reason(WhisperTokenizer::from_tokenizer_json(huge)).contains("1 tokens where 4294967295"));
    let few: Vec<String> = vec!["a".to_owned(); 300];
    assert!(reason(WhisperTokenizer::from_printable_tokens(&few, 51865)).contains("300 tokens where 50257"));
    assert!(reason(WhisperTokenizer::from_vocab_json(br#"{"a": 1}"#, 51865)).contains("1 tokens"));
    let list: Vec<&str> = vec!["a", "<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|translate|>"];
    assert!(reason(WhisperTokenizer::from_printable_tokens(&list, 51865)).contains("single bytes"));
    let list: Vec<&str> = vec!["a", "<|endoftext|>", "<|startoftranscript|>", "<|xx|>", "<|translate|>"];
    assert!(reason(WhisperTokenizer::from_printable_tokens(&list, 51865)).contains("no language"));
}

proptest! {
    #[test]
    fn any_text_survives_encoding(text in "(?s).{0,60}") {
        for tokenizer in [multilingual(), english()] {
            let tokens = tokenizer.encode(&text);
            prop_assert!(tokens.iter().all(|&id| id < tokenizer.eot()));
            prop_assert_eq!(tokenizer.decode(&tokens), text.clone());
        }
    }

    #[test]
    fn any_tokens_decode_and_split(tokens in prop::collection::vec(0u32..52_000, 0..40)) {
        let tokenizer = multilingual();
        tokenizer.decode(&tokens);
        for language in ["en", "zh"] {
            let words = tokenizer.split_to_word_tokens(&tokens, Some(language));
            prop_assert_eq!(words.into_iter().flat_map(|(_, ids)| ids).collect::<Vec<_>>(), tokens.clone());
        }
    }
}
