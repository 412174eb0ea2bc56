//! Random sampling at a temperature: several hypotheses at once, of which the best is kept.

use mynah_kernels::pool;

use super::distribution::Distribution;
use super::logits_rules::LogitsRules;
use super::random::Random;
use super::{Hypothesis, Next, normalised};

/// Number and distribution of the samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SamplingOptions {
    /// Hypotheses drawn.
    pub(crate) best_of: usize,
    /// Above 0.
    pub(crate) temperature: f32,
    /// As [`WhisperOptions::length_penalty`](mynah_core::WhisperOptions::length_penalty).
    pub(crate) length_penalty: Option<f32>,
    /// Maximum number of tokens per hypothesis.
    pub(crate) max_tokens: usize,
    /// Equal seeds draw equal hypotheses from equal logits.
    pub(crate) seed: u64,
}

/// The search's state between two decoder steps.
#[derive(Debug)]
pub(crate) struct Sampling<'a> {
    rules: &'a LogitsRules,
    options: SamplingOptions,
    live: Vec<Sample>,
    finished: Vec<Hypothesis>,
}

/// An unfinished hypothesis.
#[derive(Debug)]
struct Sample {
    hypothesis: Hypothesis,
    /// Each hypothesis has its own generator, so that it does not depend on when the others end.
    random: Random,
    /// Its row in the decoder. Hypotheses with the same tokens share a row, as is common at low temperatures.
    row: usize,
}

impl<'a> Sampling<'a> {
    pub(crate) fn new(rules: &'a LogitsRules, options: SamplingOptions) -> Self {
        let mut seeds = Random::new(options.seed);
        let live = (0..options.best_of.max(1))
            .map(|_| Sample {
                hypothesis: Hypothesis::default(),
                random: Random::new(seeds.next_u64()),
                row: 0,
            })
            .collect();
        Self { rules, options, live, finished: Vec::new() }
    }

    /// Takes the logits of all live rows (one row at first) and returns the next step; `None` ends the search.
    pub(crate) fn feed(&mut self, logits: &[f32]) -> Option<Next> {
        // One hypothesis of each row; they all have the same tokens.
        let mut of_row: Vec<&Hypothesis> = Vec::new();
        for sample in &self.live {
            if sample.row == of_row.len() {
                of_row.push(&sample.hypothesis);
            }
        }
        let vocab_size = logits.len() / of_row.len();
        let mut distributions: Vec<Option<Distribution<'_>>> = vec![None; of_row.len()];
        pool::for_each_chunk(&mut distributions, 1, |row, distribution| {
            let logits = &logits[row * vocab_size..][..vocab_size];
            distribution[0] = Some(Distribution::new(logits, self.rules.allowed(&of_row[row].tokens)));
        });
        let is_last = self.live[0].hypothesis.tokens.len() + 1 >= self.options.max_tokens;

        let mut next = Next::default();
        let mut live = Vec::with_capacity(self.live.len());
        let mut finished = Vec::new();
        for Sample { hypothesis, random, row } in &self.live {
            let mut random = random.clone();
            let drawn = distributions[*row].as_ref().and_then(|distribution| {
                let token = distribution.sample(self.options.temperature, random.next_f32())?;
                Some((token, distribution.logprob(token)))
            });
            let Some((token, logprob)) = drawn else {
                finished.push(hypothesis.clone());
                continue;
            };
            if token == self.rules.eot() {
                let sum_logprob = hypothesis.sum_logprob + logprob;
                finished.push(Hypothesis { sum_logprob, ..hypothesis.clone() });
            } else if is_last {
                finished.push(hypothesis.extended(token, logprob));
            } else {
                let shared = next.sources.iter().zip(&next.tokens).position(|next| next == (row, &token));
                let next_row = shared.unwrap_or_else(|| {
                    next.sources.push(*row);
                    next.tokens.push(token);
                    next.tokens.len() - 1
                });
                live.push(Sample { hypothesis: hypothesis.extended(token, logprob), random, row: next_row });
            }
        }
        self.live = live;
        self.finished.append(&mut finished);
        (!self.live.is_empty()).then_some(next)
    }

    pub(super) fn live(&self) -> impl Iterator<Item = &Hypothesis> {
        self.live.iter().map(|sample| &sample.hypothesis)
    }

    /// The best hypothesis.
    pub(crate) fn into_best(self) -> Hypothesis {
        let penalty = self.options.length_penalty;
        let live = self.live.into_iter().map(|sample| sample.hypothesis);
        self.finished
            .into_iter()
            .chain(live)
            .max_by(|a, b| normalised(a, penalty).total_cmp(&normalised(b, penalty)))
            .unwrap_or_default()
    }
}
