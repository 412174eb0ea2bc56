//! The program on real speech. The first run fetches a model, a recording and the clients; see `clients/README.md`.

mod clients;
mod kills;
mod speak;
mod support;
mod transcribe;
