//! Which tokens may come next: suppressed ids, no blank at the start, and the grammar of timestamps.
//!
//! Whisper writes `<|0.00|> text<|2.40|><|2.40|> text<|5.00|>`: timestamps come in pairs (the last may stand alone
//! before the end), never decrease, and the first is near the start of the window (arXiv:2212.04356, section 4.5).
//! The rules do not mask the logits; they list the spans of allowed ids, so that a row is read in place.

use std::ops::Range;

/// The rules of one request: fixed lists. [`LogitsRules::allowed`] adds what depends on the tokens so far.
#[derive(Clone, Debug)]
pub(crate) struct LogitsRules {
    eot: usize,
    timestamp_begin: usize,
    vocab_size: usize,
    /// Text ids (all below `eot`) that are not suppressed.
    text: Vec<Range<usize>>,
    /// The same for the first token.
    first_text: Vec<Range<usize>>,
    first_eot: bool,
    /// Largest first timestamp, in steps of 20 ms; `None` if no timestamps are predicted.
    max_initial_timestamp: Option<usize>,
}

/// Input of [`LogitsRules::new`].
#[derive(Clone, Debug)]
pub(crate) struct RuleOptions<'a> {
    /// Id of the end of text; all text ids are below.
    pub(crate) eot: u32,
    /// Id of `<|0.00|>`.
    pub(crate) timestamp_begin: u32,
    /// Size of the vocabulary.
    pub(crate) vocab_size: usize,
    /// Ids that are never chosen.
    pub(crate) suppress: &'a [u32],
    /// Ids that are not chosen as the first token.
    pub(crate) begin_suppress: &'a [u32],
    /// Largest first timestamp, in steps of 20 ms; `None` predicts no timestamps.
    pub(crate) max_initial_timestamp: Option<usize>,
}

/// The tokens that may come next, as spans of ids.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Allowed<'a> {
    /// Text; sorted and disjoint.
    pub(crate) text: &'a [Range<usize>],
    /// The end of text, or empty.
    pub(crate) eot: Range<usize>,
    /// Timestamps, or empty.
    pub(crate) timestamps: Range<usize>,
    /// If all timestamps together are more probable than the best other token, only timestamps are allowed.
    pub(crate) prefer_timestamps: bool,
}

impl LogitsRules {
    pub(crate) fn new(options: &RuleOptions<'_>) -> Self {
        let eot = (options.eot as usize).min(options.vocab_size);
        let first: Vec<u32> = [options.suppress, options.begin_suppress].concat();
        Self {
            eot,
            timestamp_begin: (options.timestamp_begin as usize).min(options.vocab_size),
            vocab_size: options.vocab_size,
            text: spans_without(eot, options.suppress),
            first_text: spans_without(eot, &first),
            first_eot: !first.contains(&options.eot),
            max_initial_timestamp: options.max_initial_timestamp,
        }
    }

    /// Id of the end of text.
    pub(crate) fn eot(&self) -> u32 {
        self.eot as u32
    }

    /// What may follow `tokens`, the tokens chosen after the prompt.
    pub(crate) fn allowed(&self, tokens: &[u32]) -> Allowed<'_> {
        let end = self.eot..(self.eot + 1).min(self.vocab_size);
        let none = self.eot..self.eot;
        let Some(max_initial) = self.max_initial_timestamp else {
            let first = tokens.is_empty();
            return Allowed {
                text: if first { &self.first_text } else { &self.text },
                eot: if first && !self.first_eot { none } else { end },
                timestamps: none_at(self.timestamp_begin),
                prefer_timestamps: false,
            };
        };

