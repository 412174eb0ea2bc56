//! Invalid, extreme and very long input.

use super::signal::speech;
use crate::encode::{EncodeError, EncodeOptions, Encoder, MPEG_RATES_HZ, OutputFormat, encode};
use crate::{DecodeLimits, decode_bytes};

#[test]
fn any_length_including_zero_is_a_valid_file() {
    let source = speech(0.2);
    for format in OutputFormat::ALL {
        for rate_hz in MPEG_RATES_HZ {
            let options = EncodeOptions { sample_rate_hz: Some(rate_hz), bitrate_bps: None };
            for length in [0, 1, 2, 31, 32, 33, 63, 64, 95, 575, 576, 577, 1024, 1152, 2303, 2304, 2305] {
                let bytes =
                    encode(format, &source[..length], 24_000, &options).expect("any length is encoded");
                if format == OutputFormat::Pcm {
                    continue;
                }
                match decode_bytes(bytes, &DecodeLimits::default(), &|| false) {
                    Ok(decoded) => {
                        let off_s = decoded.info.duration_s - length as f64 / 24_000.0;
                        let most_s = if format == OutputFormat::Aac { 0.26 } else { 0.001 };
                        assert!(
                            (-0.001..most_s).contains(&off_s),
                            "{format} {rate_hz} Hz, {length}: off by {off_s} s"
                        );
                    }
                    // At a third of the rate one sample becomes none; an empty file is only a header.
                    Err(_) if length < 2 => {}
                    Err(error) => panic!("{format} {rate_hz} Hz, {length} samples: {error}"),
                }
            }
        }
    }
}

#[test]
fn invalid_samples_are_encoded() {
    let mut source = speech(1.0);
    for (n, value) in
        [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, -0.0, 1e-45].into_iter().enumerate()
    {
        source[5_000 + 700 * n] = value;
    }
    for format in OutputFormat::ALL {
        for rate_hz in [8_000, 24_000, 48_000] {
            let options = EncodeOptions { sample_rate_hz: Some(rate_hz), bitrate_bps: None };
            encode(format, &source, 24_000, &options).expect("they are conditioned first");
            encode(format, &[f32::NAN; 5000], 24_000, &options).expect("silence");
            encode(format, &[f32::INFINITY; 5000], 24_000, &options).expect("full scale");
        }
    }
}

#[test]
fn loud_audio_is_soft_clipped_and_the_rest_unchanged() {
    let source: Vec<f32> = (-200..=200).map(|n| n as f32 / 100.0).collect();
    let bytes = encode(OutputFormat::Pcm, &source, 24_000, &EncodeOptions::default()).expect("it encodes");
    let decoded: Vec<i16> = bytes.as_chunks().0.iter().map(|&bytes| i16::from_le_bytes(bytes)).collect();
    assert!(decoded.is_sorted(), "the order of levels is kept");
    assert_eq!((decoded[0], decoded[400]), (-32768, 32767));
    for (sample, decoded) in source.iter().zip(decoded).filter(|(sample, _)| sample.abs() < 0.96) {
        assert_eq!(decoded, (sample * 32768.0).round_ties_even() as i16);
    }
}

#[test]
fn output_keeps_up_with_long_input() {
    let second = speech(1.0);
    for format in OutputFormat::ALL {
        let mut encoder = Encoder::new(format, 24_000, &EncodeOptions::default()).expect("all take 24 kHz");
        let (mut bytes, mut average) = (Vec::new(), 0);
        for n in 0..100 {
            encoder.push(&second, &mut bytes).expect("it encodes");
            let came = bytes.len();
            bytes.clear();
            // Each second of input gives a second of output, within a frame and the header.
            if n < 2 {
                average = came;
            } else {
                assert!(
                    came.abs_diff(average) < average / 3,
                    "{format}, second {n}: {came} not {average} bytes"
                );
            }
        }
        encoder.finish(&mut bytes).expect("it ends");
        assert!(bytes.len() < average / 2, "{format}: {} bytes at the end", bytes.len());
    }
}

#[test]
fn encoders_may_move_between_threads() {
    fn movable<T: Send>() {}
    movable::<Encoder>();
}

#[test]
fn unsupported_values_are_refused_with_the_supported_ones() {
    let refusal = |format, input_hz, sample_rate_hz, bitrate_bps| {
        let options = EncodeOptions { sample_rate_hz, bitrate_bps };
        Encoder::new(format, input_hz, &options).err().map(|error| error.to_string())
    };
    let rates = "use one of 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000";
    for format in [OutputFormat::Mp3, OutputFormat::Aac] {
        let error = refusal(format, 24_000, Some(12_345), None).expect("no such rate");
        assert_eq!(error, format!("{format} has no sample rate of 12345 Hz: {rates}"));
    }
    for format in OutputFormat::ALL {
        assert!(refusal(format, 24_000, Some(7_999), None).is_some());
        assert!(refusal(format, 24_000, Some(96_000), None).is_some());
        assert!(refusal(format, 0, None, None).is_some());
        assert!(refusal(format, u32::MAX, None, None).is_some());
        assert!(refusal(format, 24_000, None, Some(1)).is_some());
        assert!(refusal(format, 24_000, None, Some(u32::MAX)).is_some());
    }
    assert_eq!(refusal(OutputFormat::Flac, 24_000, Some(12_345), None), None);
    assert_eq!(refusal(OutputFormat::Opus, 24_000, Some(44_100), None), None);
    assert_eq!("FLAC".parse(), Ok(OutputFormat::Flac));
    assert_eq!("ogg".parse::<OutputFormat>(), Err(EncodeError::UnknownFormat { name: "ogg".to_owned() }));
}
