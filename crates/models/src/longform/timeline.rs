//! Speech cut out of a recording and laid end to end, and the way back to the recording's own times.

use std::ops::Range;

use super::{SAMPLE_RATE_HZ, hundredths};

/// Stretches of a recording, in samples, in order and disjoint.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Timeline {
    stretches: Vec<Range<usize>>,
    /// Where each stretch ends once they are laid end to end.
    ends: Vec<usize>,
}

impl Timeline {
    /// Keeps what of `stretches` lies within a recording of `length` samples, in order.
    pub(crate) fn new(stretches: impl IntoIterator<Item = Range<usize>>, length: usize) -> Self {
        let mut kept: Vec<Range<usize>> = Vec::new();
        for stretch in stretches {
            let start = stretch.start.max(kept.last().map_or(0, |last| last.end));
            let end = stretch.end.min(length);
            if start < end {
                kept.push(start..end);
            }
        }
        let ends = kept
            .iter()
            .scan(0, |total, stretch| {
                *total += stretch.len();
                Some(*total)
            })
            .collect();
        Self { stretches: kept, ends }
    }

    /// The stretches end to end.
    pub(crate) fn cut(&self, samples: &[f32]) -> Vec<f32> {
        self.stretches.iter().flat_map(|stretch| &samples[stretch.clone()]).copied().collect()
    }

    /// Time in the recording of the start of something.
    pub(crate) fn start_s(&self, cut_s: f64) -> f64 {
        self.recording_s(cut_s, self.index(cut_s))
    }

    /// Time in the recording of the end of something: at a seam the end of the stretch before it, not the start of the
    /// one behind.
    pub(crate) fn end_s(&self, cut_s: f64) -> f64 {
        let seam = self.ends.binary_search(&sample(cut_s));
        self.recording_s(cut_s, seam.unwrap_or_else(|_| self.index(cut_s)))
    }

    /// Times in the recording of something short that is not to be torn apart at a seam.
    pub(crate) fn span_s(&self, start_s: f64, end_s: f64) -> (f64, f64) {
        let index = self.index((start_s + end_s) / 2.0);
        (self.recording_s(start_s, index), self.recording_s(end_s, index))
    }

    /// The stretch that a time lies in; the last one for times behind it.
    fn index(&self, cut_s: f64) -> usize {
        let index = self.ends.partition_point(|&end| end <= sample(cut_s));
        index.min(self.ends.len().saturating_sub(1))
    }

    fn recording_s(&self, cut_s: f64, index: usize) -> f64 {
        let (Some(stretch), Some(&end)) = (self.stretches.get(index), self.ends.get(index)) else {
            return cut_s;
        };
        // What was left out before this stretch.
        let silence = stretch.end - end;
        hundredths(cut_s + silence as f64 / SAMPLE_RATE_HZ)
    }
}

fn sample(seconds: f64) -> usize {
    // Times are multiples of 10 ms: rounding keeps those exact that truncation would push below.
    (seconds * SAMPLE_RATE_HZ).round() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds 1 to 2 and 4 to 6 of 10.
    fn timeline() -> Timeline {
        Timeline::new([16_000..32_000, 64_000..96_000], 160_000)
    }

    #[test]
    fn speech_is_laid_end_to_end() {
        let samples: Vec<f32> = (0..160_000).map(|i| i as f32).collect();
        let cut = timeline().cut(&samples);
        assert_eq!((cut.len(), cut[0], cut[15_999], cut[16_000]), (48_000, 16_000.0, 31_999.0, 64_000.0));
    }

    #[test]
    fn times_go_back_to_the_recording() {
        let timeline = timeline();
        assert_eq!(timeline.start_s(0.0), 1.0);
        assert_eq!(timeline.start_s(0.5), 1.5);
        assert_eq!(timeline.start_s(1.0), 4.0, "a start at the seam belongs behind it");
        assert_eq!(timeline.end_s(1.0), 2.0, "an end at the seam belongs before it");
        assert_eq!(timeline.end_s(2.5), 5.5);
        assert_eq!(timeline.end_s(3.0), 6.0);
        assert_eq!(timeline.start_s(3.5), 6.5, "behind everything");
    }

    #[test]
    fn words_stay_whole_at_a_seam() {
        assert_eq!(timeline().span_s(0.7, 1.1), (1.7, 2.1));
        assert_eq!(timeline().span_s(0.9, 1.3), (3.9, 4.3));
    }

    #[test]
    fn stretches_are_kept_within_the_recording() {
        let timeline = Timeline::new([0..10, 5..20, 30..30, 40..99], 50);
        assert_eq!(timeline.stretches, [0..10, 10..20, 40..50]);
        assert_eq!(timeline.ends, [10, 20, 30]);
        let empty = Timeline::new([], 50);
        assert_eq!((empty.start_s(1.0), empty.cut(&[0.0; 50])), (1.0, vec![]));
    }
}
