//! The corpus of the fuzz targets, inputs that once failed among it; `fuzz/README.md` tells more.

#[path = "../../../../fuzz/src/audio.rs"]
#[allow(unreachable_pub, reason = "the file belongs to the fuzz crate")]
mod audio;

#[test]
fn audio() {
    mynah_testkit::corpus::replay("audio", audio::run);
}
