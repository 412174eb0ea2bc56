//! Part-of-speech tags by an averaged perceptron, Penn Treebank tag set.
//!
//! The method is Collins (2002), "Discriminative training methods for hidden Markov models": each word's tag is the
//! one with the greatest sum of weights over features of the word, its neighbours and the two tags before it. Words
//! that have one tag nearly always are answered from a dictionary. Weights and feature templates are the voice's.

use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use super::Error;
use super::files::{self, Pairs};
use super::table::StringTable;

const BEFORE: [&str; 2] = ["-START2-", "-START-"];
const AFTER: [&str; 2] = ["-END-", "-END2-"];

#[derive(Deserialize)]
struct Model {
    tags: Vec<String>,
    tagdict: Pairs<String, TagName>,
    vocab: Vec<String>,
    weights: Pairs<String, Pairs<TagName, f32>>,
}

/// A tag's name as it stands in the file, hundreds of thousands of times: zeros after it.
#[derive(Clone, Copy)]
struct TagName([u8; 8]);

impl TagName {
    fn as_str(&self) -> &str {
        let length = self.0.iter().position(|&byte| byte == 0).unwrap_or(self.0.len());
        // It came from a text and was not cut.
        str::from_utf8(&self.0[..length]).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for TagName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl Visitor<'_> for Name {
            type Value = TagName;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a tag of at most 8 bytes")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<TagName, E> {
                let mut bytes = [0; 8];
                let place = bytes.get_mut(..name.len());
                place.ok_or_else(|| E::invalid_length(name.len(), &self))?.copy_from_slice(name.as_bytes());
                Ok(TagName(bytes))
            }
        }
        deserializer.deserialize_str(Name)
    }
}

/// A loaded tagger.
pub(super) struct Tagger {
    /// In byte order, so that of two tags with equal scores the later name wins, as in training.
    tags: Vec<String>,
    certain_words: StringTable,
    certain_tags: Vec<u8>,
    vocabulary: StringTable,
    features: StringTable,
    /// For each feature, (tag, weight) pairs.
    weights: Vec<Box<[(u8, f32)]>>,
}

impl Tagger {
    /// Reads `tagger.json.gz`.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let mut model: Model = files::json(path)?;
        model.tags.sort();
        let tags = model.tags;
        let data_error = |reason: String| Error::Data { path: path.to_owned(), reason };
        if tags.is_empty() || tags.len() > 256 {
            return Err(data_error(format!("{} tags, expected 1 to 256", tags.len())));
        }
        let index = |tag: &str| {
            tags.binary_search_by(|known| known.as_str().cmp(tag))
                .map(|i| i as u8)
                .map_err(|_| data_error(format!("unknown tag {tag:?}")))
        };
        let mut certain = Vec::with_capacity(model.tagdict.0.len());
        for (word, tag) in model.tagdict.0 {
            certain.push((word, index(tag.as_str())?));
        }
        let mut features = Vec::with_capacity(model.weights.0.len());
        for (feature, weights) in model.weights.0 {
            let mut pairs = weights
                .0
                .into_iter()
                .map(|(tag, weight)| Ok((index(tag.as_str())?, weight)))
                .collect::<Result<Box<[_]>, Error>>()?;
            pairs.sort_by_key(|pair| pair.0);
            features.push((feature, pairs));
        }
        let (certain_words, certain_tags) = StringTable::build(certain);
        let (features, weights) = StringTable::build(features);
        let (vocabulary, _) = StringTable::build(model.vocab.into_iter().map(|word| (word, ())).collect());
        Ok(Self { tags, certain_words, certain_tags, vocabulary, features, weights })
    }

    /// The tag of each word (none may be empty).
    pub(super) fn tag<S: AsRef<str>>(&self, words: &[S]) -> Vec<&str> {
        let mut context: Vec<String> = BEFORE.map(str::to_owned).to_vec();
        context.extend(words.iter().map(|word| self.context_form(word.as_ref())));
        context.extend(AFTER.map(str::to_owned));
        let (mut previous, mut before_previous) = (BEFORE[1], BEFORE[0]);
        let mut tags = Vec::with_capacity(words.len());
        for (i, word) in words.iter().enumerate() {
            let word = word.as_ref();
            let tag = self.certain_words.find(word).map_or_else(
                || self.best(word, i, &context[i..i + 5], previous, before_previous),
                |certain| self.tags[self.certain_tags[certain] as usize].as_str(),
            );
            tags.push(tag);
            (before_previous, previous) = (previous, tag);
        }
        tags
    }

    /// The best tag of a word; `window` holds it in the middle of its neighbours.
    fn best(
        &self,
        word: &str,
        position: usize,
        window: &[String],
        previous: &str,
        before_previous: &str,
    ) -> &str {
        let features = [
            "b".to_owned(),
            format!("s3={}", last_three(word)),
            format!("p1={}", word.chars().next().unwrap_or_default()),
            format!("w={}", window[2]),
            format!("sh={}", shape(word)),
            if position == 0 { "i0" } else { "i+" }.to_owned(),
            format!("t-1={previous}"),
            format!("t-2={before_previous}"),
            format!("t-12={previous},{before_previous}"),
            format!("w-1={}", window[1]),
            format!("s3-1={}", last_three(&window[1])),
            format!("w-2={}", window[0]),
            format!("w+1={}", window[3]),
            format!("s3+1={}", last_three(&window[3])),
            format!("w+2={}", window[4]),
        ];
        let mut scores = vec![0.0_f64; self.tags.len()];
        let mut seen = false;
        for feature in features {
            if let Some(index) = self.features.find(&feature) {
                seen = true;
                for (tag, weight) in &self.weights[index] {
                    scores[*tag as usize] += f64::from(*weight);
                }
            }
        }
        if !seen {
            return "NN";
        }
        let best = (1..scores.len()).fold(0, |best, i| if scores[i] >= scores[best] { i } else { best });
        &self.tags[best]
    }

    /// A word as its neighbours see it: normalised, and only its shape when it is rare.
    fn context_form(&self, word: &str) -> String {
        let form = if word.contains('-') && !word.starts_with('-') {
            "!HYPHEN".to_owned()
        } else if word.len() == 4 && word.bytes().all(|b| b.is_ascii_digit()) {
            "!YEAR".to_owned()
        } else if word.starts_with(|c: char| c.is_ascii_digit()) {
            "!DIGITS".to_owned()
        } else {
            word.to_lowercase()
        };
        if self.vocabulary.find(&form).is_some() { form } else { format!("<{}>", shape(word)) }
    }
}

