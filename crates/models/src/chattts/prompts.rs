//! Prompts of the model: templates around a text, and control tokens.

use std::sync::Arc;

use mynah_core::ModelError;
use mynah_text::word_piece::WordPiece;

use super::character_map::tag_length;
use super::generate::Prompt;
use super::speaker::Voice;

/// Ids of special tokens.
pub(super) struct Tokens {
    /// Placeholder of the speaker embedding.
    pub(super) speaker: u32,
    /// The end of refined text.
    pub(super) end_of_text: u32,
    /// Ids from here on are control tokens, which are removed from refined text.
    pub(super) first_control_token: u32,
}

impl Tokens {
    pub(super) fn new(vocabulary: &WordPiece) -> Result<Self, ModelError> {
        let id = |token: &str| {
            vocabulary
                .id(token)
                .ok_or_else(|| ModelError::Unsupported(format!("the vocabulary has no {token}")))
        };
        for token in ["[Stts]", "[Ptts]", "[Sbreak]", "[Pbreak]", "[empty_spk]", "[speed_0]", "[oral_0]"] {
            id(token)?;
        }
        Ok(Self {
            speaker: id("[spk_emb]")?,
            end_of_text: id("[Ebreak]")?,
            first_control_token: id("[break_0]")?,
        })
    }
}

/// Speaking style. `None` leaves it to the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// Speed, 0 to 9; 5 is normal.
    pub speed: Option<u8>,
    /// How colloquial refined text is, 0 to 9.
    pub oral: Option<u8>,
    /// How much laughter refinement inserts, 0 to 2.
    pub laugh: Option<u8>,
    /// How many pauses refinement inserts, 0 to 7.
    pub pause: Option<u8>,
}

impl Style {
    /// Reads the tags at the beginning of a text as parameters, and returns the rest.
    pub(super) fn take_leading_tags<'a>(&mut self, text: &'a str) -> &'a str {
        let mut rest = text.trim_start();
        while let Some(length) = tag_length(rest) {
            let Some((name, value)) = rest[1..length - 1].rsplit_once('_') else { break };
            let Ok(value) = value.parse::<u8>() else { break };
            let field = match (name, value) {
                ("speed", 0..=9) => &mut self.speed,
                ("oral", 0..=9) => &mut self.oral,
                ("laugh", 0..=2) => &mut self.laugh,
                ("break", 0..=7) => &mut self.pause,
                _ => break,
            };
            *field = Some(value);
            rest = rest[length..].trim_start();
        }
        rest
    }

    /// Whether a parameter of refinement is set.
    pub(super) fn refines(&self) -> bool {
        self.oral.is_some() || self.laugh.is_some() || self.pause.is_some()
    }

    /// Refuses values that have no token.
    pub(super) fn check(&self) -> Result<(), ModelError> {
        for (name, value, limit) in [
            ("speed", self.speed, 9),
            ("oral", self.oral, 9),
            ("laugh", self.laugh, 2),
            ("break", self.pause, 7),
        ] {
            if let Some(value) = value.filter(|&value| value > limit) {
                return Err(ModelError::InvalidInput(format!("{name} {value} is outside 0 to {limit}")));
            }
        }
        Ok(())
    }

    /// Tags after a text that is to be refined.
    pub(super) fn refine_tags(&self) -> String {
        let tags = [("oral", self.oral), ("laugh", self.laugh), ("break", self.pause)];
        tags.iter().filter_map(|(name, value)| Some(format!("[{name}_{}]", (*value)?))).collect()
    }

    /// Tags before a text that is to be spoken.
    pub(super) fn speech_tags(&self) -> String {
        self.speed.map_or_else(String::new, |speed| format!("[speed_{speed}]"))
    }
}

/// The prompt for refining a text.
pub(super) fn refinement(text: &str, tags: &str) -> String {
    format!("[Sbreak]{text}[Pbreak]{tags}")
}

/// The prompt for speaking a text. The transcript of reference audio comes before the tags.
pub(super) fn speech(text: &str, tags: &str, sample_text: &str, has_speaker: bool) -> String {
    let speaker = if has_speaker { "[spk_emb]" } else { "[empty_spk]" };
    let text = text.replace("[Stts]", "").replace("[spk_emb]", "").replace("[empty_spk]", "");
    format!("[Stts]{speaker}{sample_text}{tags}{}[Ptts]", text.trim())
}

/// The prompt of a text in a voice.
pub(super) fn speech_prompt(
    vocabulary: &WordPiece,
    tokens: &Tokens,
    text: &str,
    tags: &str,
    voice: &Voice,
) -> Prompt {
    let sample_text = voice.sample.as_ref().map_or("", |sample| sample.text.as_str());
    let ids = vocabulary.encode(&speech(text, tags, sample_text, voice.speaker.is_some()));
    let speaker = voice.embedding().map(|vector| (tokens.speaker, vector));
    let audio = voice.sample.as_ref().map_or_else(|| Arc::new([]) as _, |sample| Arc::clone(&sample.codes));
    Prompt { ids, speaker, audio }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_tags_are_parameters() {
        let mut style = Style { speed: Some(5), ..Style::default() };
        assert_eq!(
            style.take_leading_tags(" [speed_3] [oral_9][break_7]你好[laugh][speed_1]"),
            "你好[laugh][speed_1]"
        );
        assert_eq!(style, Style { speed: Some(3), oral: Some(9), laugh: None, pause: Some(7) });
        assert!(style.refines());
        for text in ["[laugh]x", "[speed_10]x", "[laugh_3]", "[speed_", "[uv_break]", "x[speed_1]", ""] {
            let mut style = Style::default();
            assert_eq!(style.take_leading_tags(text), text);
            assert_eq!(style, Style::default());
        }
        assert_eq!(style.refine_tags(), "[oral_9][break_7]");
        assert!(Style { laugh: Some(3), ..style }.check().is_err() && style.check().is_ok());
    }

    #[test]
    fn templates_have_one_speaker() {
        assert_eq!(
            speech(" [Stts]hi[spk_emb] ", "[speed_5]", "yo", false),
            "[Stts][empty_spk]yo[speed_5]hi[Ptts]"
        );
    }
}
