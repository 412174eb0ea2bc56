//! From the network's spectra to samples.
//!
//! A frame's spectrum is the sum of three: the pulse train's, with magnitude and angle changed; noise with a magnitude;
//! and a free part with magnitude and angle. Frames are turned into samples by the inverse short-time Fourier transform,
//! windowed, overlapped and divided by the windows' sum of squares (Griffin and Lim, IEEE TASSP 32(2), 1984). A sample is
//! final as soon as all frames that reach it are there, so audio can be had in pieces that put together are the whole.

use std::cell::RefCell;
use std::sync::Arc;

use mynah_kernels::{functions, pool, random};
use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::network::{BINS, Decoded, Network, PARTS};
use super::pulses::pulses;

/// Samples a second.
pub const SAMPLE_RATE: u32 = 24_000;
/// Samples from one frame to the next: 12.5 ms.
pub const HOP_LENGTH: usize = 300;
/// Samples of a frame's window.
const WINDOW_LENGTH: usize = 1200;
/// Hops that a window covers.
const OVERLAP: usize = WINDOW_LENGTH / HOP_LENGTH;
/// Hops of the overlapped frames before the first sample: frames are centred.
const LEAD: usize = OVERLAP / 2;
/// Magnitudes are the exponentials of at most this.
const LARGEST_LOG: f32 = 7.0;
/// Frames made at a time: 0.6 s.
const BLOCK_FRAMES: usize = 48;

/// Transforms and windows, shared by all utterances.
pub(super) struct Vocoder {
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    /// A periodic Hann window.
    window: Vec<f32>,
}

impl Vocoder {
    pub(super) fn new() -> Self {
        let mut planner = RealFftPlanner::new();
        let step = std::f64::consts::TAU / WINDOW_LENGTH as f64;
        Self {
            forward: planner.plan_fft_forward(WINDOW_LENGTH),
            inverse: planner.plan_fft_inverse(WINDOW_LENGTH),
            window: (0..WINDOW_LENGTH).map(|i| (0.5 - 0.5 * (i as f64 * step).cos()) as f32).collect(),
        }
    }
}

/// An utterance on its way into samples.
pub(super) struct Stream {
    source: Vec<f32>,
    seed: u64,
    /// Frames overlapped so far.
    done: usize,
    /// Sums of windowed frames, and of squared windows, for the hops that the next frame reaches first.
    sums: [[f32; HOP_LENGTH]; OVERLAP],
    squares: [[f32; HOP_LENGTH]; OVERLAP],
}

impl Stream {
    pub(super) fn new(decoded: &Decoded, seed: u64) -> Self {
        let empty = [[0.0; HOP_LENGTH]; OVERLAP];
        Self { source: pulses(&decoded.f0_hz), seed, done: 0, sums: empty, squares: empty }
    }

    /// The next samples; `None` at the end.
    pub(super) fn next(
        &mut self,
        vocoder: &Vocoder,
        network: &Network,
        decoded: &Decoded,
    ) -> Option<Vec<f32>> {
        let frames = decoded.f0_hz.len();
        if self.done == frames {
            return None;
        }
        let count = BLOCK_FRAMES.min(frames - self.done);
        let mut windowed = vec![0.0; count * WINDOW_LENGTH];
        let share = count.div_ceil(2 * pool::threads()).max(6);
        let (first, this) = (self.done, &*self);
        pool::for_each_chunk(&mut windowed, share * WINDOW_LENGTH, |task, out| {
            this.frames(vocoder, network, decoded, first + task * share, out);
        });
        let mut samples = Vec::with_capacity((count + LEAD) * HOP_LENGTH);
        for frame in windowed.chunks_exact(WINDOW_LENGTH) {
            self.overlap(frame, &vocoder.window);
            self.shift(&mut samples);
        }
        if first == 0 {
            // Half of the first window lies before the beginning.
            samples.drain(..LEAD * HOP_LENGTH);
        }
        self.done += count;
        if self.done == frames {
            // What the last frames reach, up to the end.
            (0..LEAD).for_each(|_| self.shift(&mut samples));
        }
        Some(samples)
    }

    /// Adds a frame to the sums.
    fn overlap(&mut self, frame: &[f32], window: &[f32]) {
        let hops = frame.chunks_exact(HOP_LENGTH).zip(window.chunks_exact(HOP_LENGTH));
        for ((sums, squares), (frame, window)) in self.sums.iter_mut().zip(&mut self.squares).zip(hops) {
            sums.iter_mut().zip(frame).for_each(|(sum, v)| *sum += v);
            squares.iter_mut().zip(window).for_each(|(square, w)| *square += w * w);
        }
    }

    /// Gives out the first hop and moves on by one.
    fn shift(&mut self, samples: &mut Vec<f32>) {
        let hop = self.sums[0].iter().zip(&self.squares[0]);
        samples.extend(hop.map(|(sum, square)| sum / square.max(1e-11)));
        for hops in [&mut self.sums, &mut self.squares] {
            hops.rotate_left(1);
            hops[OVERLAP - 1].fill(0.0);
        }
    }

