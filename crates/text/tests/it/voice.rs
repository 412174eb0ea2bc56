//! The front-end files of the built-in voice, fetched once by pip.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};

const WHEEL: &str = "hibari_tts-0.2.1-py3-none-any.whl";
const SHA256: &str = "49f2abbbe451c988e7448b5afa08c8a56410535ebb855c0e7d174275df5ca1f3";

/// A folder with the lexicons, tagger and letter-to-sound networks of hibari-tts 0.2.1 (Apache-2.0).
pub(crate) fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hibari-tts-0.2.1");
        let unpacked = folder.join("assets");
        if !unpacked.exists() {
            fs::create_dir_all(&folder).unwrap();
            let wheel = folder.join(WHEEL);
            if !wheel.exists() {
                let status = Command::new("python3")
                    .args(["-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"])
                    .arg("hibari-tts==0.2.1")
                    .arg("--dest")
                    .arg(&folder)
                    .status()
                    .expect("this test fetches a voice: it needs python3 with pip");
                assert!(status.success(), "pip could not download hibari-tts==0.2.1");
            }
            unpack(&wheel, &unpacked);
        }
        unpacked
    })
}

fn unpack(wheel: &Path, target: &Path) {
    let bytes = fs::read(wheel).unwrap();
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, SHA256, "{} is damaged: delete it", wheel.display());
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let partial = tempfile::tempdir_in(target.parent().unwrap()).unwrap();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let Some(name) = entry.name().strip_prefix("hibari/assets/").map(str::to_owned) else {
            continue;
        };
        if name.ends_with("json") || name.ends_with("gz") || name.starts_with("oov") {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            fs::write(partial.path().join(name), content).unwrap();
        }
    }
    // Another process may have been faster; either result is whole.
    if fs::rename(partial.path(), target).is_ok() {
        std::mem::forget(partial);
    }
    assert!(target.exists());
}
