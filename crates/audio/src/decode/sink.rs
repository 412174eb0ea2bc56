//! Turns decoded blocks of any rate and channels into mono samples at one rate, within the limits.

use symphonia::core::audio::{Channels, layouts};

use super::downmix::{self, Downmix};
use super::{DecodeError, DecodeHooks, DecodeLimits, Limit};
use crate::resample::Resampler;

/// Plausible sample rates, in Hz.
const RATES: std::ops::RangeInclusive<u32> = 1_000..=768_000;
/// Limit of samples: full-scale 32-bit integers stored as floats.
const MAX_SAMPLE: f32 = 2_147_483_648.0;
/// Interleaved samples per step: bounds the scratch memory and the delay of cancellation.
const STRIDE: usize = 1 << 16;
/// Samples that a resampler may hold back.
const SLACK: usize = 1 << 14;

/// Rate and channels of a run of blocks.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shape {
    pub(super) rate: u32,
    pub(super) channels: Channels,
}

impl Shape {
    /// A shape without known channel positions, except for mono and stereo.
    pub(super) fn plain(rate: u32, channels: usize) -> Self {
        let channels = match channels {
            1 => layouts::CHANNEL_LAYOUT_MONO,
            2 => layouts::CHANNEL_LAYOUT_STEREO,
            more => Channels::Discrete(more.min(usize::from(u16::MAX)) as u16),
        };
        Self { rate, channels }
    }
}

/// Takes interleaved blocks; when rate or channels change, a new resampler and downmix are set up.
pub(super) struct Sink<'a> {
    rate_hz: u32,
    limits: &'a DecodeLimits,
    hooks: &'a dyn DecodeHooks,
    stage: Option<Stage>,
    clean: Vec<f32>,
    mono: Vec<f32>,
    samples: Vec<f32>,
    first: Option<Shape>,
}

struct Stage {
    shape: Shape,
    width: usize,
    downmix: Downmix,
    /// `None` if the rate is already the requested one.
    resampler: Option<Resampler>,
}

impl<'a> Sink<'a> {
    pub(super) fn new(rate_hz: u32, limits: &'a DecodeLimits, hooks: &'a dyn DecodeHooks) -> Self {
        Self {
            rate_hz,
            limits,
            hooks,
            stage: None,
            clean: Vec::new(),
            mono: Vec::new(),
            samples: Vec::new(),
            first: None,
        }
    }

    /// Fails if the caller cancelled.
    pub(super) fn check_cancelled(&self) -> Result<(), DecodeError> {
        if self.hooks.is_cancelled() { Err(DecodeError::Cancelled) } else { Ok(()) }
    }

    /// Fails if a stream of this shape is not allowed; for decoders whose allocations depend on it.
    pub(super) fn check_shape(&self, rate: u32, channels: usize) -> Result<(), DecodeError> {
        if channels == 0 {
            return Err(DecodeError::malformed("audio", "it claims to have no channels"));
        }
        if channels > usize::from(self.limits.max_channels) {
            return Err(DecodeError::TooLarge { limit: Limit::Channels(self.limits.max_channels) });
        }
        if !RATES.contains(&rate) {
            return Err(DecodeError::malformed("audio", format!("it claims a sample rate of {rate} Hz")));
        }
        Ok(())
    }

