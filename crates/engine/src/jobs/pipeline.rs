//! The stages of a transcription. Each is a function from one type to the next:
//!
//! ```text
//! AudioSource --decode--> DecodedAudio --detect_speech--> SpeechSegments --transcribe--> Transcript
//! ```
//!
//! Words are aligned within `transcribe`, by models that can: where a window's last word ends decides where the next window
//! begins. Diarization needs only the samples and the finished segments, so that stage follows `transcribe`
//! ([`assign_speakers`](mynah_core::assign_speakers)). The transcript is rendered by the caller, with `mynah-format`.

use std::ops::Range;

use mynah_audio::{DecodeLimits, Decoded, vad};
use mynah_core::{
    AudioInput, CancelFlag, JobContext, TranscribeOptions, Transcriber, Transcript, TranscriptSink,
    VadOptions,
};

use crate::Error;
use crate::jobs::audio;
use crate::jobs::request_memory::Reservation;
use crate::jobs::transcription::AudioSource;

/// A request's audio.
pub(crate) struct DecodedAudio {
    /// Mono, 16 kHz.
    pub(crate) samples: Vec<f32>,
    /// Length, seconds.
    pub(crate) duration_s: f64,
}

/// Speech segments, in samples, in order and disjoint.
pub(crate) struct SpeechSegments(Vec<Range<usize>>);

/// Decodes the audio; reserves the memory of its samples in `memory`.
pub(crate) fn decode(
    source: AudioSource,
    limits: &DecodeLimits,
    memory: &mut Reservation,
    cancel: &CancelFlag,
) -> Result<DecodedAudio, Error> {
    let Decoded { samples, info } = audio::decode(source, mynah_audio::SAMPLE_RATE, limits, memory, cancel)?;
    Ok(DecodedAudio { samples, duration_s: info.duration_s })
}

/// Detects speech.
pub(crate) fn detect_speech(audio: &DecodedAudio, options: &VadOptions) -> SpeechSegments {
    let VadOptions { threshold, prefix_padding_ms, silence_duration_ms } = *options;
    let segmentation =
        vad::Segmentation { threshold, prefix_padding_ms, silence_duration_ms, ..vad::Segmentation::PHRASES };
    SpeechSegments(vad::speech_segments(&audio.samples, &segmentation))
}

/// Transcribes the audio, or only its speech segments, and aligns words if requested.
pub(crate) fn transcribe(
    model: &dyn Transcriber,
    audio: &DecodedAudio,
    speech: Option<&SpeechSegments>,
    options: &TranscribeOptions,
    context: JobContext<'_>,
    sink: &mut dyn TranscriptSink,
) -> Result<Transcript, Error> {
    let input = AudioInput { samples: &audio.samples, speech: speech.map(|speech| &speech.0[..]) };
    Ok(model.transcribe(input, options, context, sink)?)
}
