//! The options that a model supports. Unsupported options are refused here, and only here, with the field's name.

use crate::{ModelError, SpeechOptions, Task, TranscribeOptions};

/// The finest timestamps that a model gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timestamps {
    /// None of its own: a segment has the times of its audio chunk.
    Chunk,
    /// Of segments.
    Segment,
    /// Of words.
    Word,
}

/// Capabilities of a speech-to-text model.
#[derive(Clone, Debug, PartialEq)]
pub struct TranscriptionCapabilities {
    /// Codes of its languages; empty: unknown.
    pub languages: Vec<String>,
    /// Whether it translates to English.
    pub translates: bool,
    /// The finest timestamps that it gives.
    pub timestamps: Timestamps,
    /// Whether it accepts a prompt of previous text.
    pub initial_prompt: bool,
    /// Whether it accepts hotwords.
    pub hotwords: bool,
    /// Whether it gives log probabilities of tokens.
    pub logprobs: bool,
    /// Whether it is decoded like Whisper and accepts [`WhisperOptions`](crate::WhisperOptions).
    pub whisper_decoding: bool,
    /// Seconds of audio up to the first result of a long recording; later parts have background priority.
    pub first_result_s: f64,
}

impl TranscriptionCapabilities {
    /// Refuses options that the model does not support.
    ///
    /// # Errors
    /// [`ModelError::UnsupportedOption`] names the first such option.
    pub fn check(&self, options: &TranscribeOptions) -> Result<(), ModelError> {
        let refuse = |name, reason: String| Err(ModelError::UnsupportedOption { name, reason });
        let knows = |code: &String| self.languages.is_empty() || self.languages.contains(code);
        if options.task == Task::Translate && !self.translates {
            let reason = match &self.languages[..] {
                [language] => format!(
                    "the model knows one language ({language}) and does not support translations; use a multilingual model"
                ),
                _ => "the model does not support translations; use one that does".to_owned(),
            };
            return refuse("task", reason);
        }
        if let Some(language) = options.language.as_ref().filter(|code| !knows(code)) {
            return refuse("language", self.unknown_language(language));
        }
        if !options.allowed_languages.is_empty() && !options.allowed_languages.iter().any(knows) {
            return refuse("languages", self.unknown_language(&options.allowed_languages[0]));
        }
        let cannot = [
            (
                "word_timestamps",
                options.word_timestamps && self.timestamps < Timestamps::Word,
                "return word timestamps",
            ),
            ("prompt", options.initial_prompt.is_some() && !self.initial_prompt, "use a prompt"),
            ("hotwords", !options.hotwords.is_empty() && !self.hotwords, "use hotwords"),
            ("logprobs", options.logprobs && !self.logprobs, "return log probabilities of tokens"),
        ];
        if let Some((name, _, what)) = cannot.into_iter().find(|(_, asked, _)| *asked) {
            return refuse(name, format!("the model cannot {what}; leave the option out"));
        }
        match options.whisper.first_changed() {
            Some(name) if !self.whisper_decoding => refuse(
                name,
                format!(
                    "{name} is an option of Whisper's decoder, which the model does not have; leave it out"
                ),
            ),
            _ => Ok(()),
        }
    }

    fn unknown_language(&self, code: &str) -> String {
        match &self.languages[..] {
            [only] => format!(
                "the model knows one language ({only}), not {code}; use a multilingual model or ask for language {only}"
            ),
            _ => format!("the model does not know the language {code}"),
        }
    }
}

/// Capabilities of a text-to-speech model.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeechCapabilities {
    /// Codes of its languages; empty: unknown.
    pub languages: &'static [&'static str],
    /// Whether it follows instructions on tone and manner.
    pub instructions: bool,
    /// Whether it can clone the voice of reference audio.
    pub reference_audio: bool,
    /// Whether it can insert pauses and laughter into a text.
    pub refine_text: bool,
    /// Whether text normalization can be switched off.
    pub raw_text: bool,
    /// Characters of text up to the first audio; later parts have background priority.
    pub first_result_chars: usize,
}

