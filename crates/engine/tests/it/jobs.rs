//! Jobs on a stand-in model, which transcribes one word per window of 30 s.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mynah_core::{
    AudioInput, BatchShare, CancelFlag, JobContext, LoadContext, ModelError, Segment, Task,
    TranscribeOptions, Transcriber, Transcript, TranscriptEvent, TranscriptSink, TranscriptionCapabilities,
};
use mynah_engine::{
    AudioSource, Engine, Error, LoadProgress, ModelRef, PullProgress, Settings, TranscribeRequest,
    TranscriptionEvent, TranscriptionJob,
};
use mynah_testkit::families::{StandIn, any_transcription};
use mynah_testkit::hub::{Hub, Repository};

use crate::download::settings;
use crate::signal::wav;

const WINDOW_SAMPLES: usize = 30 * 16_000;

/// State that tests share with the stand-in models, to observe and control them.
#[derive(Default)]
struct Stage {
    loads: AtomicUsize,
    /// Windows whose computation has begun.
    windows: AtomicUsize,
    computing: AtomicUsize,
    most_computing: AtomicUsize,
    /// A window does not end while this is set.
    hold: AtomicBool,
    stopped: AtomicUsize,
    /// The prompts of jobs in the order in which they ended.
    ended: Mutex<Vec<String>>,
}

impl Stage {
    fn hold(&self, hold: bool) {
        self.hold.store(hold, Ordering::Release);
    }
}

/// With the batch share of its windows.
struct OneWord(Arc<Stage>, BatchShare);

impl OneWord {
    fn compute(&self, options: &TranscribeOptions, cancel: &CancelFlag) -> Result<(), ModelError> {
        self.0.windows.fetch_add(1, Ordering::AcqRel);
        if options.initial_prompt.as_deref() == Some("panic") {
            panic!("a defect in the model");
        }
        loop {
            thread::sleep(Duration::from_millis(1));
            if cancel.is_cancelled() {
                self.0.stopped.fetch_add(1, Ordering::AcqRel);
            }
            cancel.check()?;
            if !self.0.hold.load(Ordering::Acquire) {
                return Ok(());
            }
        }
    }
}

impl Transcriber for OneWord {
    fn capabilities(&self) -> TranscriptionCapabilities {
        any_transcription()
    }

    fn transcribe(
        &self,
        audio: AudioInput<'_>,
        options: &TranscribeOptions,
        context: JobContext<'_>,
        sink: &mut dyn TranscriptSink,
    ) -> Result<Transcript, ModelError> {
        let samples = audio.samples;
        sink.event(TranscriptEvent::Language("en".to_owned(), 0.9));
        let duration_s = samples.len() as f64 / 16_000.0;
        let mut segments = Vec::new();
        for id in 0..samples.len().div_ceil(WINDOW_SAMPLES) {
            let batch = context.enter_batch(30.0 * id as f64, self.1)?;
            let step = context.step()?;
            let computing = self.0.computing.fetch_add(1, Ordering::AcqRel) + 1;
            self.0.most_computing.fetch_max(computing, Ordering::AcqRel);
            let computed = self.compute(options, context.cancel);
            self.0.computing.fetch_sub(1, Ordering::AcqRel);
            drop(step);
            drop(batch);
            computed?;
            let segment = Arc::new(Segment {
                id,
                start_s: 30.0 * id as f64,
                end_s: (30.0 * (id + 1) as f64).min(duration_s),
                text: " word".to_owned(),
                tokens: vec![1],
                ..Segment::default()
            });
            sink.event(TranscriptEvent::Progress(segment.end_s));
            sink.event(TranscriptEvent::Segment(Arc::clone(&segment)));
            segments.push(segment);
        }
        self.0.ended.lock().unwrap().extend(options.initial_prompt.clone());
        Ok(Transcript {
            task: options.task,
            language: "en".to_owned(),
            language_probability: 0.9,
            languages: Vec::new(),
            duration_s,
            segments,
        })
    }
}

/// An engine whose checkpoints are stand-ins, except those named `broken`.
fn engine_with(settings: Settings) -> (Engine, Arc<Stage>) {
    let stage = Arc::new(Stage::default());
    let shared = Arc::clone(&stage);
    let load = move |path: &Path, _: &LoadContext| -> Result<Arc<dyn Transcriber>, ModelError> {
        shared.loads.fetch_add(1, Ordering::AcqRel);
        thread::sleep(Duration::from_millis(50));
        match path.file_name().and_then(|name| name.to_str()) {
            Some("broken") => Err(ModelError::Weights("broken is damaged: it is cut short".to_owned())),
            Some("panics") => panic!("a defect in the loader"),
            _ => Ok(Arc::new(OneWord(Arc::clone(&shared), BatchShare::WHOLE))),
        }
    };
    let registry = mynah_models::registry().with(StandIn::whisper(load));
    (Engine::open(settings, registry).unwrap(), stage)
}

