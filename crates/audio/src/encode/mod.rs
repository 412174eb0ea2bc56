//! Encodes mono samples to files and streams while the samples are still being produced.
//!
//! An [`Encoder`] takes samples in pushes of any length and returns bytes as soon as a frame is complete; the bytes do not
//! depend on the lengths of the pushes. Only a few frames are in memory.
//!
//! | format | sample rates in Hz | default bits per second | first bytes of audio after |
//! | --- | --- | --- | --- |
//! | mp3 | the nine of MPEG, 8000 to 48 000 | constant: 128 000, from 16 000 Hz 80 000, below 48 000 | one frame, 12 to 72 ms |
//! | opus | any; coded at the next of 8000, 12 000, 16 000, 24 000, 48 000, always played at 48 000 | about 64 000, from 16 000 Hz 32 000, below 24 000 | 0.2 s |
//! | aac | the nine of MPEG, 8000 to 48 000 | about 128 000, from 22 050 Hz 96 000, from 16 000 Hz 64 000, below 48 000 | two frames of 1024 samples |
//! | flac | any from 8000 to 48 000 | lossless from 16 bit | one block of 2304 samples |
//! | wav, pcm | any from 8000 to 48 000 | 16 bit | at once |
//!
//! Resampling adds a delay of about 0.05 s.

mod aac;
mod clip;
mod error;
mod flac;
mod format;
mod frames;
mod mp3;
mod ogg;
mod opus;
mod pcm;

#[cfg(test)]
mod tests;

pub use error::EncodeError;
pub use format::OutputFormat;

use crate::resample::Resampler;

/// Allowed output rates, in Hz.
const RATES_HZ: std::ops::RangeInclusive<u32> = 8_000..=48_000;
/// Allowed input rates, in Hz.
const INPUT_RATES_HZ: std::ops::RangeInclusive<u32> = 8_000..=192_000;
/// The rates of MPEG-1, 2 and 2.5 audio, which AAC shares.
const MPEG_RATES_HZ: [u32; 9] = [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];
/// The rates at which Opus encodes.
const OPUS_RATES_HZ: [u32; 5] = [8_000, 12_000, 16_000, 24_000, 48_000];
/// Samples processed at a time, so that scratch memory is small for pushes of any length.
const PIECE: usize = 8192;

/// Options of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Sample rate of the output in Hz; that of the input if `None`.
    pub sample_rate_hz: Option<u32>,
    /// Bits per second of a lossy format; if `None`, a bitrate at which speech is nearly transparent.
    pub bitrate_bps: Option<u32>,
}

/// The codec of one format.
trait Codec: Send {
    /// Takes valid samples at the codec's rate and appends complete frames.
    fn encode(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError>;

    /// Appends the rest; returns the header with the final length, or nothing if it has not changed.
    fn finish(self: Box<Self>, out: &mut Vec<u8>) -> Result<Vec<u8>, EncodeError>;
}

/// Turns mono samples into the bytes of one file or stream.
///
/// ```
/// use mynah_audio::{EncodeOptions, Encoder, OutputFormat};
///
/// let mut encoder = Encoder::new(OutputFormat::Mp3, 24_000, &EncodeOptions::default())?;
/// let mut bytes = Vec::new();
/// for _sentence in 0..2 {
///     encoder.push(&[0.0; 12_000], &mut bytes)?; // and send `bytes`
/// }
/// let header = encoder.finish(&mut bytes)?;
/// bytes[..header.len()].copy_from_slice(&header); // if the start can still be changed
/// # Ok::<(), mynah_audio::EncodeError>(())
/// ```
pub struct Encoder {
    resampler: Option<Resampler>,
    codec: Box<dyn Codec>,
    /// The header, until it is written.
    header: Vec<u8>,
    input: Vec<f32>,
    output: Vec<f32>,
}

impl Encoder {
    /// An encoder of samples at `input_rate_hz`.
    ///
    /// # Errors
    ///
    /// For a sample rate or bitrate that the format does not support; the message lists the supported ones.
    pub fn new(
        format: OutputFormat,
        input_rate_hz: u32,
        options: &EncodeOptions,
    ) -> Result<Self, EncodeError> {
        if !INPUT_RATES_HZ.contains(&input_rate_hz) {
            return Err(EncodeError::UnsupportedInputRate { rate_hz: input_rate_hz });
        }
        let rate_hz = coded_rate(format, options.sample_rate_hz.unwrap_or(input_rate_hz))?;
        let bitrate = |range, default| checked_bitrate(format, options.bitrate_bps, range, default);
        let (codec, header): (Box<dyn Codec>, _) = match format {
            OutputFormat::Mp3 => {
                let codec =
                    mp3::Mp3::new(rate_hz, bitrate(mp3::bitrates_bps(rate_hz), mp3::default_bps(rate_hz))?)?;
                let header = codec.header();
                (Box::new(codec), header)
            }
            OutputFormat::Opus => {
                let mut codec =
                    opus::Opus::new(rate_hz, bitrate(opus::BITRATES_BPS, opus::default_bps(rate_hz))?)?;
                let header = codec.header();
                (Box::new(codec), header)
            }
            OutputFormat::Aac => {
                let codec =
                    aac::Aac::new(rate_hz, bitrate(aac::bitrates_bps(rate_hz), aac::default_bps(rate_hz))?)?;
                (Box::new(codec), Vec::new())
            }
            OutputFormat::Flac => {
                no_bitrate(format, options)?;
                let codec = flac::Flac::new(rate_hz)?;
                let header = codec.header();
                (Box::new(codec), header)
            }
            OutputFormat::Wav => {
                no_bitrate(format, options)?;
                let codec = pcm::Wav::new(rate_hz);
                let header = codec.header();
                (Box::new(codec), header)
            }
            OutputFormat::Pcm => {
                no_bitrate(format, options)?;
                (Box::new(pcm::Pcm), Vec::new())
            }
        };
        let resampler = if rate_hz == input_rate_hz {
            None
        } else {
            let resampler = Resampler::new(input_rate_hz, rate_hz);
            Some(resampler.ok_or_else(|| {
                EncodeError::codec(format, "this conversion of sample rates is not supported")
            })?)
        };
        Ok(Self { resampler, codec, header, input: Vec::new(), output: Vec::new() })
    }

