//! Whole texts with the voice of the wheel hibari-tts 0.2.1.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use mynah_core::{
    AudioSink, CancelFlag, JobContext, ModelError, SpeechOptions, SpokenWord, StepScheduler, Synthesizer,
    TokenCounts,
};
use mynah_models::hibari::{HOP_LENGTH, SAMPLE_RATE};

use crate::hibari::{hibari, level_db};

/// Samples of 20 ms, the shortest interval with a meaningful level.
const MOMENT: usize = 480;

const SENTENCES: [&str; 10] = [
    "The old lighthouse keeper climbed the stairs every evening and lit the lamp before dusk.",
    "Nobody knows why the river turned green last summer!",
    "If you're going to the market, would you bring back some apples?",
    "It snowed all night.",
    "Her grandmother's recipe calls for cardamom, saffron and a pinch of salt; the rest is patience.",
    "\"Stop!\" he shouted, but the train had already left.",
    "On Monday, March 3rd, 2025, the committee spent $1,250.75 on new chairs.",
    "Please write to info@example.com, or call 555-0199 after 9:30 a.m.",
    "The archaeologists uncovered a mosaic beneath the car park, which surprised everyone who had parked there.",
    "What a wonderful surprise: you kept the letter, the map and the key all these years.",
];

/// Counts step permits.
#[derive(Default)]
struct Permits {
    acquired: Cell<usize>,
    is_held: Cell<bool>,
}

impl StepScheduler for Permits {
    fn acquire_step(&self, _: &dyn Fn() -> bool) {
        assert!(!self.is_held.replace(true), "a step within a step");
        self.acquired.set(self.acquired.get() + 1);
    }

    fn release_step(&self) {
        self.is_held.set(false);
    }
}

/// Collects the audio and words of a voice.
#[derive(Default)]
struct CollectingSink {
    samples: Vec<f32>,
    /// Samples of the largest chunk.
    largest: usize,
    words: Vec<SpokenWord>,
    progress: Vec<usize>,
    permits: Rc<Permits>,
    /// Only counts samples and does not keep them.
    discards: bool,
    received: usize,
    cancel: Option<(usize, CancelFlag)>,
}

impl AudioSink for CollectingSink {
    fn samples(&mut self, samples: &[f32]) -> Result<(), ModelError> {
        assert!(self.permits.is_held.get() || samples.len() < MOMENT, "it computes without a permit");
        assert!(samples.iter().all(|v| v.is_finite()));
        self.received += samples.len();
        self.largest = self.largest.max(samples.len());
        if !self.discards {
            self.samples.extend_from_slice(samples);
        }
        if let Some((limit, cancel)) = &self.cancel
            && self.received >= *limit
        {
            cancel.cancel();
        }
        Ok(())
    }

    fn word(&mut self, word: SpokenWord) {
        self.words.push(word);
    }

    fn progress(&mut self, bytes: usize) {
        self.progress.push(bytes);
    }
}

fn read(text: &str, options: &SpeechOptions) -> Result<(CollectingSink, TokenCounts), ModelError> {
    let mut sink = CollectingSink::default();
    let counts = synthesize(text, options, &CancelFlag::new(), &mut sink)?;
    Ok((sink, counts))
}

fn synthesize(
    text: &str,
    options: &SpeechOptions,
    cancel: &CancelFlag,
    sink: &mut CollectingSink,
) -> Result<TokenCounts, ModelError> {
    let permits = Rc::clone(&sink.permits);
    let outcome = hibari().synthesize(text, options, JobContext { cancel, scheduler: &*permits }, sink);
    assert!(!permits.is_held.get(), "it keeps a permit");
    outcome
}

fn read_plainly(text: &str) -> CollectingSink {
    read(text, &SpeechOptions::default()).unwrap().0
}

/// Level of the intervals with speech.
fn loudness_db(samples: &[f32]) -> f64 {
    let levels: Vec<f64> = samples.chunks(MOMENT).map(level_db).collect();
    let loudest = levels.iter().copied().fold(f64::MIN, f64::max);
    let active: Vec<f64> =
        levels.iter().filter(|&&db| db > loudest - 25.0).map(|db| 10_f64.powf(db / 10.0)).collect();
    10.0 * (active.iter().sum::<f64>() / active.len() as f64).log10()
}

