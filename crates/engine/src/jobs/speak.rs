//! Speech synthesis: from a request to its audio.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mynah_audio::{DecodeLimits, EncodeOptions, Encoder, OutputFormat};
use mynah_core::{CancelFlag, Capabilities, JobContext, Model, ModelError, ModelTask, ReferenceAudio};
use mynah_text::languages;
use tokio::sync::mpsc::{Sender, channel};

use crate::Error;
use crate::catalogue::{Entry, Voice};
use crate::engine::{Engine, Inner};
use crate::jobs::encoding_sink::EncodingSink;
use crate::jobs::speech::{
    MAX_BUFFERED_CHUNKS, ReferenceSource, SpeakRequest, SpeechEvent, SpeechJob, SpeechResult,
};
use crate::jobs::speech_cache::{CachedSpeech, Key};
use crate::jobs::{audio, wrong_task};
use crate::lifecycle::model_cache::LoadProgress;
use crate::model_ref::{ModelRef, Variant};
use crate::panics::guarded;
use crate::scheduler::admission::{JobSize, JobTicket};
use crate::scheduler::job::{JobScheduler, ScheduledJob};
use crate::sync::lock;

/// Time between attempts to download a voice that is requested by the name of another service's voice.
const VOICE_RETRY_INTERVAL: Duration = Duration::from_secs(600);

/// Maximum length of reference audio.
const MAX_REFERENCE_S: f64 = 60.0;

/// Bytes of sentences, phonemes and words of the response, per byte of the text.
const COPIES_OF_TEXT: usize = 8;

/// Audio that is buffered for the reader.
const BUFFERED_BYTES: usize = 1 << 20;

impl Engine {
    /// Starts a speech job. Its model and voice are downloaded and loaded if necessary, as part of the job.
    ///
    /// # Errors
    /// [`Error::QueueFull`], [`Error::QueueTimeExceeded`], [`Error::UnknownModel`], [`Error::WrongTask`],
    /// [`Error::UnknownVoice`], or an option that the model does not support. All other errors arrive as
    /// [`SpeechEvent::Failed`].
    pub fn speak(&self, request: SpeakRequest) -> Result<SpeechJob, Error> {
        self.start_speaking(request, None)
    }

    /// [`Engine::speak`] with the voice of reference audio. Such speech is not cached.
    ///
    /// # Errors
    /// Those of [`Engine::speak`].
    pub fn speak_with_reference(
        &self,
        request: SpeakRequest,
        recording: ReferenceSource,
    ) -> Result<SpeechJob, Error> {
        self.start_speaking(request, Some(recording))
    }

