//! Two additional families, through the engine: all they need is a line in its registry.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mynah_audio::{EncodeOptions, OutputFormat};
use mynah_core::{
    LoadContext, ModelError, ModelFamily, ModelTask, SpeechOptions, Task, TranscribeOptions, Transcript,
    VadOptions, WhisperOptions,
};
use mynah_engine::{
    AudioSource, CheckpointInfo, Engine, Error, Launch, LaunchRequest, ModelRef, ReferenceSource, Settings,
    SpeakRequest, SpeechEvent, SpeechJob, SpeechResult, TranscribeRequest, TranscriptionEvent,
    TranscriptionJob,
};
use mynah_testkit::families::StandIn;
use mynah_testkit::families::scripted::{
    self, MAX_CHUNK_S, SPEECH_RATE_HZ, ScriptedTranscriber, ScriptedVoice,
};
use mynah_testkit::recording::{syllables_and_pauses, wav as wav_file};
use tempfile::TempDir;

use crate::jobs::until;
use crate::signal::wav;

/// Seconds of syllables and of the pause after them: 100 s in total. Whether a pause of one second ends a speech segment
/// depends on the options; longer ones always do.
const PHRASES_S: [(f32, f32); 12] = [
    (6.0, 2.0),
    (6.0, 1.0),
    (6.0, 1.0),
    (6.0, 2.0),
    (5.0, 1.0),
    (5.0, 2.0),
    (12.0, 3.0),
    (7.0, 1.0),
    (7.0, 1.0),
    (7.0, 1.0),
    (7.0, 1.0),
    (7.0, 3.0),
];

/// An engine with both families, and a checkpoint of each.
struct Test {
    engine: Engine,
    home: TempDir,
    listens: PathBuf,
    speaks: PathBuf,
}

fn open(home: &Path) -> Engine {
    let registry = mynah_models::registry().with(ScriptedTranscriber).with(ScriptedVoice);
    let settings = Settings { offline: true, ..Settings::new(home.join("mynah")) };
    Engine::open(settings, registry).unwrap()
}

fn test() -> Test {
    let home = tempfile::tempdir().unwrap();
    let (listens, speaks) = (home.path().join("listens"), home.path().join("speaks"));
    scripted::write(&listens, &ScriptedTranscriber, &["alpha", "beta", "gamma"]);
    scripted::write(&speaks, &ScriptedVoice, &[]);
    Test { engine: open(home.path()), home, listens, speaks }
}

impl Test {
    /// Registers both checkpoints under the names of their folders.
    fn register(&self) {
        let families: [(&Path, &dyn ModelFamily); 2] =
            [(&self.listens, &ScriptedTranscriber), (&self.speaks, &ScriptedVoice)];
        for (path, family) in families {
            let definition = serde_json::json!({
                "model_name": path.file_name().unwrap().to_str().unwrap(),
                "model_family": family.name(),
                "model_uri": format!("file://{}", path.display()),
            });
            self.engine.register(&definition.to_string(), true).unwrap();
        }
    }

    fn transcribe(&self, audio: Vec<u8>, options: TranscribeOptions) -> TranscriptionJob {
        let request = TranscribeRequest {
            model: ModelRef::Path(self.listens.clone()),
            audio: AudioSource::Bytes(audio),
            options,
            client: None,
        };
        self.engine.transcribe(request).unwrap()
    }

    fn in_memory(&self, uid: &str) -> bool {
        self.engine.find_running(uid).unwrap().in_memory
    }
}

fn ready(launch: Launch) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(launch.ready())
}

/// The times that a job reports as done, and its transcript.
fn progress_and_transcript(mut job: TranscriptionJob) -> Result<(Vec<f64>, Arc<Transcript>), Error> {
    let mut progress = Vec::new();
    loop {
        match job.next_blocking().expect("a last event") {
            TranscriptionEvent::Progress(done_s) => progress.push(done_s),
            TranscriptionEvent::Done(transcript) => return Ok((progress, transcript)),
            TranscriptionEvent::Failed(error) => return Err(error),
            _ => {}
        }
    }
}

fn finish(job: TranscriptionJob) -> Result<Arc<Transcript>, Error> {
    progress_and_transcript(job).map(|(_, transcript)| transcript)
}

