//! Streamed transcriptions as server-sent events.

use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, stream};
use mynah_api::{Logprob, StreamEvent};
use mynah_engine::{TranscriptionEvent, TranscriptionJob};
use mynah_format::{detected_languages, usage};

use super::sse::{self, data};
use crate::error::ApiError;
use crate::jobs::TimedJob;

/// Streams the events of a job. A job that fails before its work begins gets an error response.
pub(crate) async fn answer(
    mut job: TimedJob<TranscriptionJob>,
    logprobs: bool,
    open_language: bool,
) -> Result<Response, ApiError> {
    let first = loop {
        match job.next().await? {
            TranscriptionEvent::Waiting(_) => {}
            event => break event,
        }
    };
    let stream = TranscriptionStream {
        job,
        next: Some(first),
        text: Text::default(),
        logprobs: logprobs.then(Vec::new),
        open_language,
        ended: false,
    };
    Ok(sse::response(stream.into_events()).into_response())
}

struct TranscriptionStream {
    job: TimedJob<TranscriptionJob>,
    next: Option<TranscriptionEvent>,
    text: Text,
    /// Tokens so far, if requested.
    logprobs: Option<Vec<Logprob>>,
    open_language: bool,
    ended: bool,
}

impl TranscriptionStream {
    fn into_events(self) -> impl Stream<Item = Event> {
        stream::unfold(self, |mut this| async move {
            let event = this.event().await?;
            Some((event, this))
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
                Ok(TranscriptionEvent::Segment(segment)) => {
                    let tokens: Vec<_> = mynah_format::logprobs(&segment.logprobs).collect();
                    let delta = self.text.add(&segment.text);
                    if let Some(all) = &mut self.logprobs {
                        all.extend(tokens.iter().cloned());
                    }
                    if !delta.is_empty() {
                        let logprobs = self.logprobs.is_some().then_some(tokens);
                        return Some(data(&StreamEvent::Delta { delta, logprobs }));
                    }
                }
                Ok(TranscriptionEvent::Done(transcript)) => {
                    self.ended = true;
                    return Some(data(&StreamEvent::Done {
                        text: std::mem::take(&mut self.text.sent),
                        logprobs: self.logprobs.take(),
                        languages: detected_languages(&transcript, self.open_language),
                        usage: usage(&transcript),
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

/// The text sent so far. White space at the end of a segment is held back until the next one, so that the concatenated deltas
/// are the whole text without surrounding white space.
#[derive(Default)]
struct Text {
    sent: String,
    waiting: String,
}

impl Text {
    /// Adds a segment; returns the text to send.
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
    fn concatenated_deltas_are_the_trimmed_text() {
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
