//! ChatTTS with random weights, from the catalogue entry to audio.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use mynah_audio::{EncodeOptions, OutputFormat};
use mynah_core::{CancelFlag, ComputeType, SpeechOptions};
use mynah_engine::{
    AudioSource, Engine, Error, ModelRef, PullProgress, ReferenceSource, Settings, SpeakRequest, SpeechEvent,
    SpeechJob,
};
use mynah_testkit::chattts::{TINY, write};
use mynah_testkit::hub::{Hub, Reply};
use tempfile::TempDir;

use crate::download::settings;

const REVISION: &str = "1a3c04a8b0651689bd9242fbb55b1f4b5a9aef84";
const TEXT: &str = "你好，世界。There are 3 cats.";

/// A hub cache of Hugging Face's libraries with the model in it.
fn cache(home: &TempDir) -> PathBuf {
    let cache = home.path().join("hub");
    let folder = cache.join("models--2Noise--ChatTTS/snapshots").join(REVISION);
    let vocabulary =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tests/data/chattts/tokenizer.json");
    write(&folder, &TINY, &std::fs::read(vocabulary).unwrap()).unwrap();
    cache
}

fn engine() -> (Engine, TempDir) {
    let home = tempfile::tempdir().unwrap();
    let settings = Settings {
        hf_caches: vec![cache(&home)],
        offline: true,
        compute: ComputeType::F32,
        speech_cache_bytes: 0,
        ..Settings::new(home.path().join("mynah"))
    };
    (Engine::open(settings, mynah_models::registry()).unwrap(), home)
}

fn request(voice: Option<&str>, speed: f32) -> SpeakRequest {
    SpeakRequest {
        model: ModelRef::Named("ChatTTS".into()),
        text: TEXT.into(),
        options: SpeechOptions { voice: voice.map(str::to_owned), speed, ..SpeechOptions::default() },
        format: OutputFormat::Pcm,
        encoding: EncodeOptions::default(),
        client: None,
    }
}

fn finish(mut job: SpeechJob) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    loop {
        match job.next_blocking().expect("a last event") {
            SpeechEvent::Audio(piece) => bytes.extend_from_slice(&piece),
            SpeechEvent::Done(spoken) => {
                // 16 bits per sample, 512 samples per step, less half a frame per piece of text.
                assert_eq!((spoken.duration_s * 48_000.0).round() as usize, bytes.len());
                assert!(spoken.tokens.input > 0 && spoken.tokens.output > 0);
                return Ok(bytes);
            }
            SpeechEvent::Failed(error) => return Err(error),
            _ => {}
        }
    }
}

#[test]
fn any_name_is_a_voice_and_equal_requests_give_equal_audio() {
    let (engine, _home) = engine();
    let speak = |voice, speed| finish(engine.speak(request(voice, speed)).unwrap()).unwrap();
    let alloy = speak(Some("alloy"), 1.0);
    assert!(!alloy.is_empty());
    assert_eq!(alloy, speak(Some("alloy"), 1.0));
    let others = [
        speak(Some("echo"), 1.0),
        speak(Some("alloy"), 2.0),
        speak(Some("seed:2222"), 1.0),
        speak(None, 1.0),
    ];
    let different: HashSet<&Vec<u8>> = others.iter().chain([&alloy]).collect();
    assert_eq!(different.len(), 5);
    assert_eq!(speak(None, 1.0), speak(Some("default"), 1.0));
}

