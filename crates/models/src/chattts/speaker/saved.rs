//! Voices that the user saved under a name: one small JSON file each.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use mynah_core::ModelError;
use serde::{Deserialize, Serialize};

use super::{Voice, VoiceSample, Voices, strings};
use crate::error;

/// A voice as a file: `NAME.json` in the folder of saved voices.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedVoice {
    /// A speaker string, the base64 of a tensor, or `seed:N`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speaker: Option<String>,
    /// Encoded reference audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<String>,
    /// Transcript of the reference audio.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_text: Option<String>,
}

/// Maximum file size: a minute of reference audio takes some tens of kilobytes.
const MAX_BYTES: u64 = 1 << 20;

impl SavedVoice {
    /// The file of a voice. A name has letters, digits, `-`, `_`, `.` (not first) and spaces, at most 64 characters.
    fn path(folder: &Path, name: &str) -> Option<PathBuf> {
        let allowed = |c: char| c.is_alphanumeric() || "-_. ".contains(c);
        let fits =
            (1..=64).contains(&name.chars().count()) && !name.starts_with('.') && name.chars().all(allowed);
        fits.then(|| folder.join(format!("{name}.json")))
    }

    /// The saved voice of this name, or `None`.
    ///
    /// # Errors
    /// Its file cannot be read or is damaged.
    pub fn read(folder: &Path, name: &str) -> Result<Option<Self>, ModelError> {
        let Some(path) = Self::path(folder, name) else { return Ok(None) };
        let malformed = |reason: String| error::malformed(&path, reason);
        match std::fs::metadata(&path) {
            Ok(file) if file.len() > MAX_BYTES => {
                return Err(malformed("it is too large for a voice".into()));
            }
            Ok(_) => {}
            // A name that no file can have is not a saved voice.
            Err(reason) if matches!(reason.kind(), ErrorKind::NotFound | ErrorKind::InvalidFilename) => {
                return Ok(None);
            }
            Err(source) => return Err(error::io(path, source)),
        }
        let text = std::fs::read(&path).map_err(|source| error::io(&path, source))?;
        serde_json::from_slice(&text).map(Some).map_err(|reason| malformed(reason.to_string()))
    }

    /// Writes the voice under a name.
    ///
    /// # Errors
    /// [`ModelError::InvalidInput`] if the name cannot be a file's, an error of reading or writing if the file cannot be written.
    pub fn write(&self, folder: &Path, name: &str) -> Result<(), ModelError> {
        let path = Self::path(folder, name).ok_or_else(|| {
            ModelError::InvalidInput(format!(
                "{name:?} is not a valid voice name: use letters, digits, -, _ and spaces"
            ))
        })?;
        let text =
            serde_json::to_vec_pretty(self).map_err(|reason| ModelError::InvalidInput(reason.to_string()))?;
        let written = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, text));
        written.map_err(|source| error::io(path, source))
    }

    /// Decodes the file's voice.
    pub(super) fn voice(&self, voices: &Voices) -> Result<Voice, ModelError> {
        let mut voice = match &self.speaker {
            Some(speaker) if speaker.starts_with("seed:") => {
                Voices { saved: None, width: voices.width, statistics: voices.statistics.clone() }
                    .find(speaker)?
            }
            Some(speaker) => voices.encoded(speaker)?,
            None => Voice::default(),
        };
        if let Some(sample) = &self.sample {
            let text = self.sample_text.clone().unwrap_or_default();
            voice.sample = Some(VoiceSample { codes: strings::decode_sample(sample)?.into(), text });
        }
        Ok(voice)
    }
}
