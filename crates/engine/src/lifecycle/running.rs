//! Launches, finds and terminates running models, and registers new ones.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use crate::Error;
use crate::catalogue::Registration;
use crate::engine::Engine;
use crate::engine::Inner;
use crate::lifecycle::event_log::{Event, Severity};
use crate::lifecycle::instances::{Instance, Launch, LaunchRequest, Lease, Phase, Running};
use crate::lifecycle::launch::{MAX_REPLICAS, random_letters};
use crate::model_info::ModelStatus;
use crate::model_ref::ModelRef;
use crate::sync::lock;

/// The model selected for a request.
#[derive(Debug)]
pub struct Selected {
    /// The model for its job.
    pub model: ModelRef,
    /// The request's lease on a running model, to be held until it is answered. `None`: the model was not launched; the
    /// request loads it.
    pub lease: Option<Lease>,
}

impl Engine {
    /// Launches a model under a uid. Returns after the checks; it is downloaded and loaded in the background.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], [`Error::UidTaken`], [`Error::Launch`] for an invalid request. All other errors arrive
    /// through [`Launch::ready`].
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
        inner.record_launch(&instance);
        inner.instances.event_log.note(&instance.uid, Severity::Info, "Launch model");
        if instance.request.unload_after_s.is_some() {
            inner.unload_when_idle();
        }
        let launch = Launch { uid: instance.uid.clone(), phase: instance.phase.subscribe() };
        let (worker, launched) = (Arc::clone(inner), Arc::clone(&instance));
        let spawned = thread::Builder::new()
            .name("mynah-launch".to_owned())
            .spawn(move || worker.finish_launch(&launched));
        if spawned.is_err() {
            inner.settle(&instance, Err(Error::no_thread()));
        }
        Ok(launch)
    }

    /// Serves a checkpoint on disk under a uid; it is loaded by the first request. Takes precedence over a catalogue model
    /// with the same name.
    ///
    /// # Errors
    /// [`Error::UidTaken`].
    pub fn serve_path(&self, uid: &str, path: PathBuf) -> Result<(), Error> {
        let request = LaunchRequest { path: Some(path.clone()), ..LaunchRequest::new("") };
        let checkpoint = self.inner.inspect(&path);
        let make = |uid| {
            let mut instance = Instance::new(uid, None, request, ModelRef::Path(path), Phase::Ready);
            instance.checkpoint = checkpoint;
            instance
        };
        self.inner.instances.add(uid, None, make).map(|_| ())
    }

    /// Relaunches the models that were running when the last process ended, or deletes their records, as set in the settings.
    pub fn restore(&self) {
        for request in self.inner.launches.all::<LaunchRequest>() {
            let uid = request.uid.clone().unwrap_or_default();
            if !self.inner.settings.restore_running {
                if let Err(error) = self.inner.launches.remove(&uid) {
                    tracing::warn!(%error, uid, "cannot delete the record of a previous launch");
                }
            } else if let Err(error) = self.launch(LaunchRequest { restored: true, ..request }) {
                tracing::warn!(%error, uid, "model of a previous run was not relaunched");
            }
        }
    }

    /// All running models by uid, including models that a request loaded.
    pub fn running(&self) -> Vec<Running> {
        let inner = &self.inner;
        let mut running: Vec<Running> =
            inner.instances.all().iter().map(|instance| inner.view(instance)).collect();
        let failed = |running: &&Running| matches!(running.phase, Phase::Failed(_));
        let uses: HashSet<ModelRef> =
            running.iter().filter(|r| !failed(r)).map(|r| r.model.clone()).collect();
        let uids: HashSet<String> = running.iter().map(|running| running.uid.clone()).collect();
        for resident in inner.cache.residents() {
            let ModelRef::Named(name) = &resident.model else { continue };
            let Ok(entry) = inner.catalogue.find(name) else { continue };
            if !uses.contains(&resident.model) && !uids.contains(name) {
                running.push(Running {
                    uid: name.clone(),
                    entry: Some(entry),
                    checkpoint: None,
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

    /// The model with this name: the running one, or a catalogue model that a request can load.
    ///
    /// # Errors
    /// [`Error::Loading`] while it is being launched, [`Error::InstanceLimit`], [`Error::UnknownModel`], or
    /// [`Error::NotRunning`] if requests do not load models.
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
        // An alias of a model that runs under its own name.
        if let Some((model, lease)) = inner.instances.lease(&name)? {
            return Ok(Selected { model, lease: Some(lease) });
        }
        if !inner.settings.load_on_request {
            return Err(Error::NotRunning(name));
        }
        Ok(Selected { model: ModelRef::Named(name), lease: None })
    }

    /// The catalogue model that a request can load by this name.
    ///
    /// # Errors
    /// [`Error::UnknownModel`], or [`Error::NotRunning`] if requests do not load models.
    pub fn loadable(&self, name: &str) -> Result<ModelStatus, Error> {
        if !self.inner.settings.load_on_request {
            return Err(Error::NotRunning(name.to_owned()));
        }
        Ok(self.inner.status(&*self.inner.catalogue.find(name)?))
    }

    /// Terminates a running model. Requests in progress are still served; then its memory is freed.
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
        if let Err(error) = inner.launches.remove(uid) {
            tracing::warn!(%error, uid, "cannot delete the record of the launch; --restore will repeat it");
        }
        inner.instances.event_log.note(uid, Severity::Info, "Terminate model");
        inner.instances.unload(&instance);
        inner.drop_weights(&instance.model);
        // The remaining instances may have a shorter idle time.
        inner.cache.notify();
        Ok(())
    }

    /// Cancels a launch, or terminates a model that is already ready.
    ///
    /// # Errors
    /// [`Error::Launch`] if nothing was launched under the uid.
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

    /// Changes the number of replicas of a running model; returns the new number.
    ///
    /// # Errors
    /// [`Error::NotRunning`], or [`Error::Launch`] for an invalid number.
    pub fn scale(&self, uid: &str, change: impl Fn(u32) -> u32) -> Result<u32, Error> {
        let instance = self.inner.instances.get(uid).ok_or_else(|| Error::NotRunning(uid.to_owned()))?;
        let next = |now| Some(change(now)).filter(|next| (1..=MAX_REPLICAS).contains(next));
        let before = instance.replicas.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        let refuse =
            |_| Error::Launch(format!("A model has 1 to {MAX_REPLICAS} replicas; DELETE terminates it."));
        before.map(change).map_err(refuse)
    }

    /// Events of the models under a uid, oldest first.
    pub fn events(&self, uid: &str) -> Vec<Event> {
        self.inner.instances.event_log.of(uid)
    }

    /// Adds a model to the catalogue by Xinference's description of it, the text of a JSON object. With `persist` it
    /// survives a restart.
    ///
    /// # Errors
    /// [`Error::Registration`] if it is invalid, or the state folder cannot be written.
    pub fn register(&self, definition: &str, persist: bool) -> Result<(), Error> {
        self.inner.catalogue.register(definition, persist)
    }

    /// Removes a registered model from the catalogue; returns whether it was there.
    ///
    /// # Errors
    /// [`Error::Registration`] while it is running, or the state folder cannot be written.
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
    /// Records a launch for `--restore`, unless it was cancelled already.
    fn record_launch(&self, instance: &Instance) {
        let _alone = lock(&self.settling);
        if instance.phase.borrow().is_launching()
            && let Err(error) = self.launches.put(&instance.uid, &instance.request)
        {
            // A home that cannot be written to, e.g. in a container, must not prevent a launch.
            tracing::warn!(%error, uid = instance.uid, "cannot record the launch; --restore will not repeat it");
        }
    }

    fn view(&self, instance: &Instance) -> Running {
        let replicas = instance.replicas.load(Ordering::Acquire);
        Running {
            uid: instance.uid.clone(),
            entry: instance.entry.clone(),
            checkpoint: instance.checkpoint.clone(),
            request: LaunchRequest { replicas, ..instance.request.clone() },
            model: instance.model.clone(),
            phase: instance.phase(),
            since: instance.since,
            in_memory: self.cache.contains(&instance.model),
        }
    }

    /// Drops a model's weights unless another running model shares them.
    pub(crate) fn drop_weights(&self, model: &ModelRef) {
        let shares = |instance: &Arc<Instance>| {
            instance.model == *model
                && !matches!(*instance.phase.borrow(), Phase::Unloading | Phase::Failed(_))
        };
        if !self.instances.all().iter().any(shares) {
            self.forget(model);
        }
        // The terminated instance may have been pinned, or have had a longer idle time.
        self.cache.notify();
    }

    /// Drops a model's weights; jobs that use them keep them.
    pub(crate) fn forget(&self, model: &ModelRef) {
        self.cache.forget(model);
        lock(&self.speeches).forget_model(model);
    }
}
