//! Lingering close, so that clients can read why they were refused. Most clients read the response only after they have sent
//! the whole request; if the connection is closed earlier, they report a broken pipe instead. So after a refusal, the rest
//! of the upload is read and discarded for a short time.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::Response;
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, timeout_at};

/// How long the rest of a refused upload is read.
const LINGER: Duration = Duration::from_secs(2);

/// Middleware.
pub(crate) async fn linger(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    // A client that waits for `100 Continue` has sent nothing, unless the body was read.
    let asked_first = request.headers().contains_key(header::EXPECT);
    let (parts, body) = request.into_parts();
    let mut shared =
        Shared(Arc::new(Mutex::new(Upload { body: body.into_data_stream(), begun: false, ended: false })));
    let response = next.run(Request::from_parts(parts, Body::from_stream(shared.clone()))).await;
    let refused = response.status().is_client_error() || response.status().is_server_error();
    if refused && (shared.begun() || !asked_first) {
        // The clock is checked for every chunk: with a fast sender, the stream is always ready and a timer is never polled.
        let end = Instant::now() + LINGER;
        while Instant::now() < end && matches!(timeout_at(end, shared.next()).await, Ok(Some(Ok(_)))) {}
    }
    response
}

struct Upload {
    body: BodyDataStream,
    begun: bool,
    ended: bool,
}

/// A body that can still be read after the handler has dropped it.
#[derive(Clone)]
struct Shared(Arc<Mutex<Upload>>);

impl Shared {
    fn begun(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).begun
    }
}

impl Stream for Shared {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut upload = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        upload.begun = true;
        if upload.ended {
            return Poll::Ready(None);
        }
        let piece = std::task::ready!(upload.body.poll_next_unpin(context));
        upload.ended = !matches!(piece, Some(Ok(_)));
        Poll::Ready(piece)
    }
}
