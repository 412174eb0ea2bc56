//! Whole transcriptions with a scripted backend.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use mynah_core::{BatchShare, CancelFlag, DecodingStats, StepScheduler, WhisperOptions};

use super::*;
use crate::whisper::search::scripted::{ScriptedBackend, Window};

mod encoder_context;
mod fallback;
mod languages;

const VOCAB: usize = 51865;

fn tokenizer() -> WhisperTokenizer {
    WhisperTokenizer::built_in(VOCAB).unwrap()
}

fn config() -> Config {
    Config {
        n_mels: 80,
        vocab_size: VOCAB,
        width: 512,
        ffn_width: 2048,
        encoder_layers: 6,
        encoder_heads: 8,
        decoder_layers: 6,
        decoder_heads: 8,
        audio_positions: 1500,
        text_positions: 448,
        suppress_tokens: vec![],
        begin_suppress_tokens: vec![220, 50257],
        alignment_heads: vec![],
    }
}

/// Greedy, English, never silent (the test's audio is no speech), and everything else as by default.
fn options() -> TranscribeOptions {
    TranscribeOptions {
        language: Some("en".to_owned()),
        whisper: whisper_options(),
        ..TranscribeOptions::default()
    }
}

fn whisper_options() -> WhisperOptions {
    WhisperOptions { beam_size: 1, no_speech_threshold: None, ..WhisperOptions::default() }
}

/// [`options`] with other Whisper options.
fn with(whisper: WhisperOptions) -> TranscribeOptions {
    TranscribeOptions { whisper, ..options() }
}

/// Counts how often the batch was entered and left.
#[derive(Default)]
struct Entries {
    entered: Cell<usize>,
    left: Cell<usize>,
}

impl StepScheduler for Entries {
    fn enter_batch(&self, _: f64, _: BatchShare) {
        assert_eq!(self.entered, self.left);
        self.entered.set(self.entered.get() + 1);
    }

    fn leave_batch(&self) {
        self.left.set(self.left.get() + 1);
    }
}

#[derive(Default)]
struct Log {
    events: Vec<TranscriptEvent>,
    entries: Rc<Entries>,
}

impl TranscriptSink for Log {
    fn event(&mut self, event: TranscriptEvent) {
        assert_eq!(self.entries.entered, self.entries.left, "events come between windows");
        self.events.push(event);
    }
}

fn run(backend: &ScriptedBackend<'_>, seconds: usize, options: &TranscribeOptions) -> (Transcript, Log) {
    let mut log = Log::default();
    let transcript = transcribe_with(backend, seconds, options, &CancelFlag::new(), &mut log).unwrap();
    assert_eq!(log.entries.entered, log.entries.left);
    (transcript, log)
}

fn transcribe_with(
    backend: &ScriptedBackend<'_>,
    seconds: usize,
    options: &TranscribeOptions,
    cancel: &CancelFlag,
    log: &mut Log,
) -> Result<Transcript, ModelError> {
    transcribe_samples(backend, &tone(seconds), options, cancel, log)
}

/// A tone: not silent, but no speech. The script does not depend on the samples.
fn tone(seconds: usize) -> Vec<f32> {
    (0..seconds * mynah_audio::SAMPLE_RATE as usize).map(|i| (i as f32 * 0.4).sin() * 0.25).collect()
}

fn transcribe_samples(
    backend: &ScriptedBackend<'_>,
    samples: &[f32],
    options: &TranscribeOptions,
    cancel: &CancelFlag,
    log: &mut Log,
) -> Result<Transcript, ModelError> {
    transcribe_audio(backend, &config(), samples.into(), options, cancel, log)
}

fn transcribe_audio(
    backend: &ScriptedBackend<'_>,
    config: &Config,
    audio: AudioInput<'_>,
    options: &TranscribeOptions,
    cancel: &CancelFlag,
    log: &mut Log,
) -> Result<Transcript, ModelError> {
    let entries = Rc::clone(&log.entries);
    let context = JobContext { cancel, scheduler: &*entries };
    let model = WhisperModel { backend, config, tokenizer: &tokenizer(), mel: &LogMel::new(80) };
    transcribe(&model, audio, options, context, log)
}

