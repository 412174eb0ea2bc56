use super::*;

fn voices() -> Voices {
    Voices { width: 768, statistics: Statistics::fallback(768), saved: None }
}

#[test]
fn names_are_seeds_and_seeds_are_voices() {
    let voices = voices();
    let named = voices.find("2").unwrap();
    assert_eq!(named, voices.find("seed:205742900").unwrap());
    assert_ne!(named, voices.find("seed:2").unwrap());
    assert_eq!(voices.find("default").unwrap(), voices.find("").unwrap());
    assert_eq!(named.speaker.as_ref().map(Vec::len), Some(768));
    let length: f32 = named.embedding().unwrap().iter().map(|v| v * v).sum();
    assert!((length - 1.0).abs() < 1e-3, "{length}");
    for name in ["seed:", "seed:-1", "seed:x"] {
        assert!(matches!(voices.find(name), Err(ModelError::InvalidInput(_))), "{name}");
    }
}

#[test]
fn encoded_speakers_are_read_and_damage_is_reported() {
    let voices = voices();
    let speaker = voices.find("alloy").unwrap().speaker.unwrap();
    let text = strings::encode_speaker(&speaker);
    assert_eq!(voices.find(&text).unwrap().speaker.unwrap(), speaker);
    for text in ["x".repeat(401), "好".repeat(401), "!".repeat(500)] {
        assert!(matches!(voices.find(&text), Err(ModelError::InvalidInput(_))), "{text:.10}");
    }
    // A name that is too long for a file.
    let folder = tempfile::tempdir().unwrap();
    let voices = Voices { saved: Some(folder.path().to_owned()), ..voices };
    assert!(matches!(voices.find(&"x".repeat(401)), Err(ModelError::InvalidInput(_))));
    assert!(voices.find(&"x".repeat(300)).is_ok());
}

#[test]
fn saved_voices_round_trip() {
    let folder = tempfile::tempdir().unwrap();
    let voices = Voices { saved: Some(folder.path().to_owned()), ..voices() };
    let sample: Vec<Codes> = vec![[1, 2, 3, 4]; 20];
    let saved = SavedVoice {
        speaker: Some("seed:7".into()),
        sample: Some(strings::encode_sample(&sample)),
        sample_text: Some("你好".into()),
    };
    saved.write(folder.path(), "小明 2").unwrap();
    let voice = voices.find("小明 2").unwrap();
    assert_eq!(voice.speaker, voices.find("seed:7").unwrap().speaker);
    assert_eq!(voice.sample, Some(VoiceSample { codes: sample.into(), text: "你好".into() }));
    for name in ["", "../x", ".hidden", "a/b"] {
        assert!(matches!(saved.write(folder.path(), name), Err(ModelError::InvalidInput(_))), "{name}");
    }
    std::fs::write(folder.path().join("bad.json"), "{\"speaker\": 1}").unwrap();
    assert!(matches!(voices.find("bad"), Err(ModelError::Weights(reason)) if reason.contains("is damaged")));
    assert_eq!(SavedVoice::read(folder.path(), "missing").unwrap(), None);
}

/// A tensor as clients of other servers send it: saved by PyTorch, in base64.
#[test]
fn tensors_in_base64_are_speakers() {
    use std::fmt::Write;

    let file = include_bytes!("../../../../weights/tests/data/torch/lone.pt");
    let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['+', '/']).collect();
    let mut text = String::new();
    for (i, bytes) in file.chunks(3).enumerate() {
        let word = bytes.iter().fold(0, |word, &byte| word << 8 | u32::from(byte)) << (8 * (3 - bytes.len()));
        (0..=bytes.len()).for_each(|k| text.push(alphabet[(word >> (18 - 6 * k)) as usize & 63]));
        (bytes.len()..3).for_each(|_| text.push('='));
        if i % 19 == 18 {
            writeln!(text).unwrap();
        }
    }
    let find = |width: usize, text: &str| {
        Voices { width, statistics: Statistics::fallback(width), saved: None }.find(text)
    };
    let expected: Vec<f16> = (1..=128).map(|i| f16::from_f32(i as f32 / 64.0)).collect();
    assert_eq!(find(128, &text).unwrap().speaker, Some(expected));
    let error = find(768, &text).unwrap_err().to_string();
    assert!(error.contains("128 numbers, not 768"), "{error}");
    // A pickle with a function call is refused and not executed.
    let object = include_bytes!("../../../../weights/tests/data/torch/object.pt");
    assert!(lone_tensor("object", object.to_vec()).is_err());
}

#[test]
fn statistics_are_read_from_tensors_and_strings() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spk_stat.pt");
    std::fs::write(&path, include_bytes!("../../../../weights/tests/data/torch/lone.pt")).unwrap();
    let statistics = Statistics::read(&path, 64).unwrap();
    assert_eq!((statistics.deviation[63], statistics.mean[0]), (f16::ONE, f16::from_f32(65.0 / 64.0)));
    let damaged = |width| matches!(Statistics::read(&path, width), Err(ModelError::Weights(reason)) if reason.contains("is damaged"));
    assert!(damaged(63));
    std::fs::write(&path, "no base16384").unwrap();
    assert!(damaged(64));
    assert!(matches!(
        Statistics::read(&folder.path().join("none"), 64),
        Err(ModelError::Weights(reason)) if reason.starts_with("cannot read")
    ));
}
