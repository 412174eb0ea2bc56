//! Encodes raw samples and reports the speed.
//!
//! `ffmpeg -i speech.wav -ac 1 -ar 24000 -f f32le - |
//! cargo run --release -p mynah-audio --example encode -- 24000 speech.mp3 [SAMPLE_RATE_HZ [BITRATE_BPS]]`

use std::error::Error;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::time::{Duration, Instant};

use mynah_audio::{EncodeOptions, Encoder, OutputFormat};

#[expect(clippy::print_stdout, reason = "its output is its purpose")]
fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [input_rate_hz, path, rest @ ..] = &*arguments else {
        return Err("give the rate of the samples on standard input, and a file to write".into());
    };
    let input_rate_hz = input_rate_hz.parse()?;
    let format: OutputFormat = path.rsplit('.').next().unwrap_or_default().parse()?;
    let options = EncodeOptions {
        sample_rate_hz: rest.first().map(|rate| rate.parse()).transpose()?,
        bitrate_bps: rest.get(1).map(|rate| rate.parse()).transpose()?,
    };
    let mut encoder = Encoder::new(format, input_rate_hz, &options)?;
    let (mut file, mut bytes, mut spent) = (File::create(path)?, Vec::new(), Duration::ZERO);
    let (mut samples, mut written) = (0, 0);
    loop {
        let mut raw = Vec::new();
        std::io::stdin().take(1 << 18).read_to_end(&mut raw)?;
        let block: Vec<_> = raw.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        if block.is_empty() {
            break;
        }
        let begun = Instant::now();
        encoder.push(&block, &mut bytes)?;
        spent += begun.elapsed();
        samples += block.len();
        written += bytes.len();
        file.write_all(&bytes)?;
        bytes.clear();
    }
    let header = encoder.finish(&mut bytes)?;
    written += bytes.len();
    file.write_all(&bytes)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&header)?;
    let seconds = samples as f64 / f64::from(input_rate_hz);
    let (rate, speed) = (written as f64 * 8e-3 / seconds, seconds / spent.as_secs_f64());
    println!("{path}: {seconds:.1} s, {rate:.1} kb/s, {speed:.0}x");
    Ok(())
}
