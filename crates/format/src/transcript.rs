//! A whole transcript in the format that was asked for.

use mynah_api::ResponseFormat;
use mynah_core::Transcript;

use crate::bodies::{transcription, verbose_transcription};
use crate::cues::cues;
use crate::subtitles;

/// How a transcript is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenderOptions {
    /// The format.
    pub format: ResponseFormat,
    /// `segments` in `verbose_json`.
    pub segments: bool,
    /// `words` in `verbose_json`; subtitles are cut between words.
    pub words: bool,
    /// Log probabilities of tokens in `json`.
    pub logprobs: bool,
    /// The request left the language open, so `json` says which it is.
    pub open_language: bool,
}

/// The transcript as text; JSON without white space around it, the other formats with a final line break.
pub fn render(transcript: &Transcript, options: &RenderOptions) -> String {
    let RenderOptions { format, segments, words, logprobs, open_language } = *options;
    match format {
        ResponseFormat::Json => json(&transcription(transcript, logprobs, open_language)),
        ResponseFormat::VerboseJson => json(&verbose_transcription(transcript, segments, words)),
        ResponseFormat::Text => transcript.text() + "\n",
        ResponseFormat::Srt => subtitles::srt(&cues(transcript, words)),
        ResponseFormat::Vtt => subtitles::vtt(&cues(transcript, words)),
    }
}

fn json<T>(body: &T) -> String
where
    T: ?Sized + serde::Serialize,
{
    // Fails for maps with keys that are no texts, of which there are none here.
    serde_json::to_string(body).unwrap_or_default()
}

/// Media type of a format.
pub fn content_type(format: ResponseFormat) -> &'static str {
    match format {
        ResponseFormat::Json | ResponseFormat::VerboseJson => "application/json",
        ResponseFormat::Text | ResponseFormat::Srt => "text/plain; charset=utf-8",
        ResponseFormat::Vtt => "text/vtt; charset=utf-8",
    }
}

/// Ending of the names of files in a format, without its point.
pub fn extension(format: ResponseFormat) -> &'static str {
    match format {
        ResponseFormat::Text => "txt",
        ResponseFormat::Json | ResponseFormat::VerboseJson => "json",
        ResponseFormat::Srt => "srt",
        ResponseFormat::Vtt => "vtt",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mynah_core::{DecodingStats, Segment, Task, Word};

    use super::*;

    fn transcript(decoding: Option<DecodingStats>) -> Transcript {
        let word =
            |text: &str, start_s| Word { text: text.into(), start_s, end_s: start_s + 0.5, probability: 0.9 };
        Transcript {
            task: Task::Transcribe,
            language: "en".into(),
            language_probability: 1.0,
            languages: Vec::new(),
            duration_s: 2.5,
            segments: vec![Arc::new(Segment {
                start_s: 1.0,
                end_s: 2.0,
                text: " Good day.".into(),
                words: vec![word(" Good", 1.0), word(" day.", 1.5)],
                decoding,
                ..Segment::default()
            })],
        }
    }

    fn rendered(transcript: &Transcript, format: ResponseFormat) -> String {
        let options =
            RenderOptions { format, segments: true, words: true, logprobs: false, open_language: true };
        render(transcript, &options)
    }

    #[test]
    fn every_format_has_the_text() {
        for format in ResponseFormat::ALL {
            let text = rendered(&transcript(None), format);
            assert!(text.contains("Good day."), "{format:?}: {text}");
            assert!(!extension(format).is_empty() && content_type(format).contains('/'));
        }
        assert_eq!(rendered(&transcript(None), ResponseFormat::Text), "Good day.\n");
        let srt = "1\n00:00:01,000 --> 00:00:02,000\nGood day.\n\n";
        assert_eq!(rendered(&transcript(None), ResponseFormat::Srt), srt);
    }

    #[test]
    fn a_model_without_decoding_statistics_has_neutral_ones_in_verbose_json() {
        let json = rendered(&transcript(None), ResponseFormat::VerboseJson);
        assert!(json.contains(r#""temperature":0.0,"avg_logprob":0.0"#), "{json}");
        let stats = DecodingStats {
            seek_frames: 7,
            temperature: 0.2,
            avg_logprob: -0.3,
            compression_ratio: 1.5,
            no_speech_prob: 0.01,
        };
        let json = rendered(&transcript(Some(stats)), ResponseFormat::VerboseJson);
        assert!(json.contains(r#""seek":7"#) && json.contains(r#""avg_logprob":-0.3"#), "{json}");
    }
}
