//! From spectral parameters to samples (a harmonic-plus-noise vocoder).
//!
//! A frame's spectrum is the sum of three: the filtered excitation (gain and phase shift per bin); noise with a magnitude per bin;
//! and a free part with magnitude and phase. Frames are turned into samples by the inverse short-time Fourier transform,
//! windowed, overlapped and divided by the windows' sum of squares (Griffin and Lim, IEEE TASSP 32(2), 1984). A sample is
//! final as soon as all frames that overlap it are known, so audio is produced chunk by chunk.

use std::cell::RefCell;
use std::sync::Arc;

use mynah_kernels::{pool, random, vecmath};
use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};

use super::excitation::{Excitation, HOP_LENGTH};
use super::network::{BINS, Decoded, Network, PARTS};

/// Samples of a frame's window.
const WINDOW_LENGTH: usize = 1200;
/// Hops that a window covers.
const OVERLAP: usize = WINDOW_LENGTH / HOP_LENGTH;
/// Hops before the first sample, as frames are centred.
const LEAD: usize = OVERLAP / 2;
/// Upper limit of log magnitudes.
const MAX_LOG_MAGNITUDE: f32 = 7.0;
/// Frames per chunk: 0.6 s.
const BLOCK_FRAMES: usize = 48;
/// Frames of an utterance's first chunk: 0.2 s, for a low latency.
pub(super) const FIRST_FRAMES: usize = 16;

/// Transforms and windows, shared by all utterances.
pub(super) struct Vocoder {
    forward: Arc<dyn RealToComplex<f32>>,
    inverse: Arc<dyn ComplexToReal<f32>>,
    /// A periodic Hann window.
    window: Vec<f32>,
    /// Factors for a hop that four frames overlap: one over the sum of the windows' squares.
    steady: Vec<f32>,
}

impl Vocoder {
    pub(super) fn new() -> Self {
        let mut planner = RealFftPlanner::new();
        let step = std::f64::consts::TAU / WINDOW_LENGTH as f64;
        let window: Vec<f32> =
            (0..WINDOW_LENGTH).map(|i| (0.5 - 0.5 * (i as f64 * step).cos()) as f32).collect();
        let squares = |i| window.iter().skip(i).step_by(HOP_LENGTH).map(|w| w * w).sum::<f32>();
        Self {
            steady: (0..HOP_LENGTH).map(|i| 1.0 / squares(i)).collect(),
            forward: planner.plan_fft_forward(WINDOW_LENGTH),
            inverse: planner.plan_fft_inverse(WINDOW_LENGTH),
            window,
        }
    }
}

/// State of an utterance's synthesis.
pub(super) struct Stream {
    excitation: Excitation,
    seed: u64,
    /// Windowed samples of frames: the last ones of the previous block, which still overlap this one, and this block's.
    windowed: Vec<f32>,
    /// Frames done.
    done: usize,
}

/// Frames of the previous block that overlap a block.
const CARRIED: usize = OVERLAP - 1;

