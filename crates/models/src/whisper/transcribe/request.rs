//! What a request may ask for.

use mynah_text::languages;
use mynah_text::whisper_tokenizer::WhisperTokenizer;

use crate::{Error, Task, TranscribeOptions};

/// Hypotheses a request can have at once: each takes its share of memory and time at every step.
const MAX_ROWS: usize = 64;

/// Which language is spoken, by codes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Spoken {
    /// This one.
    Given(&'static str),
    /// One of these; of all if there are none.
    Among(Vec<&'static str>),
}

/// Checks the options against the model.
pub(super) fn check(tokenizer: &WhisperTokenizer, options: &TranscribeOptions) -> Result<Spoken, Error> {
    check_numbers(options)?;
    let allowed = options.allowed_languages.iter().map(|text| known(tokenizer, text));
    let allowed = allowed.collect::<Result<Vec<_>, _>>()?;
    let language = options.language.as_deref().map(|text| known(tokenizer, text)).transpose()?;
    if tokenizer.is_multilingual() {
        return Ok(match (language, &allowed[..]) {
            (Some(code), _) | (None, &[code]) => Spoken::Given(code),
            (None, _) => Spoken::Among(allowed),
        });
    }
    if options.task == Task::Translate {
        return Err(Error::Unsupported(
            "this model writes English from English only; use a multilingual model to \
                                       translate"
                .to_owned(),
        ));
    }
    if language.is_some_and(|code| code != "en") || !(allowed.is_empty() || allowed.contains(&"en")) {
        return Err(Error::Unsupported(
            "this model knows English only; use a multilingual model or ask for language en".to_owned(),
        ));
    }
    Ok(Spoken::Given("en"))
}

/// Code of a language by code or name, if the model has it.
fn known(tokenizer: &WhisperTokenizer, text: &str) -> Result<&'static str, Error> {
    let language = languages::find(text).ok_or_else(|| {
        Error::BadInput(format!("unknown language {text:?}; give a code such as en, de or zh"))
    })?;
    if tokenizer.is_multilingual() && tokenizer.language_token(language.code).is_none() {
        return Err(Error::Unsupported(format!("this model does not know {}", language.name)));
    }
    Ok(language.code)
}

fn check_numbers(options: &TranscribeOptions) -> Result<(), Error> {
    let bad = |what: &str, allowed: &str| Err(Error::BadInput(format!("{what} must be {allowed}")));
    let positive = |x: f32| x.is_finite() && x > 0.0;
    if !(1..=MAX_ROWS).contains(&options.beam_size) {
        return bad("the beam size", &format!("1 to {MAX_ROWS}"));
    }
    if !(1..=MAX_ROWS).contains(&options.best_of) {
        return bad("best_of", &format!("1 to {MAX_ROWS}"));
    }
    if !positive(options.patience) {
        return bad("the patience", "above 0");
    }
    if options.length_penalty.is_some_and(|penalty| !penalty.is_finite()) {
        return bad("the length penalty", "a number");
    }
    if options.temperatures.is_empty() || !options.temperatures.iter().all(|&t| t == 0.0 || positive(t)) {
        return bad("the temperatures", "one or more numbers from 0 on");
    }
    if options.max_initial_timestamp_s.is_nan() || options.max_initial_timestamp_s < 0.0 {
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
        assert_eq!(ask("de").unwrap(), Spoken::Given("de"));
        assert_eq!(ask("German").unwrap(), Spoken::Given("de"));
        assert!(matches!(ask("xx"), Err(Error::BadInput(_))));
        assert!(matches!(ask("yue"), Err(Error::Unsupported(_))), "only large-v3 has Cantonese");
        assert_eq!(check(&multilingual(), &TranscribeOptions::default()).unwrap(), Spoken::Among(vec![]));
    }

    #[test]
    fn a_single_allowed_language_is_the_language() {
        let allow = |codes: &[&str]| {
            let codes = codes.iter().map(|&code| code.to_owned()).collect();
            check(&multilingual(), &with(|o| o.allowed_languages = codes))
        };
        assert_eq!(allow(&["fr"]).unwrap(), Spoken::Given("fr"));
        assert_eq!(allow(&["fr", "German"]).unwrap(), Spoken::Among(vec!["fr", "de"]));
        assert!(matches!(allow(&["fr", "klingon"]), Err(Error::BadInput(_))));
    }

    #[test]
    fn english_only_models_do_nothing_else() {
        assert_eq!(check(&english(), &TranscribeOptions::default()).unwrap(), Spoken::Given("en"));
        let refused = [
            with(|o| o.task = Task::Translate),
            with(|o| o.language = Some("de".to_owned())),
            with(|o| o.allowed_languages = vec!["de".to_owned()]),
        ];
        for options in refused {
            assert!(matches!(check(&english(), &options), Err(Error::Unsupported(_))), "{options:?}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let refused = [
            with(|o| o.beam_size = 0),
            with(|o| o.beam_size = 65),
            with(|o| o.best_of = 0),
            with(|o| o.patience = 0.0),
            with(|o| o.patience = f32::NAN),
            with(|o| o.length_penalty = Some(f32::INFINITY)),
            with(|o| o.temperatures = vec![]),
            with(|o| o.temperatures = vec![0.0, -0.1]),
            with(|o| o.temperatures = vec![f32::NAN]),
            with(|o| o.max_initial_timestamp_s = f32::NAN),
        ];
        for options in refused {
            assert!(matches!(check(&multilingual(), &options), Err(Error::BadInput(_))), "{options:?}");
        }
    }
}
