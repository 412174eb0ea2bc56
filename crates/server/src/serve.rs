//! Accepts connections, with or without TLS, and serves them within limits of number and time.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::{BoxError, Router};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::ServiceExt;

use crate::limits::{Permit, WriteTimeout};
use crate::state::Control;

/// Serves `router` until `stop` is ready, then waits up to `shutdown_timeout` for requests in progress.
///
/// # Errors
/// The listener failed.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    control: Control,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let (stopping, _) = watch::channel(());
    let taking = async {
        loop {
            // Connections beyond the limit wait in the backlog of the socket.
            let permit = control.0.connections.wait(|| control.0.limits().max_connections).await;
            let (socket, peer) = accept(&listener).await;
            handle_connection(socket, peer, router.clone(), &control, stopping.subscribe(), permit);
        }
    };
    tokio::select! {
        () = taking => {}
        () = stop => {}
    }
    drop(listener);
    // Fails if no connection is left.
    let _ = stopping.send(());
    let grace = control.0.limits().shutdown_timeout;
    tokio::select! {
        () = stopping.closed() => {}
        () = tokio::time::sleep(grace) => {
            tracing::warn!("aborting requests that were still in progress after {} s", grace.as_secs());
        }
    }
    Ok(())
}

/// The next connection. After an error, such as too many open files, it waits and tries again.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(connection) => return connection,
            Err(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused
                | io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset => {}
                _ => {
                    tracing::error!(%error, "accept failed");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            },
        }
    }
}

/// Serves one connection in its own task.
fn handle_connection(
    socket: TcpStream,
    peer: SocketAddr,
    router: Router,
    control: &Control,
    stopped: watch::Receiver<()>,
    permit: Permit,
) {
    // Events are small and must be sent at once.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let (limits, tls) = (control.0.limits(), control.0.config.tls.clone());
    let socket = WriteTimeout::new(socket, limits.write_timeout);
    tokio::spawn(async move {
        let ended = match tls {
            None => serve_connection(socket, peer, router, limits.header_timeout, stopped).await,
            Some(tls) => {
                match tokio::time::timeout(limits.header_timeout, tls.acceptor().accept(socket)).await {
                    Ok(Ok(socket)) => {
                        serve_connection(socket, peer, router, limits.header_timeout, stopped).await
                    }
                    Ok(Err(error)) => Err(error.into()),
                    Err(_) => Err("no TLS within header_timeout_s".into()),
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%peer, %error, "connection closed with an error");
        }
        drop(permit);
    });
}

/// Serves the requests of a connection, one after the other.
async fn serve_connection(
    socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    peer: SocketAddr,
    router: Router,
    idle: Duration,
    mut stopped: watch::Receiver<()>,
) -> Result<(), BoxError> {
    let service = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Starts at the end of the previous response, so that idle connections are closed too.
        .header_read_timeout(idle)
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        _ = stopped.changed() => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}