    /// Makes frames from `first` on, each WINDOW_LENGTH windowed samples, on the calling thread.
    fn frames(&self, vocoder: &Vocoder, network: &Network, decoded: &Decoded, first: usize, out: &mut [f32]) {
        thread_local! {
            static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::default());
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let count = out.len() / WINDOW_LENGTH;
            let mut parts = std::mem::take(&mut scratch.parts);
            parts.resize(count * PARTS, 0.0);
            network.parts(decoded, first, &mut parts);
            for ((i, parts), out) in
                parts.chunks_exact_mut(PARTS).enumerate().zip(out.chunks_exact_mut(WINDOW_LENGTH))
            {
                self.frame(vocoder, first + i, parts, scratch, out);
            }
            scratch.parts = parts;
        });
    }

    /// Makes one frame; `parts` is overwritten.
    fn frame(&self, vocoder: &Vocoder, frame: usize, parts: &mut [f32], s: &mut Scratch, out: &mut [f32]) {
        s.resize(vocoder);
        let (pulse, rest) = parts.split_at_mut(2 * BINS);
        let (noise, free) = rest.split_at_mut(BINS);
        let ((pulse, pulse_turns), (free, free_angle)) = (pulse.split_at_mut(BINS), free.split_at_mut(BINS));
        for magnitude in [&mut *pulse, &mut *noise, &mut *free] {
            magnitude.iter_mut().for_each(|v| *v = v.min(LARGEST_LOG));
            functions::exp(magnitude);
        }

        free_angle.iter_mut().for_each(|v| *v *= std::f32::consts::FRAC_1_PI * 0.5);
        functions::sin_cos_turns(free_angle, &mut s.im, &mut s.re);
        for (to, ((magnitude, re), im)) in s.spectrum.iter_mut().zip(free.iter().zip(&s.re).zip(&s.im)) {
            *to = Complex::new(magnitude * re, magnitude * im);
        }

        // Of the counter's 64 bits the upper half is the seed's too: every seed has its own noise.
        let counter = (self.seed & !0xffff_ffff) | ((frame * BINS) as u64 & 0xffff_ffff);
        random::normal_pairs(self.seed as u32, counter, &mut s.re, &mut s.im);
        for (to, ((magnitude, re), im)) in s.spectrum.iter_mut().zip(noise.iter().zip(&s.re).zip(&s.im)) {
            *to += Complex::new(magnitude * re, magnitude * im);
        }

        if self.source_spectrum(vocoder, frame, s) {
            functions::tanh(pulse_turns);
            pulse_turns.iter_mut().for_each(|v| *v *= 0.5);
            functions::sin_cos_turns(pulse_turns, &mut s.im, &mut s.re);
            let turns = pulse.iter().zip(&s.re).zip(&s.im);
            for ((to, source), ((magnitude, re), im)) in s.spectrum.iter_mut().zip(&s.source).zip(turns) {
                *to += source * Complex::new(magnitude * re, magnitude * im);
            }
        }

        // A real signal has no angle at either end of the spectrum.
        s.spectrum[0].im = 0.0;
        s.spectrum[BINS - 1].im = 0.0;
        let transformed = vocoder.inverse.process_with_scratch(&mut s.spectrum, out, &mut s.fft);
        assert!(transformed.is_ok(), "buffers are as long as the transform");
        for (v, w) in out.iter_mut().zip(&vocoder.window) {
            *v *= w / WINDOW_LENGTH as f32;
        }
    }

    /// The pulse train's spectrum around a frame, scaled so that a cosine of amplitude 1 has magnitude 1; `false` where
    /// there are no pulses.
    fn source_spectrum(&self, vocoder: &Vocoder, frame: usize, s: &mut Scratch) -> bool {
        let start = (frame * HOP_LENGTH) as isize - (WINDOW_LENGTH / 2) as isize;
        let length = self.source.len() as isize;
        // Beyond its ends the signal is mirrored.
        let at = |i: isize| {
            if i < 0 {
                -i
            } else if i >= length {
                2 * (length - 1) - i
            } else {
                i
            }
        };
        for (i, (to, w)) in s.segment.iter_mut().zip(&vocoder.window).enumerate() {
            let i = at(start + i as isize);
            let v = usize::try_from(i).ok().and_then(|i| self.source.get(i)).copied().unwrap_or_default();
            *to = v * w * (4.0 / WINDOW_LENGTH as f32);
        }
        if s.segment.iter().all(|&v| v == 0.0) {
            return false;
        }
        let transformed = vocoder.forward.process_with_scratch(&mut s.segment, &mut s.source, &mut s.fft);
        assert!(transformed.is_ok(), "buffers are as long as the transform");
        true
    }
}

/// A thread's buffers.
#[derive(Default)]
struct Scratch {
    parts: Vec<f32>,
    re: Vec<f32>,
    im: Vec<f32>,
    segment: Vec<f32>,
    source: Vec<Complex<f32>>,
    spectrum: Vec<Complex<f32>>,
    fft: Vec<Complex<f32>>,
}

impl Scratch {
    fn resize(&mut self, vocoder: &Vocoder) {
        self.re.resize(BINS, 0.0);
        self.im.resize(BINS, 0.0);
        self.segment.resize(WINDOW_LENGTH, 0.0);
        self.source.resize(BINS, Complex::default());
        self.spectrum.resize(BINS, Complex::default());
        let scratch = vocoder.forward.get_scratch_len().max(vocoder.inverse.get_scratch_len());
        self.fft.resize(scratch, Complex::default());
    }
}
