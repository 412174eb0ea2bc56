//! Finds a checkpoint's files, in the published layout and in the older one.

use std::path::{Path, PathBuf};

use mynah_core::ModelError;
use mynah_text::word_piece::WordPiece;
use mynah_weights::{Tensors, open_state_dict, read_json, read_side_file};

use super::character_map::Homophones;
use super::config::Settings;
use crate::error;

/// The files of a checkpoint. Tensors are read on demand.
pub(super) struct Files {
    folder: PathBuf,
    pub(super) gpt: Part,
    /// Embeddings and heads; in the older layout they are in the language model's file.
    pub(super) embed: Part,
    pub(super) decoder: Part,
    pub(super) vocos: Part,
    /// Only reference audio needs it.
    pub(super) dvae: Option<Part>,
}

/// A file of tensors.
pub(super) struct Part {
    /// Its path within the checkpoint.
    pub(super) name: &'static str,
    pub(super) tensors: Tensors,
    /// Prefix of names.
    pub(super) prefix: &'static str,
}

/// The files that identify the published layout and the older one.
const PUBLISHED: &str = "gpt/model.safetensors";
const OLDER: &str = "GPT.pt";

impl Files {
    /// Whether either layout is at `path`.
    pub(super) fn is_at(path: &Path) -> bool {
        let folder = folder(path);
        [PUBLISHED, OLDER].iter().any(|name| folder.join(name).is_file())
    }

    /// Opens `path`, a folder with `asset` in it, or that folder itself.
    pub(super) fn open(path: &Path) -> Result<Self, ModelError> {
        let folder = folder(path);
        let part = |name: &'static str, prefix| -> Result<Part, ModelError> {
            Ok(Part { name, tensors: open_state_dict(&folder.join(name))?, prefix })
        };
        let optional = |names: &[&'static str]| -> Result<Option<Part>, ModelError> {
            let found = names.iter().find(|name| folder.join(name).is_file());
            found.map(|name| part(name, "")).transpose()
        };
        if folder.join(PUBLISHED).is_file() {
            return Ok(Self {
                gpt: part(PUBLISHED, "")?,
                embed: part("Embed.safetensors", "")?,
                decoder: part("Decoder.safetensors", "")?,
                vocos: part("Vocos.safetensors", "")?,
                dvae: optional(&["DVAE.safetensors"])?,
                folder,
            });
        }
        if folder.join(OLDER).is_file() {
            return Ok(Self {
                gpt: part(OLDER, "gpt.")?,
                embed: part(OLDER, "")?,
                decoder: part("Decoder.pt", "")?,
                vocos: part("Vocos.pt", "")?,
                dvae: optional(&["DVAE_full.pt", "DVAE.pt"])?,
                folder,
            });
        }
        Err(error::not_a_checkpoint(
            path,
            "a ChatTTS checkpoint has asset/gpt/model.safetensors or, in its older layout, asset/GPT.pt",
        ))
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, ModelError> {
        Ok(read_side_file(&self.folder.join(name))?)
    }

    pub(super) fn settings(&self) -> Result<Settings, ModelError> {
        Ok(read_json(&self.folder.join("gpt/config.json"))?.unwrap_or_default())
    }

    pub(super) fn vocabulary(&self) -> Result<WordPiece, ModelError> {
        let malformed = |name: &str, reason: String| error::malformed(self.folder.join(name), reason);
        if let Some(json) = self.read("tokenizer/tokenizer.json")? {
            return WordPiece::from_json(&json)
                .map_err(|reason| malformed("tokenizer/tokenizer.json", reason.to_string()));
        }
        let Some(pickle) = self.read("tokenizer.pt")? else {
            let path = self.folder.join("tokenizer/tokenizer.json");
            return Err(error::io(path, std::io::ErrorKind::NotFound.into()));
        };
        let json = embedded_json(&pickle)
            .ok_or_else(|| malformed("tokenizer.pt", "it has no vocabulary in JSON".into()))?;
        WordPiece::from_json(json).map_err(|reason| malformed("tokenizer.pt", reason.to_string()))
    }

    /// The file of speaker statistics, if the checkpoint has one.
    pub(super) fn statistics(&self) -> Option<PathBuf> {
        let names = ["spk_stat.pt", "spk_stat.txt"].map(|name| self.folder.join(name));
        names.into_iter().find(|path| path.is_file())
    }

    /// The homophones beside the checkpoint, if there are any.
    pub(super) fn homophones(&self) -> Option<PathBuf> {
        Some(self.folder.join("homophones_map.json")).filter(|path| path.is_file())
    }
}

/// The files of a repository that make a checkpoint: those below `asset`, in one of the two layouts.
pub(super) fn select<'a>(names: &[&'a str]) -> Result<Vec<&'a str>, &'static str> {
    let has = |file: &str| names.iter().any(|name| name.strip_prefix("asset/") == Some(file));
    let endings: &[&str] = if has(PUBLISHED) {
        &[".safetensors", ".json", ".txt"]
    } else if has(OLDER) {
        &[".pt", ".json", ".txt"]
    } else {
        return Err("it has neither asset/gpt/model.safetensors nor asset/GPT.pt");
    };
    let is_wanted =
        |name: &&&str| name.starts_with("asset/") && endings.iter().any(|end| name.ends_with(end));
    Ok(names.iter().filter(is_wanted).copied().collect())
}

fn folder(path: &Path) -> PathBuf {
    let inner = path.join("asset");
    if inner.is_dir() { inner } else { path.to_owned() }
}

/// Reads a map of characters to homophones, a JSON object.
pub(super) fn read_homophones(path: &Path) -> Result<Homophones, ModelError> {
    read_json(path)?.ok_or_else(|| error::io(path, std::io::ErrorKind::NotFound.into()))
}

/// The vocabulary in a pickled tokenizer, which has the text of its `tokenizer.json`. The pickle is not executed.
fn embedded_json(pickle: &[u8]) -> Option<&[u8]> {
    const BEGINNING: &[u8] = b"{\"version\"";
    let start = pickle.windows(BEGINNING.len()).position(|window| window == BEGINNING)?;
    let json = &pickle[start..];
    let mut values = serde_json::Deserializer::from_slice(json).into_iter::<serde::de::IgnoredAny>();
    values.next()?.ok()?;
    json.get(..values.byte_offset())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_layout_is_selected() {
        let older = ["asset/GPT.pt", "asset/Vocos.pt", "config/decoder.yaml", "README.md"];
        assert_eq!(select(&older).unwrap(), ["asset/GPT.pt", "asset/Vocos.pt"]);
        let both = [&older[..], &["asset/gpt/model.safetensors", "asset/spk_stat.txt"]].concat();
        assert_eq!(select(&both).unwrap(), ["asset/gpt/model.safetensors", "asset/spk_stat.txt"]);
        assert!(select(&["model.safetensors"]).is_err());
    }

    #[test]
    fn vocabularies_are_found_inside_pickles() {
        let pickle = b"\x80\x02...B\x19\x00\x00\x00{\"version\": \"1.0\", \"a\": \"}\"}u.{}";
        assert_eq!(embedded_json(pickle), Some(&b"{\"version\": \"1.0\", \"a\": \"}\"}"[..]));
        assert_eq!(embedded_json(b"\x80\x02{\"version\": "), None);
        assert_eq!(embedded_json(b""), None);
    }
}
