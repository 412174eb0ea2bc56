//! From hidden states, or from the features of codes, to mel spectra: two frames per step.

use mynah_core::ModelError;

use super::conv_buffer::ConvBuffer;
use super::convnext::{Conv, Stack, StackStream};
use super::weights::Reader;

/// Bands of a mel spectrum.
pub(super) const MELS: usize = 100;

/// A stack of ConvNeXt blocks, then a convolution to log-mel frames.
pub(super) struct MelDecoder {
    stack: Stack,
    /// The bands' scales (`coef`) are folded into its weights.
    out: Conv,
}

/// State between chunks.
pub(super) struct MelStream {
    stack: StackStream,
    out: ConvBuffer,
}

impl MelDecoder {
    /// Reads stack `decoder`, `out_conv` and `coef`.
    pub(super) fn load(reader: &Reader<'_>) -> Result<Self, ModelError> {
        let stack = Stack::load(reader, "decoder")?;
        let scales = reader.floats("coef", [1, MELS, 1])?;
        let out = Conv::load_scaled(reader, "out_conv", [MELS, stack.outputs(), 1], &scales)?;
        Ok(Self { stack, out })
    }

    pub(super) fn bytes(&self) -> usize {
        self.stack.bytes() + self.out.bytes()
    }

    pub(super) fn stream(&self) -> MelStream {
        MelStream { stack: self.stack.stream(), out: self.out.window() }
    }

    /// Takes the next steps, rows of twice the stack's inputs: the first half of a row is its first frame, the second half
    /// its second, so rows of steps have the memory layout of rows of frames. Returns the log-mel frames that are final.
    pub(super) fn run(
        &self,
        stream: &mut MelStream,
        steps: &[f32],
        end: bool,
        on_stage: &mut dyn FnMut(&[f32]),
    ) -> Vec<f32> {
        let x = self.stack.run(&mut stream.stack, steps, end, on_stage);
        self.out.run(&mut stream.out, &x, end)
    }
}
