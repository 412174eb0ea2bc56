//! The parameters of a request: parts of a multipart form or members of a JSON object.

use serde_json::{Map, Value};

use crate::error::ApiError;

/// Parameters in order of arrival. Empty strings and nulls count as absent. A list may be sent as repeated
/// parts, with or without `[]` after the name, as JSON text, or as a JSON array.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<(String, Value)>);

/// The value of a parameter that accepts an object or a word.
#[derive(Debug)]
pub(crate) enum ObjectOrWord {
    /// Its members.
    Object(Fields),
    /// A string that is not a JSON object.
    Word(String),
}

impl Fields {
    /// The members of a JSON body.
    pub(crate) fn from_object(object: Map<String, Value>) -> Self {
        let mut fields = Self::default();
        for (name, value) in object {
            fields.push(&name, value);
        }
        fields
    }

    /// Adds a parameter.
    pub(crate) fn push(&mut self, name: &str, value: Value) {
        let absent = match &value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            _ => false,
        };
        if !absent {
            self.0.push((name.strip_suffix("[]").unwrap_or(name).to_owned(), value));
        }
    }

    /// Adds a parameter from text.
    pub(crate) fn push_text(&mut self, name: &str, text: String) {
        self.push(name, Value::String(text));
    }

    /// Whether there is a parameter of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// The value of a parameter; the last one counts if it is repeated.
    fn value(&self, name: &str) -> Option<&Value> {
        self.0.iter().rev().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// A string; numbers are converted as they are written.
    pub(crate) fn text(&self, name: &'static str) -> Result<Option<String>, ApiError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(_) => Err(ApiError::invalid(name, format!("{name} must be a string."))),
        }
    }

    /// A finite number within `range`.
    pub(crate) fn number(
        &self,
        name: &'static str,
        range: std::ops::RangeInclusive<f64>,
    ) -> Result<Option<f64>, ApiError> {
        self.value(name).map(|value| number_within(name, value, &range)).transpose()
    }

    /// A whole number within `range`.
    pub(crate) fn integer(
        &self,
        name: &'static str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, ApiError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let parsed = match value {
            Value::Number(number) => number.as_u64().or_else(|| number.as_f64().and_then(whole)),
            Value::String(text) => {
                text.trim().parse().ok().or_else(|| text.trim().parse().ok().and_then(whole))
            }
            _ => None,
        };
        match parsed {
            Some(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(ApiError::invalid(
                name,
                format!("{name} must be a whole number from {} to {}.", range.start(), range.end()),
            )),
        }
    }

    /// A boolean: `true` and `false`, `1` and `0`, `yes` and `no`, `on` and `off`.
    pub(crate) fn boolean(&self, name: &'static str) -> Result<Option<bool>, ApiError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let word = match value {
            Value::Bool(truth) => return Ok(Some(*truth)),
            Value::String(text) => text.trim().to_ascii_lowercase(),
            Value::Number(number) => number.to_string(),
            _ => String::new(),
        };
        match word.as_str() {
            "true" | "1" | "yes" | "on" => Ok(Some(true)),
            "false" | "0" | "no" | "off" => Ok(Some(false)),
            _ => Err(ApiError::invalid(name, format!("{name} must be true or false."))),
        }
    }

    /// A list of strings. Plain text is split at commas if `comma` is set.
    pub(crate) fn list(&self, name: &'static str, comma: bool) -> Result<Vec<String>, ApiError> {
        let mut items = Vec::new();
        for (_, value) in self.0.iter().filter(|(n, _)| n == name) {
            match value {
                Value::Array(array) => {
                    for item in array {
                        items.push(item_text(name, item)?);
                    }
                }
                Value::String(text) => match serde_json::from_str(text.trim()) {
                    Ok(Value::Array(array)) => {
                        for item in &array {
                            items.push(item_text(name, item)?);
                        }
                    }
                    _ if comma => items.extend(text.split(',').map(str::to_owned)),
                    _ => items.push(text.clone()),
                },
                other => items.push(item_text(name, other)?),
            }
        }
        Ok(items.iter().map(|item| item.trim()).filter(|item| !item.is_empty()).map(str::to_owned).collect())
    }

    /// An object: a JSON object, its JSON text, or bracketed parts (`name[member]`); or a word instead.
    pub(crate) fn object(&self, name: &'static str) -> Result<Option<ObjectOrWord>, ApiError> {
        let not_an_object = || ApiError::invalid(name, format!("{name} must be a JSON object."));
        let mut bracketed = Map::new();
        for (n, value) in &self.0 {
            if let Some(member) = n.strip_prefix(name).and_then(|rest| rest.strip_prefix('[')) {
                let member = member.strip_suffix(']').ok_or_else(not_an_object)?;
                bracketed.insert(member.to_owned(), value.clone());
            }
        }
        match self.value(name) {
            Some(Value::Object(object)) => Ok(Some(ObjectOrWord::Object(Self::from_object(object.clone())))),
            Some(Value::String(text)) if text.trim_start().starts_with(['{', '[']) => {
                match serde_json::from_str(text) {
                    Ok(Value::Object(object)) => Ok(Some(ObjectOrWord::Object(Self::from_object(object)))),
                    _ => Err(not_an_object()),
                }
            }
            Some(Value::String(text)) => Ok(Some(ObjectOrWord::Word(text.clone()))),
            Some(_) => Err(not_an_object()),
            None if bracketed.is_empty() => Ok(None),
            None => Ok(Some(ObjectOrWord::Object(Self::from_object(bracketed)))),
        }
    }

    /// Names, for messages.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Adds the parameters of `others` that are missing here.
    pub(crate) fn add_missing(&mut self, others: Fields) {
        for (name, value) in others.0 {
            if !self.has(&name) {
                self.0.push((name, value));
            }
        }
    }
}

