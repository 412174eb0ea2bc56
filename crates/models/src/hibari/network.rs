//! The acoustic network: from phonemes to pitch and spectral parameters.
//!
//! Two text encoders read the phonemes. The prosody network turns the output of the first into durations, and, expanded to steps
//! of 25 ms, into pitch and energy at 12.5 ms. The decoder turns the output of the second, expanded likewise, pitch and energy
//! into spectral parameters. Both encoders apply one attention layer several times; everything else is ConvNeXt blocks. Matrix
//! products are 8-bit with dynamically quantized inputs, as in the exported voices, so durations are the same as theirs.

use std::cell::RefCell;
use std::path::Path;

use mynah_core::{CancelFlag, ModelError};
use mynah_kernels::attention::{KeyValues, Queries, attend};
use mynah_kernels::{
    DepthwiseConv, Epilogue, LayerNorm, Matrix, QuantEpilogue, QuantParams, QuantizedMatrix, ValueRange,
};

use super::tokens::TOKENS;
use super::weights::Weights;
use crate::error;

/// Frequency bins of a spectrum.
pub(super) const BINS: usize = 601;
/// Numbers per frame, one per bin each: gain and phase shift of the excitation, magnitude of the noise, magnitude and phase of the
/// free part.
pub(super) const PARTS: usize = 5 * BINS;
/// Frames of the spectrum per step of the durations.
const FRAMES_PER_STEP: usize = 2;
/// Maximum number of steps of 25 ms per utterance: ten minutes, far more than 400 phonemes take at the lowest speed.
const MAX_STEPS: usize = 24_000;

/// Decoder's width, and its text encoder's.
const DECODER: usize = 256;
const DECODER_TEXT: usize = 128;
/// Text features, pitch and energy.
const DECODER_INPUTS: usize = DECODER_TEXT + 2;
const DECODER_KERNEL: usize = 7;
const DECODER_BLOCKS: usize = 8;
const BLOCK_KERNEL: usize = 7;
/// Frames to either side that an output frame of the decoder's blocks depends on.
const DECODER_CONTEXT: usize = DECODER_BLOCKS * (BLOCK_KERNEL / 2);
const PROSODY: usize = 192;
const DURATION_KERNEL: usize = 3;

/// Weights of one voice.
pub(super) struct Network {
    decoder_text: TextEncoder,
    prosody_text: TextEncoder,
    duration_in: (Matrix, Vec<f32>),
    duration_out: (Matrix, Vec<f32>),
    prosody_in: (Matrix, Vec<f32>),
    prosody: Vec<Block>,
    prosody_out: (Matrix, Vec<f32>),
    decoder_in: (Matrix, Vec<f32>),
    decoder: Vec<Block>,
    decoder_norm: LayerNorm,
    head: QuantizedMatrix,
}

/// An utterance up to the last layer, whose large output is computed on demand.
#[derive(Clone, Debug)]
pub(super) struct Decoded {
    /// Length of each token in frames of 12.5 ms.
    pub(super) durations: Vec<usize>,
    /// Pitch of each frame; below 40 if unvoiced.
    pub(super) f0_hz: Vec<f32>,
    /// Input of the decoder's blocks, `[frames, DECODER]`; empty once they have processed all of it.
    input: Vec<f32>,
    /// Input of the last layer: `[frames so far, DECODER]`.
    states: Vec<f32>,
    params: QuantParams,
}

impl Network {
    /// Loads a voice file.
    pub(super) fn load(path: &Path) -> Result<Self, ModelError> {
        let file = std::fs::read(path).map_err(|source| error::io(path, source))?;
        let weights = Weights::open(path, &file)?;
        let blocks = |name: &str, count, width, hidden| -> Result<Vec<Block>, ModelError> {
            (0..count)
                .map(|i| Block::load(&weights, &format!("{name}.{i}"), width, hidden, BLOCK_KERNEL))
                .collect()
        };
        Ok(Self {
            decoder_text: TextEncoder::load(&weights, "m.text", DECODER_TEXT, 4)?,
            prosody_text: TextEncoder::load(&weights, "pn.text", PROSODY, 6)?,
            duration_in: weights.convolution("pn.dur.0", PROSODY, PROSODY, DURATION_KERNEL)?,
            duration_out: weights.convolution("pn.dur.2", PROSODY, 1, 1)?,
            prosody_in: weights.convolution("pn.pro_in", PROSODY, PROSODY, 1)?,
            prosody: blocks("pn.pro", 6, PROSODY, 2 * PROSODY)?,
            prosody_out: weights.convolution("pn.pro_out", PROSODY, 2 * FRAMES_PER_STEP, 1)?,
            decoder_in: weights.convolution("m.dec_in", DECODER_INPUTS, DECODER, DECODER_KERNEL)?,
            decoder: blocks("m.dec", DECODER_BLOCKS, DECODER, 3 * DECODER)?,
            decoder_norm: weights.norm("m.dec_norm", DECODER)?,
            head: weights.linear("m.head.bias", DECODER, PARTS)?,
        })
    }