fn longest_silence_s(samples: &[f32]) -> f64 {
    let quiet = samples.chunks(MOMENT).map(|moment| level_db(moment) < -50.0);
    let (_, longest) =
        quiet.fold((0, 0), |(run, most), q| if q { (run + 1, most.max(run + 1)) } else { (0, most) });
    f64::from(longest) * MOMENT as f64 / f64::from(SAMPLE_RATE)
}

#[test]
fn sentences_have_equal_loudness_and_no_clipping_or_gaps() {
    let mut levels = Vec::new();
    for sentence in SENTENCES {
        let sink = read_plainly(sentence);
        let peak = sink.samples.iter().fold(0.0_f32, |peak, v| peak.max(v.abs()));
        assert!(peak < 0.95, "{peak} in {sentence}");
        let silence = longest_silence_s(&sink.samples);
        assert!(silence < 1.0, "{silence} s of silence in {sentence}");
        levels.push(loudness_db(&sink.samples));
    }
    let low = levels.iter().copied().fold(f64::MAX, f64::min);
    let high = levels.iter().copied().fold(f64::MIN, f64::max);
    assert!(high - low < 3.0 && low > -30.0, "{levels:?}");
}

#[test]
fn sentences_are_joined_without_clicks_and_paragraphs_pause() {
    let text = SENTENCES.join(" ");
    let sink = read_plainly(&text);
    let ends = SENTENCES.iter().scan(0, |end, sentence| {
        *end += read_plainly(sentence).samples.len();
        Some(*end)
    });
    let ends: Vec<usize> = ends.collect();
    assert_eq!(ends[SENTENCES.len() - 1], sink.samples.len(), "joined they are as long as separately");
    for &end in &ends[..SENTENCES.len() - 1] {
        let seam = &sink.samples[end - 96..end + 96];
        let step = seam.windows(2).map(|w| (w[0] - w[1]).abs()).fold(0.0, f32::max);
        assert!(step < 2e-3, "a step of {step} at {end}");
    }
    let paragraphs = read_plainly(&SENTENCES[..3].join("\n\n")).samples.len();
    let line = read_plainly(&SENTENCES[..3].join(" ")).samples.len();
    let pause_s = (paragraphs - line) as f64 / f64::from(SAMPLE_RATE);
    assert!((0.5..1.0).contains(&pause_s), "{pause_s} s for two paragraph ends");
}

#[test]
fn words_have_times_and_text_ranges() {
    let text = SENTENCES.join("\n\n");
    let (sink, counts) = read(&text, &SpeechOptions::default()).unwrap();
    let mut end = 0.0;
    for word in &sink.words {
        assert_eq!(text[word.range.clone()], word.text);
        assert!(word.start_s >= end && word.end_s > word.start_s, "{word:?} after {end}");
        end = word.end_s;
    }
    let duration_s = sink.samples.len() as f64 / f64::from(SAMPLE_RATE);
    assert!(end <= duration_s && end > duration_s - 1.0);
    assert_eq!((sink.words[0].text.as_str(), sink.words[1].text.as_str()), ("The", "old"));
    assert!(sink.words.iter().any(|word| word.text == "$1,250.75"));
    assert_eq!(sink.progress.len(), SENTENCES.len(), "once per sentence");
    assert!(sink.progress.is_sorted());
    // Word times match the audio: it is quieter between sentences than within words.
    let level = |from: f64, to: f64| {
        let at = |seconds: f64| (seconds * f64::from(SAMPLE_RATE)) as usize;
        level_db(&sink.samples[at(from)..at(to)])
    };
    let within: f64 =
        sink.words.iter().map(|w| level(w.start_s, w.end_s)).sum::<f64>() / sink.words.len() as f64;
    let gaps: Vec<f64> = sink
        .words
        .windows(2)
        .filter(|pair| pair[1].start_s - pair[0].end_s > 0.4)
        .map(|pair| level(pair[0].end_s + 0.1, pair[1].start_s - 0.1))
        .collect();
    assert!(gaps.len() >= SENTENCES.len() - 1);
    assert!(gaps.iter().all(|gap| *gap < within - 15.0), "{within} {gaps:?}");
    assert_eq!(counts.output as usize, (sink.samples.len() - pauses(&sink)) / HOP_LENGTH);
    assert!(counts.input > text.len() as u64 / 2);
}

/// Samples of the pauses between paragraphs, which are digital silence.
fn pauses(sink: &CollectingSink) -> usize {
    (SENTENCES.len() - 1) * (sink.samples.len() - read_plainly(&SENTENCES.join(" ")).samples.len())
        / (SENTENCES.len() - 1)
}

