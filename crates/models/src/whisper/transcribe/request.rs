//! Validation of a request's options.

use mynah_core::{ModelError, TranscribeOptions};
use mynah_text::languages;
use mynah_text::whisper_tokenizer::WhisperTokenizer;

/// Maximum number of hypotheses per request: each takes memory, and time at every step.
const MAX_ROWS: usize = 64;

/// How the spoken language is chosen, by codes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum LanguageChoice {
    /// The request gives it, or the model knows only one.
    Given(&'static str),
    /// Detect one of these, or any if empty.
    Detect(Vec<&'static str>),
}

/// Checks the values of the options. Options that the model does not support at all were already refused by its capabilities.
pub(super) fn check(
    tokenizer: &WhisperTokenizer,
    options: &TranscribeOptions,
) -> Result<LanguageChoice, ModelError> {
    check_numbers(options)?;
    if !tokenizer.is_multilingual() {
        return Ok(LanguageChoice::Given("en"));
    }
    let known = |code: &String| {
        let code = languages::find(code)?.code;
        tokenizer.language_token(code).map(|_| code)
    };
    if let Some(code) = options.language.as_ref().and_then(known) {
        return Ok(LanguageChoice::Given(code));
    }
    // The capabilities ensure that the model knows at least one of the allowed languages.
    let allowed: Vec<_> = options.allowed_languages.iter().filter_map(known).collect();
    Ok(match allowed[..] {
        [code] => LanguageChoice::Given(code),
        _ => LanguageChoice::Detect(allowed),
    })
}

fn check_numbers(options: &TranscribeOptions) -> Result<(), ModelError> {
    let bad = |what: &str, allowed: &str| Err(ModelError::InvalidInput(format!("{what} must be {allowed}")));
    let positive = |x: f32| x.is_finite() && x > 0.0;
    if !(1..=MAX_ROWS).contains(&options.whisper.beam_size) {
        return bad("the beam size", &format!("1 to {MAX_ROWS}"));
    }
    if !(1..=MAX_ROWS).contains(&options.whisper.best_of) {
        return bad("best_of", &format!("1 to {MAX_ROWS}"));
    }
    if !positive(options.whisper.patience) {
        return bad("the patience", "above 0");
    }
    if options.whisper.length_penalty.is_some_and(|penalty| !penalty.is_finite()) {
        return bad("the length penalty", "a number");
    }
    if options.whisper.temperatures.is_empty()
        || !options.whisper.temperatures.iter().all(|&t| t == 0.0 || positive(t))
    {
        return bad("the temperatures", "one or more numbers of at least 0");
    }
    if options.whisper.max_initial_timestamp_s.is_nan() || options.whisper.max_initial_timestamp_s < 0.0 {
        return bad("the largest initial timestamp", "0 s or more");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn multilingual() -> WhisperTokenizer {
        WhisperTokenizer::built_in(51865).unwrap()
    }

    fn english() -> WhisperTokenizer {
        WhisperTokenizer::built_in(51864).unwrap()
    }

    fn with(change: impl FnOnce(&mut TranscribeOptions)) -> TranscribeOptions {
        let mut options = TranscribeOptions::default();
        change(&mut options);
        options
    }

    #[test]
    fn languages_are_known_by_code_and_name() {
        let ask = |language: &str| check(&multilingual(), &with(|o| o.language = Some(language.to_owned())));
        assert_eq!(ask("de").unwrap(), LanguageChoice::Given("de"));
        assert_eq!(ask("German").unwrap(), LanguageChoice::Given("de"));
        assert_eq!(
            check(&multilingual(), &TranscribeOptions::default()).unwrap(),
            LanguageChoice::Detect(vec![])
        );
    }

    #[test]
    fn a_single_allowed_language_is_the_language() {
        let allow = |codes: &[&str]| {
            let codes = codes.iter().map(|&code| code.to_owned()).collect();
            check(&multilingual(), &with(|o| o.allowed_languages = codes))
        };
        assert_eq!(allow(&["fr"]).unwrap(), LanguageChoice::Given("fr"));
        assert_eq!(allow(&["fr", "German"]).unwrap(), LanguageChoice::Detect(vec!["fr", "de"]));
        assert_eq!(
            allow(&["fr", "yue"]).unwrap(),
            LanguageChoice::Given("fr"),
            "only large-v3 has Cantonese"
        );
    }

    #[test]
    fn english_only_models_do_not_detect_languages() {
        assert_eq!(check(&english(), &TranscribeOptions::default()).unwrap(), LanguageChoice::Given("en"));
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let refused = [
            with(|o| o.whisper.beam_size = 0),
            with(|o| o.whisper.beam_size = 65),
            with(|o| o.whisper.best_of = 0),
            with(|o| o.whisper.patience = 0.0),
            with(|o| o.whisper.patience = f32::NAN),
            with(|o| o.whisper.length_penalty = Some(f32::INFINITY)),
            with(|o| o.whisper.temperatures = vec![]),
            with(|o| o.whisper.temperatures = vec![0.0, -0.1]),
            with(|o| o.whisper.temperatures = vec![f32::NAN]),
            with(|o| o.whisper.max_initial_timestamp_s = f32::NAN),
        ];
        for options in refused {
            assert!(
                matches!(check(&multilingual(), &options), Err(ModelError::InvalidInput(_))),
                "{options:?}"
            );
        }
    }
}
