//! Beam search; with one beam it is greedy search.

use mynah_kernels::pool;

use super::distribution::Distribution;
use super::logits_rules::LogitsRules;
use super::{Hypothesis, Next, normalised};

/// How wide and how long to search.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct BeamOptions {
    /// Hypotheses kept.
    pub(crate) beam_size: usize,
    /// Finished hypotheses to wait for, as a multiple of `beam_size` (arXiv:2204.05424).
    pub(crate) patience: f32,
    /// As [`WhisperOptions::length_penalty`](mynah_core::WhisperOptions::length_penalty).
    pub(crate) length_penalty: Option<f32>,
    /// Maximum number of tokens per hypothesis.
    pub(crate) max_tokens: usize,
}

/// The search's state between two decoder steps.
#[derive(Debug)]
pub(crate) struct BeamSearch<'a> {
    rules: &'a LogitsRules,
    options: BeamOptions,
    live: Vec<Hypothesis>,
    finished: Vec<Hypothesis>,
}

/// A hypothesis extended by one token.
#[derive(Clone, Copy)]
struct Candidate {
    score: f32,
    logprob: f32,
    row: usize,
    token: u32,
}

impl<'a> BeamSearch<'a> {
    pub(crate) fn new(rules: &'a LogitsRules, options: BeamOptions) -> Self {
        Self { rules, options, live: vec![Hypothesis::default()], finished: Vec::new() }
    }

    /// Takes the logits of all live rows (one row at first) and returns the next step; `None` ends the search.
    pub(crate) fn feed(&mut self, logits: &[f32]) -> Option<Next> {
        let beam_size = self.options.beam_size.max(1);
        let candidates = self.candidates(logits, 2 * beam_size);
        let is_last = self.live[0].tokens.len() + 1 >= self.options.max_tokens;

        // Hypotheses finish only from the best `beam_size` candidates. The beams are filled from all candidates; there are
        // twice as many, so that enough remain unfinished.
        for candidate in candidates.iter().take(beam_size) {
            let row = &self.live[candidate.row];
            if candidate.token == self.rules.eot() {
                self.finished.push(Hypothesis { sum_logprob: candidate.score, ..row.clone() });
            } else if is_last {
                self.finished.push(row.extended(candidate.token, candidate.logprob));
            }
        }
        let wanted = ((beam_size as f32 * self.options.patience).round() as usize).max(1);
        if is_last || self.finished.len() >= wanted {
            return None;
        }

        let kept: Vec<Candidate> =
            candidates.into_iter().filter(|c| c.token != self.rules.eot()).take(beam_size).collect();
        if kept.is_empty() {
            return None;
        }
        self.live = kept.iter().map(|c| self.live[c.row].extended(c.token, c.logprob)).collect();
        Some(Next {
            sources: kept.iter().map(|c| c.row).collect(),
            tokens: kept.iter().map(|c| c.token).collect(),
        })
    }

    /// The `count` best continuations of all rows, best first.
    fn candidates(&self, logits: &[f32], count: usize) -> Vec<Candidate> {
        let vocab_size = logits.len() / self.live.len();
        let mut best_of_row = vec![Vec::new(); self.live.len()];
        pool::for_each_chunk(&mut best_of_row, 1, |row, best| {
            let hypothesis = &self.live[row];
            let logits = &logits[row * vocab_size..][..vocab_size];
            let distribution = Distribution::new(logits, self.rules.allowed(&hypothesis.tokens));
            let extended = |token| {
                let logprob = distribution.logprob(token);
                Candidate { score: hypothesis.sum_logprob + logprob, logprob, row, token }
            };
            best[0] = distribution.top(count).into_iter().map(extended).collect();
        });
        let mut candidates = best_of_row.concat();
        candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
        candidates.truncate(count);
        candidates
    }

    pub(super) fn live(&self) -> &[Hypothesis] {
        &self.live
    }

    /// Counts the live hypotheses as finished.
    pub(super) fn abandon(&mut self) {
        self.finished.append(&mut self.live);
    }

    /// The best finished hypothesis, or the best live one if none could finish.
    pub(crate) fn into_best(self) -> Hypothesis {
        let penalty = self.options.length_penalty;
        let best = |hypotheses: Vec<Hypothesis>| {
            // Among equals, the one that finished first.
            hypotheses
                .into_iter()
                .rev()
                .max_by(|a, b| normalised(a, penalty).total_cmp(&normalised(b, penalty)))
        };
        best(self.finished).or_else(|| best(self.live)).unwrap_or_default()
    }
}
