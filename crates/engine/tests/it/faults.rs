//! Failures around the engine: damaged weights, too little memory, an unwritable disk, a model that panics.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use mynah_audio::DecodeLimits;
use mynah_core::{
    AudioInput, CancelFlag, JobContext, LoadContext, ModelError, TranscribeOptions, Transcriber, Transcript,
    TranscriptSink, TranscriptionCapabilities, VadOptions,
};
use mynah_engine::{
    AudioSource, Engine, Error, LaunchRequest, ModelRef, Settings, TranscribeRequest, TranscriptionEvent,
    TranscriptionJob,
};
use mynah_testkit::families::{StandIn, any_transcription};
use mynah_testkit::hub::{Hub, Repository};

use crate::download::settings;
use crate::jobs::until;
use crate::signal::{silence, wav};

const MODEL: &str = "whisper-small";
const WEIGHTS: &str = "model.safetensors";

fn hub() -> Hub {
    let repository = Repository::new();
    Hub::start(move |request| repository.answer(request))
}

fn pull(engine: &Engine) -> Result<std::path::PathBuf, Error> {
    engine.pull(MODEL, &mut |_| (), &CancelFlag::new())
}

/// Changes a byte in the middle of a file; the size stays the same.
fn flip(path: &Path, changed: SystemTime) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
    File::options().write(true).open(path).unwrap().set_modified(changed).unwrap();
}

#[test]
fn damaged_weights_are_fetched_again_or_refused() {
    let (home, hub) = (tempfile::tempdir().unwrap(), hub());
    let online = settings(&home, &hub.url());
    let engine = Engine::open(online.clone(), mynah_models::registry()).unwrap();
    let weights = pull(&engine).unwrap().join(WEIGHTS);
    engine.check(MODEL, &CancelFlag::new()).unwrap();
    let later = fs::metadata(&weights).unwrap().modified().unwrap() + Duration::from_secs(1);
    let offline = Engine::open(Settings { offline: true, ..online }, mynah_models::registry()).unwrap();

    flip(&weights, later);
    let error = pull(&offline).unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("sha256 of model.safetensors") && text.contains("mynah pull whisper-small"),
        "{text}"
    );
    pull(&engine).unwrap();
    assert_eq!(fs::read(&weights).unwrap(), Repository::new().weights());
    pull(&offline).unwrap();

    fs::write(&weights, b"cut").unwrap();
    let text = pull(&offline).unwrap_err().to_string();
    assert!(text.contains("model.safetensors has 3 bytes instead of"), "{text}");
    pull(&engine).unwrap();

    // A file with a new modification time and the same contents is read once and then trusted again.
    File::options().write(true).open(&weights).unwrap().set_modified(later).unwrap();
    pull(&offline).unwrap();
    let manifest = fs::read_to_string(weights.with_file_name("mynah.json")).unwrap();
    let nanoseconds = later.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos().to_string();
    assert!(manifest.contains(&nanoseconds), "{manifest}");
}

#[test]
fn a_thorough_check_finds_damage_with_an_old_modification_time() {
    let (home, hub) = (tempfile::tempdir().unwrap(), hub());
    let engine = Engine::open(settings(&home, &hub.url()), mynah_models::registry()).unwrap();
    let weights = pull(&engine).unwrap().join(WEIGHTS);
    flip(&weights, fs::metadata(&weights).unwrap().modified().unwrap());
    pull(&engine).unwrap();
    let error = engine.check(MODEL, &CancelFlag::new()).unwrap_err();
    assert!(error.to_string().contains("sha256 of model.safetensors"), "{error}");
    pull(&engine).unwrap();
    engine.check(MODEL, &CancelFlag::new()).unwrap();
    assert!(matches!(engine.check("whisper-base", &CancelFlag::new()), Err(Error::NotOnDisk(_))));
}

/// State that tests share with the stand-in models.
#[derive(Default)]
struct Stage {
    loads: AtomicUsize,
    jobs: AtomicUsize,
    panics: AtomicBool,
    hold: AtomicBool,
}

struct Silent(Arc<Stage>);

impl Transcriber for Silent {
    fn capabilities(&self) -> TranscriptionCapabilities {
        any_transcription()
    }