/// `"<|0.00|> text<|2.00|>"` as tokens.
fn tokens(text: &str) -> Vec<u32> {
    let tokenizer = tokenizer();
    let mut tokens = Vec::new();
    for (i, part) in text.split("<|").enumerate() {
        let (time, text) =
            if i == 0 { (None, part) } else { part.split_once("|>").map(|(t, x)| (Some(t), x)).unwrap() };
        if let Some(time) = time {
            tokens.push(tokenizer.timestamp_begin() + (time.parse::<f64>().unwrap() * 50.0).round() as u32);
        }
        tokens.extend(tokenizer.encode(text));
    }
    tokens
}

/// The tokens chosen after the prompt; `None` at the start of the transcript.
fn chosen(tokens: &[u32]) -> Option<&[u32]> {
    let sot = tokens.iter().position(|&token| token == tokenizer_sot())?;
    tokens.get(sot + 3..)
}

fn tokenizer_sot() -> u32 {
    50258
}

/// Writes `text` token by token, then the end.
fn write(text: &[u32], tokens: &[u32]) -> Vec<(u32, f32)> {
    match chosen(tokens) {
        Some(chosen) => vec![(text.get(chosen.len()).copied().unwrap_or(50257), 0.0)],
        None => vec![(50259, 0.0)],
    }
}

/// Each window writes the next of `texts`; all later ones write the last.
fn writer(texts: &[&str]) -> ScriptedBackend<'static> {
    let texts: Vec<Vec<u32>> = texts.iter().map(|text| tokens(text)).collect();
    ScriptedBackend::new(VOCAB, move |window: &Window, tokens: &[u32]| {
        write(&texts[window.index.min(texts.len() - 1)], tokens)
    })
}

fn stats(segment: &Segment) -> &DecodingStats {
    segment.decoding.as_ref().unwrap()
}

fn lines(transcript: &Transcript) -> Vec<(f64, f64, usize, &str)> {
    transcript.segments.iter().map(|s| (s.start_s, s.end_s, stats(s).seek_frames, s.text.as_str())).collect()
}

#[test]
fn a_window_starts_where_the_last_finished_text_ends() {
    let backend = writer(&[
        "<|0.00|> One.<|2.00|><|2.00|> Two.<|25.00|><|25.00|> Thr",
        "<|0.00|> Three.<|4.00|><|4.00|> Four.<|9.50|>",
    ]);
    let (transcript, log) = run(&backend, 34, &options());
    assert_eq!(
        lines(&transcript),
        [
            (0.0, 2.0, 0, " One."),
            (2.0, 25.0, 0, " Two."),
            (25.0, 29.0, 2500, " Three."),
            (29.0, 34.0, 2500, " Four."),
        ],
        "the last is cut at the recording's end"
    );
    assert_eq!(transcript.text(), "One. Two. Three. Four.");
    assert_eq!((transcript.language.as_str(), transcript.language_probability), ("en", 1.0));
    assert_eq!(transcript.duration_s, 34.0);
    let content: Vec<usize> = backend.windows().iter().map(|w| w.content_frames).collect();
    assert_eq!(content, [3000, 900]);

    let segment = &transcript.segments[1];
    assert_eq!((segment.id, stats(segment).temperature), (1, 0.0));
    assert_eq!(segment.tokens, tokens("<|2.00|> Two.<|25.00|>"));
    let bytes: Vec<u8> = segment.logprobs.iter().flat_map(|t| t.bytes.clone()).collect();
    assert_eq!(bytes, b" Two.");
    assert!(segment.logprobs.iter().all(|t| t.logprob.abs() < 1e-3));
    assert!(stats(segment).avg_logprob.abs() < 1e-3 && stats(segment).no_speech_prob < 1e-3);

    assert!(matches!(&log.events[0], TranscriptEvent::Language(code, 1.0) if code == "en"));
    let progress: Vec<f64> = log
        .events
        .iter()
        .filter_map(|event| if let TranscriptEvent::Progress(s) = event { Some(*s) } else { None })
        .collect();
    assert_eq!(progress, [25.0, 34.0, 34.0]);
}

