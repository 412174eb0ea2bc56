//! Who asks, as far as fairness between clients is concerned.

use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::LazyLock;

use axum::extract::{ConnectInfo, Request};
use mynah_engine::ClientId;

use crate::middleware::bearer;

/// The holder of an API key where keys are wanted, otherwise whoever has the address; `None` where that is not known.
pub(crate) fn client(request: &Request, keys_are_wanted: bool) -> Option<ClientId> {
    // Of this process alone, so that nobody can choose an address for its number.
    static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    if keys_are_wanted {
        return bearer(request.headers()).map(|key| ClientId(HASHER.hash_one(key)));
    }
    let ConnectInfo(address) = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
    Some(ClientId(HASHER.hash_one(address.ip())))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::header;

    use super::*;

    fn request(address: Option<&str>, key: Option<&str>) -> Request {
        let mut request = Request::new(Body::empty());
        if let Some(address) = address {
            let address: SocketAddr = address.parse().unwrap();
            request.extensions_mut().insert(ConnectInfo(address));
        }
        if let Some(key) = key {
            let value = format!("Bearer {key}").parse().unwrap();
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        request
    }

    #[test]
    fn clients_are_told_apart_by_key_or_by_address() {
        let by_address = |address, key| client(&request(Some(address), key), false).unwrap();
        assert_eq!(by_address("10.0.0.1:1000", None), by_address("10.0.0.1:2000", Some("any")));
        assert_ne!(by_address("10.0.0.1:1000", None), by_address("10.0.0.2:1000", None));
        let by_key = |address, key| client(&request(Some(address), Some(key)), true).unwrap();
        assert_eq!(by_key("10.0.0.1:1000", "a"), by_key("10.0.0.2:1000", "a"));
        assert_ne!(by_key("10.0.0.1:1000", "a"), by_key("10.0.0.1:1000", "b"));
        assert_eq!(client(&request(None, None), false), None);
    }
}
