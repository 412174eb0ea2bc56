//! Replays the corpus of the fuzz targets, including inputs that once failed; see `fuzz/README.md`.

#[path = "../../../../fuzz/src/registration.rs"]
#[allow(unreachable_pub, reason = "the file belongs to the fuzz crate")]
mod registration;

#[test]
fn registration() {
    mynah_testkit::corpus::replay("registration", registration::run);
}
