//! Streamed speech responses.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::{Stream, stream};
use mynah_api::{SpeechStreamEvent, SpeechUsage};
use mynah_audio::OutputFormat;
use mynah_engine::{SpeechEvent, SpeechJob, SpeechResult};

use super::sse::{self, data, streaming_headers};
use crate::error::ApiError;
use crate::jobs::TimedJob;

/// Name of the voice that was used; for the name of another service's voice, one of ours.
const VOICE: HeaderName = HeaderName::from_static("x-mynah-voice");

/// Streams the bytes of the audio. A failure before the first byte is an error response; a later one aborts the connection,
/// as the format has no other way to report it.
pub(crate) async fn bytes(job: TimedJob<SpeechJob>, format: OutputFormat) -> Result<Response, ApiError> {
    let (speech, voice) = SpeechStream::begin(job).await?;
    let body = Body::from_stream(stream::unfold(speech, |mut speech| async move {
        let piece = match speech.next().await? {
            Ok(Piece::Audio(bytes)) => Ok(bytes),
            Ok(Piece::End(_)) => return None,
            Err(error) => {
                tracing::warn!("speech response aborted: {}", error.message());
                Err(std::io::Error::other(error.message().to_owned()))
            }
        };
        Some((piece, speech))
    }));
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static(format.content_type()))];
    Ok((streaming_headers(), voice, content_type, body).into_response())
}

/// Streams server-sent events.
pub(crate) async fn events(job: TimedJob<SpeechJob>, words: bool) -> Result<Response, ApiError> {
    let (speech, voice) = SpeechStream::begin(job).await?;
    Ok((voice, sse::response(speech.into_events(words))).into_response())
}

fn done(spoken: &SpeechResult, words: bool) -> SpeechStreamEvent {
    let (input_tokens, output_tokens) = (spoken.tokens.input, spoken.tokens.output);
    SpeechStreamEvent::Done {
        usage: SpeechUsage { input_tokens, output_tokens, total_tokens: input_tokens + output_tokens },
        words: words.then(|| mynah_format::spoken_words(&spoken.words)),
    }
}

/// The chunks of a speech job.
struct SpeechStream {
    job: TimedJob<SpeechJob>,
    first: Option<Piece>,
    ended: bool,
}

enum Piece {
    Audio(Bytes),
    End(SpeechResult),
}

impl SpeechStream {
    /// Waits for the first audio; the voice is reported in a header.
    async fn begin(job: TimedJob<SpeechJob>) -> Result<(Self, HeaderMap), ApiError> {
        let mut speech = Self { job, first: None, ended: false };
        let mut headers = HeaderMap::new();
        let first = loop {
            match speech.job.next().await? {
                SpeechEvent::Started { voice } => {
                    let voice = voice.and_then(|voice| HeaderValue::try_from(voice).ok());
                    headers.extend(voice.map(|voice| (VOICE, voice)));
                }
                event => {
                    if let Some(piece) = piece(event) {
                        break piece;
                    }
                }
            }
        };
        speech.first = Some(first);
        Ok((speech, headers))
    }

    /// Its events. `words`: the last one has the words.
    fn into_events(self, words: bool) -> impl Stream<Item = Event> {
        stream::unfold(self, move |mut this| async move {
            let event = match this.next().await? {
                Ok(Piece::Audio(bytes)) => {
                    data(&SpeechStreamEvent::Delta { audio: BASE64_STANDARD.encode(&bytes) })
                }
                Ok(Piece::End(spoken)) => data(&done(&spoken, words)),
                Err(error) => data(&error.body()),
            };
            Some((event, this))
        })
    }

    /// The next chunk; `None` after the end or a failure.
    async fn next(&mut self) -> Option<Result<Piece, ApiError>> {
        if self.ended {
            return None;
        }
        let next = loop {
            if let Some(first) = self.first.take() {
                break Ok(first);
            }
            match self.job.next().await {
                Ok(event) => {
                    if let Some(piece) = piece(event) {
                        break Ok(piece);
                    }
                }
                Err(error) => break Err(error),
            }
        };
        self.ended = !matches!(next, Ok(Piece::Audio(_)));
        Some(next)
    }
}

fn piece(event: SpeechEvent) -> Option<Piece> {
    match event {
        SpeechEvent::Audio(bytes) => Some(Piece::Audio(bytes)),
        SpeechEvent::Done(spoken) => Some(Piece::End(spoken)),
        _ => None,
    }
}