impl SpeechCapabilities {
    /// Refuses options that the model does not support, and values that no model accepts. `with_reference`: the request has
    /// reference audio, decoded or not.
    ///
    /// # Errors
    /// [`ModelError::UnsupportedOption`] or [`ModelError::InvalidOption`] names the first such option.
    pub fn check(&self, options: &SpeechOptions, with_reference: bool) -> Result<(), ModelError> {
        options.check()?;
        let cannot = [
            ("instructions", options.instructions.is_some() && !self.instructions, "follow instructions"),
            ("prompt_speech", with_reference && !self.reference_audio, "clone another voice"),
            ("refine_text", options.refine_text && !self.refine_text, "refine a text"),
            ("normalize_text", !options.normalize_text && !self.raw_text, "switch off text normalization"),
        ];
        match cannot.into_iter().find(|(_, asked, _)| *asked) {
            None => Ok(()),
            Some((name, _, what)) => Err(ModelError::UnsupportedOption {
                name,
                reason: format!("the voices of this model cannot {what}; leave it out"),
            }),
        }
    }
}

/// Capabilities of a model.
#[derive(Clone, Debug, PartialEq)]
pub enum Capabilities {
    /// Of a speech-to-text model.
    Transcription(TranscriptionCapabilities),
    /// Of a text-to-speech model.
    Speech(SpeechCapabilities),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{VadOptions, WhisperOptions};

    fn plain() -> TranscriptionCapabilities {
        TranscriptionCapabilities {
            languages: vec!["en".into()],
            translates: false,
            timestamps: Timestamps::Chunk,
            initial_prompt: false,
            hotwords: false,
            logprobs: false,
            whisper_decoding: false,
            first_result_s: 15.0,
        }
    }

    fn refused(change: impl FnOnce(&mut TranscribeOptions)) -> Option<&'static str> {
        let mut options = TranscribeOptions::default();
        change(&mut options);
        match plain().check(&options) {
            Ok(()) => None,
            Err(ModelError::UnsupportedOption { name, .. }) => Some(name),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn unsupported_options_are_refused_by_name() {
        assert_eq!(refused(|_| ()), None);
        assert_eq!(refused(|options| options.language = Some("en".into())), None);
        assert_eq!(refused(|options| options.vad = Some(VadOptions::default())), None);
        assert_eq!(refused(|options| options.language = Some("de".into())), Some("language"));
        assert_eq!(refused(|options| options.allowed_languages = vec!["de".into()]), Some("languages"));
        assert_eq!(refused(|options| options.allowed_languages = vec!["de".into(), "en".into()]), None);
        assert_eq!(refused(|options| options.task = Task::Translate), Some("task"));
        assert_eq!(refused(|options| options.word_timestamps = true), Some("word_timestamps"));
        assert_eq!(refused(|options| options.initial_prompt = Some("x".into())), Some("prompt"));
        assert_eq!(refused(|options| options.hotwords = vec!["x".into()]), Some("hotwords"));
        assert_eq!(refused(|options| options.logprobs = true), Some("logprobs"));
        let beam = WhisperOptions { beam_size: 1, ..WhisperOptions::default() };
        assert_eq!(refused(|options| options.whisper = beam), Some("beam_size"));
    }

    #[test]
    fn text_to_speech_models_refuse_unsupported_options() {
        let capabilities = SpeechCapabilities {
            languages: &["en"],
            instructions: false,
            reference_audio: false,
            refine_text: false,
            raw_text: false,
            first_result_chars: 200,
        };
        let name = |options: SpeechOptions| match capabilities.check(&options, false) {
            Err(ModelError::UnsupportedOption { name, .. } | ModelError::InvalidOption { name, .. }) => name,
            other => panic!("{other:?}"),
        };
        assert!(capabilities.check(&SpeechOptions::default(), false).is_ok());
        assert_eq!(name(SpeechOptions { refine_text: true, ..SpeechOptions::default() }), "refine_text");
        assert_eq!(
            name(SpeechOptions { normalize_text: false, ..SpeechOptions::default() }),
            "normalize_text"
        );
        assert_eq!(name(SpeechOptions { speed: 9.0, ..SpeechOptions::default() }), "speed");
    }
}
