//! Speech jobs on a stand-in model, which speaks each word as a tone of a tenth of a second.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use mynah_audio::{EncodeOptions, OutputFormat, decode_bytes};
use mynah_core::{
    AudioSink, CancelFlag, JobContext, LoadContext, ModelError, SpeechCapabilities, SpeechOptions,
    SpokenWord, Synthesizer, TokenCounts,
};
use mynah_engine::{Engine, Error, ModelRef, Settings, SpeakRequest, SpeechEvent, SpeechJob, SpeechResult};
use mynah_testkit::families::{StandIn, any_speech};
use tempfile::TempDir;

use crate::jobs::until;

const RATE_HZ: u32 = 24_000;
const WORD_SAMPLES: usize = RATE_HZ as usize / 10;

/// State that tests share with the stand-in models, to observe and control them.
#[derive(Default)]
struct Stage {
    loads: AtomicUsize,
    speeches: AtomicUsize,
    words: AtomicUsize,
    computing: AtomicUsize,
    most_computing: AtomicUsize,
    /// A word does not end while this is set.
    hold: AtomicBool,
    stopped: AtomicUsize,
}

struct Tone(Arc<Stage>);

impl Tone {
    fn word(&self, at: usize, cancel: &CancelFlag, sink: &mut dyn AudioSink) -> Result<(), ModelError> {
        self.0.words.fetch_add(1, Ordering::AcqRel);
        let computing = self.0.computing.fetch_add(1, Ordering::AcqRel) + 1;
        self.0.most_computing.fetch_max(computing, Ordering::AcqRel);
        while self.0.hold.load(Ordering::Acquire) && !cancel.is_cancelled() {
            thread::sleep(Duration::from_millis(1));
        }
        self.0.computing.fetch_sub(1, Ordering::AcqRel);
        if cancel.is_cancelled() {
            self.0.stopped.fetch_add(1, Ordering::AcqRel);
        }
        cancel.check()?;
        let tone = |i: usize| ((at * WORD_SAMPLES + i) as f32 * 0.1).sin() * 0.25;
        sink.samples(&(0..WORD_SAMPLES).map(tone).collect::<Vec<_>>())
    }
}

impl Synthesizer for Tone {
    fn capabilities(&self) -> SpeechCapabilities {
        any_speech()
    }

    fn sample_rate_hz(&self) -> u32 {
        RATE_HZ
    }

    fn synthesize(
        &self,
        text: &str,
        _options: &SpeechOptions,
        context: JobContext<'_>,
        sink: &mut dyn AudioSink,
    ) -> Result<TokenCounts, ModelError> {
        self.0.speeches.fetch_add(1, Ordering::AcqRel);
        assert!(text != "panic", "a defect in the model");
        if !text.is_ascii() {
            return Err(ModelError::Script { script: "Cyrillic", sample: text.to_owned() });
        }
        let words: Vec<&str> = text.split_whitespace().collect();
        for (at, word) in words.iter().enumerate() {
            let step = context.step()?;
            self.word(at, context.cancel, sink)?;
            drop(step);
            let (start_s, end_s) = (0.1 * at as f64, 0.1 * (at + 1) as f64);
            sink.word(SpokenWord { text: (*word).to_owned(), range: 0..1, start_s, end_s });
            sink.progress(at + 1);
        }
        Ok(TokenCounts { input: words.len() as u64, output: 10 * words.len() as u64 })
    }
}

/// An engine with a stand-in for hibari in its store.
fn engine_with(change: impl FnOnce(&mut Settings)) -> (Engine, Arc<Stage>, TempDir) {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("models/hibari");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("hibari.onnx"), b"0123").unwrap();
    let manifest = serde_json::json!({"model": "hibari", "source": "test", "revision": "1",
        "files": [{"name": "hibari.onnx", "bytes": 4, "sha256": mynah_testkit::hub::sha256(b"0123")}]});
    fs::write(folder.join("mynah.json"), manifest.to_string()).unwrap();
    let mut settings = Settings::new(home.path());
    settings.offline = true;
    change(&mut settings);
    let stage = Arc::new(Stage::default());
    let shared = Arc::clone(&stage);
    let load = move |path: &Path, _: &LoadContext| -> Result<Arc<dyn Synthesizer>, ModelError> {
        shared.loads.fetch_add(1, Ordering::AcqRel);
        assert!(path.ends_with("hibari"));
        Ok(Arc::new(Tone(Arc::clone(&shared))))
    };
    let registry = mynah_models::registry().with(StandIn::hibari(load));
    (Engine::open(settings, registry).unwrap(), stage, home)
}

