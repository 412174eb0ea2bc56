//! Rates and channels.

use crate::decode;
use crate::files::{Wav, interleave};
use crate::signal::{rms, sine, snr, sweep};

fn float_wav(channels: &[&[f32]], rate: u32) -> Vec<u8> {
    let samples = interleave(channels);
    let data: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    Wav::new(3, channels.len() as u16, rate, 32).file(&data)
}

#[test]
fn every_rate_comes_out_at_16_khz_in_place_and_at_length() {
    for rate in [11_025, 12_000, 22_050, 24_000, 32_000, 44_100, 44_101, 48_000, 88_200, 96_000, 192_000] {
        let pcm = sweep(rate);
        let decoded = decode(float_wav(&[&pcm], rate)).expect("decodes");
        let frames = (pcm.len() as f64 * 16_000.0 / f64::from(rate)).round() as usize;
        assert_eq!(decoded.samples.len(), frames, "{rate} Hz");
        // The ends of the sweep are steps, which no band-limited copy can follow; and 11.025 kHz holds 5.5 kHz only.
        let (from, to) = (800, if rate < 12_000 { 9_000 } else { 11_000 });
        let snr = snr(&decoded.samples[from..to], &sweep(16_000)[from..to]);
        assert!(snr > 55.0, "{rate} Hz: {snr:.1} dB");
    }
}

#[test]
fn the_passband_is_flat_and_free_of_aliasing() {
    for rate in [44_100, 48_000, 96_000] {
        for hertz in [100.0, 1_000.0, 5_000.0, 7_000.0, 7_400.0] {
            let out = decode(float_wav(&[&sine(hertz, rate, 1.0)], rate)).expect("decodes").samples;
            let db = 20.0 * (rms(&out[4_000..12_000]) / (0.5 / 2f32.sqrt())).log10();
            assert!(db.abs() < 0.05, "{hertz} Hz from {rate} Hz: {db:.3} dB");
        }
        for hertz in [8_050.0, 8_600.0, 9_000.0, 12_000.0, 15_000.0, 20_000.0] {
            let out = decode(float_wav(&[&sine(hertz, rate, 1.0)], rate)).expect("decodes").samples;
            let db = 20.0 * (rms(&out[4_000..12_000]) / (0.5 / 2f32.sqrt())).log10();
            assert!(db < -80.0, "{hertz} Hz from {rate} Hz: {db:.1} dB");
        }
    }
}

#[test]
fn stereo_is_averaged_and_opposite_polarity_does_not_cancel() {
    let voice = sweep(16_000);
    let inverted: Vec<f32> = voice.iter().map(|x| -x).collect();
    let silence = vec![0.0; voice.len()];
    let quieter: Vec<f32> = inverted.iter().map(|x| x * 0.9).collect();
    let half = 0.5;
    for (name, right, gain) in [
        ("same", &voice, 1.0),
        ("silent", &silence, half),
        ("inverted", &inverted, 1.0),
        ("nearly", &quieter, 0.95),
    ] {
        let out = decode(float_wav(&[&voice, right], 16_000)).expect("decodes").samples;
        let wanted: Vec<f32> = voice.iter().map(|x| x * gain).collect();
        // What is turned is faded in over 32 ms.
        let snr = snr(&out[600..], &wanted[600..]);
        assert!(snr > 100.0, "{name}: {snr:.1} dB");
        assert_eq!(out.len(), voice.len(), "{name}");
    }
}

#[test]
fn a_change_of_polarity_during_the_recording_does_not_cancel() {
    let voice = [sweep(16_000), sweep(16_000), sweep(16_000)].concat();
    let right: Vec<f32> = voice.iter().enumerate().map(|(n, x)| if n < 12_000 { *x } else { -x }).collect();
    let out = decode(float_wav(&[&voice, &right], 16_000)).expect("decodes").samples;
    // Half a second for the change to be noticed.
    assert!(rms(&out[20_000..]) > 0.9 * rms(&voice[20_000..]));
}

#[test]
fn the_centre_of_surround_counts_most_and_its_low_channel_not() {
    let voice = sweep(16_000);
    let silence = vec![0.0; voice.len()];
    let rumble = sine(50.0, 16_000, 0.75);
    let channels: [&[f32]; 6] = [&silence, &silence, &voice, &rumble, &silence, &silence];
    let samples = interleave(&channels);
    let data: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    let decoded = decode(Wav::new(3, 6, 16_000, 32).extensible(0x3f).file(&data)).expect("decodes");
    assert_eq!(decoded.info.channels, 6);
    let gain = rms(&decoded.samples) / rms(&voice);
    let wanted: Vec<f32> = voice.iter().map(|x| x * gain).collect();
    assert!((0.25..0.5).contains(&gain), "{gain}");
    assert!(snr(&decoded.samples, &wanted) > 60.0);
}

#[test]
fn nan_and_samples_of_another_scale_are_sanitized() {
    let mut pcm = sweep(16_000);
    (pcm[3_000], pcm[6_000], pcm[9_000]) = (f32::NAN, f32::INFINITY, f32::NEG_INFINITY);
    let out = decode(float_wav(&[&pcm], 16_000)).expect("decodes").samples;
    assert!(out.iter().all(|x| x.abs() <= 0.5));
    assert_eq!((out[3_000], out[6_000], out[9_000]), (0.0, 0.0, 0.0));

    let loud: Vec<f32> = sweep(16_000).iter().map(|x| x * 32_768.0).collect();
    let out = decode(float_wav(&[&loud], 16_000)).expect("decodes").samples;
    let peak = out.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
    assert!((0.25..=1.0).contains(&peak), "{peak}");

    let mut spiked = sweep(16_000);
    spiked[6_000] = 1e30;
    let out = decode(float_wav(&[&spiked], 16_000)).expect("decodes").samples;
    assert!(snr(&out[..6_000], &sweep(16_000)[..6_000]) > 100.0 && out[6_000] == 1.0);
}
