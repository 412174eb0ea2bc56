//! Choosing tokens from scores, in the order of the reference implementation.

use mynah_kernels::elementwise;

use super::random::Mt19937;

/// Tokens of its own past that the repetition penalty looks at.
const PENALTY_WINDOW: usize = 16;
/// Candidates that always survive top-P and top-K.
const FEWEST: usize = 3;

/// How tokens are chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// Scores are divided by this, one number a codebook (text uses the first); 0 takes the most likely.
    pub temperature: [f32; 4],
    /// Share of the probability that candidates must have together; at least three candidates are kept.
    pub top_p: Option<f32>,
    /// Number of candidates, at least three.
    pub top_k: Option<usize>,
    /// A token that was said n times among the last 16 is made less likely by this factor to the power of n; 1 does nothing.
    pub repetition_penalty: f32,
    /// Steps before the end may be chosen.
    pub min_tokens: usize,
    /// Steps after which generation ends.
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

    /// Turns scores into probabilities, in place. `history` is what was chosen before in this row and codebook;
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

/// Drops the least likely, whose probabilities add up to no more than `1 - top_p`.
fn keep_top_p(scores: &mut [f32], top_p: f32) {
    let mut order: Vec<u32> = (0..scores.len() as u32).collect();
    order.sort_by(|&a, &b| scores[a as usize].total_cmp(&scores[b as usize]));
    let mut sorted: Vec<f32> = order.iter().map(|&i| scores[i as usize]).collect();
    elementwise::softmax(&mut sorted);
    let mut sum = 0.0;
    for (&i, p) in order.iter().zip(&sorted).take(order.len().saturating_sub(FEWEST)) {
        sum += p;
        if sum > 1.0 - top_p {
            break;
        }
        scores[i as usize] = f32::NEG_INFINITY;
    }
}

/// Drops what is less likely than the `top_k`-th.
fn keep_top_k(scores: &mut [f32], top_k: usize) {
    let keep = top_k.max(FEWEST);
    if keep >= scores.len() {
        return;
    }
    let mut sorted = scores.to_vec();
    let (_, smallest, _) = sorted.select_nth_unstable_by(keep - 1, |a, b| b.total_cmp(a));
    let smallest = *smallest;
    scores.iter_mut().filter(|score| **score < smallest).for_each(|score| *score = f32::NEG_INFINITY);
}

/// Place of the largest number, the first of equals.
fn argmax(values: impl Iterator<Item = f32>) -> usize {
    let largest = values
        .enumerate()
        .fold((0, f32::NEG_INFINITY), |best, (i, v)| if v > best.1 { (i, v) } else { best });
    largest.0
}

/// Where chance comes from.
#[derive(Clone)]
pub(super) enum Noise {
    /// One seed for all steps: every step sees the same numbers, as the reference's `manual_seed` makes it.
    EveryStep(u64),
    /// One stream for all steps, as the reference without `manual_seed` draws from its global generator.
    Stream(Mt19937),
    /// None: the most likely is taken.
    #[cfg(test)]
    Greedy,
}

impl Noise {
    /// Chooses a token in each row of `probabilities`, which are `[rows, tokens]`; rows whose `wanted` is false get 0, but
    /// use up their random numbers. A token is drawn with its probability by taking the largest `p / q`, q being
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
                // Making the number would be in vain, but it is drawn.
                generator.skip_exponentials(1);
                0.0
            });
            argmax(ratios) as u32
        })
        .collect()
    }
}