fn engine() -> (Engine, Arc<Stage>, TempDir) {
    engine_with(|_| {})
}

fn request(text: &str) -> SpeakRequest {
    SpeakRequest {
        model: ModelRef::Named("hibari".into()),
        text: text.to_owned(),
        options: SpeechOptions::default(),
        format: OutputFormat::Wav,
        encoding: EncodeOptions::default(),
        client: None,
    }
}

fn with_voice(voice: &str) -> SpeakRequest {
    let options = SpeechOptions { voice: Some(voice.to_owned()), ..SpeechOptions::default() };
    SpeakRequest { options, ..request("one two") }
}

/// Voice, bytes and end of a job.
fn finish(mut job: SpeechJob) -> Result<(Option<String>, Vec<u8>, SpeechResult), Error> {
    let (mut speaks, mut bytes) = (None, Vec::new());
    loop {
        match job.next_blocking().expect("a last event") {
            SpeechEvent::Started { voice } => speaks = voice,
            SpeechEvent::Audio(piece) => bytes.extend_from_slice(&piece),
            SpeechEvent::Done(spoken) => return Ok((speaks, bytes, spoken)),
            SpeechEvent::Failed(error) => return Err(error),
            _ => {}
        }
    }
}

#[test]
fn speech_is_a_file_of_its_format_and_reports_words_and_token_counts() {
    let (engine, stage, _home) = engine();
    for format in OutputFormat::ALL {
        let encoding = EncodeOptions { sample_rate_hz: Some(16_000), bitrate_bps: None };
        let job = engine.speak(SpeakRequest { format, encoding, ..request("one two three four five") });
        let (voice, mut bytes, spoken) = finish(job.unwrap()).unwrap();
        assert_eq!(voice.as_deref(), Some("heart"));
        assert!((spoken.duration_s - 0.5).abs() < 1e-9);
        assert_eq!((spoken.tokens.input, spoken.tokens.output), (5, 50));
        assert_eq!(spoken.words[4].text, "five");
        bytes[..spoken.head.len()].copy_from_slice(&spoken.head);
        if format == OutputFormat::Pcm {
            assert_eq!(bytes.len(), 16_000);
        } else {
            let decoded = decode_bytes(bytes, &Default::default(), &|| false).unwrap();
            assert!((0.49..0.7).contains(&decoded.info.duration_s), "{format}: {}", decoded.info.duration_s);
        }
    }
    assert_eq!(stage.loads.load(Ordering::Acquire), 1);
    assert!(engine.models().iter().any(|model| model.entry.name == "hibari" && model.loaded));
}

#[test]
fn a_slow_reader_delays_only_its_own_job() {
    let (engine, stage, _home) = engine();
    let slow = engine.speak(request(&"word ".repeat(1000))).unwrap();
    until(|| stage.words.load(Ordering::Acquire) >= 8);
    thread::sleep(Duration::from_millis(300));
    let ahead = stage.words.load(Ordering::Acquire);
    assert!(ahead < 40, "{ahead} words of audio wait in memory");
    finish(engine.speak(request("a quick one")).unwrap()).unwrap();
    let ahead = stage.words.load(Ordering::Acquire);
    assert!(ahead < 40 + 3, "{ahead} words, three of them of the other job");
    assert_eq!(finish(slow).unwrap().2.words.len(), 1000);
    assert_eq!(stage.most_computing.load(Ordering::Acquire), 1, "one computes at a time");
}

#[test]
fn a_dropped_job_stops() {
    let (engine, stage, _home) = engine();
    let unread = engine.speak(request(&"word ".repeat(1000))).unwrap();
    until(|| stage.words.load(Ordering::Acquire) >= 8);
    drop(unread);
    until(|| engine.jobs() == 0);
    assert!(stage.words.load(Ordering::Acquire) < 40);

    stage.hold.store(true, Ordering::Release);
    let before = stage.words.load(Ordering::Acquire);
    let computing = engine.speak(request("one two")).unwrap();
    until(|| stage.words.load(Ordering::Acquire) > before);
    let waiting = engine.speak(request("three")).unwrap();
    drop(waiting);
    until(|| engine.jobs() == 1);
    computing.cancel();
    assert!(matches!(finish(computing), Err(Error::Cancelled)));
    assert_eq!(stage.stopped.load(Ordering::Acquire), 1);
    until(|| engine.jobs() == 0);
}

