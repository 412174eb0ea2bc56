//! The inputs of the fuzz targets, for the tests that replay them.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

/// Runs a fuzz target on each input of its corpus.
///
/// # Panics
/// The target panics, the name of its input having been logged; or there is no corpus.
pub fn replay(target: &str, run: impl Fn(&[u8])) {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus")).join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("a file of the corpus").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", folder.display());
    for path in paths {
        let input = std::fs::read(&path).expect("an input of the corpus");
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(&input))) {
            let mut failed = std::io::stderr().lock();
            // The panic continues whether or not this can be written.
            let _ = std::io::Write::write_fmt(&mut failed, format_args!("the input is {}\n", path.display()));
            resume_unwind(panic);
        }
    }
}
