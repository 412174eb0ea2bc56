//! Decoding one window: at temperature 0 first, warmer while the text is repetitive or improbable.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use mynah_core::{CancelFlag, ModelError, TranscribeOptions, WhisperOptions};
use mynah_text::whisper_tokenizer::WhisperTokenizer;

use super::prompt::Prompt;
use super::segments::FRAMES_PER_TIMESTAMP;
use crate::whisper::WindowDecoder;
use crate::whisper::search::{BeamOptions, Hypothesis, Rules, SamplingOptions, Search, probability};

/// A window's text and how good it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Attempt {
    pub(super) hypothesis: Hypothesis,
    pub(super) text: String,
    pub(super) avg_logprob: f32,
    pub(super) compression_ratio: f32,
    pub(super) no_speech_prob: f32,
    pub(super) temperature: f32,
}

/// What all attempts have in common.
pub(super) struct Attempts<'a> {
    pub(super) tokenizer: &'a WhisperTokenizer,
    pub(super) rules: &'a Rules,
    pub(super) options: &'a TranscribeOptions,
    pub(super) cancel: &'a CancelFlag,
    /// Frames of audio in the window.
    pub(super) window_frames: usize,
    /// Whether somebody speaks in the window; asked only after an attempt that failed.
    pub(super) is_spoken: &'a dyn Fn() -> bool,
}

/// Fast speech has 25 characters a second in alphabets, less in other scripts.
pub(super) const MAX_CHARACTERS_PER_S: f64 = 35.0;

