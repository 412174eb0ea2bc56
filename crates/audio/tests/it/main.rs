//! Decoding as a caller sees it: files in, samples or clear errors out.

mod compressed;
mod convert;
mod corpus;
mod files;
mod hostile;
mod limits;
mod plain;
mod signal;

use mynah_audio::{DecodeError, DecodeLimits, Decoded};

/// Decodes bytes with the default limits.
fn decode(bytes: impl Into<Vec<u8>>) -> Result<Decoded, DecodeError> {
    mynah_audio::decode_bytes(bytes.into(), &DecodeLimits::default(), &|| false)
}
