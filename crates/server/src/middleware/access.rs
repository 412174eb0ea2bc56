//! Request ids, and a log line and metrics per request, when its response is sent or its client has disconnected.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use http_body::{Frame, SizeHint};
use tracing::Instrument;
use uuid::Uuid;

use crate::metrics::{Ended, Metrics, method_name};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Maximum length of a request id that is accepted from a client.
const MAX_ID_BYTES: usize = 128;

/// Middleware.
pub(crate) async fn log_access(
    State(metrics): State<Arc<Metrics>>,
    request: Request,
    next: Next,
) -> Response {
    let id = request.headers().get(REQUEST_ID).filter(|id| is_fit(id)).cloned().unwrap_or_else(new_id);
    let mut line = Line {
        metrics,
        id: id.clone(),
        route: request.extensions().get::<MatchedPath>().cloned(),
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        begin: Instant::now(),
        first_byte: None,
        status: None,
        bytes: 0,
        complete: false,
    };
    // Logs of the handler carry the request's id.
    let span = tracing::info_span!(
        "request",
        id = id.to_str().unwrap_or_default(),
        method = method_name(&line.method),
        route = line.route.as_ref().map_or("none", MatchedPath::as_str),
        status = tracing::field::Empty,
    );
    let mut response = next.run(request).instrument(span.clone()).await;
    span.record("status", response.status().as_u16());
    response.headers_mut().insert(REQUEST_ID, id);
    line.status = Some(response.status());
    line.first_byte = Some(line.begin.elapsed());
    response.map(|body| {
        line.complete = body.is_end_stream();
        Body::new(Logged { body, line })
    })
}

/// Ids are logged, so only short printable ones are accepted.
fn is_fit(id: &HeaderValue) -> bool {
    (1..=MAX_ID_BYTES).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

fn new_id() -> HeaderValue {
    HeaderValue::try_from(Uuid::new_v4().to_string()).unwrap_or_else(|_| HeaderValue::from_static("-"))
}

/// The log line of a request, written when dropped.
struct Line {
    metrics: Arc<Metrics>,
    id: HeaderValue,
    route: Option<MatchedPath>,
    method: Method,
    path: String,
    begin: Instant,
    first_byte: Option<Duration>,
    status: Option<StatusCode>,
    bytes: u64,
    complete: bool,
}

impl Drop for Line {
    fn drop(&mut self) {
        let id = self.id.to_str().unwrap_or_default();
        let status = self.status.map_or(0, |status| status.as_u16());
        self.metrics.request(&Ended {
            route: self.route.as_ref().map(MatchedPath::as_str),
            method: &self.method,
            status,
            bytes: self.bytes,
            first_byte: self.first_byte,
            whole: self.begin.elapsed(),
            complete: self.complete,
        });
        let outcome = if self.complete { "answered" } else { "client disconnected" };
        let ms = self.begin.elapsed().as_millis() as u64;
        let Self { method, path, bytes, .. } = &*self;
        if status >= 500 {
            tracing::warn!(target: "mynah::access", %method, path, status, bytes, ms, id, "{outcome}");
        } else {
            tracing::info!(target: "mynah::access", %method, path, status, bytes, ms, id, "{outcome}");
        }
    }
}

/// A response body that counts its bytes for the log line.
struct Logged {
    body: Body,
    line: Line,
}

impl HttpBody for Logged {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        match &frame {
            Some(Ok(frame)) => self.line.bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Some(Err(_)) => {}
            None => self.line.complete = true,
        }
        self.line.complete |= self.body.is_end_stream();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
