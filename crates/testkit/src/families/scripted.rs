//! Two tiny families that are not part of the program. They show what a new family needs: this file, and a line in a registry.
//!
//! [`ScriptedTranscriber`] writes scripted words, takes at most 15 s of audio at a time and gives no timestamps. [`ScriptedVoice`]
//! speaks each word as a short tone. Both are folders with a `script.json`.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use mynah_core::{
    AudioInput, AudioSink, Capabilities, JobContext, LoadContext, Model, ModelError, ModelFamily, ModelTask,
    SpeechCapabilities, SpeechOptions, SpokenWord, Synthesizer, Timestamps, TokenCounts, TranscribeOptions,
    Transcriber, Transcript, TranscriptSink, TranscriptionCapabilities,
};
use mynah_models::longform::chunked::{ChunkText, ChunkedOptions, transcribe_chunks};

/// The only file of a checkpoint of either family: `{"family": NAME, "words": [WORD, ...]}`.
const SCRIPT: &str = "script.json";

/// Maximum audio per chunk of [`ScriptedTranscriber`], seconds.
pub const MAX_CHUNK_S: f64 = 15.0;

/// Samples per second of [`ScriptedVoice`].
pub const SPEECH_RATE_HZ: u32 = 8_000;

/// Writes a checkpoint of the family `family` into a folder.
///
/// # Panics
/// The folder cannot be written.
pub fn write(folder: &Path, family: &dyn ModelFamily, words: &[&str]) {
    fs::create_dir_all(folder).expect("the folder can be made");
    let script = serde_json::json!({"family": family.name(), "words": words});
    fs::write(folder.join(SCRIPT), script.to_string()).expect("the script can be written");
}

fn read(path: &Path, family: &str) -> Option<Vec<String>> {
    let script: serde_json::Value = serde_json::from_slice(&fs::read(path.join(SCRIPT)).ok()?).ok()?;
    let words = script["words"].as_array().filter(|_| script["family"] == family)?;
    Some(words.iter().map(|word| word.as_str().unwrap_or_default().to_owned()).collect())
}

fn select_files<'a>(names: &[&'a str]) -> Result<Vec<&'a str>, &'static str> {
    let script = names.iter().copied().find(|name| *name == SCRIPT).ok_or("it has no script.json")?;
    Ok(vec![script])
}

/// A speech-to-text family.
pub struct ScriptedTranscriber;

impl ModelFamily for ScriptedTranscriber {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn task(&self) -> ModelTask {
        ModelTask::Transcription
    }

    fn capabilities(&self, _languages: &[String]) -> Capabilities {
        Capabilities::Transcription(capabilities())
    }

    fn detect(&self, path: &Path) -> Result<bool, ModelError> {
        Ok(read(path, self.name()).is_some())
    }

    fn select_files<'a>(&self, names: &[&'a str]) -> Result<Vec<&'a str>, &'static str> {
        select_files(names)
    }

    fn load(&self, path: &Path, _context: &LoadContext) -> Result<Model, ModelError> {
        let words =
            read(path, self.name()).ok_or_else(|| ModelError::Weights("script.json is damaged".into()))?;
        Ok(Model::Transcriber(Arc::new(Script(words))))
    }
}

fn capabilities() -> TranscriptionCapabilities {
    TranscriptionCapabilities {
        languages: vec!["en".to_owned()],
        translates: false,
        timestamps: Timestamps::Chunk,
        initial_prompt: false,
        hotwords: false,
        logprobs: false,
        whisper_decoding: false,
        first_result_s: MAX_CHUNK_S,
    }
}

/// Writes its words in order, one per second of audio, and starts over after the last.
struct Script(Vec<String>);

impl Transcriber for Script {
    fn capabilities(&self) -> TranscriptionCapabilities {
        capabilities()
    }

    fn transcribe(
        &self,
        audio: AudioInput<'_>,
        options: &TranscribeOptions,
        context: JobContext<'_>,
        sink: &mut dyn TranscriptSink,
    ) -> Result<Transcript, ModelError> {
        let chunked = ChunkedOptions {
            max_chunk_s: MAX_CHUNK_S,
            chunks_at_once: 2,
            task: options.task,
            language: "en".to_owned(),
        };
        transcribe_chunks(audio, &chunked, context, sink, &|samples, context| {
            assert!(samples.len() as f64 <= MAX_CHUNK_S * 16_000.0, "at most the maximum chunk length");
            let _permit = context.step()?;
            let seconds = samples.len().div_ceil(16_000).max(1);
            let words: Vec<&str> = self.0.iter().map(String::as_str).cycle().take(seconds).collect();
            Ok(ChunkText { text: words.join(" "), ..ChunkText::default() })
        })
    }
}

/// A text-to-speech family.
pub struct ScriptedVoice;

impl ModelFamily for ScriptedVoice {
    fn name(&self) -> &'static str {
        "scripted-voice"
    }

    fn task(&self) -> ModelTask {
        ModelTask::Speech
    }

    fn capabilities(&self, _languages: &[String]) -> Capabilities {
        Capabilities::Speech(speech_capabilities())
    }

    fn detect(&self, path: &Path) -> Result<bool, ModelError> {
        Ok(read(path, self.name()).is_some())
    }

    fn select_files<'a>(&self, names: &[&'a str]) -> Result<Vec<&'a str>, &'static str> {
        select_files(names)
    }

    fn load(&self, _path: &Path, _context: &LoadContext) -> Result<Model, ModelError> {
        Ok(Model::Synthesizer(Arc::new(Tone)))
    }
}

fn speech_capabilities() -> SpeechCapabilities {
    SpeechCapabilities {
        languages: &[],
        instructions: false,
        reference_audio: false,
        refine_text: false,
        raw_text: true,
        first_result_chars: 20,
    }
}

/// Speaks each word as a tone of 0.25 s.
struct Tone;

impl Synthesizer for Tone {
    fn capabilities(&self) -> SpeechCapabilities {
        speech_capabilities()
    }

    fn sample_rate_hz(&self) -> u32 {
        SPEECH_RATE_HZ
    }

    fn synthesize(
        &self,
        text: &str,
        options: &SpeechOptions,
        context: JobContext<'_>,
        sink: &mut dyn AudioSink,
    ) -> Result<TokenCounts, ModelError> {
        let word_s = 0.25 / options.speed;
        let word_samples = (f64::from(word_s) * f64::from(SPEECH_RATE_HZ)) as usize;
        let tone: Vec<f32> = (0..word_samples).map(|i| (i as f32 * 0.3).sin() * 0.25).collect();
        let mut counts = TokenCounts::default();
        for (number, word) in text.split_whitespace().enumerate() {
            let permit = context.step()?;
            sink.samples(&tone)?;
            drop(permit);
            let start = word.as_ptr() as usize - text.as_ptr() as usize;
            let start_s = f64::from(word_s) * number as f64;
            sink.word(SpokenWord {
                text: word.to_owned(),
                range: start..start + word.len(),
                start_s,
                end_s: start_s + f64::from(word_s),
            });
            counts.input += 1;
            counts.output += 1;
        }
        Ok(counts)
    }
}
