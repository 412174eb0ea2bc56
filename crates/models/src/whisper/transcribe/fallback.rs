//! Decodes one window with temperature fallback: at temperature 0 first, at higher ones while the text is repetitive or
//! improbable.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use mynah_core::{CancelFlag, ModelError, TranscribeOptions, WhisperOptions};
use mynah_text::whisper_tokenizer::WhisperTokenizer;

use super::prompt::Prompt;
use super::segments::FRAMES_PER_TIMESTAMP;
use crate::whisper::DecoderState;
use crate::whisper::search::{BeamOptions, Hypothesis, LogitsRules, SamplingOptions, Search, probability};

/// A window's text with its quality measures.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct DecodingResult {
    pub(super) hypothesis: Hypothesis,
    pub(super) text: String,
    pub(super) avg_logprob: f32,
    pub(super) compression_ratio: f32,
    pub(super) no_speech_prob: f32,
    pub(super) temperature: f32,
}

/// Decodes a window until a result passes the thresholds.
pub(super) struct FallbackDecoder<'a> {
    pub(super) tokenizer: &'a WhisperTokenizer,
    pub(super) rules: &'a LogitsRules,
    pub(super) options: &'a TranscribeOptions,
    pub(super) cancel: &'a CancelFlag,
    /// Frames of audio in the window.
    pub(super) window_frames: usize,
    /// Whether the window has speech; evaluated only after a result was rejected.
    pub(super) has_speech: &'a dyn Fn() -> bool,
}

/// Fast speech has 25 characters per second in alphabetic scripts and fewer in others.
pub(super) const MAX_CHARACTERS_PER_S: f64 = 35.0;

impl FallbackDecoder<'_> {
    /// Decodes a trimmed window at the first temperature. Returns `None` if a wider window should be decoded, as the mean log
    /// probability is below `min_avg_logprob` or the text is implausible.
    pub(super) fn decode_trimmed(
        &self,
        decoder: &mut dyn DecoderState,
        prompt: &Prompt,
        min_avg_logprob: f32,
        seed: u64,
    ) -> Result<Option<DecodingResult>, ModelError> {
        let temperature = self.options.whisper.temperatures.first().copied().unwrap_or_default();
        let result = self.decode_at(decoder, prompt, temperature, seed)?;
        let limit = self.options.whisper.logprob_threshold.unwrap_or(min_avg_logprob).max(min_avg_logprob);
        let accepted = result.avg_logprob >= limit
            && !self.is_repetitive(&result)
            && !self.exceeds_speech_rate(&result)
            && !self.writes_past_audio(&result.hypothesis.tokens);
        Ok((accepted || !(self.has_speech)()).then_some(result))
    }

    /// Whether a segment of text starts after the end of the audio.
    fn writes_past_audio(&self, tokens: &[u32]) -> bool {
        let end = self.tokenizer.timestamp_begin() + (self.window_frames / FRAMES_PER_TIMESTAMP) as u32;
        tokens.windows(2).any(|pair| pair[0] >= end && pair[1] < self.tokenizer.eot())
    }

    fn is_repetitive(&self, result: &DecodingResult) -> bool {
        self.options.whisper.compression_ratio_threshold.is_some_and(|limit| result.compression_ratio > limit)
    }

    /// Whether the text is longer than anyone could say in the window.
    pub(super) fn exceeds_speech_rate(&self, result: &DecodingResult) -> bool {
        let seconds = (self.window_frames as f64 / 100.0).max(1.0);
        result.text.chars().count() as f64 > MAX_CHARACTERS_PER_S * seconds
    }

    /// The first result that passes the thresholds. If none does, the most probable one is returned with the last temperature;
    /// repetitive results and those that exceed the speech rate are used only if there is no other. A window without speech is
    /// decoded once. With a prompt, exceeding the speech rate does not raise the temperature: the caller drops the prompt first.
    /// `seed` should differ between windows.
    pub(super) fn decode_with_fallback(
        &self,
        decoder: &mut dyn DecoderState,
        prompt: &Prompt,
        seed: u64,
    ) -> Result<DecodingResult, ModelError> {
        let mut rejected: Vec<(bool, DecodingResult)> = Vec::new();
        for (&temperature, number) in self.options.whisper.temperatures.iter().zip(0..) {
            let result = self.decode_at(decoder, prompt, temperature, seed.wrapping_add(number))?;
            let suspect = self.is_repetitive(&result)
                || (prompt.start_of_transcript == 0 && self.exceeds_speech_rate(&result));
            // NaN is rejected, too.
            let improbable = self
                .options
                .whisper
                .logprob_threshold
                .is_some_and(|limit| result.avg_logprob.is_nan() || result.avg_logprob < limit);
            let silent =
                self.options.whisper.no_speech_threshold.is_some_and(|limit| result.no_speech_prob > limit);
            let passed = !suspect && !improbable;
            if passed || (improbable && silent) || (rejected.is_empty() && !(self.has_speech)()) {
                return Ok(result);
            }
            rejected.push((suspect, result));
        }
        let any_plausible = rejected.iter().any(|(suspect, _)| !suspect);
        let last_temperature = rejected.last().map(|(_, result)| result.temperature);
        let rank = |result: &DecodingResult| {
            if result.avg_logprob.is_nan() { f32::NEG_INFINITY } else { result.avg_logprob }
        };
        rejected
            .into_iter()
            .filter(|(suspect, _)| !(any_plausible && *suspect))
            .map(|(_, result)| result)
            .reduce(|best, next| if rank(&next) > rank(&best) { next } else { best })
            .map(|best| DecodingResult { temperature: last_temperature.unwrap_or(best.temperature), ..best })
            .ok_or_else(|| ModelError::InvalidInput("at least one temperature is required".to_owned()))
    }

    fn decode_at(
        &self,
        decoder: &mut dyn DecoderState,
        prompt: &Prompt,
        temperature: f32,
        seed: u64,
    ) -> Result<DecodingResult, ModelError> {
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
        // Once the text is repetitive it stays so.
        let should_abandon = |tokens: &[u32]| {
            let limit = self.options.whisper.compression_ratio_threshold;
            limit.is_some_and(|limit| compression_ratio(self.tokenizer.decode(tokens).trim()) > limit)
        };
        let hypothesis = search.run(decoder, at_end, self.cancel, &should_abandon)?;
        let text = self.tokenizer.decode(&hypothesis.tokens);
        Ok(DecodingResult {
            avg_logprob: hypothesis.avg_logprob(),
            compression_ratio: compression_ratio(text.trim()),
            hypothesis,
            text,
            no_speech_prob,
            temperature,
        })
    }
}

/// Bytes of a text divided by its bytes after zlib: high if it is repetitive.
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
