//! How much is encoded of windows shorter than 30 s, and when they are decoded again with a wider encoder context.

use super::*;
use crate::whisper::EncoderContext::{Full, Trimmed, TrimmedWide};

/// Three equally likely letters at each place: a mean log probability of about -1.1.
fn doubtful(chosen: &[u32]) -> Vec<(u32, f32)> {
    if chosen.len() < 30 { vec![(32, 0.0), (33, 0.0), (34, 0.0)] } else { vec![(50257, 0.0)] }
}

#[test]
fn a_trimmed_window_of_low_confidence_is_decoded_again_on_a_wider_one() {
    let good = tokens("<|0.00|> Good.<|5.00|>");
    for (trimmed_is_good, encoded) in [(true, 1), (false, 2)] {
        let script = |window: &Window, tokens: &[u32]| match chosen(tokens) {
            Some(chosen) if window.index == 0 && !trimmed_is_good => doubtful(chosen),
            _ => write(&good, tokens),
        };
        let backend = ScriptedBackend::new(VOCAB, script).trimming();
        // Without the no-speech test it does not matter whether the tone is speech.
        let whisper = WhisperOptions { no_speech_threshold: None, ..whisper_options() };
        let (transcript, _) = run(&backend, 5, &with(whisper.clone()));
        assert_eq!(transcript.text(), "Good.");
        assert_eq!(backend.windows().len(), encoded, "trimmed window good: {trimmed_is_good}");

        run(&backend, 5, &with(WhisperOptions { audio_context: AudioContext::Full, ..whisper }));
        assert_eq!(backend.windows().len(), encoded + 1, "a full window is not decoded twice");
    }
}

#[test]
fn a_last_window_with_previous_text_needs_a_higher_confidence() {
    let text = tokens("<|0.00|> Good, and something more that is said.<|4.00|>");
    let full = tokens("<|0.00|> Good.<|30.00|>");
    let script = |window: &Window, tokens: &[u32]| {
        if window.content_frames == 3000 || window.encoder_context == Full {
            return write(&full, tokens);
        }
        // Another letter nearly as likely at each place: a mean log probability of about -0.7.
        [write(&text, tokens), vec![(32, -0.05)]].concat()
    };
    for (seconds, expected) in [(4, vec![Trimmed]), (34, vec![Trimmed, Trimmed, Full])] {
        let backend = ScriptedBackend::new(VOCAB, script).trimming();
        run(&backend, seconds, &options());
        let windows: Vec<_> = backend.windows().iter().map(|window| window.encoder_context).collect();
        assert_eq!(windows, expected, "{seconds} s");
    }
}

/// Trimmed windows for any model size. Without the no-speech test it does not matter whether the tone is speech.
fn trimmed() -> TranscribeOptions {
    with(WhisperOptions {
        no_speech_threshold: None,
        audio_context: AudioContext::Trimmed,
        ..whisper_options()
    })
}

/// The encoder contexts that a model of this width uses for 5 s that it decodes as "Good.".
fn windows(backend: &ScriptedBackend<'_>, width: usize, options: &TranscribeOptions) -> Vec<EncoderContext> {
    let config = Config { width, ..config() };
    let (samples, mut log) = (tone(5), Log::default());
    let transcript =
        transcribe_audio(backend, &config, (&samples[..]).into(), options, &CancelFlag::new(), &mut log);
    assert_eq!(transcript.unwrap().text(), "Good.");
    backend.windows().iter().map(|window| window.encoder_context).collect()
}

#[test]
fn small_models_decode_other_languages_on_full_windows() {
    let good = tokens("<|0.00|> Good.<|5.00|>");
    for (language, width, expected) in [
        (Some("en"), 512, vec![Trimmed]),
        (Some("de"), 512, vec![Full]),
        (Some("de"), 768, vec![Trimmed]),
        (None, 768, vec![Trimmed]),
        // The language is detected on the trimmed window first.
        (None, 512, vec![Trimmed, Full]),
    ] {
        let backend = ScriptedBackend::new(VOCAB, |_: &Window, tokens: &[u32]| match chosen(tokens) {
            None => vec![(tokenizer().language_token("de").unwrap(), 0.0)],
            Some(_) => write(&good, tokens),
        });
        let options = TranscribeOptions { language: language.map(str::to_owned), ..trimmed() };
        assert_eq!(windows(&backend.trimming(), width, &options), expected, "{language:?}, width {width}");
    }
}

#[test]
fn tiny_models_decode_doubtful_english_on_full_windows() {
    let good = tokens("<|0.00|> Good.<|5.00|>");
    for (width, again) in [(384, Full), (512, TrimmedWide)] {
        let backend = ScriptedBackend::new(VOCAB, |window: &Window, tokens: &[u32]| match chosen(tokens) {
            Some(chosen) if window.encoder_context == Trimmed => doubtful(chosen),
            _ => write(&good, tokens),
        });
        assert_eq!(windows(&backend.trimming(), width, &trimmed()), [Trimmed, again], "width {width}");
    }
}

#[test]
fn text_after_the_audio_is_not_believed() {
    let after = "<|0.00|> Said.<|4.00|><|4.00|> Said again.<|5.00|><|5.00|> Never said.<|9.00|>";
    let backend = writer(&[after, "<|0.00|> Good.<|5.00|>"]).trimming();
    let options = with(WhisperOptions { no_speech_threshold: None, ..whisper_options() });
    let (transcript, _) = run(&backend, 5, &options);
    assert_eq!((transcript.text().as_str(), backend.windows().len()), ("Good.", 2), "decoded again");

    let (transcript, _) = run(&writer(&[after]), 5, &options);
    assert_eq!(transcript.text(), "Said. Said again.", "dropped if the window was already full");
}

#[test]
fn only_sizes_with_measured_error_rates_are_trimmed_by_default() {
    let choose = |audio_context, task| TranscribeOptions {
        task,
        ..with(WhisperOptions { audio_context, ..whisper_options() })
    };
    for (audio_context, task, width, expected) in [
        (AudioContext::Auto, Task::Transcribe, 512, Trimmed),
        (AudioContext::Auto, Task::Transcribe, 768, Full),
        (AudioContext::Trimmed, Task::Transcribe, 768, Trimmed),
        (AudioContext::Full, Task::Transcribe, 512, Full),
        (AudioContext::Trimmed, Task::Translate, 512, Full),
    ] {
        let backend = writer(&["<|0.00|> Good.<|5.00|>"]).trimming();
        let options = choose(audio_context, task);
        assert_eq!(windows(&backend, width, &options), [expected], "{options:?}, width {width}");
    }
}
