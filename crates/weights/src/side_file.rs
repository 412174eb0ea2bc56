//! Small files beside the weights: settings and vocabularies.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::Error;

/// Maximum size, as side files are read whole. The largest vocabularies take some megabytes.
const MAX_SIDE_FILE_BYTES: u64 = 64 << 20;

/// Reads a whole file; `None` if it does not exist.
///
/// # Errors
/// [`Error::Io`] if it cannot be read, [`Error::Malformed`] if it has more than 64 MiB.
pub fn read_side_file(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    let mut bytes = Vec::new();
    file.take(MAX_SIDE_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > MAX_SIDE_FILE_BYTES {
        return Err(Error::Malformed {
            path: path.to_owned(),
            reason: format!("it is larger than {MAX_SIDE_FILE_BYTES} bytes"),
        });
    }
    Ok(Some(bytes))
}

/// Reads a JSON file; `None` if it does not exist.
///
/// # Errors
/// Those of [`read_side_file`], and [`Error::Malformed`] if it is not valid JSON of a `T`.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    let Some(bytes) = read_side_file(path)? else { return Ok(None) };
    let value = serde_json::from_slice(&bytes)
        .map_err(|reason| Error::Malformed { path: path.to_owned(), reason: reason.to_string() })?;
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn side_files_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        assert!(matches!(read_side_file(&path), Ok(None)));
        assert!(matches!(read_side_file(folder.path()), Err(Error::Io { .. })));
        std::fs::write(&path, "[1, 2]").unwrap();
        assert_eq!(read_json::<Vec<u32>>(&path).unwrap(), Some(vec![1, 2]));
        assert!(matches!(read_json::<String>(&path), Err(Error::Malformed { .. })));
        File::create(&path).unwrap().set_len(MAX_SIDE_FILE_BYTES + 1).unwrap();
        assert!(read_side_file(&path).unwrap_err().to_string().contains("is larger than 67108864 bytes"));
    }
}
