//! Integrity of a model's files. Sizes are checked whenever a model is loaded. Checksums, which need gigabytes to be read,
//! are compared only for files that were modified since, and by `mynah models --check`.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::time::UNIX_EPOCH;

use mynah_core::CancelFlag;
use sha2::{Digest, Sha256};

use super::Manifest;
use crate::Error;
use crate::catalogue::Entry;
use crate::disk::hex;
use crate::download::StoredFile;

/// Describes a file that is missing or has the wrong size.
pub(super) fn missing_bytes(folder: &Path, manifest: &Manifest) -> Option<String> {
    manifest.files.iter().find_map(|StoredFile { name, bytes, .. }| {
        let found = fs::metadata(folder.join(name)).map_or(0, |metadata| metadata.len());
        (found != *bytes).then(|| format!("{name} has {found} bytes instead of {bytes}"))
    })
}

/// Describes a file whose checksum is not that of the download. Files that were not modified since the last check are
/// skipped unless `thorough`; the manifest records which are intact.
pub(super) fn wrong_bytes(
    folder: &Path,
    manifest: &mut Manifest,
    thorough: bool,
    cancel: &CancelFlag,
) -> Result<Option<String>, Error> {
    for StoredFile { name, sha256, .. } in &manifest.files {
        let path = folder.join(name);
        let changed = time(&path);
        if !thorough && changed.is_some() && manifest.sound.get(name).copied() == changed {
            continue;
        }
        if !sha256_of(&path, cancel)?.eq_ignore_ascii_case(sha256) {
            manifest.sound.remove(name);
            return Ok(Some(format!("the sha256 of {name} differs from that of the download")));
        }
        manifest.sound.extend(changed.map(|changed| (name.clone(), changed)));
    }
    Ok(None)
}

/// Describes a downloaded voice whose checksum is not that of the catalogue.
pub(super) fn wrong_voice(
    folder: &Path,
    entry: &Entry,
    cancel: &CancelFlag,
) -> Result<Option<String>, Error> {
    for file in entry.voices.iter().filter_map(|voice| voice.file.as_ref()) {
        let path = folder.join(file.name());
        if path.exists() && !sha256_of(&path, cancel)?.eq_ignore_ascii_case(&file.sha256) {
            return Ok(Some(format!("the sha256 of voices/{} differs from the catalogue's", file.name())));
        }
    }
    Ok(None)
}

/// Modification time of each file.
pub(super) fn times(folder: &Path, manifest: &Manifest) -> BTreeMap<String, u64> {
    let files = manifest.files.iter();
    files.filter_map(|file| Some((file.name.clone(), time(&folder.join(&file.name))?))).collect()
}

fn time(path: &Path) -> Option<u64> {
    let changed = fs::metadata(path).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    u64::try_from(changed.as_nanos()).ok()
}

fn sha256_of(path: &Path, cancel: &CancelFlag) -> Result<String, Error> {
    let io = |error| Error::io(path, error);
    let mut file = File::open(path).map_err(io)?;
    let mut sha256 = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        match file.read(&mut buffer).map_err(io)? {
            0 => return Ok(hex(&sha256.finalize())),
            read => sha256.update(&buffer[..read]),
        }
    }
}