#[test]
fn the_text_so_far_is_the_next_prompt_until_a_high_temperature() {
    let prompts: Mutex<Vec<Vec<u32>>> = Mutex::default();
    let attempts = AtomicUsize::new(0);
    let good = ["Good", "Bad", "Fine", "Well"].map(|text| tokens(&format!("<|0.00|> {text}.<|30.00|>")));
    let backend = ScriptedBackend::new(VOCAB, |window: &Window, tokens: &[u32]| match chosen(tokens) {
        None => {
            attempts.fetch_add(1, Ordering::Relaxed);
            vec![(50259, 0.0)]
        }
        Some([]) => {
            prompts.lock().unwrap().push(tokens.to_vec());
            vec![(good[0][0], 0.0)]
        }
        // The second window is improbable at all temperatures: four equal letters all the way.
        Some(chosen) if window.index == 1 && chosen.len() < 30 => {
            vec![(32, 0.0), (33, 0.0), (34, 0.0), (35, 0.0)]
        }
        Some(_) => write(&good[window.index], tokens),
    });
    let options = TranscribeOptions { initial_prompt: Some(" Names.".to_owned()), ..options() };
    let (transcript, _) = run(&backend, 120, &options);
    assert_eq!(attempts.load(Ordering::Relaxed), 1 + 6 + 1 + 1);
    let before: Vec<String> = {
        let prompts = prompts.lock().unwrap();
        prompts.iter().map(|p| tokenizer().decode(&p[..p.len() - 3])).collect()
    };
    assert_eq!(before[0], " Names.");
    assert_eq!(before[1], " Names. Good.");
    assert_eq!(before[7], "", "dropped after the high temperature");
    assert_eq!(before[8], " Fine.");
    assert_eq!(stats(&transcript.segments[1]).temperature, 1.0);
}

#[test]
fn implausibly_long_text_is_decoded_again_without_previous_text() {
    let start_of_prev = tokenizer().sot_prev();
    let first = tokens("<|0.00|> I am sitting in a room.<|30.00|>");
    let echo = tokens(&format!("<|0.00|>{}.<|4.00|>", " different words that no one says in time".repeat(4)));
    let last = tokens("<|0.00|> Bye.<|4.00|>");
    let backend = ScriptedBackend::new(VOCAB, |window: &Window, tokens: &[u32]| match window.index {
        0 => write(&first, tokens),
        _ if tokens[0] == start_of_prev => write(&echo, tokens),
        _ => write(&last, tokens),
    });
    let (transcript, _) = run(&backend, 34, &options());
    assert_eq!(transcript.text(), "I am sitting in a room. Bye.");
}

#[test]
fn a_repeated_sentence_without_time_to_say_it_is_dropped() {
    let transcribe = |text: &str, seconds| run(&writer(&[text]), seconds, &options()).0.text();
    let sentence = "And they like the English class.";
    let twice = format!("<|0.00|> {sentence}<|6.60|><|6.60|> {sentence}<|12.00|>");
    assert_eq!(transcribe(&twice, 7), sentence, "32 characters in 0.4 s");
    assert_eq!(transcribe(&twice, 12), format!("{sentence} {sentence}"), "in 5.4 s");
    let short = "<|0.00|> No.<|4.80|><|4.80|> No.<|9.00|>";
    assert_eq!(transcribe(short, 5), "No. No.", "three characters in 0.2 s");
    let other = format!("<|0.00|> {sentence}<|6.60|><|6.60|> Or do they hate that very class?<|12.00|>");
    assert_eq!(transcribe(&other, 7), format!("{sentence} Or do they hate that very class?"));
}

