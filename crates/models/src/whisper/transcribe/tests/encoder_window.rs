//! What is computed of windows that audio does not fill, and when they are heard again on more.

use super::*;

/// Three equally likely letters at each place: a mean log probability of about -1.1.
fn doubtful(chosen: &[u32]) -> Vec<(u32, f32)> {
    if chosen.len() < 30 { vec![(32, 0.0), (33, 0.0), (34, 0.0)] } else { vec![(50257, 0.0)] }
}

#[test]
fn a_fitted_window_that_leaves_doubts_is_heard_again_on_a_wider_one() {
    let good = tokens("<|0.00|> Good.<|5.00|>");
    for (fitted_is_good, encoded) in [(true, 1), (false, 2)] {
        let script = |window: &Window, tokens: &[u32]| match chosen(tokens) {
            Some(chosen) if window.index == 0 && !fitted_is_good => doubtful(chosen),
            _ => write(&good, tokens),
        };
        let network = ScriptedNetwork::new(VOCAB, script).fitting();
        // Without the no-speech test nobody asks whether the tone is speech.
        let options = TranscribeOptions { no_speech_threshold: None, ..options() };
        let (transcript, _) = run(&network, 5, &options);
        assert_eq!(transcript.text(), "Good.");
        assert_eq!(network.windows().len(), encoded, "fitted window good: {fitted_is_good}");

        let full = TranscribeOptions { encoder_window: EncoderContext::Full, ..options };
        run(&network, 5, &full);
        assert_eq!(network.windows().len(), encoded + 1, "a full window is not heard twice");
    }
}

#[test]
fn a_last_window_that_is_given_text_is_doubted_sooner() {
    let text = tokens("<|0.00|> Good, and something more that is said.<|4.00|>");
    let full = tokens("<|0.00|> Good.<|30.00|>");
    let script = |window: &Window, tokens: &[u32]| {
        if window.content_frames == 3000 || window.encoder_window == Full {
            return write(&full, tokens);
        }
        // Another letter nearly as likely at each place: a mean log probability of about -0.7.
        [write(&text, tokens), vec![(32, -0.05)]].concat()
    };
    use EncoderContext::{Fitted, Full};
    for (seconds, expected) in [(4, vec![Fitted]), (34, vec![Fitted, Fitted, Full])] {
        let network = ScriptedNetwork::new(VOCAB, script).fitting();
        run(&network, seconds, &options());
        let windows: Vec<_> = network.windows().iter().map(|window| window.encoder_window).collect();
        assert_eq!(windows, expected, "{seconds} s");
    }
}

/// What a model as wide as `width` computes of five seconds that it hears as "Good.".
fn windows(network: &ScriptedNetwork<'_>, width: usize, options: &TranscribeOptions) -> Vec<EncoderContext> {
    let config = Config { width, ..config() };
    let (mel, mut log, cancel) = (LogMel::new(80), Log::default(), CancelFlag::new());
    let context = JobContext::unscheduled(&cancel);
    let transcript =
        transcribe(network, &config, &tokenizer(), &mel, &tone(5), options, context, &mut log).unwrap();
    assert_eq!(transcript.text(), "Good.");
    network.windows().iter().map(|window| window.encoder_window).collect()
}

#[test]
fn small_models_hear_other_languages_in_full() {
    use EncoderContext::{Fitted, Full};
    let good = tokens("<|0.00|> Good.<|5.00|>");
    for (language, width, expected) in [
        (Some("en"), 512, vec![Fitted]),
        (Some("de"), 512, vec![Full]),
        (Some("de"), 768, vec![Fitted]),
        (None, 768, vec![Fitted]),
        // The language was not known before.
        (None, 512, vec![Fitted, Full]),
    ] {
        let network = ScriptedNetwork::new(VOCAB, |_: &Window, tokens: &[u32]| match chosen(tokens) {
            None => vec![(tokenizer().language_token("de").unwrap(), 0.0)],
            Some(_) => write(&good, tokens),
        });
        let options = TranscribeOptions { language: language.map(str::to_owned), ..options() };
        assert_eq!(windows(&network.fitting(), width, &options), expected, "{language:?}, width {width}");
    }
}

#[test]
fn tiny_models_hear_doubtful_english_in_full() {
    use EncoderContext::{Fitted, Full, Wide};
    let good = tokens("<|0.00|> Good.<|5.00|>");
    for (width, again) in [(384, Full), (512, Wide)] {
        let network = ScriptedNetwork::new(VOCAB, |window: &Window, tokens: &[u32]| match chosen(tokens) {
            Some(chosen) if window.encoder_window == Fitted => doubtful(chosen),
            _ => write(&good, tokens),
        });
        // Without the no-speech test nobody asks whether the tone is speech.
        let options = TranscribeOptions { no_speech_threshold: None, ..options() };
        assert_eq!(windows(&network.fitting(), width, &options), [Fitted, again], "width {width}");
    }
}

#[test]
fn text_behind_the_audio_is_not_believed() {
    let behind = "<|0.00|> Said.<|4.00|><|4.00|> Said again.<|5.00|><|5.00|> Never said.<|9.00|>";
    let network = writer(&[behind, "<|0.00|> Heard.<|5.00|>"]).fitting();
    let options = TranscribeOptions { no_speech_threshold: None, ..options() };
    let (transcript, _) = run(&network, 5, &options);
    assert_eq!((transcript.text().as_str(), network.windows().len()), ("Heard.", 2), "heard again");

    let (transcript, _) = run(&writer(&[behind]), 5, &options);
    assert_eq!(transcript.text(), "Said. Said again.", "dropped where the window was full already");
}
