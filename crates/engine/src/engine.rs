//! The engine: catalogue, store, models in memory and jobs as one handle.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mynah_core::{CancelFlag, ComputeType, Device, LoadContext, ModelError, Registry};

use crate::Error;
use crate::catalogue::{Catalogue, Entry, Voice, languages_of};
use crate::device::DeviceRuntime;
use crate::download::PullProgress;
use crate::jobs::request_memory::RequestMemory;
use crate::jobs::speech_cache::SpeechCache;
use crate::lifecycle::instances::Instances;
use crate::lifecycle::model_cache::{LoadProgress, ModelCache, ModelLease};
use crate::model_info::{CheckpointInfo, ModelStatus, VoiceStatus};
use crate::model_ref::{ModelRef, Variant};
use crate::scheduler::client_id::ClientId;
use crate::scheduler::stats::BatchStats;
use crate::settings::Settings;
use crate::state_store::StateStore;
use crate::store::Store;

/// Handle to the engine; clones share it. Methods may be called from any thread; some block, and say so.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) registry: Registry,
    pub(crate) catalogue: Catalogue,
    pub(crate) store: Store,
    pub(crate) cache: ModelCache,
    /// The only device today; see [`Inner::device`].
    cpu: DeviceRuntime,
    pub(crate) memory: RequestMemory,
    pub(crate) speeches: Mutex<SpeechCache>,
    /// Voices that could not be downloaded when requested by another service's name, with the time of the attempt.
    pub(crate) missed_voice: Mutex<Option<Instant>>,
    /// Number of jobs so far without a known client.
    pub(crate) anonymous_clients: AtomicU64,
    pub(crate) instances: Arc<Instances>,
    /// Records of the launches of running models, for the next process.
    pub(crate) launches: StateStore,
    /// Held while a launch is ended.
    pub(crate) settling: Mutex<()>,
    /// Whether a thread unloads idle models.
    pub(crate) unloads_idle: AtomicBool,
}

impl Engine {
    /// Opens the store of models; `registry` has the families that can be run.
    ///
    /// # Errors
    /// The built-in catalogue is invalid.
    pub fn open(settings: Settings, registry: Registry) -> Result<Self, Error> {
        if let Some(threads) = settings.threads
            && !mynah_kernels::pool::set_threads(threads)
        {
            tracing::warn!(threads, "the number of threads cannot be changed after the pool has started");
        }
        let state = settings.home.join("state");
        let registered = StateStore::new(state.join("registered"));
        let inner = Inner {
            catalogue: Catalogue::embedded(Some(registered), registry.clone())?,
            store: Store::new(&settings, registry.clone()),
            registry,
            cache: ModelCache::default(),
            cpu: DeviceRuntime::new(Device::Cpu, &settings),
            memory: RequestMemory::default(),
            speeches: Mutex::new(SpeechCache::new(settings.speech_cache_bytes)),
            missed_voice: Mutex::new(None),
            anonymous_clients: AtomicU64::new(0),
            instances: Arc::default(),
            launches: StateStore::new(state.join("running")),
            settling: Mutex::default(),
            unloads_idle: AtomicBool::new(false),
            settings,
        };
        let inner = Arc::new(inner);
        if inner.settings.unload_after.is_some() {
            inner.unload_when_idle();
        }
        Ok(Self { inner })
    }

    /// All models of the catalogue, in its order.
    pub fn models(&self) -> Vec<ModelStatus> {
        self.inner.catalogue.all().iter().map(|entry| self.inner.status(entry)).collect()
    }

    /// All voices of the catalogue, in its order; the first of a model is its default.
    pub fn voices(&self) -> Vec<VoiceStatus> {
        let inner = &self.inner;
        let of_entry = |entry: &Arc<Entry>| {
            let here = inner.store.locate(entry).is_some();
            let status = |voice: &Voice| VoiceStatus {
                model: entry.name.clone(),
                on_disk: here && inner.store.has_voice(entry, voice),
                voice: voice.clone(),
            };
            entry.voices.iter().map(status).collect::<Vec<_>>()
        };
        inner.catalogue.entries.iter().flat_map(of_entry).collect()
    }

