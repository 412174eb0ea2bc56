//! Text for models and for people: tokenizers, languages, subtitles, and the front ends of speech synthesis.

pub mod chinese;
pub mod english;
pub mod languages;
pub mod whisper_tokenizer;
pub mod word_piece;