#[test]
fn a_repeated_request_is_served_from_the_cache() {
    let (engine, stage, _home) = engine();
    let first = finish(engine.speak(request("one two")).unwrap()).unwrap();
    let second = finish(engine.speak(request("one two")).unwrap()).unwrap();
    assert_eq!(first, second);
    assert_eq!(stage.speeches.load(Ordering::Acquire), 1);
    // An alias of the same voice gives the same speech; another seed does not.
    finish(engine.speak(with_voice("af_heart")).unwrap()).unwrap();
    assert_eq!(stage.speeches.load(Ordering::Acquire), 1);
    let options = SpeechOptions { seed: 5, ..SpeechOptions::default() };
    finish(engine.speak(SpeakRequest { options, ..request("one two") }).unwrap()).unwrap();
    assert_eq!(stage.speeches.load(Ordering::Acquire), 2);

    let (engine, stage, _home) = engine_with(|settings| settings.speech_cache_bytes = 20_000);
    for _ in 0..2 {
        // 9.6 kB of audio is more than a quarter of the cache.
        finish(engine.speak(request("one two")).unwrap()).unwrap();
    }
    assert_eq!(stage.speeches.load(Ordering::Acquire), 2);
}

#[test]
fn voices_have_aliases_and_stand_in_for_others() {
    let (engine, _, home) = engine();
    let speaks = |voice: &str| finish(engine.speak(with_voice(voice)).unwrap()).map(|(voice, ..)| voice);
    assert_eq!(speaks("Heart").unwrap().as_deref(), Some("heart"));
    assert_eq!(speaks("alloy").unwrap().as_deref(), Some("heart"));
    // Not on disk and no network: the default voice stands for OpenAI's voices, but none for fenrir.
    assert_eq!(speaks("echo").unwrap().as_deref(), Some("heart"));
    let error = speaks("fenrir").unwrap_err();
    assert!(matches!(&error, Error::Offline(name) if name == "hibari/fenrir"), "{error:?}");
    assert!(!engine.voices().iter().any(|voice| voice.voice.name == "fenrir" && voice.on_disk));

    let folder = home.path().join("models/hibari/voices");
    fs::create_dir_all(&folder).unwrap();
    File::create(folder.join("am_fenrir_v2.int8.onnx")).unwrap().set_len(8_031_158).unwrap();
    assert_eq!(speaks("fenrir").unwrap().as_deref(), Some("fenrir"));
    assert_eq!(speaks("echo").unwrap().as_deref(), Some("fenrir"));
    assert!(engine.voices().iter().any(|voice| voice.voice.name == "fenrir" && voice.on_disk));
}

#[test]
fn unsupported_text_is_refused() {
    let (engine, stage, _home) = engine();
    let at_once = |request| engine.speak(request).map(|_| ()).unwrap_err();
    assert!(matches!(at_once(with_voice("unknown")), Error::UnknownVoice { .. }));
    let whisper = SpeakRequest { model: engine.resolve("whisper-1").unwrap(), ..request("one") };
    assert!(matches!(at_once(whisper), Error::WrongTask { .. }));
    let options = SpeechOptions { speed: 9.0, ..SpeechOptions::default() };
    assert!(matches!(at_once(SpeakRequest { options, ..request("one") }), Error::Model(_)));
    assert_eq!(stage.loads.load(Ordering::Acquire), 0);

    let later = |request| finish(engine.speak(request).unwrap()).map(|_| ()).unwrap_err();
    let encoding = EncodeOptions { sample_rate_hz: Some(9999), bitrate_bps: None };
    let mp3 = SpeakRequest { format: OutputFormat::Mp3, encoding, ..request("one") };
    assert!(matches!(later(mp3), Error::Encode(_)));
    let error = later(request("Привет"));
    assert!(matches!(&error, Error::Script { model, .. } if model == "hibari"), "{error:?}");
    assert!(matches!(later(request("panic")), Error::Internal(_)));
    finish(engine.speak(request("the next one succeeds")).unwrap()).unwrap();
}

#[test]
fn a_full_queue_is_reported() {
    let (engine, stage, _home) = engine_with(|settings| settings.queue_length = 1);
    stage.hold.store(true, Ordering::Release);
    let job = engine.speak(request("one")).unwrap();
    assert!(matches!(engine.speak(request("two")), Err(Error::QueueFull { .. })));
    stage.hold.store(false, Ordering::Release);
    finish(job).unwrap();
    finish(engine.speak(request("two")).unwrap()).unwrap();
}
