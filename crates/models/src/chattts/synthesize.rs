//! Implements [`Synthesizer`]: maps the common options to ChatTTS's.

use mynah_core::{
    AudioSink, JobContext, ModelError, SpeechCapabilities, SpeechOptions, Synthesizer, TokenCounts,
};

use super::{ChatTts, SAMPLE_RATE, Seed, SpeakOptions, Style};
use crate::joiner::{Joiner, Pause};

/// Speed token of speed 1; other speeds are proportional.
const NORMAL_SPEED: f32 = 5.0;
const MAX_SPEED: f32 = 9.0;

/// Capabilities of the model.
pub(super) const CAPABILITIES: SpeechCapabilities = SpeechCapabilities {
    languages: &[],
    instructions: true,
    reference_audio: true,
    refine_text: true,
    raw_text: true,
    first_result_chars: 200,
};

impl Synthesizer for ChatTts {
    fn capabilities(&self) -> SpeechCapabilities {
        CAPABILITIES
    }

    fn sample_rate_hz(&self) -> u32 {
        SAMPLE_RATE
    }

    fn weight_bytes(&self) -> u64 {
        self.bytes() as u64
    }

    /// Samples are streamed while codes are generated. Counts text tokens as input and audio steps as output.
    ///
    /// The voice is any name, whose hash is a seed, or one of the other forms that [`ChatTts::voice`] accepts. The speed becomes one
    /// of ten tokens: five times the speed, rounded down, at most 9. Reference audio replaces a named voice. Instructions may have
    /// the tags `[speed_N]`, `[oral_N]`, `[laugh_N]` and `[break_N]`; the last three let the model insert pauses and laughter into
    /// the text first. Seed 0 continues the random numbers that drew the voice.
    ///
    /// # Errors
    /// [`ModelError::InvalidOption`] for a speed outside its limits and instructions in words, [`ModelError::InvalidInput`] for a
    /// damaged voice or text without a word, [`ModelError::Cancelled`], and errors of `sink`.
    fn synthesize(
        &self,
        text: &str,
        options: &SpeechOptions,
        context: JobContext<'_>,
        sink: &mut dyn AudioSink,
    ) -> Result<TokenCounts, ModelError> {
        let options = self.speak_options(options)?;
        let mut speech = self.begin(text, options, context.cancel)?;
        let mut joiner = Joiner::new(SAMPLE_RATE);
        let mut ready = Vec::new();
        let mut piece = None;
        while let Some(samples) = speech.next_chunk(context)? {
            if piece != Some(speech.piece()) {
                piece = Some(speech.piece());
                joiner.begin(Pause::Sentence, &mut ready);
            }
            joiner.push(&samples, &mut ready);
            sink.samples(&ready)?;
            ready.clear();
        }
        joiner.end(&mut ready);
        sink.samples(&ready)?;
        Ok(speech.counts())
    }
}

impl ChatTts {
    fn speak_options(&self, options: &SpeechOptions) -> Result<SpeakOptions, ModelError> {
        options.check()?;
        let speed = (NORMAL_SPEED * options.speed).clamp(0.0, MAX_SPEED) as u8;
        let mut style = Style { speed: Some(speed), ..Style::default() };
        let instructions = options.instructions.as_deref().unwrap_or_default();
        if !style.take_leading_tags(instructions).is_empty() {
            let reason = "ChatTTS accepts only tags: [speed_0] to [speed_9], [oral_0] to [oral_9], [laugh_0] to [laugh_2], \
                          [break_0] to [break_7]";
            return Err(ModelError::InvalidOption { name: "instructions", reason: reason.into() });
        }
        let seed = (options.seed != 0).then_some(Seed::Stream(options.seed));
        let voice = match &options.reference {
            Some(reference) => self.voice_from_reference(&reference.samples, &reference.transcript)?,
            None => self.voice(options.voice.as_deref().unwrap_or_default())?,
        };
        let SpeechOptions { refine_text: refine, normalize_text, .. } = *options;
        Ok(SpeakOptions { voice, style, seed, refine, normalize_text, ..SpeakOptions::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::reference_tests::model;
    use super::*;

    #[test]
    fn options_become_tags_and_seeds() {
        let given = |speed, instructions: &str, seed| {
            let instructions = Some(instructions.to_owned());
            model().speak_options(&SpeechOptions { speed, instructions, seed, ..SpeechOptions::default() })
        };
        for (speed, token) in [(0.25, 1), (1.0, 5), (1.2, 6), (1.9, 9), (2.0, 9), (4.0, 9)] {
            assert_eq!(given(speed, "", 0).unwrap().style.speed, Some(token), "{speed}");
        }
        let options = given(1.0, "[oral_2] [break_6]", 7).unwrap();
        assert_eq!(
            (options.style.oral, options.style.pause, options.seed),
            (Some(2), Some(6), Some(Seed::Stream(7)))
        );
        assert!(given(1.0, "", 0).unwrap().seed.is_none());
        for (speed, instructions) in [(5.0, ""), (1.0, "cheerfully"), (1.0, "[oral_2] cheerfully")] {
            assert!(
                matches!(given(speed, instructions, 0), Err(ModelError::InvalidOption { .. })),
                "{instructions}"
            );
        }
    }
}
