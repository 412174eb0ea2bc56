//! The discrete variational autoencoder (DVAE): codes to mel spectra, and audio to codes.
//!
//! Codes are those of finite scalar quantisation (arXiv:2309.15505) in two groups of channels with two stages each: code
//! `2 g + r` of a step is stage r of group g. A code's base-5 digits are the levels of four numbers.

use std::sync::Arc;

use mynah_core::ModelError;
use mynah_kernels::{Epilogue, Matrix};
use realfft::{RealFftPlanner, RealToComplex};

use super::convnext::{Conv, Stack};
use super::generate::Codes;
use super::mel_decoder::{MELS, MelDecoder};
use super::vocos::{BINS, HOP_LENGTH, WINDOW_LENGTH};
use super::weights::Reader;

/// Groups of channels, and stages of each.
const GROUPS: usize = 2;
const STAGES: usize = 2;
/// Numbers that are quantised together, and levels of each.
const DIGITS: usize = 4;
const LEVELS: u32 = 5;
/// How much finer the second stage is than the first. Versions of the quantiser have used 4 and 5; 4 was
/// current when the model was published.
const STAGE_SCALE: f32 = 4.0;
/// Bound of the scaled hyperbolic tangent: half of the number of levels less one, plus a small margin.
const BOUND: f32 = 2.002;
/// Lower limit of mel magnitudes, before the logarithm.
const SMALLEST_MEL: f32 = 1e-5;

/// Codes to mel spectra.
pub(super) struct DvaeDecoder {
    /// A group's four numbers to its channels.
    project_out: [(Matrix, Vec<f32>); GROUPS],
    pub(super) mel: MelDecoder,
}

impl DvaeDecoder {
    pub(super) fn load(reader: &Reader<'_>) -> Result<Self, ModelError> {
        let project = |g: usize| {
            let name = format!("vq_layer.quantizer.rvqs.{g}.project_out");
            let [width, _] = reader.shape(&format!("{name}.weight"))?;
            let weight = reader.matrix(&format!("{name}.weight"), width, DIGITS)?;
            Ok::<_, ModelError>((weight, reader.floats(&format!("{name}.bias"), [width])?))
        };
        Ok(Self { project_out: [project(0)?, project(1)?], mel: MelDecoder::load(reader)? })
    }

    /// Features of codes: the input rows of [`MelDecoder::run`].
    pub(super) fn features(&self, codes: &[Codes]) -> Vec<f32> {
        let width: usize = self.project_out.iter().map(|(weight, _)| weight.outputs()).sum();
        let mut out = vec![0.0; codes.len() * width];
        let mut first = 0;
        for (g, (weight, bias)) in self.project_out.iter().enumerate() {
            let values: Vec<f32> = codes.iter().flat_map(|codes| group_values(codes, g)).collect();
            let out = out.get_mut(first..).unwrap_or_default();
            weight.apply_strided(&values, codes.len(), DIGITS, out, width, &Epilogue::bias(bias));
            first += weight.outputs();
        }
        out
    }
}

/// The dequantised numbers of a step's codes of group `g`.
fn group_values(codes: &Codes, g: usize) -> [f32; DIGITS] {
    std::array::from_fn(|j| {
        let value = |stage: usize| {
            let digit = codes[g * STAGES + stage] / LEVELS.pow(j as u32) % LEVELS;
            (digit as f32 - 2.0) / 2.0
        };
        value(0) + value(1) / STAGE_SCALE
    })
}

/// Audio to codes.
pub(super) struct DvaeEncoder {
    forward: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
    /// `[BINS, MELS]`.
    filters: Vec<f32>,
    scales: Vec<f32>,
    conv: Conv,
    /// Four taps, every second frame.
    halve: Matrix,
    halve_bias: Vec<f32>,
    stack: Stack,
    /// A group's channels to its four numbers.
    project_in: [(Matrix, Vec<f32>); GROUPS],
}

impl DvaeEncoder {
    pub(super) fn load(reader: &Reader<'_>) -> Result<Self, ModelError> {
        let stack = Stack::load(reader, "encoder")?;
        let group = stack.outputs() / GROUPS;
        let project = |g: usize| {
            let name = format!("vq_layer.quantizer.rvqs.{g}.project_in");
            let weight = reader.matrix(&format!("{name}.weight"), DIGITS, group)?;
            Ok::<_, ModelError>((weight, reader.floats(&format!("{name}.bias"), [DIGITS])?))
        };
        let [width, _, _] = reader.shape("downsample_conv.0.weight")?;
        let mel = |part: &str| format!("preprocessor_mel.mel_spec.{part}");
        Ok(Self {
            forward: RealFftPlanner::new().plan_fft_forward(WINDOW_LENGTH),
            window: reader.floats(&mel("spectrogram.window"), [WINDOW_LENGTH])?,
            filters: reader.floats(&mel("mel_scale.fb"), [BINS, MELS])?,
            scales: reader.floats("coef", [1, MELS, 1])?,
            conv: Conv::load(reader, "downsample_conv.0", [width, MELS, 1], true)?,
            halve: reader.convolution("downsample_conv.2.weight", [width, width, 4], None)?,
            halve_bias: reader.floats("downsample_conv.2.bias", [width])?,
            project_in: [project(0)?, project(1)?],
            stack,
        })
    }

