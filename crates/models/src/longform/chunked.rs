//! The driver for models that take a few seconds of audio at a time and give text without timestamps: the recording is cut at
//! pauses, and every chunk becomes a segment with the times of its speech.

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

/// Speech segments with a gap of at most this go into the same chunk if they fit.
const MAX_GAP_S: f64 = 1.0;
/// Overlap of two chunks if the cut is within speech.
const OVERLAP_FRAMES: usize = 60;

/// The transcript of one chunk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChunkText {
    /// The text.
    pub text: String,
    /// Token ids; empty if the model has none. They are dropped if the beginning of the text is cut because it repeats the end of
    /// the previous chunk.
    pub tokens: Vec<u32>,
    /// The tokens with their log probabilities; empty if the model has none, and dropped like the tokens.
    pub logprobs: Vec<TokenLogprob>,
}

/// Transcribes a chunk: 16 kHz samples of at most [`ChunkedOptions::max_chunk_s`]. Computes under the context's step permits.
pub type Recognize<'a> = dyn Fn(&[f32], JobContext<'_>) -> Result<ChunkText, ModelError> + Sync + 'a;

/// The driver's parameters of a model and a request.
#[derive(Clone, Debug)]
pub struct ChunkedOptions {
    /// Maximum audio length of the model, seconds.
    pub max_chunk_s: f64,
    /// Number of chunks to transcribe in parallel.
    pub chunks_at_once: usize,
    /// The requested task.
    pub task: Task,
    /// Code of the spoken language.
    pub language: String,
}

/// Samples of a chunk.
struct Chunk {
    samples: Range<usize>,
    /// Whether it begins before the end of the previous chunk.
    overlaps: bool,
}

