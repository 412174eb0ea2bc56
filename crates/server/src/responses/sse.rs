//! Helpers for streamed responses.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::IntoResponse;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt};
use serde::Serialize;

/// nginx buffers a response unless this header disables it.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// A comment is sent after this long without an event, so that proxies keep the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A response of server-sent events.
pub(super) fn response(events: impl Stream<Item = Event> + Send + 'static) -> impl IntoResponse {
    let sse = Sse::new(events.map(Ok::<_, Infallible>));
    (streaming_headers(), sse.keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// Headers of a streamed response.
pub(super) fn streaming_headers() -> [(HeaderName, HeaderValue); 2] {
    [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ]
}

/// An event with a JSON body.
pub(super) fn data(body: &impl Serialize) -> Event {
    // Fails only for maps whose keys are not strings; there are none here.
    Event::default().json_data(body).unwrap_or_default()
}