/// Speech as loud as the tone, cut in two by silence.
fn pauses(speech_s: &[usize]) -> Vec<f32> {
    let silence = vec![0.0; mynah_audio::SAMPLE_RATE as usize];
    speech_s.iter().flat_map(|&seconds| [tone(seconds), silence.clone()].concat()).collect()
}

#[test]
fn without_conditioning_parts_are_transcribed_in_parallel() {
    // Parts are recognised by their lengths; each ends within its pause.
    let samples = pauses(&[20, 26, 22, 18]);
    let texts: [(usize, &str, f64); 4] =
        [(2040, "a", 20.0), (2700, "b", 26.5), (2300, "c", 22.5), (1960, "d", 18.5)];
    let texts =
        texts.map(|(frames, text, end_s)| (frames, tokens(&format!("<|0.00|> {text}<|{end_s:.2}|>"))));
    let options = TranscribeOptions {
        initial_prompt: Some("Names".to_owned()),
        whisper: WhisperOptions { condition_on_previous_text: false, ..whisper_options() },
        ..options()
    };
    let mut transcripts = Vec::new();
    for rows_at_once in [1, 3, 100] {
        let prompted: Mutex<Vec<usize>> = Mutex::default();
        let backend = ScriptedBackend::new(VOCAB, |window: &Window, tokens: &[u32]| {
            if chosen(tokens) == Some(&[]) && tokens.len() > 3 {
                prompted.lock().unwrap().push(window.content_frames);
            }
            let text = texts.iter().min_by_key(|(frames, _)| frames.abs_diff(window.content_frames));
            write(&text.unwrap().1, tokens)
        });
        let backend = backend.sharing(rows_at_once);
        let mut log = Log::default();
        let transcript =
            transcribe_samples(&backend, &samples, &options, &CancelFlag::new(), &mut log).unwrap();
        assert_eq!(transcript.text(), "a b c d");
        assert_eq!(*prompted.lock().unwrap(), [2040]);
        assert_eq!(transcript.segments.iter().map(|segment| segment.id).collect::<Vec<_>>(), [0, 1, 2, 3]);
        let reported = log.events.iter().filter_map(|event| match event {
            TranscriptEvent::Segment(segment) => Some(segment.text.clone()),
            _ => None,
        });
        assert_eq!(reported.collect::<String>(), " a b c d");
        transcripts.push(transcript);
    }
    assert!(transcripts.windows(2).all(|pair| pair[0] == pair[1]));
    assert!(transcripts[0].segments.windows(2).all(|pair| pair[0].end_s <= pair[1].start_s));
}

#[test]
fn without_conditioning_only_the_first_window_has_a_prompt() {
    let prompts: Mutex<Vec<usize>> = Mutex::default();
    let good = tokens("<|0.00|> Good.<|30.00|>");
    let backend = ScriptedBackend::new(VOCAB, |_: &Window, tokens: &[u32]| {
        if chosen(tokens) == Some(&[]) {
            prompts.lock().unwrap().push(tokens.len() - 3);
        }
        write(&good, tokens)
    });
    let options = TranscribeOptions {
        initial_prompt: Some("Names".to_owned()),
        whisper: WhisperOptions { condition_on_previous_text: false, ..whisper_options() },
        ..options()
    };
    run(&backend, 90, &options);
    let before = 1 + tokenizer().encode(" Names").len();
    assert_eq!(*prompts.lock().unwrap(), [before, 0, 0]);
}