fn spoken(mut job: SpeechJob) -> Result<(Vec<u8>, SpeechResult), Error> {
    let mut audio = Vec::new();
    loop {
        match job.next_blocking().expect("a last event") {
            SpeechEvent::Audio(piece) => audio.extend_from_slice(&piece),
            SpeechEvent::Done(spoken) => return Ok((audio, spoken)),
            SpeechEvent::Failed(error) => return Err(error),
            _ => {}
        }
    }
}

fn refused(error: Error) -> &'static str {
    match error {
        Error::Model(ModelError::UnsupportedOption { name, .. }) => name,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_long_recording_is_cut_into_chunks_in_its_pauses() {
    let test = test();
    let audio = wav_file(&syllables_and_pauses(&PHRASES_S));
    // Speech segments shorter than a chunk, and longer ones with pauses in them.
    let long_stretches = VadOptions { silence_duration_ms: 1600, ..VadOptions::default() };
    for vad in [None, Some(VadOptions::default()), Some(long_stretches)] {
        let options = TranscribeOptions { vad: vad.clone(), ..TranscribeOptions::default() };
        let (progress, transcript) =
            progress_and_transcript(test.transcribe(audio.clone(), options)).unwrap();
        let times: Vec<_> = transcript.segments.iter().map(|s| (s.start_s, s.end_s)).collect();
        assert!(times.len() >= 7, "{vad:?}: {times:?}");
        assert!(times.iter().all(|(start_s, end_s)| start_s < end_s && end_s - start_s <= MAX_CHUNK_S));
        assert!(times.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{vad:?}: {times:?}");
        assert!(times[0].0 >= 0.0 && times.last().unwrap().1 <= 100.0);
        // Every phrase's middle is in a chunk.
        let mut start_s = 0.0;
        for (syllables_s, pause_s) in PHRASES_S {
            let middle_s = f64::from(start_s + syllables_s / 2.0);
            assert!(times.iter().any(|(from, to)| (*from..*to).contains(&middle_s)), "{middle_s}: {times:?}");
            start_s += syllables_s + pause_s;
        }
        for (id, segment) in transcript.segments.iter().enumerate() {
            assert_eq!((segment.id, segment.decoding.is_none()), (id, true));
            assert!(segment.text.starts_with(" alpha beta gamma alpha"), "{:?}", segment.text);
            let words = segment.text.split_whitespace().count() as f64;
            assert!((words - (segment.end_s - segment.start_s)).abs() <= 1.0, "one word per second");
        }
        assert!(progress.is_sorted() && progress.len() > times.len(), "{progress:?}");
        assert_eq!((progress.last(), transcript.duration_s), (Some(&100.0), 100.0));
        assert_eq!((transcript.language.as_str(), transcript.task), ("en", Task::Transcribe));
    }
    assert_eq!(finish(test.transcribe(wav(5.0), TranscribeOptions::default())).unwrap().text(), "");
}

#[test]
fn unsupported_options_are_refused_by_name() {
    let test = test();
    test.register();
    let ask = |name: &'static str, change: &dyn Fn(&mut TranscribeOptions)| {
        let mut options = TranscribeOptions::default();
        change(&mut options);
        // The capabilities of a checkpoint at a path are known once it is loaded.
        assert_eq!(refused(finish(test.transcribe(wav(1.0), options.clone())).unwrap_err()), name);
        // Those of a catalogue model are known before.
        let request = TranscribeRequest {
            model: test.engine.resolve("listens").unwrap(),
            audio: AudioSource::Bytes(wav(1.0)),
            options,
            client: None,
        };
        assert_eq!(refused(test.engine.transcribe(request).unwrap_err()), name);
    };
    ask("word_timestamps", &|options| options.word_timestamps = true);
    ask("prompt", &|options| options.initial_prompt = Some("Mynah".into()));
    ask("hotwords", &|options| options.hotwords = vec!["Mynah".into()]);
    ask("beam_size", &|options| options.whisper = WhisperOptions { beam_size: 1, ..Default::default() });
    ask("task", &|options| options.task = Task::Translate);
    ask("language", &|options| options.language = Some("de".into()));
    assert!(test.engine.models().iter().all(|model| !model.loaded), "nothing was loaded by name");
    let english = TranscribeOptions { language: Some("en".into()), ..TranscribeOptions::default() };
    finish(test.transcribe(wav(1.0), english)).unwrap();
}

#[test]
fn an_undeclared_single_language_is_known_once_the_model_is_loaded() {
    let home = tempfile::tempdir().unwrap();
    let checkpoint = home.path().join("checkpoint");
    fs::create_dir(&checkpoint).unwrap();
    let load = |_: &Path, _: &LoadContext| Err(ModelError::Weights("it was to be loaded".into()));
    let registry = mynah_models::registry().with(StandIn::whisper(load));
    let settings = Settings { offline: true, ..Settings::new(home.path().join("mynah")) };
    let engine = Engine::open(settings, registry).unwrap();
    let definition = serde_json::json!({
        "model_name": "mine", "model_family": "whisper", "multilingual": false,
        "model_uri": format!("file://{}", checkpoint.display()),
    });
    engine.register(&definition.to_string(), false).unwrap();
    let start = |options| {
        let (model, audio) = (engine.resolve("mine").unwrap(), AudioSource::Bytes(wav(1.0)));
        engine.transcribe(TranscribeRequest { model, audio, options, client: None })
    };
    let english = TranscribeOptions { language: Some("en".into()), ..TranscribeOptions::default() };
    let error = finish(start(english).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "it was to be loaded");
    let translate = TranscribeOptions { task: Task::Translate, ..TranscribeOptions::default() };
    assert_eq!(refused(start(translate).unwrap_err()), "task");
}

#[test]
fn models_of_both_families_are_launched_listed_and_unloaded_like_any_other() {
    let test = test();
    test.register();
    let engine = &test.engine;
    for (uid, family, task) in
        [("listens", "scripted", ModelTask::Transcription), ("speaks", "scripted-voice", ModelTask::Speech)]
    {
        let status = engine.models().into_iter().find(|model| model.entry.name == uid).unwrap();
        assert_eq!((status.entry.family.as_str(), status.entry.task), (family, task));
        assert!(status.on_disk.is_some() && !status.loaded);
        ready(engine.launch(LaunchRequest::new(uid)).unwrap()).unwrap();
        let status = engine.models().into_iter().find(|model| model.entry.name == uid).unwrap();
        assert!(status.loaded && test.in_memory(uid));
    }
    let listed =
        |name: &str| engine.models().into_iter().find(|model| model.entry.name == name).unwrap().entry;
    assert_eq!(listed("listens").languages, ["en"]);
    assert!(listed("speaks").languages.is_empty());
    let uids = || engine.running().into_iter().map(|running| running.uid).collect::<Vec<_>>();
    assert_eq!(uids(), ["listens", "speaks"]);

    // A checkpoint without a catalogue entry.
    engine.serve_path("mine", test.listens.clone()).unwrap();
    let expected =
        CheckpointInfo { family: "scripted", task: ModelTask::Transcription, languages: vec!["en".into()] };
    assert_eq!(engine.find_running("mine").unwrap().checkpoint, Some(expected));
    assert!(!test.in_memory("mine"));
    finish(test.transcribe(wav(1.0), TranscribeOptions::default())).unwrap();
    assert!(test.in_memory("mine"));

    // Another checkpoint of the same family, and one of another family.
    let other = test.home.path().join("other");
    scripted::write(&other, &ScriptedTranscriber, &["delta"]);
    let launch = |path: &Path| {
        let path = Some(path.to_owned());
        engine.launch(LaunchRequest { uid: Some("other".into()), path, ..LaunchRequest::new("listens") })
    };
    let Err(Error::Launch(reason)) = launch(&test.speaks) else { panic!("it is of another family") };
    assert!(reason.contains("holds no scripted model"), "{reason}");
    ready(launch(&other).unwrap()).unwrap();
    assert_eq!(uids(), ["listens", "mine", "other", "speaks"]);

    for uid in ["listens", "mine", "other", "speaks"] {
        engine.terminate(uid).unwrap();
    }
    assert!(engine.running().is_empty() && engine.models().iter().all(|model| !model.loaded));
    let idle = LaunchRequest { unload_after_s: Some(0.1), ..LaunchRequest::new("speaks") };
    ready(engine.launch(idle).unwrap()).unwrap();
    until(|| !test.in_memory("speaks"));
}

#[test]
fn registered_models_return_if_their_family_is_in_the_registry() {
    let test = test();
    test.register();
    assert!(open(test.home.path()).resolve("listens").is_ok());
    let settings = Settings { offline: true, ..Settings::new(test.home.path().join("mynah")) };
    assert!(matches!(
        Engine::open(settings, mynah_models::registry()).unwrap().resolve("listens"),
        Err(Error::UnknownModel { .. })
    ));
    let unknown = r#"{"model_name": "x", "model_family": "scripted-choir", "model_uri": "/a"}"#;
    let error = test.engine.register(unknown, false).unwrap_err().to_string();
    assert!(error.contains("scripted or scripted-voice"), "{error}");
    // A folder that no family recognises.
    fs::write(test.listens.join("script.json"), "{").unwrap();
    let error = finish(test.transcribe(wav(1.0), TranscribeOptions::default())).unwrap_err();
    assert!(error.to_string().contains("scripted or scripted-voice model"), "{error}");
}

#[test]
fn concurrent_jobs_share_the_device_and_an_unread_job_delays_no_other() {
    let test = test();
    let audio = wav_file(&syllables_and_pauses(&PHRASES_S));
    let start = || test.transcribe(audio.clone(), TranscribeOptions::default());
    let (one, two) = (start(), start());
    let (one, two) = (finish(one).unwrap(), finish(two).unwrap());
    assert_eq!(one, two);
    let entered: u64 = test.engine.batch_stats().sequences.counts().iter().sum();
    assert_eq!(entered, 2 * one.segments.len() as u64);

    // More segments than are buffered for a reader.
    let many = wav_file(&syllables_and_pauses(&[(0.6, 1.6); 300]));
    let unread = test.transcribe(many, TranscribeOptions::default());
    assert_eq!(finish(start()).unwrap(), one);
    unread.cancel();
    assert!(matches!(finish(unread), Err(Error::Cancelled)));
    until(|| test.engine.jobs() == 0);
}

#[test]
fn the_voice_speaks_and_refuses_unsupported_options_by_name() {
    let test = test();
    test.register();
    let request = |options: SpeechOptions, text: &str| SpeakRequest {
        model: test.engine.resolve("speaks").unwrap(),
        text: text.to_owned(),
        options,
        format: OutputFormat::Pcm,
        encoding: EncodeOptions::default(),
        client: None,
    };
    let plain = || request(SpeechOptions::default(), "One two, three.");
    let (audio, end) = spoken(test.engine.speak(plain()).unwrap()).unwrap();
    // Three words of a quarter of a second, 16 bits per sample.
    assert_eq!(audio.len(), 2 * 3 * SPEECH_RATE_HZ as usize / 4);
    assert_eq!((end.duration_s, end.tokens.input, end.tokens.output), (0.75, 3, 3));
    let words: Vec<_> =
        end.words.iter().map(|word| (word.text.as_str(), word.range.clone(), word.start_s)).collect();
    assert_eq!(words, [("One", 0..3, 0.0), ("two,", 4..8, 0.25), ("three.", 9..15, 0.5)]);
    let fast = SpeechOptions { speed: 2.0, ..SpeechOptions::default() };
    assert_eq!(spoken(test.engine.speak(request(fast, "One")).unwrap()).unwrap().1.duration_s, 0.125);

    let refuse = |options| refused(test.engine.speak(request(options, "One")).unwrap_err());
    let instructions = Some("cheerfully".to_owned());
    assert_eq!(refuse(SpeechOptions { instructions, ..Default::default() }), "instructions");
    assert_eq!(refuse(SpeechOptions { refine_text: true, ..Default::default() }), "refine_text");
    let like = ReferenceSource { audio: AudioSource::Bytes(wav(1.0)), transcript: "One.".into() };
    assert_eq!(refused(test.engine.speak_with_reference(plain(), like).unwrap_err()), "prompt_speech");
    // The same at a path, where they are known once it is loaded.
    let options = SpeechOptions { refine_text: true, ..SpeechOptions::default() };
    let at_path = SpeakRequest { model: ModelRef::Path(test.speaks.clone()), ..request(options, "One") };
    assert_eq!(refused(spoken(test.engine.speak(at_path).unwrap()).unwrap_err()), "refine_text");
    let listens = SpeakRequest { model: ModelRef::Path(test.listens.clone()), ..plain() };
    assert!(matches!(spoken(test.engine.speak(listens).unwrap()), Err(Error::WrongTask { .. })));

    // A long text is not synthesized far ahead of its reader, and stops when cancelled.
    let long = test.engine.speak(request(SpeechOptions::default(), &"word ".repeat(10_000))).unwrap();
    spoken(test.engine.speak(plain()).unwrap()).unwrap();
    long.cancel();
    assert!(matches!(spoken(long), Err(Error::Cancelled)));
}
