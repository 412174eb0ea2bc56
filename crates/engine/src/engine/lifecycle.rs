//! Launching, finding and terminating models that run, and registering new ones.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use super::{Engine, Inner, ModelRef, ModelStatus, Variant, guarded};
use crate::catalogue::{Ability, Entry, Registration, Source};
use crate::instances::{Instance, Launch, LaunchRequest, Lease, Phase, Running};
use crate::journal::{Event, Severity};
use crate::sync::lock;
use crate::synthesizer::family_of_checkpoint;
use crate::{Error, LoadProgress, Settings};

/// Longest uid, in characters.
const LONGEST_UID: usize = 100;
/// Replicas cost nothing here; the bound keeps lists of them short.
const MOST_REPLICAS: u32 = 1000;

/// The model that a request is answered by.
#[derive(Debug)]
pub struct Selected {
    /// What its job is given.
    pub model: ModelRef,
    /// The request's place among those on a running model; to be kept until it is answered. `None`: the model was not
    /// launched, the request itself loads it.
    pub lease: Option<Lease>,
}

impl Engine {
    /// Launches a model under a uid. Returns when it is clear that it can be tried; it is fetched and loaded meanwhile.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], [`Error::UidTaken`], [`Error::Launch`] for what cannot be; the state folder cannot be
    /// written. Everything else comes out of [`Launch::ready`].
    pub fn launch(&self, request: LaunchRequest) -> Result<Launch, Error> {
        let inner = &self.inner;
        let (entry, model) = inner.check_launch(&request)?;
        let name = entry.as_ref().map_or_else(|| request.model_name.clone(), |entry| entry.name.clone());
        let rename = || format!("{name}-{}", random_letters());
        let free_choice = request.uid.is_none().then_some(&rename as &dyn Fn() -> String);
        let wanted = request.uid.clone().unwrap_or_else(|| name.clone());
        let instance = inner.instances.add(&wanted, free_choice, |uid| {
            let request = LaunchRequest { uid: Some(uid.clone()), model_name: name.clone(), ..request };
            Instance::new(uid, entry, request, model, Phase::Starting)
        })?;
        if let Err(error) = inner.running.put(&instance.uid, &instance.request) {
            inner.instances.remove(&instance);
            return Err(error);
        }
        inner.instances.journal.note(&instance.uid, Severity::Info, "Launch model");
        if instance.request.unload_after_s.is_some() {
            inner.watch_unused();
        }
        let launch = Launch { uid: instance.uid.clone(), phase: instance.phase.subscribe() };
        let (worker, launched) = (Arc::clone(inner), Arc::clone(&instance));
        let spawned = thread::Builder::new()
            .name("mynah-launch".to_owned())
            .spawn(move || worker.finish_launch(&launched));
        if spawned.is_err() {
            inner.settle(&instance, Err(inner.busy()));
        }
        Ok(launch)
    }

    /// Serves a checkpoint on disk under a uid; it is loaded by the first request. Goes before a model of the catalogue
    /// with the same name.
    ///
    /// # Errors
    /// [`Error::UidTaken`].
    pub fn serve_path(&self, uid: &str, path: PathBuf) -> Result<(), Error> {
        let request = LaunchRequest { path: Some(path.clone()), ..LaunchRequest::new("") };
        let make = |uid| Instance::new(uid, None, request, ModelRef::Path(path), Phase::Ready);
        self.inner.instances.add(uid, None, make).map(|_| ())
    }

    /// Launches again what was running when the last process ended, or forgets it, as the settings say.
    pub fn restore(&self) {
        for request in self.inner.running.all::<LaunchRequest>() {
            let uid = request.uid.clone().unwrap_or_default();
            if !self.inner.settings.restore_running {
                if let Err(error) = self.inner.running.remove(&uid) {
                    tracing::warn!(%error, uid, "a model that ran before cannot be forgotten");
                }
            } else if let Err(error) = self.launch(LaunchRequest { restored: true, ..request }) {
                tracing::warn!(%error, uid, "a model that ran before is not launched again");
            }
        }
    }