    /// Runs everything before the decoder's blocks; [`Network::decode`] runs those. `ids` are below [`TOKENS`].
    pub(super) fn plan(&self, ids: &[usize], speed: f32, cancel: &CancelFlag) -> Result<Decoded, ModelError> {
        let mut scratch = SCRATCH.take();
        let prosody_text = self.prosody_text.run(ids, &mut scratch, cancel)?;
        let steps = self.durations(&prosody_text, speed);
        let total: usize = steps.iter().sum();
        if total > MAX_STEPS {
            return Err(ModelError::Unsupported(format!(
                "the utterance would take {} s without a pause: cut the text into shorter sentences",
                total / 40
            )));
        }
        let token_of_step: Vec<usize> =
            steps.iter().enumerate().flat_map(|(token, &count)| std::iter::repeat_n(token, count)).collect();

        let (f0_hz, energy) = self.prosody(&prosody_text, &token_of_step, &mut scratch, cancel)?;
        let decoder_text = self.decoder_text.run(ids, &mut scratch, cancel)?;
        let input = self.decoder_input(&decoder_text, &token_of_step, &f0_hz, &energy);
        SCRATCH.set(scratch);
        let durations = steps.iter().map(|count| count * FRAMES_PER_STEP).collect();
        Ok(Decoded {
            durations,
            f0_hz,
            input,
            states: vec![],
            params: QuantParams::covering(ValueRange::EMPTY),
        })
    }

    /// Runs the decoder's blocks over all frames, or only over those that the first `frames` depend on. The quantization
    /// parameters then cover a smaller range than those of all frames; the difference is inaudible.
    pub(super) fn decode(
        &self,
        decoded: &mut Decoded,
        frames: Option<usize>,
        cancel: &CancelFlag,
    ) -> Result<(), ModelError> {
        let rows = frames.map_or(usize::MAX, |frames| frames + DECODER_CONTEXT);
        let mut x = if rows.saturating_mul(DECODER) < decoded.input.len() {
            decoded.input[..rows * DECODER].to_vec()
        } else {
            std::mem::take(&mut decoded.input)
        };
        if x.is_empty() {
            return Ok(());
        }
        let mut scratch = SCRATCH.take();
        for block in &self.decoder {
            cancel.check()?;
            block.run(&mut x, &mut scratch);
        }
        SCRATCH.set(scratch);
        decoded.states.resize(x.len(), 0.0);
        decoded.params = QuantParams::covering(self.decoder_norm.apply(&x, &mut decoded.states));
        Ok(())
    }

    /// Length of each token in steps of 25 ms, at least one.
    fn durations(&self, text: &[f32], speed: f32) -> Vec<usize> {
        let tokens = text.len() / PROSODY;
        // Padded with a row of zeros at both ends.
        let mut padded = vec![0.0; (tokens + DURATION_KERNEL - 1) * PROSODY];
        padded[DURATION_KERNEL / 2 * PROSODY..][..text.len()].copy_from_slice(text);
        let (weights, bias) = &self.duration_in;
        let mut hidden = vec![0.0; text.len()];
        weights.apply_strided(&padded, tokens, PROSODY, &mut hidden, PROSODY, &Epilogue::bias_gelu(bias));
        let (weights, bias) = &self.duration_out;
        let mut logs = vec![0.0; tokens];
        weights.apply(&hidden, tokens, &mut logs, &Epilogue::bias(bias));
        // The float-to-integer conversion saturates, so no output can overflow.
        logs.iter().map(|v| ((v.exp() - 1.0) / speed).round_ties_even().clamp(1.0, 1e6) as usize).collect()
    }

    /// Pitch and energy of each frame.
    fn prosody(
        &self,
        text: &[f32],
        token_of_step: &[usize],
        scratch: &mut Scratch,
        cancel: &CancelFlag,
    ) -> Result<(Vec<f32>, Vec<f32>), ModelError> {
        let steps = token_of_step.len();
        // The input layer processes each token alone, so it is applied before the expansion, which is less work.
        let (weights, bias) = &self.prosody_in;
        let tokens = text.len() / PROSODY;
        let mut projected = vec![0.0; text.len()];
        weights.apply(text, tokens, &mut projected, &Epilogue::bias(bias));
        let mut x = Vec::with_capacity(steps * PROSODY);
        token_of_step.iter().for_each(|&t| x.extend_from_slice(&projected[t * PROSODY..][..PROSODY]));
        for block in &self.prosody {
            cancel.check()?;
            block.run(&mut x, scratch);
        }
        let (weights, bias) = &self.prosody_out;
        let mut out = vec![0.0; steps * 2 * FRAMES_PER_STEP];
        weights.apply(&x, steps, &mut out, &Epilogue::bias(bias));
        // Per step: the pitch of its two frames in units of 100 Hz, then their energies.
        let steps = out.chunks_exact(2 * FRAMES_PER_STEP);
        let f0_hz =
            steps.clone().flat_map(|step| step[..FRAMES_PER_STEP].iter().map(|v| v * 100.0)).collect();
        let energy = steps.flat_map(|step| &step[FRAMES_PER_STEP..]).copied().collect();
        Ok((f0_hz, energy))
    }

