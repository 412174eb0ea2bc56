//! A fake family whose models are created by a test.

use std::path::Path;
use std::sync::Arc;

use mynah_core::{
    Capabilities, LoadContext, Model, ModelError, ModelFamily, ModelTask, SpeechCapabilities, Synthesizer,
    Timestamps, Transcriber, TranscriptionCapabilities,
};

/// Creates the model for the checkpoint at a path.
type Load = dyn Fn(&Path, &LoadContext) -> Result<Model, ModelError> + Send + Sync;

/// Replaces a family of the program in a registry.
pub struct StandIn {
    name: &'static str,
    task: ModelTask,
    load: Box<Load>,
}

impl StandIn {
    /// Replaces Whisper.
    pub fn whisper<F>(load: F) -> Self
    where
        F: Fn(&Path, &LoadContext) -> Result<Arc<dyn Transcriber>, ModelError> + Send + Sync + 'static,
    {
        let load = move |path: &Path, context: &LoadContext| load(path, context).map(Model::Transcriber);
        Self { name: "whisper", task: ModelTask::Transcription, load: Box::new(load) }
    }

    /// Replaces hibari.
    pub fn hibari<F>(load: F) -> Self
    where
        F: Fn(&Path, &LoadContext) -> Result<Arc<dyn Synthesizer>, ModelError> + Send + Sync + 'static,
    {
        let load = move |path: &Path, context: &LoadContext| load(path, context).map(Model::Synthesizer);
        Self { name: "hibari", task: ModelTask::Speech, load: Box::new(load) }
    }
}

impl ModelFamily for StandIn {
    fn name(&self) -> &'static str {
        self.name
    }

    fn task(&self) -> ModelTask {
        self.task
    }

    fn capabilities(&self, languages: &[String]) -> Capabilities {
        match self.task {
            ModelTask::Transcription => Capabilities::Transcription(TranscriptionCapabilities {
                translates: languages.len() != 1,
                languages: languages.to_vec(),
                ..any_transcription()
            }),
            ModelTask::Speech => Capabilities::Speech(any_speech()),
        }
    }

    /// Every path is a checkpoint of the speech-to-text family.
    fn detect(&self, _path: &Path) -> Result<bool, ModelError> {
        Ok(self.task == ModelTask::Transcription)
    }

    /// All files but those that describe the repository.
    fn select_files<'a>(&self, names: &[&'a str]) -> Result<Vec<&'a str>, &'static str> {
        Ok(names.iter().copied().filter(|name| !name.starts_with('.')).collect())
    }

    fn load(&self, path: &Path, context: &LoadContext) -> Result<Model, ModelError> {
        (self.load)(path, context)
    }
}

/// Capabilities of a model that supports everything.
pub fn any_transcription() -> TranscriptionCapabilities {
    TranscriptionCapabilities {
        languages: Vec::new(),
        translates: true,
        timestamps: Timestamps::Word,
        initial_prompt: true,
        hotwords: true,
        logprobs: true,
        whisper_decoding: true,
        first_result_s: 30.0,
    }
}

/// Capabilities of a model that supports everything.
pub fn any_speech() -> SpeechCapabilities {
    SpeechCapabilities {
        languages: &[],
        instructions: true,
        reference_audio: true,
        refine_text: true,
        raw_text: true,
        first_result_chars: 200,
    }
}
