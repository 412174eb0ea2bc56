//! The corpus of the fuzz targets, inputs that once failed among it; see `fuzz/README.md`.

#[path = "../../../../fuzz/src/http.rs"]
#[allow(unreachable_pub, reason = "the file belongs to the fuzz crate")]
mod http;

#[test]
fn http() {
    mynah_testkit::corpus::replay("http", http::run);
}
