//! Cuts a window's tokens into segments at the timestamps, and finds where the next window starts.

/// Frames of 10 ms in one step of the timestamps.
pub(super) const FRAMES_PER_TIMESTAMP: usize = 2;

/// A segment that is not final yet. Times are seconds of the decoded audio.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Draft {
    pub(super) start_s: f64,
    pub(super) end_s: f64,
    /// Text and timestamp tokens.
    pub(super) tokens: Vec<u32>,
    /// Log probability of each token.
    pub(super) logprobs: Vec<f32>,
    pub(super) words: Vec<mynah_core::Word>,
}

/// A window's segments.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cut {
    pub(super) drafts: Vec<Draft>,
    /// Frames after which the next window starts.
    pub(super) advance_frames: usize,
    /// Whether the window ends in a single timestamp: there is no speech from there to the window's end.
    pub(super) ends_in_silence: bool,
}

/// Cuts between pairs of consecutive timestamps. Text after the last pair is unfinished and left to the next window, which
/// starts at that pair, unless a single timestamp ends it. Without a pair the whole window is one segment.
pub(super) fn cut(
    tokens: &[u32],
    logprobs: &[f32],
    timestamp_begin: u32,
    offset_s: f64,
    window_frames: usize,
) -> Cut {
    let timestamp = |token: u32| token.checked_sub(timestamp_begin).map(|steps| steps as usize);
    let seconds = |steps: usize| (steps * FRAMES_PER_TIMESTAMP) as f64 / 100.0;
    let draft = |range: std::ops::Range<usize>, start: usize, end: f64| Draft {
        start_s: offset_s + seconds(start),
        end_s: offset_s + end,
        tokens: tokens[range.clone()].to_vec(),
        logprobs: logprobs[range].to_vec(),
        words: Vec::new(),
    };

    let ends_in_silence =
        matches!(tokens, [.., text, last] if timestamp(*text).is_none() && timestamp(*last).is_some());
    let mut ends: Vec<usize> = (1..tokens.len())
        .filter(|&i| timestamp(tokens[i - 1]).is_some() && timestamp(tokens[i]).is_some())
        .collect();
    let Some(&last_pair) = ends.last() else {
        let last = tokens.iter().rev().find_map(|&token| timestamp(token)).filter(|&steps| steps > 0);
        let end = last.map_or(window_frames as f64 / 100.0, seconds);
        let drafts = vec![draft(0..tokens.len(), 0, end)];
        return Cut { drafts, advance_frames: window_frames, ends_in_silence };
    };

    let mut advance_frames = window_frames;
    if ends_in_silence {
        ends.push(tokens.len());
    } else {
        advance_frames = timestamp(tokens[last_pair - 1]).unwrap_or(0) * FRAMES_PER_TIMESTAMP;
    }
    let mut begin = 0;
    let mut drafts = Vec::with_capacity(ends.len());
    for end in ends {
        let start_step = timestamp(tokens[begin]).unwrap_or(0);
        let end_step = timestamp(tokens[end - 1]).unwrap_or(start_step);
        drafts.push(draft(begin..end, start_step, seconds(end_step)));
        begin = end;
    }
    Cut { drafts, advance_frames, ends_in_silence }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Timestamps are 100 (0.00 s), 101 (0.02 s)...
    fn cut_at(tokens: &[u32], window_frames: usize) -> Cut {
        let logprobs: Vec<f32> = (0..tokens.len()).map(|i| -(i as f32)).collect();
        cut(tokens, &logprobs, 100, 60.0, window_frames)
    }

    fn spans(cut: &Cut) -> Vec<(f64, f64, Vec<u32>)> {
        cut.drafts.iter().map(|d| (d.start_s, d.end_s, d.tokens.clone())).collect()
    }

    #[test]
    fn unfinished_text_is_left_to_the_next_window() {
        let cut = cut_at(&[100, 1, 2, 150, 150, 3, 200, 200, 4, 5], 3000);
        assert_eq!(spans(&cut), [(60.0, 61.0, vec![100, 1, 2, 150]), (61.0, 62.0, vec![150, 3, 200])]);
        assert_eq!((cut.advance_frames, cut.ends_in_silence), (200, false));
        assert_eq!(cut.drafts[1].logprobs, [-4.0, -5.0, -6.0]);
    }

    #[test]
    fn a_single_last_timestamp_finishes_the_window() {
        let cut = cut_at(&[100, 1, 150, 160, 3, 200], 3000);
        assert_eq!(spans(&cut), [(60.0, 61.0, vec![100, 1, 150]), (61.2, 62.0, vec![160, 3, 200])]);
        assert_eq!((cut.advance_frames, cut.ends_in_silence), (3000, true));
    }

    #[test]
    fn a_last_pair_finishes_the_window_there() {
        let cut = cut_at(&[100, 1, 150, 150], 3000);
        assert_eq!(spans(&cut), [(60.0, 61.0, vec![100, 1, 150])]);
        assert_eq!(cut.advance_frames, 100);
    }

    #[test]
    fn without_a_pair_the_window_is_one_segment() {
        let one = cut_at(&[100, 1, 2, 150], 800);
        assert_eq!(spans(&one), [(60.0, 61.0, vec![100, 1, 2, 150])]);
        assert_eq!((one.advance_frames, one.ends_in_silence), (800, true));
        let open = cut_at(&[100, 1, 2], 800);
        assert_eq!(spans(&open), [(60.0, 68.0, vec![100, 1, 2])]);
        assert_eq!((open.advance_frames, open.ends_in_silence), (800, false));
        let plain = cut_at(&[1, 2], 800);
        assert_eq!(spans(&plain), [(60.0, 68.0, vec![1, 2])]);
    }

    #[test]
    fn no_tokens_give_one_empty_segment() {
        let cut = cut_at(&[], 800);
        assert_eq!(spans(&cut), [(60.0, 68.0, vec![])]);
        assert_eq!(cut.advance_frames, 800);
    }

    #[test]
    fn tokens_against_the_grammar_do_not_stop_it() {
        // Text first and three timestamps in a row cannot come from the search, but must not panic.
        let cut = cut_at(&[1, 150, 150, 150, 2], 800);
        assert_eq!(cut.drafts.len(), 2);
        assert_eq!(cut.advance_frames, 100);
    }
}
