//! API keys. Only the SHA-256 of a key is stored: generated keys are far too long to be guessed, so a fast hash is enough.

use std::fmt;
use std::io;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::random;
use super::scopes::Scopes;
use super::time::format_moment;

/// Characters at the beginning of a key that are stored in plain text, to identify it.
const SHOWN_CHARS: usize = 10;

/// Minimum length of a key that a user chooses; its hash must not be guessable from a leaked file.
pub const MIN_KEY_CHARS: usize = 16;

/// The SHA-256 of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// The hash of this key.
    pub fn of(key: &[u8]) -> Self {
        Self(Sha256::digest(key).into())
    }

    /// Equality in constant time.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for KeyHash {
    type Err = &'static str;

    fn from_str(hex: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "a hash must be 64 hexadecimal digits";
        if hex.len() != 64 || !hex.is_ascii() {
            return Err(WRONG);
        }
        let mut hash = [0; 32];
        for (byte, at) in hash.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&hex[at..at + 2], 16).map_err(|_| WRONG)?;
        }
        Ok(Self(hash))
    }
}

impl Serialize for KeyHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A key as it is stored.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoredKey {
    /// Its id; never reused.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its first characters.
    pub prefix: String,
    /// Its hash.
    pub sha256: KeyHash,
    /// Its scopes.
    pub scopes: Scopes,
    /// Unix seconds.
    pub created_at: u64,
    /// Expiry, Unix seconds.
    #[serde(default)]
    pub expires_at: Option<u64>,
    /// Maximum requests per minute.
    #[serde(default)]
    pub requests_per_minute: Option<u32>,
}

impl StoredKey {
    /// The key as lists show it.
    pub fn shown(&self) -> mynah_api::Key {
        mynah_api::Key {
            id: self.id,
            key_prefix: self.prefix.clone(),
            name: self.name.clone(),
            description: None,
            enabled: true,
            scopes: self.scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
            requests_per_minute: self.requests_per_minute,
            expires_at: self.expires_at.map(format_moment),
            created_at: format_moment(self.created_at),
        }
    }
}

/// A new key.
pub struct NewKey {
    /// Its name.
    pub name: String,
    /// The key, if the user chose it; otherwise one is generated.
    pub key: Option<String>,
    /// Its scopes.
    pub scopes: Scopes,
    /// Expiry, Unix seconds.
    pub expires_at: Option<u64>,
    /// Maximum requests per minute.
    pub requests_per_minute: Option<u32>,
}

/// Beginning of generated keys, by which scanners for leaked secrets recognise them.
const KEY_PREFIX: &str = "mynah-";

/// Generates a key: [`KEY_PREFIX`] and 48 letters and digits, 285 bits.
pub(super) fn generate() -> io::Result<String> {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    const LETTERS: usize = 48;
    let mut key = KEY_PREFIX.to_owned();
    while key.len() < KEY_PREFIX.len() + LETTERS {
        let bytes = random::<64>()?;
        // Four times the alphabet fits into a byte; higher values would favour some letters.
        let letters = bytes.iter().filter(|byte| usize::from(**byte) < 4 * ALPHABET.len());
        let missing = KEY_PREFIX.len() + LETTERS - key.len();
        key.extend(
            letters.take(missing).map(|byte| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()])),
        );
    }
    Ok(key)
}

/// The first characters of a key, which lists show: less than half of it.
pub(super) fn prefix(key: &str) -> String {
    key.chars().take(SHOWN_CHARS.min(key.chars().count() / 2)).collect()
}

/// Whether a header can carry the key.
pub(super) fn check_own(key: &str) -> Result<(), String> {
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a key must consist of visible ASCII characters without spaces".to_owned());
    }
    if key.len() < MIN_KEY_CHARS {
        return Err(format!("a stored key must have at least {MIN_KEY_CHARS} characters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_keys_are_recognised_and_differ() {
        let (one, two) = (generate().unwrap(), generate().unwrap());
        assert_ne!(one, two);
        let letters = one.strip_prefix("mynah-").unwrap();
        assert!(letters.len() == 48 && letters.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_eq!(prefix(&one), one[..SHOWN_CHARS]);
        assert_eq!(prefix("short"), "sh");
    }

    #[test]
    fn hashes_are_written_and_read() {
        // FIPS 180-4, the example of one block.
        let hash = KeyHash::of(b"abc");
        assert_eq!(hash.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(hash.to_string().parse::<KeyHash>().unwrap().is(&hash));
        for wrong in ["", "ab", &"g".repeat(64), &"ä".repeat(32)] {
            assert!(wrong.parse::<KeyHash>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn weak_keys_are_refused() {
        assert!(check_own("sk-72tkvudyGLPMi").is_ok());
        for wrong in ["", "short", "with a space in it", "schlüssel-mit-umlaut"] {
            assert!(check_own(wrong).is_err(), "{wrong}");
        }
    }
}
