//! Lifecycle of running models, on a stand-in with weights of a hundred bytes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use mynah_core::{
    AudioInput, ComputeType, JobContext, LoadContext, ModelError, TranscribeOptions, Transcriber, Transcript,
    TranscriptSink, TranscriptionCapabilities, VadOptions,
};
use mynah_engine::{
    AudioSource, Engine, Error, Launch, LaunchRequest, ModelRef, Phase, Running, Settings, TranscribeRequest,
    TranscriptionEvent, TranscriptionJob,
};
use mynah_testkit::families::{StandIn, any_transcription};

use crate::jobs::until;
use crate::signal::{silence, wav};

const WEIGHT_BYTES: u64 = 100;

/// State that tests share with the stand-in models.
#[derive(Default)]
struct Stage {
    loads: AtomicUsize,
    in_memory: AtomicUsize,
    /// Loading does not end while this is set.
    hold_loads: AtomicBool,
    /// Jobs do not end while this is set.
    hold_jobs: AtomicBool,
    jobs: AtomicUsize,
}

struct Silent(Arc<Stage>);

impl Drop for Silent {
    fn drop(&mut self) {
        self.0.in_memory.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Transcriber for Silent {
    fn capabilities(&self) -> TranscriptionCapabilities {
        any_transcription()
    }

    fn weight_bytes(&self) -> u64 {
        WEIGHT_BYTES
    }

    fn transcribe(
        &self,
        audio: AudioInput<'_>,
        _: &TranscribeOptions,
        context: JobContext<'_>,
        _: &mut dyn TranscriptSink,
    ) -> Result<Transcript, ModelError> {
        self.0.jobs.fetch_add(1, Ordering::AcqRel);
        while self.0.hold_jobs.load(Ordering::Acquire) {
            context.cancel.check()?;
            thread::sleep(Duration::from_millis(1));
        }
        Ok(silence(audio.samples))
    }
}

struct Test {
    engine: Engine,
    stage: Arc<Stage>,
    home: PathBuf,
}

impl Test {
    fn new(home: &Path, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings { offline: true, ..Settings::new(home) };
        change(&mut settings);
        let stage = Arc::new(Stage::default());
        let shared = Arc::clone(&stage);
        let load = move |path: &Path, _: &LoadContext| -> Result<Arc<dyn Transcriber>, ModelError> {
            while shared.hold_loads.load(Ordering::Acquire) {
                thread::sleep(Duration::from_millis(1));
            }
            if path.ends_with("broken") {
                return Err(ModelError::Weights("broken is damaged: it is cut short".to_owned()));
            }
            shared.loads.fetch_add(1, Ordering::AcqRel);
            shared.in_memory.fetch_add(1, Ordering::AcqRel);
            Ok(Arc::new(Silent(Arc::clone(&shared))))
        };
        let registry = mynah_models::registry().with(StandIn::whisper(load));
        let engine = Engine::open(settings, registry).unwrap();
        Self { engine, stage, home: home.to_owned() }
    }

    /// A checkpoint of a hundred bytes.
    fn checkpoint(&self, name: &str) -> PathBuf {
        let folder = self.home.join("checkpoints").join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("model.bin"), [0; WEIGHT_BYTES as usize]).unwrap();
        folder
    }

    /// Whisper-base under a uid, with the weights of a checkpoint of the same name.
    fn request(&self, uid: &str) -> LaunchRequest {
        self.request_of(uid, uid)
    }

    fn request_of(&self, uid: &str, checkpoint: &str) -> LaunchRequest {
        let path = Some(self.checkpoint(checkpoint));
        LaunchRequest { uid: Some(uid.to_owned()), path, ..LaunchRequest::new("whisper-base") }
    }

    fn launch(&self, request: LaunchRequest) {
        ready(self.engine.launch(request).unwrap()).unwrap();
    }

    fn running(&self, uid: &str) -> Running {
        self.engine.find_running(uid).unwrap()
    }

    fn in_memory(&self, uid: &str) -> bool {
        self.running(uid).in_memory
    }

    fn loads(&self) -> usize {
        self.stage.loads.load(Ordering::Acquire)
    }

    /// Starts a job on a running model, as a request does.
    fn start(&self, uid: &str) -> TranscriptionJob {
        let model = self.engine.select(uid).unwrap().model;
        let request = TranscribeRequest {
            model,
            audio: AudioSource::Bytes(wav(1.0)),
            options: TranscribeOptions::default(),
            client: None,
        };
        self.engine.transcribe(request).unwrap()
    }

    fn hold_jobs(&self, hold: bool) {
        self.stage.hold_jobs.store(hold, Ordering::Release);
    }

    fn hold_loads(&self, hold: bool) {
        self.stage.hold_loads.store(hold, Ordering::Release);
    }
}

fn ready(launch: Launch) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(launch.ready())
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

fn test() -> (Test, tempfile::TempDir) {
    test_with(|_| ())
}

fn test_with(change: impl FnOnce(&mut Settings)) -> (Test, tempfile::TempDir) {
    let home = tempfile::tempdir().unwrap();
    (Test::new(home.path(), change), home)
}

#[test]
fn several_uids_of_one_model_share_its_weights() {
    let (test, _home) = test();
    test.launch(test.request_of("one", "same"));
    test.launch(test.request_of("two", "same"));
    test.launch(test.request_of("three", "other"));
    assert_eq!(test.loads(), 2);
    test.launch(LaunchRequest { compute: Some(ComputeType::F32), ..test.request_of("precise", "same") });
    assert_eq!(test.loads(), 3, "another precision has its own weights");
    let uids: Vec<String> = test.engine.running().into_iter().map(|running| running.uid).collect();
    assert_eq!(uids, ["one", "precise", "three", "two"]);

    test.engine.terminate("one").unwrap();
    assert!(test.in_memory("two"), "the other uid still needs them");
    test.engine.terminate("two").unwrap();
    until(|| test.stage.in_memory.load(Ordering::Acquire) == 2);
    assert!(matches!(test.engine.terminate("two"), Err(Error::NotRunning(_))));
    assert!(matches!(test.engine.select("two"), Err(Error::UnknownModel { .. })));
    let events: Vec<String> = test.engine.events("two").into_iter().map(|event| event.text).collect();
    assert_eq!(events, ["Launch model", "Terminate model"]);
}

#[test]
fn requests_get_a_retry_time_while_a_model_is_launched() {
    let (test, _home) = test();
    test.hold_loads(true);
    let launch = test.engine.launch(test.request("a")).unwrap();
    until(|| matches!(test.running("a").phase, Phase::Loading));
    let Err(Error::Loading { uid, stage, retry_after_s }) = test.engine.select("a") else { panic!() };
    assert_eq!((uid.as_str(), stage), ("a", "loading"));
    assert!(retry_after_s >= 1);
    assert!(matches!(test.engine.terminate("a"), Err(Error::Launch(_))));
    assert!(matches!(test.engine.launch(test.request("a")), Err(Error::UidTaken(_))));
    test.hold_loads(false);
    ready(launch).unwrap();
    finish(test.start("a")).unwrap();
}

#[test]
fn a_launch_can_be_cancelled() {
    let (test, _home) = test();
    test.hold_loads(true);
    let launch = test.engine.launch(test.request("a")).unwrap();
    until(|| matches!(test.running("a").phase, Phase::Loading));
    test.engine.cancel_launch("a").unwrap();
    assert!(matches!(ready(launch), Err(Error::Cancelled)));
    assert!(matches!(test.running("a").phase, Phase::Failed(Error::Cancelled)));
    test.hold_loads(false);
    until(|| test.loads() == 1 && test.stage.in_memory.load(Ordering::Acquire) == 0);

    test.launch(test.request("a"));
    test.engine.cancel_launch("a").unwrap();
    assert!(test.engine.find_running("a").is_err(), "a model that is ready is terminated");
    assert!(matches!(test.engine.cancel_launch("a"), Err(Error::Launch(_))));
}

#[test]
fn a_failed_launch_stays_listed_if_no_client_waited() {
    let (test, home) = test();
    let records = || fs::read_dir(home.path().join("state/running")).unwrap().count();
    let failure = ready(test.engine.launch(test.request_of("a", "broken")).unwrap()).unwrap_err();
    assert!(failure.to_string().contains("cut short"), "{failure}");
    assert!(matches!(test.running("a").phase, Phase::Failed(_)));
    assert!(matches!(test.engine.select("a"), Err(Error::UnknownModel { .. })));
    test.launch(test.request("a"));
    assert_eq!(records(), 1);
    test.engine.terminate("a").unwrap();

    ready(test.engine.launch(test.request_of("a", "broken")).unwrap()).unwrap_err();
    test.engine.terminate("a").unwrap();
    assert!(test.engine.find_running("a").is_err());

    let waits = LaunchRequest { waits: true, ..test.request_of("b", "broken") };
    ready(test.engine.launch(waits).unwrap()).unwrap_err();
    assert!(test.engine.find_running("b").is_err(), "a client that waited has its error");
    assert_eq!(records(), 0);
}

#[test]
fn uids_are_chosen_and_validated() {
    let (test, _home) = test();
    let unnamed = || LaunchRequest { uid: None, ..test.request("x") };
    let first = test.engine.launch(unnamed()).unwrap();
    let second = test.engine.launch(unnamed()).unwrap();
    assert_eq!(first.uid, "whisper-base");
    assert!(second.uid.starts_with("whisper-base-") && second.uid.len() == "whisper-base-".len() + 8);
    for uid in ["", "x-rep0", "a\nb", &"x".repeat(101)] {
        assert!(matches!(test.engine.launch(test.request_of(uid, "x")), Err(Error::Launch(_))), "{uid:?}");
    }
    for uid in ["a/b", "模型", "x-rep", &"x".repeat(100)] {
        test.launch(test.request_of(uid, "x"));
        finish(test.start(uid)).unwrap();
        test.engine.terminate(uid).unwrap();
    }
    let missing = LaunchRequest { path: Some("/not/there".into()), ..test.request("y") };
    let Err(Error::Launch(reason)) = test.engine.launch(missing) else { panic!() };
    assert!(reason.contains("/not/there"));
    let unknown = LaunchRequest { model_name: "whisper-bse".into(), ..test.request("y") };
    assert!(matches!(test.engine.launch(unknown), Err(Error::UnknownModel { .. })));
    let other = LaunchRequest { model_name: "ChatTTS".into(), ..test.request("y") };
    assert!(matches!(test.engine.launch(other), Err(Error::Launch(_))), "the checkpoint is another model's");
}

#[test]
fn concurrent_requests_are_limited_per_replica() {
    let (test, _home) = test();
    test.launch(LaunchRequest { request_limit: Some(1), ..test.request("a") });
    let first = test.engine.select("a").unwrap();
    assert!(matches!(test.engine.select("a"), Err(Error::InstanceLimit { limit: 1, .. })));
    assert_eq!(test.engine.scale("a", |replicas| replicas + 1).unwrap(), 2);
    let second = test.engine.select("a").unwrap();
    assert!(matches!(test.engine.select("a"), Err(Error::InstanceLimit { limit: 2, .. })));
    drop((first, second));
    assert!(test.engine.select("a").is_ok());
    assert_eq!(test.engine.scale("a", |replicas| replicas - 1).unwrap(), 1);
    assert!(matches!(test.engine.scale("a", |replicas| replicas - 1), Err(Error::Launch(_))));
    assert!(matches!(test.engine.scale("b", |replicas| replicas), Err(Error::NotRunning(_))));
    assert_eq!(test.loads(), 1);
}

#[test]
fn a_terminated_model_finishes_its_requests() {
    let (test, _home) = test();
    test.launch(test.request("a"));
    let selected = test.engine.select("a").unwrap();
    test.hold_jobs(true);
    let job = test.start("a");
    until(|| test.stage.jobs.load(Ordering::Acquire) == 1);
    test.engine.terminate("a").unwrap();
    assert!(matches!(test.running("a").phase, Phase::Unloading));
    assert!(test.engine.select("a").is_err());
    test.hold_jobs(false);
    finish(job).unwrap();
    drop(selected);
    assert!(test.engine.find_running("a").is_err());
    until(|| test.stage.in_memory.load(Ordering::Acquire) == 0);
}

#[test]
fn idle_models_are_unloaded_and_loaded_again() {
    let (test, _home) = test();
    let after = |seconds| LaunchRequest { unload_after_s: Some(seconds), ..test.request("short") };
    test.launch(after(0.1));
    test.launch(LaunchRequest { pinned: true, unload_after_s: Some(0.1), ..test.request("pinned") });
    test.launch(test.request("for ever"));
    until(|| !test.in_memory("short"));
    assert!(matches!(test.running("short").phase, Phase::Ready));
    assert!(test.in_memory("pinned") && test.in_memory("for ever"));

    test.hold_jobs(true);
    let job = test.start("short");
    until(|| test.in_memory("short"));
    thread::sleep(Duration::from_millis(400));
    assert!(test.in_memory("short"), "it is in use");
    test.hold_jobs(false);
    finish(job).unwrap();
    until(|| !test.in_memory("short"));
    assert!(matches!(test.engine.launch(after(-1.0)), Err(Error::Launch(_))));
}

#[test]
fn a_launch_that_is_terminated_or_failed_no_longer_keeps_a_model() {
    let (test, _home) = test_with(|settings| settings.memory_budget_bytes = Some(WEIGHT_BYTES + 50));
    // Two launches share the weights; only the one that ends pins them.
    test.launch(LaunchRequest { pinned: true, ..test.request_of("pinned", "shared") });
    test.launch(test.request_of("other", "shared"));
    let full = ready(test.engine.launch(test.request("next")).unwrap()).unwrap_err();
    assert!(matches!(full, Error::ModelMemoryBudget { .. }), "{full}");
    test.engine.terminate("pinned").unwrap();
    test.launch(test.request("after"));
    assert!(!test.in_memory("other") && test.in_memory("after"));

    // A failed launch that stays listed pins nothing either.
    let broken = LaunchRequest { pinned: true, ..test.request("broken") };
    ready(test.engine.launch(broken).unwrap()).unwrap_err();
    assert!(matches!(test.running("broken").phase, Phase::Failed(_)));
    test.launch(test.request("last"));
}

#[test]
fn a_model_is_unloaded_when_the_launch_that_kept_it_ends() {
    let (test, _home) = test();
    let short = LaunchRequest { unload_after_s: Some(0.1), ..test.request_of("short", "shared") };
    test.launch(test.request_of("long", "shared"));
    test.launch(short);
    finish(test.start("short")).unwrap();
    thread::sleep(Duration::from_millis(300));
    assert!(test.in_memory("short"), "the other launch keeps it");
    test.engine.terminate("long").unwrap();
    until(|| !test.in_memory("short"));
}

#[test]
fn a_time_beyond_the_clock_is_no_limit() {
    let (test, _home) = test();
    test.launch(LaunchRequest { unload_after_s: Some(1e19), ..test.request("a") });
    finish(test.start("a")).unwrap();
    assert!(test.in_memory("a"));
}

#[test]
fn memory_for_speech_detection_is_reserved_before_a_model_is_loaded() {
    let (test, _home) = test();
    let request = |uid: &str, vad| TranscribeRequest {
        model: ModelRef::Path(test.checkpoint(uid)),
        audio: AudioSource::Bytes(wav(1.0)),
        options: TranscribeOptions { vad, ..TranscribeOptions::default() },
        client: None,
    };
    // Enough for a second of samples and its decoding, not for a copy.
    let second_bytes = u64::from(mynah_audio::SAMPLE_RATE) * 4;
    let mut limit_bytes = second_bytes;
    loop {
        test.engine.request_memory().set_limit(limit_bytes);
        match finish(test.engine.transcribe(request("a", None)).unwrap()) {
            Ok(()) => break,
            Err(error) => assert!(matches!(error, Error::RequestMemoryLimit { .. }), "{error}"),
        }
        limit_bytes += second_bytes / 4;
    }
    let loads = test.loads();
    let error =
        finish(test.engine.transcribe(request("b", Some(VadOptions::default()))).unwrap()).unwrap_err();
    assert!(matches!(error, Error::RequestMemoryLimit { .. }), "{error}");
    assert_eq!(test.loads(), loads, "nothing is loaded for a request that cannot be served");
    assert_eq!(test.engine.request_memory().taken_bytes(), 0);
}

#[test]
fn the_least_recently_used_model_is_evicted() {
    let (test, _home) = test_with(|settings| settings.memory_budget_bytes = Some(2 * WEIGHT_BYTES + 50));
    test.launch(test.request("a"));
    test.launch(test.request("b"));
    finish(test.start("a")).unwrap();
    test.launch(test.request("c"));
    assert!(test.in_memory("a") && !test.in_memory("b") && test.in_memory("c"));

    test.hold_jobs(true);
    let (a, c) = (test.start("a"), test.start("c"));
    until(|| test.stage.jobs.load(Ordering::Acquire) == 3);
    let error = finish(test.start("b")).unwrap_err();
    let Error::ModelMemoryBudget { taken_bytes, needed_bytes, budget_bytes, .. } = error else {
        panic!("{error}")
    };
    assert_eq!((taken_bytes, needed_bytes, budget_bytes), (200, 100, 250));
    assert!(test.in_memory("a") && test.in_memory("c"), "those in use stay");
    test.hold_jobs(false);
    finish(a).unwrap();
    finish(c).unwrap();
    finish(test.start("b")).unwrap();

    for uid in ["a", "b", "c"] {
        test.engine.terminate(uid).unwrap();
    }
    test.launch(LaunchRequest { pinned: true, ..test.request("d") });
    test.launch(LaunchRequest { pinned: true, ..test.request("e") });
    let full = ready(test.engine.launch(test.request("f")).unwrap()).unwrap_err();
    assert!(matches!(full, Error::ModelMemoryBudget { .. }), "{full}");
}

#[test]
fn running_models_are_restored_after_a_restart_if_enabled() {
    let (first, home) = test();
    let (kept, lost) = (first.request("kept/中"), first.request("lost"));
    first.launch(LaunchRequest { pinned: true, compute: Some(ComputeType::F16), ..kept });
    first.launch(lost);
    first.launch(first.request("ended"));
    first.engine.terminate("ended").unwrap();
    fs::remove_dir_all(first.home.join("checkpoints/lost")).unwrap();

    let second = Test::new(home.path(), |settings| settings.restore_running = true);
    second.engine.restore();
    until(|| matches!(second.engine.find_running("kept/中"), Ok(Running { phase: Phase::Ready, .. })));
    let request = second.running("kept/中").request;
    assert!(request.pinned && request.compute == Some(ComputeType::F16));
    assert_eq!(second.engine.running().len(), 1);

    // Its weights are back: the launch was not forgotten.
    second.checkpoint("lost");
    let third = Test::new(home.path(), |settings| settings.restore_running = true);
    third.engine.restore();
    assert_eq!(third.engine.running().len(), 2);

    let fourth = Test::new(home.path(), |_| ());
    fourth.engine.restore();
    assert!(fourth.engine.running().is_empty());
    let fifth = Test::new(home.path(), |settings| settings.restore_running = true);
    fifth.engine.restore();
    assert!(fifth.engine.running().is_empty(), "records that were not restored are deleted");
}

#[test]
fn requests_load_models_only_if_enabled() {
    let (test, _home) = test_with(|settings| settings.load_on_request = false);
    assert!(matches!(test.engine.select("whisper-base"), Err(Error::NotRunning(_))));
    assert!(matches!(test.engine.select("unknown"), Err(Error::NotRunning(_))));
    assert!(test.engine.loadable("whisper-base").is_err());
    test.launch(test.request("whisper-base"));
    finish(test.start("whisper-base")).unwrap();
    finish(test.start("whisper-1")).unwrap();
    test.engine.serve_path("mine", test.checkpoint("mine")).unwrap();
    assert!(!test.in_memory("mine"));
    finish(test.start("mine")).unwrap();
    assert!(test.in_memory("mine"));
}

#[test]
fn models_loaded_by_requests_run_under_their_names() {
    let (test, _home) = test();
    let folder = test.checkpoint("mine");
    let definition = format!(
        r#"{{"model_name": "mine", "model_family": "whisper", "model_uri": "file://{}"}}"#,
        folder.display()
    );
    test.engine.register(&definition, true).unwrap();
    assert!(test.engine.running().is_empty());
    finish(test.start("mine")).unwrap();
    assert!(matches!(test.running("mine").model, ModelRef::Named(_)));
    assert!(matches!(test.engine.unregister("mine"), Err(Error::Registration(_))), "it runs");
    test.launch(LaunchRequest::new("mine"));
    assert_eq!((test.engine.running().len(), test.loads()), (1, 1));
    test.engine.terminate("mine").unwrap();
    test.launch(LaunchRequest { uid: Some("other".into()), ..LaunchRequest::new("mine") });
    let uids: Vec<String> = test.engine.running().into_iter().map(|running| running.uid).collect();
    assert_eq!(uids, ["other"], "its weights are not listed twice");
    test.engine.terminate("other").unwrap();
    fs::remove_dir_all(folder).unwrap();
    assert!(matches!(test.engine.launch(LaunchRequest::new("mine")), Err(Error::Launch(_))));
    assert!(test.engine.unregister("mine").unwrap());
    assert!(matches!(test.engine.select("mine"), Err(Error::UnknownModel { .. })));
}
