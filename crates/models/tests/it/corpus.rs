//! Replays the corpus of the fuzz targets, which includes inputs that once failed; see `fuzz/README.md`.

#![allow(unreachable_pub, reason = "the files of the fuzz crate are shared by its targets")]

#[path = "../../../../fuzz/src/chattts.rs"]
mod chattts;
#[path = "../../../../fuzz/src/checkpoint.rs"]
mod checkpoint;
#[path = "../../../../fuzz/src/folder.rs"]
mod folder;
#[path = "../../../../fuzz/src/hibari.rs"]
mod hibari;
#[path = "../../../../fuzz/src/voice.rs"]
mod voice;

#[test]
fn chattts() {
    mynah_testkit::corpus::replay("chattts", chattts::run);
}

#[test]
fn checkpoint() {
    mynah_testkit::corpus::replay("checkpoint", checkpoint::run);
}

#[test]
fn hibari() {
    mynah_testkit::corpus::replay("hibari", hibari::run);
}

#[test]
fn voice() {
    mynah_testkit::corpus::replay("voice", voice::run);
}
