//! Passwords: stored as Argon2id hashes (RFC 9106) with the crate's parameters, which are those that OWASP recommends.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

/// Minimum length of a stored password, as in Xinference.
pub const MIN_PASSWORD_CHARS: usize = 8;

/// Maximum length of a password that is hashed.
const MAX_PASSWORD_BYTES: usize = 1024;

/// The hash of a password, as a PHC string. Needs some ten milliseconds of CPU time.
pub(super) fn hash(password: &str) -> Result<String, String> {
    if password.len() > MAX_PASSWORD_BYTES {
        return Err(format!("a password can have at most {MAX_PASSWORD_BYTES} bytes"));
    }
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|hash| hash.to_string()).map_err(|error| format!("the password cannot be hashed: {error}"))
}

/// Whether the password matches. Takes the same time without a hash, so that the response time does not reveal which
/// names exist.
pub(super) fn verify(password: &str, hash: Option<&str>) -> bool {
    /// A hash of an unknown password, with the same parameters.
    const DUMMY_HASH: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5LWlzLWhlcmU$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    if password.len() > MAX_PASSWORD_BYTES {
        return false;
    }
    let Ok(parsed) = PasswordHash::new(hash.unwrap_or(DUMMY_HASH)) else { return false };
    Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok() && hash.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_verified_and_not_stored() {
        let kept = hash("secret-pass").unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && !kept.contains("secret"), "{kept}");
        assert_ne!(kept, hash("secret-pass").unwrap(), "the salt differs");
        assert!(verify("secret-pass", Some(&kept)));
        assert!(!verify("secret-pasS", Some(&kept)));
        assert!(!verify("secret-pass", Some("nonsense")));
        assert!(!verify("secret-pass", None));
        assert!(!verify(&"x".repeat(2000), Some(&kept)) && hash(&"x".repeat(2000)).is_err());
    }
}