impl Attempts<'_> {
    /// The attempt at the first temperature on a trimmed window; `None` if a wider window should be heard, as its mean log
    /// probability is below `believed_from` or its text not what somebody says.
    pub(super) fn on_trimmed(
        &self,
        decoder: &mut dyn WindowDecoder,
        prompt: &Prompt,
        believed_from: f32,
        seed: u64,
    ) -> Result<Option<Attempt>, ModelError> {
        let temperature = self.options.whisper.temperatures.first().copied().unwrap_or_default();
        let attempt = self.at(decoder, prompt, temperature, seed)?;
        let limit = self.options.whisper.logprob_threshold.unwrap_or(believed_from).max(believed_from);
        let believed = attempt.avg_logprob >= limit
            && !self.is_repetitive(&attempt)
            && !self.is_hurried(&attempt)
            && !self.writes_behind_audio(&attempt.hypothesis.tokens);
        Ok((believed || !(self.is_spoken)()).then_some(attempt))
    }

    /// Whether a segment of text begins where there is no audio any more.
    fn writes_behind_audio(&self, tokens: &[u32]) -> bool {
        let end = self.tokenizer.timestamp_begin() + (self.window_frames / FRAMES_PER_TIMESTAMP) as u32;
        tokens.windows(2).any(|pair| pair[0] >= end && pair[1] < self.tokenizer.eot())
    }

    fn is_repetitive(&self, attempt: &Attempt) -> bool {
        self.options
            .whisper
            .compression_ratio_threshold
            .is_some_and(|limit| attempt.compression_ratio > limit)
    }

    /// Whether nobody could say so much in so short a time.
    pub(super) fn is_hurried(&self, attempt: &Attempt) -> bool {
        let seconds = (self.window_frames as f64 / 100.0).max(1.0);
        attempt.text.chars().count() as f64 > MAX_CHARACTERS_PER_S * seconds
    }

    /// The first attempt that passes the thresholds; if none does, the most probable one, of those that are neither
    /// repetitive nor hurried if there are any, under the last temperature. Where nobody speaks there is no second
    /// attempt, and none at hurried text that came of a prompt, which the caller leaves out first. `seed` should differ
    /// between windows.
    pub(super) fn best(
        &self,
        decoder: &mut dyn WindowDecoder,
        prompt: &Prompt,
        seed: u64,
    ) -> Result<Attempt, ModelError> {
        let mut failed: Vec<(bool, Attempt)> = Vec::new();
        for (&temperature, number) in self.options.whisper.temperatures.iter().zip(0..) {
            let attempt = self.at(decoder, prompt, temperature, seed.wrapping_add(number))?;
            let made_up = self.is_repetitive(&attempt)
                || (prompt.start_of_transcript == 0 && self.is_hurried(&attempt));
            // A mean that is no number fails, too.
            let improbable = self
                .options
                .whisper
                .logprob_threshold
                .is_some_and(|limit| attempt.avg_logprob.is_nan() || attempt.avg_logprob < limit);
            let silent =
                self.options.whisper.no_speech_threshold.is_some_and(|limit| attempt.no_speech_prob > limit);
            let passed = !made_up && !improbable;
            if passed || (improbable && silent) || (failed.is_empty() && !(self.is_spoken)()) {
                return Ok(attempt);
            }
            failed.push((made_up, attempt));
        }
        let any_real = failed.iter().any(|(made_up, _)| !made_up);
        let last_temperature = failed.last().map(|(_, attempt)| attempt.temperature);
        let rank = |attempt: &Attempt| {
            if attempt.avg_logprob.is_nan() { f32::NEG_INFINITY } else { attempt.avg_logprob }
        };
        failed
            .into_iter()
            .filter(|(made_up, _)| !(any_real && *made_up))
            .map(|(_, attempt)| attempt)
            .reduce(|best, next| if rank(&next) > rank(&best) { next } else { best })
            .map(|best| Attempt { temperature: last_temperature.unwrap_or(best.temperature), ..best })
            .ok_or_else(|| ModelError::InvalidInput("give at least one temperature to decode at".to_owned()))
    }

    fn at(
        &self,
        decoder: &mut dyn WindowDecoder,
        prompt: &Prompt,
        temperature: f32,
        seed: u64,
    ) -> Result<Attempt, ModelError> {
        self.cancel.check()?;
        let Prompt { tokens, start_of_transcript } = prompt;
        let vocab_size = decoder.vocab_size();
        let logits = decoder.prefill(tokens, &[*start_of_transcript, tokens.len() - 1])?;
        let (at_start, at_end) = logits.split_at(vocab_size);
        let no_speech_prob = probability(at_start, self.tokenizer.no_speech());

        let positions = decoder.max_positions();
        let max_tokens = (positions / 2).min(positions.saturating_sub(tokens.len() - 1)).max(1);
        let WhisperOptions { beam_size, patience, length_penalty, best_of, .. } = self.options.whisper;
        let search = if temperature > 0.0 {
            let options = SamplingOptions { best_of, temperature, length_penalty, max_tokens, seed };
            Search::sampling(self.rules, options)
        } else {
            Search::beam(self.rules, BeamOptions { beam_size, patience, length_penalty, max_tokens })
        };
        // Once all of it repeats itself more text will not make it better.
        let lead_nowhere = |tokens: &[u32]| {
            let limit = self.options.whisper.compression_ratio_threshold;
            limit.is_some_and(|limit| compression_ratio(self.tokenizer.decode(tokens).trim()) > limit)
        };
        let hypothesis = search.run(decoder, at_end, self.cancel, &lead_nowhere)?;
        let text = self.tokenizer.decode(&hypothesis.tokens);
        Ok(Attempt {
            avg_logprob: hypothesis.avg_logprob(),
            compression_ratio: compression_ratio(text.trim()),
            hypothesis,
            text,
            no_speech_prob,
            temperature,
        })
    }
}

/// Bytes of a text over bytes after zlib: high where it repeats itself.
fn compression_ratio(text: &str) -> f32 {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let packed = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish()).unwrap_or_default();
    text.len() as f32 / packed.len().max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetition_compresses() {
        assert_eq!(compression_ratio(""), 0.0);
        let speech = "The stale smell of old beer lingers. It takes heat to bring out the odor.";
        assert!((0.9..1.3).contains(&compression_ratio(speech)));
        assert!(compression_ratio(&" Thank you.".repeat(20)) > 2.4);
    }
}
