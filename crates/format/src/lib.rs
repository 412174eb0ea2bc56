//! Transcripts, and the words of a speech, as JSON, text and subtitles. The command line and the HTTP server write the same.

mod bodies;
mod cues;
pub mod subtitles;
mod transcript;

pub use bodies::{
    detected_languages, logprobs, spoken_body, spoken_words, transcription, usage, verbose_transcription,
};
pub use cues::{cues, spoken_cues};
pub use transcript::{RenderOptions, content_type, extension, render};
