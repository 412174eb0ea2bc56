//! Files with packets of a codec: Symphonia demuxes them, and one of several decoders decodes them.

use std::io;

use symphonia::core::audio::Channels;
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known::{
    CODEC_ID_AAC, CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3, CODEC_ID_OPUS,
};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder};
use symphonia::core::errors::Error;
use symphonia::core::formats::{FormatReader, Track, TrackType};
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, TimeBase};
use symphonia::default::get_codecs;

use super::aac::Aac;
use super::format::Format;
use super::matroska;
use super::mp4;
use super::opus::Opus;
use super::packet::{Trim, Undecodable};
use super::sink::{Shape, Sink};
use super::sniff;
use super::source::Section;
use super::{DecodeError, DetectedFormat};

/// A decoder of one track's packets.
trait PacketDecoder {
    /// Appends the interleaved samples of a packet, or fails.
    fn decode(&mut self, packet: &Packet, out: &mut Vec<f32>) -> Result<(), Undecodable>;

    /// Rate and channels of the last packet.
    fn shape(&self) -> Shape;

    fn name(&self) -> &'static str;
}

struct Symphonia {
    decoder: Box<dyn AudioDecoder>,
    params: AudioCodecParameters,
    shape: Shape,
    /// Properties of the MPEG frames so far; when they change, a new decoder is needed.
    mpeg: Option<(u32, bool)>,
    block: Vec<f32>,
}

impl Symphonia {
    fn new(params: &AudioCodecParameters) -> Result<Self, Error> {
        Ok(Self {
            decoder: get_codecs().make_audio_decoder(params, &Default::default())?,
            params: params.clone(),
            shape: Shape {
                rate: params.sample_rate.unwrap_or(0),
                channels: params.channels.clone().unwrap_or(Channels::None),
            },
            mpeg: None,
            block: Vec::new(),
        })
    }
}

impl PacketDecoder for Symphonia {
    fn decode(&mut self, packet: &Packet, out: &mut Vec<f32>) -> Result<(), Undecodable> {
        if [CODEC_ID_MP1, CODEC_ID_MP2, CODEC_ID_MP3].contains(&self.params.codec) {
            let kind = sniff::mpeg_kind(&packet.data);
            if self.mpeg.is_some() && kind.is_some() && self.mpeg != kind {
                self.decoder = get_codecs()
                    .make_audio_decoder(&self.params, &Default::default())
                    .map_err(|_| Undecodable)?;
            }
            self.mpeg = kind.or(self.mpeg);
        }
        let buffer = self.decoder.decode(packet).map_err(|_| Undecodable)?;
        let spec = buffer.spec();
        self.shape = Shape { rate: spec.rate(), channels: spec.channels().clone() };
        buffer.copy_to_vec_interleaved(&mut self.block);
        out.extend_from_slice(&self.block);
        Ok(())
    }

    fn shape(&self) -> Shape {
        self.shape.clone()
    }

    fn name(&self) -> &'static str {
        self.decoder.codec_info().short_name
    }
}

impl PacketDecoder for Opus {
    fn decode(&mut self, packet: &Packet, out: &mut Vec<f32>) -> Result<(), Undecodable> {
        let from = out.len();
        self.decode(&packet.data, out)?;
        // The container counts samples at 48 kHz, whatever the decoder's rate.
        let width = self.shape().channels.count();
        let trim = (packet.trim_end.get() * u64::from(self.shape().rate) / 48_000) as usize * width;
        out.truncate(out.len().saturating_sub(trim).max(from));
        Ok(())
    }

    fn shape(&self) -> Shape {
        self.shape()
    }

    fn name(&self) -> &'static str {
        "opus"
    }
}

impl PacketDecoder for Aac {
    fn decode(&mut self, packet: &Packet, out: &mut Vec<f32>) -> Result<(), Undecodable> {
        self.decode(&packet.data, out)
    }

    fn shape(&self) -> Shape {
        self.shape()
    }

    fn name(&self) -> &'static str {
        "aac"
    }
}