    /// All running models by uid, those that a request loaded among them.
    pub fn running(&self) -> Vec<Running> {
        let inner = &self.inner;
        let mut running: Vec<Running> =
            inner.instances.all().iter().map(|instance| inner.view(instance)).collect();
        let failed = |running: &&Running| matches!(running.phase, Phase::Failed(_));
        let uses: HashSet<ModelRef> =
            running.iter().filter(|r| !failed(r)).map(|r| r.model.clone()).collect();
        let uids: HashSet<String> = running.iter().map(|running| running.uid.clone()).collect();
        for resident in inner.residents() {
            let ModelRef::Named(name) = &resident.model else { continue };
            let Ok(entry) = inner.catalogue.find(name) else { continue };
            if !uses.contains(&resident.model) && !uids.contains(name) {
                running.push(Running {
                    uid: name.clone(),
                    entry: Some(entry),
                    request: LaunchRequest::new(name),
                    model: resident.model.clone(),
                    phase: Phase::Ready,
                    since: resident.since,
                    in_memory: true,
                });
            }
        }
        running.sort_by(|a, b| a.uid.cmp(&b.uid));
        running
    }

    /// The running model under a uid.
    ///
    /// # Errors
    /// [`Error::NotRunning`].
    pub fn find_running(&self, uid: &str) -> Result<Running, Error> {
        if let Some(instance) = self.inner.instances.get(uid) {
            return Ok(self.inner.view(&instance));
        }
        self.running()
            .into_iter()
            .find(|running| running.uid == uid)
            .ok_or_else(|| Error::NotRunning(uid.to_owned()))
    }

    /// The model that answers to a name: the one that runs under it, or one of the catalogue that a request may load.
    ///
    /// # Errors
    /// [`Error::Loading`] while it is being launched, [`Error::RequestLimit`], [`Error::UnknownModel`], or
    /// [`Error::NotRunning`] where requests load nothing.
    pub fn select(&self, name: &str) -> Result<Selected, Error> {
        let inner = &self.inner;
        if let Some((model, lease)) = inner.instances.lease(name)? {
            return Ok(Selected { model, lease: Some(lease) });
        }
        let name = match inner.catalogue.find(name) {
            Ok(entry) => entry.name.clone(),
            Err(_) if !inner.settings.load_on_request => return Err(Error::NotRunning(name.to_owned())),
            Err(error) => return Err(error),
        };
        // Other names of a model that runs under its own.
        if let Some((model, lease)) = inner.instances.lease(&name)? {
            return Ok(Selected { model, lease: Some(lease) });
        }
        if !inner.settings.load_on_request {
            return Err(Error::NotRunning(name));
        }
        Ok(Selected { model: ModelRef::Named(name), lease: None })
    }

    /// The model of the catalogue that a request may load by this name.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], or [`Error::NotRunning`] where requests load nothing.
    pub fn loadable(&self, name: &str) -> Result<ModelStatus, Error> {
        if !self.inner.settings.load_on_request {
            return Err(Error::NotRunning(name.to_owned()));
        }
        Ok(self.inner.status(&*self.inner.catalogue.find(name)?))
    }

    /// Ends a running model. Requests under way are still answered; its memory is free after them.
    ///
    /// # Errors
    /// [`Error::NotRunning`], or [`Error::Launch`] while it is being launched.
    pub fn terminate(&self, uid: &str) -> Result<(), Error> {
        let inner = &self.inner;
        let Some(instance) = inner.instances.get(uid) else {
            let running = self.find_running(uid)?;
            inner.drop_weights(&running.model);
            return Ok(());
        };
        match instance.phase() {
            Phase::Unloading => return Err(Error::NotRunning(uid.to_owned())),
            phase if phase.is_launching() => {
                let message = format!(
                    "Model {uid:.100} is being launched and cannot be terminated yet; POST /v1/models/{uid:.100}/cancel \
                     stops the launch."
                );
                return Err(Error::Launch(message));
            }
            _ => {}
        }
        inner.running.remove(uid)?;
        inner.instances.journal.note(uid, Severity::Info, "Terminate model");
        inner.instances.unload(&instance);
        inner.drop_weights(&instance.model);
        Ok(())
    }

    /// Stops a launch, or terminates a model that is ready already.
    ///
    /// # Errors
    /// [`Error::Launch`] where nothing was launched under the uid.
    pub fn cancel_launch(&self, uid: &str) -> Result<(), Error> {
        let inner = &self.inner;
        let Some(instance) = inner.instances.get(uid) else {
            return Err(Error::Launch(format!("Model {uid:.100} has not been launched yet")));
        };
        match instance.phase() {
            Phase::Ready => return self.terminate(uid),
            Phase::Failed(_) | Phase::Unloading => return Ok(()),
            Phase::Starting | Phase::Downloading(_) | Phase::Loading => {}
        }
        instance.cancel.cancel();
        inner.settle(&instance, Err(Error::Cancelled));
        Ok(())
    }

