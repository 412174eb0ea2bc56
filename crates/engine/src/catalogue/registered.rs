//! Models that the user adds to the catalogue, in Xinference's format.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use mynah_core::Registry;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Entry, Source, UNDETERMINED, languages_of};
use crate::Error;
use crate::state_store::StateStore;
use crate::sync::lock;

/// Characters that names must not contain, because they have a meaning in URLs.
const NOT_IN_NAMES: &str = "+/?%#&=\\";
const MAX_NAME_CHARS: usize = 100;

/// A registered model.
#[derive(Clone, Debug, PartialEq)]
pub struct Registration {
    /// The description, unchanged.
    pub definition: Map<String, Value>,
    /// The catalogue entry made from it.
    pub entry: Arc<Entry>,
}

/// The registered models; each persistent one has a record on disk.
#[derive(Debug, Default)]
pub(crate) struct Registered {
    models: Mutex<Vec<Registration>>,
    records: Option<StateStore>,
}

impl Registered {
    /// Reads the records.
    pub(crate) fn open(records: StateStore, registry: &Registry) -> Self {
        let mut models = Vec::new();
        for definition in records.all::<Map<String, Value>>() {
            match Registration::new(definition, registry) {
                Ok(registration) => models.push(registration),
                Err(error) => tracing::warn!(%error, "ignored an invalid registration"),
            }
        }
        Self { models: Mutex::new(models), records: Some(records) }
    }

    /// All of them, in order of registration.
    pub(crate) fn all(&self) -> Vec<Registration> {
        lock(&self.models).clone()
    }

    pub(super) fn entries(&self) -> Vec<Arc<Entry>> {
        lock(&self.models).iter().map(|model| Arc::clone(&model.entry)).collect()
    }

    pub(super) fn add(&self, registration: Registration, persist: bool) -> Result<(), Error> {
        let name = &registration.entry.name;
        let mut models = lock(&self.models);
        if models.iter().any(|model| model.entry.name.eq_ignore_ascii_case(name)) {
            return Err(Error::Registration(format!("Model {name} already registered")));
        }
        if let Some(records) = self.records.as_ref().filter(|_| persist) {
            records.put(&name.to_lowercase(), &registration.definition)?;
        }
        models.push(registration);
        Ok(())
    }

    /// Removes a model; returns whether there was one of this name.
    pub(crate) fn remove(&self, name: &str) -> Result<bool, Error> {
        let mut models = lock(&self.models);
        let Some(place) = models.iter().position(|model| model.entry.name == name) else { return Ok(false) };
        if let Some(records) = &self.records {
            records.remove(&name.to_lowercase())?;
        }
        models.remove(place);
        Ok(true)
    }
}

/// The fields of a description that are read. All others belong to other programs and are kept unchanged.
#[derive(Debug, Deserialize, Serialize)]
struct Definition {
    model_name: String,
    model_family: String,
    #[serde(default)]
    multilingual: Option<bool>,
    #[serde(default)]
    language: Option<String>,
    #[serde(default)]
    model_id: Option<String>,
    #[serde(default)]
    model_revision: Option<String>,
    #[serde(default)]
    model_hub: Option<String>,
    #[serde(default)]
    model_uri: Option<String>,
}

impl Registration {
    /// Parses a description: the text of a JSON object.
    ///
    /// # Errors
    /// [`Error::Registration`], with the reason.
    pub(super) fn parse(text: &str, registry: &Registry) -> Result<Self, Error> {
        match serde_json::from_str(text) {
            Ok(Value::Object(definition)) => Self::new(definition, registry),
            Ok(_) => Err(wrong("The model's definition must be a JSON object.")),
            Err(error) => Err(wrong(&format!("The model's definition is not valid JSON: {error}."))),
        }
    }

    fn new(definition: Map<String, Value>, registry: &Registry) -> Result<Self, Error> {
        let known: Definition = serde_json::from_value(Value::Object(definition.clone()))
            .map_err(|error| wrong(&format!("The model's definition cannot be used: {error}.")))?;
        check_name(&known.model_name)?;
        let family = registry.find(&known.model_family).ok_or_else(|| {
            let (asked, names) = (&known.model_family, registry.names());
            wrong(&format!("model_family {asked:.100} is not supported; use {names}."))
        })?;
        let source = source(&known)?;
        let languages = match (known.multilingual, known.language) {
            (Some(false), language) => vec![language.unwrap_or_else(|| UNDETERMINED.to_owned())],
            _ => languages_of(family),
        };
        let entry = Entry {
            name: known.model_name,
            aliases: Vec::new(),
            family: known.model_family,
            task: family.task(),
            languages,
            licence: "unknown".to_owned(),
            notice: None,
            parameters_m: 0,
            sources: vec![source],
            voices: Vec::new(),
        };
        Ok(Self { definition, entry: Arc::new(entry) })
    }
}

fn wrong(reason: &str) -> Error {
    Error::Registration(reason.to_owned())
}

/// Characters that are invisible, or change how others are displayed.
pub(crate) fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

fn check_name(name: &str) -> Result<(), Error> {
    let odd = |c: char| NOT_IN_NAMES.contains(c) || c.is_whitespace() || is_invisible(c);
    if name.is_empty()
        || name.chars().count() > MAX_NAME_CHARS
        || name.starts_with('.')
        || name.chars().any(odd)
    {
        let shown: String = name.chars().take(MAX_NAME_CHARS).flat_map(char::escape_debug).collect();
        return Err(wrong(&format!(
            "Invalid model name {shown}. A name has 1 to {MAX_NAME_CHARS} characters, does not begin with a point and \
             holds no white space and none of {NOT_IN_NAMES}"
        )));
    }
    Ok(())
}

