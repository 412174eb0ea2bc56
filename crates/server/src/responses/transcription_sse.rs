//! A transcription as server-sent events, sent while it is made.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use mynah_api::{Logprob, StreamEvent};
use mynah_engine::JobEvent;
use serde::Serialize;

use crate::error::ApiError;
use crate::limits::Permit;
use crate::responses::transcription as render;
use crate::routes::TimedJob;

/// Proxies of the nginx family hold a stream back unless told not to.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A comment is sent after this long without an event, so that proxies keep the connection.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Answers with a stream. A job that fails before its work begins is answered with its error's own status.
pub(crate) async fn answer(
    mut job: TimedJob,
    logprobs: bool,
    open_language: bool,
    permit: Permit,
) -> Result<Response, ApiError> {
    let first = loop {
        match job.next().await? {
            JobEvent::Waiting(_) => {}
            event => break event,
        }
    };
    let transcription = TranscriptionStream {
        job,
        next: Some(first),
        text: Text::default(),
        logprobs: logprobs.then(Vec::new),
        open_language,
        ended: false,
        _permit: permit,
    };
    let sse = Sse::new(transcription.into_stream()).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    Ok((streaming_headers(), sse).into_response())
}

/// Headers of an answer that comes bit by bit.
pub(crate) fn streaming_headers() -> [(HeaderName, HeaderValue); 2] {
    [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ]
}

struct TranscriptionStream {
    job: TimedJob,
    next: Option<JobEvent>,
    text: Text,
    /// Tokens so far, if asked for.
    logprobs: Option<Vec<Logprob>>,
    open_language: bool,
    ended: bool,
    _permit: Permit,
}

impl TranscriptionStream {
    fn into_stream(self) -> impl Stream<Item = Result<Event, Infallible>> {
        stream::unfold(self, |mut this| async move {
            let event = this.event().await?;
            Some((Ok(event), this))
        })
    }

    async fn event(&mut self) -> Option<Event> {
        if self.ended {
            return None;
        }
        loop {
            let event = match self.next.take() {
                Some(event) => Ok(event),
                None => self.job.next().await,
            };
            match event {
                Ok(JobEvent::Segment(segment)) => {
                    let tokens: Vec<_> = render::logprobs(&segment.logprobs).collect();
                    let delta = self.text.add(&segment.text);
                    if let Some(all) = &mut self.logprobs {
                        all.extend(tokens.iter().cloned());
                    }
                    if !delta.is_empty() {
                        let logprobs = self.logprobs.is_some().then_some(tokens);
                        return Some(data(&StreamEvent::Delta { delta, logprobs }));
                    }
                }
                Ok(JobEvent::Done(transcript)) => {
                    self.ended = true;
                    return Some(data(&StreamEvent::Done {
                        text: std::mem::take(&mut self.text.sent),
                        logprobs: self.logprobs.take(),
                        languages: render::detected(&transcript, self.open_language),
                        usage: render::usage(&transcript),
                    }));
                }
                Ok(_) => {}
                Err(error) => {
                    self.ended = true;
                    return Some(data(&error.body()));
                }
            }
        }
    }
}

/// An event.
pub(crate) fn data(body: &impl Serialize) -> Event {
    // Fails for maps with keys that are no texts, of which there are none here.
    Event::default().json_data(body).unwrap_or_default()
}

/// The text sent so far. White space at the end of a segment waits for the next one, so that all deltas joined are the
/// whole text without white space around it.
#[derive(Default)]
struct Text {
    sent: String,
    waiting: String,
}

impl Text {
    /// Adds a segment and returns what is to be sent of it.
    fn add(&mut self, segment: &str) -> String {
        let mut delta = std::mem::take(&mut self.waiting);
        delta.push_str(segment);
        if self.sent.is_empty() {
            delta = delta.trim_start().to_owned();
        }
        self.waiting = delta.split_off(delta.trim_end().len());
        self.sent.push_str(&delta);
        delta
    }
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn deltas_joined_are_the_trimmed_text() {
        for segments in
            [&[" One", " two. ", " Three "][..], &["", " ", " a"], &[" "], &[], &["a ", " ", "b\n"]]
        {
            let mut text = Text::default();
            let deltas: Vec<_> = segments.iter().map(|segment| text.add(segment)).collect();
            assert_eq!(deltas.concat(), segments.concat().trim());
            assert_eq!(text.sent, segments.concat().trim());
        }
    }
}
