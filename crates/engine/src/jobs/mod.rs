//! Jobs: each is one request for a transcript or for speech, on its own thread, which mostly waits for its next step.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use mynah_core::{Capabilities, ModelTask};

use crate::Error;
use crate::catalogue::{Entry, UNDETERMINED};
use crate::engine::Inner;
use crate::model_ref::ModelRef;
use crate::panics::panic_text;
use crate::scheduler::admission::JobTicket;
use crate::scheduler::client_id::ClientId;

pub(crate) mod audio;
mod encoding_sink;
mod pipeline;
pub(crate) mod request_memory;
mod speak;
pub(crate) mod speech;
pub(crate) mod speech_cache;
mod transcribe;
pub(crate) mod transcription;

impl Inner {
    /// Admits a job.
    fn admit(&self, client: Option<ClientId>, model: &ModelRef) -> Result<JobTicket, Error> {
        // Client ids are spread over all 64 bits. If an anonymous client gets the id of another by a rare coincidence, one of
        // both waits longer in the queue.
        let client =
            client.unwrap_or_else(|| ClientId(self.anonymous_clients.fetch_add(1, Ordering::Relaxed)));
        self.device(model).admission.admit(client, model)
    }

    /// Capabilities of a model of the catalogue, before it is loaded.
    fn capabilities(&self, entry: &Entry) -> Option<Capabilities> {
        let mut capabilities = self.registry.find(&entry.family)?.capabilities(&entry.languages);
        if let Capabilities::Transcription(transcription) = &mut capabilities {
            // The language is known once the model is loaded.
            transcription.languages.retain(|code| code != UNDETERMINED);
        }
        Some(capabilities)
    }

    /// Runs a model. One that panics may be in any state, so the next job loads it again; jobs that already use it continue.
    fn using<T>(&self, model: &ModelRef, work: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
            let reason = panic_text(panic.as_ref());
            tracing::error!(%model, reason, "a model panicked and will be loaded again");
            self.forget(model);
            Err(Error::Internal(reason.to_owned()))
        })
    }
}

/// The error of a request for another task than the model's.
fn wrong_task(model: &ModelRef, task: ModelTask) -> Error {
    let (does, instead) = match task {
        ModelTask::Transcription => {
            ("is a speech-to-text model", "use a text-to-speech model such as hibari")
        }
        ModelTask::Speech => ("is a text-to-speech model", "use a speech-to-text model such as whisper-base"),
    };
    Error::WrongTask { model: model.to_string(), does, instead }
}
