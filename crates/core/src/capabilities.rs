//! What a model can be asked for. Options that it cannot honour are refused here, and only here, with the field's name.

use crate::{ModelError, SpeechOptions, Task, TranscribeOptions};

/// The finest times that a model gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timestamps {
    /// None of its own: a segment has the times of the piece of audio that it was made of.
    Chunk,
    /// Of segments.
    Segment,
    /// Of words.
    Word,
}

/// What a speech-to-text model can be asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct TranscriptionCapabilities {
    /// Codes of the languages it knows; empty: it does not say.
    pub languages: Vec<String>,
    /// Whether it translates to English.
    pub translates: bool,
    /// The finest times that it gives.
    pub timestamps: Timestamps,
    /// Whether it reads text that stands before the audio.
    pub initial_prompt: bool,
    /// Whether it can be given words that are likely to occur.
    pub hotwords: bool,
    /// Whether it gives log probabilities of tokens.
    pub logprobs: bool,
    /// Whether it is decoded as Whisper is: [`WhisperOptions`](crate::WhisperOptions).
    pub whisper_decoding: bool,
    /// Seconds of audio after which the first result of a long recording is there; what follows yields to other jobs.
    pub first_result_s: f64,
}

impl TranscriptionCapabilities {
    /// Refuses what the model cannot honour.
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
                "give times of words",
            ),
            ("prompt", options.initial_prompt.is_some() && !self.initial_prompt, "take a prompt"),
            ("hotwords", !options.hotwords.is_empty() && !self.hotwords, "take hotwords"),
            ("logprobs", options.logprobs && !self.logprobs, "give log probabilities of tokens"),
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

/// What a text-to-speech model can be asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct SpeechCapabilities {
    /// Codes of the languages it reads; empty: it does not say.
    pub languages: &'static [&'static str],
    /// Whether it follows instructions on tone and manner.
    pub instructions: bool,
    /// Whether it can copy the voice of a recording.
    pub reference_audio: bool,
    /// Whether it can put pauses and laughter into a text.
    pub refine_text: bool,
    /// Whether it can leave numbers as they are written.
    pub raw_text: bool,
    /// Characters of text after which the first audio is there; what follows yields to other jobs.
    pub first_result_chars: usize,
}

impl SpeechCapabilities {
    /// Refuses what the model cannot honour, and values that no model takes. `with_reference`: a recording of a voice comes
    /// with the request, decoded or not.
    ///
    /// # Errors
    /// [`ModelError::UnsupportedOption`] or [`ModelError::InvalidOption`] names the first such option.
    pub fn check(&self, options: &SpeechOptions, with_reference: bool) -> Result<(), ModelError> {
        options.check()?;
        let cannot = [
            ("instructions", options.instructions.is_some() && !self.instructions, "follow instructions"),
            ("prompt_speech", with_reference && !self.reference_audio, "copy another voice"),
            ("refine_text", options.refine_text && !self.refine_text, "refine a text"),
            ("read_out", !options.normalize_text && !self.raw_text, "leave numbers as they are written"),
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

/// What a model can be asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Capabilities {
    /// A speech-to-text model's.
    Transcription(TranscriptionCapabilities),
    /// A text-to-speech model's.
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
    fn what_a_model_cannot_honour_is_refused_by_name() {
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
    fn voices_refuse_what_they_cannot_do() {
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
        assert_eq!(name(SpeechOptions { normalize_text: false, ..SpeechOptions::default() }), "read_out");
        assert_eq!(name(SpeechOptions { speed: 9.0, ..SpeechOptions::default() }), "speed");
    }
}
