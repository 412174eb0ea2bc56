//! Launches: checks, the work, and the result.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::Path;
use std::sync::Arc;

use crate::Error;
use crate::catalogue::{Entry, Source, is_invisible};
use crate::engine::Inner;
use crate::lifecycle::event_log::Severity;
use crate::lifecycle::instances::{Instance, LaunchRequest, Phase};
use crate::lifecycle::model_cache::LoadProgress;
use crate::model_ref::{ModelRef, Variant};
use crate::panics::guarded;
use crate::settings::Settings;
use crate::sync::lock;

/// Maximum length of a uid, in characters.
const MAX_UID_CHARS: usize = 100;
/// Maximum replicas. They cost nothing here; the limit keeps lists of them short.
pub(crate) const MAX_REPLICAS: u32 = 1000;

impl Inner {
    /// Checks a launch request; returns its catalogue entry and model.
    pub(crate) fn check_launch(
        &self,
        request: &LaunchRequest,
    ) -> Result<(Option<Arc<Entry>>, ModelRef), Error> {
        if let Some(uid) = &request.uid {
            check_uid(uid)?;
        }
        if !(1..=MAX_REPLICAS).contains(&request.replicas) {
            return Err(Error::Launch(format!("A model has 1 to {MAX_REPLICAS} replicas.")));
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
            self.check_checkpoint(path, &entry)?;
        }
        let name = entry.name.clone();
        let compute = request.compute.filter(|compute| *compute != self.settings.compute);
        let model = match (&request.path, compute) {
            (None, None) => ModelRef::Named(name),
            (path, compute) => ModelRef::Variant(Variant { name, path: path.clone(), compute }),
        };
        Ok((Some(entry), model))
    }

    fn check_checkpoint(&self, path: &Path, entry: &Entry) -> Result<(), Error> {
        let refuse = |what: &str| {
            Err(Error::Launch(format!("Invalid input. `model_path`: {} {what}", path.display())))
        };
        if !path.exists() {
            return refuse("File or directory does not exist.");
        }
        match self.registry.detect(path) {
            Ok(Some(family)) if family.name() == entry.family => Ok(()),
            Ok(_) => refuse(&format!("holds no {} model.", entry.family)),
            Err(error) => refuse(&format!("cannot be read: {error}")),
        }
    }

    /// The work of a launch, on its own thread.
    pub(crate) fn finish_launch(&self, instance: &Arc<Instance>) {
        let mut on_progress = |progress: LoadProgress| {
            instance.phase.send_if_modified(|phase| {
                let launching = phase.is_launching();
                if launching {
                    *phase = progress.into();
                }
                launching
            });
        };
        let outcome = guarded(|| {
            self.pull_for(instance, &mut on_progress)?;
            self.load(&instance.model, &mut on_progress, &instance.cancel).map(|_| ())
        });
        let loaded = outcome.is_ok();
        if !self.settle(instance, outcome) && loaded {
            // The launch was cancelled in the meantime.
            self.drop_weights(&instance.model);
        }
    }

    /// Downloads the weights of a launch that sets its own preferred source.
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

    /// Ends a launch; returns whether it was still in progress.
    pub(crate) fn settle(&self, instance: &Arc<Instance>, outcome: Result<(), Error>) -> bool {
        // The launch's own thread and a cancellation can arrive at the same time.
        let _alone = lock(&self.settling);
        if !instance.phase.borrow().is_launching() {
            return false;
        }
        if let Err(error) = &outcome {
            tracing::warn!(%error, uid = instance.uid, "launch failed");
            self.instances.event_log.note(&instance.uid, Severity::Error, error.to_string());
            let stays = instance.request.restored && !matches!(error, Error::Cancelled);
            if !stays && let Err(error) = self.launches.remove(&instance.uid) {
                tracing::warn!(%error, uid = instance.uid, "cannot delete the record of a failed launch");
            }
            // A client that waits gets the error; otherwise the failure stays in the list.
            if instance.request.waits {
                self.instances.remove(instance);
            }
        }
        instance.phase.send_replace(outcome.map_or_else(Phase::Failed, |()| Phase::Ready));
        // A failed launch keeps no model in memory.
        self.cache.notify();
        true
    }
}

fn check_uid(uid: &str) -> Result<(), Error> {
    let replica = uid
        .rsplit_once("-rep")
        .is_some_and(|(_, number)| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()));
    let odd = uid.chars().any(is_invisible);
    if uid.is_empty() || uid.chars().count() > MAX_UID_CHARS || replica || odd {
        let message = "The model UID is invalid. Please specify the model UID by 0 < length <= 100, not ending with the \
                       reserved replica suffix '-rep<number>' and without control characters.";
        return Err(Error::Launch(message.to_owned()));
    }
    Ok(())
}

/// Eight letters and digits.
pub(crate) fn random_letters() -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut bits = RandomState::new().build_hasher().finish();
    let mut letters = String::new();
    for _ in 0..8 {
        letters.push(char::from(LETTERS[(bits % LETTERS.len() as u64) as usize]));
        bits /= LETTERS.len() as u64;
    }
    letters
}
