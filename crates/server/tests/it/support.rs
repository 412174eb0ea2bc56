//! A scripted model, requests in every form, and answers taken apart.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use mynah_core::{
    AudioInput, AudioSink, BatchShare, CancelFlag, Capabilities, DecodingStats, JobContext, LoadContext,
    Model, ModelError, ModelFamily, ModelTask, Segment, SpeechCapabilities, SpeechOptions, SpokenWord,
    Synthesizer, TokenCounts, TokenLogprob, TranscribeOptions, Transcriber, Transcript, TranscriptEvent,
    TranscriptSink, TranscriptionCapabilities, Word,
};
use mynah_engine::{Engine, Settings};
use mynah_server::auth::{Auth, AuthConfig};
use mynah_server::{Control, LocalModel, ServerConfig, router_and_control};
use mynah_testkit::families::{StandIn, any_speech, any_transcription};
use mynah_testkit::recording::{RATE_HZ, wav};
use serde_json::Value;
use tower::ServiceExt;

/// The error of a checkpoint that is damaged.
fn damaged() -> ModelError {
    ModelError::Weights("damaged is damaged: secret reason".into())
}

/// What the scripted model saw.
#[derive(Default)]
pub(crate) struct Seen {
    options: Mutex<Option<TranscribeOptions>>,
    speech: Mutex<Option<(String, SpeechOptions)>>,
    jobs: AtomicUsize,
    cancelled: AtomicBool,
}

impl Seen {
    /// Options of the last job.
    pub(crate) fn options(&self) -> TranscribeOptions {
        self.options.lock().unwrap().clone().expect("no job ran")
    }

    /// Text and options of the last speech.
    pub(crate) fn speech(&self) -> (String, SpeechOptions) {
        self.speech.lock().unwrap().clone().expect("nothing was spoken")
    }

    /// Transcriptions that have begun.
    pub(crate) fn jobs(&self) -> usize {
        self.jobs.load(Ordering::Acquire)
    }

    /// Whether no job ran.
    pub(crate) fn nothing(&self) -> bool {
        self.options.lock().unwrap().is_none() && self.speech.lock().unwrap().is_none()
    }

