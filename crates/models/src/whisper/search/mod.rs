//! Token search: which tokens are allowed ([`logits_rules`]), their probabilities ([`distribution`]), and which hypotheses are
//! kept ([`beam`], [`sampling`]).
//!
//! A [`Search`] is a state machine: it takes the logits of its rows and returns the rows and tokens of the next step. It does
//! not call the model itself, so it can be tested without one.

mod beam;
mod distribution;
mod logits_rules;
mod random;
mod sampling;
#[cfg(test)]
pub(super) mod scripted;
#[cfg(test)]
mod tests;

use mynah_core::{CancelFlag, ModelError};

pub(super) use beam::BeamOptions;
pub(super) use distribution::{probability, probability_among};
pub(super) use logits_rules::{LogitsRules, RuleOptions};
pub(super) use sampling::SamplingOptions;

use crate::whisper::DecoderState;

use beam::BeamSearch;
use sampling::Sampling;

/// Tokens chosen so far, without prompt and end of text.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Hypothesis {
    /// Text and timestamps.
    pub(super) tokens: Vec<u32>,
    /// Log probability of each token.
    pub(super) logprobs: Vec<f32>,
    /// Sum over the tokens, including the end of text if it was reached.
    pub(super) sum_logprob: f32,
}

impl Hypothesis {
    fn extended(&self, token: u32, logprob: f32) -> Self {
        Self {
            tokens: self.tokens.iter().copied().chain([token]).collect(),
            logprobs: self.logprobs.iter().copied().chain([logprob]).collect(),
            sum_logprob: self.sum_logprob + logprob,
        }
    }

    /// Mean log probability over tokens and end of text.
    pub(super) fn avg_logprob(&self) -> f32 {
        self.sum_logprob / (self.tokens.len() + 1) as f32
    }
}

/// Score by which hypotheses of different lengths are ranked.
fn normalised(hypothesis: &Hypothesis, length_penalty: Option<f32>) -> f32 {
    let length = hypothesis.tokens.len().max(1) as f32;
    hypothesis.sum_logprob / length_penalty.map_or(length, |penalty| ((5.0 + length) / 6.0).powf(penalty))
}

/// The next decoder step: row i continues row `sources[i]` with `tokens[i]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Next {
    /// Rows of the previous step.
    pub(super) sources: Vec<usize>,
    /// Their new tokens.
    pub(super) tokens: Vec<u32>,
}

/// Number of tokens between two checks whether a search should be abandoned.
const CHECK_INTERVAL_TOKENS: usize = 32;

/// A search over one window's hypotheses.
#[derive(Debug)]
pub(super) enum Search<'a> {
    /// Beam search: the most probable hypotheses.
    Beam(BeamSearch<'a>),
    /// Random sampling.
    Sampling(Sampling<'a>),
}

impl<'a> Search<'a> {
    pub(super) fn beam(rules: &'a LogitsRules, options: BeamOptions) -> Self {
        Self::Beam(BeamSearch::new(rules, options))
    }

    pub(super) fn sampling(rules: &'a LogitsRules, options: SamplingOptions) -> Self {
        Self::Sampling(Sampling::new(rules, options))
    }

    /// Takes the logits of all rows; at first those after the prompt's last token. Returns `None` when the search is finished.
    pub(super) fn feed(&mut self, logits: &[f32]) -> Option<Next> {
        match self {
            Self::Beam(search) => search.feed(logits),
            Self::Sampling(search) => search.feed(logits),
        }
    }

    /// Ends the search with the hypotheses as they are.
    fn abandon(&mut self) {
        match self {
            Self::Beam(search) => search.abandon(),
            Self::Sampling(_) => {}
        }
    }

    /// The best hypothesis.
    pub(super) fn into_best(self) -> Hypothesis {
        match self {
            Self::Beam(search) => search.into_best(),
            Self::Sampling(search) => search.into_best(),
        }
    }

    /// The unfinished hypotheses.
    fn live(&self) -> impl Iterator<Item = &Hypothesis> {
        let (beams, samples) = match self {
            Self::Beam(search) => (Some(search.live().iter()), None),
            Self::Sampling(search) => (None, Some(search.live())),
        };
        beams.into_iter().flatten().chain(samples.into_iter().flatten())
    }

    /// Runs the search on `decoder` from the logits after the prompt. Ends early if `should_abandon` holds for all unfinished
    /// hypotheses, which is checked every [`CHECK_INTERVAL_TOKENS`] tokens.
    pub(super) fn run(
        mut self,
        decoder: &mut dyn DecoderState,
        prompt_logits: &[f32],
        cancel: &CancelFlag,
        should_abandon: &dyn Fn(&[u32]) -> bool,
    ) -> Result<Hypothesis, ModelError> {
        let mut next = self.feed(prompt_logits);
        let mut length = 0;
        while let Some(Next { sources, tokens }) = next {
            cancel.check()?;
            length += 1;
            if length % CHECK_INTERVAL_TOKENS == 0
                && self.live().all(|hypothesis| should_abandon(&hypothesis.tokens))
            {
                self.abandon();
                break;
            }
            decoder.reorder(&sources);
            next = self.feed(decoder.step(&tokens)?);
        }
        decoder.leave_batch();
        Ok(self.into_best())
    }
}
