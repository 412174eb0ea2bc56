//! From a recording to a transcript: windows of 30 s, each beginning where the last timestamp of the one before says
//! that the text is finished, and given that text; or, where it is not, pieces of the recording side by side.

mod alignment;
mod attempt;
mod doubt;
mod dtw;
mod hallucination;
mod language;
mod pieces;
mod prompt;
mod recording;
mod request;
mod segments;
#[cfg(test)]
mod tests;
mod timeline;
mod walk;
mod words;

use mynah_audio::mel::LogMel;
use mynah_text::whisper_tokenizer::WhisperTokenizer;

use crate::whisper::{Config, Network, WindowDecoder};
use crate::{
    Control, EncoderWindow, Error, Observer, Share, Task, TranscribeOptions, Transcript, TranscriptEvent,
};

use language::Detection;
use recording::Recording;
use request::Spoken;
use walk::Walk;

/// Samples a second.
const SAMPLE_RATE_HZ: f64 = mynah_audio::SAMPLE_RATE as f64;
/// Frames of 10 ms that the model sees at once: 30 s.
const WINDOW_FRAMES: usize = 3000;

/// Rounds a time to hundredths of a second.
fn hundredths(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}

/// Transcribes 16 kHz mono samples. Segments are told to `observer` as they become final, on this thread.
///
/// # Errors
/// [`Error::Unsupported`] and [`Error::BadInput`] for what the model or the options cannot mean,
/// [`Error::Cancelled`] at most one step of the network after it was asked for, and what the network gives.
#[expect(clippy::too_many_arguments, reason = "the parts of a model, a request and its surroundings")]
pub fn transcribe(
    network: &dyn Network,
    config: &Config,
    tokenizer: &WhisperTokenizer,
    mel: &LogMel,
    samples: &[f32],
    options: &TranscribeOptions,
    control: Control<'_>,
    observer: &mut dyn Observer,
) -> Result<Transcript, Error> {
    let spoken = request::check(tokenizer, options)?;
    let recording = Recording::new(network, mel, samples, options.vad.as_ref());

    let (languages, first_window) = match &spoken {
        Spoken::Given(code) => (vec![((*code).to_owned(), 1.0)], None),
        Spoken::Among(codes) => {
            let detection = Detection::new(tokenizer, codes, options.language_detection_windows);
            detect_language(
                &recording,
                detection,
                encoder_window(options),
                recording.share(options),
                control,
            )?
        }
    };
    // No language stands out where nothing was heard.
    let (language, language_probability) = languages.first().cloned().unwrap_or(("en".to_owned(), 0.0));
    observer.event(TranscriptEvent::Language(language.clone(), language_probability));

    let segments = if options.condition_on_previous_text || recording.content_frames() <= WINDOW_FRAMES {
        Walk::new(&recording, config, tokenizer, options, &language, control).run(
            0,
            first_window,
            observer,
        )?
    } else {
        pieces::side_by_side(&recording, config, tokenizer, options, &language, control, observer)?
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

/// What is computed of windows with less audio. Translations are heard in full: fitted windows cost them 1.4 points of word
/// error rate, and their probabilities do not tell which.
fn encoder_window(options: &TranscribeOptions) -> EncoderWindow {
    match options.task {
        Task::Transcribe => options.encoder_window,
        Task::Translate => EncoderWindow::Full,
    }
}

/// Languages by probability, and the first window, which need not be encoded again.
type Detected<'a> = (Vec<(String, f32)>, Option<Box<dyn WindowDecoder + 'a>>);

fn detect_language<'a>(
    recording: &'a Recording<'_>,
    mut detection: Detection,
    window: EncoderWindow,
    share: Share,
    control: Control<'a>,
) -> Result<Detected<'a>, Error> {
    let mut first_window = None;
    for first_frame in (0..recording.content_frames()).step_by(WINDOW_FRAMES) {
        if !detection.wants_more() {
            break;
        }
        if recording.is_silent(first_frame) {
            continue;
        }
        let _turn = control.window(first_frame as f64 / 100.0, share)?;
        let mut decoder = recording.encode(first_frame, window, control)?;
        detection.look(&mut *decoder)?;
        if first_frame == 0 {
            first_window = Some(decoder);
        }
    }
    Ok((detection.ranking(), first_window))
}
