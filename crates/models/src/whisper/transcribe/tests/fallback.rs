//! Which result of a window is kept, and which windows count as silent.

use super::*;

/// Transcribes a window of 4 s that writes the next of `texts` at each temperature.
fn with_fallback(texts: &[&str], options: &TranscribeOptions) -> Transcript {
    let texts: Vec<Vec<u32>> = texts.iter().map(|text| tokens(text)).collect();
    let attempt = AtomicUsize::new(0);
    let backend = ScriptedBackend::new(VOCAB, |_: &Window, tokens: &[u32]| {
        if chosen(tokens).is_none() {
            attempt.fetch_add(1, Ordering::Relaxed);
        }
        let index = attempt.load(Ordering::Relaxed).saturating_sub(1).min(texts.len() - 1);
        write(&texts[index], tokens)
    });
    run(&backend, 4, options).0
}

#[test]
fn implausibly_long_text_raises_the_temperature() {
    let too_fast = format!("<|0.00|>{}.<|4.00|>", " different words that no one says in time".repeat(4));
    let transcript = with_fallback(&[&too_fast, "<|0.00|> Good.<|4.00|>"], &options());
    assert_eq!((transcript.text().as_str(), stats(&transcript.segments[0]).temperature), ("Good.", 0.2));
}

#[test]
fn repetitive_text_raises_the_temperature() {
    let loops = format!("<|0.00|>{}<|3.00|>", " you".repeat(30));
    let transcript = with_fallback(&[&loops, &loops, "<|0.00|> Good.<|4.00|>"], &options());
    assert_eq!(transcript.text(), "Good.");
    assert_eq!(stats(&transcript.segments[0]).temperature, 0.4);
    let all = with(WhisperOptions { compression_ratio_threshold: None, ..whisper_options() });
    assert_eq!(
        stats(&with_fallback(&[&loops], &all).segments[0]).temperature,
        0.0,
        "the test can be switched off"
    );
}

#[test]
fn if_all_results_are_rejected_the_one_that_is_not_repetitive_is_kept() {
    let loops = format!("<|0.00|>{}<|29.00|>", " Thank you.".repeat(30));
    let doubtful = tokens("<|0.00|> Hm.<|30.00|>");
    let loops_tokens = tokens(&loops);
    let attempt = AtomicUsize::new(0);
    let backend = ScriptedBackend::new(VOCAB, |_: &Window, tokens: &[u32]| {
        if chosen(tokens).is_none() {
            attempt.fetch_add(1, Ordering::Relaxed);
        }
        if attempt.load(Ordering::Relaxed) != 2 {
            return write(&loops_tokens, tokens);
        }
        // Improbable, as a hundred other tokens have the same logit.
        let mut logits = write(&doubtful, tokens);
        if chosen(tokens).is_some_and(|c| (1..3).contains(&c.len())) {
            logits.extend((1000..1100).map(|id| (id, -1.0)));
        }
        logits
    });
    let options = with(WhisperOptions { temperatures: vec![0.0, 1e-6, 1.0], ..whisper_options() });
    let (transcript, _) = run(&backend, 30, &options);
    assert_eq!(transcript.text(), "Hm.");
    assert_eq!(stats(&transcript.segments[0]).temperature, 1.0, "the last temperature is reported");
}

/// Has this no-speech probability, and writes a probable or an improbable "Thank you.".
fn thankful(no_speech_prob: f32, probable: bool) -> ScriptedBackend<'static> {
    let no_speech = tokenizer().no_speech();
    let text = tokens("<|0.00|> Thank you.<|30.00|>");
    ScriptedBackend::new(VOCAB, move |_: &Window, tokens: &[u32]| {
        if chosen(tokens).is_none() {
            return vec![(no_speech, no_speech_prob.ln()), (50259, (1.0 - no_speech_prob).ln())];
        }
        let mut logits = write(&text, tokens);
        if !probable {
            logits.extend((1000..1010).map(|id| (id, -1e-3)));
        }
        logits
    })
}

#[test]
fn windows_without_speech_give_no_text() {
    let options_with_threshold = with(WhisperOptions { no_speech_threshold: Some(0.6), ..whisper_options() });
    let backend = thankful(0.7, false);
    let (transcript, _) = run(&backend, 45, &options_with_threshold);
    assert_eq!(transcript.segments, []);
    assert_eq!(backend.windows().len(), 2);
    assert_eq!(
        run(&thankful(0.02, true), 30, &options_with_threshold).0.text(),
        "Thank you.",
        "confident text is kept"
    );
    let kept = run(&thankful(0.7, true), 30, &options()).0;
    assert_eq!(kept.text(), "Thank you.", "the test can be switched off");
    assert!((stats(&kept.segments[0]).no_speech_prob - 0.7).abs() < 0.01);
}

#[test]
fn doubtful_text_needs_detected_speech() {
    let options_with_threshold = with(WhisperOptions { no_speech_threshold: Some(0.6), ..whisper_options() });
    assert_eq!(
        run(&thankful(0.3, true), 30, &options_with_threshold).0.text(),
        "",
        "a doubtful window over a tone"
    );
    let tries = AtomicUsize::new(0);
    let improbable = ScriptedBackend::new(VOCAB, |_: &Window, tokens: &[u32]| {
        if chosen(tokens).is_none() {
            tries.fetch_add(1, Ordering::Relaxed);
            return vec![(50259, 0.0)];
        }
        (1000..1010).chain([50257]).map(|id| (id, 0.0)).collect()
    });
    assert_eq!(run(&improbable, 30, &options_with_threshold).0.text(), "");
    assert_eq!(tries.load(Ordering::Relaxed), 1, "no fallback without speech");
}
