//! The driver for models that take a few seconds of audio at a time and give text without times: the recording is cut where
//! nobody speaks, and every chunk becomes a segment with the times of its speech.

use std::ops::Range;
use std::sync::Arc;

use mynah_audio::mel::HOP_LENGTH;
use mynah_audio::vad;
use mynah_core::{
    AudioInput, BatchShare, JobContext, ModelError, Segment, Task, TokenLogprob, Transcript, TranscriptEvent,
    TranscriptSink,
};

use super::chunks::{cut_bounded, frame_energies};
use super::parallel::transcribe_parts;
use super::stitch::without_repeated;
use super::{SAMPLE_RATE_HZ, hundredths};

/// Speech that follows within this time belongs to the same chunk, while there is room in it.
const MAX_GAP_S: f64 = 1.0;
/// How much two chunks overlap where speech had to be cut.
const OVERLAP_FRAMES: usize = 60;

/// What a model makes of one chunk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChunkText {
    /// The text.
    pub text: String,
    /// Token ids; empty where the model has none.
    pub tokens: Vec<u32>,
    /// The tokens with their log probabilities; empty where the model has none.
    pub logprobs: Vec<TokenLogprob>,
}

/// What the driver needs to know of a model and a request.
#[derive(Clone, Debug)]
pub struct ChunkedOptions {
    /// Longest audio that the model takes, seconds.
    pub max_chunk_s: f64,
    /// Chunks that are better computed together than one after the other.
    pub chunks_at_once: usize,
    /// What was asked for.
    pub task: Task,
    /// Code of the spoken language.
    pub language: String,
}

/// Samples of a chunk.
struct Chunk {
    samples: Range<usize>,
    /// It begins before the end of the chunk before.
    overlaps: bool,
}

