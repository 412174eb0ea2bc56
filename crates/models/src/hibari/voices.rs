//! The published voices and their files.

use std::path::{Path, PathBuf};

/// A voice of the family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voice {
    /// Its name in requests.
    pub name: String,
    /// Language tag: `en-US` or `en-GB`. Phonemes should follow that accent.
    pub language: &'static str,
    /// `female` or `male`; empty if not known.
    pub gender: &'static str,
}

impl Voice {
    /// Whether its phonemes are those of British English.
    pub fn is_british(&self) -> bool {
        self.language == "en-GB"
    }
}

/// Published voices, the default first: name, file, language, gender.
const KNOWN: [(&str, &str, &str, &str); 5] = [
    ("heart", "hibari.onnx", "en-US", "female"),
    ("emma", "bf_emma.int8.onnx", "en-GB", "female"),
    ("fenrir", "am_fenrir_v2.int8.onnx", "en-US", "male"),
    ("fable", "bm_fable.int8.onnx", "en-GB", "male"),
    ("kore", "af_kore.int8.onnx", "en-US", "female"),
];

/// The folder of the front end, and the voices with their files, existing or not, in the folder `path` or its `voices`
/// folder. If `path` is a file, the voice is that file's alone, published or not.
pub(super) fn possible(path: &Path) -> (PathBuf, Vec<(Voice, PathBuf)>) {
    let voice =
        |&(name, _, language, gender): &(&str, _, _, _)| Voice { name: name.into(), language, gender };
    if path.is_file() {
        let name = path.file_name().unwrap_or_default();
        let known = KNOWN.iter().find(|known| known.1 == name).map(voice);
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let voice = known.unwrap_or(Voice { name: stem, language: "en-US", gender: "" });
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        return (folder, vec![(voice, path.to_owned())]);
    }
    let file = |known: &(&str, &str, _, _)| {
        let beside = path.join(known.1);
        if beside.is_file() { beside } else { path.join("voices").join(known.1) }
    };
    (path.to_owned(), KNOWN.iter().map(|known| (voice(known), file(known))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voices_are_found_by_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let find = |path: &Path| -> Vec<_> {
            possible(path).1.into_iter().filter(|(_, file)| file.is_file()).collect()
        };
        assert!(find(folder.path()).is_empty());
        assert_eq!(possible(folder.path()).1.len(), KNOWN.len());
        std::fs::create_dir(folder.path().join("voices")).unwrap();
        for file in ["voices/bf_emma.int8.onnx", "hibari.onnx", "other.onnx"] {
            std::fs::write(folder.path().join(file), "").unwrap();
        }
        let found = find(folder.path());
        let names: Vec<_> = found.iter().map(|(voice, _)| voice.name.as_str()).collect();
        assert_eq!(names, ["heart", "emma"]);
        assert!(found[1].0.is_british() && !found[0].0.is_british());
        assert_eq!(find(&folder.path().join("other.onnx"))[0].0.name, "other");
        assert_eq!(find(&folder.path().join("hibari.onnx"))[0].0.name, "heart");
    }
}
