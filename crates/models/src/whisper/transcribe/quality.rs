//! Detects text that was hallucinated without speech: over noise, music and silence, and after the last word.
//!
//! The model's own measures (no-speech probability, log probabilities, the temperature that was needed) do not suffice: on
//! silence it writes a confident "Thank you." They only select doubtful text, for which the voice activity detector then
//! decides. Confident text is kept without running the detector, so there its misses cost no text and it takes no time.

use std::ops::Range;

use mynah_text::whisper_tokenizer::WhisperTokenizer;

use super::fallback::{DecodingResult, MAX_CHARACTERS_PER_S};
use super::segments::Draft;

/// A window is doubtful above this no-speech probability; that of speech is mostly below 0.05.
const NO_SPEECH_PROB: f32 = 0.1;
/// Text is doubtful below this mean log probability.
const AVG_LOGPROB: f32 = -0.5;
/// How far timestamps may be off, seconds.
const TOLERANCE_S: f64 = 0.5;

/// Whether a window's whole text may be hallucinated.
pub(super) fn is_doubtful(result: &DecodingResult) -> bool {
    result.no_speech_prob > NO_SPEECH_PROB || result.avg_logprob < AVG_LOGPROB || result.temperature > 0.0
}

/// Whether a segment's text may be hallucinated. Text tokens are those below `eot`.
pub(super) fn is_doubtful_segment(draft: &Draft, eot: u32) -> bool {
    let text = draft.tokens.iter().zip(&draft.logprobs).filter(|&(&token, _)| token < eot);
    let (count, sum) = text.fold((0, 0.0), |(count, sum), (_, logprob)| (count + 1, sum + logprob));
    count > 0 && sum / (count as f32) < AVG_LOGPROB
}

/// Whether there is speech at the time of a segment.
pub(super) fn has_speech(draft: &Draft, speech_s: &[Range<f64>]) -> bool {
    speech_s
        .iter()
        .any(|speech| speech.start < draft.end_s + TOLERANCE_S && speech.end > draft.start_s - TOLERANCE_S)
}

/// Whether a segment repeats the one `before` word for word in less time than it takes to say. Models tend to do so when a
/// recording ends soon after a sentence. `audio_end_s` is the end of the audio.
pub(super) fn is_echo(before: &Draft, draft: &Draft, audio_end_s: f64, tokenizer: &WhisperTokenizer) -> bool {
    let text = |draft: &Draft| tokenizer.decode(&draft.tokens);
    let seconds = draft.end_s.min(audio_end_s) - draft.start_s;
    let echo = text(draft);
    echo.chars().count() as f64 > MAX_CHARACTERS_PER_S * seconds && echo == text(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(start_s: f64, end_s: f64, logprobs: &[f32]) -> Draft {
        let tokens = (0..logprobs.len() as u32).map(|i| if i == 0 { 50364 } else { i }).collect();
        Draft { start_s, end_s, tokens, logprobs: logprobs.to_vec(), words: Vec::new() }
    }

    #[test]
    fn segments_are_doubtful_by_their_text() {
        assert!(!is_doubtful_segment(&draft(0.0, 1.0, &[-9.0, -0.4, -0.5]), 50257));
        assert!(is_doubtful_segment(&draft(0.0, 1.0, &[0.0, -0.4, -0.8]), 50257));
        assert!(!is_doubtful_segment(&draft(0.0, 1.0, &[-9.0]), 50257), "no text");
    }

    #[test]
    fn speech_near_a_segment_counts() {
        let speech_s = [1.0..2.0, 10.0..11.0];
        assert!(has_speech(&draft(1.5, 1.6, &[]), &speech_s));
        assert!(has_speech(&draft(2.4, 5.0, &[]), &speech_s));
        assert!(!has_speech(&draft(2.6, 9.4, &[]), &speech_s));
        assert!(!has_speech(&draft(0.0, 9.0, &[]), &[]));
    }
}