    /// Whether no samples have arrived yet.
    pub(super) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Takes a block of interleaved samples; a partial last frame is dropped.
    pub(super) fn push(&mut self, interleaved: &[f32], shape: &Shape) -> Result<(), DecodeError> {
        self.check_cancelled()?;
        if interleaved.is_empty() {
            return Ok(());
        }
        if self.stage.as_ref().is_none_or(|stage| stage.shape != *shape) {
            self.check_shape(shape.rate, shape.channels.count())?;
            self.flush();
            self.stage = Some(Stage::new(shape.clone(), self.rate_hz)?);
            self.first.get_or_insert_with(|| shape.clone());
        }
        let Some(stage) = &mut self.stage else { return Ok(()) };
        let max_samples = (self.limits.max_duration_s * f64::from(self.rate_hz)) as usize;
        for part in interleaved.chunks(STRIDE / stage.width * stage.width) {
            self.clean.clear();
            self.clean.extend(
                part.iter().map(|&x| if x.is_finite() { x.clamp(-MAX_SAMPLE, MAX_SAMPLE) } else { 0.0 }),
            );
            self.mono.clear();
            let frames = part.len() / stage.width;
            let coming = frames * self.rate_hz as usize / stage.shape.rate as usize + SLACK;
            reserve_samples(&mut self.samples, coming, max_samples, self.hooks)?;
            stage.downmix.mix(&self.clean, &mut self.mono);
            match &mut stage.resampler {
                Some(resampler) => resampler.push(&self.mono, &mut self.samples),
                None => self.samples.extend_from_slice(&self.mono),
            }
            if self.samples.len() > max_samples {
                return Err(DecodeError::TooLarge { limit: Limit::Duration(self.limits.max_duration_s) });
            }
        }
        Ok(())
    }

    fn flush(&mut self) {
        if let Some(Stage { resampler: Some(resampler), .. }) = &mut self.stage {
            resampler.finish(&mut self.samples);
        }
        self.stage = None;
    }

    /// The samples, and the shape of the first block; `None` if there was no audio.
    pub(super) fn finish(mut self) -> Option<(Vec<f32>, Shape)> {
        self.flush();
        let first = self.first?;
        limit_peaks(&mut self.samples);
        (!self.samples.is_empty()).then_some((self.samples, first))
    }
}

/// Reserves memory for `coming` samples: grows by half, up to about `max_samples`.
fn reserve_samples(
    samples: &mut Vec<f32>,
    coming: usize,
    max_samples: usize,
    hooks: &dyn DecodeHooks,
) -> Result<(), DecodeError> {
    if samples.capacity() - samples.len() >= coming {
        return Ok(());
    }
    let half_more = (samples.len() + samples.len() / 2).min(max_samples);
    let wanted = half_more.max(samples.len() + coming);
    if !hooks.reserve((wanted - samples.capacity()) * size_of::<f32>()) {
        return Err(DecodeError::NoMemory);
    }
    samples.reserve_exact(wanted - samples.len());
    Ok(())
}

impl Stage {
    fn new(shape: Shape, rate_hz: u32) -> Result<Self, DecodeError> {
        let resampler = if shape.rate == rate_hz {
            None
        } else {
            let made = Resampler::new(shape.rate, rate_hz);
            Some(made.ok_or_else(|| DecodeError::malformed("audio", format!("rate of {} Hz", shape.rate)))?)
        };
        let width = shape.channels.count();
        Ok(Self { downmix: Downmix::new(downmix::weights(&shape.channels)), width, shape, resampler })
    }
}

/// Samples up to this peak are not changed: lossy codecs overshoot full scale, but by less than this.
const OVERSHOOT: f32 = 4.0;

/// Scales audio of another range (for example integers stored as floats) down to full scale.
///
/// The scale is chosen without the largest thousandth of the samples, so that a few outliers do not silence the
/// rest; those are clipped.
fn limit_peaks(samples: &mut [f32]) {
    let peak = samples.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
    if peak <= OVERSHOOT {
        return;
    }
    // Powers of two are accurate enough here; the biased exponent of a float is the index.
    let mut counts = [0usize; 256];
    samples.iter().for_each(|x| counts[((x.to_bits() >> 23) & 0xff) as usize] += 1);
    let mut above = 0;
    let exponent = (0..256usize).rev().find(|&exponent| {
        above += counts[exponent];
        above * 1000 > samples.len()
    });
    let scale = (exponent.unwrap_or(127) as i32 - 126).max(0);
    let gain = if scale > OVERSHOOT.log2() as i32 { (-scale as f32).exp2() } else { 1.0 };
    samples.iter_mut().for_each(|x| *x = (*x * gain).clamp(-1.0, 1.0));
}
