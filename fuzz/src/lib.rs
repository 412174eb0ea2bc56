//! The code of each fuzz target. The crates' tests include these files and replay the corpus with them,
//! so each file uses only crates that such a test depends on; `letters` is used by one target only.

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