/// Decodes the first audio track with a supported codec.
pub(super) fn decode(
    source: Section,
    format: Format,
    sink: &mut Sink<'_>,
) -> Result<DetectedFormat, DecodeError> {
    let (edits, delay) = match format {
        Format::Mp4 => (mp4::edits(&source)?, mp4::itunes_delay(&source)?),
        _ => (Vec::new(), None),
    };
    let source = match format {
        Format::Mp4 => mp4::repaired(source)?,
        Format::Matroska => matroska::repaired(source)?,
        _ => source,
    };
    let mut reader = format.open(source).map_err(|error| format.error(error))?;
    let mut codec = None;
    loop {
        let track = choose(reader.as_ref(), format)?.clone();
        let mut decoder = open_decoder(&track, format, sink)?;
        codec.get_or_insert(decoder.name());
        let edit = edits.iter().find(|(id, _)| *id == track.id).map(|(_, edit)| *edit);
        let margins = Margins { format, edit, delay };
        match play(reader.as_mut(), &track, decoder.as_mut(), &margins, sink)? {
            End::Stream => break,
            End::Reset => {}
        }
    }
    Ok(DetectedFormat { container: format.name(), codec: codec.unwrap_or("unknown") })
}

enum End {
    Stream,
    /// The tracks change here (chained streams).
    Reset,
}

/// Maximum number of undecodable packets before the first good one.
const MAX_LEADING_FAILURES: usize = 2_000;
/// Maximum silence in place of a damaged packet, in seconds.
const MAX_PATCH_S: f64 = 1.0;
/// Gaps between Ogg pages that are filled, in seconds: shorter ones are rounding errors, longer ones jumps of the clock.
const MIN_GAP_S: f64 = 0.05;
const MAX_GAP_S: f64 = 60.0;

fn play(
    reader: &mut dyn FormatReader,
    track: &Track,
    decoder: &mut dyn PacketDecoder,
    margins: &Margins,
    sink: &mut Sink<'_>,
) -> Result<End, DecodeError> {
    let mut block = Vec::new();
    let mut trim: Option<Trim> = None;
    let (mut good, mut bad) = (0usize, 0usize);
    let mut due: Option<i64> = None;
    let end = loop {
        sink.check_cancelled()?;
        let mut packet = match reader.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => break End::Stream,
            Err(Error::ResetRequired) => break End::Reset,
            Err(Error::IoError(error)) if error.raw_os_error().is_some() => return Err(error.into()),
            // An error after the first audio ends the recording.
            Err(_) if good > 0 || !sink.is_empty() => break End::Stream,
            Err(Error::IoError(error)) if error.kind() == io::ErrorKind::UnexpectedEof => break End::Stream,
            Err(error) => return Err(margins.format.error(error)),
        };
        if packet.track_id != track.id {
            continue;
        }
        if margins.format == Format::Mpeg && is_past_count(track, &packet) {
            packet.trim_end = Duration::ZERO;
        }
        // A damaged Ogg page is lost completely. Silence in its place preserves later times.
        let (pts, base) = (packet.pts.get(), track.time_base);
        let lost = due.map_or(0.0, |due| seconds(pts.saturating_sub(due).max(0) as u64, base));
        if margins.format == Format::Ogg && (MIN_GAP_S..MAX_GAP_S).contains(&lost) {
            let shape = decoder.shape();
            let frames = (lost * f64::from(shape.rate)) as usize;
            sink.push(&vec![0.0; frames * shape.channels.count()], &shape)?;
        }
        due = Some(pts.saturating_add_unsigned(packet.dur.get()));
        block.clear();
        if decoder.decode(&packet, &mut block).is_ok() {
            good += 1;
        } else {
            bad += 1;
            if good == 0 && bad > MAX_LEADING_FAILURES {
                break End::Stream;
            }
            if good == 0 {
                continue;
            }
            // Replaced by silence, too.
            block.clear();
            let shape = decoder.shape();
            let lasting = seconds(packet.dur.get(), base).min(MAX_PATCH_S);
            block.resize((lasting * f64::from(shape.rate)) as usize * shape.channels.count(), 0.0);
        }
        let shape = decoder.shape();
        let width = shape.channels.count();
        let trim = trim.get_or_insert_with(|| margins.trim(track, &packet, shape.rate));
        let frames = (block.len() / width.max(1)) as u64;
        let from = trim.skip.min(frames);
        let to = from + trim.keep.map_or(frames - from, |keep| keep.min(frames - from));
        trim.skip -= from;
        if let Some(keep) = &mut trim.keep {
            *keep -= to - from;
        }
        sink.push(&block[from as usize * width..to as usize * width], &shape)?;
        if trim.keep == Some(0) {
            break End::Stream;
        }
    };
    if good == 0 && bad > 0 && sink.is_empty() {
        return Err(DecodeError::malformed(decoder.name(), "none of its packets can be decoded"));
    }
    Ok(end)
}

