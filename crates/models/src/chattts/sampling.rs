//! Sampling of tokens from logits, in the reference implementation's order of operations.

use mynah_kernels::elementwise;

use super::random::Mt19937;

/// Number of previous tokens that the repetition penalty considers.
const PENALTY_WINDOW: usize = 16;
/// Minimum number of candidates after top-p and top-k.
const MIN_CANDIDATES: usize = 3;

/// Sampling parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Logits are divided by this, one number per codebook (text uses the first); 0 takes the most probable token.
    pub temperature: [f32; 4],
    /// Total probability of the candidates to keep (top-p); at least three are kept.
    pub top_p: Option<f32>,
    /// Number of candidates to keep (top-k); at least three are kept.
    pub top_k: Option<usize>,
    /// A token that occurs n times among the last 16 is penalised by this factor to the power of n; 1 has no effect.
    pub repetition_penalty: f32,
    /// Minimum number of steps before the end token.
    pub min_tokens: usize,
    /// Maximum number of steps.
    pub max_tokens: usize,
}

impl Sampling {
    /// The published settings for speech.
    pub fn speech() -> Self {
        Self {
            temperature: [0.3; 4],
            top_p: Some(0.7),
            top_k: Some(20),
            repetition_penalty: 1.05,
            min_tokens: 0,
            max_tokens: 2048,
        }
    }

    /// The published settings for refining text.
    pub fn refinement() -> Self {
        Self { temperature: [0.7; 4], repetition_penalty: 1.0, max_tokens: 384, ..Self::speech() }
    }

    /// Turns logits into probabilities, in place. `history` has the tokens already chosen in this row and codebook;
    /// `forbidden` cannot be chosen.
    pub(super) fn probabilities(
        &self,
        codebook: usize,
        scores: &mut [f32],
        history: impl DoubleEndedIterator<Item = u32> + Clone,
        forbidden: Option<u32>,
    ) {
        let temperature = self.temperature[codebook];
        if temperature > 0.0 {
            scores.iter_mut().for_each(|score| *score /= temperature);
        }
        self.penalise(scores, history);
        if let Some(top_p) = self.top_p {
            keep_top_p(scores, top_p);
        }
        if let Some(top_k) = self.top_k {
            keep_top_k(scores, top_k);
        }
        if let Some(token) = forbidden {
            scores[token as usize] = f32::NEG_INFINITY;
        }
        elementwise::softmax(scores);
        if temperature <= 0.0 {
            let best = argmax(scores.iter().copied());
            scores.iter_mut().enumerate().for_each(|(i, p)| *p = if i == best { 1.0 } else { 0.0 });
        }
    }

    fn penalise(&self, scores: &mut [f32], history: impl DoubleEndedIterator<Item = u32> + Clone) {
        if self.repetition_penalty == 1.0 {
            return;
        }
        let recent: Vec<u32> = history.rev().take(PENALTY_WINDOW).collect();
        for (i, &token) in recent.iter().enumerate() {
            if recent[..i].contains(&token) {
                continue;
            }
            let count = recent.iter().filter(|&&other| other == token).count();
            let factor = self.repetition_penalty.powf(count as f32);
            let score = &mut scores[token as usize];
            *score = if *score < 0.0 { *score * factor } else { *score / factor };
        }
    }
}

/// Drops the least probable tokens, whose probabilities add up to at most `1 - top_p`.
fn keep_top_p(scores: &mut [f32], top_p: f32) {
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_by(|&a, &b| scores[a as usize].total_cmp(&scores[b as usize]));
    let mut sorted: Vec<f32> = order.iter().map(|&i| scores[i as usize]).collect();
    elementwise::softmax(&mut sorted);
    let mut sum = 0.0;
    for (&i, p) in order.iter().zip(&sorted).take(order.len().saturating_sub(MIN_CANDIDATES)) {
        sum += p;
        if sum > 1.0 - top_p {
            break;
        }
        scores[i as usize] = f32::NEG_INFINITY;
    }
}

/// Drops tokens that are less probable than the `top_k`-th.
fn keep_top_k(scores: &mut [f32], top_k: usize) {
    let keep = top_k.max(MIN_CANDIDATES);
    if keep >= scores.len() {
        return;
    }
    let mut sorted = scores.to_vec();
    let (_, smallest, _) = sorted.select_nth_unstable_by(keep - 1, |a, b| b.total_cmp(a));
    let smallest = *smallest;
    scores.iter_mut().filter(|score| **score < smallest).for_each(|score| *score = f32::NEG_INFINITY);
}

/// Index of the largest number, the first among equals.
fn argmax(values: impl Iterator<Item = f32>) -> usize {
    let largest = values
        .enumerate()
        .fold((0, f32::NEG_INFINITY), |best, (i, v)| if v > best.1 { (i, v) } else { best });
    largest.0
}

/// Source of random numbers.
#[derive(Clone)]
pub(super) enum RandomSource {
    /// One seed for all steps: every step draws the same numbers, as with the reference's `manual_seed`.
    EveryStep(u64),
    /// One stream for all steps, as with the reference's global generator without `manual_seed`.
    Stream(Mt19937),
    /// No randomness: takes the most probable token.
    #[cfg(test)]
    Greedy,
}

impl RandomSource {
    /// Draws a token for each row of `probabilities`, `[rows, tokens]`. Rows for which `wanted` is false get 0, but
    /// consume their random numbers. A token is drawn with its probability by taking the largest `p / q`, with q
    /// exponentially distributed.
    pub(super) fn choose(
        &mut self,
        probabilities: &[f32],
        tokens: usize,
        wanted: impl Fn(usize) -> bool,
    ) -> Vec<u32> {
        let mut every_step;
        let generator = match self {
            Self::EveryStep(seed) => {
                every_step = Mt19937::new(*seed);
                &mut every_step
            }
            Self::Stream(generator) => generator,
            #[cfg(test)]
            Self::Greedy => {
                let rows = probabilities.chunks_exact(tokens);
                return rows.map(|row| argmax(row.iter().copied()) as u32).collect();
            }
        };
        let rows = probabilities.chunks_exact(tokens).enumerate();
        rows.map(|(i, row)| {
            if !wanted(i) {
                generator.skip_exponentials(tokens);
                return 0;
            }
            let ratios = row.iter().map(|&p| {
                if p > 0.0 {
                    return p / generator.exponential();
                }
                // The number is not needed, but must be consumed.
                generator.skip_exponentials(1);
                0.0
            });
            argmax(ratios) as u32
        })
        .collect()
    }
}