    /// Waits until a job that had reached its model was cancelled.
    pub(crate) async fn cancellation(&self) {
        tokio::time::timeout(Duration::from_secs(120), async {
            while !self.cancelled.load(Ordering::Acquire) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("the job goes on though its client has left");
    }
}

/// In a checkpoint's folder: it is not loaded while there is such a file.
pub(crate) const HOLD_LOADING: &str = "hold-loading";
/// In a checkpoint's folder: jobs do not end while there is such a file.
pub(crate) const HOLD_JOBS: &str = "hold-jobs";

fn wait_while_there_is(path: PathBuf, cancel: &CancelFlag) -> Result<(), ModelError> {
    while path.exists() {
        cancel.check()?;
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Transcribes any audio to the same two sentences. Its name determines what else it does.
struct Scripted {
    name: String,
    seen: Arc<Seen>,
}

impl Transcriber for Scripted {
    fn capabilities(&self) -> TranscriptionCapabilities {
        match self.name.as_str() {
            "english" => TranscriptionCapabilities {
                languages: vec!["en".to_owned()],
                translates: false,
                ..any_transcription()
            },
            _ => any_transcription(),
        }
    }

    fn transcribe(
        &self,
        audio: AudioInput<'_>,
        options: &TranscribeOptions,
        context: JobContext<'_>,
        sink: &mut dyn TranscriptSink,
    ) -> Result<Transcript, ModelError> {
        let cancel = context.cancel;
        *self.seen.options.lock().unwrap() = Some(options.clone());
        self.seen.jobs.fetch_add(1, Ordering::AcqRel);
        // One window, and one step with five beams.
        drop(context.enter_batch(0.0, BatchShare::WHOLE)?);
        context.scheduler.record_step(5);
        wait_while_there_is(Path::new(&self.name).join(HOLD_JOBS), cancel)?;
        let language = options.language.clone().or_else(|| options.allowed_languages.first().cloned());
        let language = language.unwrap_or_else(|| "en".to_owned());
        sink.event(TranscriptEvent::Language(language.clone(), 0.9));
        assert!(self.name != "panics", "as the script says");
        let texts = match self.name.as_str() {
            "silent" => [" ", ""],
            _ => [" Hello, world.", " It's (really) \"me\"! "],
        };
        let mut segments = Vec::new();
        for (id, text) in texts.into_iter().enumerate() {
            let segment = Arc::new(segment(id, text, options));
            sink.event(TranscriptEvent::Segment(Arc::clone(&segment)));
            segments.push(segment);
            if self.name == "slow" {
                while !cancel.is_cancelled() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                self.seen.cancelled.store(true, Ordering::Release);
                return Err(ModelError::Cancelled);
            }
            if self.name == "fails" {
                return Err(ModelError::InvalidInput("this went wrong half way".into()));
            }
        }
        Ok(Transcript {
            task: options.task,
            language,
            language_probability: 0.9,
            languages: Vec::new(),
            duration_s: audio.samples.len() as f64 / 16_000.0,
            segments,
        })
    }
}

/// Samples a second of scripted speech.
pub(crate) const SPEECH_RATE_HZ: u32 = 24_000;

impl Synthesizer for Scripted {
    fn capabilities(&self) -> SpeechCapabilities {
        SpeechCapabilities { instructions: self.name != "scripted", ..any_speech() }
    }

    fn sample_rate_hz(&self) -> u32 {
        SPEECH_RATE_HZ
    }

    /// Speaks every word as half a second of a tone.
    fn synthesize(
        &self,
        text: &str,
        options: &SpeechOptions,
        context: JobContext<'_>,
        sink: &mut dyn AudioSink,
    ) -> Result<TokenCounts, ModelError> {
        let cancel = context.cancel;
        *self.seen.speech.lock().unwrap() = Some((text.to_owned(), options.clone()));
        if !text.is_ascii() {
            return Err(ModelError::Script { script: "Chinese", sample: text.chars().take(8).collect() });
        }
        assert!(self.name != "panics", "as the script says");
        let tone: Vec<f32> =
            (0..SPEECH_RATE_HZ / 2).map(|i| (f64::from(i) * 0.1).sin() as f32 * 0.25).collect();
        context.scheduler.record_step(3);
        for (n, word) in text.split_whitespace().enumerate() {
            let step = context.step()?;
            sink.samples(&tone)?;
            drop(step);
            let start_s = 0.5 * n as f64;
            sink.word(SpokenWord { text: word.to_owned(), range: 0..0, start_s, end_s: start_s + 0.5 });
            if self.name == "slow" {
                while !cancel.is_cancelled() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                self.seen.cancelled.store(true, Ordering::Release);
                return Err(ModelError::Cancelled);
            }
            if self.name == "fails" {
                return Err(ModelError::InvalidInput("this went wrong half way".into()));
            }
        }
        Ok(TokenCounts { input: text.len() as u64, output: 7 })
    }
}

fn segment(id: usize, text: &str, options: &TranscribeOptions) -> Segment {
    let start_s = id as f64;
    let words = text.split_inclusive(' ').map(str::trim_end).filter(|word| !word.is_empty()).enumerate();
    let words = words.map(|(n, word)| Word {
        text: format!(" {word}"),
        start_s: start_s + 0.1 * n as f64,
        end_s: start_s + 0.1 * (n + 1) as f64,
        probability: 0.5,
    });
    Segment {
        id,
        start_s,
        end_s: start_s + 1.0,
        text: text.to_owned(),
        tokens: vec![50364, 15947, 50414],
        logprobs: vec![TokenLogprob { id: 15947, bytes: text.as_bytes().to_vec(), logprob: -0.25 }],
        decoding: Some(DecodingStats {
            seek_frames: 0,
            temperature: 0.2,
            avg_logprob: -0.3,
            compression_ratio: 1.25,
            no_speech_prob: 0.01,
        }),
        words: if options.word_timestamps { words.collect() } else { Vec::new() },
        ..Segment::default()
    }
}

/// The end of the names of checkpoints that speak.
const VOICE: &str = "-voice";

/// A scripted family in the place of one that speaks. It has the checkpoints of that family.
struct ScriptedVoice {
    real: Arc<dyn ModelFamily>,
    seen: Arc<Seen>,
}

impl ModelFamily for ScriptedVoice {
    fn name(&self) -> &'static str {
        self.real.name()
    }

    fn task(&self) -> ModelTask {
        ModelTask::Speech
    }

    fn capabilities(&self, _languages: &[String]) -> Capabilities {
        Capabilities::Speech(any_speech())
    }

    fn detect(&self, path: &Path) -> Result<bool, ModelError> {
        Ok(path.to_string_lossy().ends_with(VOICE) || self.real.detect(path)?)
    }

    fn select_files<'a>(&self, names: &[&'a str]) -> Result<Vec<&'a str>, &'static str> {
        self.real.select_files(names)
    }

    fn load(&self, path: &Path, _context: &LoadContext) -> Result<Model, ModelError> {
        let name = path.to_string_lossy();
        let name = name.strip_suffix(VOICE).unwrap_or(&name).to_owned();
        if name == "damaged" {
            return Err(damaged());
        }
        Ok(Model::Synthesizer(Arc::new(Scripted { name, seen: Arc::clone(&self.seen) })))
    }
}

/// A server with scripted models.
pub(crate) struct App {
    pub(crate) router: Router,
    pub(crate) control: Control,
    pub(crate) engine: Engine,
    pub(crate) seen: Arc<Seen>,
    pub(crate) home: tempfile::TempDir,
}

/// A server with default settings.
pub(crate) fn app() -> App {
    app_with(|_| {})
}

/// A server whose settings are changed by `change`.
pub(crate) fn app_with(change: impl FnOnce(&mut ServerConfig)) -> App {
    let home = tempfile::tempdir().unwrap();
    app_at(home, |_| {}, change)
}

/// A server whose files are in `home`, and whose engine's settings are changed as well.
pub(crate) fn app_at(
    home: tempfile::TempDir,
    change_engine: impl FnOnce(&mut Settings),
    change: impl FnOnce(&mut ServerConfig),
) -> App {
    let mut settings = Settings::new(home.path());
    settings.offline = true;
    settings.queue_length = 4;
    change_engine(&mut settings);
    let seen = Arc::new(Seen::default());
    let load = {
        let seen = Arc::clone(&seen);
        move |path: &Path, _: &LoadContext| -> Result<Arc<dyn Transcriber>, ModelError> {
            wait_while_there_is(path.join(HOLD_LOADING), &CancelFlag::new())?;
            let name = path.to_string_lossy().into_owned();
            if name == "damaged" {
                return Err(damaged());
            }
            Ok(Arc::new(Scripted { name, seen: Arc::clone(&seen) }))
        }
    };
    let mut registry = mynah_models::registry();
    for family in mynah_models::registry().families() {
        if family.task() == ModelTask::Speech {
            registry = registry.with(ScriptedVoice { real: Arc::clone(family), seen: Arc::clone(&seen) });
        }
    }
    // It takes every checkpoint that is left, so it is asked last.
    let engine = Engine::open(settings, registry.with(StandIn::whisper(load))).unwrap();
    let names = ["scripted", "silent", "english", "panics", "slow", "fails", "damaged"];
    let voices = ["scripted", "panics", "slow", "fails", "damaged"].map(|name| format!("{name}{VOICE}"));
    let names = names.into_iter().map(str::to_owned).chain(voices);
    let local_models: Vec<LocalModel> =
        names.map(|name| LocalModel { path: name.clone().into(), name }).collect();
    let mut config = ServerConfig { local_models, ..ServerConfig::default() };
    change(&mut config);
    engine.restore();
    let (router, control) = router_and_control(engine.clone(), config);
    App { router, control, engine, seen, home }
}

/// Keys with all scopes, and nothing else.
pub(crate) fn keys(keys: &[&str]) -> Auth {
    let api_keys = keys.iter().map(|key| (*key).to_owned()).collect();
    Auth::new(AuthConfig { api_keys, ..AuthConfig::default() }, None).unwrap()
}

/// An answer with its whole body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Data of the server-sent events.
    pub(crate) fn events(&self) -> Vec<Value> {
        let events = self.text().split_terminator("\n\n");
        events.map(|event| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap()).collect()
    }

