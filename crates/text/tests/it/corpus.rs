//! The corpus of the fuzz targets, inputs that once failed among it; `fuzz/README.md` tells more.

#![allow(unreachable_pub, reason = "the files of the fuzz crate are shared by its targets")]

#[path = "../../../../fuzz/src/speech_text.rs"]
mod speech_text;
#[path = "../../../../fuzz/src/tokenizer.rs"]
mod tokenizer;

use mynah_text::english::{Dialect, G2p};

use crate::voice;

#[test]
fn tokenizer() {
    mynah_testkit::corpus::replay("tokenizer", tokenizer::run);
}

#[test]
fn speech_text() {
    let open = |dialect| G2p::open(voice::folder(), dialect).unwrap();
    let voices = [open(Dialect::American), open(Dialect::British)];
    mynah_testkit::corpus::replay("speech_text", |input| speech_text::run(input, &[&voices[0], &voices[1]]));
}
