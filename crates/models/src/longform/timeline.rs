//! Concatenated speech segments of a recording, and the mapping back to the recording's times.

use std::ops::Range;

use super::{SAMPLE_RATE_HZ, hundredths};

/// Segments of a recording, in samples, in order and disjoint.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Timeline {
    segments: Vec<Range<usize>>,
    /// End of each segment in the concatenation.
    ends: Vec<usize>,
}

impl Timeline {
    /// Clips `segments` to a recording of `length` samples and keeps them in order.
    pub(crate) fn new(segments: impl IntoIterator<Item = Range<usize>>, length: usize) -> Self {
        let mut kept: Vec<Range<usize>> = Vec::new();
        for segment in segments {
            let start = segment.start.max(kept.last().map_or(0, |last| last.end));
            let end = segment.end.min(length);
            if start < end {
                kept.push(start..end);
            }
        }
        let ends = kept
            .iter()
            .scan(0, |total, segment| {
                *total += segment.len();
                Some(*total)
            })
            .collect();
        Self { segments: kept, ends }
    }

    /// Concatenates the segments' samples.
    pub(crate) fn concatenate(&self, samples: &[f32]) -> Vec<f32> {
        self.segments.iter().flat_map(|segment| &samples[segment.clone()]).copied().collect()
    }

    /// Maps a start time to the recording.
    pub(crate) fn start_s(&self, cut_s: f64) -> f64 {
        self.recording_s(cut_s, self.index(cut_s))
    }

    /// Maps an end time to the recording: at a boundary to the end of the segment before it, not the start of the
    /// one after it.
    pub(crate) fn end_s(&self, cut_s: f64) -> f64 {
        let boundary = self.ends.binary_search(&sample(cut_s));
        self.recording_s(cut_s, boundary.unwrap_or_else(|_| self.index(cut_s)))
    }

    /// Maps the times of a word, which is not split at a boundary.
    pub(crate) fn span_s(&self, start_s: f64, end_s: f64) -> (f64, f64) {
        let index = self.index((start_s + end_s) / 2.0);
        (self.recording_s(start_s, index), self.recording_s(end_s, index))
    }

    /// The segment that contains a time; the last one for later times.
    fn index(&self, cut_s: f64) -> usize {
        let index = self.ends.partition_point(|&end| end <= sample(cut_s));
        index.min(self.ends.len().saturating_sub(1))
    }

    fn recording_s(&self, cut_s: f64, index: usize) -> f64 {
        let (Some(segment), Some(&end)) = (self.segments.get(index), self.ends.get(index)) else {
            return cut_s;
        };
        // The silence removed before this segment.
        let silence = segment.end - end;
        hundredths(cut_s + silence as f64 / SAMPLE_RATE_HZ)
    }
}

fn sample(seconds: f64) -> usize {
    // Times are multiples of 10 ms: rounding keeps them exact where truncation would not.
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
    fn speech_is_concatenated() {
        let samples: Vec<f32> = (0..160_000).map(|i| i as f32).collect();
        let cut = timeline().concatenate(&samples);
        assert_eq!((cut.len(), cut[0], cut[15_999], cut[16_000]), (48_000, 16_000.0, 31_999.0, 64_000.0));
    }

    #[test]
    fn times_go_back_to_the_recording() {
        let timeline = timeline();
        assert_eq!(timeline.start_s(0.0), 1.0);
        assert_eq!(timeline.start_s(0.5), 1.5);
        assert_eq!(timeline.start_s(1.0), 4.0, "a start at the boundary maps to the segment after it");
        assert_eq!(timeline.end_s(1.0), 2.0, "an end at the boundary maps to the segment before it");
        assert_eq!(timeline.end_s(2.5), 5.5);
        assert_eq!(timeline.end_s(3.0), 6.0);
        assert_eq!(timeline.start_s(3.5), 6.5, "after everything");
    }

    #[test]
    fn words_are_not_split_at_a_boundary() {
        assert_eq!(timeline().span_s(0.7, 1.1), (1.7, 2.1));
        assert_eq!(timeline().span_s(0.9, 1.3), (3.9, 4.3));
    }

    #[test]
    fn segments_are_clipped_to_the_recording() {
        let timeline = Timeline::new([0..10, 5..20, 30..30, 40..99], 50);
        assert_eq!(timeline.segments, [0..10, 10..20, 40..50]);
        assert_eq!(timeline.ends, [10, 20, 30]);
        let empty = Timeline::new([], 50);
        assert_eq!((empty.start_s(1.0), empty.concatenate(&[0.0; 50])), (1.0, vec![]));
    }
}
