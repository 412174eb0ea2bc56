//! Allowed CORS origins. Pages of other origins can neither read responses nor change anything.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Uri};
use tower_http::cors::{AllowHeaders, AllowMethods, AllowOrigin, Any, CorsLayer};

/// The allowed origins, by default none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    any: bool,
    listed: Vec<HeaderValue>,
}

impl Origins {
    /// Origins such as `https://example.com` or `http://localhost:3000`; `*` allows every origin.
    ///
    /// # Errors
    /// A message with the invalid origin.
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
                _ => return Err(format!("{origin:?} is not an origin such as https://example.com, or *")),
            }
        }
        Ok(all)
    }

    /// Middleware that answers preflight requests and sets the CORS headers for these origins.
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

    pub(crate) fn include(&self, origin: &HeaderValue) -> bool {
        self.any || self.listed.contains(origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_distinguished_from_other_addresses() {
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