    /// Output of the decoder's first convolution.
    fn decoder_input(
        &self,
        text: &[f32],
        token_of_step: &[usize],
        f0_hz: &[f32],
        energy: &[f32],
    ) -> Vec<f32> {
        let frames = f0_hz.len();
        let mut padded = vec![0.0; (frames + DECODER_KERNEL - 1) * DECODER_INPUTS];
        let rows = padded[DECODER_KERNEL / 2 * DECODER_INPUTS..].chunks_exact_mut(DECODER_INPUTS);
        for (frame, row) in rows.take(frames).enumerate() {
            let token = token_of_step[frame / FRAMES_PER_STEP];
            row[..DECODER_TEXT].copy_from_slice(&text[token * DECODER_TEXT..][..DECODER_TEXT]);
            row[DECODER_TEXT] = f0_hz[frame].max(0.0).ln_1p() / 5.0;
            row[DECODER_TEXT + 1] = energy[frame];
        }
        let (weights, bias) = &self.decoder_in;
        let mut x = vec![0.0; frames * DECODER];
        weights.apply_strided(&padded, frames, DECODER_INPUTS, &mut x, DECODER, &Epilogue::bias(bias));
        x
    }

    /// The last layer for frames `first..first + out.len() / PARTS`, on the calling thread.
    pub(super) fn parts(&self, decoded: &Decoded, first: usize, out: &mut [f32]) {
        let states = &decoded.states[first * DECODER..];
        self.head.apply_block(states, decoded.params, out.len() / PARTS, out, QuantEpilogue::Plain);
    }

    /// Bytes of weights in memory.
    pub(super) fn bytes(&self) -> usize {
        let blocks = self.prosody.iter().chain(&self.decoder).map(Block::bytes).sum::<usize>();
        self.decoder_text.bytes()
            + self.prosody_text.bytes()
            + blocks
            + self.head.bytes()
            + self.decoder_in.0.bytes()
    }
}

thread_local! {
    /// Reused by the next sentence.
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::default());
}

/// Buffers that layers share.
#[derive(Default)]
struct Scratch {
    normed: Vec<f32>,
    hidden: Vec<f32>,
    attended: Vec<f32>,
}

/// A ConvNeXt block (arXiv:2201.03545): depthwise convolution, norm, two layers with GELU between them, scaled by one factor per
/// channel and added to its input.
struct Block {
    conv: DepthwiseConv,
    norm: LayerNorm,
    widen: QuantizedMatrix,
    narrow: QuantizedMatrix,
    gamma: Vec<f32>,
}

impl Block {
    fn load(
        weights: &Weights<'_>,
        name: &str,
        width: usize,
        hidden: usize,
        reach: usize,
    ) -> Result<Self, ModelError> {
        Ok(Self {
            conv: weights.depthwise(&format!("{name}.dw"), width, reach)?,
            norm: weights.norm(&format!("{name}.norm"), width)?,
            widen: weights.linear(&format!("{name}.pw1.bias"), width, hidden)?,
            narrow: weights.linear(&format!("{name}.pw2.bias"), hidden, width)?,
            gamma: weights.floats(&format!("{name}.gamma"), &[width])?,
        })
    }

    /// `x` is `[rows, width]`.
    fn run(&self, x: &mut [f32], scratch: &mut Scratch) {
        scratch.normed.resize(x.len(), 0.0);
        let range = self.conv.apply_normalised(&self.norm, x, &mut scratch.normed);
        two_layers(&self.widen, &self.narrow, range, scratch, x, QuantEpilogue::ScaleAdd(&self.gamma));
    }

    fn bytes(&self) -> usize {
        self.widen.bytes() + self.narrow.bytes()
    }
}

/// `x = epilogue(narrow(gelu(widen(normed))))`.
fn two_layers(
    widen: &QuantizedMatrix,
    narrow: &QuantizedMatrix,
    range: ValueRange,
    scratch: &mut Scratch,
    x: &mut [f32],
    epilogue: QuantEpilogue<'_>,
) {
    let rows = x.len() / narrow.outputs();
    scratch.hidden.resize(rows * widen.outputs(), 0.0);
    let params = QuantParams::covering(range);
    let range = widen.apply(&scratch.normed, params, rows, &mut scratch.hidden, QuantEpilogue::Gelu);
    narrow.apply(&scratch.hidden, QuantParams::covering(range), rows, x, epilogue);
}