        let begin = self.timestamp_begin;
        let Some((&last, before)) = tokens.split_last() else {
            let limit = (begin + max_initial + 1).min(self.vocab_size);
            return Allowed { text: &[], eot: none, timestamps: begin..limit, prefer_timestamps: false };
        };
        let is_timestamp = |token: u32| token as usize >= begin;
        if is_timestamp(last) {
            if before.last().is_none_or(|&token| is_timestamp(token)) {
                // After a pair or the opening timestamp: text or the end.
                Allowed { text: &self.text, eot: end, timestamps: none_at(begin), prefer_timestamps: false }
            } else {
                // After the first half of a pair: its second half, which is not earlier, or the end.
                let timestamps = (last as usize).min(self.vocab_size)..self.vocab_size;
                Allowed { text: &[], eot: end, timestamps, prefer_timestamps: true }
            }
        } else {
            let earliest =
                before.iter().rfind(|&&token| is_timestamp(token)).map_or(begin, |&t| t as usize + 1);
            let timestamps = earliest.min(self.vocab_size)..self.vocab_size;
            Allowed { text: &self.text, eot: end, timestamps, prefer_timestamps: true }
        }
    }
}

fn none_at(id: usize) -> Range<usize> {
    id..id
}

/// `0..end` without the ids listed.
fn spans_without(end: usize, ids: &[u32]) -> Vec<Range<usize>> {
    let mut cuts: Vec<usize> = ids.iter().map(|&id| id as usize).filter(|&id| id < end).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let mut spans = Vec::with_capacity(cuts.len() + 1);
    let mut start = 0;
    for cut in cuts {
        if start < cut {
            spans.push(start..cut);
        }
        start = cut + 1;
    }
    if start < end {
        spans.push(start..end);
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text 0..10, eot 10, two specials, timestamps 13..=20.
    fn rules(max_initial_timestamp: Option<usize>) -> LogitsRules {
        LogitsRules::new(&RuleOptions {
            eot: 10,
            timestamp_begin: 13,
            vocab_size: 21,
            suppress: &[4, 12, 7],
            begin_suppress: &[0, 10],
            max_initial_timestamp,
        })
    }

    #[test]
    fn first_token_is_an_early_timestamp() {
        let rules = rules(Some(2));
        let allowed = rules.allowed(&[]);
        assert_eq!(allowed.timestamps, 13..16);
        assert!(allowed.text.is_empty() && allowed.eot.is_empty());
    }

    #[test]
    fn first_timestamp_limit_beyond_the_vocabulary_is_cut() {
        assert_eq!(rules(Some(500)).allowed(&[]).timestamps, 13..21);
    }

    #[test]
    fn text_follows_the_opening_timestamp_and_each_pair() {
        let rules = rules(Some(2));
        for tokens in [&[13][..], &[13, 5, 15, 15]] {
            let allowed = rules.allowed(tokens);
            assert_eq!(allowed.text, [0..4, 5..7, 8..10], "{tokens:?}");
            assert_eq!(allowed.eot, 10..11);
            assert!(allowed.timestamps.is_empty() && !allowed.prefer_timestamps);
        }
    }

    #[test]
    fn half_a_pair_is_completed_or_ends() {
        let rules = rules(Some(2));
        let allowed = rules.allowed(&[13, 5, 16]);
        assert_eq!(allowed.timestamps, 16..21);
        assert!(allowed.text.is_empty() && allowed.prefer_timestamps);
        assert_eq!(allowed.eot, 10..11);
    }

    #[test]
    fn timestamps_after_text_are_later_than_the_last() {
        let rules = rules(Some(2));
        let allowed = rules.allowed(&[13, 5, 16, 16, 3, 2]);
        assert_eq!(allowed.timestamps, 17..21);
        assert!(allowed.prefer_timestamps);
        assert_eq!(
            rules.allowed(&[13, 5, 20, 20, 3]).timestamps,
            21..21,
            "nothing is later than the last id"
        );
    }

    #[test]
    fn without_timestamps_only_the_first_token_is_special() {
        let rules = rules(None);
        let first = rules.allowed(&[]);
        assert_eq!(first.text, [1..4, 5..7, 8..10]);
        assert!(first.eot.is_empty() && first.timestamps.is_empty());
        let second = rules.allowed(&[3]);
        assert_eq!(second.text, [0..4, 5..7, 8..10]);
        assert_eq!(second.eot, 10..11);
        assert!(second.timestamps.is_empty());
    }

    #[test]
    fn spans_at_the_edges() {
        assert!(spans_without(3, &[0, 1, 2]).is_empty());
        assert_eq!(spans_without(5, &[0, 2, 2, 9]), [1..2, 3..5]);
        assert!(spans_without(0, &[]).is_empty());
    }
}
