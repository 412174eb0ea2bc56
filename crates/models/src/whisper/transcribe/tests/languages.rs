//! Language detection.

use super::*;

/// Detects German and French with these probabilities (out of 10), window by window.
fn detects(probabilities: &'static [(u32, u32)]) -> ScriptedBackend<'static> {
    let tokenizer = tokenizer();
    let [de, fr] = ["de", "fr"].map(|code| tokenizer.language_token(code).unwrap());
    let text = tokens("<|0.00|> Good.<|30.00|>");
    ScriptedBackend::new(VOCAB, move |window: &Window, tokens: &[u32]| {
        let (german, french) = probabilities[window.index.min(probabilities.len() - 1)];
        let rest = 10 - german - french;
        match chosen(tokens) {
            None => [(de, german), (fr, french), (50259, rest)]
                .map(|(id, n)| (id, (n as f32 / 10.0).ln()))
                .to_vec(),
            Some(_) => write(&text, tokens),
        }
    })
}

#[test]
fn the_language_is_detected_and_the_first_window_encoded_once() {
    let backend = detects(&[(7, 2)]);
    let detect = TranscribeOptions { language: None, ..options() };
    let (transcript, log) = run(&backend, 70, &detect);
    assert_eq!(transcript.language, "de");
    assert!((transcript.language_probability - 0.7).abs() < 1e-3);
    assert_eq!(transcript.languages.len(), 99);
    assert_eq!(transcript.languages[1].0, "fr");
    assert_eq!(backend.windows().len(), 3);
    assert!(matches!(&log.events[0], TranscriptEvent::Language(code, _) if code == "de"));
}

#[test]
fn improbable_languages_need_more_windows() {
    let probabilities: &[(u32, u32)] = &[(4, 3), (1, 9), (5, 5)];
    let language = |windows| {
        let whisper = WhisperOptions { language_detection_windows: windows, ..whisper_options() };
        let detect = TranscribeOptions { language: None, whisper, ..options() };
        run(&detects(probabilities), 90, &detect).0.language
    };
    assert_eq!(language(1), "de");
    assert_eq!(language(3), "fr", "probable enough after the second window: mean 0.6");
}

#[test]
fn only_allowed_languages_are_detected() {
    let allowed = vec!["fr".to_owned(), "English".to_owned()];
    let detect = TranscribeOptions { language: None, allowed_languages: allowed, ..options() };
    let (transcript, _) = run(&detects(&[(8, 1)]), 30, &detect);
    assert_eq!(transcript.languages.len(), 2);
    assert!((transcript.languages[0].1 - 0.5).abs() < 1e-3);
}
