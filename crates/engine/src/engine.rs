//! The engine: catalogue, store, models in memory and jobs behind one handle.

use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mynah_audio::Decoded;
use mynah_models::whisper::Compute;
use mynah_models::{CancelFlag, Control, Task, Transcript};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::catalogue::{Ability, Catalogue, Entry, Registered, Voice};
use crate::jobs;
use crate::jobs::request_memory::RequestMemory;
use crate::jobs::speech_cache::Cache;
use crate::jobs::transcription::{Paced, Told};
use crate::lifecycle::instances::Instances;
use crate::lifecycle::model_cache::Loaded;
use crate::scheduler::admission::{Place, Queue, Size};
use crate::scheduler::batching::{ClientId, Windows};
use crate::scheduler::compute::Turnstile;
use crate::scheduler::stats::Batches;
use crate::state_store::Records;
use crate::store::Store;
use crate::synthesizer::load_synthesizer;
use crate::transcriber::load_whisper;
use crate::{
    Error, Job, JobEvent, LoadProgress, LoadSynthesizer, LoadTranscriber, OnDisk, PullProgress, Settings,
    Synthesizer, TranscribeRequest, Transcriber,
};

/// A model that a job can use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ModelRef {
    /// A model of the catalogue by its exact name; [`Engine::resolve`] finds it.
    Named(String),
    /// A checkpoint on disk, in any format that is read.
    Path(PathBuf),
    /// A model of the catalogue that was launched with other weights or in another precision than usual.
    Variant(Variant),
}

/// See [`ModelRef::Variant`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    /// Catalogue name.
    pub name: String,
    /// A checkpoint on disk in place of the model's own weights.
    pub path: Option<PathBuf>,
    /// Precision of the weights; `None`: the engine's.
    pub compute: Option<Compute>,
}

impl fmt::Display for ModelRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ModelRef::Named(name) | ModelRef::Variant(Variant { name, .. }) => f.write_str(name),
            ModelRef::Path(path) => f.write_str(&path.file_name().unwrap_or_default().to_string_lossy()),
        }
    }
}

/// A model of the catalogue and what is here of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelStatus {
    /// The catalogue's entry.
    pub entry: Entry,
    /// Where its weights are, if they are here.
    pub on_disk: Option<OnDisk>,
    /// Whether it is in memory.
    pub loaded: bool,
}

/// A voice of the catalogue and whether it is here.
#[derive(Clone, Debug, PartialEq)]
pub struct VoiceStatus {
    /// Catalogue name of its model.
    pub model: String,
    /// The catalogue's entry.
    pub voice: Voice,
    /// Whether it speaks without anything being fetched.
    pub on_disk: bool,
}

/// How models are made of checkpoints.
pub struct Loaders {
    /// For models that listen.
    pub transcriber: Box<LoadTranscriber>,
    /// For models that speak.
    pub synthesizer: Box<LoadSynthesizer>,
}

impl Default for Loaders {
    fn default() -> Self {
        Self { transcriber: Box::new(load_whisper), synthesizer: Box::new(load_synthesizer) }
    }
}

/// Handle to the engine; clones share it. Its methods may be called from any thread; those that say so block.
#[derive(Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) catalogue: Catalogue,
    pub(crate) store: Store,
    pub(crate) transcribers: Loaded<dyn Transcriber>,
    pub(crate) synthesizers: Loaded<dyn Synthesizer>,
    pub(crate) loaders: Loaders,
    pub(crate) memory: RequestMemory,
    pub(crate) speeches: Mutex<Cache>,
    /// When a voice could not be fetched for a name that it merely stands for.
    pub(crate) missed_voice: Mutex<Option<Instant>>,
    pub(crate) turnstile: Arc<Turnstile>,
    pub(crate) windows: Arc<Windows>,
    /// Jobs so far whose client is not known.
    pub(crate) strangers: AtomicU64,
    pub(crate) instances: Arc<Instances>,
    /// The launches of the running models, for the next process.
    pub(crate) launches: Records,
    /// Held by who ends a launch.
    pub(crate) settling: Mutex<()>,
    /// Held by who makes room and loads.
    pub(crate) loading: Mutex<()>,
    pub(crate) watches_unused: AtomicBool,
    pub(crate) queue: Arc<Queue>,
    pub(crate) batches: Batches,
}

impl Engine {
    /// Opens the store of models.
    ///
    /// # Errors
    /// The embedded catalogue is damaged.
    pub fn open(settings: Settings) -> Result<Self, Error> {
        Self::open_with(settings, Loaders::default())
    }