/// A path takes precedence over a repository.
fn source(known: &Definition) -> Result<Source, Error> {
    if let Some(uri) = known.model_uri.as_deref().filter(|uri| !uri.is_empty()) {
        return Ok(Source::Local { path: local_path(uri)? });
    }
    let repo = known.model_id.clone().filter(|repo| !repo.is_empty()).ok_or_else(|| {
        wrong("The definition names no weights: give model_uri (file:///path) or model_id (owner/name).")
    })?;
    let is_part =
        |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(char::is_whitespace);
    if repo.split('/').count() != 2 || !repo.split('/').all(is_part) {
        return Err(wrong("model_id must be owner/name."));
    }
    let revision = known.model_revision.clone().filter(|revision| !revision.is_empty());
    match known.model_hub.as_deref() {
        None | Some("huggingface") => Ok(Source::Huggingface {
            repo,
            revision: revision.unwrap_or_else(|| "main".to_owned()),
            files: Vec::new(),
        }),
        Some("modelscope") => Ok(Source::Modelscope {
            repo,
            revision: revision.unwrap_or_else(|| "master".to_owned()),
            files: Vec::new(),
        }),
        Some(_) => Err(wrong("model_hub can be huggingface or modelscope.")),
    }
}

fn local_path(uri: &str) -> Result<PathBuf, Error> {
    let path = match uri.split_once("://") {
        Some(("file", path)) => path,
        None => uri,
        Some(_) => return Err(wrong("model_uri must be the address of a file: file:///path.")),
    };
    if !Path::new(path).is_absolute() {
        let shown: String = uri.chars().take(200).flat_map(char::escape_debug).collect();
        return Err(wrong(&format!("Model URI cannot be a relative path: {shown}")));
    }
    Ok(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::Catalogue;

    const WHISPER: &str = r#"{"model_name": "my-whisper", "model_family": "whisper", "multilingual": true,
        "model_id": null, "model_revision": null, "model_uri": "file:///weights/mine", "note": "kept"}"#;

    fn catalogue(folder: &Path) -> Catalogue {
        Catalogue::embedded(Some(StateStore::new(folder.to_owned())), mynah_models::registry()).unwrap()
    }

    #[test]
    fn registered_models_survive_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let first = catalogue(folder.path());
        first.register(WHISPER, true).unwrap();
        first.register(&WHISPER.replace("my-", "passing-"), false).unwrap();
        let entry = first.find("MY-whisper").unwrap();
        assert_eq!(entry.sources, [Source::Local { path: "/weights/mine".into() }]);
        assert!(entry.is_multilingual());

        let second = catalogue(folder.path());
        let names: Vec<String> = second.registered.all().iter().map(|r| r.entry.name.clone()).collect();
        assert_eq!(names, ["my-whisper"]);
        assert_eq!(second.registered.all()[0].definition["note"], "kept");
        assert!(second.registered.remove("my-whisper").unwrap());
        assert!(!second.registered.remove("my-whisper").unwrap());
        assert!(catalogue(folder.path()).registered.all().is_empty());
    }

    #[test]
    fn a_repository_is_a_source() {
        let hub = |more: &str| {
            let text = format!(
                r#"{{"model_name": "x", "model_family": "whisper", "multilingual": false, "language": "de",
                    "model_id": "me/x"{more}}}"#
            );
            Registration::parse(&text, &mynah_models::registry()).unwrap().entry
        };
        assert_eq!(hub("").sources[0].label(), "huggingface:me/x");
        assert_eq!(hub(r#", "model_hub": "modelscope""#).sources[0].label(), "modelscope:me/x");
        assert_eq!((&hub("").languages[..], hub("").is_multilingual()), (&["de".to_owned()][..], false));
    }

    #[test]
    fn invalid_descriptions_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        let catalogue = catalogue(folder.path());
        catalogue.register(WHISPER, false).unwrap();
        for (from, to, reason) in [
            ("\"another\"", "\"My-Whisper\"", "already registered"),
            ("\"another\"", "\"whisper-base\"", "already registered"),
            ("\"another\"", "\"whisper-1\"", "already registered"),
            ("\"another\"", "\"my whisper+\"", "Invalid model name my whisper+."),
            ("\"another\"", "\"../x\"", "Invalid model name"),
            ("\"another\"", "\"\"", "Invalid model name"),
            ("\"another\"", "5", "cannot be used"),
            ("\"whisper\"", "\"paraformer\"", "model_family"),
            ("\"model_family\"", "\"family\"", "model_family"),
            ("file:///weights/mine", "file://rel/dir", "relative path: file://rel/dir"),
            ("file:///weights/mine", "http://x/y", "model_uri"),
            ("\"file:///weights/mine\"", "null", "names no weights"),
            ("{", "{bad", "not valid JSON"),
        ] {
            let definition = WHISPER.replace("my-whisper", "another").replacen(from, to, 1);
            let error = catalogue.register(&definition, false).unwrap_err().to_string();
            assert!(error.contains(reason), "{definition}: {error}");
        }
        assert!(catalogue.register("[]", false).is_err());
    }
}
