//! The audio of a request: the part of it that is decoded, as windows of mel frames, and the mapping back to its own times.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use mynah_audio::mel::{HOP_LENGTH, LogMel};
use mynah_audio::vad;
use mynah_core::{AudioInput, BatchShare, JobContext, ModelError, TranscribeOptions, Word};

use super::WINDOW_FRAMES;
use crate::longform::timeline::Timeline;
use crate::longform::{SAMPLE_RATE_HZ, chunks, hundredths};
use crate::whisper::{DecoderState, EncoderContext, WhisperBackend};

/// Amplitude below which audio counts as silent: three steps of 16-bit samples.
const AUDIBLE: f32 = 1e-4;

/// A request's audio and the model that decodes it.
pub(super) struct Recording<'a> {
    backend: &'a dyn WhisperBackend,
    mel: &'a LogMel,
    /// The decoded audio: the recording, or its speech segments concatenated.
    samples: Cow<'a, [f32]>,
    peak: f32,
    timeline: Option<Arc<Timeline>>,
    duration_s: f64,
}

impl<'a> Recording<'a> {
    /// If the speech segments are given, only they are decoded.
    pub(super) fn new(backend: &'a dyn WhisperBackend, mel: &'a LogMel, audio: AudioInput<'a>) -> Self {
        let AudioInput { samples, speech } = audio;
        let duration_s = samples.len() as f64 / SAMPLE_RATE_HZ;
        let timeline = speech.map(|speech| Arc::new(Timeline::new(speech.iter().cloned(), samples.len())));
        let samples =
            timeline.as_ref().map_or(Cow::Borrowed(samples), |t| Cow::Owned(t.concatenate(samples)));
        let peak = mel.peak(&samples);
        Self { backend, mel, samples, peak, timeline, duration_s }
    }

    /// The recording, cut after `frames` frames.
    pub(super) fn until(&self, frames: usize) -> Recording<'_> {
        let samples = Cow::Borrowed(&self.samples[..self.samples.len().min(frames * HOP_LENGTH)]);
        Recording { samples, timeline: self.timeline.clone(), ..*self }
    }

    /// Energy of each whole frame of 10 ms.
    pub(super) fn frame_energies(&self) -> Vec<f32> {
        chunks::frame_energies(&self.samples)
    }

    /// Length of the whole recording, seconds.
    pub(super) fn duration_s(&self) -> f64 {
        self.duration_s
    }

    /// Number of whole frames of 10 ms to decode.
    pub(super) fn content_frames(&self) -> usize {
        self.samples.len() / HOP_LENGTH
    }

    /// Frames of audio in the window that begins at `first_frame`.
    pub(super) fn window_frames(&self, first_frame: usize) -> usize {
        self.content_frames().saturating_sub(first_frame).min(WINDOW_FRAMES)
    }

    fn window(&self, first_frame: usize) -> &[f32] {
        let start = first_frame * HOP_LENGTH;
        &self.samples[start..start + self.window_frames(first_frame) * HOP_LENGTH]
    }

    /// Whether the window that begins at `first_frame` has no audible sample.
    pub(super) fn is_silent(&self, first_frame: usize) -> bool {
        self.window(first_frame).iter().all(|sample| sample.abs() < AUDIBLE)
    }

    /// Speech segments in the window that begins at `first_frame`, in seconds of the decoded audio.
    pub(super) fn speech_s(&self, first_frame: usize) -> Vec<Range<f64>> {
        let window = self.window(first_frame);
        if self.timeline.is_some() {
            let all = 0..window.len();
            return vec![seconds(first_frame, &all)];
        }
        let unpadded =
            vad::Segmentation { prefix_padding_ms: 0, suffix_padding_ms: 0, ..vad::Segmentation::PHRASES };
        vad::speech_segments(window, &unpadded).iter().map(|stretch| seconds(first_frame, stretch)).collect()
    }

    /// Encodes the window that begins at `first_frame`.
    pub(super) fn encode<'b>(
        &'b self,
        first_frame: usize,
        encoder_context: EncoderContext,
        context: JobContext<'b>,
    ) -> Result<Box<dyn DecoderState + 'b>, ModelError> {
        let mel = self.mel.window(&self.samples, first_frame, self.window_frames(first_frame), self.peak);
        self.backend.encode(&mel, encoder_context, context)
    }

    /// Number of windows to decode in parallel, whose steps are faster together.
    pub(super) fn windows_at_once(&self, options: &TranscribeOptions) -> usize {
        self.backend.rows_at_once() / options.whisper.beam_size.max(1)
    }

    /// A window's share of a shared step.
    pub(super) fn share(&self, options: &TranscribeOptions) -> BatchShare {
        BatchShare::of(options.whisper.beam_size, self.backend.rows_at_once())
    }

    /// Maps a start time from the decoded audio to the recording.
    pub(super) fn start_s(&self, decoded_s: f64) -> f64 {
        self.within(self.timeline.as_ref().map_or(decoded_s, |t| t.start_s(decoded_s)))
    }

    /// Maps an end time from the decoded audio to the recording.
    pub(super) fn end_s(&self, decoded_s: f64) -> f64 {
        self.within(self.timeline.as_ref().map_or(decoded_s, |t| t.end_s(decoded_s)))
    }

    /// Maps a word's times from the decoded audio to the recording.
    pub(super) fn map_word(&self, word: Word) -> Word {
        let (start_s, end_s) = match &self.timeline {
            Some(timeline) => timeline.span_s(word.start_s, word.end_s),
            None => (word.start_s, word.end_s),
        };
        Word { start_s: self.within(start_s), end_s: self.within(end_s), ..word }
    }

    /// Limits a time to the recording, as the model may set times in the padding after it.
    fn within(&self, seconds: f64) -> f64 {
        hundredths(seconds).min(self.duration_s)
    }
}

/// Times of a range of samples of the window that begins at `first_frame`.
fn seconds(first_frame: usize, samples: &Range<usize>) -> Range<f64> {
    let at = |sample: usize| (first_frame * HOP_LENGTH + sample) as f64 / SAMPLE_RATE_HZ;
    at(samples.start)..at(samples.end)
}
