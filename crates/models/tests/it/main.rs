//! Tests of whole models with their real weights, which are fetched with pip.

mod hibari;
mod read_aloud;
