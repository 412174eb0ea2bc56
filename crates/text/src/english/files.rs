//! Reading the voice's front-end files: plain or gzipped JSON, with a bound on what they may unpack to.

use std::io::Read;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, DeserializeOwned, Deserializer, MapAccess, Visitor};

use super::Error;

/// More than any file of this kind holds (the largest is under 5 MB); keeps a hostile archive from filling memory.
const MAX_BYTES: u64 = 64 << 20;

/// A JSON map as pairs in the order of the file: the files' maps are large, and a hash table of each would be the larger
/// part of the memory that reading them takes.
pub(super) struct Pairs<K, V>(pub(super) Vec<(K, V)>);

impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for Pairs<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Map<K, V>(PhantomData<(K, V)>);
        impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Visitor<'de> for Map<K, V> {
            type Value = Pairs<K, V>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<K, V>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }
        deserializer.deserialize_map(Map(PhantomData))
    }
}

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
