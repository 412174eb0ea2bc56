use super::normalise::Language;
pub(super) fn read_out(text: &str, _language: Option<Language>) -> String { text.to_owned() }