#[test]
fn only_the_speech_that_was_detected_is_decoded() {
    let second = mynah_audio::SAMPLE_RATE as usize;
    let samples = tone(20);
    let transcribe = |speech: &[Range<usize>]| {
        let backend = writer(&["<|0.00|> One.<|2.00|><|2.00|> Two.<|5.00|>"]);
        let (audio, mut log) = (AudioInput { samples: &samples, speech: Some(speech) }, Log::default());
        let transcript =
            transcribe_audio(&backend, &config(), audio, &options(), &CancelFlag::new(), &mut log);
        (transcript.unwrap(), backend.windows().iter().map(|w| w.content_frames).collect::<Vec<_>>())
    };
    let (transcript, windows) = transcribe(&[3 * second..5 * second, 10 * second..13 * second]);
    assert_eq!(windows, [500]);
    assert_eq!(lines(&transcript), [(3.0, 5.0, 300, " One."), (10.0, 13.0, 300, " Two.")]);
    assert_eq!(transcript.duration_s, 20.0);
    let (transcript, windows) = transcribe(&[]);
    assert_eq!((transcript.segments.len(), transcript.duration_s, windows.len()), (0, 20.0, 0));
}

#[test]
fn silence_is_not_decoded() {
    let backend = writer(&["<|0.00|> Thank you.<|30.00|>"]);
    let mut samples = vec![1e-5; 60 * 16_000];
    samples.extend(tone(10));
    let (mut log, detect) = (Log::default(), TranscribeOptions { language: None, ..options() });
    let transcript = transcribe_samples(&backend, &samples, &detect, &CancelFlag::new(), &mut log).unwrap();
    assert_eq!(lines(&transcript), [(60.0, 70.0, 6000, " Thank you.")]);
    assert_eq!(backend.windows().len(), 2, "one for the language, one for the text");
    let nothing =
        transcribe_samples(&backend, &samples[..40 * 16_000], &detect, &CancelFlag::new(), &mut log).unwrap();
    assert_eq!((nothing.text(), nothing.language_probability), (String::new(), 0.0));
    assert_eq!(backend.windows().len(), 2);
}

#[test]
fn a_window_that_repeats_the_one_before_is_decoded_without_it() {
    let prompts: Mutex<Vec<usize>> = Mutex::default();
    let (again, fresh) = (tokens("<|0.00|> Again.<|30.00|>"), tokens("<|0.00|> Fresh.<|30.00|>"));
    let backend = ScriptedBackend::new(VOCAB, |window: &Window, tokens: &[u32]| {
        let before = tokens.iter().position(|&token| token == 50258).unwrap_or(0);
        if chosen(tokens) == Some(&[]) {
            prompts.lock().unwrap().push(before);
        }
        write(if window.index == 0 || before > 0 { &again } else { &fresh }, tokens)
    });
    let (transcript, _) = run(&backend, 60, &options());
    assert_eq!(transcript.text(), "Again. Fresh.");
    let before = 1 + again.len();
    assert_eq!(*prompts.lock().unwrap(), [0, before, 0]);
}

#[test]
fn very_short_segments_do_not_stop_the_transcription() {
    for text in ["<|0.00|> a<|0.02|><|0.02|>", "<|0.00|> a<|0.00|><|0.00|> b"] {
        let backend = writer(&[text]);
        let (transcript, _) = run(&backend, 120, &options());
        assert!(backend.windows().len() <= 20, "{} windows for {text}", backend.windows().len());
        assert!(transcript.segments.is_sorted_by(|a, b| a.start_s <= b.start_s));
    }
}

#[test]
fn segments_without_words_are_left_out() {
    let backend = writer(&["<|0.00|> One.<|2.00|><|2.00|> ...<|3.00|><|4.00|> Three.<|5.00|>"]);
    let texts: Vec<String> =
        run(&backend, 20, &options()).0.segments.iter().map(|s| s.text.clone()).collect();
    assert_eq!(texts, [" One.", " Three."]);
}

