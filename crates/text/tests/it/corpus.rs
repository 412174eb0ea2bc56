//! The corpus of the fuzz targets, inputs that once failed among it; `fuzz/README.md` tells more.

#[path = "../../../../fuzz/src/speech_text.rs"]
#[allow(unreachable_pub, reason = "the file belongs to the fuzz crate")]
mod speech_text;
#[path = "../../../../fuzz/src/subtitles.rs"]
#[allow(unreachable_pub, reason = "the file belongs to the fuzz crate")]
mod subtitles;
#[path = "../../../../fuzz/src/tokenizer.rs"]
#[allow(unreachable_pub, reason = "the file belongs to the fuzz crate")]
mod tokenizer;

use mynah_text::english::{Dialect, G2p};

use crate::voice;

#[test]
fn subtitles() {
    mynah_testkit::corpus::replay("subtitles", subtitles::run);
}

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