impl Stream {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            excitation: Excitation::default(),
            seed,
            windowed: vec![0.0; CARRIED * WINDOW_LENGTH],
            done: 0,
        }
    }

    /// Whether any samples were returned.
    pub(super) fn has_begun(&self) -> bool {
        self.done > 0
    }

    /// The next samples; `None` at the end. The first call needs the first FIRST_FRAMES frames decoded, later ones all.
    pub(super) fn next(
        &mut self,
        vocoder: &Vocoder,
        network: &Network,
        decoded: &Decoded,
    ) -> Option<Vec<f32>> {
        let (frames, first) = (decoded.f0_hz.len(), self.done);
        if first == frames {
            return None;
        }
        let block = if first == 0 { FIRST_FRAMES } else { BLOCK_FRAMES };
        let count = block.min(frames - first);
        self.done += count;
        // The last frame's window extends LEAD hops further.
        self.excitation.extend(&decoded.f0_hz, (self.done + LEAD).min(frames));
        let mut windowed = std::mem::take(&mut self.windowed);
        let carried = windowed.len() - CARRIED * WINDOW_LENGTH;
        windowed.copy_within(carried.., 0);
        windowed.resize((CARRIED + count) * WINDOW_LENGTH, 0.0);
        let share = count.div_ceil(2 * pool::threads()).max(4);
        let this = &*self;
        pool::for_each_chunk(&mut windowed[CARRIED * WINDOW_LENGTH..], share * WINDOW_LENGTH, |task, out| {
            this.frames(vocoder, network, decoded, first + task * share, out);
        });
        // Half of the first window is before the beginning, and the last frames extend to the end.
        let hops =
            if first == 0 { LEAD } else { first }..self.done + if self.done == frames { LEAD } else { 0 };
        let mut samples = vec![0.0; hops.len() * HOP_LENGTH];
        pool::for_each_chunk(&mut samples, share * HOP_LENGTH, |task, out| {
            for (i, out) in out.chunks_exact_mut(HOP_LENGTH).enumerate() {
                overlap(vocoder, &windowed, first, self.done, hops.start + task * share + i, out);
            }
        });
        self.windowed = windowed;
        Some(samples)
    }

    /// Computes frames from `first` on, each WINDOW_LENGTH windowed samples, on the calling thread.
    fn frames(&self, vocoder: &Vocoder, network: &Network, decoded: &Decoded, first: usize, out: &mut [f32]) {
        thread_local! {
            static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::default());
        }
        SCRATCH.with_borrow_mut(|scratch| {
            let (count, length) = (out.len() / WINDOW_LENGTH, decoded.f0_hz.len() * HOP_LENGTH);
            let mut parts = std::mem::take(&mut scratch.parts);
            parts.resize(count * PARTS, 0.0);
            network.parts(decoded, first, &mut parts);
            for ((i, parts), out) in
                parts.chunks_exact_mut(PARTS).enumerate().zip(out.chunks_exact_mut(WINDOW_LENGTH))
            {
                self.frame(vocoder, length, first + i, parts, scratch, out);
            }
            scratch.parts = parts;
        });
    }

    /// Computes one frame of an utterance of `length` samples; `parts` is overwritten.
    fn frame(
        &self,
        vocoder: &Vocoder,
        length: usize,
        frame: usize,
        parts: &mut [f32],
        s: &mut Scratch,
        out: &mut [f32],
    ) {
        s.resize(vocoder);
        let (pulse, rest) = parts.split_at_mut(2 * BINS);
        let (noise, free) = rest.split_at_mut(BINS);
        let ((pulse, pulse_turns), (free, free_angle)) = (pulse.split_at_mut(BINS), free.split_at_mut(BINS));
        for magnitude in [&mut *pulse, &mut *noise, &mut *free] {
            magnitude.iter_mut().for_each(|v| *v = v.min(MAX_LOG_MAGNITUDE));
            vecmath::exp(magnitude);
        }

        free_angle.iter_mut().for_each(|v| *v *= std::f32::consts::FRAC_1_PI * 0.5);
        vecmath::sin_cos_turns(free_angle, &mut s.im, &mut s.re);
        for (to, ((magnitude, re), im)) in s.spectrum.iter_mut().zip(free.iter().zip(&s.re).zip(&s.im)) {
            *to = Complex::new(magnitude * re, magnitude * im);
        }

        // The upper half of the counter's 64 bits also comes from the seed, so every seed has its own noise.
        let counter = (self.seed & !0xffff_ffff) | ((frame * BINS) as u64 & 0xffff_ffff);
        random::normal_pairs(self.seed as u32, counter, &mut s.re, &mut s.im);
        for (to, ((magnitude, re), im)) in s.spectrum.iter_mut().zip(noise.iter().zip(&s.re).zip(&s.im)) {
            *to += Complex::new(magnitude * re, magnitude * im);
        }

        if self.excitation_spectrum(vocoder, length, frame, s) {
            vecmath::tanh(pulse_turns);
            pulse_turns.iter_mut().for_each(|v| *v *= 0.5);
            vecmath::sin_cos_turns(pulse_turns, &mut s.im, &mut s.re);
            let turns = pulse.iter().zip(&s.re).zip(&s.im);
            for ((to, source), ((magnitude, re), im)) in s.spectrum.iter_mut().zip(&s.source).zip(turns) {
                *to += source * Complex::new(magnitude * re, magnitude * im);
            }
        }

        // The first and last bin of a real signal's spectrum are real.
        s.spectrum[0].im = 0.0;
        s.spectrum[BINS - 1].im = 0.0;
        let transformed = vocoder.inverse.process_with_scratch(&mut s.spectrum, out, &mut s.fft);
        assert!(transformed.is_ok(), "buffers have the length of the transform");
        for (v, w) in out.iter_mut().zip(&vocoder.window) {
            *v *= w / WINDOW_LENGTH as f32;
        }
    }

    /// The excitation's spectrum around a frame, scaled such that a cosine of amplitude 1 has magnitude 1; `false` if the frame is
    /// unvoiced.
    fn excitation_spectrum(&self, vocoder: &Vocoder, length: usize, frame: usize, s: &mut Scratch) -> bool {
        let start = (frame * HOP_LENGTH) as isize - (WINDOW_LENGTH / 2) as isize;
        let (length, source) = (length as isize, self.excitation.samples());
        // The signal is mirrored at its ends.
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
            let v = usize::try_from(i).ok().and_then(|i| source.get(i)).copied().unwrap_or_default();
            *to = v * w * (4.0 / WINDOW_LENGTH as f32);
        }
        if s.segment.iter().all(|&v| v == 0.0) {
            return false;
        }
        let transformed = vocoder.forward.process_with_scratch(&mut s.segment, &mut s.source, &mut s.fft);
        assert!(transformed.is_ok(), "buffers have the length of the transform");
        true
    }
}

/// Sums the contributions of frames below `end` to a hop; `windowed` begins CARRIED frames before frame `first`.
fn overlap(vocoder: &Vocoder, windowed: &[f32], first: usize, end: usize, hop: usize, out: &mut [f32]) {
    let reaching = hop.saturating_sub(CARRIED)..end.min(hop + 1);
    for frame in reaching.clone() {
        let part = &windowed[(frame + CARRIED - first) * WINDOW_LENGTH + (hop - frame) * HOP_LENGTH..];
        out.iter_mut().zip(part).for_each(|(out, v)| *out += v);
    }
    if reaching.len() == OVERLAP {
        out.iter_mut().zip(&vocoder.steady).for_each(|(out, factor)| *out *= factor);
    } else {
        for (i, out) in out.iter_mut().enumerate() {
            let square = |frame: usize| vocoder.window[(hop - frame) * HOP_LENGTH + i].powi(2);
            *out /= reaching.clone().map(square).sum::<f32>().max(1e-11);
        }
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
