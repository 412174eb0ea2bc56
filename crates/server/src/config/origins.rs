//! Pages of other origins: what is not configured cannot read answers, and cannot change anything either.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, Any, CorsLayer};

use crate::error::ApiError;
use crate::state::AppState;

/// The origins whose pages may call, by default none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    any: bool,
    listed: Vec<HeaderValue>,
}

impl Origins {
    /// `https://example.com` or `http://localhost:3000` each; `*` is every origin.
    ///
    /// # Errors
    /// Which one is no origin.
    pub fn new(origins: &[String]) -> Result<Self, String> {
        let mut all = Self::default();
        for origin in origins.iter().map(|origin| origin.trim()).filter(|origin| !origin.is_empty()) {
            let is_origin = || {
                let uri: Uri = origin.parse().ok()?;
                let spelt = format!("{}://{}", uri.scheme_str()?, uri.authority()?);
                (spelt.eq_ignore_ascii_case(origin))
                    .then(|| HeaderValue::try_from(spelt.to_ascii_lowercase()))
            };
            match (origin, is_origin()) {
                ("*", _) => all.any = true,
                (_, Some(Ok(origin))) => all.listed.push(origin),
                _ => return Err(format!("{origin:?} is no origin such as https://example.com, and not *")),
            }
        }
        Ok(all)
    }

    /// Answers preflights, and has browsers show answers to pages of these origins.
    pub(crate) fn layer(&self) -> CorsLayer {
        let layer = CorsLayer::new().max_age(Duration::from_secs(600));
        let shown = ["x-request-id", "x-mynah-voice", "retry-after"].map(HeaderName::from_static);
        let layer = layer.expose_headers(shown);
        if self.listed.is_empty() && !self.any {
            return CorsLayer::new();
        }
        if self.any {
            return layer.allow_origin(Any).allow_methods(AllowMethods::mirror_request()).allow_headers(Any);
        }
        layer
            .allow_origin(AllowOrigin::list(self.listed.clone()))
            .allow_methods(AllowMethods::mirror_request())
            .allow_headers(AllowHeaders::mirror_request())
            .allow_credentials(true)
    }

    fn include(&self, origin: &HeaderValue) -> bool {
        self.any || self.listed.contains(origin)
    }
}

/// Middleware. Browsers send forms and texts to other origins without asking first, and merely hide the answer; so what
/// a foreign page sends is refused here, before it does anything.
pub(crate) async fn refuse_foreign_pages(
    State(state): State<Arc<AppState>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let headers = request.headers();
    let harmless = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    if let Some(origin) = headers.get(header::ORIGIN).filter(|_| !harmless)
        && !state.config.cors_origins.include(origin)
        && !is_own(origin, headers.get(header::HOST))
    {
        let message =
            "Pages of other origins may not call this server; the setting cors_origins names those that may.";
        return Err(ApiError::new(StatusCode::FORBIDDEN, message).code("foreign_origin"));
    }
    Ok(next.run(request).await)
}

/// Whether a page is one of this server's own. A proxy in front may speak TLS, hence the scheme says nothing.
fn is_own(origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
    let authority = origin.to_str().ok().and_then(|origin| Some(origin.split_once("://")?.1));
    authority.is_some() && authority == host.and_then(|host| host.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_told_from_other_addresses() {
        let origins = |texts: &[&str]| {
            let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
            Origins::new(&texts)
        };
        let two = origins(&["https://Example.com", " http://localhost:3000", ""]).unwrap();
        assert!(two.include(&HeaderValue::from_static("https://example.com")));
        assert!(two.include(&HeaderValue::from_static("http://localhost:3000")));
        assert!(!two.include(&HeaderValue::from_static("http://example.com")));
        assert!(!Origins::default().include(&HeaderValue::from_static("null")));
        assert!(origins(&["*"]).unwrap().include(&HeaderValue::from_static("null")));
        for wrong in
            ["example.com", "https://example.com/", "https://example.com/a", "null", "https://", "a b"]
        {
            assert!(origins(&[wrong]).is_err(), "{wrong}");
        }
    }
}
