//! The interface between model and search: it encodes windows and extends rows of hypotheses by one token per step.

use mynah_core::{JobContext, ModelError};

/// How much of its 30 s window the encoder computes when there is less audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EncoderContext {
    /// The audio and one second after it; the rest is padding whose keys and values were computed once.
    #[default]
    Trimmed,
    /// The audio and four seconds after it. English with low confidence is decoded again on this, except by the tiny models.
    TrimmedWide,
    /// All of it, as the model was trained.
    Full,
}

/// A loaded model: encoder and decoder with their weights, shared by all jobs.
pub trait WhisperBackend: Send + Sync {
    /// Number of hypothesis rows up to which one shared step is faster than separate steps, even if some rows wait for it.
    fn rows_at_once(&self) -> usize {
        1
    }

    /// Encodes one window of log-mel frames of 10 ms, `[n_mels, frames]` with at most 3000 frames, and prepares its decoder.
    /// Checks `context` between layers; the returned decoder checks it between steps.
    fn encode<'a>(
        &'a self,
        mel: &[f32],
        encoder_context: EncoderContext,
        context: JobContext<'a>,
    ) -> Result<Box<dyn DecoderState + 'a>, ModelError>;
}

/// One window's decoder state (self-attention cache, cross-attention keys and values) for several hypotheses.
///
/// Each row is one hypothesis, and all rows have the same length. `prefill` starts over with one row; `reorder` duplicates and
/// drops rows; `step` appends one token to each row.
pub trait DecoderState {
    /// Size of the vocabulary.
    fn vocab_size(&self) -> usize;

    /// Maximum number of tokens per row (448).
    fn max_positions(&self) -> usize;

    /// Whether the audio is shorter than the window and stored padding follows it ([`EncoderContext::Trimmed`]).
    fn is_trimmed(&self) -> bool;

    /// Drops all rows and feeds `tokens` as the only row. Returns logits, `[at.len(), vocab_size]`: one row for each position
    /// listed in `at` (indices into `tokens`).
    fn prefill(&mut self, tokens: &[u32], at: &[usize]) -> Result<Vec<f32>, ModelError>;

    /// Rows become `[old[sources[0]], old[sources[1]], ...]`; cheap when that is the identity.
    fn reorder(&mut self, sources: &[usize]);

    /// Appends `tokens[i]` to row i and returns the logits, `[rows, vocab_size]`.
    fn step(&mut self, tokens: &[u32]) -> Result<&[f32], ModelError>;

    /// The search is finished: steps shared with other windows no longer wait for this one.
    fn leave_batch(&mut self) {}

    /// Cross-attention of the alignment heads when `tokens` are fed as one row, limited to the first `frames` encoder
    /// positions of 20 ms. Overwrites the rows of the search: call `prefill` next.
    fn align(&mut self, tokens: &[u32], frames: usize) -> Result<Alignment, ModelError>;
}

/// Result of [`DecoderState::align`].
#[derive(Clone, Debug)]
pub struct Alignment {
    /// Attention weights, `[heads, tokens, frames]`: softmax of the scaled dot products over the first `frames`
    /// positions only, as openai-whisper and CTranslate2 do for alignment.
    pub weights: Vec<f32>,
    /// Number of heads.
    pub heads: usize,
    /// Number of tokens.
    pub tokens: usize,
    /// Number of frames.
    pub frames: usize,
    /// Log probability of each next token `tokens[i + 1]` after `tokens[..=i]`, over the whole vocabulary;
    /// `tokens.len() - 1` numbers.
    pub next_logprobs: Vec<f32>,
}
