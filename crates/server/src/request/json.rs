//! JSON bodies with audio as base64 or as a data URL.

use axum::http::StatusCode;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use mynah_engine::Reservation;
use serde_json::{Map, Value};

use super::fields::Fields;
use super::upload::{Spool, Upload, too_large};
use crate::config::Limits;
use crate::error::ApiError;

/// Padding is optional.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Bytes of audio per decoding step; a multiple of 3, so that their base64 has no padding.
const PIECE: usize = 48 << 10;

/// Reads parameters from a JSON object, and audio from its member `member`.
pub(crate) async fn read(
    body: &[u8],
    member: &'static str,
    limits: &Limits,
    memory: &mut Reservation,
) -> Result<(Fields, Option<Upload>), ApiError> {
    let mut object = read_object(body)?;
    let upload = match object.remove(member) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(audio(text, member, limits, memory).await?),
        Some(_) => return Err(not_audio(member)),
    };
    Ok((Fields::from_object(object), upload))
}

/// Reads a JSON object.
pub(crate) fn read_object(body: &[u8]) -> Result<Map<String, Value>, ApiError> {
    match parse(body)? {
        Value::Object(object) => Ok(object),
        _ => Err(ApiError::new(StatusCode::BAD_REQUEST, "The JSON body must be an object.")),
    }
}

/// Also accepts commas before a closing bracket, which hand-written bodies often have.
fn parse(body: &[u8]) -> Result<Value, ApiError> {
    serde_json::from_slice(body).or_else(|error| {
        serde_json::from_slice(&without_trailing_commas(body)).map_err(|_| {
            ApiError::new(StatusCode::BAD_REQUEST, format!("The body is not valid JSON: {error}."))
        })
    })
}

fn without_trailing_commas(body: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(body.len());
    // Position in `kept` of a comma that only white space has followed so far.
    let mut comma = None;
    let (mut in_text, mut escaped) = (false, false);
    for &byte in body {
        if in_text {
            in_text = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else {
            match byte {
                b'"' => (in_text, comma) = (true, None),
                b',' => comma = Some(kept.len()),
                b'}' | b']' => {
                    if let Some(place) = comma.take() {
                        kept.remove(place);
                    }
                }
                b' ' | b'\t' | b'\r' | b'\n' => {}
                _ => comma = None,
            }
        }
        kept.push(byte);
    }
    kept
}

async fn audio(
    text: String,
    member: &'static str,
    limits: &Limits,
    memory: &mut Reservation,
) -> Result<Upload, ApiError> {
    let encoded = match text.strip_prefix("data:") {
        Some(url) => match url.split_once(',') {
            Some((head, data)) if head.ends_with(";base64") => data,
            _ => return Err(not_audio(member)),
        },
        None if text.contains("://") => {
            let message = format!("{member} must contain the audio itself; the server fetches no addresses.");
            return Err(ApiError::invalid(member, message));
        }
        None => &text,
    };
    if encoded.len() as u64 / 4 * 3 > limits.max_upload_bytes.saturating_add(1 << 10) {
        return Err(too_large(member, limits));
    }
    // Convert to one alphabet without line breaks.
    let encoded: Vec<u8> = encoded
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => other,
        })
        .collect();
    drop(text);
    let mut spool = Spool::new(member, limits, memory);
    for piece in encoded.chunks(PIECE / 3 * 4) {
        spool.write(&BASE64.decode(piece).map_err(|_| not_audio(member))?).await?;
    }
    spool.finish().await
}

fn not_audio(member: &'static str) -> ApiError {
    let message = format!(
        "In a JSON body, {member} must be the audio in base64, or a data URL such as data:audio/wav;base64,..."
    );
    ApiError::invalid(member, message)
}

#[cfg(test)]
mod tests {
    use mynah_engine::RequestMemory;

    use super::*;

    fn memory() -> Reservation {
        RequestMemory::default().reserve(0).unwrap()
    }

    #[test]
    fn trailing_commas_are_accepted() {
        let body = br#"{ "a": [1, 2, ], "b": "x,}\",]", }"#;
        assert_eq!(parse(body).unwrap(), serde_json::json!({"a": [1, 2], "b": "x,}\",]"}));
        for broken in ["{,}{", "{\"a\":1,,}", "[,", "", "\"a"] {
            assert!(parse(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[tokio::test]
    async fn audio_is_base64_or_a_data_url() {
        let limits = Limits::default();
        for text in ["-_8=", "-_8", "+/8=", "+/\n8=", "data:audio/wav;base64,+/8=", "data:;base64,+/8"] {
            let Upload::Memory(bytes) = audio(text.to_owned(), "file", &limits, &mut memory()).await.unwrap()
            else {
                panic!("{text}")
            };
            assert_eq!(&bytes[..], [0xfb, 0xff], "{text}");
        }
        for text in [
            "",
            "data:audio/wav,abc",
            "data:",
            "?",
            "http://example.com/a.wav",
            "file:///etc/passwd",
            "Zm9=vYmFy",
        ] {
            assert!(audio(text.to_owned(), "file", &limits, &mut memory()).await.is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn long_audio_is_decoded_in_chunks() {
        let audio_bytes: Vec<u8> = (0..200_000_u32).map(|n| (n * 7 % 251) as u8).collect();
        let limits = Limits { upload_memory_threshold_bytes: 1000, ..Limits::default() };
        let upload =
            audio(base64::prelude::BASE64_STANDARD.encode(&audio_bytes), "file", &limits, &mut memory())
                .await
                .unwrap();
        let Upload::File(path) = upload else { panic!("{upload:?}") };
        assert_eq!(std::fs::read(&path).unwrap(), audio_bytes);
    }
}
