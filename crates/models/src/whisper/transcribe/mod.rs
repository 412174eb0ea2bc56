//! From a recording to a transcript. Sequential: windows of 30 s, each of which starts at the last timestamp of the previous
//! one and is conditioned on its text. Chunked, without that conditioning: parts of the recording in parallel.

mod alignment;
mod dtw;
mod fallback;
mod hallucination;
mod language;
mod prompt;
mod quality;
mod recording;
mod request;
mod segments;
mod sequential;
#[cfg(test)]
mod tests;
mod words;

use std::sync::Arc;

use mynah_audio::mel::LogMel;
use mynah_core::{
    AudioContext, AudioInput, BatchShare, JobContext, ModelError, Segment, Task, TranscribeOptions,
    Transcript, TranscriptEvent, TranscriptSink,
};
use mynah_text::whisper_tokenizer::WhisperTokenizer;

use crate::longform::chunks::cut_at_pauses;
use crate::longform::parallel::transcribe_parts;
use crate::whisper::{Config, DecoderState, EncoderContext, WhisperBackend};

use language::Detection;
use recording::Recording;
use request::LanguageChoice;
use sequential::SequentialTranscriber;

/// The parts of a model that a transcription needs.
#[derive(Clone, Copy)]
pub(super) struct WhisperModel<'a> {
    pub(super) backend: &'a dyn WhisperBackend,
    pub(super) config: &'a Config,
    pub(super) tokenizer: &'a WhisperTokenizer,
    pub(super) mel: &'a LogMel,
}

/// Frames of 10 ms per window: 30 s.
const WINDOW_FRAMES: usize = 3000;

/// Transcribes 16 kHz mono samples. Segments are reported to `sink` as they become final, on this thread.
///
/// # Errors
/// [`ModelError::Unsupported`] and [`ModelError::InvalidInput`] for options that are not valid for this model,
/// [`ModelError::Cancelled`] at most one step after cancellation, and errors of the model.
pub(super) fn transcribe(
    model: &WhisperModel<'_>,
    audio: AudioInput<'_>,
    options: &TranscribeOptions,
    context: JobContext<'_>,
    sink: &mut dyn TranscriptSink,
) -> Result<Transcript, ModelError> {
    let language_choice = request::check(model.tokenizer, options)?;
    let recording = Recording::new(model.backend, model.mel, audio);

    let (languages, first_window) = match &language_choice {
        LanguageChoice::Given(code) => (vec![((*code).to_owned(), 1.0)], None),
        LanguageChoice::Detect(codes) => {
            let windows = options.whisper.language_detection_windows;
            let detection = Detection::new(model.tokenizer, codes, windows);
            let encoder_context = encoder_context(model.config, options);
            detect_language(&recording, detection, encoder_context, recording.share(options), context)?
        }
    };
    // Without audible audio no language is detected.
    let (language, language_probability) = languages.first().cloned().unwrap_or(("en".to_owned(), 0.0));
    sink.event(TranscriptEvent::Language(language.clone(), language_probability));

    let WhisperModel { config, tokenizer, .. } = *model;
    let is_sequential =
        options.whisper.condition_on_previous_text || recording.content_frames() <= WINDOW_FRAMES;
    let segments = if is_sequential {
        let transcriber =
            SequentialTranscriber::new(&recording, config, tokenizer, options, &language, context);
        transcriber.run(0, first_window, sink)?
    } else {
        transcribe_chunked(&recording, config, tokenizer, options, &language, context, sink)?
    };
    Ok(Transcript {
        task: options.task,
        language,
        language_probability,
        languages: if matches!(language_choice, LanguageChoice::Given(_)) { Vec::new() } else { languages },
        duration_s: recording.duration_s(),
        segments,
    })
}

/// Transcribes the parts of a recording in parallel. Windows that are not conditioned on previous text depend on one another only
/// through their start times, so the recording is cut at pauses and each part is transcribed on its own.
fn transcribe_chunked(
    recording: &Recording<'_>,
    config: &Config,
    tokenizer: &WhisperTokenizer,
    options: &TranscribeOptions,
    language: &str,
    context: JobContext<'_>,
    sink: &mut dyn TranscriptSink,
) -> Result<Vec<Arc<Segment>>, ModelError> {
    let parts = cut_at_pauses(&recording.frame_energies(), WINDOW_FRAMES);
    // The prompt applies to the first window only.
    let later_options = TranscribeOptions { initial_prompt: None, ..options.clone() };
    let transcribe_part = |number: usize, context: JobContext<'_>| {
        let part = &parts[number];
        let recording = recording.until(part.end);
        let options = if number == 0 { options } else { &later_options };
        // Segments are reported by `on_part`, in order.
        SequentialTranscriber::new(&recording, config, tokenizer, options, language, context).run(
            part.start,
            None,
            &mut (),
        )
    };
    let mut segments: Vec<Arc<Segment>> = Vec::new();
    let mut on_part = |number: usize, part_segments: Vec<Arc<Segment>>| {
        for mut segment in part_segments {
            Arc::make_mut(&mut segment).id = segments.len();
            sink.event(TranscriptEvent::Segment(Arc::clone(&segment)));
            segments.push(segment);
        }
        let done_s = recording.end_s(parts[number].end as f64 / 100.0);
        sink.event(TranscriptEvent::Progress(done_s));
    };
    let workers = recording.windows_at_once(options);
    transcribe_parts(parts.len(), workers, context, &transcribe_part, &mut on_part)?;
    sink.event(TranscriptEvent::Progress(recording.duration_s()));
    Ok(segments)
}

/// How much is encoded of windows with less audio. Translations always use the full window: trimming costs them 1.4 points of
/// word error rate, and their log probabilities do not show which windows suffer.
fn encoder_context(config: &Config, options: &TranscribeOptions) -> EncoderContext {
    match (options.task, options.whisper.audio_context) {
        (Task::Translate, _) | (_, AudioContext::Full) => EncoderContext::Full,
        (_, AudioContext::Trimmed) => EncoderContext::Trimmed,
        (_, AudioContext::Auto) if config.is_measured_trimmed() => EncoderContext::Trimmed,
        (_, AudioContext::Auto) => EncoderContext::Full,
    }
}

/// Languages by probability, and the first window's decoder, so that the window is not encoded twice.
type Detected<'a> = (Vec<(String, f32)>, Option<Box<dyn DecoderState + 'a>>);

fn detect_language<'a>(
    recording: &'a Recording<'_>,
    mut detection: Detection,
    encoder_context: EncoderContext,
    share: BatchShare,
    context: JobContext<'a>,
) -> Result<Detected<'a>, ModelError> {
    let mut first_window = None;
    for first_frame in (0..recording.content_frames()).step_by(WINDOW_FRAMES) {
        if !detection.wants_more() {
            break;
        }
        if recording.is_silent(first_frame) {
            continue;
        }
        let _permit = context.enter_batch(first_frame as f64 / 100.0, share)?;
        let mut decoder = recording.encode(first_frame, encoder_context, context)?;
        detection.add_window(&mut *decoder)?;
        if first_frame == 0 {
            first_window = Some(decoder);
        }
    }
    Ok((detection.ranking(), first_window))
}
