//! What the engine asks of a speech-to-text model.

use std::path::Path;
use std::sync::Arc;

use mynah_models::whisper::Whisper;
use mynah_models::{Control, Error, Observer, TranscribeOptions, Transcript};

use crate::Settings;

/// A loaded speech-to-text model, shared by all jobs.
pub trait Transcriber: Send + Sync {
    /// Bytes of weights in memory; 0 where that is not known.
    fn bytes(&self) -> u64 {
        0
    }

    /// Transcribes 16 kHz mono samples. Computes while it holds a window's turn of `control`, heeds its pace between the
    /// window's pieces, and stops within one decoder step when it is cancelled.
    ///
    /// # Errors
    /// The request asks for something the model cannot do, or was cancelled.
    fn transcribe(
        &self,
        samples: &[f32],
        options: &TranscribeOptions,
        control: Control<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Transcript, Error>;
}

impl Transcriber for Whisper {
    fn bytes(&self) -> u64 {
        self.weight_bytes() as u64
    }

    fn transcribe(
        &self,
        samples: &[f32],
        options: &TranscribeOptions,
        control: Control<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Transcript, Error> {
        Whisper::transcribe(self, samples, options, control, observer)
    }
}

/// Makes a model of the checkpoint at a path.
pub type LoadTranscriber = dyn Fn(&Path, &Settings) -> Result<Arc<dyn Transcriber>, Error> + Send + Sync;

/// Loads a Whisper checkpoint.
pub(crate) fn load_whisper(path: &Path, settings: &Settings) -> Result<Arc<dyn Transcriber>, Error> {
    let cache = settings.home.join("cache");
    Ok(Arc::new(Whisper::load(path, settings.compute)?.with_padding_kept_in(&cache, path)))
}
