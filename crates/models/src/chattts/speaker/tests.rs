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
        assert!(matches!(voices.find(name), Err(Error::BadInput(_))), "{name}");
    }
}

#[test]
fn encoded_speakers_are_read_and_damage_is_told() {
    let voices = voices();
    let speaker = voices.find("alloy").unwrap().speaker.unwrap();
    let text = strings::encode_speaker(&speaker);
    assert_eq!(voices.find(&text).unwrap().speaker.unwrap(), speaker);
    for text in ["x".repeat(401), "好".repeat(401), "!".repeat(500)] {
        assert!(voices.find(&text).is_err(), "{text:.10}");
    }
}

#[test]
fn saved_voices_come_back() {
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
        assert!(matches!(saved.write(folder.path(), name), Err(Error::BadInput(_))), "{name}");
    }
    std::fs::write(folder.path().join("bad.json"), "{\"speaker\": 1}").unwrap();
    assert!(matches!(voices.find("bad"), Err(Error::Malformed { .. })));
    assert_eq!(SavedVoice::read(folder.path(), "nobody").unwrap(), None);
}
