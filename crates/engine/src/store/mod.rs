//! Models on disk.
//!
//! ```text
//! HOME/models/NAME/               a finished model: its files and mynah.json, the manifest
//! HOME/models/NAME/voices/        voices downloaded later, one file each
//! HOME/models/.partial/NAME/KEY/  a model that is being downloaded; KEY is source and revision
//! HOME/models/.locks/NAME         held while NAME is downloaded or deleted
//! HOME/models/.trash/             folders being deleted
//! ```
//! A model appears and disappears when its folder is renamed, so a killed process leaves no incomplete model.
//! Checkpoints in caches of other programs are used in place.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions, TryLockError};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use mynah_core::{CancelFlag, ModelFamily, Registry};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::catalogue::{Entry, HubFile, Source, Voice};
use crate::disk::{bytes_below, bytes_of};
use crate::download::PullProgress;
use crate::download::{self, Fetched, StoredFile};
use crate::settings::Settings;

mod integrity;

const MANIFEST: &str = "mynah.json";

/// Interval at which a lock that another process holds is tried: a wait for a file lock cannot be cancelled.
const LOCK_INTERVAL: Duration = Duration::from_millis(100);

/// Where a model on disk is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Mynah's own store.
    Store,
    /// The hub cache of Hugging Face's libraries.
    HuggingFaceCache,
    /// Xinference's cache.
    XinferenceCache,
    /// The path of a registered model.
    Elsewhere,
}

/// A model on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnDisk {
    /// Its folder.
    pub path: PathBuf,
    /// Bytes of its files.
    pub bytes: u64,
    /// Where it is kept.
    pub origin: Origin,
}

/// Files and source of a finished model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) model: String,
    pub(crate) source: String,
    pub(crate) revision: String,
    pub(crate) files: Vec<StoredFile>,
    /// Modification time of each file when its sha256 was last verified, nanoseconds since 1970.
    #[serde(default)]
    pub(crate) sound: BTreeMap<String, u64>,
}

/// The folders in which models are searched.
pub(crate) struct Store {
    models: PathBuf,
    hf_caches: Vec<PathBuf>,
    xinference_caches: Vec<PathBuf>,
    registry: Registry,
}

impl Store {
    pub(crate) fn new(settings: &Settings, registry: Registry) -> Self {
        let models = settings.home.join("models");
        // Left by processes killed during a deletion. Nothing needs it, so a failure does not matter.
        let _ = fs::remove_dir_all(models.join(".trash"));
        Self {
            models,
            hf_caches: settings.hf_caches.clone(),
            xinference_caches: settings.xinference_caches.clone(),
            registry,
        }
    }

    fn family(&self, entry: &Entry) -> Option<&dyn ModelFamily> {
        self.registry.find(&entry.family)
    }

