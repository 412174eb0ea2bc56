//! Integration tests of the text crate.

mod corpus;
mod english_readings;
mod english_sentences;
mod english_voice;
mod voice;