#[test]
fn seeds_are_reproducible_and_speed_changes_the_length() {
    let text = SENTENCES[..2].join(" ");
    let with = |seed, speed| {
        read(&text, &SpeechOptions { seed, speed, ..SpeechOptions::default() }).unwrap().0.samples
    };
    let plain = with(0, 1.0);
    assert_eq!(with(0, 1.0), plain);
    assert!(with(1, 1.0) != plain && with(1, 1.0).len() == plain.len());
    assert!(with(0, 2.0).len() < plain.len() * 2 / 3);
}

#[test]
fn a_book_chapter_is_streamed_and_stops_when_cancelled() {
    let chapter = format!("{}\n\n", SENTENCES.join(" ")).repeat(75);
    assert!(chapter.len() > 50_000);
    let cancel = CancelFlag::new();
    // Cancelled after two minutes of audio.
    let minutes = 120 * SAMPLE_RATE as usize;
    let mut sink = CollectingSink {
        discards: true,
        cancel: Some((minutes, cancel.clone())),
        ..CollectingSink::default()
    };
    let start = Instant::now();
    let outcome = synthesize(&chapter, &SpeechOptions::default(), &cancel, &mut sink);
    assert!(matches!(outcome, Err(ModelError::Cancelled)), "{outcome:?}");
    assert!(sink.largest <= SAMPLE_RATE as usize, "{} samples at once", sink.largest);
    assert!(
        sink.received < minutes + 2 * SAMPLE_RATE as usize,
        "it continued for {} samples",
        sink.received - minutes
    );
    assert!(sink.permits.acquired.get() > 20, "a permit per sentence");
    assert!(start.elapsed() < Duration::from_secs(120), "two minutes of speech took longer than that");
}

#[test]
fn a_very_long_sentence_is_cut_and_spoken_completely() {
    let sentence = format!("{}.", ["the rain fell and the wind blew"; 60].join(" and "));
    let sink = read_plainly(&sentence);
    assert_eq!(sink.words.len(), 60 * 7 + 59);
    assert!(longest_silence_s(&sink.samples) < 1.0);
    let word = format!("{}.", "supercalifragilistic".repeat(40));
    assert_eq!(read_plainly(&word).words.len(), 1);
}

#[test]
fn unreadable_text_is_refused_with_its_reason() {
    let refused = |text: &str, options: SpeechOptions| read(text, &options).map(|_| ()).unwrap_err();
    for (text, script) in [("Привет, мир", "Cyrillic"), ("Hello 世界", "Chinese"), ("こんにちは", "Japanese")]
    {
        let error = refused(text, SpeechOptions::default());
        assert!(matches!(error, ModelError::Script { script: found, .. } if found == script), "{error}");
    }
    for text in ["", " \n", "...", "🎉"] {
        assert!(matches!(
            refused(text, SpeechOptions::default()),
            ModelError::InvalidOption { name: "text", .. }
        ));
    }
    let instructions = Some("sadly".to_owned());
    let options = SpeechOptions { instructions, ..SpeechOptions::default() };
    let error = hibari().capabilities().check(&options, false).unwrap_err();
    assert!(matches!(error, ModelError::UnsupportedOption { name: "instructions", .. }));
    let error = refused("Hi.", SpeechOptions { voice: Some("emma".into()), ..SpeechOptions::default() });
    assert!(
        matches!(error, ModelError::InvalidOption { name: "voice", .. }),
        "its file is not there: {error}"
    );
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(60))]
    #[test]
    fn any_text_is_spoken_or_refused(
        text in "\\PC{0,40}|[ -~\n]{0,80}|[0-9$€£%.,:/'\"xX+ -]{0,30}|([A-Za-z]{1,3}[.'’-]?[0-9]{0,3} ?){0,12}",
    ) {
        match read(&text, &SpeechOptions { speed: 4.0, ..SpeechOptions::default() }) {
            Ok((sink, counts)) => {
                proptest::prop_assert!(sink.received > 0 && !sink.words.is_empty());
                proptest::prop_assert!(counts.input > 0 && counts.output > 0);
                proptest::prop_assert!(sink.samples.iter().all(|v| v.abs() < 4.0));
            }
            Err(ModelError::Script { .. } | ModelError::InvalidOption { name: "text", .. }) => {}
            Err(other) => proptest::prop_assert!(false, "{}", other),
        }
    }
}