/// Parses a number that may be a string.
pub(crate) fn number_within(
    name: &'static str,
    value: &Value,
    range: &std::ops::RangeInclusive<f64>,
) -> Result<f64, ApiError> {
    let parsed = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    match parsed {
        Some(number) if range.contains(&number) => Ok(number),
        _ => Err(ApiError::invalid(
            name,
            format!("{name} must be a number from {} to {}.", range.start(), range.end()),
        )),
    }
}

fn item_text(name: &'static str, value: &Value) -> Result<String, ApiError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(ApiError::invalid(name, format!("{name} must be a list of strings."))),
    }
}

fn whole(number: f64) -> Option<u64> {
    (number.fract() == 0.0 && (0.0..9e15).contains(&number)).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Fields, ObjectOrWord};

    fn fields(parts: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, text) in parts {
            fields.push_text(name, (*text).to_owned());
        }
        fields
    }

    #[test]
    fn lists_are_accepted_in_every_form() {
        let expected = vec!["word".to_owned(), "segment".to_owned()];
        for parts in [
            &[("g[]", "word"), ("g[]", "segment")][..],
            &[("g", "word"), ("g", "segment")],
            &[("g", "word,segment")],
            &[("g", "word, segment")],
            &[("g", r#"["word","segment"]"#)],
            &[("g[]", r#"["word", "segment"]"#)],
        ] {
            assert_eq!(fields(parts).list("g", true).unwrap(), expected, "{parts:?}");
        }
        let json = Fields::from_object(json!({"g": ["word", "segment"]}).as_object().unwrap().clone());
        assert_eq!(json.list("g", true).unwrap(), expected);
        assert_eq!(fields(&[("k", "a, b")]).list("k", false).unwrap(), ["a, b"]);
        assert!(fields(&[("g", "[[1]]")]).list("g", true).is_err());
    }

    #[test]
    fn objects_are_accepted_in_every_form() {
        let bracketed = fields(&[("c[type]", "server_vad"), ("c[threshold]", "0.4")]);
        let text = fields(&[("c", r#"{"type":"server_vad","threshold":0.4}"#)]);
        for form in [bracketed, text] {
            let Some(ObjectOrWord::Object(object)) = form.object("c").unwrap() else { panic!("{form:?}") };
            assert_eq!(object.text("type").unwrap().as_deref(), Some("server_vad"));
            assert_eq!(object.number("threshold", 0.0..=1.0).unwrap(), Some(0.4));
        }
        assert!(
            matches!(fields(&[("c", "auto")]).object("c"), Ok(Some(ObjectOrWord::Word(word))) if word == "auto")
        );
        assert!(fields(&[("c", "{bad")]).object("c").is_err());
        assert!(fields(&[("c[type", "x")]).object("c").is_err());
        assert!(fields(&[]).object("c").unwrap().is_none());
    }

    #[test]
    fn scalars_are_read_from_text_and_json() {
        let form =
            fields(&[("n", "3"), ("n", "5"), ("x", "0.25"), ("yes", "True"), ("no", "0"), ("nan", "NaN")]);
        assert_eq!(form.integer("n", 0..=9).unwrap(), Some(5), "the last one counts");
        assert_eq!(form.number("x", 0.0..=1.0).unwrap(), Some(0.25));
        assert_eq!(form.boolean("yes").unwrap(), Some(true));
        assert_eq!(form.boolean("no").unwrap(), Some(false));
        assert!(form.number("nan", 0.0..=1.0).is_err());
        assert!(form.integer("x", 0..=9).is_err());
        assert!(form.integer("n", 0..=4).is_err());
        assert!(form.boolean("x").is_err());
        assert_eq!(fields(&[("t", "")]).text("t").unwrap(), None, "an empty part counts as absent");
        let json = Fields::from_object(
            json!({"n": 5.0, "yes": true, "none": null, "t": 7}).as_object().unwrap().clone(),
        );
        assert_eq!(json.integer("n", 0..=9).unwrap(), Some(5));
        assert_eq!(json.boolean("yes").unwrap(), Some(true));
        assert!(!json.has("none"));
        assert_eq!(json.text("t").unwrap().as_deref(), Some("7"));
    }
}
