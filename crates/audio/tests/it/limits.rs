//! Limits and cancelling.

use std::cell::Cell;

use mynah_audio::{DecodeError, DecodeLimits, Limit, decode_bytes};

use crate::decode;
use crate::files::{Wav, s16};

fn silence(seconds: usize) -> Vec<u8> {
    Wav::new(1, 1, 16_000, 16).file(&s16(&vec![0.0; seconds * 16_000]))
}

fn limited(bytes: Vec<u8>, limits: DecodeLimits) -> Limit {
    match decode_bytes(bytes, &limits, &|| false) {
        Err(DecodeError::TooLarge { limit }) => limit,
        other => panic!("{:?}", other.map(|decoded| decoded.info)),
    }
}

#[test]
fn bytes_length_and_channels_are_limited() {
    let limits = DecodeLimits::default();
    assert_eq!(limited(silence(2), DecodeLimits { max_bytes: 1000, ..limits.clone() }), Limit::Bytes(1000));
    assert_eq!(
        limited(silence(2), DecodeLimits { max_duration_s: 1.5, ..limits.clone() }),
        Limit::Duration(1.5)
    );
    assert!(
        decode_bytes(silence(2), &DecodeLimits { max_duration_s: 2.0, ..limits.clone() }, &|| false).is_ok()
    );
    let wide = Wav::new(1, 255, 16_000, 16).file(&[0; 5100]);
    assert_eq!(limited(wide, limits), Limit::Channels(32));
}

#[test]
fn a_small_flac_of_many_hours_stops_at_the_limit() {
    // Frames of constant silence: 16 bits, mono, 16 kHz, 65535 samples in 15 bytes each.
    let file: Vec<u8> = (0..8_000u32).flat_map(silent_flac_frame).collect();
    assert!(file.len() < 150_000);
    let limits = DecodeLimits { max_duration_s: 60.0, ..Default::default() };
    assert_eq!(limited(file, limits), Limit::Duration(60.0));
}

fn silent_flac_frame(number: u32) -> Vec<u8> {
    let crc = |bytes: &[u8], bits: u32, poly: u32| {
        bytes.iter().fold(0u32, |sum, &byte| {
            (0..8).fold(sum ^ (u32::from(byte) << (bits - 8)), |sum, _| {
                let out = (sum >> (bits - 1)) & 1;
                ((sum << 1) ^ (out * poly)) & ((1 << bits) - 1)
            })
        })
    };
    let mut frame = vec![0xff, 0xf8, 0x75, 0x08];
    let mut coded = [0; 4];
    frame.extend(char::from_u32(number).expect("below the surrogates").encode_utf8(&mut coded).as_bytes());
    frame.extend(65_534u16.to_be_bytes());
    frame.push(crc(&frame, 8, 0x07) as u8);
    frame.extend([0, 0, 0]);
    frame.extend((crc(&frame, 16, 0x8005) as u16).to_be_bytes());
    frame
}

#[test]
fn a_cancelled_decode_ends_soon() {
    let asked = Cell::new(0);
    let outcome = decode_bytes(silence(600), &DecodeLimits::default(), &|| {
        asked.set(asked.get() + 1);
        asked.get() > 3
    });
    assert!(matches!(outcome, Err(DecodeError::Cancelled)));
    assert_eq!(asked.get(), 4);
}

#[test]
fn rates_and_channels_that_cannot_be_are_refused() {
    for wav in [
        Wav::new(1, 0, 16_000, 16),
        Wav::new(1, 1, 0, 16),
        Wav::new(1, 1, u32::MAX, 16),
        Wav::new(1, 1, 16_000, 0),
        Wav { block: 0, ..Wav::new(2, 1, 16_000, 4) },
    ] {
        let format = wav.format();
        assert!(matches!(decode(wav.file(&[0; 64])), Err(DecodeError::Malformed { .. })), "{format:?}");
    }
}