    /// The model with this name: its own, an alias, the name of its repository, or OpenAI's name for the default model,
    /// ignoring case. Never a path.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], with similar names.
    pub fn resolve(&self, name: &str) -> Result<ModelRef, Error> {
        Ok(ModelRef::Named(self.inner.catalogue.find(name)?.name.clone()))
    }

    /// Makes sure that a model, or a model's voice (`hibari/emma`), is on disk and returns the model's folder. Blocks
    /// while it downloads.
    ///
    /// # Errors
    /// Unknown name, no network, no disk space, no source with the expected bytes, or cancelled.
    pub fn pull(
        &self,
        name: &str,
        on_progress: &mut dyn FnMut(PullProgress),
        cancel: &CancelFlag,
    ) -> Result<PathBuf, Error> {
        let inner = &self.inner;
        let Some((entry, voice)) = inner.catalogue.find_voice(name) else {
            return inner.pull(&*inner.catalogue.find(name)?, on_progress, cancel);
        };
        let folder = inner.pull(&entry, on_progress, cancel)?;
        inner.store.pull_voice(&entry, &voice, &inner.settings, on_progress, cancel)?;
        Ok(folder)
    }

    /// Compares the files of a model, and its voices, with their checksums; returns the model's folder. Blocks while it
    /// reads all of them.
    ///
    /// # Errors
    /// [`Error::Damaged`], unknown name, not on disk, or in a cache that belongs to another program.
    pub fn check(&self, name: &str, cancel: &CancelFlag) -> Result<PathBuf, Error> {
        self.inner.store.check(&*self.inner.catalogue.find(name)?, cancel)
    }

    /// Deletes a model from disk and memory; jobs that use it go on. Returns the bytes freed.
    ///
    /// # Errors
    /// Unknown name, not on disk, or in a cache that belongs to another program.
    pub fn remove(&self, name: &str) -> Result<u64, Error> {
        let entry = self.inner.catalogue.find(name)?;
        let freed = self.inner.store.remove(&entry)?;
        self.inner.forget(&ModelRef::Named(entry.name.clone()));
        Ok(freed)
    }

    /// Loads a model into memory, after downloading it if necessary. Blocks.
    ///
    /// # Errors
    /// As [`Engine::pull`], or the checkpoint is damaged.
    pub fn load(
        &self,
        model: &ModelRef,
        on_progress: &mut dyn FnMut(LoadProgress),
        cancel: &CancelFlag,
    ) -> Result<(), Error> {
        self.inner.load(model, on_progress, cancel).map(|_| ())
    }

    /// The memory budget of requests, for reservations before they become jobs.
    pub fn request_memory(&self) -> &RequestMemory {
        &self.inner.memory
    }

    /// Whether one more job would be admitted now; `None` is a client without a job in progress.
    ///
    /// # Errors
    /// [`Error::QueueFull`], [`Error::QueueTimeExceeded`].
    pub fn has_room(&self, client: Option<ClientId>) -> Result<(), Error> {
        self.inner.cpu.admission.check(client)
    }

    /// Limits how long the jobs to come may have to wait for their first step; at first there is no limit.
    pub fn set_max_wait(&self, max_wait: Duration) {
        self.inner.cpu.admission.set_max_wait(max_wait);
    }

    /// How long a client without a job in progress is expected to wait for its first step, seconds.
    pub fn expected_wait_s(&self) -> f64 {
        self.inner.cpu.admission.wait_s()
    }

    /// Batch sizes so far.
    pub fn batch_stats(&self) -> &BatchStats {
        &self.inner.cpu.stats
    }

    /// Jobs in progress.
    pub fn jobs(&self) -> usize {
        self.inner.cpu.admission.jobs()
    }

    /// Jobs that may be in progress at once.
    pub fn queue_length(&self) -> usize {
        self.inner.settings.queue_length
    }

