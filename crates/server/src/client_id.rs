//! Identity of the client of a request: its address, and the id for fair scheduling.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::LazyLock;

use axum::extract::{ConnectInfo, Request};
use mynah_engine::ClientId;

use crate::auth::Caller;

/// By the owner of the API key or token, if one was required; otherwise by the address. `None` if neither is known.
pub(crate) fn client_id(request: &Request) -> Option<ClientId> {
    // With a random seed per process, so that a client cannot choose an address with a certain hash.
    static HASHER: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    if let Some(caller) = request.extensions().get::<Caller>() {
        return Some(ClientId(HASHER.hash_one(&caller.id)));
    }
    address(request).map(|address| ClientId(HASHER.hash_one(address)))
}

/// The address of a request. An IPv6 network (/64) has 2^64 addresses, so it counts as one.
pub(crate) fn address(request: &Request) -> Option<IpAddr> {
    let ConnectInfo(peer) = request.extensions().get::<ConnectInfo<SocketAddr>>()?;
    Some(match peer.ip().to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        v4 @ IpAddr::V4(_) => v4,
    })
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;
    use crate::auth::{CallerId, Scopes};

    fn by(address: &str, key: Option<u64>) -> Option<ClientId> {
        let mut request = Request::new(Body::empty());
        let address: SocketAddr = address.parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(address));
        if let Some(number) = key {
            let caller =
                Caller { id: CallerId::Key(number), scopes: Scopes::default(), requests_per_minute: None };
            request.extensions_mut().insert(caller);
        }
        client_id(&request)
    }

    #[test]
    fn clients_differ_by_key_or_by_address() {
        assert_eq!(by("10.0.0.1:1000", None), by("10.0.0.1:2000", None));
        assert_ne!(by("10.0.0.1:1000", None), by("10.0.0.2:1000", None));
        assert_eq!(by("10.0.0.1:1000", Some(1)), by("10.0.0.2:1000", Some(1)));
        assert_ne!(by("10.0.0.1:1000", Some(1)), by("10.0.0.1:1000", Some(2)));
        assert_eq!(client_id(&Request::new(Body::empty())), None);
    }
}
