//! Host names that the server accepts. A page whose name resolves to 127.0.0.1 (DNS rebinding) has the same origin as a
//! server there, so neither the browser nor the check of origins blocks it; the check of its host name does.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::uri::Authority;

/// The allowed host names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hosts {
    any: bool,
    /// In lower case.
    listed: Vec<String>,
    /// Whether names were configured; then they are checked wherever the server listens.
    pub(crate) chosen: bool,
}

impl Hosts {
    /// Names such as `speech.example.com`, without a port; `*` allows every name. `own` is the name that the server listens
    /// on. If `hosts` is empty, names are checked only while the server listens on loopback and requires no key.
    ///
    /// # Errors
    /// A message with the invalid name.
    pub fn new(hosts: &[String], own: &str) -> Result<Self, String> {
        let mut all = Self { listed: vec![own.to_ascii_lowercase()], ..Self::default() };
        for host in hosts.iter().map(|host| host.trim()).filter(|host| !host.is_empty()) {
            all.chosen = true;
            match name(host) {
                _ if host == "*" => all.any = true,
                Some(name) if name.eq_ignore_ascii_case(host) => all.listed.push(name),
                _ => return Err(format!("{host:?} is not a host name such as speech.example.com, or *")),
            }
        }
        Ok(all)
    }

    /// Whether this name is allowed. IP addresses and this machine's own names are safe from DNS rebinding.
    pub(crate) fn include(&self, host: &str) -> bool {
        let Some(name) = name(host) else { return self.any };
        let address = name.trim_start_matches('[').trim_end_matches(']');
        self.any
            || name == "localhost"
            || name.ends_with(".localhost")
            || address.parse::<Ipv4Addr>().is_ok()
            || address.parse::<Ipv6Addr>().is_ok()
            || self.listed.contains(&name)
    }
}

/// The name of `name:port`, in lower case and without the trailing dot.
fn name(host: &str) -> Option<String> {
    let authority: Authority = host.parse().ok()?;
    let name = authority.host().to_ascii_lowercase();
    (!authority.as_str().contains('@')).then(|| name.trim_end_matches('.').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(hosts: &[&str], own: &str) -> Result<Hosts, String> {
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        Hosts::new(&hosts, own)
    }

    #[test]
    fn names_of_this_machine_are_distinguished_from_those_of_others() {
        let local = hosts(&[], "Speech.Local").unwrap();
        for own in [
            "localhost",
            "LOCALHOST:9997",
            "localhost.:80",
            "a.localhost",
            "127.0.0.1",
            "127.0.0.1:9997",
            "127.1.2.3:1",
            "0.0.0.0:9997",
            "[::1]",
            "[::1]:9997",
            "[::]:1",
            "192.168.0.5:9997",
            "speech.local:9997",
        ] {
            assert!(local.include(own), "{own}");
        }
        for foreign in [
            "evil.example",
            "evil.example:9997",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "x",
            "127.0.0.1@evil.example",
            "evil.example@127.0.0.1",
            "",
            "a b",
            "1.2.3",
            "notlocalhost",
        ] {
            assert!(!local.include(foreign), "{foreign}");
        }
        let more = hosts(&["Speech.Example.com", " other.example "], "127.0.0.1").unwrap();
        assert!(more.include("speech.example.com:443") && more.include("other.example"));
        assert!(more.include("localhost") && !more.include("example.com"));
        assert!(hosts(&["*"], "127.0.0.1").unwrap().include("evil.example"));
        for wrong in ["https://example.com", "example.com:80", "a b", "a@b", "example.com/"] {
            assert!(hosts(&[wrong], "127.0.0.1").is_err(), "{wrong}");
        }
    }
}