    /// [`Engine::open`] with other ways to make models of checkpoints; for embedding and for tests.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub fn open_with(settings: Settings, loaders: Loaders) -> Result<Self, Error> {
        if let Some(threads) = settings.threads
            && !mynah_kernels::pool::set_threads(threads)
        {
            tracing::warn!(threads, "the number of threads was settled before and stays");
        }
        let state = settings.home.join("state");
        let registered = Registered::open(Records::new(state.join("registered")));
        let inner = Inner {
            catalogue: Catalogue::embedded(registered)?,
            store: Store::new(&settings),
            transcribers: Loaded::default(),
            synthesizers: Loaded::default(),
            loaders,
            memory: RequestMemory::default(),
            speeches: Mutex::new(Cache::new(settings.speech_cache_bytes)),
            missed_voice: Mutex::new(None),
            turnstile: Arc::default(),
            windows: Arc::default(),
            strangers: AtomicU64::new(0),
            instances: Arc::default(),
            launches: Records::new(state.join("running")),
            settling: Mutex::default(),
            loading: Mutex::default(),
            watches_unused: AtomicBool::new(false),
            queue: Arc::new(Queue::new(settings.queue_length)),
            batches: Batches::default(),
            settings,
        };
        let inner = Arc::new(inner);
        if inner.settings.unload_after.is_some() {
            inner.watch_unused();
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

    /// The model that answers to a name: its own, an alias, a repository's, or OpenAI's name for the default model;
    /// whatever the case of the letters. Never a path.
    ///
    /// # Errors
    /// [`Error::UnknownModel`] with names that look like it.
    pub fn resolve(&self, name: &str) -> Result<ModelRef, Error> {
        Ok(ModelRef::Named(self.inner.catalogue.find(name)?.name.clone()))
    }

    /// Makes sure that a model, or a model's voice (`hibari/emma`), is on disk and returns the model's folder. Blocks
    /// while it downloads.
    ///
    /// # Errors
    /// Unknown name, no network, no space, no source that gives the right bytes, cancelled.
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

    /// Brings a model that listens into memory, downloading it where necessary. Blocks.
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

    /// Starts a job. Its model is downloaded and loaded where necessary, as part of the job.
    ///
    /// # Errors
    /// [`Error::Busy`] when as many jobs as allowed are under way, [`Error::Overloaded`], [`Error::UnknownModel`], or a task
    /// that the model cannot do. Everything else comes as [`JobEvent::Failed`].
    pub fn transcribe(&self, request: TranscribeRequest) -> Result<Job, Error> {
        if let Some(entry) = self.inner.entry(&request.model)? {
            require(&entry, Ability::Audio2text)?;
            if request.options.task == Task::Translate && !entry.is_multilingual() {
                return Err(Error::from(mynah_models::Error::Unsupported(format!(
                    "{} knows one language ({}) and does not support translations; use a multilingual model",
                    entry.name,
                    entry.languages.join("")
                ))));
            }
        }
        let place = self.inner.place(request.client, &request.model)?;
        let cancel = CancelFlag::new();
        let (sender, events) = unbounded_channel();
        let job = Job { events, cancel: cancel.clone() };
        let inner = Arc::clone(&self.inner);
        thread::Builder::new()
            .name("mynah-job".to_owned())
            .spawn(move || {
                let last = match guarded(|| inner.transcribe(request, &place, &cancel, &sender)) {
                    Ok(transcript) => JobEvent::Done(Arc::new(transcript)),
                    Err(error) => JobEvent::Failed(error),
                };
                // The place is free before its owner learns that the job is over.
                drop(place);
                let _ = sender.send(last);
            })
            .map_err(|_| no_thread())?;
        Ok(job)
    }

    /// The memory of requests, for what they take before they become jobs.
    pub fn request_memory(&self) -> &RequestMemory {
        &self.inner.memory
    }

    /// Whether one more job would be taken now; `None` is a client with nothing under way.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Overloaded`].
    pub fn has_room(&self, client: Option<ClientId>) -> Result<(), Error> {
        self.inner.queue.check(client)
    }

    /// Bounds how long the jobs to come may have to wait for their first turn; at first there is no bound.
    pub fn set_longest_wait(&self, longest: Duration) {
        self.inner.queue.set_bound(longest);
    }

    /// How long a client with nothing under way is expected to wait for its first turn, seconds.
    pub fn expected_wait_s(&self) -> f64 {
        self.inner.queue.wait_s()
    }

    /// How much was computed together so far.
    pub fn batches(&self) -> &Batches {
        &self.inner.batches
    }

    /// Jobs under way.
    pub fn jobs(&self) -> usize {
        self.inner.queue.jobs()
    }

    /// Jobs that may be under way at once.
    pub fn queue_length(&self) -> usize {
        self.inner.settings.queue_length
    }

    /// Bytes of weights in memory.
    pub fn weight_bytes(&self) -> u64 {
        self.inner.residents().iter().map(|resident| resident.bytes).sum()
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

    pub(crate) fn load(
        &self,
        model: &ModelRef,
        on_progress: &mut dyn FnMut(LoadProgress),
        cancel: &CancelFlag,
    ) -> Result<Arc<dyn Transcriber>, Error> {
        self.transcribers.get(model, cancel, on_progress, |on_progress| {
            let path = self.path(model, on_progress, cancel)?;
            let _room = self.make_room(model, &path)?;
            Ok((self.loaders.transcriber)(&path, &self.settings_of(model))?)
        })
    }

    pub(crate) fn status(&self, entry: &Entry) -> ModelStatus {
        ModelStatus {
            on_disk: self.store.locate(entry),
            loaded: self.is_loaded(&ModelRef::Named(entry.name.clone())),
            entry: entry.clone(),
        }
    }

    pub(crate) fn is_loaded(&self, model: &ModelRef) -> bool {
        self.transcribers.contains(model) || self.synthesizers.contains(model)
    }

    /// The catalogue's entry of a model that has one.
    pub(crate) fn entry(&self, model: &ModelRef) -> Result<Option<Arc<Entry>>, Error> {
        match model {
            ModelRef::Named(name) | ModelRef::Variant(Variant { name, .. }) => {
                self.catalogue.find(name).map(Some)
            }
            ModelRef::Path(_) => Ok(None),
        }
    }

    /// The settings that a model is loaded with.
    pub(crate) fn settings_of(&self, model: &ModelRef) -> Cow<'_, Settings> {
        match model {
            ModelRef::Variant(Variant { compute: Some(compute), .. }) => {
                Cow::Owned(Settings { compute: *compute, ..self.settings.clone() })
            }
            _ => Cow::Borrowed(&self.settings),
        }
    }

    /// Where a model that is about to be loaded lies, after it was fetched where necessary.
    pub(crate) fn path(
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

    /// One job, from bytes to transcript.
    pub(crate) fn transcribe(
        &self,
        request: TranscribeRequest,
        place: &Place,
        cancel: &CancelFlag,
        events: &UnboundedSender<JobEvent>,
    ) -> Result<Transcript, Error> {
        let TranscribeRequest { model, audio, options, client: _ } = request;
        let mut memory = self.memory.reserve(0)?;
        // Audio first: a file that cannot be read must not cost a download.
        let Decoded { samples, info } = jobs::audio::decode(
            audio,
            mynah_audio::SAMPLE_RATE,
            &self.settings.decode_limits,
            &mut memory,
            cancel,
        )?;
        if options.vad.is_some() {
            // The speech is cut out into samples of its own.
            memory.grow(size_of_val(samples.as_slice()) as u64)?;
        }
        let tell = |event| {
            // Fails once nobody listens; then the job is cancelled already.
            let _ = events.send(event);
        };
        let mut wait = |progress| {
            place.waits();
            tell(JobEvent::Waiting(progress));
        };
        let transcriber = self.load(&model, &mut wait, cancel)?;
        tell(JobEvent::Started { duration_s: info.duration_s });
        let size = Size::Audio(info.duration_s);
        place.begins(size);
        let pace = Paced::new(&self.windows, &self.turnstile, &self.batches, place, cancel, events);
        let control = Control { cancel, pace: &pace };
        let transcript = self.using(&model, || {
            Ok(transcriber.transcribe(&samples, &options, control, &mut Told(events))?)
        })?;
        place.learn(size);
        Ok(transcript)
    }

    /// A place for a job in the queue.
    pub(crate) fn place(&self, client: Option<ClientId>, model: &ModelRef) -> Result<Place, Error> {
        // Numbers of clients are spread over all 64 bits; a stranger shares none with them but by a rare accident, which
        // costs one of both a place in the line.
        let client = client.unwrap_or_else(|| ClientId(self.strangers.fetch_add(1, Ordering::Relaxed)));
        self.queue.take(client, model)
    }

    /// Lets a model work. One that panics may have left anything behind, so the next job loads it anew; those that use it
    /// go on.
    pub(crate) fn using<T>(
        &self,
        model: &ModelRef,
        work: impl FnOnce() -> Result<T, Error>,
    ) -> Result<T, Error> {
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
            let reason = panic_text(panic.as_ref());
            tracing::error!(%model, reason, "a model panicked and is loaded anew");
            self.forget(model);
            Err(Error::Internal(reason.to_owned()))
        })
    }
}

/// The system has no thread for a job left.
pub(crate) fn no_thread() -> Error {
    Error::Busy { retry_after_s: 1 }
}

/// Refuses a model that does something else.
pub(crate) fn require(entry: &Entry, ability: Ability) -> Result<(), Error> {
    if entry.ability == ability {
        return Ok(());
    }
    let (does, instead) = match entry.ability {
        Ability::Audio2text => ("turns speech into text", "use a model that speaks, such as hibari"),
        Ability::Text2audio => ("turns text into speech", "use a model that listens, such as whisper-base"),
    };
    Err(Error::WrongAbility { model: entry.name.clone(), does, instead })
}

/// Does a job's work; a panic becomes this job's error.
pub(crate) fn guarded<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let reason = panic_text(panic.as_ref());
        tracing::error!(reason, "a job panicked");
        Err(Error::Internal(reason.to_owned()))
    })
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("panic without a message")
}
