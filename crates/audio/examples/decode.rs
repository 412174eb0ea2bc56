//! Shows what is in audio files: container, codec, rate, channels, length and peak of each.
//!
//! `cargo run --release -p mynah-audio --example decode -- FILE...`

use std::time::Instant;

use mynah_audio::{DecodeLimits, decode_file};

#[expect(clippy::print_stdout, reason = "its output is its purpose")]
fn main() {
    for path in std::env::args_os().skip(1) {
        let path = std::path::PathBuf::from(path);
        let begun = Instant::now();
        match decode_file(&path, &DecodeLimits::default(), &|| false) {
            Ok(decoded) => {
                let info = &decoded.info;
                let peak = decoded.samples.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
                println!(
                    "{}\t{}\t{}\t{} Hz\t{} ch\t{:.3} s\tpeak {peak:.3}\t{:.0}x",
                    path.display(),
                    info.container,
                    info.codec,
                    info.sample_rate,
                    info.channels,
                    info.duration_s,
                    info.duration_s / begun.elapsed().as_secs_f64(),
                );
            }
            Err(error) => println!("{}\tERROR\t{error}", path.display()),
        }
    }
}
