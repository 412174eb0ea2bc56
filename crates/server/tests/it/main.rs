//! The routes as clients see them, on an engine whose model is scripted.

mod access;
mod auth;
mod bounds;
mod connections;
mod corpus;
mod documentation;
mod errors;
mod families;
mod formats;
mod hostile;
mod lifecycle;
mod metrics;
mod models;
mod parameters;
mod replay;
mod speech;
mod stream;
mod support;
mod web;
