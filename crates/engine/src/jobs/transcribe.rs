//! Transcription: from a request to its transcript.

use std::sync::Arc;
use std::thread;

use mynah_core::{
    CancelFlag, Capabilities, JobContext, Model, ModelTask, Transcript, TranscriptEvent, TranscriptSink,
};
use tokio::sync::mpsc::{Sender, channel};

use crate::Error;
use crate::engine::{Engine, Inner};
use crate::jobs::transcription::{
    MAX_BUFFERED_EVENTS, TranscribeRequest, TranscriptionEvent, TranscriptionJob,
};
use crate::jobs::{pipeline, wrong_task};
use crate::lifecycle::model_cache::LoadProgress;
use crate::panics::guarded;
use crate::scheduler::admission::{JobSize, JobTicket};
use crate::scheduler::job::{JobScheduler, ScheduledJob};

impl Engine {
    /// Starts a transcription job. Its model is downloaded and loaded if necessary, as part of the job.
    ///
    /// # Errors
    /// [`Error::QueueFull`], [`Error::QueueTimeExceeded`], [`Error::UnknownModel`], [`Error::WrongTask`], or an option that the
    /// model does not support. All other errors arrive as [`TranscriptionEvent::Failed`].
    pub fn transcribe(&self, request: TranscribeRequest) -> Result<TranscriptionJob, Error> {
        if let Some(entry) = self.inner.entry(&request.model)? {
            match self.inner.capabilities(&entry) {
                Some(Capabilities::Transcription(capabilities)) => capabilities.check(&request.options)?,
                Some(Capabilities::Speech(_)) => return Err(wrong_task(&request.model, ModelTask::Speech)),
                // If no family runs it, loading reports that.
                None => {}
            }
        }
        let ticket = self.inner.admit(request.client, &request.model)?;
        let cancel = CancelFlag::new();
        let (sender, events) = channel(MAX_BUFFERED_EVENTS);
        let job = TranscriptionJob { events, cancel: cancel.clone() };
        let inner = Arc::clone(&self.inner);
        thread::Builder::new()
            .name("mynah-job".to_owned())
            .spawn(move || {
                let last = match guarded(|| inner.transcribe(request, &ticket, &cancel, &sender)) {
                    Ok(transcript) => TranscriptionEvent::Done(Arc::new(transcript)),
                    Err(error) => TranscriptionEvent::Failed(error),
                };
                // The ticket is dropped before the client gets the last event, so that its next job finds it free.
                drop(ticket);
                let _ = sender.blocking_send(last);
            })
            .map_err(|_| Error::no_thread())?;
        Ok(job)
    }
}

impl Inner {
    /// Runs a job, from bytes to transcript.
    fn transcribe(
        &self,
        request: TranscribeRequest,
        ticket: &JobTicket,
        cancel: &CancelFlag,
        events: &Sender<TranscriptionEvent>,
    ) -> Result<Transcript, Error> {
        let TranscribeRequest { model, audio, options, client: _ } = request;
        let mut memory = self.memory.reserve(0)?;
        // Audio first: a file that cannot be read must not cost a download.
        let audio = pipeline::decode(audio, &self.settings.decode_limits, &mut memory, cancel)?;
        if options.vad.is_some() {
            // Speech segments are copied. If there is too little memory, the request fails here, before a model is loaded and a
            // stream has begun.
            memory.grow(size_of_val(audio.samples.as_slice()) as u64)?;
        }
        let mut wait = |progress: LoadProgress| {
            ticket.wait_for_model();
            // A slow reader does not need it; a client that disconnected has cancelled the job.
            let _ = events.try_send(TranscriptionEvent::Waiting(progress));
        };
        let lease = self.load(&model, &mut wait, cancel)?;
        let Model::Transcriber(transcriber) = &*lease else {
            return Err(wrong_task(&model, ModelTask::Speech));
        };
        let capabilities = transcriber.capabilities();
        // For a checkpoint at a path, this is known only now.
        capabilities.check(&options)?;
        send(events, TranscriptionEvent::Started { duration_s: audio.duration_s });
        let size = JobSize::audio(audio.duration_s, capabilities.first_result_s);
        ticket.begin(size);
        let device = self.device(&model);
        let report_first_step = |waited_s| {
            let _ = events.try_send(TranscriptionEvent::FirstStep { waited_s });
        };
        let scheduler = JobScheduler::new(ScheduledJob {
            device,
            ticket,
            cancel,
            first_result_s: capabilities.first_result_s,
            rows: &device.stats.transcription_rows,
            on_first_step: &report_first_step,
        });
        let context = JobContext { cancel, scheduler: &scheduler };
        let speech = options.vad.as_ref().map(|options| pipeline::detect_speech(&audio, options));
        let transcript = self.using(&model, || {
            let sink = &mut EventSink(events);
            pipeline::transcribe(&**transcriber, &audio, speech.as_ref(), &options, context, sink)
        })?;
        ticket.update_estimate(size);
        Ok(transcript)
    }
}

/// Sends an event that must not be lost; waits for a slow reader.
fn send(events: &Sender<TranscriptionEvent>, event: TranscriptionEvent) {
    // Fails if the reader is gone; the job is then already cancelled.
    let _ = events.blocking_send(event);
}

/// Sends a model's events to the reader of the job.
struct EventSink<'a>(&'a Sender<TranscriptionEvent>);

impl TranscriptSink for EventSink<'_> {
    fn event(&mut self, event: TranscriptEvent) {
        match event {
            TranscriptEvent::Language(code, probability) => {
                send(self.0, TranscriptionEvent::Language(code, probability));
            }
            TranscriptEvent::Segment(segment) => send(self.0, TranscriptionEvent::Segment(segment)),
            TranscriptEvent::Progress(seconds) => {
                let _ = self.0.try_send(TranscriptionEvent::Progress(seconds));
            }
        }
    }
}
