//! Drops text that was hallucinated over silence, recognised by its words: improbable, or too short or too long to be spoken
//! (`hallucination_silence_threshold` of openai-whisper).

use mynah_core::Word;

use super::segments::Draft;

/// Punctuation that is not a word of its own.
const PUNCTUATION: &str = "\"'“¿([{-\"'.。,，!！?？:：”)]}、";

/// Times of a window and its surroundings, seconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings {
    pub(super) window_start_s: f64,
    /// End of the window's audio.
    pub(super) window_end_s: f64,
    /// End of a full window that starts here, even if the audio ends earlier.
    pub(super) full_window_end_s: f64,
    /// End of the recording.
    pub(super) content_end_s: f64,
    /// End of the last word before the window.
    pub(super) last_speech_s: f64,
}

/// Drops drafts that look hallucinated and have more than `threshold_s` of silence around them. Returns the time at which
/// decoding resumes if that changes.
pub(super) fn drop_hallucinations(
    drafts: &mut Vec<Draft>,
    around: &Surroundings,
    threshold_s: f64,
) -> Option<f64> {
    // Silence before an anomalous first segment is skipped, and the window decoded again from there.
    let first = drafts.iter().find(|draft| !draft.words.is_empty())?;
    if is_anomalous(first) && first.start_s - around.window_start_s > threshold_s {
        let resume_s = first.start_s;
        drafts.clear();
        return Some(resume_s);
    }

    let mut last_end_s = around.last_speech_s;
    for i in 0..drafts.len() {
        let draft = &drafts[i];
        if draft.words.is_empty() {
            continue;
        }
        if is_anomalous(draft) {
            let next = drafts[i + 1..].iter().find(|draft| !draft.words.is_empty());
            let next_start_s = next.map_or(around.window_end_s, |next| next.words[0].start_s);
            let silence_before = draft.start_s - last_end_s > threshold_s
                || draft.start_s < threshold_s
                || draft.start_s - around.window_start_s < 2.0;
            let silence_after = next_start_s - draft.end_s > threshold_s
                || next.is_some_and(is_anomalous)
                || around.full_window_end_s - draft.end_s < 2.0;
            if silence_before && silence_after {
                let resume_s = if around.content_end_s - draft.end_s < threshold_s {
                    around.content_end_s
                } else {
                    draft.start_s.max(around.window_start_s + 1.0)
                };
                drafts.truncate(i);
                return Some(resume_s);
            }
        }
        last_end_s = draft.end_s;
    }
    None
}

fn is_anomalous(draft: &Draft) -> bool {
    let words: Vec<&Word> = draft.words.iter().filter(|w| !PUNCTUATION.contains(&w.text)).take(8).collect();
    let score: f64 = words.iter().copied().map(anomaly).sum();
    !draft.words.is_empty() && (score >= 3.0 || score + 0.01 >= words.len() as f64)
}

fn anomaly(word: &Word) -> f64 {
    let length_s = word.end_s - word.start_s;
    let improbable = if word.probability < 0.15 { 1.0 } else { 0.0 };
    let short = (0.133 - length_s).max(0.0) * 15.0;
    let long = (length_s - 2.0).max(0.0);
    improbable + short + long
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(start_s: f64, end_s: f64, probability: f32) -> Draft {
        let middle_s = (start_s + end_s) / 2.0;
        let word = |start_s, end_s| Word { text: " word".into(), start_s, end_s, probability };
        let words = vec![word(start_s, middle_s), word(middle_s, end_s)];
        Draft { start_s, end_s, words, ..Draft::default() }
    }

    const AROUND: Surroundings = Surroundings {
        window_start_s: 30.0,
        window_end_s: 60.0,
        full_window_end_s: 60.0,
        content_end_s: 100.0,
        last_speech_s: 29.0,
    };

    #[test]
    fn words_are_anomalous_by_probability_or_length() {
        assert!(!is_anomalous(&draft(0.0, 1.0, 0.9)));
        assert!(is_anomalous(&draft(0.0, 1.0, 0.1)));
        assert!(is_anomalous(&draft(0.0, 0.1, 0.9)), "too short to be spoken");
        assert!(is_anomalous(&draft(0.0, 9.0, 0.9)), "too long for a word");
        assert!(!is_anomalous(&Draft::default()));
    }

    #[test]
    fn good_speech_stays() {
        let mut drafts = vec![draft(31.0, 32.0, 0.9), draft(40.0, 41.0, 0.8)];
        assert_eq!(drop_hallucinations(&mut drafts, &AROUND, 2.0), None);
        assert_eq!(drafts.len(), 2);
    }

    #[test]
    fn silence_before_a_doubtful_start_is_skipped() {
        let mut drafts = vec![draft(35.0, 36.0, 0.1), draft(40.0, 41.0, 0.8)];
        assert_eq!(drop_hallucinations(&mut drafts, &AROUND, 2.0), Some(35.0));
        assert!(drafts.is_empty());
    }

    #[test]
    fn a_doubtful_segment_between_silences_is_dropped_with_all_after_it() {
        let mut drafts = vec![draft(30.5, 32.0, 0.9), draft(40.0, 41.0, 0.1), draft(50.0, 51.0, 0.9)];
        assert_eq!(drop_hallucinations(&mut drafts, &AROUND, 2.0), Some(40.0));
        assert_eq!(drafts.len(), 1);
        let mut near = vec![draft(30.5, 32.0, 0.9), draft(32.5, 33.0, 0.1), draft(33.5, 34.0, 0.9)];
        assert_eq!(drop_hallucinations(&mut near, &AROUND, 2.0), None, "speech on both sides");
    }

    #[test]
    fn the_end_of_the_recording_is_not_decoded_again() {
        let around = Surroundings { window_end_s: 42.0, content_end_s: 42.0, ..AROUND };
        let mut drafts = vec![draft(30.5, 32.0, 0.9), draft(40.0, 41.0, 0.1)];
        assert_eq!(
            drop_hallucinations(&mut drafts, &around, 2.0),
            None,
            "speech may follow within the threshold"
        );
        let mut drafts = vec![draft(30.5, 32.0, 0.9), draft(40.0, 41.0, 0.1)];
        assert_eq!(drop_hallucinations(&mut drafts, &around, 0.9), Some(40.0));
    }
}
