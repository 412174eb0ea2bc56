//! One row of logits under the rules: log probabilities, the top k, a random draw.
//!
//! A row has about 52 thousand numbers, so nothing is copied or sorted here.

use std::ops::Range;

use mynah_kernels::elementwise::max;
use mynah_kernels::vecmath::sum_exp;

use super::logits_rules::Allowed;

/// The next token's distribution: a softmax over the allowed ids.
#[derive(Clone, Debug)]
pub(crate) struct Distribution<'a> {
    logits: &'a [f32],
    text: &'a [Range<usize>],
    eot: Range<usize>,
    timestamps: Range<usize>,
    max: f32,
    log_sum_exp: f32,
}

impl<'a> Distribution<'a> {
    /// Normalises `logits` over the allowed ids; over timestamps alone if they are preferred and together more probable than
    /// any other token.
    pub(crate) fn new(logits: &'a [f32], allowed: Allowed<'a>) -> Self {
        let Allowed { text, eot, timestamps, prefer_timestamps } = allowed;
        let spans = || text.iter().chain([&eot]);
        let other_max = spans().map(|span| max(&logits[span.clone()])).fold(f32::NEG_INFINITY, larger);
        let timestamp_max = max(&logits[timestamps.clone()]);
        let timestamp_sum = sum_exp(&logits[timestamps.clone()], timestamp_max, 1.0);
        let timestamp_log_sum = timestamp_max + timestamp_sum.ln();
        if prefer_timestamps && timestamp_log_sum > other_max {
            let no_eot = eot.start..eot.start;
            let (max, log_sum_exp) = (timestamp_max, timestamp_log_sum);
            return Self { logits, text: &[], eot: no_eot, timestamps, max, log_sum_exp };
        }
        let max = larger(other_max, timestamp_max);
        let sum: f32 =
            spans().chain([&timestamps]).map(|span| sum_exp(&logits[span.clone()], max, 1.0)).sum();
        let log_sum_exp = max + sum.ln();
        Self { logits, text, eot, timestamps, max, log_sum_exp }
    }

    fn spans(&self) -> impl Iterator<Item = &Range<usize>> {
        self.text.iter().chain([&self.eot, &self.timestamps])
    }

    /// Log probability of an allowed token.
    pub(crate) fn logprob(&self, token: u32) -> f32 {
        self.logits[token as usize] - self.log_sum_exp
    }

    /// The `k` most probable tokens, best first; fewer where fewer are allowed.
    pub(crate) fn top(&self, k: usize) -> Vec<u32> {
        let mut best = TopK::new(k);
        for span in self.spans() {
            best.scan(&self.logits[span.clone()], span.start);
        }
        best.entries.into_iter().map(|(_, id)| id).collect()
    }

    /// The token at quantile `u` (0 to 1) of the distribution sharpened by `1 / temperature`; `None` where nothing is
    /// allowed.
    pub(crate) fn sample(&self, temperature: f32, u: f32) -> Option<u32> {
        let sharpness = 1.0 / temperature;
        let total: f32 =
            self.spans().map(|span| sum_exp(&self.logits[span.clone()], self.max, sharpness)).sum();
        let mut left = u * total;
        for span in self.spans() {
            let part = sum_exp(&self.logits[span.clone()], self.max, sharpness);
            if left >= part {
                left -= part;
                continue;
            }
            for id in span.clone() {
                left -= ((self.logits[id] - self.max) * sharpness).exp();
                if left < 0.0 {
                    return Some(id as u32);
                }
            }
        }
        // Because of rounding, `u` close to 1 may fall past the end.
        self.top(1).first().copied()
    }
}

/// Probability of one token, normalised over the whole row.
pub(crate) fn probability(logits: &[f32], token: u32) -> f32 {
    let max = max(logits);
    logits.get(token as usize).map_or(0.0, |&logit| (logit - max).exp() / sum_exp(logits, max, 1.0))
}

/// Probabilities of some tokens, normalised over these tokens alone.
pub(crate) fn probability_among(logits: &[f32], tokens: &[u32]) -> Vec<f32> {
    let some: Vec<f32> = tokens.iter().filter_map(|&token| logits.get(token as usize)).copied().collect();
    let max = max(&some);
    let sum = sum_exp(&some, max, 1.0);
    some.into_iter().map(|logit| (logit - max).exp() / sum).collect()
}

/// The `k` largest of the scanned numbers, largest first; among equals, the one scanned first.
struct TopK {
    k: usize,
    entries: Vec<(f32, u32)>,
}

impl TopK {
    fn new(k: usize) -> Self {
        Self { k, entries: Vec::with_capacity(k + 1) }
    }