/// Transcribes a recording of any length, several chunks at once. `recognize` gets 16 kHz samples of at most
/// `options.max_chunk_s` and computes under the context's step permits.
///
/// # Errors
/// What `recognize` fails with, or [`ModelError::Cancelled`].
pub fn transcribe_chunks(
    audio: AudioInput<'_>,
    options: &ChunkedOptions,
    context: JobContext<'_>,
    sink: &mut dyn TranscriptSink,
    recognize: &(dyn Fn(&[f32], JobContext<'_>) -> Result<ChunkText, ModelError> + Sync),
) -> Result<Transcript, ModelError> {
    let chunks = chunks(audio, options.max_chunk_s);
    let duration_s = audio.samples.len() as f64 / SAMPLE_RATE_HZ;
    sink.event(TranscriptEvent::Language(options.language.clone(), 1.0));
    let share = BatchShare::of(1, options.chunks_at_once);
    let recognize = |number: usize, context: JobContext<'_>| {
        let samples = &chunks[number].samples;
        let _permit = context.enter_batch(seconds(samples.start), share)?;
        recognize(&audio.samples[samples.clone()], context)
    };
    let mut segments: Vec<Arc<Segment>> = Vec::new();
    let mut previous = String::new();
    let mut on_chunk = |number: usize, recognized: ChunkText| {
        let Chunk { samples, overlaps } = &chunks[number];
        let ChunkText { text, tokens, logprobs } = recognized;
        let new = if *overlaps { without_repeated(&previous, &text) } else { &text }.trim();
        if new.contains(char::is_alphanumeric) {
            let segment = Arc::new(Segment {
                id: segments.len(),
                start_s: hundredths(seconds(samples.start)),
                end_s: hundredths(seconds(samples.end)),
                // Scripts that write words apart have a space between segments too.
                text: if new.starts_with(is_written_without_spaces) {
                    new.to_owned()
                } else {
                    format!(" {new}")
                },
                tokens,
                logprobs,
                ..Segment::default()
            });
            sink.event(TranscriptEvent::Segment(Arc::clone(&segment)));
            segments.push(segment);
        }
        sink.event(TranscriptEvent::Progress(seconds(samples.end)));
        previous = text;
    };
    transcribe_parts(chunks.len(), options.chunks_at_once, context, &recognize, &mut on_chunk)?;
    sink.event(TranscriptEvent::Progress(duration_s));
    Ok(Transcript {
        task: options.task,
        language: options.language.clone(),
        language_probability: 1.0,
        languages: Vec::new(),
        duration_s,
        segments,
    })
}

fn seconds(sample: usize) -> f64 {
    sample as f64 / SAMPLE_RATE_HZ
}

/// Chinese characters, kana and Thai.
fn is_written_without_spaces(c: char) -> bool {
    matches!(c, '\u{0e00}'..='\u{0e7f}' | '\u{3000}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ff00}'..='\u{ffef}')
}

/// The chunks of a recording: its speech, as the request had it detected or else as it is detected here.
fn chunks(audio: AudioInput<'_>, max_chunk_s: f64) -> Vec<Chunk> {
    let max_samples = ((max_chunk_s * SAMPLE_RATE_HZ) as usize).max(HOP_LENGTH * 200);
    let detected;
    let speech = match audio.speech {
        Some(speech) => speech,
        None => {
            detected = vad::speech_stretches(audio.samples, &vad::VadOptions::default());
            &detected
        }
    };
    let mut chunks = Vec::new();
    for spoken in merge(speech, max_samples) {
        if spoken.len() <= max_samples {
            chunks.push(Chunk { samples: spoken, overlaps: false });
            continue;
        }
        let energies = frame_energies(&audio.samples[spoken.clone()]);
        let frames = 0..energies.len();
        for part in cut_bounded(&energies, frames, max_samples / HOP_LENGTH, OVERLAP_FRAMES) {
            let at = |frame: usize| spoken.start + frame * HOP_LENGTH;
            chunks
                .push(Chunk { samples: at(part.frames.start)..at(part.frames.end), overlaps: part.overlaps });
        }
    }
    chunks
}

/// Stretches of speech, those with a short gap between them as one while they fit into a chunk.
fn merge(speech: &[Range<usize>], max_samples: usize) -> Vec<Range<usize>> {
    let mut merged: Vec<Range<usize>> = Vec::new();
    for spoken in speech.iter().filter(|spoken| !spoken.is_empty()) {
        match merged.last_mut() {
            Some(last)
                if seconds(spoken.start.saturating_sub(last.end)) <= MAX_GAP_S
                    && spoken.end - last.start <= max_samples =>
            {
                last.end = spoken.end;
            }
            _ => merged.push(spoken.clone()),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use mynah_core::CancelFlag;

    use super::*;

    const SECOND: usize = 16_000;

    fn options() -> ChunkedOptions {
        ChunkedOptions { max_chunk_s: 15.0, chunks_at_once: 2, task: Task::Transcribe, language: "en".into() }
    }

    /// A tone that is loud but for the last tenth of every tenth second.
    fn samples(seconds: usize) -> Vec<f32> {
        let loud = |i: usize| !(i / SECOND % 10 == 9 && i % SECOND > SECOND / 10);
        (0..seconds * SECOND).map(|i| if loud(i) { (i as f32 * 0.3).sin() } else { 0.0 }).collect()
    }

    fn transcribe(samples: &[f32], speech: &[Range<usize>]) -> Transcript {
        let cancel = CancelFlag::new();
        let recognize = |samples: &[f32], _: JobContext<'_>| {
            assert!(samples.len() <= 15 * SECOND);
            Ok(ChunkText { text: format!("{} samples", samples.len()), ..ChunkText::default() })
        };
        let input = AudioInput { samples, speech: Some(speech) };
        let context = JobContext::unscheduled(&cancel);
        transcribe_chunks(input, &options(), context, &mut (), &recognize).unwrap()
    }

    #[test]
    fn short_gaps_are_closed_and_long_speech_is_cut() {
        let audio = samples(60);
        let speech = [SECOND..2 * SECOND, 2 * SECOND + 100..4 * SECOND, 8 * SECOND..58 * SECOND];
        let transcript = transcribe(&audio, &speech);
        let times: Vec<_> = transcript.segments.iter().map(|s| (s.start_s, s.end_s)).collect();
        assert_eq!(times[0], (1.0, 4.0));
        assert_eq!((times[1].0, times.last().unwrap().1), (8.0, 58.0));
        assert!(times.windows(2).skip(1).all(|pair| pair[0].1 == pair[1].0), "cut in pauses: {times:?}");
        assert!(times.len() >= 5 && transcript.duration_s == 60.0);
        assert_eq!(transcript.segments[0].text, " 48000 samples");
    }

    #[test]
    fn silence_has_no_text() {
        let transcript = transcribe(&samples(10), &[]);
        assert_eq!((transcript.text().as_str(), transcript.segments.len()), ("", 0));
    }
}
