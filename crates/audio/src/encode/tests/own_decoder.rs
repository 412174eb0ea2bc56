//! Round trips with our own decoder.

use proptest::prelude::*;

use super::signal::{lag, resampled, snr_db, speech};
use crate::encode::{EncodeOptions, Encoder, OutputFormat, encode};
use crate::{DecodeLimits, SAMPLE_RATE, decode_bytes};

#[test]
fn our_decoder_reads_every_format_with_a_header() {
    let original = resampled(&speech(2.1), 24_000, SAMPLE_RATE);
    for format in OutputFormat::ALL.into_iter().filter(|&format| format != OutputFormat::Pcm) {
        for streamed in [false, true] {
            // At its lower rates Opus uses a voice model, and decoders differ by fractions of a sample.
            let sample_rate_hz = (format == OutputFormat::Opus).then_some(48_000);
            let options = EncodeOptions { sample_rate_hz, bitrate_bps: None };
            let mut bytes = Vec::new();
            if streamed {
                let mut encoder = Encoder::new(format, SAMPLE_RATE, &options).expect("all take 16 kHz");
                encoder.push(&original, &mut bytes).expect("it encodes");
                encoder.finish(&mut bytes).expect("it ends");
            } else {
                bytes = encode(format, &original, SAMPLE_RATE, &options).expect("it encodes");
            }
            let decoded =
                decode_bytes(bytes, &DecodeLimits::default(), &|| false).expect("our own files are decoded");
            let lag = lag(&original, &decoded.samples, 1200);
            let snr_db = snr_db(&original, &decoded.samples[lag.max(0) as usize..]);
            let found = format!(
                "{format}, streamed {streamed}: {} samples, lag {lag}, {snr_db:.1} dB",
                decoded.samples.len()
            );
            assert!(snr_db > 18.0, "{found}");
            let seconds = decoded.info.duration_s - lag as f64 / f64::from(SAMPLE_RATE);
            assert!((2.099..2.15).contains(&seconds), "{found}");
        }
    }
}

/// All bytes of a stream, pushed in pieces of the lengths given, over and over.
fn streamed(format: OutputFormat, samples: &[f32], rate_hz: u32, pieces: &[usize]) -> (Vec<u8>, Vec<u8>) {
    let options = EncodeOptions { sample_rate_hz: Some(rate_hz), bitrate_bps: None };
    let mut encoder = Encoder::new(format, 24_000, &options).expect("all formats take these rates");
    let mut bytes = Vec::new();
    let mut rest = samples;
    for &piece in pieces.iter().cycle() {
        let (part, tail) = rest.split_at(piece.min(rest.len()));
        encoder.push(part, &mut bytes).expect("it encodes");
        rest = tail;
        if rest.is_empty() {
            break;
        }
    }
    let header = encoder.finish(&mut bytes).expect("it ends");
    (bytes, header)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn cuts_between_pushes_leave_no_trace(
        format in prop::sample::select(&OutputFormat::ALL[..]),
        rate_hz in prop::sample::select(&[8_000_u32, 16_000, 24_000, 44_100, 48_000][..]),
        length in 0..20_000_usize,
        pieces in prop::collection::vec(1..9_000_usize, 1..6),
    ) {
        let source = &speech(1.0)[..length];
        let whole = streamed(format, source, rate_hz, &[usize::MAX]);
        prop_assert_eq!(streamed(format, source, rate_hz, &pieces), whole);
    }
}
