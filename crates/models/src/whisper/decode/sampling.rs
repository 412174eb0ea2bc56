//! Random sampling at a temperature: several hypotheses at once, of which the best is kept.

use super::distribution::Distribution;
use super::random::Random;
use super::rules::Rules;
use super::{Hypothesis, Next, normalised};

/// How to draw, and how much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SamplingOptions {
    /// Hypotheses drawn.
    pub(crate) best_of: usize,
    /// Above 0.
    pub(crate) temperature: f32,
    /// As [`TranscribeOptions::length_penalty`](crate::TranscribeOptions::length_penalty).
    pub(crate) length_penalty: Option<f32>,
    /// Tokens a hypothesis can have, at most.
    pub(crate) max_tokens: usize,
    /// Equal seeds draw equal hypotheses from equal logits.
    pub(crate) seed: u64,
}

/// The search's state between two steps of the network.
#[derive(Debug)]
pub(crate) struct Sampling<'a> {
    rules: &'a Rules,
    options: SamplingOptions,
    /// Each hypothesis draws from its own sequence, so that it does not depend on when the others end.
    live: Vec<(Hypothesis, Random)>,
    finished: Vec<Hypothesis>,
}

impl<'a> Sampling<'a> {
    pub(crate) fn new(rules: &'a Rules, options: SamplingOptions) -> Self {
        let mut seeds = Random::new(options.seed);
        let live = (0..options.best_of.max(1))
            .map(|_| (Hypothesis::default(), Random::new(seeds.next_u64())))
            .collect();
        Self { rules, options, live, finished: Vec::new() }
    }

    /// Takes the logits of all live rows (one row at first) and says how to go on; `None` ends the search.
    pub(crate) fn feed(&mut self, logits: &[f32]) -> Option<Next> {
        // The hypotheses share the row of the prompt.
        let is_first = self.live[0].0.tokens.is_empty();
        let vocab_size = if is_first { logits.len() } else { logits.len() / self.live.len() };
        let is_last = self.live[0].0.tokens.len() + 1 >= self.options.max_tokens;

        let mut next = Next::default();
        let mut live = Vec::with_capacity(self.live.len());
        for (index, (hypothesis, mut random)) in std::mem::take(&mut self.live).into_iter().enumerate() {
            let row = if is_first { 0 } else { index };
            let logits = &logits[row * vocab_size..][..vocab_size];
            let distribution = Distribution::new(logits, self.rules.allowed(&hypothesis.tokens));
            let Some(token) = distribution.sample(self.options.temperature, random.next_f32()) else {
                self.finished.push(hypothesis);
                continue;
            };
            let logprob = distribution.logprob(token);
            if token == self.rules.eot() {
                let sum_logprob = hypothesis.sum_logprob + logprob;
                self.finished.push(Hypothesis { sum_logprob, ..hypothesis });
            } else if is_last {
                self.finished.push(hypothesis.extended(token, logprob));
            } else {
                live.push((hypothesis.extended(token, logprob), random));
                next.sources.push(row);
                next.tokens.push(token);
            }
        }
        self.live = live;
        (!self.live.is_empty()).then_some(next)
    }

    pub(super) fn live(&self) -> &[(Hypothesis, Random)] {
        &self.live
    }

    /// The best hypothesis.
    pub(crate) fn into_best(self) -> Hypothesis {
        let penalty = self.options.length_penalty;
        let live = self.live.into_iter().map(|(hypothesis, _)| hypothesis);
        self.finished
            .into_iter()
            .chain(live)
            .max_by(|a, b| normalised(a, penalty).total_cmp(&normalised(b, penalty)))
            .unwrap_or_default()
    }
}