fn engine() -> (Engine, Arc<Stage>) {
    engine_with(Settings::new("/nowhere"))
}

fn request(seconds: f64) -> TranscribeRequest {
    TranscribeRequest {
        model: ModelRef::Path(PathBuf::from("model")),
        audio: AudioSource::Bytes(wav(seconds)),
        options: TranscribeOptions::default(),
        client: None,
    }
}

fn request_named(name: &str, seconds: f64) -> TranscribeRequest {
    let options = TranscribeOptions { initial_prompt: Some(name.to_owned()), ..TranscribeOptions::default() };
    TranscribeRequest { options, ..request(seconds) }
}

fn finish(mut job: TranscriptionJob) -> Result<Arc<Transcript>, Error> {
    loop {
        match job.next_blocking().expect("a last event") {
            TranscriptionEvent::Done(transcript) => return Ok(transcript),
            TranscriptionEvent::Failed(error) => return Err(error),
            _ => {}
        }
    }
}

pub(crate) fn until(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(120), "nothing happened");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_job_reports_what_happens_in_order() {
    let (engine, _) = engine();
    let mut job = engine.transcribe(request(45.0)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut reported = Vec::new();
    while let Some(event) = runtime.block_on(job.next()) {
        reported.push(match event {
            TranscriptionEvent::Waiting(progress) => format!("{progress:?}"),
            TranscriptionEvent::Started { duration_s } => format!("started {duration_s}"),
            TranscriptionEvent::FirstStep { .. } => "first step".to_owned(),
            TranscriptionEvent::Language(code, probability) => format!("language {code} {probability}"),
            TranscriptionEvent::Progress(done_s) => format!("progress {done_s}"),
            TranscriptionEvent::Segment(segment) => format!("segment {} {}", segment.id, segment.end_s),
            TranscriptionEvent::Done(transcript) => format!("done {}", transcript.text()),
            TranscriptionEvent::Failed(error) => format!("failed {error}"),
        });
    }
    assert_eq!(
        reported,
        [
            "Loading",
            "started 45",
            "language en 0.9",
            "first step",
            "progress 30",
            "segment 0 30",
            "progress 45",
            "segment 1 45",
            "done word word",
        ]
    );
}

#[test]
fn a_model_is_loaded_once_for_all_and_windows_are_computed_one_at_a_time() {
    let (engine, stage) = engine();
    let jobs: Vec<TranscriptionJob> = (0..8).map(|_| engine.transcribe(request(65.0)).unwrap()).collect();
    for job in jobs {
        assert_eq!(finish(job).unwrap().segments.len(), 3);
    }
    assert_eq!(stage.loads.load(Ordering::Acquire), 1);
    assert_eq!(stage.windows.load(Ordering::Acquire), 24);
    assert_eq!(stage.most_computing.load(Ordering::Acquire), 1);
    until(|| engine.jobs() == 0);
}

#[test]
fn a_short_clip_precedes_the_rest_of_a_long_recording() {
    let (engine, stage) = engine();
    stage.hold(true);
    let long = engine.transcribe(request_named("long", 1200.0)).unwrap();
    until(|| stage.windows.load(Ordering::Acquire) == 1);
    let short = engine.transcribe(request_named("short", 1.0)).unwrap();
    stage.hold(false);
    finish(short).unwrap();
    finish(long).unwrap();
    assert_eq!(*stage.ended.lock().unwrap(), ["short", "long"]);
}

#[test]
fn a_dropped_job_stops() {
    let (engine, stage) = engine();
    stage.hold(true);
    let computing = engine.transcribe(request(60.0)).unwrap();
    until(|| stage.windows.load(Ordering::Acquire) == 1);
    let waiting = engine.transcribe(request(60.0)).unwrap();
    drop(waiting);
    until(|| engine.jobs() == 1);
    drop(computing);
    until(|| engine.jobs() == 0);
    assert_eq!(stage.stopped.load(Ordering::Acquire), 1);
    assert_eq!(stage.windows.load(Ordering::Acquire), 1);
}

#[test]
fn a_cancelled_job_reports_it() {
    let (engine, stage) = engine();
    stage.hold(true);
    let job = engine.transcribe(request(10.0)).unwrap();
    job.cancel();
    assert!(matches!(finish(job), Err(Error::Cancelled)));
    stage.hold(false);
    finish(engine.transcribe(request(10.0)).unwrap()).unwrap();
}

#[test]
fn a_full_queue_is_reported() {
    let (engine, stage) = engine_with(Settings { queue_length: 2, ..Settings::new("/nowhere") });
    stage.hold(true);
    let jobs = [engine.transcribe(request(10.0)).unwrap(), engine.transcribe(request(10.0)).unwrap()];
    let refused = engine.transcribe(request(10.0));
    assert!(matches!(refused, Err(Error::QueueFull { retry_after_s: 1..=60 })), "{refused:?}");
    stage.hold(false);
    for job in jobs {
        finish(job).unwrap();
    }
    // After the last event of a job, the next one is accepted.
    for _ in 0..20 {
        finish(engine.transcribe(request(1.0)).unwrap()).unwrap();
    }
}

#[test]
fn a_job_that_would_wait_too_long_is_refused() {
    let (engine, stage) = engine();
    // A job that waits for its model delays no other.
    engine.load(&request(10.0).model, &mut |_| {}, &CancelFlag::new()).unwrap();
    engine.set_max_wait(Duration::from_millis(1500));
    stage.hold(true);
    // One second of work each, as the first estimate.
    let jobs = [engine.transcribe(request(10.0)).unwrap(), engine.transcribe(request(10.0)).unwrap()];
    assert_eq!(engine.expected_wait_s(), 2.0);
    let refused = engine.transcribe(request(10.0));
    assert!(matches!(refused, Err(Error::QueueTimeExceeded { retry_after_s: 2, .. })), "{refused:?}");
    assert!(matches!(engine.has_room(None), Err(Error::QueueTimeExceeded { .. })));
    stage.hold(false);
    for job in jobs {
        finish(job).unwrap();
    }
    assert_eq!(engine.expected_wait_s(), 0.0);
    finish(engine.transcribe(request(10.0)).unwrap()).unwrap();
}

#[test]
fn the_rest_of_a_long_recording_excludes_no_job() {
    let (engine, stage) = engine();
    engine.set_max_wait(Duration::from_millis(100));
    let long = engine.transcribe(request(3600.0)).unwrap();
    until(|| stage.windows.load(Ordering::Acquire) > 1);
    finish(engine.transcribe(request(1.0)).unwrap()).unwrap();
    drop(long);
    until(|| engine.jobs() == 0);
}

#[test]
fn a_panic_is_the_error_of_its_job_alone() {
    let (engine, _) = engine();
    let other = engine.transcribe(request(300.0)).unwrap();
    let error = finish(engine.transcribe(request_named("panic", 60.0)).unwrap()).unwrap_err();
    assert!(matches!(&error, Error::Internal(text) if text == "a defect in the model"), "{error:?}");
    finish(other).unwrap();
    finish(engine.transcribe(request(60.0)).unwrap()).unwrap();

    let broken = || TranscribeRequest { model: ModelRef::Path("panics".into()), ..request(1.0) };
    let jobs = [engine.transcribe(broken()).unwrap(), engine.transcribe(broken()).unwrap()];
    for job in jobs {
        assert!(matches!(finish(job), Err(Error::Internal(_))));
    }
}

#[test]
fn a_failed_load_fails_all_waiting_jobs_and_is_retried_later() {
    let (engine, stage) = engine();
    let broken = || TranscribeRequest { model: ModelRef::Path("broken".into()), ..request(1.0) };
    let jobs: Vec<TranscriptionJob> = (0..4).map(|_| engine.transcribe(broken()).unwrap()).collect();
    for job in jobs {
        let error = finish(job).unwrap_err();
        assert_eq!(error.to_string(), "broken is damaged: it is cut short");
    }
    let attempts = stage.loads.load(Ordering::Acquire);
    finish(engine.transcribe(broken()).unwrap()).unwrap_err();
    assert_eq!(stage.loads.load(Ordering::Acquire), attempts + 1);
}

#[test]
fn invalid_audio_loads_no_model() {
    let (engine, stage) = engine();
    for audio in [
        AudioSource::Bytes(b"no sound in here".to_vec()),
        AudioSource::Bytes(Vec::new()),
        AudioSource::Path("/nowhere/at/all".into()),
    ] {
        let error =
            finish(engine.transcribe(TranscribeRequest { audio, ..request(1.0) }).unwrap()).unwrap_err();
        assert!(matches!(error, Error::Audio(_)), "{error:?}");
    }
    assert_eq!(stage.loads.load(Ordering::Acquire), 0);
}

#[test]
fn audio_can_be_read_from_files() {
    let (engine, _) = engine();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&wav(2.0)).unwrap();
    let path = file.path().to_owned();
    let audio = AudioSource::Path(path.clone());
    finish(engine.transcribe(TranscribeRequest { audio, ..request(0.0) }).unwrap()).unwrap();
    let audio = AudioSource::TempFile(file.into_temp_path());
    let transcript = finish(engine.transcribe(TranscribeRequest { audio, ..request(0.0) }).unwrap()).unwrap();
    assert_eq!(transcript.duration_s, 2.0);
    assert!(!path.exists());
}