    /// Bytes of the model in `folder`, if all its files are there: those that the catalogue lists, or else those that the
    /// family selects.
    fn complete(&self, folder: &Path, entry: &Entry) -> Option<u64> {
        let files = entry.hub_files();
        if !files.is_empty() {
            let bytes = |file: &HubFile| match fs::metadata(folder.join(&file.path)) {
                Ok(found) if found.is_file() => Some(found.len()),
                _ if file.optional => Some(0),
                _ => None,
            };
            return files.iter().map(bytes).sum();
        }
        let mut names = Vec::new();
        for file in fs::read_dir(folder).ok()?.flatten() {
            // Caches contain links; a dangling one is not a file.
            if fs::metadata(file.path()).is_ok_and(|metadata| metadata.is_file()) {
                names.extend(file.file_name().into_string().ok());
            }
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let selected = self.family(entry)?.select_files(&names).ok()?;
        let bytes = selected.iter().map(|name| fs::metadata(folder.join(name)).map(|found| found.len()));
        bytes.sum::<Result<_, _>>().ok()
    }

    /// The model on disk, if it is complete.
    pub(crate) fn locate(&self, entry: &Entry) -> Option<OnDisk> {
        locate_local(entry)
            .or_else(|| self.locate_own(entry))
            .or_else(|| self.locate_in_hub_caches(entry))
            .or_else(|| self.locate_in_xinference(entry))
    }

    fn locate_own(&self, entry: &Entry) -> Option<OnDisk> {
        let (path, manifest) = self.manifest(entry)?;
        if let Some(damage) = integrity::missing_bytes(&path, &manifest) {
            tracing::warn!(model = entry.name, damage, "file damaged; treating the model as not downloaded");
            return None;
        }
        let bytes = manifest.files.iter().map(|file| file.bytes).sum();
        Some(OnDisk { path, bytes, origin: Origin::Store })
    }

    fn manifest(&self, entry: &Entry) -> Option<(PathBuf, Manifest)> {
        let path = self.models.join(&entry.name);
        let manifest = serde_json::from_slice(&fs::read(path.join(MANIFEST)).ok()?).ok()?;
        Some((path, manifest))
    }

    /// Describes damage to the model in the store, if there is any: first sizes, then checksums of files that were modified
    /// since they were last verified, or with `thorough` of all files.
    fn damage(&self, entry: &Entry, thorough: bool, cancel: &CancelFlag) -> Result<Option<String>, Error> {
        let Some((path, mut manifest)) = self.manifest(entry) else { return Ok(None) };
        if let Some(damage) = integrity::missing_bytes(&path, &manifest) {
            return Ok(Some(damage));
        }
        let before = manifest.sound.clone();
        let damage = integrity::wrong_bytes(&path, &mut manifest, thorough, cancel)?;
        if manifest.sound != before
            && let Err(error) = save(&path, &manifest)
        {
            tracing::info!(%error, "cannot save checksums; they will be verified again");
        }
        Ok(damage)
    }

    /// Compares all of a model's files with their checksums.
    pub(crate) fn check(&self, entry: &Entry, cancel: &CancelFlag) -> Result<PathBuf, Error> {
        let Some((path, _)) = self.manifest(entry) else {
            return Err(match self.locate(entry) {
                Some(found) => Error::NotOurs { name: entry.name.clone(), path: found.path },
                None => Error::NotOnDisk(entry.name.clone()),
            });
        };
        let damage = match self.damage(entry, true, cancel)? {
            Some(damage) => Some(damage),
            None => integrity::wrong_voice(&self.voices(entry), entry, cancel)?,
        };
        damage.map_or(Ok(path), |reason| Err(Error::Damaged { model: entry.name.clone(), reason }))
    }

    fn locate_in_hub_caches(&self, entry: &Entry) -> Option<OnDisk> {
        let repositories = entry.sources.iter().filter_map(|source| match source {
            Source::Huggingface { repo, revision, .. } => {
                Some((format!("models--{}", repo.replace('/', "--")), revision))
            }
            _ => None,
        });
        for (folder, revision) in repositories {
            for repository in self.hf_caches.iter().map(|cache| cache.join(&folder)) {
                // The catalogue's commit, or the one that the user's other programs use.
                let main = fs::read_to_string(repository.join("refs/main")).unwrap_or_default();
                for commit in [revision.as_str(), main.trim()] {
                    if !commit.is_empty()
                        && let Some(bytes) = self.complete(&repository.join("snapshots").join(commit), entry)
                    {
                        let path = repository.join("snapshots").join(commit);
                        return Some(OnDisk { path, bytes, origin: Origin::HuggingFaceCache });
                    }
                }
            }
        }
        None
    }

    fn locate_in_xinference(&self, entry: &Entry) -> Option<OnDisk> {
        self.xinference_caches.iter().find_map(|cache| {
            let folders = [cache.join("v2").join(entry.name.replace('.', "_")), cache.join(&entry.name)];
            folders.into_iter().find_map(|path| {
                let bytes = self.complete(&path, entry)?;
                Some(OnDisk { path, bytes, origin: Origin::XinferenceCache })
            })
        })
    }

    /// The folder of a model; downloads it if necessary.
    pub(crate) fn pull(
        &self,
        entry: &Entry,
        settings: &Settings,
        on_progress: &mut dyn FnMut(PullProgress),
        cancel: &CancelFlag,
    ) -> Result<PathBuf, Error> {
        let damage = self.damage(entry, false, cancel)?;
        if damage.is_none()
            && let Some(found) = self.locate(entry)
        {
            return Ok(found.path);
        }
        let Some(reason) = damage else { return self.fetch(entry, settings, on_progress, cancel) };
        tracing::warn!(model = entry.name, reason, "model damaged; downloading it again");
        self.fetch(entry, settings, on_progress, cancel).map_err(|error| match error {
            Error::Offline(_) => Error::Damaged { model: entry.name.clone(), reason },
            Error::NoNetwork { .. } | Error::Download { .. } => {
                Error::Damaged { model: entry.name.clone(), reason: format!("{reason}; {error}") }
            }
            other => other,
        })
    }

    /// Downloads a model that is missing or damaged.
    fn fetch(
        &self,
        entry: &Entry,
        settings: &Settings,
        on_progress: &mut dyn FnMut(PullProgress),
        cancel: &CancelFlag,
    ) -> Result<PathBuf, Error> {
        if let Some(Source::Local { path }) = entry.sources.first() {
            let attempts = vec![format!("there is no {}", path.display())];
            return Err(Error::Download { model: entry.name.clone(), attempts });
        }
        if settings.offline {
            return Err(Error::Offline(entry.name.clone()));
        }
        let _lock = self.lock(entry, on_progress, cancel)?;
        if let Some(found) = self.locate(entry)
            && self.damage(entry, false, cancel)?.is_none()
        {
            return Ok(found.path);
        }
        let partial = self.models.join(".partial").join(&entry.name);
        let family = self.family(entry).ok_or_else(|| {
            Error::Internal(format!("no model family {:?} runs {}", entry.family, entry.name))
        })?;
        let (source, fetched) = download::fetch(entry, family, settings, &partial, on_progress, cancel)?;
        let Fetched { folder, revision, files } = fetched;
        let mut manifest =
            Manifest { model: entry.name.clone(), source, revision, files, sound: BTreeMap::new() };
        manifest.sound = integrity::times(&folder, &manifest);
        let path = self.finish(entry, &folder, &manifest)?;
        // Partial downloads from other sources are no longer needed.
        let _ = fs::remove_dir_all(&partial);
        Ok(path)
    }

    /// Whether a voice can be used without a download, given that its model is on disk.
    pub(crate) fn has_voice(&self, entry: &Entry, voice: &Voice) -> bool {
        voice.file.as_ref().is_none_or(|file| {
            fs::metadata(self.voices(entry).join(file.name())).is_ok_and(|found| found.len() == file.bytes)
        })
    }

    /// Downloads a voice of a model that is on disk, if necessary.
    pub(crate) fn pull_voice(
        &self,
        entry: &Entry,
        voice: &Voice,
        settings: &Settings,
        on_progress: &mut dyn FnMut(PullProgress),
        cancel: &CancelFlag,
    ) -> Result<(), Error> {
        let Some(file) = voice.file.as_ref().filter(|_| !self.has_voice(entry, voice)) else { return Ok(()) };
        let name = format!("{}/{}", entry.name, voice.name);
        if settings.offline {
            return Err(Error::Offline(name));
        }
        let _lock = self.lock(entry, on_progress, cancel)?;
        if self.has_voice(entry, voice) {
            return Ok(());
        }
        let partial = self.make(".partial")?.join(&entry.name);
        let voices = self.voices(entry);
        for folder in [&partial, &voices] {
            fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        }
        let fetched = download::fetch_voice(&name, file, settings, &partial, on_progress, cancel)?;
        let target = voices.join(file.name());
        fs::rename(fetched, &target).map_err(|e| Error::io(&target, e))
    }

    fn voices(&self, entry: &Entry) -> PathBuf {
        self.models.join(&entry.name).join("voices")
    }

    /// Moves a downloaded folder to the place of the model.
    fn finish(&self, entry: &Entry, folder: &Path, manifest: &Manifest) -> Result<PathBuf, Error> {
        save(folder, manifest)?;
        let path = self.models.join(&entry.name);
        if path.exists() {
            self.trash(&path)?;
        }
        fs::rename(folder, &path).map_err(|e| Error::io(&path, e))?;
        Ok(path)
    }

    /// Deletes a model from the store, including partial downloads. Returns the bytes freed.
    pub(crate) fn remove(&self, entry: &Entry) -> Result<u64, Error> {
        let folders = [self.models.join(&entry.name), self.models.join(".partial").join(&entry.name)];
        if !folders.iter().any(|folder| folder.exists()) {
            return Err(match self.locate(entry) {
                Some(found) => Error::NotOurs { name: entry.name.clone(), path: found.path },
                None => Error::NotOnDisk(entry.name.clone()),
            });
        }
        let _lock = self.lock(entry, &mut |_| (), &CancelFlag::new())?;
        let mut freed = 0;
        for folder in folders.iter().filter(|folder| folder.exists()) {
            freed += bytes_below(folder);
            self.trash(folder)?;
        }
        Ok(freed)
    }

    /// Renames a folder into the trash, then deletes it.
    fn trash(&self, folder: &Path) -> Result<(), Error> {
        let trash = self.make(".trash")?;
        let place = tempfile::tempdir_in(&trash).map_err(|e| Error::io(&trash, e))?;
        fs::rename(folder, place.path().join("model")).map_err(|e| Error::io(folder, e))?;
        place.close().map_err(|e| Error::io(&trash, e))
    }

    /// Waits until no other process downloads or deletes this model; the lock is held until the file is closed.
    fn lock(
        &self,
        entry: &Entry,
        on_progress: &mut dyn FnMut(PullProgress),
        cancel: &CancelFlag,
    ) -> Result<File, Error> {
        let path = self.make(".locks")?.join(&entry.name);
        let file = File::options()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| Error::io(&path, e))?;
        let mut reported = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::Error(error)) => return Err(Error::io(&path, error)),
                Err(TryLockError::WouldBlock) => {}
            }
            if !reported {
                on_progress(PullProgress::Waiting);
                reported = true;
            }
            if cancel.is_cancelled() {
                return Err(Error::Cancelled);
            }
            thread::sleep(LOCK_INTERVAL);
        }
    }

    fn make(&self, folder: &str) -> Result<PathBuf, Error> {
        let path = self.models.join(folder);
        fs::create_dir_all(&path).map_err(|e| Error::io(&path, e))?;
        Ok(path)
    }
}

