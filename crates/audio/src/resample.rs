//! Sample rate conversion of one channel, with input in blocks of any size.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

/// Samples of the shorter side of a block. The anti-alias filter is as long as a block; with this length it is flat to
/// within 0.1 dB up to 97 % of the lower Nyquist frequency and over 100 dB down from that frequency on.
const BLOCK: usize = 1280;

/// A linear-phase resampler whose output is aligned with its input and has the same duration, rounded to a sample.
pub(crate) struct Resampler {
    from_hz: u32,
    to_hz: u32,
    fft: Fft<f32>,
    /// Input samples of an incomplete block.
    pending: Vec<f32>,
    block: Vec<f32>,
    /// Leading output samples still to drop: the delay of the filter.
    skip: usize,
    consumed: u64,
    produced: u64,
}

impl Resampler {
    /// A resampler between two rates, or `None` if the pair is not supported.
    pub(crate) fn new(from_hz: u32, to_hz: u32) -> Option<Self> {
        let (from, to) = (from_hz as usize, to_hz as usize);
        if from == 0 || to == 0 {
            return None;
        }
        // The smallest block is the one with a whole number of samples on both sides. An even multiple of it puts the
        // middle of the filter on a sample.
        let common = gcd(from, to);
        let multiple = BLOCK.div_ceil(from.min(to) / common).next_multiple_of(2);
        let chunk = multiple * (from / common);
        let fft =
            Fft::new_custom(from, to, chunk, 1, 1, WindowFunction::BlackmanHarris2, FixedSync::Both).ok()?;
        Some(Self {
            from_hz,
            to_hz,
            pending: Vec::with_capacity(fft.input_frames_next()),
            block: vec![0.0; fft.output_frames_max()],
            skip: fft.output_delay(),
            consumed: 0,
            produced: 0,
            fft,
        })
    }

    /// Takes samples and appends finished output to `out`.
    pub(crate) fn push(&mut self, mut samples: &[f32], out: &mut Vec<f32>) {
        self.consumed += samples.len() as u64;
        let size = self.fft.input_frames_next();
        while !samples.is_empty() {
            let (head, rest) = samples.split_at(samples.len().min(size - self.pending.len()));
            self.pending.extend_from_slice(head);
            samples = rest;
            if self.pending.len() == size {
                self.run(out);
            }
        }
    }

    /// Appends the remaining output and resets the resampler.
    pub(crate) fn finish(&mut self, out: &mut Vec<f32>) {
        let (from, to) = (u64::from(self.from_hz), u64::from(self.to_hz));
        let due = (self.consumed * to + from / 2) / from;
        while self.produced < due {
            self.pending.resize(self.fft.input_frames_next(), 0.0);
            self.run(out);
        }
        out.truncate(out.len().saturating_sub((self.produced - due) as usize));
        self.pending.clear();
        self.fft.reset();
        self.skip = self.fft.output_delay();
        (self.consumed, self.produced) = (0, 0);
    }

    fn run(&mut self, out: &mut Vec<f32>) {
        let frames = self.pending.len();
        let room = self.block.len();
        let input =
            InterleavedSlice::new(&self.pending, 1, frames).expect("one channel of the slice's length");
        let mut output =
            InterleavedSlice::new_mut(&mut self.block, 1, room).expect("one channel of the slice's length");
        let (_, made) =
            self.fft.process_into_buffer(&input, &mut output, None).expect("blocks are sized as asked");
        let skip = self.skip.min(made);
        self.skip -= skip;
        out.extend_from_slice(&self.block[skip..made]);
        self.produced += (made - skip) as u64;
        self.pending.clear();
    }
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::TAU;

    use super::*;

    /// Pairs of rates from synthesis and recordings, up and down, with small and large ratios.
    const PAIRS_HZ: [(u32, u32); 8] = [
        (24_000, 48_000),
        (24_000, 44_100),
        (24_000, 22_050),
        (24_000, 8_000),
        (22_050, 24_000),
        (44_100, 16_000),
        (48_000, 16_000),
        (8_000, 16_000),
    ];

    fn sine(hz: f64, rate_hz: u32) -> Vec<f32> {
        (0..rate_hz).map(|n| (TAU * hz * f64::from(n) / f64::from(rate_hz)).sin() as f32).collect()
    }

    fn resampled_sine(hz: f64, from_hz: u32, to_hz: u32) -> Vec<f32> {
        let mut resampler = Resampler::new(from_hz, to_hz).expect("the rates are ordinary");
        let mut out = Vec::new();
        sine(hz, from_hz).chunks(999).for_each(|piece| resampler.push(piece, &mut out));
        resampler.finish(&mut out);
        assert_eq!(out.len(), to_hz as usize, "a second stays a second");
        out
    }

    /// Power over the middle half, away from the sine's start and end, in decibels relative to a full-scale sine.
    fn level_db(samples: &[f32]) -> f32 {
        let middle = &samples[samples.len() / 4..samples.len() * 3 / 4];
        let power: f32 = middle.iter().map(|x| x * x).sum::<f32>() / middle.len() as f32;
        10.0 * (2.0 * power).max(1e-20).log10()
    }

    #[test]
    fn the_band_below_the_lower_nyquist_passes_aligned_and_the_rest_is_removed() {
        for (from_hz, to_hz) in PAIRS_HZ {
            let nyquist_hz = f64::from(from_hz.min(to_hz)) / 2.0;
            let passed_hz = (0.97 * nyquist_hz).floor();
            let passed = resampled_sine(passed_hz, from_hz, to_hz);
            assert!(level_db(&passed).abs() < 0.1, "{from_hz} to {to_hz}: {} dB", level_db(&passed));
            let low = resampled_sine(440.0, from_hz, to_hz);
            let error: Vec<f32> = low.iter().zip(sine(440.0, to_hz)).map(|(a, b)| a - b).collect();
            assert!(level_db(&error) < -90.0, "{from_hz} to {to_hz}: off by {} dB", level_db(&error));
            if to_hz < from_hz {
                let beyond = resampled_sine((1.01 * nyquist_hz).ceil(), from_hz, to_hz);
                assert!(level_db(&beyond) < -100.0, "{from_hz} to {to_hz}: {} dB", level_db(&beyond));
            }
        }
    }
}
