//! The corpus of the fuzz targets, inputs that once failed among it; `fuzz/README.md` tells more.

#[path = "../../../../fuzz/src/chattts.rs"]
#[allow(unreachable_pub, reason = "the file belongs to the fuzz crate")]
mod chattts;
#[path = "../../../../fuzz/src/checkpoint.rs"]
#[allow(unreachable_pub, reason = "the file belongs to the fuzz crate")]
mod checkpoint;
#[path = "../../../../fuzz/src/folder.rs"]
#[allow(unreachable_pub, reason = "the file belongs to the fuzz crate")]
mod folder;
#[path = "../../../../fuzz/src/hibari.rs"]
#[allow(unreachable_pub, reason = "the file belongs to the fuzz crate")]
mod hibari;
#[path = "../../../../fuzz/src/voice.rs"]
#[allow(unreachable_pub, reason = "the file belongs to the fuzz crate")]
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