    /// Bytes of weights in memory.
    pub fn weight_bytes(&self) -> u64 {
        self.inner.cache.residents().iter().map(|resident| resident.bytes).sum()
    }
}

impl Inner {
    pub(crate) fn pull(
        &self,
        entry: &Entry,
        on_progress: &mut dyn FnMut(PullProgress),
        cancel: &CancelFlag,
    ) -> Result<PathBuf, Error> {
        self.store.pull(entry, &self.settings, on_progress, cancel)
    }

    /// Inspects the files of the checkpoint at a path; `None` if no family recognises it or it cannot be read.
    pub(crate) fn inspect(&self, path: &Path) -> Option<CheckpointInfo> {
        let family = self.registry.detect(path).ok()??;
        Some(CheckpointInfo { family: family.name(), task: family.task(), languages: languages_of(family) })
    }

    /// The device that a model computes on.
    pub(crate) fn device(&self, _model: &ModelRef) -> &DeviceRuntime {
        &self.cpu
    }

    /// The model, loaded if necessary.
    pub(crate) fn load(
        &self,
        model: &ModelRef,
        on_progress: &mut dyn FnMut(LoadProgress),
        cancel: &CancelFlag,
    ) -> Result<ModelLease, Error> {
        self.cache.get(model, cancel, on_progress, |on_progress| {
            let path = self.path(model, on_progress, cancel)?;
            let named = match self.entry(model)? {
                Some(entry) => self.registry.find(&entry.family),
                None => None,
            };
            let family = match named {
                Some(family) => family,
                None => self.registry.detect(&path)?.ok_or_else(|| self.no_family(&path))?,
            };
            let _room = self.make_room(model, &path)?;
            let context = LoadContext {
                compute: self.compute_of(model),
                device: self.device(model).device,
                cache: self.settings.home.join("cache"),
                voices: self.settings.home.join("voices"),
            };
            Ok(family.load(&path, &context)?)
        })
    }

    /// The error for a path from which no model can be loaded.
    fn no_family(&self, path: &Path) -> Error {
        let shown = path.display();
        let reason = match path.metadata() {
            Ok(_) => format!("{shown} is not a checkpoint: it holds no {} model", self.registry.names()),
            Err(error) => format!("cannot read {shown}: {error}"),
        };
        ModelError::Weights(reason).into()
    }

    pub(crate) fn status(&self, entry: &Entry) -> ModelStatus {
        ModelStatus {
            on_disk: self.store.locate(entry),
            loaded: self.cache.contains(&ModelRef::Named(entry.name.clone())),
            entry: entry.clone(),
        }
    }

    /// The catalogue entry of a model, if it has one.
    pub(crate) fn entry(&self, model: &ModelRef) -> Result<Option<Arc<Entry>>, Error> {
        match model {
            ModelRef::Named(name) | ModelRef::Variant(Variant { name, .. }) => {
                self.catalogue.find(name).map(Some)
            }
            ModelRef::Path(_) => Ok(None),
        }
    }

    /// The precision that a model is loaded in.
    pub(crate) fn compute_of(&self, model: &ModelRef) -> ComputeType {
        match model {
            ModelRef::Variant(Variant { compute: Some(compute), .. }) => *compute,
            _ => self.settings.compute,
        }
    }

    /// Path of a model that is about to be loaded; downloads it first if necessary.
    fn path(
        &self,
        model: &ModelRef,
        on_progress: &mut dyn FnMut(LoadProgress),
        cancel: &CancelFlag,
    ) -> Result<PathBuf, Error> {
        let path = match model {
            ModelRef::Path(path) | ModelRef::Variant(Variant { path: Some(path), .. }) => path.clone(),
            ModelRef::Named(name) | ModelRef::Variant(Variant { name, path: None, .. }) => {
                let entry = self.catalogue.find(name)?;
                self.pull(&entry, &mut |progress| on_progress(LoadProgress::Pulling(progress)), cancel)?
            }
        };
        on_progress(LoadProgress::Loading);
        Ok(path)
    }
}
