//! The Vocos vocoder (arXiv:2306.00814): predicts spectra from mel spectra and inverts them to samples.

use std::sync::Arc;

use mynah_core::ModelError;
use mynah_kernels::{Epilogue, LayerNorm, Matrix, pool, vecmath};
use realfft::num_complex::Complex;
use realfft::{ComplexToReal, RealFftPlanner};

use super::conv_buffer::ConvBuffer;
use super::convnext::{Block, Conv};
use super::mel_decoder::MELS;
use super::weights::Reader;

/// Samples per second.
pub const SAMPLE_RATE: u32 = 24_000;
/// Samples of a frame's window.
pub(super) const WINDOW_LENGTH: usize = 1024;
/// Samples from one frame to the next.
pub(super) const HOP_LENGTH: usize = 256;
/// Bins of a spectrum.
pub(super) const BINS: usize = WINDOW_LENGTH / 2 + 1;
/// Hops that a window covers.
const OVERLAP: usize = WINDOW_LENGTH / HOP_LENGTH;
/// Hops before the first sample, as frames are centred.
const LEAD: usize = OVERLAP / 2;
/// Upper limit of magnitudes.
const MAX_MAGNITUDE: f32 = 100.0;

pub(super) struct Vocos {
    embed: Conv,
    norm: LayerNorm,
    blocks: Vec<Block>,
    last_norm: LayerNorm,
    head: Matrix,
    head_bias: Vec<f32>,
    window: Vec<f32>,
    inverse: Arc<dyn ComplexToReal<f32>>,
}

/// State between chunks.
pub(super) struct VocosStream {
    embed: ConvBuffer,
    blocks: Vec<ConvBuffer>,
    /// Frames overlapped so far.
    frames: usize,
    /// Sums of windowed frames and of squared windows, for the hops that the next frame overlaps.
    sums: [[f32; HOP_LENGTH]; OVERLAP],
    squares: [[f32; HOP_LENGTH]; OVERLAP],
}

impl Vocos {
    pub(super) fn load(reader: &Reader<'_>) -> Result<Self, ModelError> {
        let [width, _, _] = reader.shape("backbone.embed.weight")?;
        let block = |i: usize| format!("backbone.convnext.{i}");
        let count = reader.count("backbone.convnext.");
        Ok(Self {
            embed: Conv::load(reader, "backbone.embed", [width, MELS, 3], false)?,
            norm: reader.layer_norm("backbone.norm", width)?,
            blocks: (0..count)
                .map(|i| Block::load(reader, &block(i), "gamma", width, 1))
                .collect::<Result<_, _>>()?,
            last_norm: reader.layer_norm("backbone.final_layer_norm", width)?,
            head: reader.matrix("head.out.weight", 2 * BINS, width)?,
            head_bias: reader.floats("head.out.bias", [2 * BINS])?,
            window: reader.floats("head.istft.window", [WINDOW_LENGTH])?,
            inverse: RealFftPlanner::new().plan_fft_inverse(WINDOW_LENGTH),
        })
    }

    pub(super) fn bytes(&self) -> usize {
        let blocks = self.blocks.iter().map(Block::bytes).sum::<usize>();
        self.embed.bytes() + blocks + self.head.bytes()
    }

    pub(super) fn stream(&self) -> VocosStream {
        VocosStream {
            embed: self.embed.window(),
            blocks: self.blocks.iter().map(Block::window).collect(),
            frames: 0,
            sums: [[0.0; HOP_LENGTH]; OVERLAP],
            squares: [[0.0; HOP_LENGTH]; OVERLAP],
        }
    }

