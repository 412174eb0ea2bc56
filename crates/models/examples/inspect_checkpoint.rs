//! Prints the contents of a Whisper checkpoint: format, configuration, and each tensor with its type, shape and a checksum of
//! its numbers as f32, so that two formats of the same model can be compared with `diff`.
//!
//!     cargo run --release -p mynah-models --example inspect_checkpoint -- PATH [--quick]
//!
//! `--quick` skips the checksums.

use std::io::Write;
use std::path::Path;

use mynah_models::whisper::checkpoint::Checkpoint;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let path = arguments.first().ok_or("which checkpoint?")?;
    let quick = arguments.iter().any(|argument| argument == "--quick");

    let checkpoint = Checkpoint::open(Path::new(path))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "format {:?}", checkpoint.format)?;
    writeln!(out, "{:#?}", checkpoint.config)?;
    writeln!(
        out,
        "vocabulary {} multilingual {}",
        checkpoint.tokenizer.vocab_size(),
        checkpoint.tokenizer.is_multilingual()
    )?;
    let tensors = &checkpoint.tensors;
    for name in tensors.names() {
        let (shape, dtype) = (tensors.shape(name).unwrap_or_default(), tensors.dtype(name));
        let sum = if quick { String::new() } else { format!("{:016x}", checksum(&tensors.read_f32(name)?)) };
        writeln!(out, "tensor {name} {shape:?} {sum} {dtype:?}")?;
    }
    Ok(())
}

/// FNV-1a over the bits of the numbers.
fn checksum(values: &[f32]) -> u64 {
    let step = |hash: u64, value: &f32| (hash ^ u64::from(value.to_bits())).wrapping_mul(0x0100_0000_01b3);
    values.iter().fold(0xcbf2_9ce4_8422_2325, step)
}
