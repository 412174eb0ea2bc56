//! Requests: the first line is method, path and content type, the rest is the body.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use mynah_core::{
    AudioInput, AudioSink, JobContext, ModelError, SpeechCapabilities, SpeechOptions, Synthesizer,
    TokenCounts, TranscribeOptions, Transcriber, Transcript, TranscriptSink, TranscriptionCapabilities,
};
use mynah_engine::{Engine, Settings};
use mynah_server::{Limits, LocalModel, ServerConfig, router};
use mynah_testkit::families::{StandIn, any_speech, any_transcription};
use tempfile::TempDir;
use tower::ServiceExt;

/// A model that transcribes nothing and speaks a click.
struct Scripted;

impl Transcriber for Scripted {
    fn capabilities(&self) -> TranscriptionCapabilities {
        any_transcription()
    }

    fn transcribe(
        &self,
        audio: AudioInput<'_>,
        options: &TranscribeOptions,
        _: JobContext<'_>,
        _: &mut dyn TranscriptSink,
    ) -> Result<Transcript, ModelError> {
        Ok(Transcript {
            task: options.task,
            language: options.language.clone().unwrap_or_else(|| "en".into()),
            language_probability: 1.0,
            languages: Vec::new(),
            duration_s: audio.samples.len() as f64 / 16_000.0,
            segments: Vec::new(),
        })
    }
}

impl Synthesizer for Scripted {
    fn capabilities(&self) -> SpeechCapabilities {
        any_speech()
    }

    fn sample_rate_hz(&self) -> u32 {
        24_000
    }

    fn synthesize(
        &self,
        _: &str,
        _: &SpeechOptions,
        _: JobContext<'_>,
        sink: &mut dyn AudioSink,
    ) -> Result<TokenCounts, ModelError> {
        sink.samples(&[0.5; 2400])?;
        Ok(TokenCounts { input: 1, output: 1 })
    }
}

/// A server with a home of its own.
fn server() -> (Router, TempDir) {
    let home = tempfile::tempdir().expect("a folder");
    let mut settings = Settings::new(home.path());
    settings.offline = true;
    settings.decode_limits.max_duration_s = 20.0;
    let registry = mynah_models::registry()
        .with(StandIn::whisper(|_, _| Ok(Arc::new(Scripted))))
        .with(StandIn::hibari(|_, _| Ok(Arc::new(Scripted))));
    let engine = Engine::open(settings, registry).expect("an engine");
    let model = LocalModel { name: "m".into(), path: home.path().to_owned() };
    let limits = Limits {
        max_upload_bytes: 1 << 20,
        upload_memory_threshold_bytes: 1 << 10,
        max_parts: 50,
        ..Limits::default()
    };
    (router(engine, ServerConfig { local_models: vec![model], limits, ..ServerConfig::default() }), home)
}

/// Sends the request and reads the response, which is never a 500.
pub fn run(input: &[u8]) {
    static SERVER: LazyLock<(Router, TempDir)> = LazyLock::new(server);
    static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
    });
    let end = input.iter().position(|&byte| byte == b'\n').unwrap_or(input.len());
    let body = input.get(end + 1..).unwrap_or_default().to_vec();
    let mut head = input[..end].splitn(3, |&byte| byte == b' ');
    let mut next = || head.next().unwrap_or_default();
    let request = Request::builder().method(next()).uri(next()).header("content-type", next());
    let Ok(request) = request.body(Body::from(body)) else { return };
    // Registered models would change the meaning of later requests.
    if request.uri().path().starts_with("/v1/clusters") {
        return;
    }
    let (status, answer) = RUNTIME.block_on(async {
        let response = SERVER.0.clone().oneshot(request).await.expect("routes always respond");
        let status = response.status();
        (status, to_bytes(response.into_body(), 16 << 20).await)
    });
    // 503: a model that is missing while offline.
    assert!(status != 500, "{status}: {:?}", answer.map(|body| String::from_utf8_lossy(&body).into_owned()));
}
