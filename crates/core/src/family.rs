//! Model families: detect checkpoints, select their files, and load them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Capabilities, ComputeType, Device, ModelError, Synthesizer, Transcriber};

/// A model's task. Serialized in Xinference's terms.
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
    /// Xinference's name: `audio2text` or `text2audio`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Transcription => "audio2text",
            Self::Speech => "text2audio",
        }
    }
}

/// Parameters of loading a checkpoint.
#[derive(Clone, Debug)]
pub struct LoadContext {
    /// Precision of the weights.
    pub compute: ComputeType,
    /// The device.
    pub device: Device,
    /// Cache folder, shared by all models. It may not exist yet.
    pub cache: PathBuf,
    /// Folder of the user's saved voices. It may not exist.
    pub voices: PathBuf,
}

/// A loaded model, shared by all jobs.
#[derive(Clone)]
pub enum Model {
    /// A speech-to-text model.
    Transcriber(Arc<dyn Transcriber>),
    /// A text-to-speech model.
    Synthesizer(Arc<dyn Synthesizer>),
}

impl Model {
    /// Bytes of weights in memory; 0 if unknown.
    pub fn weight_bytes(&self) -> u64 {
        match self {
            Self::Transcriber(model) => model.weight_bytes(),
            Self::Synthesizer(model) => model.weight_bytes(),
        }
    }

    /// Number of handles of this model, including this one.
    pub fn handles(&self) -> usize {
        match self {
            Self::Transcriber(model) => Arc::strong_count(model),
            Self::Synthesizer(model) => Arc::strong_count(model),
        }
    }
}

/// A model architecture.
pub trait ModelFamily: Send + Sync {
    /// Its name, as in the catalogue and in Xinference's `model_family`.
    fn name(&self) -> &'static str;

    /// Task of its models.
    fn task(&self) -> ModelTask;

    /// What its models can do, before one is loaded. `languages` are the codes that the catalogue lists for the model; none:
    /// all that the family knows.
    fn capabilities(&self, languages: &[String]) -> Capabilities;

    /// Whether the file or folder at `path` is a checkpoint of this family, judged by its contents. Completeness is checked
    /// when it is loaded.
    ///
    /// # Errors
    /// [`ModelError::Weights`] if it may be one but cannot be read well enough to decide.
    fn detect(&self, path: &Path) -> Result<bool, ModelError>;

    /// Selects the files of one checkpoint from the names of all files of a repository. Used if the catalogue lists none.
    ///
    /// # Errors
    /// What is missing, as a clause: `it has no tokenizer`.
    fn select_files<'a>(&self, names: &[&'a str]) -> Result<Vec<&'a str>, &'static str>;

    /// Loads the checkpoint at `path`.
    ///
    /// # Errors
    /// [`ModelError::Weights`], or [`ModelError::Unsupported`].
    fn load(&self, path: &Path, context: &LoadContext) -> Result<Model, ModelError>;
}

/// The families that this program supports.
#[derive(Clone, Default)]
pub struct Registry(Vec<Arc<dyn ModelFamily>>);

impl Registry {
    /// A registry of these families; the first one that detects a checkpoint loads it.
    pub fn new(families: impl IntoIterator<Item = Arc<dyn ModelFamily>>) -> Self {
        Self(families.into_iter().collect())
    }

    /// Adds a family, or replaces the one of the same name.
    #[must_use]
    pub fn with(mut self, family: impl ModelFamily + 'static) -> Self {
        match self.0.iter_mut().find(|known| known.name() == family.name()) {
            Some(known) => *known = Arc::new(family),
            None => self.0.push(Arc::new(family)),
        }
        self
    }

    /// All families.
    pub fn families(&self) -> &[Arc<dyn ModelFamily>] {
        &self.0
    }

    /// The family with this name.
    pub fn find(&self, name: &str) -> Option<&dyn ModelFamily> {
        self.0.iter().find(|family| family.name() == name).map(|family| &**family)
    }

    /// The family of the checkpoint at `path`, if any.
    ///
    /// # Errors
    /// The error of a family that the checkpoint may belong to, if no other family detects it.
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

    /// Names of the families as text: `whisper, ChatTTS or hibari`.
    pub fn names(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|family| family.name()).collect();
        match names.split_last() {
            Some((last, first)) if !first.is_empty() => format!("{} or {last}", first.join(", ")),
            Some((last, _)) => (*last).to_owned(),
            None => String::new(),
        }
    }
}
