//! Transcripts as text.

use mynah_api::ResponseFormat;
use mynah_models::Transcript;
use mynah_text::subtitles;
use serde::Serialize;

use crate::exit::Failure;

/// How transcripts are written.
#[derive(Clone, Copy)]
pub(crate) struct Style {
    pub(crate) format: ResponseFormat,
    pub(crate) words: bool,
    /// The language is detected.
    pub(crate) open_language: bool,
}

impl Style {
    /// A whole transcript, as it is written to a file of its own.
    pub(crate) fn whole(self, transcript: &Transcript) -> Result<String, Failure> {
        match self.format {
            ResponseFormat::Text => Ok(transcript.text() + "\n"),
            ResponseFormat::Json => line(&mynah_server::plain_body(transcript, false, self.open_language)),
            ResponseFormat::VerboseJson => line(&mynah_server::verbose_body(transcript, true, self.words)),
            ResponseFormat::Srt => Ok(subtitles::srt(&mynah_server::cues(transcript, self.words))),
            ResponseFormat::Vtt => Ok(subtitles::vtt(&mynah_server::cues(transcript, self.words))),
        }
    }

    /// One line that says which file it is of; for formats that have such a form.
    pub(crate) fn named(self, file: &str, transcript: &Transcript) -> Result<String, Failure> {
        match self.format {
            ResponseFormat::Json => {
                line(&Named { file, body: mynah_server::plain_body(transcript, false, self.open_language) })
            }
            ResponseFormat::VerboseJson => {
                line(&Named { file, body: mynah_server::verbose_body(transcript, true, self.words) })
            }
            _ => Ok(format!("{file}: {}\n", transcript.text())),
        }
    }

    /// Ending of a file's name.
    pub(crate) fn extension(self) -> &'static str {
        match self.format {
            ResponseFormat::Text => "txt",
            ResponseFormat::Json | ResponseFormat::VerboseJson => "json",
            ResponseFormat::Srt => "srt",
            ResponseFormat::Vtt => "vtt",
        }
    }
}

#[derive(Serialize)]
struct Named<'a, T> {
    file: &'a str,
    #[serde(flatten)]
    body: T,
}

/// A JSON line.
pub(crate) fn line(body: &impl Serialize) -> Result<String, Failure> {
    let json = serde_json::to_string(body).map_err(|error| Failure::Failed(Some(error.to_string())))?;
    Ok(json + "\n")
}
