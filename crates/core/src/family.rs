//! Families of models: how a checkpoint is recognised, which files it consists of, and how it is loaded.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Capabilities, ComputeType, Device, ModelError, Synthesizer, Transcriber};

/// What a model does. Written in Xinference's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ModelTask {
    /// Speech to text.
    #[serde(rename = "audio2text")]
    Transcription,
    /// Text to speech.
    #[serde(rename = "text2audio")]
    Speech,
}

impl ModelTask {
    /// Xinference's word for it: `audio2text` or `text2audio`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transcription => "audio2text",
            Self::Speech => "text2audio",
        }
    }
}

/// What a family is given to load a checkpoint, beside its path.
#[derive(Clone, Debug)]
pub struct LoadContext {
    /// Precision of the weights.
    pub compute: ComputeType,
    /// What the model computes on.
    pub device: Device,
    /// Folder for what can be computed again, shared by all models. It may not exist yet.
    pub cache: PathBuf,
    /// Folder of voices that the user saved. It may not exist.
    pub voices: PathBuf,
}

/// A loaded model, shared by all jobs.
#[derive(Clone)]
pub enum Model {
    /// Turns speech into text.
    Transcriber(Arc<dyn Transcriber>),
    /// Turns text into speech.
    Synthesizer(Arc<dyn Synthesizer>),
}

impl Model {
    /// Bytes of weights in memory; 0 where that is not known.
    pub fn weight_bytes(&self) -> u64 {
        match self {
            Self::Transcriber(model) => model.weight_bytes(),
            Self::Synthesizer(model) => model.weight_bytes(),
        }
    }

    /// How many hold this model, this handle among them.
    pub fn handles(&self) -> usize {
        match self {
            Self::Transcriber(model) => Arc::strong_count(model),
            Self::Synthesizer(model) => Arc::strong_count(model),
        }
    }
}

/// An architecture that checkpoints are made for.
pub trait ModelFamily: Send + Sync {
    /// Its name, as in the catalogue and in Xinference's `model_family`.
    fn name(&self) -> &'static str;

    /// What its models do.
    fn task(&self) -> ModelTask;

    /// What its models can do, before one is loaded. `languages` are the codes that the catalogue lists for the model; none:
    /// all that the family knows.
    fn capabilities(&self, languages: &[String]) -> Capabilities;

    /// Whether the file or folder at `path` is a checkpoint of this family, by what is in it. That it is complete is seen
    /// when it is loaded.
    ///
    /// # Errors
    /// [`ModelError::Weights`] if it may be one, and cannot be read well enough to tell.
    fn detect(&self, path: &Path) -> Result<bool, ModelError>;

    /// The files of a repository that make one checkpoint, where the catalogue lists none, out of the names of all its files.
    ///
    /// # Errors
    /// What is missing, as the end of a sentence: `it has no tokenizer`.
    fn select_files<'a>(&self, names: &[&'a str]) -> Result<Vec<&'a str>, &'static str>;

    /// Loads the checkpoint at `path`.
    ///
    /// # Errors
    /// [`ModelError::Weights`], or [`ModelError::Unsupported`].
    fn load(&self, path: &Path, context: &LoadContext) -> Result<Model, ModelError>;
}

/// The families that this program runs.
#[derive(Clone, Default)]
pub struct Registry(Vec<Arc<dyn ModelFamily>>);

impl Registry {
    /// These families; the first that detects a checkpoint has it.
    pub fn new(families: impl IntoIterator<Item = Arc<dyn ModelFamily>>) -> Self {
        Self(families.into_iter().collect())
    }

    /// The same with one more, which takes the place of one with its name.
    #[must_use]
    pub fn with(mut self, family: impl ModelFamily + 'static) -> Self {
        match self.0.iter_mut().find(|known| known.name() == family.name()) {
            Some(known) => *known = Arc::new(family),
            None => self.0.push(Arc::new(family)),
        }
        self
    }

    /// All of them.
    pub fn families(&self) -> &[Arc<dyn ModelFamily>] {
        &self.0
    }

    /// The family of this name.
    pub fn find(&self, name: &str) -> Option<&dyn ModelFamily> {
        self.0.iter().find(|family| family.name() == name).map(|family| &**family)
    }

    /// The family of the checkpoint at a path, if it is of any.
    ///
    /// # Errors
    /// What a family fails with that it may belong to, if it belongs to no other.
    pub fn detect(&self, path: &Path) -> Result<Option<&dyn ModelFamily>, ModelError> {
        let mut unreadable = None;
        for family in &self.0 {
            match family.detect(path) {
                Ok(true) => return Ok(Some(&**family)),
                Ok(false) => {}
                Err(error) => unreadable = unreadable.or(Some(error)),
            }
        }
        unreadable.map_or(Ok(None), Err)
    }

    /// Names of the families, in a list for people: `whisper, ChatTTS or hibari`.
    pub fn names(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|family| family.name()).collect();
        match names.split_last() {
            Some((last, first)) if !first.is_empty() => format!("{} or {last}", first.join(", ")),
            Some((last, _)) => (*last).to_owned(),
            None => String::new(),
        }
    }
}
