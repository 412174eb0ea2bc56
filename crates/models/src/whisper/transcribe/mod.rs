//! From a recording to a transcript: windows of 30 s, each beginning where the last timestamp of the one before says
//! that the text is finished, and given that text; or, where it is not, pieces of the recording side by side.

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
use crate::whisper::{Config, EncoderContext, Network, WindowDecoder};

use language::Detection;
use recording::Recording;
use request::Spoken;
use sequential::Walk;

/// The parts of a model that a transcription needs.
#[derive(Clone, Copy)]
pub(super) struct WhisperModel<'a> {
    pub(super) network: &'a dyn Network,
    pub(super) config: &'a Config,
    pub(super) tokenizer: &'a WhisperTokenizer,
    pub(super) mel: &'a LogMel,
}

/// Frames of 10 ms that the model sees at once: 30 s.
const WINDOW_FRAMES: usize = 3000;

/// Transcribes 16 kHz mono samples. Segments are told to `sink` as they become final, on this thread.
///
/// # Errors
/// [`ModelError::Unsupported`] and [`ModelError::InvalidInput`] for what the model or the options cannot mean,
/// [`ModelError::Cancelled`] at most one step of the network after it was asked for, and what the network gives.
pub(super) fn transcribe(
    model: &WhisperModel<'_>,
    audio: AudioInput<'_>,
    options: &TranscribeOptions,
    context: JobContext<'_>,
    sink: &mut dyn TranscriptSink,
) -> Result<Transcript, ModelError> {
    let spoken = request::check(model.tokenizer, options)?;
    let recording = Recording::new(model.network, model.mel, audio);

    let (languages, first_window) = match &spoken {
        Spoken::Given(code) => (vec![((*code).to_owned(), 1.0)], None),
        Spoken::Among(codes) => {
            let windows = options.whisper.language_detection_windows;
            let detection = Detection::new(model.tokenizer, codes, windows);
            let window = encoder_context(model.config, options);
            detect_language(&recording, detection, window, recording.share(options), context)?
        }
    };
    // No language stands out where nothing was heard.
    let (language, language_probability) = languages.first().cloned().unwrap_or(("en".to_owned(), 0.0));
    sink.event(TranscriptEvent::Language(language.clone(), language_probability));

    let WhisperModel { config, tokenizer, .. } = *model;
    let is_sequential =
        options.whisper.condition_on_previous_text || recording.content_frames() <= WINDOW_FRAMES;
    let segments = if is_sequential {
        let walk = Walk::new(&recording, config, tokenizer, options, &language, context);
        walk.run(0, first_window, sink)?
    } else {
        side_by_side(&recording, config, tokenizer, options, &language, context, sink)?
    };
    Ok(Transcript {
        task: options.task,
        language,
        language_probability,
        languages: if matches!(spoken, Spoken::Given(_)) { Vec::new() } else { languages },
        duration_s: recording.duration_s(),
        segments,
    })
}

/// Transcribes the parts of a recording side by side. Where no window is given the text of the one before, all that ties them
/// together is where they begin; so the recording is cut in its pauses, and each part is walked through on its own.
fn side_by_side(
    recording: &Recording<'_>,
    config: &Config,
    tokenizer: &WhisperTokenizer,
    options: &TranscribeOptions,
    language: &str,
    context: JobContext<'_>,
    sink: &mut dyn TranscriptSink,
) -> Result<Vec<Arc<Segment>>, ModelError> {
    let parts = cut_at_pauses(&recording.frame_energies(), WINDOW_FRAMES);
    // It stands before the first window only.
    let later_options = TranscribeOptions { initial_prompt: None, ..options.clone() };
    let walk = |number: usize, context: JobContext<'_>| {
        let part = &parts[number];
        let recording = recording.until(part.end);
        let options = if number == 0 { options } else { &later_options };
        // Segments are reported once it is their turn.
        Walk::new(&recording, config, tokenizer, options, language, context).run(part.start, None, &mut ())
    };
    let mut segments: Vec<Arc<Segment>> = Vec::new();
    let mut on_part = |number: usize, of_part: Vec<Arc<Segment>>| {
        for mut segment in of_part {
            Arc::make_mut(&mut segment).id = segments.len();
            sink.event(TranscriptEvent::Segment(Arc::clone(&segment)));
            segments.push(segment);
        }
        let done_s = recording.end_s(parts[number].end as f64 / 100.0);
        sink.event(TranscriptEvent::Progress(done_s));
    };
    let workers = recording.windows_at_once(options);
    transcribe_parts(parts.len(), workers, context, &walk, &mut on_part)?;
    sink.event(TranscriptEvent::Progress(recording.duration_s()));
    Ok(segments)
}

/// What is computed of windows with less audio. Translations always see the full window: trimmed ones cost them 1.4 points of
/// word error rate, and their probabilities do not tell which.
fn encoder_context(config: &Config, options: &TranscribeOptions) -> EncoderContext {
    match (options.task, options.whisper.audio_context) {
        (Task::Translate, _) | (_, AudioContext::Full) => EncoderContext::Full,
        (_, AudioContext::Trimmed) => EncoderContext::Trimmed,
        (_, AudioContext::Auto) if config.is_measured_trimmed() => EncoderContext::Trimmed,
        (_, AudioContext::Auto) => EncoderContext::Full,
    }
}

/// Languages by probability, and the first window, which need not be encoded again.
type Detected<'a> = (Vec<(String, f32)>, Option<Box<dyn WindowDecoder + 'a>>);

fn detect_language<'a>(
    recording: &'a Recording<'_>,
    mut detection: Detection,
    window: EncoderContext,
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
        let _turn = context.enter_batch(first_frame as f64 / 100.0, share)?;
        let mut decoder = recording.encode(first_frame, window, context)?;
        detection.look(&mut *decoder)?;
        if first_frame == 0 {
            first_window = Some(decoder);
        }
    }
    Ok((detection.ranking(), first_window))
}
