//! Replays the corpus of the fuzz targets, which includes inputs that once failed; see `fuzz/README.md`.

#[path = "../../../../fuzz/src/audio.rs"]
#[allow(unreachable_pub, reason = "the file belongs to the fuzz crate")]
mod audio;

#[test]
fn audio() {
    mynah_testkit::corpus::replay("audio", audio::run);
}
