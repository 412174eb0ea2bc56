//! Token times from cross-attention weights.
//!
//! Some heads of the decoder attend to the audio of the token they predict. Their weights are normalised over tokens, smoothed
//! in time and averaged; dynamic time warping over these scores finds each token's start, as in openai-whisper's `timing.py`
//! (arXiv:2212.04356 does not describe the method).

use super::dtw;
use crate::whisper::Alignment;

/// Encoder positions per second.
const POSITIONS_PER_SECOND: f64 = 50.0;

/// Width of the median filter over encoder positions.
const MEDIAN_WIDTH: usize = 7;

/// Start of each token from `first_token` on, in seconds from the window's start.
pub(super) fn token_starts_s(alignment: &Alignment, first_token: usize) -> Vec<f64> {
    let Alignment { tokens, frames, .. } = *alignment;
    let rows = tokens.saturating_sub(first_token);
    if frames == 0 {
        return vec![0.0; rows];
    }
    let scores = mean_over_heads(alignment, first_token);
    dtw::row_starts(&scores, rows, frames)
        .into_iter()
        .map(|position| position as f64 / POSITIONS_PER_SECOND)
        .collect()
}

/// Scores `[tokens - first_token, frames]`: weights with mean 0 and deviation 1 over the tokens, for each head and
/// frame, then smoothed and averaged.
fn mean_over_heads(alignment: &Alignment, first_token: usize) -> Vec<f32> {
    let Alignment { weights, heads, tokens, frames, .. } = alignment;
    let mut scores = vec![0.0; (tokens - first_token) * frames];
    let mut row = vec![0.0; *frames];
    for head in weights.chunks_exact(tokens * frames).take(*heads) {
        let (mean, deviation) = mean_and_deviation(head, *frames);
        let rows = head.chunks_exact(*frames).skip(first_token);
        for (weights, scores) in rows.zip(scores.chunks_exact_mut(*frames)) {
            for (((z, &weight), &mean), &deviation) in row.iter_mut().zip(weights).zip(&mean).zip(&deviation)
            {
                *z = if deviation > 0.0 { (weight - mean) / deviation } else { 0.0 };
            }
            add_median_filtered(&row, scores);
        }
    }
    for score in &mut scores {
        *score /= *heads as f32;
    }
    scores
}

/// Mean and standard deviation of each column of `rows`.
fn mean_and_deviation(rows: &[f32], columns: usize) -> (Vec<f32>, Vec<f32>) {
    let count = (rows.len() / columns) as f32;
    let mut mean = vec![0.0; columns];
    for row in rows.chunks_exact(columns) {
        for (mean, &x) in mean.iter_mut().zip(row) {
            *mean += x / count;
        }
    }
    let mut variance = vec![0.0f32; columns];
    for row in rows.chunks_exact(columns) {
        for ((variance, &x), &mean) in variance.iter_mut().zip(row).zip(&mean) {
            *variance += (x - mean) * (x - mean) / count;
        }
    }
    let deviation = variance.into_iter().map(f32::sqrt).collect();
    (mean, deviation)
}

/// Adds the running median of `row` to `sums`; at the ends the row is mirrored.
fn add_median_filtered(row: &[f32], sums: &mut [f32]) {
    const REACH: usize = MEDIAN_WIDTH / 2;
    let n = row.len();
    if n <= REACH {
        for (sum, &x) in sums.iter_mut().zip(row) {
            *sum += x;
        }
        return;
    }
    let mirrored: Vec<f32> = (1..=REACH)
        .rev()
        .map(|i| row[i])
        .chain(row.iter().copied())
        .chain((1..=REACH).map(|i| row[n - 1 - i]))
        .collect();
    for (sum, window) in sums.iter_mut().zip(mirrored.array_windows::<MEDIAN_WIDTH>()) {
        *sum += median(*window);
    }
}

/// Median of seven: a sorting network without the exchanges that do not affect the middle.
fn median(mut x: [f32; MEDIAN_WIDTH]) -> f32 {
    const EXCHANGES: [(usize, usize); 13] = [
        (0, 5),
        (0, 3),
        (1, 6),
        (2, 4),
        (0, 1),
        (3, 5),
        (2, 6),
        (2, 3),
        (3, 6),
        (4, 5),
        (1, 4),
        (1, 3),
        (3, 4),
    ];
    for (a, b) in EXCHANGES {
        (x[a], x[b]) = if x[b] < x[a] { (x[b], x[a]) } else { (x[a], x[b]) };
    }
    x[3]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_of_every_order() {
        // By the 0-1 principle a network that is right for all zeros and ones is right for all numbers.
        for bits in 0..128u32 {
            let x: [f32; 7] = std::array::from_fn(|i| (bits >> i & 1) as f32);
            let want = if bits.count_ones() >= 4 { 1.0 } else { 0.0 };
            assert_eq!(median(x), want, "{x:?}");
        }
    }

    #[test]
    fn filter_removes_spikes_and_mirrors_the_ends() {
        let filtered = |row: &[f32]| {
            let mut sums = vec![0.0; row.len()];
            add_median_filtered(row, &mut sums);
            sums
        };
        assert_eq!(filtered(&[0.0, 0.0, 0.0, 9.0, 0.0, 0.0, 0.0, 0.0]), [0.0; 8]);
        // Around the first: 4 3 2 1 2 3 4.
        assert_eq!(filtered(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])[0], 3.0);
        assert_eq!(filtered(&[5.0, 1.0, 4.0]), [5.0, 1.0, 4.0], "too short to filter");
    }

    #[test]
    fn tokens_start_where_a_head_attends() {
        // Tokens 1, 2, 3 attend to 10..20, 20..35, 35..50; the second head attends to all frames equally.
        let (tokens, frames) = (4, 50);
        let mut weights = vec![0.02; 2 * tokens * frames];
        for (token, span) in [(0, 0..10), (1, 10..20), (2, 20..35), (3, 35..50)] {
            weights[token * frames..][span].fill(0.1);
        }
        let alignment = Alignment { weights, heads: 2, tokens, frames, next_logprobs: vec![] };
        assert_eq!(token_starts_s(&alignment, 0), [0.0, 0.2, 0.4, 0.7]);
        let later = token_starts_s(&alignment, 1);
        assert_eq!(later[1..], [0.4, 0.7]);
    }

    #[test]
    fn no_frames_give_no_times() {
        let alignment = Alignment { weights: vec![], heads: 2, tokens: 3, frames: 0, next_logprobs: vec![] };
        assert_eq!(token_starts_s(&alignment, 1), [0.0, 0.0]);
    }
}
