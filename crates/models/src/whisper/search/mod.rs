//! Choosing tokens: what may come next ([`rules`]), how probable it is ([`distribution`]), and which hypotheses live on
//! ([`beam`], [`sampling`]).
//!
//! A [`Search`] is a state machine: it is fed the logits of its rows and answers with the rows and tokens of the next
//! step. It does not call the network, so that it is tested without one.

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
pub(super) use logits_rules::{RuleOptions, Rules};
pub(super) use sampling::SamplingOptions;

use crate::whisper::WindowDecoder;

use beam::BeamSearch;
use sampling::Sampling;

/// Tokens chosen so far, without prompt and end of text.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Hypothesis {
    /// Text and timestamps.
    pub(super) tokens: Vec<u32>,
    /// Log probability of each token.
    pub(super) logprobs: Vec<f32>,
    /// Sum over the tokens, and over the end of text if it was reached.
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

/// The network's next step: row i continues row `sources[i]` with `tokens[i]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Next {
    /// Rows of the step before.
    pub(super) sources: Vec<usize>,
    /// Their new tokens.
    pub(super) tokens: Vec<u32>,
}

/// Tokens after which a search is asked again whether it leads anywhere.
const ASK_EVERY: usize = 32;

/// A search through one window's hypotheses.
#[derive(Debug)]
pub(super) enum Search<'a> {
    /// The most probable hypotheses.
    Beam(BeamSearch<'a>),
    /// Random ones.
    Sampling(Sampling<'a>),
}

impl<'a> Search<'a> {
    pub(super) fn beam(rules: &'a Rules, options: BeamOptions) -> Self {
        Self::Beam(BeamSearch::new(rules, options))
    }

    pub(super) fn sampling(rules: &'a Rules, options: SamplingOptions) -> Self {
        Self::Sampling(Sampling::new(rules, options))
    }

    /// Takes the logits of all rows, after the prompt's last token at first; `None` when the search is over.
    pub(super) fn feed(&mut self, logits: &[f32]) -> Option<Next> {
        match self {
            Self::Beam(search) => search.feed(logits),
            Self::Sampling(search) => search.feed(logits),
        }
    }

    /// Takes hypotheses as they are.
    fn give_up(&mut self) {
        match self {
            Self::Beam(search) => search.give_up(),
            Self::Sampling(_) => {}
        }
    }

    /// The hypothesis that was searched for.
    pub(super) fn into_best(self) -> Hypothesis {
        match self {
            Self::Beam(search) => search.into_best(),
            Self::Sampling(search) => search.into_best(),
        }
    }

    /// The hypotheses that go on.
    fn live(&self) -> impl Iterator<Item = &Hypothesis> {
        let (beams, samples) = match self {
            Self::Beam(search) => (Some(search.live().iter()), None),
            Self::Sampling(search) => (None, Some(search.live())),
        };
        beams.into_iter().flatten().chain(samples.into_iter().flatten())
    }

    /// Runs the search on `decoder`, from the logits that follow the prompt, to its end, or until all hypotheses that go on
    /// `lead_nowhere`, which is asked now and then.
    pub(super) fn run(
        mut self,
        decoder: &mut dyn WindowDecoder,
        prompt_logits: &[f32],
        cancel: &CancelFlag,
        lead_nowhere: &dyn Fn(&[u32]) -> bool,
    ) -> Result<Hypothesis, ModelError> {
        let mut next = self.feed(prompt_logits);
        let mut length = 0;
        while let Some(Next { sources, tokens }) = next {
            cancel.check()?;
            length += 1;
            if length % ASK_EVERY == 0 && self.live().all(|hypothesis| lead_nowhere(&hypothesis.tokens)) {
                self.give_up();
                break;
            }
            decoder.reorder(&sources);
            next = self.feed(decoder.step(&tokens)?);
        }
        decoder.rest();
        Ok(self.into_best())
    }
}
