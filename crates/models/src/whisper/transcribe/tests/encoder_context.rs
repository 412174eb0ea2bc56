//! What is encoded of windows that audio does not fill, and when they are decoded again on more.

use super::*;
use crate::whisper::EncoderContext::{Full, Trimmed, TrimmedWide};

/// Three equally likely letters at each place: a mean log probability of about -1.1.
fn doubtful(chosen: &[u32]) -> Vec<(u32, f32)> {
    if chosen.len() < 30 { vec![(32, 0.0), (33, 0.0), (34, 0.0)] } else { vec![(50257, 0.0)] }
}

#[test]
fn a_trimmed_window_that_leaves_doubts_is_decoded_again_on_a_wider_one() {
    let good = tokens("<|0.00|> Good.<|5.00|>");
    for (trimmed_is_good, encoded) in [(true, 1), (false, 2)] {
        let script = |window: &Window, tokens: &[u32]| match chosen(tokens) {
            Some(chosen) if window.index == 0 && !trimmed_is_good => doubtful(chosen),
            _ => write(&good, tokens),
        };
        let network = ScriptedNetwork::new(VOCAB, script).trimming();
        // Without the no-speech test it does not matter whether the tone is speech.
        let whisper = WhisperOptions { no_speech_threshold: None, ..whisper_options() };
        let (transcript, _) = run(&network, 5, &with(whisper.clone()));
        assert_eq!(transcript.text(), "Good.");
        assert_eq!(network.windows().len(), encoded, "trimmed window good: {trimmed_is_good}");

        run(&network, 5, &with(WhisperOptions { audio_context: AudioContext::Full, ..whisper }));
        assert_eq!(network.windows().len(), encoded + 1, "a full window is not decoded twice");
    }
}

#[test]
fn a_last_window_that_is_given_text_is_doubted_sooner() {
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
        let network = ScriptedNetwork::new(VOCAB, script).trimming();
        run(&network, seconds, &options());
        let windows: Vec<_> = network.windows().iter().map(|window| window.encoder_context).collect();
        assert_eq!(windows, expected, "{seconds} s");
    }
}

/// Trimmed windows whatever the size of the model. Without the no-speech test it does not matter whether the tone is speech.
fn trimmed() -> TranscribeOptions {
    with(WhisperOptions {
        no_speech_threshold: None,
        audio_context: AudioContext::Trimmed,
        ..whisper_options()
    })
}

/// What a model as wide as `width` encodes of five seconds that it decodes as "Good.".
fn windows(network: &ScriptedNetwork<'_>, width: usize, options: &TranscribeOptions) -> Vec<EncoderContext> {
    let config = Config { width, ..config() };
    let (samples, mut log) = (tone(5), Log::default());
    let transcript =
        transcribe_audio(network, &config, (&samples[..]).into(), options, &CancelFlag::new(), &mut log);
    assert_eq!(transcript.unwrap().text(), "Good.");
    network.windows().iter().map(|window| window.encoder_context).collect()
}

#[test]
fn small_models_decode_other_languages_on_full_windows() {
    let good = tokens("<|0.00|> Good.<|5.00|>");
    for (language, width, expected) in [
        (Some("en"), 512, vec![Trimmed]),
        (Some("de"), 512, vec![Full]),
        (Some("de"), 768, vec![Trimmed]),
        (None, 768, vec![Trimmed]),
        // The language was not known before.
        (None, 512, vec![Trimmed, Full]),
    ] {
        let network = ScriptedNetwork::new(VOCAB, |_: &Window, tokens: &[u32]| match chosen(tokens) {
            None => vec![(tokenizer().language_token("de").unwrap(), 0.0)],
            Some(_) => write(&good, tokens),
        });
        let options = TranscribeOptions { language: language.map(str::to_owned), ..trimmed() };
        assert_eq!(windows(&network.trimming(), width, &options), expected, "{language:?}, width {width}");
    }
}

#[test]
fn tiny_models_decode_doubtful_english_on_full_windows() {
    let good = tokens("<|0.00|> Good.<|5.00|>");
    for (width, again) in [(384, Full), (512, TrimmedWide)] {
        let network = ScriptedNetwork::new(VOCAB, |window: &Window, tokens: &[u32]| match chosen(tokens) {
            Some(chosen) if window.encoder_context == Trimmed => doubtful(chosen),
            _ => write(&good, tokens),
        });
        assert_eq!(windows(&network.trimming(), width, &trimmed()), [Trimmed, again], "width {width}");
    }
}

#[test]
fn text_after_the_audio_is_not_believed() {
    let after = "<|0.00|> Said.<|4.00|><|4.00|> Said again.<|5.00|><|5.00|> Never said.<|9.00|>";
    let network = writer(&[after, "<|0.00|> Heard.<|5.00|>"]).trimming();
    let options = with(WhisperOptions { no_speech_threshold: None, ..whisper_options() });
    let (transcript, _) = run(&network, 5, &options);
    assert_eq!((transcript.text().as_str(), network.windows().len()), ("Heard.", 2), "decoded again");

    let (transcript, _) = run(&writer(&[after]), 5, &options);
    assert_eq!(transcript.text(), "Said. Said again.", "dropped where the window was full already");
}

#[test]
fn only_sizes_with_measured_error_rates_have_trimmed_windows_unasked() {
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
        let network = writer(&["<|0.00|> Good.<|5.00|>"]).trimming();
        let options = choose(audio_context, task);
        assert_eq!(windows(&network, width, &options), [expected], "{options:?}, width {width}");
    }
}
