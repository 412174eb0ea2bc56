//! Requests to a running server, and its answers.

use std::time::Duration;

use reqwest::{Method, StatusCode, Url};
use serde::Serialize;
use serde_json::Value;

use crate::exit::Failure;

/// How long a connection may take to stand. Answers may take as long as they need: a launch waits for a download.
const CONNECT: Duration = Duration::from_secs(10);

/// A running server and what is shown to it.
pub(crate) struct Server {
    http: reqwest::Client,
    address: Url,
    key: Option<String>,
}

impl Server {
    /// The server at this address, asked without a key until there is one.
    pub(crate) fn at(endpoint: &str) -> Result<Self, Failure> {
        let usage = |why: &str| Failure::Usage(format!("the endpoint {endpoint:?} {why}"));
        let address = Url::parse(endpoint).map_err(|error| usage(&format!("is not an address: {error}")))?;
        if !["http", "https"].contains(&address.scheme()) || address.cannot_be_a_base() {
            return Err(usage("must begin with http:// or https://"));
        }
        // Fails if the process has a provider already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("mynah/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            // A key must not be carried to another place.
            .redirect(reqwest::redirect::Policy::none());
        if address.host_str().is_some_and(|host| ["localhost", "127.0.0.1", "[::1]"].contains(&host)) {
            builder = builder.no_proxy();
        }
        let http = builder
            .build()
            .map_err(|error| Failure::Failed(Some(format!("cannot set up HTTP: {}", cause(&error)))))?;
        Ok(Self { http, address, key: None })
    }

    /// What requests bring from now on.
    pub(crate) fn set_key(&mut self, key: String) {
        self.key = Some(key);
    }

    /// A request to the path of these parts, which may hold any character. Its failure reads "Failed to `what`".
    pub(crate) fn request(&self, what: &'static str, method: Method, path: &[&str]) -> Request<'_> {
        let mut url = self.address.clone();
        if let Ok(mut parts) = url.path_segments_mut() {
            parts.pop_if_empty().extend(path);
        }
        let mut request = self.http.request(method, url);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        Request { server: self, what, request }
    }

    /// A request for something.
    pub(crate) fn get(&self, what: &'static str, path: &[&str]) -> Request<'_> {
        self.request(what, Method::GET, path)
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        Failure::Failed(Some(format!(
            "cannot connect to {}: {}\nhint: start a server with `mynah serve`, or name another with --endpoint",
            self.address,
            cause(error)
        )))
    }
}

/// A request to be sent.
pub(crate) struct Request<'a> {
    server: &'a Server,
    what: &'static str,
    request: reqwest::RequestBuilder,
}

impl Request<'_> {
    /// Adds to the query.
    pub(crate) fn query(mut self, pairs: &[(&str, &str)]) -> Self {
        self.request = self.request.query(pairs);
        self
    }

    /// Brings a JSON body.
    pub(crate) fn json(mut self, body: &impl Serialize) -> Self {
        self.request = self.request.json(body);
        self
    }

    /// The body of a success.
    pub(crate) async fn send(self) -> Result<Value, Failure> {
        let what = self.what;
        let (status, body) = self.answer().await?;
        if status.is_success() {
            return serde_json::from_slice(&body).map_err(|error| {
                Failure::Failed(Some(format!("Failed to {what}: unexpected response: {error}")))
            });
        }
        let hint = match status {
            StatusCode::UNAUTHORIZED => "\nBring a key with --api-key, or log in with `mynah login`.",
            _ => "",
        };
        Err(Failure::Failed(Some(format!("Failed to {what}, detail: {}{hint}", detail(status, &body)))))
    }

    /// Whatever is answered.
    pub(crate) async fn answer(self) -> Result<(StatusCode, Vec<u8>), Failure> {
        let server = self.server;
        let exchange = async {
            let response = self.request.send().await?;
            Ok((response.status(), response.bytes().await?.to_vec()))
        };
        exchange.await.map_err(|error: reqwest::Error| server.unreachable(&error))
    }
}

/// What an error's body says, as Xinference and OpenAI write it.
fn detail(status: StatusCode, body: &[u8]) -> String {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    match (&json["detail"], &json["error"]["message"]) {
        (Value::String(text), _) | (_, Value::String(text)) => text.clone(),
        (Value::Null, _) => status.to_string(),
        // Of a request that was not valid.
        (list, _) => list.to_string(),
    }
}

/// The innermost reason, which is the one that helps.
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_hold_any_name() {
        for (endpoint, expected) in [
            ("http://127.0.0.1:9997", "http://127.0.0.1:9997/v1/models/a%2Fb%20%3F"),
            ("http://127.0.0.1:9997/", "http://127.0.0.1:9997/v1/models/a%2Fb%20%3F"),
            ("https://host/speech/", "https://host/speech/v1/models/a%2Fb%20%3F"),
        ] {
            let server = Server::at(endpoint).unwrap();
            let request = server.get("try", &["v1", "models", "a/b ?"]).request.build().unwrap();
            assert_eq!(request.url().as_str(), expected);
        }
    }

    #[test]
    fn addresses_are_checked() {
        for endpoint in ["", "127.0.0.1:9997", "ftp://host", "mailto:ann@host"] {
            assert!(matches!(Server::at(endpoint), Err(Failure::Usage(_))), "{endpoint:?}");
        }
    }

    #[test]
    fn errors_of_both_servers_are_read() {
        let of = |body: &str| detail(StatusCode::BAD_REQUEST, body.as_bytes());
        assert_eq!(of(r#"{"detail": "no"}"#), "no");
        assert_eq!(of(r#"{"error": {"message": "nope"}}"#), "nope");
        assert_eq!(of(r#"{"detail": [{"msg": "Field required"}]}"#), r#"[{"msg":"Field required"}]"#);
        assert_eq!(of("Internal Server Error"), "400 Bad Request");
    }
}