/// Writes the manifest of a model in `folder` atomically.
fn save(folder: &Path, manifest: &Manifest) -> Result<(), Error> {
    let io = |error| Error::io(folder, error);
    let text = serde_json::to_vec_pretty(manifest).map_err(|e| Error::Internal(e.to_string()))?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(io)?;
    file.write_all(&text).and_then(|()| file.as_file().sync_all()).map_err(io)?;
    // Temporary files are readable by their owner only; a model can be read by other users.
    file.as_file().set_permissions(Permissions::from_mode(0o644)).map_err(io)?;
    file.persist(folder.join(MANIFEST)).map(drop).map_err(|error| io(error.error))
}

/// The checkpoint of a model that is registered by path.
fn locate_local(entry: &Entry) -> Option<OnDisk> {
    let Some(Source::Local { path }) = entry.sources.first() else { return None };
    let bytes = bytes_of(path);
    path.exists().then(|| OnDisk { path: path.clone(), bytes, origin: Origin::Elsewhere })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use sha2::{Digest, Sha256};

    use super::*;
    use mynah_core::ModelTask;

    use crate::catalogue::VoiceFile;

    const VOICE: &[u8] = b"a voice";

    /// A hub that serves [`VOICE`], and a receiver of the first line of each request.
    fn hub() -> (String, std::sync::mpsc::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (asked, requests) = std::sync::mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = [0; 4096];
                let read = stream.read(&mut head).unwrap();
                let line =
                    String::from_utf8_lossy(&head[..read]).lines().next().unwrap_or_default().to_owned();
                // Sent before the response, so that a client with the response finds the request recorded.
                if asked.send(line).is_err() {
                    return;
                }
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", VOICE.len());
                stream.write_all(&[answer.as_bytes(), VOICE].concat()).unwrap();
            }
        });
        (address, requests)
    }

    fn entry(sha256: &str) -> Entry {
        let file = VoiceFile {
            repo: "someone/voices".into(),
            revision: "main".into(),
            path: "voices/emma.onnx".into(),
            bytes: VOICE.len() as u64,
            sha256: sha256.into(),
        };
        let voice = Voice {
            name: "emma".into(),
            aliases: Vec::new(),
            stands_for: Vec::new(),
            language: "en-GB".into(),
            gender: "female".into(),
            file: Some(file),
        };
        Entry {
            name: "hibari".into(),
            aliases: Vec::new(),
            family: "hibari".into(),
            task: ModelTask::Speech,
            languages: vec!["en".into()],
            licence: "Apache-2.0".into(),
            notice: None,
            parameters_m: 6,
            sources: Vec::new(),
            voices: vec![voice],
        }
    }

    #[test]
    fn a_voice_is_downloaded_once_and_verified() {
        let home = tempfile::tempdir().unwrap();
        let (address, requests) = hub();
        let settings = Settings { hf_endpoint: address, ..Settings::new(home.path()) };
        let store = Store::new(&settings, Registry::default());
        let right: String = Sha256::digest(VOICE).iter().map(|byte| format!("{byte:02x}")).collect();
        let pull = |entry: &Entry| {
            store.pull_voice(entry, &entry.voices[0], &settings, &mut |_| (), &CancelFlag::new())
        };

        let other = entry(&"0".repeat(64));
        let error = pull(&other).unwrap_err();
        assert!(matches!(&error, Error::Download { model, .. } if model == "hibari/emma"), "{error}");
        assert!(!store.has_voice(&other, &other.voices[0]));
        while requests.try_recv().is_ok() {}

        let entry = entry(&right);
        pull(&entry).unwrap();
        pull(&entry).unwrap();
        assert!(store.has_voice(&entry, &entry.voices[0]));
        let file = home.path().join("models/hibari/voices/emma.onnx");
        assert_eq!(fs::read(file).unwrap(), VOICE);
        let asked: Vec<String> = requests.try_iter().collect();
        assert_eq!(asked, ["GET /someone/voices/resolve/main/voices/emma.onnx HTTP/1.1"]);
    }
}
