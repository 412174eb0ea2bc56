//! Scopes of keys and users, and the scope that each route requires.

use std::fmt;
use std::str::FromStr;

use axum::http::Method;
use serde::{Deserialize, Serialize};

/// A permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// List models and voices, read metrics.
    List,
    /// Transcribe audio and synthesize speech.
    Use,
    /// Launch, terminate, register and delete models.
    Launch,
    /// Everything, keys included.
    Admin,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 4] = [Self::List, Self::Use, Self::Launch, Self::Admin];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Use => "use",
            Self::Launch => "launch",
            Self::Admin => "admin",
        }
    }

    /// The name that Xinference's clients know: in tokens and in the header `WWW-Authenticate`.
    pub fn scope(self) -> &'static str {
        match self {
            Self::List => "models:list",
            Self::Use => "models:read",
            Self::Launch => "models:write",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = String;

    /// Accepts Mynah's names and those of all versions of Xinference.
    fn from_str(name: &str) -> Result<Self, String> {
        Ok(match name {
            "list" | "models:list" | "cache:list" => Self::List,
            "use" | "models:read" => Self::Use,
            "launch" | "models:write" | "models:start" | "models:stop" | "models:add" | "models:register"
            | "models:unregister" | "cache:delete" => Self::Launch,
            "admin" | "keys:create" | "keys:manage" | "users:manage" => Self::Admin,
            _ => return Err(format!("{name:?} is not a scope; use list, use, launch or admin")),
        })
    }
}

/// A set of scopes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// The default scopes of a key: list and use.
    pub fn default_client() -> Self {
        Self(vec![Scope::List, Scope::Use])
    }

    /// All scopes.
    pub fn all() -> Self {
        Self(vec![Scope::Admin])
    }

    /// Whether `scope` is in the set; `admin` includes all.
    pub fn include(&self, scope: Scope) -> bool {
        self.0.iter().any(|has| *has == scope || *has == Scope::Admin)
    }

    /// Iterates over the scopes.
    pub fn iter(&self) -> impl Iterator<Item = Scope> {
        self.0.iter().copied()
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        let mut distinct = Vec::new();
        for scope in scopes {
            if !distinct.contains(&scope) {
                distinct.push(scope);
            }
        }
        Self(distinct)
    }
}

/// The credential that a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needed {
    /// Nothing.
    Open,
    /// Any valid key; the response is then 404.
    Key,
    Scope(Scope),
}

/// Paths that need no key: probes, the query whether keys are required, and logins.
const OPEN: [&str; 7] =
    ["/health", "/health/live", "/health/ready", "/status", "/v1/cluster/auth", "/token", "/v1/auth/refresh"];

/// What a request for `path` needs; `route` is the pattern of its route, if there is one. A route that is not
/// listed here requires the scope `admin`.
pub(crate) fn needed(method: &Method, route: Option<&str>, path: &str) -> Needed {
    let Some(route) = route else { return Needed::Key };
    if OPEN.contains(&route) {
        return Needed::Open;
    }
    let below =
        |root: &str| route.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let reads = [Method::GET, Method::HEAD].contains(method);
    let seen = ["/v1/models", "/v1/model_registrations", "/v1/cache"].into_iter().any(below);
    let scope = if seen && *method == Method::POST && is_abort(path) {
        Scope::Use
    } else if seen {
        if reads { Scope::List } else { Scope::Launch }
    } else if below("/v1/audio") {
        if reads { Scope::List } else { Scope::Use }
    } else if reads && is_read_only(route) {
        Scope::List
    } else if route == "/v1/auth/logout" {
        return Needed::Key;
    } else {
        Scope::Admin
    };
    Needed::Scope(scope)
}

/// `POST /v1/models/{uid}/requests/{id}/abort` cancels a request.
fn is_abort(path: &str) -> bool {
    let mut parts = path.rsplit('/');
    parts.next() == Some("abort") && parts.nth(1) == Some("requests")
}

/// Other paths that list models and reveal nothing about the machine or its users.
fn is_read_only(route: &str) -> bool {
    const ROOTS: [&str; 2] = ["/v1/engines/", "/v1/requests/"];
    const PATHS: [&str; 8] = [
        "/",
        "/docs",
        "/openapi.json",
        "/metrics",
        "/v1/address",
        "/v1/cluster/devices",
        "/v1/cluster/ui_config",
        "/v1/cluster/version",
    ];
    PATHS.contains(&route) || ROOTS.iter().any(|root| route.starts_with(root))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_require_their_scopes() {
        let get = |route| needed(&Method::GET, Some(route), route);
        let post = |route| needed(&Method::POST, Some(route), route);
        for route in OPEN {
            assert_eq!(get(route), Needed::Open, "{route}");
        }
        assert_eq!(needed(&Method::GET, None, "/nope"), Needed::Key);
        for route in ["/v1/models", "/v1/models/{uid}/progress", "/v1/cache/models", "/v1/engines/{name}"] {
            assert_eq!(get(route), Needed::Scope(Scope::List), "{route}");
        }
        for route in ["/v1/models", "/v1/models/{uid}/cancel", "/v1/model_registrations/{kind}"] {
            assert_eq!(post(route), Needed::Scope(Scope::Launch), "{route}");
        }
        assert_eq!(
            needed(&Method::DELETE, Some("/v1/models/{*path}"), "/v1/models/a/requests/b/abort"),
            Needed::Scope(Scope::Launch)
        );
        for route in ["/v1/audio/speech", "/v1/models/{uid}/requests/{rid}/abort"] {
            assert_eq!(post(route), Needed::Scope(Scope::Use), "{route}");
        }
        assert_eq!(get("/v1/audio/voices"), Needed::Scope(Scope::List));
        for route in ["/v1/cluster/info", "/v1/workers", "/v1/admin/keys", "/v1/modelsandmore", "/new"] {
            assert_eq!(get(route), Needed::Scope(Scope::Admin), "{route}");
        }
        assert_eq!(
            needed(&Method::DELETE, Some("/v1/clusters"), "/v1/clusters"),
            Needed::Scope(Scope::Admin)
        );
    }

    #[test]
    fn names_of_all_versions_are_accepted() {
        for (name, scope) in [("use", Scope::Use), ("models:start", Scope::Launch), ("admin", Scope::Admin)] {
            assert_eq!(name.parse(), Ok(scope));
        }
        assert!("models:eat".parse::<Scope>().is_err());
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
            assert_eq!(scope.scope().parse(), Ok(scope));
        }
    }

    #[test]
    fn admin_includes_all_scopes() {
        assert!(Scopes::all().include(Scope::Launch));
        assert!(!Scopes::default_client().include(Scope::Launch));
        assert!(!Scopes::default().include(Scope::List));
    }
}