    /// Changes how many replicas a running model has; returns how many it has then.
    ///
    /// # Errors
    /// [`Error::NotRunning`], or [`Error::Launch`] for a number that cannot be.
    pub fn scale(&self, uid: &str, change: impl Fn(u32) -> u32) -> Result<u32, Error> {
        let instance = self.inner.instances.get(uid).ok_or_else(|| Error::NotRunning(uid.to_owned()))?;
        let next = |now| Some(change(now)).filter(|next| (1..=MOST_REPLICAS).contains(next));
        let before = instance.replicas.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        let refuse =
            |_| Error::Launch(format!("A model has 1 to {MOST_REPLICAS} replicas; DELETE terminates it."));
        before.map(change).map_err(refuse)
    }

    /// What happened to the models under a uid, the oldest first.
    pub fn events(&self, uid: &str) -> Vec<Event> {
        self.inner.instances.journal.of(uid)
    }

    /// Adds a model to the catalogue by Xinference's description of it, the text of a JSON object. With `persist` it is
    /// there after a restart too.
    ///
    /// # Errors
    /// [`Error::Registration`] says what is wrong with it; the state folder cannot be written.
    pub fn register(&self, definition: &str, persist: bool) -> Result<(), Error> {
        self.inner.catalogue.register(definition, persist)
    }

    /// Takes a registered model out of the catalogue; whether it was there.
    ///
    /// # Errors
    /// [`Error::Registration`] while it runs; the state folder cannot be written.
    pub fn unregister(&self, name: &str) -> Result<bool, Error> {
        if let Some(user) = self.running().iter().find(|running| running.request.model_name == name)
            && self.registrations().iter().any(|registration| registration.entry.name == name)
            && !matches!(user.phase, Phase::Failed(_) | Phase::Unloading)
        {
            let message = format!("Model {name:.100} runs under the uid {}; terminate it first.", user.uid);
            return Err(Error::Registration(message));
        }
        self.inner.catalogue.registered.remove(name)
    }

    /// The registered models.
    pub fn registrations(&self) -> Vec<Registration> {
        self.inner.catalogue.registered.all()
    }
}

impl Inner {
    /// The entry and the model that a launch means.
    fn check_launch(&self, request: &LaunchRequest) -> Result<(Option<Arc<Entry>>, ModelRef), Error> {
        if let Some(uid) = &request.uid {
            check_uid(uid)?;
        }
        if !(1..=MOST_REPLICAS).contains(&request.replicas) {
            return Err(Error::Launch(format!("A model has 1 to {MOST_REPLICAS} replicas.")));
        }
        if request.unload_after_s.is_some() && request.unload_after().is_none() {
            return Err(Error::Launch("unload_after_s must be a number of seconds, 0 or more.".to_owned()));
        }
        let entry = self.catalogue.find(&request.model_name)?;
        let of_registration = match entry.sources.first() {
            Some(Source::Local { path }) => Some(path),
            _ => None,
        };
        if let Some(path) = request.path.as_ref().or(of_registration) {
            check_checkpoint(path, &entry)?;
        }
        let name = entry.name.clone();
        let compute = request.compute.filter(|compute| *compute != self.settings.compute);
        let model = match (&request.path, compute) {
            (None, None) => ModelRef::Named(name),
            (path, compute) => ModelRef::Variant(Variant { name, path: path.clone(), compute }),
        };
        Ok((Some(entry), model))
    }

    /// The work of a launch, on a thread of its own.
    fn finish_launch(&self, instance: &Arc<Instance>) {
        let mut on_progress = |progress: LoadProgress| {
            instance.phase.send_if_modified(|phase| {
                let launching = phase.is_launching();
                if launching {
                    *phase = progress.into();
                }
                launching
            });
        };
        let speaks = instance.entry.as_ref().is_some_and(|entry| entry.ability == Ability::Text2audio);
        let outcome = guarded(|| {
            self.pull_for(instance, &mut on_progress)?;
            if speaks {
                self.load_synthesizer(&instance.model, &mut on_progress, &instance.cancel).map(|_| ())
            } else {
                self.load(&instance.model, &mut on_progress, &instance.cancel).map(|_| ())
            }
        });
        let loaded = outcome.is_ok();
        if !self.settle(instance, outcome) && loaded {
            // Somebody stopped the launch while the last byte was read.
            self.drop_weights(&instance.model);
        }
    }