fn last_three(word: &str) -> &str {
    let start = word.char_indices().rev().nth(2).map_or(0, |(i, _)| i);
    &word[start..]
}

/// The pattern of letters, capitals and digits.
fn shape(word: &str) -> String {
    let letters = word.chars().count();
    let capitals = word.chars().filter(|c| c.is_uppercase()).count();
    let starts_capital = word.starts_with(char::is_uppercase);
    if word.chars().all(char::is_alphabetic) {
        match (capitals, starts_capital) {
            (0, _) => "x",
            (1, true) if letters == 1 => "X1",
            (n, _) if n == letters => "XX",
            (1, true) => "Xx",
            _ => "xX",
        }
        .to_owned()
    } else if word.bytes().all(|b| b.is_ascii_digit()) {
        "d".to_owned()
    } else {
        word.chars()
            .take(4)
            .map(|c| match c {
                c if c.is_ascii_digit() => 'd',
                c if c.is_alphabetic() => 'x',
                c => c,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        for (word, expected) in [
            ("word", "x"),
            ("Word", "Xx"),
            ("WORD", "XX"),
            ("A", "X1"),
            ("iPhone", "xX"),
            ("1999", "d"),
            ("n't", "x'x"),
            ("3rd-rate", "dxx-"),
        ] {
            assert_eq!(shape(word), expected, "{word}");
        }
    }

    #[test]
    fn context_decides_and_certain_words_do_not_ask() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tagger.json");
        let model = r#"{"tags": ["NN", "VB", "TO", "DT"], "tagdict": {"the": "DT", "to": "TO"},
            "vocab": ["record", "the", "to"],
            "weights": {"t-1=TO": {"VB": 2.0}, "t-1=DT": {"NN": 2.5}, "w=record": {"NN": 1.0, "VB": 1.0}}}"#;
        std::fs::write(&path, model).unwrap();
        let tagger = Tagger::open(&path).unwrap();
        assert_eq!(tagger.tag(&["to", "record", "the", "record"]), ["TO", "VB", "DT", "NN"]);
        assert_eq!(tagger.tag(&["unseen"]), ["NN"]);
        assert_eq!(tagger.tag::<&str>(&[]), [""; 0]);
    }

    #[test]
    fn broken_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tagger.json");
        std::fs::write(&path, r#"{"tags": ["NN"], "tagdict": {"a": "DT"}, "vocab": [], "weights": {}}"#)
            .unwrap();
        let error = Tagger::open(&path).err().unwrap().to_string();
        assert!(error.contains("unknown tag \"DT\""), "{error}");
    }
}
