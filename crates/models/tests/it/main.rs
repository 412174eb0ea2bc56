//! Tests of whole models with their real weights, which are downloaded with pip.

mod corpus;
mod hibari;
mod synthesize;