    /// Fetches the weights of a launch that prefers a source of its own.
    fn pull_for(&self, instance: &Instance, on_progress: &mut dyn FnMut(LoadProgress)) -> Result<(), Error> {
        let (Some(source), Some(entry), None) =
            (instance.request.source, &instance.entry, &instance.request.path)
        else {
            return Ok(());
        };
        let settings = Settings { source, ..self.settings.clone() };
        let mut on_progress = |progress| on_progress(LoadProgress::Pulling(progress));
        self.store.pull(entry, &settings, &mut on_progress, &instance.cancel).map(|_| ())
    }

    /// Ends a launch; whether it was still under way.
    fn settle(&self, instance: &Arc<Instance>, outcome: Result<(), Error>) -> bool {
        // The launch's own thread and who stops it may come at once.
        let _alone = lock(&self.settling);
        if !instance.phase.borrow().is_launching() {
            return false;
        }
        if let Err(error) = &outcome {
            tracing::warn!(%error, uid = instance.uid, "a launch failed");
            self.instances.journal.note(&instance.uid, Severity::Error, error.to_string());
            let stays = instance.request.restored && !matches!(error, Error::Cancelled);
            if !stays && let Err(error) = self.running.remove(&instance.uid) {
                tracing::warn!(%error, uid = instance.uid, "a failed launch cannot be forgotten");
            }
            // Who waits is told; for the others the failure stays to be seen.
            if instance.request.waits {
                self.instances.remove(instance);
            }
        }
        instance.phase.send_replace(outcome.map_or_else(Phase::Failed, |()| Phase::Ready));
        true
    }

    fn view(&self, instance: &Instance) -> Running {
        let replicas = instance.replicas.load(Ordering::Acquire);
        Running {
            uid: instance.uid.clone(),
            entry: instance.entry.clone(),
            request: LaunchRequest { replicas, ..instance.request.clone() },
            model: instance.model.clone(),
            phase: instance.phase(),
            since: instance.since,
            in_memory: self.is_loaded(&instance.model),
        }
    }

    /// Forgets a model's weights unless another running model shares them.
    fn drop_weights(&self, model: &ModelRef) {
        let shares = |instance: &Arc<Instance>| {
            instance.model == *model
                && !matches!(*instance.phase.borrow(), Phase::Unloading | Phase::Failed(_))
        };
        if !self.instances.all().iter().any(shares) {
            self.forget(model);
        }
    }

    /// Forgets a model's weights; jobs that use them keep them.
    pub(super) fn forget(&self, model: &ModelRef) {
        self.transcribers.forget(model);
        self.synthesizers.forget(model);
        lock(&self.speeches).forget_model(model);
    }
}

fn check_checkpoint(path: &Path, entry: &Entry) -> Result<(), Error> {
    let refuse =
        |what: &str| Err(Error::Launch(format!("Invalid input. `model_path`: {} {what}", path.display())));
    if !path.exists() {
        return refuse("File or directory does not exist.");
    }
    if family_of_checkpoint(path) != entry.family {
        return refuse(&format!("holds no {} model.", entry.family));
    }
    Ok(())
}

fn check_uid(uid: &str) -> Result<(), Error> {
    let replica = uid
        .rsplit_once("-rep")
        .is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
    let odd = uid.chars().any(char::is_control);
    if uid.is_empty() || uid.chars().count() > LONGEST_UID || replica || odd {
        let message = "The model UID is invalid. Please specify the model UID by 0 < length <= 100, not ending with the \
                       reserved replica suffix '-rep<number>' and without control characters.";
        return Err(Error::Launch(message.to_owned()));
    }
    Ok(())
}

/// Eight letters and digits.
fn random_letters() -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut bits = RandomState::new().build_hasher().finish();
    let mut letters = String::new();
    for _ in 0..8 {
        letters.push(char::from(LETTERS[(bits % LETTERS.len() as u64) as usize]));
        bits /= LETTERS.len() as u64;
    }
    letters
}