#[test]
fn limits_of_the_settings_are_enforced() {
    let mut settings = Settings::new("/nowhere");
    settings.decode_limits.max_duration_s = 1.0;
    let (engine, _) = engine_with(settings);
    let error = finish(engine.transcribe(request(5.0)).unwrap()).unwrap_err();
    assert!(error.to_string().contains("limit"), "{error}");
}

#[test]
fn unsupported_tasks_are_refused_at_once() {
    let (engine, _) = engine();
    let unknown = TranscribeRequest { model: ModelRef::Named("whisper-bas".into()), ..request(1.0) };
    assert!(matches!(engine.transcribe(unknown), Err(Error::UnknownModel { .. })));
    for name in ["whisper-tiny.en", "Belle-whisper-large-v3-zh"] {
        let options = TranscribeOptions { task: Task::Translate, ..TranscribeOptions::default() };
        let model = engine.resolve(name).unwrap();
        let error = engine.transcribe(TranscribeRequest { model, options, ..request(1.0) }).unwrap_err();
        assert!(error.to_string().contains("does not support translations"), "{error}");
    }
}

#[test]
fn a_job_downloads_its_model_and_other_jobs_get_the_progress() {
    let repository = Repository::new();
    let hub = Hub::start(move |request| {
        thread::sleep(Duration::from_millis(200));
        repository.answer(request)
    });
    let home = tempfile::tempdir().unwrap();
    let (engine, stage) = engine_with(settings(&home, &hub.url()));
    let ask = || TranscribeRequest { model: engine.resolve("small").unwrap(), ..request(1.0) };
    let jobs = [engine.transcribe(ask()).unwrap(), engine.transcribe(ask()).unwrap()];
    for mut job in jobs {
        let (mut bytes, mut done) = (false, false);
        while let Some(event) = job.next_blocking() {
            bytes |= matches!(
                event,
                TranscriptionEvent::Waiting(LoadProgress::Pulling(PullProgress::Bytes { .. }))
            );
            done |= matches!(event, TranscriptionEvent::Done(_));
        }
        assert!(bytes && done);
    }
    assert_eq!(stage.loads.load(Ordering::Acquire), 1);
    let small = engine.models().into_iter().find(|model| model.entry.name == "whisper-small").unwrap();
    assert!(small.loaded);

    engine.remove("whisper-small").unwrap();
    assert!(!fs::exists(home.path().join("mynah/models/whisper-small")).unwrap());
    finish(engine.transcribe(ask()).unwrap()).unwrap();
    assert_eq!(stage.loads.load(Ordering::Acquire), 2);
}

#[test]
fn a_download_is_resumed_by_the_next_job_after_a_client_leaves() {
    let repository = Repository::new();
    let slow = AtomicBool::new(true);
    let hub = Hub::start(move |request| {
        if request.target.ends_with("model.safetensors") && slow.swap(false, Ordering::AcqRel) {
            thread::sleep(Duration::from_millis(400));
        }
        repository.answer(request)
    });
    let home = tempfile::tempdir().unwrap();
    let (engine, _) = engine_with(settings(&home, &hub.url()));
    let ask = || TranscribeRequest { model: engine.resolve("small").unwrap(), ..request(1.0) };
    let first = engine.transcribe(ask()).unwrap();
    until(|| !hub.requests_for("model.safetensors").is_empty());
    let second = engine.transcribe(ask()).unwrap();
    thread::sleep(Duration::from_millis(50));
    drop(first);
    finish(second).unwrap();
}