#[test]
fn without_timestamps_each_window_is_a_segment() {
    let text = tokenizer().encode(" All of it.");
    let backend = ScriptedBackend::new(VOCAB, move |_: &Window, tokens: &[u32]| {
        // One more token of the prompt: <|notimestamps|>.
        match chosen(tokens) {
            Some([first, rest @ ..]) if *first == 50363 => {
                vec![(text.get(rest.len()).copied().unwrap_or(50257), 0.0)]
            }
            _ => vec![(50259, 0.0)],
        }
    });
    let options = with(WhisperOptions { timestamps: false, ..whisper_options() });
    let (transcript, _) = run(&backend, 50, &options);
    assert_eq!(lines(&transcript), [(0.0, 30.0, 0, " All of it."), (30.0, 50.0, 3000, " All of it.")]);
}

#[test]
fn translation_is_asked_for_by_its_token() {
    let prompts: Mutex<Vec<Vec<u32>>> = Mutex::default();
    let text = tokens("<|0.00|> Good.<|30.00|>");
    let backend = ScriptedBackend::new(VOCAB, |_: &Window, tokens: &[u32]| {
        if chosen(tokens) == Some(&[]) {
            prompts.lock().unwrap().push(tokens.to_vec());
        }
        write(&text, tokens)
    });
    let options = TranscribeOptions {
        task: Task::Translate,
        language: Some("de".to_owned()),
        hotwords: vec!["Mynah".to_owned()],
        ..options()
    };
    let (transcript, _) = run(&backend, 30, &options);
    let tokenizer = tokenizer();
    let hotwords = tokenizer.encode(" Mynah");
    let start = [tokenizer.sot(), tokenizer.language_token("de").unwrap(), tokenizer.translate()];
    assert_eq!(prompts.lock().unwrap()[0], [&[tokenizer.sot_prev()], hotwords.as_slice(), &start].concat());
    assert_eq!(transcript.task, Task::Translate);
}

#[test]
fn empty_audio_gives_an_empty_transcript() {
    let backend = writer(&["<|0.00|> Thank you.<|30.00|>"]);
    let detect = TranscribeOptions { language: None, ..options() };
    let (transcript, log) = run(&backend, 0, &detect);
    assert_eq!((transcript.segments.len(), transcript.duration_s, backend.windows().len()), (0, 0.0, 0));
    assert_eq!((transcript.language_probability, log.events.len()), (0.0, 2));
}

#[test]
fn words_have_times_and_move_the_window() {
    let backend = writer(&["<|0.00|> Hello there, you.<|4.00|><|4.00|> An", "<|0.00|> And.<|1.00|>"]);
    let options = TranscribeOptions { word_timestamps: true, ..options() };
    let (transcript, _) = run(&backend, 32, &options);
    let words: Vec<(&str, f64, f64)> =
        transcript.segments[0].words.iter().map(|w| (w.text.as_str(), w.start_s, w.end_s)).collect();
    // The scripted heads give 0.1 s per token. The first word would begin with the window and is cut to
    // twice the usual length; punctuation does not make a word longer.
    assert_eq!(words, [(" Hello", 0.7, 0.9), (" there,", 0.9, 1.0), (" you.", 1.1, 1.2)]);
    assert!(transcript.segments[0].words.iter().all(|w| (w.probability - 0.905).abs() < 1e-3));
    assert_eq!((transcript.segments[0].start_s, transcript.segments[0].end_s), (0.7, 1.2));
    assert_eq!(
        stats(&transcript.segments[1]).seek_frames,
        120,
        "the next window starts where the last word ends"
    );
}

#[test]
fn a_set_flag_stops_between_steps_and_leaves_the_batch() {
    let cancel = CancelFlag::new();
    let backend = writer(&["<|0.00|> One.<|30.00|>"]).cancelling(2, cancel.clone());
    let mut log = Log::default();
    let result = transcribe_with(&backend, 90, &options(), &cancel, &mut log);
    assert!(matches!(result, Err(ModelError::Cancelled)));
    assert_eq!((log.entries.entered.get(), log.entries.left.get(), backend.windows().len()), (2, 2, 2));
}
