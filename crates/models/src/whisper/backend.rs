//! What the search needs of the network: windows encoded, and rows of hypotheses that grow by one token a step.

use mynah_core::{JobContext, ModelError};

/// What the encoder computes of its 30 s window where there is less audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum EncoderContext {
    /// The audio and a second after it; the rest is padding whose keys and values were computed once.
    #[default]
    Trimmed,
    /// The audio and four seconds after it: what doubtful English is decoded again on, except by the tiny models.
    TrimmedWide,
    /// All of it, as the model was trained.
    Full,
}

/// The network with its weights; shared by all jobs.
pub trait Network: Send + Sync {
    /// Rows of hypotheses whose steps are better computed together than one after the other, though others wait.
    fn rows_at_once(&self) -> usize {
        1
    }

    /// Encodes one window of log-mel frames of 10 ms, `[n_mels, frames]` with at most 3000 frames, and readies it for
    /// decoding. Heeds `context` between layers, and what it returns does between steps.
    fn encode<'a>(
        &'a self,
        mel: &[f32],
        window: EncoderContext,
        context: JobContext<'a>,
    ) -> Result<Box<dyn WindowDecoder + 'a>, ModelError>;
}

/// One window's decoder state (self-attention cache, cross-attention keys and values) for several hypotheses.
///
/// Rows are hypotheses. All rows have the same length. `prefill` starts over with one row; `reorder` makes, copies and
/// drops rows; `step` appends one token to each row.
pub trait WindowDecoder {
    /// Size of the vocabulary.
    fn vocab_size(&self) -> usize;

    /// Tokens a row can have in all (448).
    fn max_positions(&self) -> usize;

    /// Whether the audio is shorter than the window and stored padding follows it ([`EncoderContext::Trimmed`]).
    fn is_trimmed(&self) -> bool;

    /// Forgets all rows and feeds `tokens` as the single row 0. The logits have one row of `vocab_size` numbers for
    /// each position listed in `at` (indices into `tokens`), in that order.
    fn prefill(&mut self, tokens: &[u32], at: &[usize]) -> Result<Vec<f32>, ModelError>;

    /// Rows become `[old[sources[0]], old[sources[1]], ...]`; cheap when that is the identity.
    fn reorder(&mut self, sources: &[usize]);

    /// Appends `tokens[i]` to row i and returns the logits, `[rows, vocab_size]`.
    fn step(&mut self, tokens: &[u32]) -> Result<&[f32], ModelError>;

    /// The search is over; other windows' steps need not wait for this one's.
    fn rest(&mut self) {}

    /// Cross-attention of the alignment heads when `tokens` are fed as one row, cut to the first `frames` encoder
    /// positions of 20 ms. Leaves the rows of the search undefined: `prefill` comes next.
    fn align(&mut self, tokens: &[u32], frames: usize) -> Result<Alignment, ModelError>;
}

/// Result of [`WindowDecoder::align`].
#[derive(Clone, Debug)]
pub struct Alignment {
    /// Attention weights, `[heads, tokens, frames]`: softmax of the scaled dot products over the first `frames`
    /// positions only, as openai-whisper and CTranslate2 take it for alignment.
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
