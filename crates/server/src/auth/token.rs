//! Access tokens: JSON Web Tokens (RFC 7519) signed with HMAC-SHA256, in a single form. The header of
//! a token is not interpreted: another header gives another signature, so the token is refused.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::scopes::{Scope, Scopes};

const HEADER: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

/// Claims of a token, under the names that Xinference uses.
#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    scopes: Vec<String>,
    iat: u64,
    exp: u64,
}

/// Creates a token for this user, valid until `expires_at` (Unix seconds).
pub(super) fn sign(secret: &[u8], user: &str, scopes: &Scopes, now: u64, expires_at: u64) -> String {
    let scopes = scopes.iter().map(Scope::scope).map(str::to_owned).collect();
    let claims = Claims { sub: user.to_owned(), scopes, iat: now, exp: expires_at };
    let claims = serde_json::to_vec(&claims).unwrap_or_default();
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(HEADER), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(mac(secret, &signed).finalize().into_bytes());
    format!("{signed}.{signature}")
}

/// The user of a token, if it was signed by this server and has not expired.
pub(super) fn verify(secret: &[u8], token: &str, now: u64) -> Option<String> {
    let (signed, signature) = token.rsplit_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    // In constant time.
    mac(secret, signed).verify_slice(&signature).ok()?;
    let (header, claims) = signed.split_once('.')?;
    if URL_SAFE_NO_PAD.decode(header).ok()? != HEADER.as_bytes() {
        return None;
    }
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()?;
    (now < claims.exp).then_some(claims.sub)
}

fn mac(secret: &[u8], text: &str) -> Hmac<Sha256> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else {
        unreachable!("HMAC takes keys of any length");
    };
    mac.update(text.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_standard() {
        // RFC 4231, test case 2.
        let sum = mac(b"Jefe", "what do ya want for nothing?").finalize().into_bytes();
        let hex: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn tokens_are_valid_until_they_expire() {
        let token = sign(b"secret", "ann", &Scopes::default_client(), 100, 200);
        assert_eq!(verify(b"secret", &token, 199).as_deref(), Some("ann"));
        assert_eq!(verify(b"secret", &token, 200), None);
        assert_eq!(verify(b"other", &token, 150), None);
    }

    #[test]
    fn forged_tokens_are_refused() {
        let token = sign(b"secret", "ann", &Scopes::default_client(), 100, 200);
        let parts: Vec<&str> = token.split('.').collect();
        let claims = URL_SAFE_NO_PAD.encode(r#"{"sub":"bob","scopes":["admin"],"iat":100,"exp":200}"#);
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
        for forged in [
            format!("{}.{claims}.{}", parts[0], parts[2]),
            format!("{none}.{}.", parts[1]),
            format!("{none}.{}.{}", parts[1], parts[2]),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{}.{}", parts[0], parts[1]),
            String::new(),
            "...".to_owned(),
        ] {
            assert_eq!(verify(b"secret", &forged, 150), None, "{forged}");
        }
    }
}
