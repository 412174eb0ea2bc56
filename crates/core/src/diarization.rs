//! Speaker diarization.

use std::sync::Arc;

use crate::Segment;

/// An interval of a recording in which one person speaks.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeakerTurn {
    /// Label of the person, the same for all of their turns.
    pub speaker: String,
    /// Start, seconds.
    pub start_s: f64,
    /// End, seconds.
    pub end_s: f64,
}

/// Assigns each segment the speaker whose turns overlap it longest, or none if no turn does.
pub fn assign_speakers(segments: &mut [Arc<Segment>], turns: &[SpeakerTurn]) {
    for segment in segments {
        let (start_s, end_s) = (segment.start_s, segment.end_s);
        let mut overlaps: Vec<(&str, f64)> = Vec::new();
        for turn in turns {
            let overlap_s = turn.end_s.min(end_s) - turn.start_s.max(start_s);
            if overlap_s <= 0.0 {
                continue;
            }
            match overlaps.iter_mut().find(|(speaker, _)| *speaker == turn.speaker) {
                Some((_, sum_s)) => *sum_s += overlap_s,
                None => overlaps.push((&turn.speaker, overlap_s)),
            }
        }
        // Among equals the first, as turns are in order of time.
        let longest = overlaps.into_iter().reduce(|best, next| if next.1 > best.1 { next } else { best });
        Arc::make_mut(segment).speaker = longest.map(|(speaker, _)| speaker.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_has_the_speaker_of_the_longest_overlap() {
        let segment = |start_s, end_s| Arc::new(Segment { start_s, end_s, ..Segment::default() });
        let turn = |speaker: &str, start_s, end_s| SpeakerTurn { speaker: speaker.into(), start_s, end_s };
        let mut segments = [segment(0.0, 4.0), segment(4.0, 5.0), segment(9.0, 10.0)];
        let turns = [turn("A", 0.0, 1.2), turn("B", 1.2, 2.6), turn("A", 2.6, 3.0), turn("B", 4.5, 6.0)];
        assign_speakers(&mut segments, &turns);
        let speakers: Vec<_> = segments.iter().map(|segment| segment.speaker.as_deref()).collect();
        assert_eq!(speakers, [Some("A"), Some("B"), None]);
    }
}
