//! Sizes of files, and checksums as text.

use std::fs;
use std::path::Path;

/// Bytes of a file, or of all files in a folder.
pub(crate) fn bytes_of(path: &Path) -> u64 {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => bytes_below(path),
        Ok(found) => found.len(),
        Err(_) => 0,
    }
}

/// Bytes of all files in a folder and the folders below it.
pub(crate) fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let bytes = |entry: fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => bytes_below(&entry.path()),
        // Caches of other programs contain links to files.
        Ok(_) => fs::metadata(entry.path()).map_or(0, |found| if found.is_file() { found.len() } else { 0 }),
        Err(_) => 0,
    };
    entries.flatten().map(bytes).sum()
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