fn seconds(ticks: u64, base: Option<TimeBase>) -> f64 {
    base.map_or(0.0, |base| ticks as f64 * f64::from(base.numer.get()) / f64::from(base.denom.get()))
}

/// Whether an MPEG packet comes after the number of frames given in the stream's first one. The rest must not be dropped:
/// in concatenated files the first count is too small.
fn is_past_count(track: &Track, packet: &Packet) -> bool {
    let counted = track.num_frames.map(|frames| frames.saturating_add(u64::from(track.padding.unwrap_or(0))));
    counted.is_some_and(|counted| packet.pts.get() >= counted.min(i64::MAX as u64) as i64)
}

/// What a container says about padding around the audio.
struct Margins {
    format: Format,
    edit: Option<mp4::Edit>,
    /// Frames before the audio, from a tag.
    delay: Option<u64>,
}

impl Margins {
    fn trim(&self, track: &Track, first: &Packet, rate: u32) -> Trim {
        let params = audio_params(track);
        let codec = params.map(|params| params.codec);
        let ticks = |ticks: u64| (seconds(ticks, track.time_base) * f64::from(rate)).round() as u64;
        let edited = self.edit.map_or_else(Trim::default, |edit| edit.trim(rate));
        // The Opus header gives the frames to drop; demuxers repeat it in different ways.
        if let Some(head) =
            params.filter(|_| codec == Some(CODEC_ID_OPUS)).and_then(|params| params.extra_data.as_deref())
        {
            return Trim { skip: Opus::pre_skip(head, rate), keep: edited.keep };
        }
        match self.format {
            Format::Mp4 if codec == Some(CODEC_ID_AAC) => {
                let skip = if edited.skip == 0 { self.delay.unwrap_or(0) } else { edited.skip };
                // Encoders differ in how they mark the end within the last packet, so it is kept completely.
                let unit = ticks(first.dur.get()).max(1);
                let keep = edited.keep.map(|keep| (skip + keep).div_ceil(unit).saturating_mul(unit) - skip);
                Trim { skip, keep }
            }
            Format::Mp4 => edited,
            Format::Caf => Trim { skip: u64::from(track.delay.unwrap_or(0)), keep: track.num_frames },
            Format::Matroska => Trim { skip: ticks(first.pts.get().min(0).unsigned_abs()), keep: None },
            _ => Trim::default(),
        }
    }
}

fn audio_params(track: &Track) -> Option<&AudioCodecParameters> {
    match &track.codec_params {
        Some(CodecParameters::Audio(params)) => Some(params),
        _ => None,
    }
}

fn decodable(params: &AudioCodecParameters) -> bool {
    params.codec == CODEC_ID_OPUS || get_codecs().get_audio_decoder(params.codec).is_some()
}

/// The default audio track, or the first one with a supported codec.
fn choose(reader: &dyn FormatReader, format: Format) -> Result<&Track, DecodeError> {
    let known = |track: &&Track| audio_params(track).is_some_and(decodable);
    let default = reader.default_track(TrackType::Audio).filter(known);
    default.or_else(|| reader.tracks().iter().find(known)).ok_or_else(|| {
        let sounds = reader.tracks().iter().filter(|track| audio_params(track).is_some()).count();
        // A track without parameters has a codec unknown to the demuxer, which may be audio.
        let unnamed = reader.tracks().iter().any(|track| track.codec_params.is_none());
        if sounds > 0 || unnamed {
            DecodeError::unsupported(format!("{} file with audio in an unsupported codec", format.name()))
        } else {
            DecodeError::no_audio(format!("the {} file has no audio track", format.name()))
        }
    })
}

fn open_decoder(
    track: &Track,
    format: Format,
    sink: &Sink<'_>,
) -> Result<Box<dyn PacketDecoder>, DecodeError> {
    let Some(params) = audio_params(track) else {
        return Err(DecodeError::no_audio("the track has no audio"));
    };
    if let (Some(rate), Some(channels)) = (params.sample_rate, &params.channels) {
        sink.check_shape(rate, channels.count())?;
    }
    if params.codec == CODEC_ID_OPUS {
        return Ok(Box::new(Opus::new(params)?));
    }
    if params.codec == CODEC_ID_AAC
        && let Some(aac) = Aac::new(params)
    {
        return Ok(Box::new(aac));
    }
    let decoder = Symphonia::new(params).map_err(|error| format.error(error))?;
    Ok(Box::new(decoder))
}