    /// Takes the next log-mel frames and returns the samples that became final; all frames together give
    /// `256 (frames - 1)` samples. `on_stage` receives each stage's output.
    pub(super) fn run(
        &self,
        stream: &mut VocosStream,
        mel: &[f32],
        end: bool,
        on_stage: &mut dyn FnMut(&[f32]),
    ) -> Vec<f32> {
        let embedded = self.embed.run(&mut stream.embed, mel, end);
        let mut x = vec![0.0; embedded.len()];
        self.norm.apply(&embedded, &mut x);
        on_stage(&x);
        for (block, window) in self.blocks.iter().zip(&mut stream.blocks) {
            x = block.run(window, &x, end);
            on_stage(&x);
        }
        let mut normed = vec![0.0; x.len()];
        self.last_norm.apply(&x, &mut normed);
        on_stage(&normed);
        let rows = normed.len() / self.head.inputs();
        let mut spectra = vec![0.0; rows * 2 * BINS];
        self.head.apply(&normed, rows, &mut spectra, &Epilogue::bias(&self.head_bias));
        on_stage(&spectra);
        let mut frames = vec![0.0; rows * WINDOW_LENGTH];
        let share = rows.div_ceil(4 * pool::threads()).max(1);
        pool::for_each_chunk(&mut frames, share * WINDOW_LENGTH, |task, frames| {
            let spectra = &spectra[task * share * 2 * BINS..];
            self.frames(spectra, frames);
        });
        let mut samples = Vec::with_capacity((rows + 1) * HOP_LENGTH);
        for frame in frames.chunks_exact(WINDOW_LENGTH) {
            stream.overlap(frame, &self.window);
            stream.shift(&mut samples);
        }
        if end && stream.frames > 0 {
            // The hops up to the last frame's centre. A single frame gives no samples.
            (1..LEAD).for_each(|_| stream.shift(&mut samples));
        }
        samples
    }

    /// Turns log magnitudes and phases into windowed frames.
    fn frames(&self, spectra: &[f32], frames: &mut [f32]) {
        let mut spectrum = vec![Complex::default(); BINS];
        let mut scratch = self.inverse.make_scratch_vec();
        let (mut magnitude, mut turns) = (vec![0.0; BINS], vec![0.0; BINS]);
        let (mut sin, mut cos) = (vec![0.0; BINS], vec![0.0; BINS]);
        for (spectra, frame) in spectra.chunks_exact(2 * BINS).zip(frames.chunks_exact_mut(WINDOW_LENGTH)) {
            magnitude.copy_from_slice(&spectra[..BINS]);
            vecmath::exp(&mut magnitude);
            let angles = spectra[BINS..].iter();
            turns.iter_mut().zip(angles).for_each(|(turns, a)| *turns = a / std::f32::consts::TAU);
            vecmath::sin_cos_turns(&turns, &mut sin, &mut cos);
            for (i, value) in spectrum.iter_mut().enumerate() {
                let magnitude = magnitude[i].min(MAX_MAGNITUDE);
                *value = Complex::new(magnitude * cos[i], magnitude * sin[i]);
            }
            // The first and last bin of a real signal's spectrum are real.
            spectrum[0].im = 0.0;
            spectrum[BINS - 1].im = 0.0;
            let transformed = self.inverse.process_with_scratch(&mut spectrum, frame, &mut scratch);
            assert!(transformed.is_ok(), "buffers are as long as the transform");
            for (v, w) in frame.iter_mut().zip(&self.window) {
                *v *= w / WINDOW_LENGTH as f32;
            }
        }
    }
}

impl VocosStream {
    /// Adds a frame to the sums.
    fn overlap(&mut self, frame: &[f32], window: &[f32]) {
        let hops = frame.chunks_exact(HOP_LENGTH).zip(window.chunks_exact(HOP_LENGTH));
        for ((sums, squares), (frame, window)) in self.sums.iter_mut().zip(&mut self.squares).zip(hops) {
            sums.iter_mut().zip(frame).for_each(|(sum, v)| *sum += v);
            squares.iter_mut().zip(window).for_each(|(square, w)| *square += w * w);
        }
    }

    /// Advances by one hop and returns the first one, unless it is before the first sample.
    fn shift(&mut self, samples: &mut Vec<f32>) {
        if self.frames >= LEAD {
            let hop = self.sums[0].iter().zip(&self.squares[0]);
            samples.extend(hop.map(|(sum, square)| sum / square.max(1e-11)));
        }
        self.frames += 1;
        for hops in [&mut self.sums, &mut self.squares] {
            hops.rotate_left(1);
            hops[OVERLAP - 1].fill(0.0);
        }
    }
}