    /// Takes samples and appends finished bytes to `out`, beginning with the header.
    ///
    /// Full scale is ±1. Samples above −0.3 dB are soft-clipped, and NaN becomes silence.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Codec`] if the codec fails; the stream cannot be continued then.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.append(&mut self.header);
        for piece in samples.chunks(PIECE) {
            self.input.clear();
            self.input.extend(piece.iter().map(|&sample| clip::sane(sample)));
            match &mut self.resampler {
                Some(resampler) => {
                    self.output.clear();
                    resampler.push(&self.input, &mut self.output);
                }
                None => std::mem::swap(&mut self.input, &mut self.output),
            }
            self.output.iter_mut().for_each(|sample| *sample = clip::soft(*sample));
            self.codec.encode(&self.output, out)?;
        }
        Ok(())
    }

    /// Appends the last bytes.
    ///
    /// The header was written before the length was known. Returns the header with the length, to overwrite
    /// the first bytes of a file; a stream that cannot seek is valid without it. Empty if nothing changes.
    ///
    /// # Errors
    ///
    /// As [`Self::push`].
    pub fn finish(mut self, out: &mut Vec<u8>) -> Result<Vec<u8>, EncodeError> {
        out.append(&mut self.header);
        if let Some(resampler) = &mut self.resampler {
            self.output.clear();
            resampler.finish(&mut self.output);
            self.output.iter_mut().for_each(|sample| *sample = clip::soft(*sample));
            self.codec.encode(&self.output, out)?;
        }
        self.codec.finish(out)
    }
}

/// Encodes all samples at once, with their length in the header.
///
/// # Errors
///
/// As [`Encoder::new`] and [`Encoder::push`].
pub fn encode(
    format: OutputFormat,
    samples: &[f32],
    input_rate_hz: u32,
    options: &EncodeOptions,
) -> Result<Vec<u8>, EncodeError> {
    let mut encoder = Encoder::new(format, input_rate_hz, options)?;
    let mut out = Vec::new();
    encoder.push(samples, &mut out)?;
    let header = encoder.finish(&mut out)?;
    out[..header.len()].copy_from_slice(&header);
    Ok(out)
}

/// The rate at which a format encodes audio of the requested rate.
fn coded_rate(format: OutputFormat, rate_hz: u32) -> Result<u32, EncodeError> {
    let unsupported = |allowed: String| EncodeError::UnsupportedRate { format, rate_hz, allowed };
    match format {
        OutputFormat::Mp3 | OutputFormat::Aac if !MPEG_RATES_HZ.contains(&rate_hz) => {
            Err(unsupported(format!("one of {}", MPEG_RATES_HZ.map(|rate| rate.to_string()).join(", "))))
        }
        _ if !RATES_HZ.contains(&rate_hz) => {
            Err(unsupported(format!("one from {} to {}", RATES_HZ.start(), RATES_HZ.end())))
        }
        OutputFormat::Opus => Ok(OPUS_RATES_HZ.into_iter().find(|&rate| rate >= rate_hz).unwrap_or(rate_hz)),
        _ => Ok(rate_hz),
    }
}

fn checked_bitrate(
    format: OutputFormat,
    asked_bps: Option<u32>,
    range: std::ops::RangeInclusive<u32>,
    default_bps: u32,
) -> Result<u32, EncodeError> {
    match asked_bps {
        None => Ok(default_bps),
        Some(bitrate_bps) if range.contains(&bitrate_bps) => Ok(bitrate_bps),
        Some(bitrate_bps) => {
            let allowed = format!("at this sample rate use one from {} to {}", range.start(), range.end());
            Err(EncodeError::UnsupportedBitrate { format, bitrate_bps, allowed })
        }
    }
}

fn no_bitrate(format: OutputFormat, options: &EncodeOptions) -> Result<(), EncodeError> {
    options.bitrate_bps.map_or(Ok(()), |bitrate_bps| {
        Err(EncodeError::UnsupportedBitrate { format, bitrate_bps, allowed: "leave it out".to_owned() })
    })
}
