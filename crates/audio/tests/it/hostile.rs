//! Content that is no sound, and sound that was damaged: an error or what is left, never a crash.

use mynah_audio::DecodeError;
use proptest::prelude::*;

use crate::decode;
use crate::files::{Wav, s16};

#[test]
fn content_that_is_not_audio_is_named_and_the_supported_formats_are_listed() {
    let cases: [(&str, &[u8]); 6] = [
        ("text", b"Dear sir or madam, the minutes of the meeting follow below."),
        ("web page", b"<!doctype html><html><body>404</body></html>"),
        ("JSON", b"{\"error\": \"not found\"}"),
        ("archive", b"PK\x03\x04\x14\0\0\0\x08\0 and then some"),
        ("picture", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
        ("zeros", &[0; 5000]),
    ];
    for (word, bytes) in cases {
        let Err(error @ DecodeError::Unsupported { .. }) = decode(bytes) else { panic!("{word}") };
        let text = error.to_string();
        assert!(text.contains(word) && text.contains("flac"), "{text}");
    }
}

#[test]
fn empty_files_and_files_without_sound_say_so() {
    assert!(matches!(decode(Vec::new()), Err(DecodeError::NoAudio { .. })));
    assert!(matches!(decode(Wav::new(1, 1, 16_000, 16).file(&[])), Err(DecodeError::NoAudio { .. })));
    assert_eq!(decode(Wav::new(1, 1, 16_000, 16).file(&[0, 64])).expect("one sample").samples, [0.5]);
}

#[test]
fn the_name_of_the_container_is_found_by_content_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("голос (1).mp3");
    std::fs::write(&path, Wav::new(1, 1, 16_000, 16).file(&s16(&[0.5; 1600]))).expect("written");
    let decoded = mynah_audio::decode_file(&path, &Default::default(), &|| false).expect("decodes");
    assert_eq!(decoded.info.container, "wav");
    assert!(matches!(
        mynah_audio::decode_file(folder.path().join("none.wav"), &Default::default(), &|| false),
        Err(DecodeError::Io(_))
    ));
}

/// Recordings to damage, of every reader.
fn recordings() -> Vec<Vec<u8>> {
    let samples = s16(&crate::signal::sweep(16_000)[..2000]);
    let wav = Wav::new(1, 1, 16_000, 16);
    let mut recordings = vec![
        wav.file(&samples),
        wav.wave64(&samples),
        wav.rf64(b"RF64", &samples),
        Wav { bits: 4, block: 256, extra: vec![2, 0, 249, 1], ..Wav::new(0x11, 1, 16_000, 4) }.file(&samples),
        Wav { bits: 4, block: 256, extra: vec![32, 0, 244, 1, 7, 0], ..Wav::new(2, 1, 16_000, 4) }
            .file(&samples),
        crate::files::aiff(Some(b"sowt"), 16_000, 16, 2000, &samples),
        crate::files::au(3, 16_000, 1, 4000, &samples),
        crate::files::caf(b"lpcm", 2, 16_000.0, 16, -1, &samples),
    ];
    for name in ["mp3", "mp2", "m4a", "aac", "ogg", "opus", "mkv", "mov"] {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sweep.").to_owned() + name;
        recordings.push(std::fs::read(path).expect("a recording"));
    }
    recordings
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_crash(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        let _ = decode(bytes);
    }

    #[test]
    fn damaged_recordings_never_crash(
        which in 0usize..16,
        cut in 0.0f64..1.3,
        damage in proptest::collection::vec((0.0f64..1.0, any::<u8>()), 0..12),
    ) {
        let mut bytes = recordings().swap_remove(which);
        // Headers are where damage does most: every other hit goes there.
        for (n, (at, byte)) in damage.into_iter().enumerate() {
            let span = if n % 2 == 0 { bytes.len().min(200) } else { bytes.len() };
            bytes[(at * span as f64) as usize] = byte;
        }
        bytes.truncate((cut * bytes.len() as f64) as usize);
        if let Ok(decoded) = decode(bytes) {
            prop_assert!(decoded.samples.iter().all(|x| x.is_finite()));
            prop_assert!(decoded.info.duration_s < 60.0);
        }
    }
}