/// Transcribes a recording of any length, several chunks at once.
///
/// # Errors
/// Errors of `recognize`, or [`ModelError::Cancelled`].
pub fn transcribe_chunks(
    audio: AudioInput<'_>,
    options: &ChunkedOptions,
    context: JobContext<'_>,
    sink: &mut dyn TranscriptSink,
    recognize: &Recognize<'_>,
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
    let (mut previous, mut previous_end) = (String::new(), 0);
    let mut on_chunk = |number: usize, recognized: ChunkText| {
        let Chunk { samples, overlaps } = &chunks[number];
        let ChunkText { text, tokens, logprobs } = recognized;
        let new = if *overlaps { without_repeated(&previous, &text) } else { &text }.trim();
        if new.contains(char::is_alphanumeric) {
            // The overlap belongs to the previous chunk.
            let start = samples.start.max(if *overlaps { previous_end } else { 0 });
            let is_whole = new.len() == text.trim().len();
            let segment = Arc::new(Segment {
                id: segments.len(),
                start_s: hundredths(seconds(start)),
                end_s: hundredths(seconds(samples.end)),
                // Scripts with spaces between words have one between segments too.
                text: if new.starts_with(is_written_without_spaces) {
                    new.to_owned()
                } else {
                    format!(" {new}")
                },
                tokens: if is_whole { tokens } else { Vec::new() },
                logprobs: if is_whole { logprobs } else { Vec::new() },
                ..Segment::default()
            });
            sink.event(TranscriptEvent::Segment(Arc::clone(&segment)));
            segments.push(segment);
        }
        sink.event(TranscriptEvent::Progress(seconds(samples.end)));
        (previous, previous_end) = (text, samples.end);
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

/// The chunks of a recording: of its speech segments as given in the request, or else as detected here.
fn chunks(audio: AudioInput<'_>, max_chunk_s: f64) -> Vec<Chunk> {
    let max_samples = ((max_chunk_s * SAMPLE_RATE_HZ) as usize).max(HOP_LENGTH * 200);
    let detected;
    let speech = match audio.speech {
        Some(speech) => speech,
        None => {
            detected = vad::speech_segments(audio.samples, &vad::Segmentation::PHRASES);
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

/// Merges speech segments with short gaps as long as they fit into a chunk.
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
    use std::sync::Mutex;

    use mynah_core::{CancelFlag, StepScheduler};

    use super::*;

    const SECOND: usize = 16_000;

    fn options() -> ChunkedOptions {
        ChunkedOptions { max_chunk_s: 15.0, chunks_at_once: 2, task: Task::Transcribe, language: "en".into() }
    }

    /// A tone with a pause of 0.9 s at the end of every 10 s.
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

    /// Transcribes `audio` with the given scheduler.
    fn transcribe_with(
        audio: AudioInput<'_>,
        scheduler: &dyn StepScheduler,
        recognize: &(dyn Fn(&[f32]) -> Result<ChunkText, ModelError> + Sync),
    ) -> Result<(Transcript, Vec<TranscriptEvent>), ModelError> {
        let context = JobContext { cancel: &CancelFlag::new(), scheduler };
        let mut events = Events::default();
        let recognize = |samples: &[f32], _: JobContext<'_>| recognize(samples);
        let transcript = transcribe_chunks(audio, &options(), context, &mut events, &recognize)?;
        Ok((transcript, events.0))
    }

    #[derive(Default)]
    struct Events(Vec<TranscriptEvent>);

    impl TranscriptSink for Events {
        fn event(&mut self, event: TranscriptEvent) {
            self.0.push(event);
        }
    }

    fn text(text: &str) -> Result<ChunkText, ModelError> {
        Ok(ChunkText { text: text.to_owned(), ..ChunkText::default() })
    }

    #[test]
    fn speech_is_detected_if_the_request_does_not_give_it() {
        let silence = vec![0.0; 5 * SECOND];
        let nothing =
            |_: &[f32]| -> Result<ChunkText, ModelError> { panic!("there is nothing to recognize") };
        let (transcript, events) =
            transcribe_with(silence[..].into(), &mynah_core::Unscheduled, &nothing).unwrap();
        assert_eq!((transcript.segments.len(), transcript.duration_s), (0, 5.0));
        assert_eq!(events, [TranscriptEvent::Language("en".into(), 1.0), TranscriptEvent::Progress(5.0)]);
    }

    #[test]
    fn words_of_an_overlap_are_written_once() {
        // Speech without a pause, with four words per second; each sample encodes its position.
        let audio: Vec<f32> = (0..40 * SECOND).map(|i| 1.0 + i as f32 * 1e-6).collect();
        let position = |sample: f32| ((sample - 1.0) * 1e6).round() as usize;
        let recognize = |samples: &[f32]| {
            let words = position(samples[0]).div_ceil(SECOND / 4)
                ..position(samples[samples.len() - 1]) / (SECOND / 4) + 1;
            text(&words.map(|word| format!("w{word}")).collect::<Vec<_>>().join(" "))
        };
        let all = 0..audio.len();
        let speech = std::slice::from_ref(&all);
        let input = AudioInput { samples: &audio, speech: Some(speech) };
        let (transcript, _) = transcribe_with(input, &mynah_core::Unscheduled, &recognize).unwrap();
        assert!(transcript.segments.len() >= 3);
        // The times of segments do not overlap, although the audio of the chunks does.
        assert!(transcript.segments.windows(2).all(|pair| pair[1].start_s == pair[0].end_s));
        let expected: Vec<String> = (0..160).map(|word| format!("w{word}")).collect();
        assert_eq!(transcript.text(), expected.join(" "));
    }

    #[test]
    fn segments_are_reported_in_order_and_chunks_without_words_left_out() {
        let audio = samples(20);
        // The script recognises chunks by their lengths.
        let speech =
            [SECOND..2 * SECOND, 5 * SECOND..7 * SECOND, 10 * SECOND..13 * SECOND, 16 * SECOND..20 * SECOND];
        let recognize = |samples: &[f32]| {
            let texts = ["Hello.", " ... ", "\u{4f60}\u{597d}\u{3002}", "Bye."];
            let number = samples.len() / SECOND - 1;
            Ok(ChunkText { tokens: vec![number as u32], ..text(texts[number])? })
        };
        let input = AudioInput { samples: &audio, speech: Some(&speech) };
        let (transcript, events) = transcribe_with(input, &mynah_core::Unscheduled, &recognize).unwrap();
        let segments = transcript.segments.iter();
        let written: Vec<_> =
            segments.map(|s| (s.id, s.start_s, s.end_s, s.text.as_str(), s.tokens.as_slice())).collect();
        assert_eq!(
            written,
            [
                (0, 1.0, 2.0, " Hello.", &[0][..]),
                (1, 10.0, 13.0, "\u{4f60}\u{597d}\u{3002}", &[2]),
                (2, 16.0, 20.0, " Bye.", &[3]),
            ]
        );
        let segment = |index: usize| TranscriptEvent::Segment(Arc::clone(&transcript.segments[index]));
        assert_eq!(
            events,
            [
                TranscriptEvent::Language("en".into(), 1.0),
                segment(0),
                TranscriptEvent::Progress(2.0),
                TranscriptEvent::Progress(7.0),
                segment(1),
                TranscriptEvent::Progress(13.0),
                segment(2),
                TranscriptEvent::Progress(20.0),
                TranscriptEvent::Progress(20.0),
            ]
        );
    }

    /// Records what enters the batch, and how many are in it.
    #[derive(Clone, Copy)]
    struct Entries<'a>(&'a Mutex<(Vec<(f64, BatchShare)>, usize)>);

    impl StepScheduler for Entries<'_> {
        fn fork(&self) -> Box<dyn StepScheduler + Send + '_> {
            Box::new(*self)
        }

        fn enter_batch(&self, start_s: f64, share: BatchShare) {
            let mut entries = self.0.lock().unwrap();
            entries.0.push((start_s, share));
            entries.1 += 1;
        }

        fn leave_batch(&self) {
            self.0.lock().unwrap().1 -= 1;
        }
    }

    #[test]
    fn chunks_share_the_batch_and_a_failure_ends_all() {
        let audio = samples(60);
        let speech: Vec<_> = (0..6).map(|i| i * 10 * SECOND..(i * 10 + 4) * SECOND).collect();
        let input = AudioInput { samples: &audio, speech: Some(&speech) };
        let entries = Mutex::default();
        transcribe_with(input, &Entries(&entries), &|_| text("word")).unwrap();
        let (mut entered, within) = entries.into_inner().unwrap();
        entered.sort_by(|a, b| a.0.total_cmp(&b.0));
        let half = BatchShare::of(1, 2);
        assert_eq!(entered, [0.0, 10.0, 20.0, 30.0, 40.0, 50.0].map(|start_s| (start_s, half)));
        assert_eq!(within, 0);

        let entries = Mutex::default();
        let fail = |_: &[f32]| Err(ModelError::InvalidInput("no".into()));
        let failed = transcribe_with(input, &Entries(&entries), &fail);
        assert!(matches!(failed, Err(ModelError::InvalidInput(_))));
        let (entered, within) = entries.into_inner().unwrap();
        assert!(entered.len() < 6 && within == 0, "{entered:?}");
    }
}