    fn start_speaking(
        &self,
        request: SpeakRequest,
        recording: Option<ReferenceSource>,
    ) -> Result<SpeechJob, Error> {
        request.options.check()?;
        if let Some(entry) = self.inner.entry(&request.model)? {
            match self.inner.capabilities(&entry) {
                Some(Capabilities::Speech(capabilities)) => {
                    capabilities.check(&request.options, recording.is_some())?;
                }
                _ => return Err(wrong_task(&request.model, ModelTask::Transcription)),
            }
            entry.voice(request.options.voice.as_deref())?;
        }
        let ticket = self.inner.admit(request.client, &request.model)?;
        let cancel = CancelFlag::new();
        let (sender, events) = channel(MAX_BUFFERED_CHUNKS);
        let job = SpeechJob { events, cancel: cancel.clone() };
        let inner = Arc::clone(&self.inner);
        thread::Builder::new()
            .name("mynah-job".to_owned())
            .spawn(move || {
                let last = match guarded(|| inner.speak(request, recording, &ticket, &cancel, &sender)) {
                    Ok(spoken) => SpeechEvent::Done(spoken),
                    Err(error) => SpeechEvent::Failed(error),
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
    /// Runs a job, from the text to the last byte of audio.
    fn speak(
        &self,
        mut request: SpeakRequest,
        recording: Option<ReferenceSource>,
        ticket: &JobTicket,
        cancel: &CancelFlag,
        events: &Sender<SpeechEvent>,
    ) -> Result<SpeechResult, Error> {
        let mut tell_wait = |progress| {
            ticket.wait_for_model();
            // A slow reader does not need it; a client that disconnected has cancelled the job.
            let _ = events.try_send(SpeechEvent::Waiting(progress));
        };
        let lease = self.load(&request.model, &mut tell_wait, cancel)?;
        let Model::Synthesizer(synthesizer) = &*lease else {
            return Err(wrong_task(&request.model, ModelTask::Transcription));
        };
        let capabilities = synthesizer.capabilities();
        // For a checkpoint at a path, this is known only now.
        capabilities.check(&request.options, recording.is_some())?;
        let voice = self.ready_voice(&request, &mut tell_wait, cancel)?;
        let send = |event| -> Result<(), Error> { events.blocking_send(event).map_err(|_| Error::Cancelled) };

        let rate_hz = synthesizer.sample_rate_hz();
        let key = recording.is_none().then(|| Key::new(&request, voice.clone()));
        let kept = key.as_ref().and_then(|key| lock(&self.speeches).get(key));
        if let Some(CachedSpeech { voice, audio, spoken }) = kept {
            send(SpeechEvent::Started { voice })?;
            send(SpeechEvent::Audio(audio))?;
            return Ok(spoken);
        }

        // The text and what is derived from it, and audio buffered for the reader or the cache.
        let copy_limit = if key.is_some() { lock(&self.speeches).max_entry_bytes() } else { 0 };
        let text_bytes = request.text.len().saturating_mul(COPIES_OF_TEXT);
        let mut memory = self.memory.reserve((text_bytes + copy_limit + BUFFERED_BYTES) as u64)?;
        if let Some(ReferenceSource { audio, transcript }) = recording {
            let limits =
                DecodeLimits { max_duration_s: MAX_REFERENCE_S, ..self.settings.decode_limits.clone() };
            let samples = audio::decode(audio, rate_hz, &limits, &mut memory, cancel)?.samples.into();
            request.options.reference = Some(ReferenceAudio { samples, transcript });
        }
        let encoder = encoder(request.format, rate_hz, &request.encoding)?;
        send(SpeechEvent::Started { voice: voice.clone() })?;
        let SpeakRequest { model, text, mut options, .. } = request;
        options.voice.clone_from(&voice);
        let size = JobSize::text(text.chars().count(), capabilities.first_result_chars);
        ticket.begin(size);
        let device = self.device(&model);
        let report_first_step = |waited_s| {
            // The channel has room: only a notice was sent so far.
            let _ = events.try_send(SpeechEvent::FirstStep { waited_s });
        };
        let scheduler = JobScheduler::new(ScheduledJob {
            device,
            ticket,
            cancel,
            first_result_s: f64::INFINITY,
            rows: &device.stats.speech_rows,
            on_first_step: &report_first_step,
        });
        let context = JobContext { cancel, scheduler: &scheduler };
        let mut sink = EncodingSink::new(encoder, rate_hz, &scheduler, cancel, events, copy_limit);
        let outcome =
            self.using(&model, || Ok(synthesizer.synthesize(&text, &options, context, &mut sink)))?;
        let (spoken, copy) = sink.finish(outcome).map_err(|error| self.with_alternative(error, &model))?;
        ticket.update_estimate(size);
        if let (Some(key), Some(audio)) = (key, copy) {
            let kept = CachedSpeech { voice, audio: Bytes::from(audio), spoken: spoken.clone() };
            lock(&self.speeches).put(key, kept);
        }
        Ok(spoken)
    }

    /// The model's own name of the voice; downloads the voice if necessary.
    fn ready_voice(
        &self,
        request: &SpeakRequest,
        on_progress: &mut dyn FnMut(LoadProgress),
        cancel: &CancelFlag,
    ) -> Result<Option<String>, Error> {
        let asked = request.options.voice.as_deref();
        // The voices of a checkpoint at a path are known only to the model.
        let (ModelRef::Named(name) | ModelRef::Variant(Variant { name, path: None, .. })) = &request.model
        else {
            return Ok(asked.map(str::to_owned));
        };
        let entry = self.catalogue.find(name)?;
        let Some((voice, stands_for)) = entry.voice(asked)? else { return Ok(asked.map(str::to_owned)) };
        let mut pull = || {
            let mut on_progress = |progress| on_progress(LoadProgress::Pulling(progress));
            self.store.pull_voice(&entry, voice, &self.settings, &mut on_progress, cancel)
        };
        let fetched =
            if stands_for { self.pull_stand_in(&entry, voice, pull)? } else { pull().map(|()| true)? };
        let speaks = if fetched { Some(voice) } else { entry.voices.first() };
        Ok(speaks.map(|voice| voice.name.clone()))
    }

    /// Downloads a voice that stands for another service's voice; `false` if it is not available.
    fn pull_stand_in(
        &self,
        entry: &Entry,
        voice: &Voice,
        pull: impl FnOnce() -> Result<(), Error>,
    ) -> Result<bool, Error> {
        if !self.store.has_voice(entry, voice) {
            let missed = *lock(&self.missed_voice);
            if missed.is_some_and(|missed| missed.elapsed() < VOICE_RETRY_INTERVAL) {
                return Ok(false);
            }
        }
        match pull() {
            Ok(()) => Ok(true),
            Err(error @ (Error::Offline(_) | Error::NoNetwork { .. } | Error::Download { .. })) => {
                tracing::warn!(%error, "the default voice of {} speaks instead", entry.name);
                *lock(&self.missed_voice) = Some(Instant::now());
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Adds the models that support the script to the error of a model that does not.
    fn with_alternative(&self, error: Error, asked: &ModelRef) -> Error {
        let Error::Model(ModelError::Script { script, sample }) = &error else { return error };
        let model = asked.to_string();
        let mut able = self.catalogue.models_speaking(languages::written_in(script));
        able.retain(|name| *name != model);
        Error::Script { script, sample: sample.clone(), model, able }
    }
}

fn encoder(format: OutputFormat, rate_hz: u32, encoding: &EncodeOptions) -> Result<Encoder, Error> {
    Encoder::new(format, rate_hz, encoding).map_err(Error::Encode)
}
