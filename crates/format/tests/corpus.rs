//! The corpus of the fuzz targets, inputs that once failed among it; see `fuzz/README.md`.

#![allow(unreachable_pub, reason = "the files of the fuzz crate are shared by its targets")]

#[path = "../../../fuzz/src/subtitles.rs"]
mod subtitles;

#[test]
fn subtitles() {
    mynah_testkit::corpus::replay("subtitles", subtitles::run);
}
