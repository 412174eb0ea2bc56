//! Log-mel spectrograms, as used to train Whisper (arXiv:2212.04356, section 2.2).
//!
//! 16 kHz; Hann windows of 25 ms every 10 ms, centred (the start is mirrored); power in mel bands on Slaney's scale;
//! log10, clamped at 8 below the loudest band of the whole recording, and scaled to about -1 to 1.

use std::ops::Range;
use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

use crate::SAMPLE_RATE;

/// Samples of an analysis window: 25 ms.
const N_FFT: usize = 400;
/// Samples from one frame to the next: 10 ms.
pub const HOP_LENGTH: usize = 160;
/// Frequency bins of a frame's spectrum.
const BINS: usize = N_FFT / 2 + 1;
/// Lower limit of power, before the logarithm.
const FLOOR: f32 = 1e-10;

/// Computes log-mel windows of a recording; shared and immutable.
pub struct LogMel {
    bands: Vec<Band>,
    hann: Vec<f32>,
    fft: Arc<dyn RealToComplex<f32>>,
}

/// One triangular filter: weights of the bins `bins`.
struct Band {
    bins: Range<usize>,
    weights: Vec<f32>,
}

impl std::fmt::Debug for LogMel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogMel").field("bands", &self.bands.len()).finish_non_exhaustive()
    }
}

impl LogMel {
    /// Filters for `n_mels` bands (80, or 128 from large-v3 on).
    pub fn new(n_mels: usize) -> Self {
        let hann = (0..N_FFT)
            .map(|n| (0.5 - 0.5 * (2.0 * std::f64::consts::PI * n as f64 / N_FFT as f64).cos()) as f32)
            .collect();
        Self { bands: bands(n_mels), hann, fft: RealFftPlanner::new().plan_fft_forward(N_FFT) }
    }

    /// Number of mel bands.
    pub fn n_mels(&self) -> usize {
        self.bands.len()
    }

    /// log10 of the power in the loudest band of the loudest frame, the reference of [`LogMel::window`].
    pub fn peak(&self, samples: &[f32]) -> f32 {
        let mut loudest = FLOOR;
        let mut frame = Frame::new(self);
        for t in 0..frame_count(samples.len()) {
            frame.compute(self, samples, t);
            for band in &self.bands {
                loudest = loudest.max(band.power(&frame.power));
            }
        }
        loudest.log10()
    }

    /// Frames `first..first + frames` as `[n_mels, frames]`, with silence after the end of `samples`.
    pub fn window(&self, samples: &[f32], first: usize, frames: usize, peak: f32) -> Vec<f32> {
        let normalise = |log: f32| (log.max(peak - 8.0) + 4.0) / 4.0;
        let mut mel = vec![normalise(FLOOR.log10()); self.bands.len() * frames];
        let mut frame = Frame::new(self);
        // Frames without samples are silent; the last one with samples is centred half a window after the end.
        let last = (samples.len() + N_FFT / 2).div_ceil(HOP_LENGTH).min(first + frames);
        for t in first..last {
            frame.compute(self, samples, t);
            for (m, band) in self.bands.iter().enumerate() {
                mel[m * frames + t - first] = normalise(band.power(&frame.power).max(FLOOR).log10());
            }
        }
        mel
    }
}

/// Number of frames centred within this number of samples.
pub fn frame_count(samples: usize) -> usize {
    samples.div_ceil(HOP_LENGTH)
}

impl Band {
    fn power(&self, spectrum: &[f32]) -> f32 {
        self.weights.iter().zip(&spectrum[self.bins.clone()]).map(|(w, p)| w * p).sum()
    }
}

/// Buffers of one frame's transform.
struct Frame {
    windowed: Vec<f32>,
    spectrum: Vec<Complex<f32>>,
    scratch: Vec<Complex<f32>>,
    power: Vec<f32>,
}

impl Frame {
    fn new(mel: &LogMel) -> Self {
        Self {
            windowed: mel.fft.make_input_vec(),
            spectrum: mel.fft.make_output_vec(),
            scratch: mel.fft.make_scratch_vec(),
            power: vec![0.0; BINS],
        }
    }

    /// Power spectrum of the frame centred at sample `t * HOP_LENGTH`.
    fn compute(&mut self, mel: &LogMel, samples: &[f32], t: usize) {
        let start = (t * HOP_LENGTH) as isize - (N_FFT / 2) as isize;
        for (i, (to, hann)) in self.windowed.iter_mut().zip(&mel.hann).enumerate() {
            // Before the start the signal is mirrored about its first sample.
            let at = (start + i as isize).unsigned_abs();
            *to = samples.get(at).map_or(0.0, |s| s * hann);
        }
        let done = mel.fft.process_with_scratch(&mut self.windowed, &mut self.spectrum, &mut self.scratch);
        debug_assert!(done.is_ok(), "buffers were allocated by the plan");
        for (to, c) in self.power.iter_mut().zip(&self.spectrum) {
            *to = c.norm_sqr();
        }
    }
}