    fn transcribe(
        &self,
        audio: AudioInput<'_>,
        _: &TranscribeOptions,
        context: JobContext<'_>,
        _: &mut dyn TranscriptSink,
    ) -> Result<Transcript, ModelError> {
        assert!(!self.0.panics.load(Ordering::Acquire), "a defect of the model");
        self.0.jobs.fetch_add(1, Ordering::AcqRel);
        while self.0.hold.load(Ordering::Acquire) {
            context.cancel.check()?;
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(silence(audio.samples))
    }
}

fn engine(settings: Settings) -> (Engine, Arc<Stage>) {
    let stage = Arc::new(Stage::default());
    let shared = Arc::clone(&stage);
    let load = move |_: &Path, _: &LoadContext| -> Result<Arc<dyn Transcriber>, ModelError> {
        shared.loads.fetch_add(1, Ordering::AcqRel);
        Ok(Arc::new(Silent(Arc::clone(&shared))))
    };
    let registry = mynah_models::registry().with(StandIn::whisper(load));
    (Engine::open(Settings { offline: true, ..settings }, registry).unwrap(), stage)
}

fn request(audio: Vec<u8>, options: TranscribeOptions) -> TranscribeRequest {
    TranscribeRequest {
        model: ModelRef::Path("a/model".into()),
        audio: AudioSource::Bytes(audio),
        options,
        client: None,
    }
}

fn start(engine: &Engine) -> TranscriptionJob {
    engine.transcribe(request(wav(1.0), TranscribeOptions::default())).unwrap()
}

fn finish(mut job: TranscriptionJob) -> Result<(), Error> {
    loop {
        match job.next_blocking().expect("a last event") {
            TranscriptionEvent::Done(_) => return Ok(()),
            TranscriptionEvent::Failed(error) => return Err(error),
            _ => {}
        }
    }
}

#[test]
fn a_model_that_panics_is_loaded_again_and_other_jobs_continue() {
    let home = tempfile::tempdir().unwrap();
    let (engine, stage) = engine(Settings::new(home.path()));
    stage.hold.store(true, Ordering::Release);
    let other = start(&engine);
    until(|| stage.jobs.load(Ordering::Acquire) == 1);
    stage.panics.store(true, Ordering::Release);
    let error = finish(start(&engine)).unwrap_err();
    assert!(matches!(error, Error::Internal(_)), "{error:?}");
    assert_eq!(stage.loads.load(Ordering::Acquire), 1);
    stage.panics.store(false, Ordering::Release);
    stage.hold.store(false, Ordering::Release);
    finish(other).unwrap();
    finish(start(&engine)).unwrap();
    assert_eq!(
        stage.loads.load(Ordering::Acquire),
        2,
        "the weights of the model that panicked are still used"
    );
    assert_eq!(engine.jobs(), 0);
}

#[test]
fn a_model_too_large_for_the_machine_is_refused_with_sizes() {
    let home = tempfile::tempdir().unwrap();
    let root = home.path().join("root");
    fs::create_dir_all(root.join("proc")).unwrap();
    let left = |kilobytes: u32| {
        fs::write(root.join("proc/meminfo"), format!("MemAvailable: {kilobytes} kB\n")).unwrap();
    };
    let checkpoint = home.path().join("model.bin");
    fs::write(&checkpoint, vec![0; 8_000_000]).unwrap();
    let (engine, stage) = engine(Settings { system_root: root.clone(), ..Settings::new(home.path()) });
    let start = || {
        let model = ModelRef::Path(checkpoint.clone());
        finish(
            engine.transcribe(TranscribeRequest { model, ..request(wav(1.0), Default::default()) }).unwrap(),
        )
    };
    left(1000);
    let error = start().unwrap_err();
    let Error::SystemMemory { needed_bytes, available_bytes, .. } = error else { panic!("{error:?}") };
    assert_eq!((needed_bytes, available_bytes), (2_000_000, 1_024_000));
    assert!(error.to_string().contains("needs about 2.0 MB, and 1.0 MB are left by the machine"), "{error}");
    assert_eq!(stage.loads.load(Ordering::Acquire), 0);
    left(10_000);
    start().unwrap();
}

#[test]
fn audio_beyond_the_memory_limit_is_refused_while_decoding() {
    let home = tempfile::tempdir().unwrap();
    let (engine, stage) = engine(Settings::new(home.path()));
    let memory = engine.request_memory();
    // A minute is 3.84 MB of samples.
    memory.set_limit(2_000_000);
    let error = finish(engine.transcribe(request(wav(60.0), Default::default())).unwrap()).unwrap_err();
    assert!(matches!(error, Error::RequestMemoryLimit { limit_bytes: 2_000_000, .. }), "{error:?}");
    assert!(error.to_string().contains("max_request_memory_bytes"), "{error}");
    until(|| memory.taken_bytes() == 0);

    memory.set_limit(6_000_000);
    finish(engine.transcribe(request(wav(60.0), Default::default())).unwrap()).unwrap();
    // Speech segments are a second copy.
    let vad = TranscribeOptions { vad: Some(VadOptions::default()), ..TranscribeOptions::default() };
    let error = finish(engine.transcribe(request(wav(60.0), vad)).unwrap()).unwrap_err();
    assert!(matches!(error, Error::RequestMemoryLimit { .. }), "{error:?}");
    assert_eq!(stage.jobs.load(Ordering::Acquire), 1);

    // Two that fit one at a time.
    stage.hold.store(true, Ordering::Release);
    let one = engine.transcribe(request(wav(60.0), Default::default())).unwrap();
    until(|| stage.jobs.load(Ordering::Acquire) == 2);
    assert!(memory.taken_bytes() >= 3_840_000, "{}", memory.taken_bytes());
    let error = finish(engine.transcribe(request(wav(60.0), Default::default())).unwrap()).unwrap_err();
    assert!(matches!(error, Error::RequestMemoryLimit { others_bytes: 3_840_000.., .. }), "{error:?}");
    stage.hold.store(false, Ordering::Release);
    finish(one).unwrap();
    until(|| memory.taken_bytes() == 0);
}

#[test]
fn a_small_file_that_claims_days_needs_memory_for_its_content_only() {
    let home = tempfile::tempdir().unwrap();
    let limits = DecodeLimits { max_duration_s: 100.0, ..DecodeLimits::default() };
    let (engine, _) = engine(Settings { decode_limits: limits, ..Settings::new(home.path()) });
    engine.request_memory().set_limit(2_000_000);
    let mut audio = wav(1.0);
    // The sizes of the file and of its samples.
    audio[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
    audio[40..44].copy_from_slice(&0xffff_fff0_u32.to_le_bytes());
    finish(engine.transcribe(request(audio, Default::default())).unwrap()).unwrap();
}

#[test]
fn models_run_with_an_unwritable_home() {
    let folder = tempfile::tempdir().unwrap();
    // Below a file nothing can be created.
    let home = folder.path().join("file");
    fs::write(&home, b"").unwrap();
    let checkpoint = folder.path().join("checkpoint");
    fs::create_dir(&checkpoint).unwrap();
    fs::write(checkpoint.join("model.bin"), [0; 100]).unwrap();
    let (engine, _) = engine(Settings::new(home.join("mynah")));
    let request = LaunchRequest { path: Some(checkpoint), ..LaunchRequest::new("whisper-base") };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(engine.launch(request).unwrap().ready()).unwrap();
    finish(start(&engine)).unwrap();
    let error = pull(&engine).unwrap_err();
    assert!(matches!(error, Error::Offline(_)), "{error:?}");
    engine.terminate("whisper-base").unwrap();
    let definition = r#"{"model_name": "own", "model_family": "whisper", "model_uri": "/a/path"}"#;
    assert!(
        matches!(engine.register(definition, true), Err(Error::Io { .. })),
        "a record that cannot be written"
    );
    engine.register(definition, false).unwrap();
}

#[test]
fn a_download_into_an_unwritable_home_names_the_folder() {
    let (folder, hub) = (tempfile::tempdir().unwrap(), hub());
    fs::write(folder.path().join("file"), b"").unwrap();
    let home = folder.path().join("file/mynah");
    let engine = Engine::open(
        Settings { home: home.clone(), ..settings(&folder, &hub.url()) },
        mynah_models::registry(),
    )
    .unwrap();
    let error = pull(&engine).unwrap_err();
    assert!(matches!(error, Error::Io { .. }) && error.to_string().contains("file/mynah"), "{error}");
}

#[test]
fn names_never_lead_out_of_the_home() {
    let home = tempfile::tempdir().unwrap();
    let inside = home.path().join("inside");
    let (engine, _) = engine(Settings::new(&inside));
    for name in ["../out", "..", "a/b", "/etc/passwd", "a\0b", "a\nb", "a\\b", ".hidden", ""] {
        let text = serde_json::json!({"model_name": name, "model_family": "whisper", "model_uri": "/a"});
        let refused = engine.register(&text.to_string(), true);
        assert!(matches!(refused, Err(Error::Registration(_))), "{name:?}: {refused:?}");
        assert!(matches!(engine.remove(name), Err(Error::UnknownModel { .. })), "{name:?}");
        assert!(engine.pull(name, &mut |_| (), &CancelFlag::new()).is_err(), "{name:?}");
    }
    let checkpoint = home.path().join("checkpoint");
    fs::create_dir(&checkpoint).unwrap();
    fs::write(checkpoint.join("model.bin"), [0; 100]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for uid in ["../../out", "/tmp/out", "a/../../b", "%2e%2e"] {
        let path = Some(checkpoint.clone());
        let request = LaunchRequest { uid: Some(uid.to_owned()), path, ..LaunchRequest::new("whisper-base") };
        runtime.block_on(engine.launch(request).unwrap().ready()).unwrap();
    }
    let mut here: Vec<_> =
        fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    here.sort();
    assert_eq!(here, ["checkpoint", "inside"]);
    assert_eq!(fs::read_dir(inside.join("state/running")).unwrap().count(), 4);
}
