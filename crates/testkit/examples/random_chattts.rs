//! Writes a ChatTTS checkpoint with random weights.
//!
//!     cargo run --release -p mynah-testkit --example random_chattts -- tiny|full FOLDER

use std::error::Error;
use std::path::PathBuf;

use mynah_testkit::chattts::{FULL, TINY, write};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [size, folder] = arguments.as_slice() else {
        return Err("tiny or full, and a folder, are needed".into());
    };
    let sizes = match size.as_str() {
        "tiny" => &TINY,
        "full" => &FULL,
        _ => return Err("the size is tiny or full".into()),
    };
    let vocabulary = concat!(env!("CARGO_MANIFEST_DIR"), "/../models/tests/data/chattts/tokenizer.json");
    Ok(write(&PathBuf::from(folder), sizes, &std::fs::read(vocabulary)?)?)
}