/// Triangular filters of equal width on the mel scale and unit area in Hz, from 0 Hz to half the sample rate.
fn bands(n_mels: usize) -> Vec<Band> {
    let nyquist = f64::from(SAMPLE_RATE) / 2.0;
    let top = hz_to_mel(nyquist);
    let edges: Vec<f64> = (0..n_mels + 2).map(|i| mel_to_hz(top * i as f64 / (n_mels + 1) as f64)).collect();
    edges
        .windows(3)
        .map(|e| {
            let (low, centre, high) = (e[0], e[1], e[2]);
            let weight = |bin: usize| {
                let hz = nyquist * bin as f64 / (BINS - 1) as f64;
                let triangle = ((hz - low) / (centre - low)).min((high - hz) / (high - centre)).max(0.0);
                triangle * 2.0 / (high - low)
            };
            let first = (0..BINS).find(|&b| weight(b) > 0.0).unwrap_or(0);
            let end = (first..BINS).find(|&b| weight(b) <= 0.0).unwrap_or(BINS);
            Band { bins: first..end, weights: (first..end).map(|b| weight(b) as f32).collect() }
        })
        .collect()
}

/// Slaney's Auditory Toolbox (1998): linear below 1 kHz (200/3 Hz per mel), logarithmic above (27 mels per factor of 6.4).
fn hz_to_mel(hz: f64) -> f64 {
    if hz < 1000.0 { hz * 3.0 / 200.0 } else { 15.0 + (hz / 1000.0).ln() * 27.0 / 6.4_f64.ln() }
}

fn mel_to_hz(mel: f64) -> f64 {
    if mel < 15.0 { mel * 200.0 / 3.0 } else { 1000.0 * ((mel - 15.0) * 6.4_f64.ln() / 27.0).exp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chirp(samples: usize) -> Vec<f32> {
        (0..samples).map(|i| 0.3 * ((i as f32 / 4000.0).powi(2) * 40.0).sin()).collect()
    }

    /// Frame `t` by definition: a discrete Fourier transform in f64.
    fn reference(samples: &[f32], t: usize, n_mels: usize) -> Vec<f64> {
        let power: Vec<f64> = (0..BINS)
            .map(|k| {
                let (mut re, mut im) = (0.0, 0.0);
                for n in 0..N_FFT {
                    let at = (t * HOP_LENGTH + n) as isize - 200;
                    let s = samples.get(at.unsigned_abs()).copied().unwrap_or(0.0);
                    let hann = 0.5 - 0.5 * (2.0 * std::f64::consts::PI * n as f64 / 400.0).cos();
                    let angle = -2.0 * std::f64::consts::PI * (k * n) as f64 / 400.0;
                    re += f64::from(s) * hann * angle.cos();
                    im += f64::from(s) * hann * angle.sin();
                }
                re * re + im * im
            })
            .collect();
        bands(n_mels)
            .iter()
            .map(|b| b.weights.iter().zip(&power[b.bins.clone()]).map(|(w, p)| f64::from(*w) * p).sum())
            .collect()
    }

    #[test]
    fn frames_match_the_definition() {
        let samples = chirp(8000);
        for n_mels in [80, 128] {
            let mel = LogMel::new(n_mels);
            let peak = mel.peak(&samples);
            let window = mel.window(&samples, 0, 60, peak);
            for t in [0, 1, 20, 49, 50, 51, 59] {
                for (m, power) in reference(&samples, t, n_mels).iter().enumerate() {
                    let want = (power.max(1e-10).log10().max(f64::from(peak) - 8.0) + 4.0) / 4.0;
                    let got = f64::from(window[m * 60 + t]);
                    assert!((got - want).abs() < 2e-3, "band {m} of frame {t}: {got}, expected {want}");
                }
            }
        }
    }

    #[test]
    fn windows_are_parts_of_the_whole() {
        let samples = chirp(16_000);
        let mel = LogMel::new(80);
        let peak = mel.peak(&samples);
        let whole = mel.window(&samples, 0, 100, peak);
        let part = mel.window(&samples, 30, 20, peak);
        for m in 0..80 {
            assert_eq!(whole[m * 100 + 30..m * 100 + 50], part[m * 20..(m + 1) * 20]);
        }
    }

    #[test]
    fn filters_have_unit_area_and_the_published_shape() {
        let bands = bands(80);
        // From the filter bank published with Whisper: the first triangle has bin 1 alone, at 0.024862593.
        assert_eq!(bands[0].bins, 1..2);
        assert!((bands[0].weights[0] - 0.024_862_593).abs() < 1e-7);
        let area: f32 = bands[60].weights.iter().sum::<f32>() * 40.0;
        assert!((area - 1.0).abs() < 0.02, "{area}");
    }

    #[test]
    fn silence_and_empty_audio_are_silent() {
        let mel = LogMel::new(80);
        for samples in [&[][..], &[0.0; 1600][..]] {
            let window = mel.window(samples, 0, 10, mel.peak(samples));
            assert!(window.iter().all(|&v| v == -1.5), "{window:?}");
        }
    }
}
