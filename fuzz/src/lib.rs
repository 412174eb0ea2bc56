//! What each fuzz target does with its input. The tests of the crates include these files and replay the corpus with them,
//! so each names nothing but the crates that such a test knows; `letters` is for a target alone.

pub mod audio;
pub mod chattts;
pub mod checkpoint;
pub mod folder;
pub mod hibari;
pub mod http;
pub mod letters;
pub mod registration;
pub mod speech_text;
pub mod subtitles;
pub mod tokenizer;
pub mod voice;
