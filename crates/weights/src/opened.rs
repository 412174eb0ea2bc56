//! Open files: the table of contents is read part by part, the numbers of tensors on demand.

use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use crate::Error;
use crate::chunks::Chunks;

/// Maximum bytes of a table of contents; the largest models have about three million.
const MAX_TABLE_BYTES: usize = 64 << 20;

/// A file whose table of contents is being read, or bytes in memory.
pub(crate) struct Opened {
    origin: Arc<Origin>,
    length: usize,
    /// The parts of the table read so far.
    table: Chunks,
}

/// The source of the tensors' numbers.
pub(crate) struct Origin {
    path: PathBuf,
    kept: Kept,
}

enum Kept {
    /// An open file, and its state when it was opened.
    File(File, Version),
    Memory(Vec<u8>),
}

/// Detects that a file was modified after it was opened.
type Version = (u64, Option<SystemTime>);

fn version(file: &File) -> io::Result<Version> {
    let metadata = file.metadata()?;
    Ok((metadata.len(), metadata.modified().ok()))
}

impl Origin {
    /// Bytes as if they were the contents of a file called `name`.
    pub(crate) fn memory(name: &str, bytes: Vec<u8>) -> Self {
        Self { path: name.into(), kept: Kept::Memory(bytes) }
    }

    /// Reads a range, which must be within the file. Files are not memory-mapped: truncating a mapped file would
    /// end the process with a bus error; here it is an ordinary error.
    pub(crate) fn read(&self, range: Range<usize>) -> Result<Cow<'_, [u8]>, Error> {
        let (file, opened) = match &self.kept {
            Kept::Memory(bytes) => return Ok(Cow::Borrowed(&bytes[range])),
            Kept::File(file, opened) => (file, opened),
        };
        let mut bytes = vec![0; range.len()];
        let read = file.read_exact_at(&mut bytes, range.start as u64);
        match read.and_then(|()| version(file)) {
            Ok(now) if now == *opened => Ok(Cow::Owned(bytes)),
            Err(source) if source.kind() != io::ErrorKind::UnexpectedEof => {
                Err(Error::Io { path: self.path.clone(), source })
            }
            _ => {
                let reason = "it was modified while it was read; replace checkpoints by renaming".to_owned();
                Err(Error::Malformed { path: self.path.clone(), reason })
            }
        }
    }
}

impl Opened {
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let version = version(&file).map_err(io)?;
        let length = usize::try_from(version.0).unwrap_or(usize::MAX);
        let origin = Origin { path: path.to_owned(), kept: Kept::File(file, version) };
        Ok(Self { origin: Arc::new(origin), length, table: Chunks::default() })
    }

    /// Bytes as if they were the contents of a file called `name`.
    pub(crate) fn from_bytes(name: &str, bytes: Vec<u8>) -> Self {
        let length = bytes.len();
        Self { origin: Arc::new(Origin::memory(name, bytes)), length, table: Chunks::default() }
    }

    /// The source of its tensors' numbers.
    pub(crate) fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    /// Length in bytes.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// A part of the table of contents.
    pub(crate) fn part(&self, range: Range<usize>) -> Result<&[u8], Error> {
        if range.start > range.end || range.end > self.length {
            return Err(self.malformed(format!("bytes {range:?} are outside its {} bytes", self.length)));
        }
        if let Kept::Memory(bytes) = &self.origin.kept {
            return Ok(&bytes[range]);
        }
        let too_large =
            || self.malformed(format!("its table of contents takes more than {MAX_TABLE_BYTES} bytes"));
        if self.table.bytes() + range.len() > MAX_TABLE_BYTES {
            return Err(too_large());
        }
        self.table.keep(self.origin.read(range)?.into_owned()).map_err(|_| too_large())
    }

    /// Its first bytes, enough to detect the format.
    pub(crate) fn head(&self) -> Result<&[u8], Error> {
        self.part(0..self.length.min(64))
    }

    /// The error of a file that is damaged.
    pub(crate) fn malformed(&self, reason: impl Into<String>) -> Error {
        Error::Malformed { path: self.origin.path.clone(), reason: reason.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncating_a_file_while_its_table_is_read_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.bin");
        std::fs::write(&path, [0; 3000]).unwrap();
        let file = Opened::open(&path).unwrap();
        file.head().unwrap();
        File::options().write(true).open(&path).unwrap().set_len(1000).unwrap();
        for error in [file.part(2000..2010).unwrap_err(), file.part(500..510).unwrap_err()] {
            assert!(error.to_string().contains("modified while it was read"), "{error}");
        }
        assert!(file.part(10..usize::MAX).unwrap_err().to_string().contains("are outside"));
    }

    #[test]
    fn a_table_of_contents_is_bounded() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(200 << 20).unwrap();
        let file = Opened::open(file.path()).unwrap();
        file.part(0..40 << 20).unwrap();
        let error = file.part(0..40 << 20).unwrap_err().to_string();
        assert!(error.contains("table of contents"), "{error}");
    }
}