    /// The error object, after checking that the body has the shape that all errors have.
    #[track_caller]
    pub(crate) fn error(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/json");
        let body = self.json();
        let error = body["error"].as_object().expect("no error object");
        let keys: Vec<&str> = error.keys().map(String::as_str).collect();
        assert_eq!(keys, ["code", "message", "param", "type"]);
        assert_eq!(body["detail"], error["message"], "both clients read the same message");
        assert!(!error["message"].as_str().unwrap().is_empty());
        body["error"].clone()
    }
}

/// Sends a request and waits for the whole answer.
pub(crate) async fn send(router: Router, request: Request<Body>) -> Answer {
    let response = router.oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

impl App {
    /// Waits until no job is under way. Those of the model `slow` end only when they are cancelled, before they reach it
    /// or there.
    pub(crate) async fn all_stopped(&self) {
        tokio::time::timeout(Duration::from_secs(120), async {
            while self.engine.jobs() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("the job goes on though no one waits for it");
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        send(self.router.clone(), request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// The same as OpenAI's clients send it.
    pub(crate) async fn get_as_openai(&self, path: &str) -> Answer {
        let request = Request::get(path).header("x-stainless-lang", "python");
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Request::delete(path).body(Body::empty()).unwrap()).await
    }

    /// A JSON body to a path.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(json(path, body.to_string())).await
    }

    /// Two seconds of sound and these parameters to `/v1/audio/transcriptions`; the model is `scripted` unless named.
    pub(crate) async fn transcribe(&self, fields: &[(&str, &str)]) -> Answer {
        self.send(form(TRANSCRIPTIONS, &with_model(fields), Some(&sound()))).await
    }

    /// These members as JSON to `/v1/audio/speech`; the model is `scripted-voice` and the input three words unless named.
    pub(crate) async fn speak(&self, members: &Value) -> Answer {
        self.send(json(SPEECH, speech_body(members).to_string())).await
    }

    /// The same to `/v1/audio/translations`.
    pub(crate) async fn translate(&self, fields: &[(&str, &str)]) -> Answer {
        self.send(form(TRANSLATIONS, &with_model(fields), Some(&sound()))).await
    }
}

pub(crate) const TRANSCRIPTIONS: &str = "/v1/audio/transcriptions";
/// A whole body for `/v1/audio/speech`.
pub(crate) fn speech_body(members: &Value) -> Value {
    let mut body = serde_json::json!({"model": "scripted-voice", "input": "one two three"});
    for (name, value) in members.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

pub(crate) const SPEECH: &str = "/v1/audio/speech";
pub(crate) const TRANSLATIONS: &str = "/v1/audio/translations";

fn with_model<'a>(fields: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut all = fields.to_vec();
    if !fields.iter().any(|(name, _)| *name == "model") {
        all.push(("model", "scripted"));
    }
    all
}

pub(crate) const BOUNDARY: &str = "a-boundary";

/// A multipart request; the file comes last, as Python's clients send it.
pub(crate) fn form(path: &str, fields: &[(&str, &str)], file: Option<&[u8]>) -> Request<Body> {
    let mut body = Vec::new();
    for (name, value) in fields {
        body.extend_from_slice(part(name, None).as_bytes());
        body.extend_from_slice(value.as_bytes());
        body.extend_from_slice(b"\r\n");
    }
    if let Some(file) = file {
        body.extend_from_slice(part("file", Some("upload")).as_bytes());
        body.extend_from_slice(file);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    multipart(path, Body::from(body))
}

/// The head of a part.
pub(crate) fn part(name: &str, filename: Option<&str>) -> String {
    let filename =
        filename.map(|name| format!("; filename=\"{name}\"\r\nContent-Type: application/octet-stream"));
    let filename = filename.unwrap_or_default();
    format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{filename}\r\n\r\n")
}

/// A request with this multipart body.
pub(crate) fn multipart(path: &str, body: Body) -> Request<Body> {
    let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
    Request::post(path).header("content-type", content_type).body(body).unwrap()
}

/// A request with this JSON body.
pub(crate) fn json(path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post(path).header("content-type", "application/json").body(body.into()).unwrap()
}

/// Two seconds of a 440 Hz tone: a wave file of 16-bit samples at 16 kHz.
pub(crate) fn sound() -> Vec<u8> {
    let samples: Vec<f32> = (0..2 * RATE_HZ)
        .map(|n| 0.25 * (n as f32 * 440.0 / RATE_HZ as f32 * std::f32::consts::TAU).sin())
        .collect();
    wav(&samples)
}
