//! The client of a request, between which the engine shares its time fairly.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use axum::extract::Request;
use mynah_engine::ClientId;

use crate::auth::Caller;
use crate::middleware::address;

/// Whoever holds the API key or the token, where one was asked for, otherwise whoever has the address; `None` where that is
/// not known.
pub(crate) fn client_id(request: &Request) -> Option<ClientId> {
    // Of this process alone, so that nobody can choose an address for its number.
    static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    if let Some(caller) = request.extensions().get::<Caller>() {
        return Some(ClientId(HASHER.hash_one(&caller.id)));
    }
    address(request).map(|address| ClientId(HASHER.hash_one(address)))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use axum::body::Body;
    use axum::extract::ConnectInfo;

    use super::*;
    use crate::auth::{CallerId, Rights};

    fn by(address: &str, key: Option<u64>) -> Option<ClientId> {
        let mut request = Request::new(Body::empty());
        let address: SocketAddr = address.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(address));
        if let Some(number) = key {
            let caller =
                Caller { id: CallerId::Key(number), rights: Rights::default(), requests_per_minute: None };
            request.extensions_mut().insert(caller);
        }
        client_id(&request)
    }

    #[test]
    fn clients_are_told_apart_by_key_or_by_address() {
        assert_eq!(by("10.0.0.1:1000", None), by("10.0.0.1:2000", None));
        assert_ne!(by("10.0.0.1:1000", None), by("10.0.0.2:1000", None));
        assert_eq!(by("10.0.0.1:1000", Some(1)), by("10.0.0.2:1000", Some(1)));
        assert_ne!(by("10.0.0.1:1000", Some(1)), by("10.0.0.1:1000", Some(2)));
        assert_eq!(client_id(&Request::new(Body::empty())), None);
    }
}