    /// What a number must exceed to enter.
    fn threshold(&self) -> f32 {
        if self.entries.len() < self.k {
            f32::NEG_INFINITY
        } else {
            self.entries.last().map_or(f32::INFINITY, |e| e.0)
        }
    }

    fn scan(&mut self, values: &[f32], first_id: usize) {
        let mut threshold = self.threshold();
        for (index, block) in values.chunks(64).enumerate() {
            // After the first few hundred numbers, nearly every block has none above the threshold.
            if max(block) > threshold {
                for (offset, &value) in block.iter().enumerate() {
                    if value > threshold {
                        let at = self.entries.partition_point(|entry| entry.0 >= value);
                        self.entries.insert(at, (value, (first_id + index * 64 + offset) as u32));
                        self.entries.truncate(self.k);
                        threshold = self.threshold();
                    }
                }
            }
        }
    }
}

/// `f32::max` without its handling of NaN.
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(n: usize) -> Vec<Range<usize>> {
        vec![Range { start: 0, end: n }]
    }

    fn text_only(text: &[Range<usize>], n: usize) -> Allowed<'_> {
        Allowed { text, eot: n..n, timestamps: n..n, prefer_timestamps: false }
    }

    /// Pseudo-random numbers.
    fn noise(n: usize) -> Vec<f32> {
        (0..n as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 800_000.0 - 10.0).collect()
    }

    #[test]
    fn logprobs_sum_to_one_over_the_allowed() {
        for n in [1, 15, 16, 17, 1000] {
            let logits = noise(n);
            let spans = all(n);
            let distribution = Distribution::new(&logits, text_only(&spans, n));
            let total: f64 = (0..n as u32).map(|id| f64::from(distribution.logprob(id)).exp()).sum();
            assert!((total - 1.0).abs() < 1e-4, "{n}: {total}");
        }
    }

    #[test]
    fn top_agrees_with_a_sort() {
        let logits = noise(1000);
        for (k, spans) in
            [(1, all(1000)), (10, vec![3..70, 71..500, 900..1000]), (10, vec![4..9, 11..11]), (10, vec![])]
        {
            let mut want: Vec<u32> = spans.iter().cloned().flatten().map(|id| id as u32).collect();
            want.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]));
            want.truncate(k);
            assert_eq!(Distribution::new(&logits, text_only(&spans, 1000)).top(k), want);
        }
    }

    #[test]
    fn top_skips_nan() {
        let logits = [f32::NAN, 1.0, f32::NEG_INFINITY, 2.0];
        assert_eq!(Distribution::new(&logits, text_only(&all(4), 4)).top(4), [3, 1]);
    }

    #[test]
    fn timestamps_win_by_their_sum() {
        // Text 0..4, eot 4, timestamps 5..9: each below the best text, together above.
        let logits = [0.0, 1.0, -3.0, 0.5, -9.0, 0.5, 0.5, 0.5, -8.0];
        let spans = all(4);
        let allowed =
            |prefer_timestamps| Allowed { text: &spans, eot: 4..5, timestamps: 5..9, prefer_timestamps };
        assert_eq!(Distribution::new(&logits, allowed(true)).top(2), [5, 6]);
        assert_eq!(Distribution::new(&logits, allowed(false)).top(2), [1, 3]);
        let few = Allowed { timestamps: 7..9, ..allowed(true) };
        assert_eq!(
            Distribution::new(&logits, few).top(1),
            [1],
            "one timestamp alone is less probable than the text"
        );
    }

    #[test]
    fn samples_follow_the_probabilities() {
        let logits = [0.0, (3.0f32).ln(), 50.0, 0.0];
        let spans = [0..2, 3..4];
        let distribution = Distribution::new(&logits, text_only(&spans, 4));
        let draw = |u| distribution.sample(1.0, u).unwrap();
        assert_eq!(
            [draw(0.0), draw(0.19), draw(0.21), draw(0.79), draw(0.81), draw(0.999_999)],
            [0, 0, 1, 1, 3, 3]
        );
        assert_eq!(distribution.sample(0.01, 0.01), Some(1), "a low temperature takes the best");
        assert_eq!(Distribution::new(&logits, text_only(&[], 4)).sample(1.0, 0.5), None);
    }

    #[test]
    fn probability_of_a_token_in_the_whole_row() {
        assert!((probability(&[0.0, 0.0, 2.0f32.ln()], 2) - 0.5).abs() < 1e-6);
        assert_eq!(probability(&[0.0], 7), 0.0);
    }

    #[test]
    fn probabilities_of_some_tokens() {
        let among = probability_among(&[9.0, 3.0f32.ln(), 9.0, 0.0], &[1, 3]);
        assert!((among[0] - 0.75).abs() < 1e-6 && (among[1] - 0.25).abs() < 1e-6);
        assert!(probability_among(&[9.0], &[]).is_empty());
    }
}
