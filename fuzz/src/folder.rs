//! A folder of files as one input. Each file begins with a line `=== NAME ===`; `{{zeros N}}` stands for N zero bytes,
//! which keeps seeds of weights small.

use std::path::{Component, Path, PathBuf};

use tempfile::TempDir;

/// Maximum total bytes of an input's files.
const MAX_BYTES: usize = 4 << 20;
const OPENS: &[u8] = b"{{zeros ";
const CLOSES: &[u8] = b"}}";

/// Writes the files of `input` into a folder that is deleted with the value.
pub fn unpack(input: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let mut left = MAX_BYTES;
    for (name, content) in files(input) {
        let content = filled(content, &mut left);
        let path = folder.path().join(name);
        if let Some(parent) = path.parent() {
            // Fails if a file has the name of a folder; then the next line fails as well.
            let _ = std::fs::create_dir_all(parent);
        }
        let _ = std::fs::write(path, content);
    }
    folder
}

/// Names and contents.
fn files(input: &[u8]) -> Vec<(PathBuf, &[u8])> {
    let mut files: Vec<(PathBuf, &[u8])> = Vec::new();
    let mut rest = input;
    let mut current: Option<PathBuf> = None;
    loop {
        // The next heading, if there is one.
        let next = (0..rest.len()).find_map(|at| {
            let at_line = at == 0 || rest[at - 1] == b'\n';
            let (name, end) = at_line.then(|| heading(&rest[at..])).flatten()?;
            Some((at, name, at + end))
        });
        let (at, name, end) = next.unwrap_or((rest.len(), PathBuf::new(), rest.len()));
        if let Some(name) = current.take() {
            let content = &rest[..at];
            files.push((name, content.strip_suffix(b"\n").unwrap_or(content)));
        }
        if at == rest.len() {
            return files;
        }
        current = Some(name);
        rest = &rest[end..];
    }
}

/// The name in a heading, and where the heading ends.
fn heading(text: &[u8]) -> Option<(PathBuf, usize)> {
    let line = text.split(|&byte| byte == b'\n').next()?;
    let name = line.strip_prefix(b"=== ")?.strip_suffix(b" ===")?;
    let name = Path::new(str::from_utf8(name).ok()?);
    let stays_inside = name.components().all(|part| matches!(part, Component::Normal(_)));
    let usual = name.as_os_str().len() < 100 && !name.as_os_str().as_encoded_bytes().contains(&0);
    (stays_inside && usual).then(|| (name.to_owned(), text.len().min(line.len() + 1)))
}

/// The content with its zeros.
fn filled(mut content: &[u8], left: &mut usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut add = |piece: &[u8], zeros: usize| {
        let piece = &piece[..piece.len().min(*left)];
        bytes.extend_from_slice(piece);
        *left -= piece.len();
        let zeros = zeros.min(*left);
        bytes.resize(bytes.len() + zeros, 0);
        *left -= zeros;
    };
    while let Some(at) = find(content, OPENS) {
        let number = &content[at + OPENS.len()..];
        let count = find(&number[..number.len().min(12)], CLOSES)
            .and_then(|end| Some((str::from_utf8(&number[..end]).ok()?.parse::<usize>().ok()?, end)));
        let (zeros, end) = match count {
            Some((zeros, end)) => (zeros, at + OPENS.len() + end + CLOSES.len()),
            None => (0, at + OPENS.len()),
        };
        add(&content[..if count.is_some() { at } else { end }], zeros);
        content = &content[end..];
    }
    add(content, 0);
    bytes
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
