//! Language detection: the model's distribution over the language tokens after `<|startoftranscript|>`.

use mynah_core::ModelError;
use mynah_text::whisper_tokenizer::WhisperTokenizer;

use crate::whisper::DecoderState;
use crate::whisper::search::probability_among;

/// No further window is needed for a language that is more probable than this.
const SURE: f32 = 0.5;

/// The candidate languages with the sums of their probabilities over the windows so far.
pub(super) struct Detection {
    sot: u32,
    candidates: Vec<(&'static str, u32)>,
    sums: Vec<f32>,
    windows: usize,
    max_windows: usize,
}

impl Detection {
    /// Detects one of the languages `among`, or any if that is empty, from at most `max_windows` windows.
    pub(super) fn new(tokenizer: &WhisperTokenizer, among: &[&str], max_windows: usize) -> Self {
        let mut candidates = tokenizer.language_tokens();
        candidates.retain(|(code, _)| among.is_empty() || among.contains(code));
        Self { sot: tokenizer.sot(), sums: vec![0.0; candidates.len()], candidates, windows: 0, max_windows }
    }

    /// Adds the probabilities of a window. Overwrites the rows of `decoder`.
    pub(super) fn add_window(&mut self, decoder: &mut dyn DecoderState) -> Result<(), ModelError> {
        let logits = decoder.prefill(&[self.sot], &[0])?;
        let tokens: Vec<u32> = self.candidates.iter().map(|&(_, token)| token).collect();
        for (sum, probability) in self.sums.iter_mut().zip(probability_among(&logits, &tokens)) {
            *sum += probability;
        }
        self.windows += 1;
        Ok(())
    }

    /// Whether another window is allowed and could change the result.
    pub(super) fn wants_more(&self) -> bool {
        self.windows < self.max_windows.max(1)
            && (self.windows == 0
                || self.ranking().first().is_some_and(|(_, probability)| *probability <= SURE))
    }

    /// Languages with their mean probability over the windows, most probable first; none before the first window.
    pub(super) fn ranking(&self) -> Vec<(String, f32)> {
        if self.windows == 0 {
            return Vec::new();
        }
        let windows = self.windows as f32;
        let mut ranking: Vec<(String, f32)> = self
            .candidates
            .iter()
            .zip(&self.sums)
            .map(|(&(code, _), &sum)| (code.to_owned(), sum / windows))
            .collect();
        ranking.sort_by(|a, b| b.1.total_cmp(&a.1));
        ranking
    }
}