/// The text encoder: embedding, two convolution blocks, and one attention layer applied several times.
struct TextEncoder {
    width: usize,
    /// `[TOKENS, width]`.
    embedding: Vec<f32>,
    blocks: [Block; 2],
    layer: AttentionLayer,
    passes: usize,
    norm: LayerNorm,
}

impl TextEncoder {
    fn load(weights: &Weights<'_>, name: &str, width: usize, passes: usize) -> Result<Self, ModelError> {
        let block = |i| Block::load(weights, &format!("{name}.convs.{i}"), width, 2 * width, 5);
        Ok(Self {
            width,
            embedding: weights.floats(&format!("{name}.emb.weight"), &[TOKENS, width])?,
            blocks: [block(0)?, block(1)?],
            layer: AttentionLayer::load(weights, &format!("{name}.attn"), width)?,
            passes,
            norm: weights.norm(&format!("{name}.norm"), width)?,
        })
    }

    /// Features of each token: `[ids, width]`.
    fn run(&self, ids: &[usize], scratch: &mut Scratch, cancel: &CancelFlag) -> Result<Vec<f32>, ModelError> {
        let mut x = Vec::with_capacity(ids.len() * self.width);
        ids.iter().for_each(|&id| x.extend_from_slice(&self.embedding[id * self.width..][..self.width]));
        self.blocks.iter().for_each(|block| block.run(&mut x, scratch));
        for _ in 0..self.passes {
            cancel.check()?;
            self.layer.run(&mut x, scratch);
        }
        let mut out = vec![0.0; x.len()];
        self.norm.apply(&x, &mut out);
        Ok(out)
    }

    fn bytes(&self) -> usize {
        let blocks = self.blocks.iter().map(Block::bytes).sum::<usize>();
        size_of_val(self.embedding.as_slice()) + blocks + self.layer.bytes()
    }
}

/// A pre-norm transformer layer (arXiv:2002.04745).
struct AttentionLayer {
    norm1: LayerNorm,
    /// Queries, keys and values side by side.
    project_in: QuantizedMatrix,
    project_out: QuantizedMatrix,
    norm2: LayerNorm,
    widen: QuantizedMatrix,
    narrow: QuantizedMatrix,
}

impl AttentionLayer {
    const HEADS: usize = 2;

    fn load(weights: &Weights<'_>, name: &str, width: usize) -> Result<Self, ModelError> {
        let linear = |part: &str, inputs, outputs| weights.linear(&format!("{name}.{part}"), inputs, outputs);
        Ok(Self {
            norm1: weights.norm(&format!("{name}.norm1"), width)?,
            project_in: linear("self_attn.in_proj_bias", width, 3 * width)?,
            project_out: linear("self_attn.out_proj.bias", width, width)?,
            norm2: weights.norm(&format!("{name}.norm2"), width)?,
            widen: linear("linear1.bias", width, 2 * width)?,
            narrow: linear("linear2.bias", 2 * width, width)?,
        })
    }

    /// `x` is `[rows, width]`.
    fn run(&self, x: &mut [f32], scratch: &mut Scratch) {
        let width = self.project_out.outputs();
        let rows = x.len() / width;
        scratch.normed.resize(x.len(), 0.0);
        let range = self.norm1.apply(x, &mut scratch.normed);
        scratch.hidden.resize(3 * x.len(), 0.0);
        let params = QuantParams::covering(range);
        self.project_in.apply(&scratch.normed, params, rows, &mut scratch.hidden, QuantEpilogue::Plain);
        let (head, stride) = (width / Self::HEADS, 3 * width);
        let (keys, values) = (&scratch.hidden[width..], &scratch.hidden[2 * width..]);
        let kv = KeyValues::<f32>::pack(Self::HEADS, head, rows, keys, values, stride);
        scratch.attended.resize(x.len(), 0.0);
        let queries = Queries { data: &scratch.hidden, rows, stride };
        attend(queries, 1.0 / (head as f32).sqrt(), &kv, &mut scratch.attended);
        let params = QuantParams::covering(ValueRange::of(&scratch.attended));
        self.project_out.apply(&scratch.attended, params, rows, x, QuantEpilogue::Add);
        let range = self.norm2.apply(x, &mut scratch.normed);
        two_layers(&self.widen, &self.narrow, range, scratch, x, QuantEpilogue::Add);
    }

    fn bytes(&self) -> usize {
        [&self.project_in, &self.project_out, &self.widen, &self.narrow].iter().map(|m| m.bytes()).sum()
    }
}
