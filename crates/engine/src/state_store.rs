//! A folder of small files, one per record, each written atomically.
//!
//! A record is written to a temporary file, which is synced and renamed; then the folder is synced. So after a crash of the
//! process or the machine, each record is either the old or the new one. Records are independent of each other, so files
//! suffice and no database is needed: there is nothing to repair, users can read and delete them, and processes do not
//! block each other.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Error;

const SUFFIX: &str = ".json";
/// Prefix of the names of files that are being written.
const UNFINISHED: &str = ".tmp";
/// Age after which an unfinished file was left by a killed process.
const ABANDONED: Duration = Duration::from_secs(3600);

/// Records by name.
#[derive(Debug)]
pub(crate) struct StateStore {
    folder: PathBuf,
}

impl StateStore {
    /// The records in `folder`, which is created with the first one.
    pub(crate) fn new(folder: PathBuf) -> Self {
        let records = Self { folder };
        records.sweep();
        records
    }

    /// Writes a record; replaces one with the same name.
    pub(crate) fn put(&self, name: &str, record: &impl Serialize) -> Result<(), Error> {
        let path = self.path(name);
        let fail = |error| Error::io(&path, error);
        let text = serde_json::to_vec_pretty(record).map_err(|e| Error::Internal(e.to_string()))?;
        fs::create_dir_all(&self.folder).map_err(fail)?;
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.folder).map_err(fail)?;
        file.write_all(&text).and_then(|()| file.as_file().sync_all()).map_err(fail)?;
        file.persist(&path).map_err(|error| Error::io(&path, error.error))?;
        self.sync().map_err(fail)
    }

    /// Deletes a record, if there is one of this name.
    pub(crate) fn remove(&self, name: &str) -> Result<(), Error> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Ok(()) => self.sync().map_err(|error| Error::io(&path, error)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Error::io(path, error)),
        }
    }

    /// All records, in the order of their file names. Unreadable ones are skipped with a warning.
    pub(crate) fn all<T: DeserializeOwned>(&self) -> Vec<T> {
        let Ok(entries) = fs::read_dir(&self.folder) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(SUFFIX) && !name.starts_with(UNFINISHED)
        });
        paths.sort();
        let read = |path: &PathBuf| -> Result<T, String> {
            let bytes = fs::read(path).map_err(|error| error.to_string())?;
            serde_json::from_slice(&bytes).map_err(|error| error.to_string())
        };
        let mut records = Vec::new();
        for path in paths {
            match read(&path) {
                Ok(record) => records.push(record),
                Err(error) => tracing::warn!(path = %path.display(), error, "ignored an unreadable record"),
            }
        }
        records
    }

    /// The file of a record. Names can contain any character; file names contain letters, digits and a few signs.
    fn path(&self, name: &str) -> PathBuf {
        let mut file = String::new();
        for byte in name.bytes() {
            if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) || (byte == b'.' && !file.is_empty()) {
                file.push(char::from(byte));
            } else {
                file.push_str(&format!("%{byte:02x}"));
            }
        }
        self.folder.join(file + SUFFIX)
    }

    fn sync(&self) -> std::io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    /// Deletes unfinished files of killed processes.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let old = entry
                .metadata()
                .and_then(|metadata| metadata.modified())
                .is_ok_and(|time| SystemTime::now().duration_since(time).is_ok_and(|age| age > ABANDONED));
            if old && entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
                // May fail if another process has deleted it already.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_back() {
        let home = tempfile::tempdir().unwrap();
        let records = StateStore::new(home.path().join("state"));
        assert!(records.all::<String>().is_empty());
        for name in ["b", "a/../c d", "中文", ".hidden"] {
            records.put(name, &name).unwrap();
        }
        records.put("b", &"new").unwrap();
        let names = |records: &StateStore| {
            let mut names = records.all::<String>();
            names.sort();
            names
        };
        assert_eq!(names(&records), [".hidden", "a/../c d", "new", "中文"]);
        records.remove("a/../c d").unwrap();
        records.remove("never there").unwrap();
        let again = StateStore::new(home.path().join("state"));
        assert_eq!(names(&again), [".hidden", "new", "中文"]);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing is written outside");
    }

    #[test]
    fn unfinished_and_damaged_files_are_skipped() {
        let home = tempfile::tempdir().unwrap();
        let records = StateStore::new(home.path().to_owned());
        records.put("good", &"good").unwrap();
        fs::write(home.path().join(".tmpabc"), "\"ba").unwrap();
        fs::write(home.path().join("bad.json"), "\"ba").unwrap();
        assert_eq!(records.all::<String>(), ["good"]);
    }
}
