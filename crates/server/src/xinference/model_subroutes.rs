//! Paths below `/v1/models/`. A uid can contain slashes, escaped or not, so the parts after it are recognised by their
//! names.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{catalogue, instances, launch};
use crate::error::ApiError;
use crate::request::Dialect;
use crate::routes::models;
use crate::state::AppState;

/// The meaning of a path.
#[derive(Debug, PartialEq, Eq)]
enum Target<'a> {
    Model(&'a str),
    Progress(&'a str),
    Cancel(&'a str),
    Events(&'a str),
    Replicas(&'a str),
    Replica(&'a str, &'a str),
    Abort,
    Reload,
    Versions(&'a str, &'a str),
}

impl<'a> Target<'a> {
    /// `runs`: whether a model runs under a uid. A running uid that ends like one of the parts takes precedence.
    fn new(path: &'a str, runs: impl Fn(&str) -> bool) -> Self {
        if runs(path) {
            return Target::Model(path);
        }
        let parts: Vec<&str> = path.split('/').collect();
        // The path without its last `n` parts.
        let uid = |n: usize| {
            let length: usize = parts[parts.len() - n..].iter().map(|part| part.len() + 1).sum();
            &path[..path.len() - length]
        };
        match parts[..] {
            [kind, name, "versions"] => Target::Versions(kind, name),
            [_, .., "progress"] => Target::Progress(uid(1)),
            [_, .., "cancel"] => Target::Cancel(uid(1)),
            [_, .., "events"] => Target::Events(uid(1)),
            [_, .., "replicas"] => Target::Replicas(uid(1)),
            [_, .., "replicas", id] => Target::Replica(uid(2), id),
            [_, .., "requests", _, "abort"] => Target::Abort,
            [_, .., "reload"] | [_, .., "reload", "config"] => Target::Reload,
            _ => Target::Model(path),
        }
    }

    /// The allowed methods.
    fn allows(&self) -> &'static str {
        match self {
            Target::Model(_) => "GET,HEAD,DELETE",
            Target::Progress(_) | Target::Events(_) | Target::Versions(..) => "GET,HEAD",
            Target::Cancel(_) | Target::Abort => "POST",
            Target::Replicas(_) | Target::Reload => "GET,HEAD,POST",
            Target::Replica(..) => "DELETE",
        }
    }
}

/// GET, POST and DELETE of everything below `/v1/models/`.
pub(super) async fn below_models(
    State(state): State<Arc<AppState>>,
    dialect: Dialect,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let Path(path) = path.map_err(|error| ApiError::new(error.status(), error.body_text()).param("model"))?;
    let target = Target::new(&path, |uid| state.engine.find_running(uid).is_ok());
    Ok(match (request.method().as_str(), target) {
        ("GET" | "HEAD", Target::Model(uid)) => {
            models::describe(&state, dialect, uid.to_owned()).await?.into_response()
        }
        ("DELETE", Target::Model(uid)) => {
            launch::terminate(&state, dialect, uid.to_owned()).await?.into_response()
        }
        ("GET" | "HEAD", Target::Progress(uid)) => instances::progress(&state, uid).into_response(),
        ("POST", Target::Cancel(uid)) => instances::cancel(&state, uid.to_owned()).await?.into_response(),
        ("GET" | "HEAD", Target::Events(uid)) => instances::events(&state, uid).into_response(),
        ("GET" | "HEAD", Target::Replicas(uid)) => instances::replicas(&state, uid).into_response(),
        ("POST", Target::Replicas(uid)) => {
            instances::add_replicas(&state, dialect, uid, request).await?.into_response()
        }
        ("DELETE", Target::Replica(uid, id)) => {
            instances::remove_replica(&state, dialect, uid, id)?.into_response()
        }
        ("POST", Target::Abort) => instances::abort().into_response(),
        ("GET" | "HEAD" | "POST", Target::Reload) => instances::reload().into_response(),
        ("GET" | "HEAD", Target::Versions(kind, name)) => {
            catalogue::versions(&state, kind, name.to_owned()).await?.into_response()
        }
        (method, target) => {
            let message = format!("Method Not Allowed: {method} /v1/models/{path:.200}.");
            let error = ApiError::new(StatusCode::METHOD_NOT_ALLOWED, message).code("method_not_allowed");
            let mut response = error.into_response();
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(target.allows()));
            response
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_after_a_uid_are_recognised_by_their_names() {
        for (path, target) in [
            ("a", Target::Model("a")),
            ("openai/whisper-base", Target::Model("openai/whisper-base")),
            ("a/progress", Target::Progress("a")),
            ("a/b/progress", Target::Progress("a/b")),
            ("a/cancel", Target::Cancel("a")),
            ("a/events", Target::Events("a")),
            ("a/replicas", Target::Replicas("a")),
            ("a/b/replicas/0", Target::Replica("a/b", "0")),
            ("a/requests/x/abort", Target::Abort),
            ("a/reload", Target::Reload),
            ("a/reload/config", Target::Reload),
            ("audio/a/versions", Target::Versions("audio", "a")),
            ("progress", Target::Model("progress")),
            ("runs/progress", Target::Model("runs/progress")),
        ] {
            assert_eq!(Target::new(path, |uid| uid == "runs/progress"), target, "{path}");
        }
    }
}