    /// Codes of mono samples at 24 kHz, one step for each 512 samples.
    ///
    /// # Errors
    /// [`ModelError::InvalidInput`] for fewer than two frames.
    pub(super) fn encode(&self, samples: &[f32]) -> Result<Vec<Codes>, ModelError> {
        self.encode_stages(samples, &mut |_| {})
    }

    /// [`DvaeEncoder::encode`]; `on_stage` receives log-mel frames, downsampled frames and the stack's output.
    pub(super) fn encode_stages(
        &self,
        samples: &[f32],
        on_stage: &mut dyn FnMut(&[f32]),
    ) -> Result<Vec<Codes>, ModelError> {
        if samples.len() <= WINDOW_LENGTH {
            return Err(ModelError::InvalidInput("the reference audio is shorter than 0.05 s".into()));
        }
        let log_mel = self.log_mel(samples);
        on_stage(&log_mel);
        let scaled: Vec<f32> = log_mel
            .chunks_exact(MELS)
            .flat_map(|frame| frame.iter().zip(&self.scales).map(|(v, s)| v / s))
            .collect();
        let x = self.conv.run(&mut self.conv.window(), &scaled, true);
        let width = self.halve.outputs();
        // Padded with a frame of zeros on either side; outputs read four frames and are two frames apart.
        let padded = [&vec![0.0; width], &*x, &vec![0.0; width]].concat();
        let steps = x.len() / width / 2;
        let mut halved = vec![0.0; steps * width];
        let epilogue = Epilogue::bias_gelu(&self.halve_bias);
        self.halve.apply_strided(&padded, steps, 2 * width, &mut halved, width, &epilogue);
        on_stage(&halved);
        let encoded = self.stack.run(&mut self.stack.stream(), &halved, true, &mut |_| {});
        on_stage(&encoded);
        Ok(self.quantise(&encoded, steps))
    }

    /// Log-mel frames centred on every 256th sample; the signal is mirrored at its ends.
    fn log_mel(&self, samples: &[f32]) -> Vec<f32> {
        let half = WINDOW_LENGTH / 2;
        let last = samples.len() - 1;
        let frames = samples.len() / HOP_LENGTH + 1;
        let mut out = Vec::with_capacity(frames * MELS);
        let mut windowed = self.forward.make_input_vec();
        let mut spectrum = self.forward.make_output_vec();
        let mut scratch = self.forward.make_scratch_vec();
        for frame in 0..frames {
            for (i, (to, w)) in windowed.iter_mut().zip(&self.window).enumerate() {
                let at = (frame * HOP_LENGTH + i).abs_diff(half);
                let at = if at > last { 2 * last - at } else { at };
                *to = samples[at] * w;
            }
            let transformed = self.forward.process_with_scratch(&mut windowed, &mut spectrum, &mut scratch);
            assert!(transformed.is_ok(), "buffers are as long as the transform");
            let mut mel = [0.0_f32; MELS];
            for (bin, filters) in spectrum.iter().zip(self.filters.chunks_exact(MELS)) {
                let magnitude = bin.norm();
                mel.iter_mut().zip(filters).for_each(|(mel, filter)| *mel += magnitude * filter);
            }
            out.extend(mel.map(|v| v.max(SMALLEST_MEL).ln()));
        }
        out
    }

    fn quantise(&self, encoded: &[f32], steps: usize) -> Vec<Codes> {
        let mut codes = vec![Codes::default(); steps];
        let mut first = 0;
        for (g, (weight, bias)) in self.project_in.iter().enumerate() {
            let mut projected = vec![0.0; steps * DIGITS];
            let x = encoded.get(first..).unwrap_or_default();
            weight.apply_strided(
                x,
                steps,
                self.stack.outputs(),
                &mut projected,
                DIGITS,
                &Epilogue::bias(bias),
            );
            for (codes, values) in codes.iter_mut().zip(projected.chunks_exact(DIGITS)) {
                let mut digit_value = 1;
                for value in values {
                    // The first stage bounds its input twice, as the quantiser did at the time.
                    let coarse_in = bounded(*value);
                    let coarse = bounded(coarse_in).round_ties_even();
                    let fine = bounded((coarse_in - coarse / 2.0) * STAGE_SCALE).round_ties_even();
                    codes[g * STAGES] += (coarse + 2.0) as u32 * digit_value;
                    codes[g * STAGES + 1] += (fine + 2.0) as u32 * digit_value;
                    digit_value *= LEVELS;
                }
            }
            first += weight.inputs();
        }
        codes
    }
}

fn bounded(value: f32) -> f32 {
    BOUND * value.tanh()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_halves_and_their_eighths() {
        // Digits 0, 4, 2, 1 and 4, 2, 2, 3.
        let codes = [4 * 5 + 2 * 25 + 125, 4 + 2 * 5 + 2 * 25 + 3 * 125, 0, 0];
        assert_eq!(group_values(&codes, 0), [-1.0 + 0.25, 1.0, 0.0, -0.5 + 0.125]);
        assert_eq!(group_values(&codes, 1), [-1.25; 4]);
    }
}
