//! What the search needs of the network: one encoded window and rows of hypotheses that grow by one token a step.

use crate::Error;

/// One window's decoder state (self-attention cache, cross-attention keys and values) for several hypotheses.
///
/// Rows are hypotheses. All rows have the same length. `prefill` starts over with one row; `reorder` makes, copies and
/// drops rows; `step` appends one token to each row.
pub trait WindowDecoder {
    /// Size of the vocabulary.
    fn vocab_size(&self) -> usize;

    /// Tokens a row can have in all (448).
    fn max_positions(&self) -> usize;

    /// Forgets all rows and feeds `tokens` as the single row 0. `logits` has one row of `vocab_size` numbers for
    /// each position listed in `at` (indices into `tokens`), in that order.
    fn prefill(&mut self, tokens: &[u32], at: &[usize]) -> Result<Vec<f32>, Error>;

    /// Rows become `[old[sources[0]], old[sources[1]], ...]`; cheap when that is the identity.
    fn reorder(&mut self, sources: &[usize]);

    /// Appends `tokens[i]` to row i and returns the logits, `[rows, vocab_size]`.
    fn step(&mut self, tokens: &[u32]) -> Result<&[f32], Error>;

    /// Softmax of the cross-attention of the alignment heads when `tokens` are fed as one row:
    /// `[heads, tokens.len(), frames]` with `frames` encoder positions of 20 ms, and the logits of every position
    /// `[tokens.len(), vocab_size]`. Leaves the rows of the search undefined: `prefill` comes next.
    fn align(&mut self, tokens: &[u32], frames: usize) -> Result<Alignment, Error>;
}

/// Result of [`WindowDecoder::align`].
#[derive(Clone, Debug)]
pub struct Alignment {
    /// Attention weights, `[heads, tokens, frames]`, each `[tokens, frames]` row summing to 1 over all encoder
    /// positions before it was cut to `frames`.
    pub weights: Vec<f32>,
    /// Number of heads.
    pub heads: usize,
    /// Number of tokens.
    pub tokens: usize,
    /// Number of frames.
    pub frames: usize,
    /// Log probability of each next token `tokens[i + 1]` after `tokens[..=i]`, over the whole vocabulary.
    pub next_logprobs: Vec<f32>,
}
