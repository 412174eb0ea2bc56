//! Tests of whole models with their real weights, which are fetched with pip.

mod corpus;
mod hibari;
mod read_aloud;
