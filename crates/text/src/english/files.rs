//! Reading the voice's front-end files: plain or gzipped JSON, with a bound on what they may unpack to.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::Error;

/// More than any file of this kind holds (the largest is under 5 MB); keeps a hostile archive from filling memory.
const MAX_BYTES: u64 = 64 << 20;

/// A file's bytes.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, Error> {
    let file = std::fs::File::open(path).map_err(|source| io(path, source))?;
    read(path, file)
}

/// A JSON file parsed; a `.gz` ending unpacks it first.
pub(super) fn json<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let raw = bytes(path)?;
    let text = if path.extension().is_some_and(|ext| ext == "gz") {
        read(path, flate2::read::GzDecoder::new(raw.as_slice()))?
    } else {
        raw
    };
    serde_json::from_slice(&text)
        .map_err(|error| Error::Data { path: path.to_owned(), reason: error.to_string() })
}

fn read(path: &Path, source: impl Read) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    source.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|source| io(path, source))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::Data {
            path: path.to_owned(),
            reason: format!("larger than {} MB", MAX_BYTES >> 20),
        });
    }
    Ok(bytes)
}

fn io(path: &Path, source: std::io::Error) -> Error {
    Error::Io { path: PathBuf::from(path), source }
}