#[test]
fn reference_audio_sets_the_voice_and_its_length_is_limited() {
    let home = tempfile::tempdir().unwrap();
    let settings = Settings {
        hf_caches: vec![cache(&home)],
        offline: true,
        compute: ComputeType::F32,
        ..Settings::new(home.path().join("mynah"))
    };
    let engine = Engine::open(settings, mynah_models::registry()).unwrap();
    // Noise at 8 kHz, as a WAVE file.
    let wave = |seconds: usize, factor: u32| {
        let noise = |i: usize| ((i as u32).wrapping_mul(factor) >> 8 & 0xffff) as f32 / 65_536.0 - 0.5;
        let samples: Vec<f32> = (0..seconds * 8_000).map(noise).collect();
        mynah_audio::encode(OutputFormat::Wav, &samples, 8_000, &EncodeOptions::default()).unwrap()
    };
    let like = |bytes: Vec<u8>| {
        let recording = ReferenceSource { audio: AudioSource::Bytes(bytes), transcript: "你好。".into() };
        finish(engine.speak_with_reference(request(None, 1.0), recording).unwrap())
    };
    let first = like(wave(2, 2_654_435_761)).unwrap();
    assert!(!first.is_empty());
    assert_eq!(first, like(wave(2, 2_654_435_761)).unwrap());
    // Speech with reference audio is not cached for requests without.
    let plain = finish(engine.speak(request(None, 1.0)).unwrap()).unwrap();
    assert!(first != plain && plain == finish(engine.speak(request(None, 1.0)).unwrap()).unwrap());
    assert!(matches!(like(wave(61, 2_654_435_761)), Err(Error::Audio(_))));
    assert!(matches!(like(b"no audio".to_vec()), Err(Error::Audio(_))));
}

#[test]
fn concurrent_requests_all_end_and_a_damaged_voice_fails_alone() {
    let (engine, _home) = engine();
    let damaged = "x".repeat(500);
    let jobs: Vec<_> = ["alloy", "echo", &damaged, "alloy", "nova"]
        .map(|voice| engine.speak(request(Some(voice), 1.0)).unwrap())
        .into_iter()
        .map(|job| std::thread::spawn(|| finish(job)))
        .collect();
    let results: Vec<_> = jobs.into_iter().map(|job| job.join().unwrap()).collect();
    assert!(matches!(results[2], Err(Error::Model(_))), "{:?}", results[2]);
    assert!(
        results.iter().enumerate().all(|(i, result)| i == 2 || result.as_ref().is_ok_and(|b| !b.is_empty()))
    );
    let rows = &engine.batch_stats().speech_rows;
    assert!(rows.sum() > 0 && rows.sum() >= rows.counts().iter().sum(), "{rows:?}");
}

#[test]
fn a_job_that_is_dropped_stops() {
    let (engine, _home) = engine();
    let mut long = request(None, 1.0);
    long.text = TEXT.repeat(200);
    let job = engine.speak(long).unwrap();
    job.cancel();
    assert!(matches!(finish(job), Err(Error::Cancelled)));
    assert!(finish(engine.speak(request(None, 1.0)).unwrap()).is_ok());
}

#[test]
fn the_licence_is_reported_and_other_files_are_refused() {
    let hub = Hub::start(|request| {
        if request.target.starts_with("/api/models") {
            let files =
                ["gpt/config.json", "gpt/model.safetensors", "tokenizer/tokenizer.json"].map(str::to_owned);
            let parts = ["Embed", "Decoder", "DVAE", "Vocos"].map(|part| format!("{part}.safetensors"));
            let siblings: Vec<_> = files
                .iter()
                .chain(&parts)
                .map(|name| serde_json::json!({"rfilename": format!("asset/{name}"), "size": 2}))
                .collect();
            return Reply::body(serde_json::json!({"sha": REVISION, "siblings": siblings}).to_string());
        }
        Reply::body("{}")
    });
    let home = tempfile::tempdir().unwrap();
    let engine = Engine::open(settings(&home, &hub.url()), mynah_models::registry()).unwrap();
    let mut progress = Vec::new();
    let error = engine.pull("chattts", &mut |step| progress.push(step), &CancelFlag::new()).unwrap_err();
    assert!(error.to_string().contains("sha256"), "{error}");
    let PullProgress::Notice(notice) = &progress[0] else { panic!("{:?}", progress[0]) };
    assert!(notice.contains("CC-BY-NC-4.0") && notice.contains("education and research"), "{notice}");
    let asked = hub.requests();
    assert!(
        asked[0].target.contains(&format!("/api/models/2Noise/ChatTTS/revision/{REVISION}")),
        "{asked:?}"
    );
    let place = format!("/2Noise/ChatTTS/resolve/{REVISION}/asset/");
    assert!(asked[1..].iter().all(|request| request.target.starts_with(&place)), "{asked:?}");
}
