//! hibari: small English voices that synthesize speech from phonemes.
//!
//! A voice is one ONNX file of 8 MB (hibari-tts 0.2, Apache-2.0), a distillation of a Kokoro voice. `weights` reads it,
//! `tokens` maps phonemes to ids, `network` predicts durations, pitch and spectral parameters, `excitation` and `vocoder` turn
//! those into samples; `synthesize` adds the English front end. Everything up to the last layer is computed for the whole
//! utterance; spectra and samples are computed chunk by chunk on demand.

mod excitation;
mod network;
mod synthesize;
mod tokens;
mod vocoder;
mod voices;
mod weights;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use mynah_core::{
    CancelFlag, Capabilities, LoadContext, Model, ModelError, ModelFamily, ModelTask, SpeechCapabilities,
    SpeechOptions,
};
use mynah_text::english::G2p;

pub use excitation::{HOP_LENGTH, SAMPLE_RATE};
pub use tokens::{MAX_PHONEMES, split_phonemes};
pub use voices::Voice;

use crate::error;

use network::{Decoded, Network, PARTS};
use tokens::Tokens;
use vocoder::{FIRST_FRAMES, Stream, Vocoder};

/// Capabilities of all voices.
const CAPABILITIES: SpeechCapabilities = SpeechCapabilities {
    languages: &["en"],
    instructions: false,
    reference_audio: false,
    refine_text: false,
    raw_text: false,
    first_result_chars: 200,
};

/// The family of the hibari voices.
#[derive(Clone, Copy, Debug)]
pub struct HibariFamily;

impl ModelFamily for HibariFamily {
    fn name(&self) -> &'static str {
        "hibari"
    }

    fn task(&self) -> ModelTask {
        ModelTask::Speech
    }

    fn capabilities(&self, _languages: &[String]) -> Capabilities {
        Capabilities::Speech(CAPABILITIES)
    }

    fn detect(&self, path: &Path) -> Result<bool, ModelError> {
        Ok(Hibari::is_at(path))
    }

    /// Everything in the folder: the voices' files, and the front end's beside them.
    fn select_files<'a>(&self, names: &[&'a str]) -> Result<Vec<&'a str>, &'static str> {
        if !names.iter().any(|name| name.ends_with(".onnx")) {
            return Err("it has no voice (.onnx)");
        }
        Ok(names.iter().copied().filter(|name| !name.starts_with('.')).collect())
    }

    fn load(&self, path: &Path, _context: &LoadContext) -> Result<Model, ModelError> {
        Ok(Model::Synthesizer(Arc::new(Hibari::load(path)?)))
    }
}

/// The voices of a folder, shared by all jobs. Each is loaded on first use, as is the front end of each
/// dialect.
pub struct Hibari {
    voices: Vec<Slot>,
    vocoder: Arc<Vocoder>,
    /// Folder of the front end's files.
    folder: PathBuf,
    american: OnceLock<G2p>,
    british: OnceLock<G2p>,
}

struct Slot {
    voice: Voice,
    path: PathBuf,
    network: OnceLock<Arc<Network>>,
}

impl Slot {
    fn is_available(&self) -> bool {
        self.network.get().is_some() || self.path.is_file()
    }

    fn network(&self) -> Result<Arc<Network>, ModelError> {
        if let Some(network) = self.network.get() {
            return Ok(Arc::clone(network));
        }
        let loaded = Arc::new(Network::load(&self.path)?);
        Ok(Arc::clone(self.network.get_or_init(|| loaded)))
    }
}

impl Hibari {
    /// Whether there is a voice at `path`, judged by file names.
    pub fn is_at(path: &Path) -> bool {
        let is_voice = |file: &Path| file.is_file() && file.extension().is_some_and(|ext| ext == "onnx");
        voices::possible(path).1.iter().any(|(_, file)| is_voice(file))
    }

    /// Opens a folder of voice files under their published names (`hibari.onnx`, ...), or one such file
    /// under any name, and loads the default voice. Voices may be added to the folder later.
    ///
    /// # Errors
    /// There is no voice, or its file is damaged or not a hibari voice.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        let (folder, possible) = voices::possible(path);
        let slot = |(voice, path)| Slot { voice, path, network: OnceLock::new() };
        let mut voices: Vec<_> = possible.into_iter().map(slot).collect();
        // The first available voice is the default.
        voices.sort_by_key(|slot| !slot.path.is_file());
        let Some(default) = voices.first().filter(|slot| slot.path.is_file()) else {
            let source =
                std::io::Error::new(std::io::ErrorKind::NotFound, "there is no hibari voice (hibari.onnx)");
            return Err(error::io(path, source));
        };
        default.network()?;
        let (american, british) = (OnceLock::new(), OnceLock::new());
        Ok(Self { voices, vocoder: Arc::new(Vocoder::new()), folder, american, british })
    }

    /// The available voices, the default first.
    pub fn voices(&self) -> impl Iterator<Item = &Voice> {
        self.voices.iter().filter(|slot| slot.is_available()).map(|slot| &slot.voice)
    }

    /// The voice of this name, or the default for `None`.
    ///
    /// # Errors
    /// [`ModelError::InvalidOption`] lists the available voices.
    pub fn voice(&self, name: Option<&str>) -> Result<&Voice, ModelError> {
        self.slot(name).map(|slot| &slot.voice)
    }

    fn slot(&self, name: Option<&str>) -> Result<&Slot, ModelError> {
        let mut available = self.voices.iter().filter(|slot| slot.is_available());
        available.find(|slot| name.is_none_or(|name| slot.voice.name == name)).ok_or_else(|| {
            let names: Vec<_> = self.voices().map(|voice| voice.name.as_str()).collect();
            let asked: String = name.unwrap_or_default().chars().take(80).collect();
            let reason = format!("unknown voice {asked:?}; use one of {}", names.join(", "));
            ModelError::InvalidOption { name: "voice", reason }
        })
    }

    /// Bytes of weights in memory.
    pub fn bytes(&self) -> usize {
        self.voices.iter().filter_map(|slot| slot.network.get()).map(|network| network.bytes()).sum()
    }

    /// Begins to synthesize `phonemes` (misaki's alphabet, at most [`MAX_PHONEMES`]; other characters are skipped): computes
    /// everything except the samples, which [`Utterance::next_chunk`] returns.
    ///
    /// # Errors
    /// [`ModelError::InvalidOption`] for an unknown voice or a speed outside its limits, [`ModelError::InvalidInput`] for too many
    /// phonemes or none.
    pub fn begin(
        &self,
        phonemes: &str,
        options: &SpeechOptions,
        cancel: &CancelFlag,
    ) -> Result<Utterance, ModelError> {
        self.begin_with(phonemes, options, None, cancel)
    }

    /// [`Hibari::begin`] with a low latency: the first samples are computed from only the frames they depend on. They differ
    /// slightly from those of [`Hibari::begin`], as their inputs are quantized over a smaller range.
    ///
    /// # Errors
    /// Those of [`Hibari::begin`].
    pub fn begin_low_latency(
        &self,
        phonemes: &str,
        options: &SpeechOptions,
        cancel: &CancelFlag,
    ) -> Result<Utterance, ModelError> {
        self.begin_with(phonemes, options, Some(FIRST_FRAMES), cancel)
    }

    fn begin_with(
        &self,
        phonemes: &str,
        options: &SpeechOptions,
        first_frames: Option<usize>,
        cancel: &CancelFlag,
    ) -> Result<Utterance, ModelError> {
        options.check()?;
        let slot = self.slot(options.voice.as_deref())?;
        let tokens = Tokens::encode(phonemes)?;
        let network = slot.network()?;
        let mut decoded = network.plan(&tokens.ids, options.speed, cancel)?;
        network.decode(&mut decoded, first_frames, cancel)?;
        let stream = Stream::new(options.seed);
        let mut ends = vec![0];
        for duration in &decoded.durations {
            ends.push(ends[ends.len() - 1] + duration * HOP_LENGTH);
        }
        let boundaries = tokens.starts.iter().map(|&start| ends[start]).collect();
        Ok(Utterance { network, vocoder: Arc::clone(&self.vocoder), decoded, stream, boundaries })
    }

    /// Synthesizes all of `phonemes`.
    ///
    /// # Errors
    /// Those of [`Hibari::begin`].
    pub fn synthesize_phonemes(
        &self,
        phonemes: &str,
        options: &SpeechOptions,
        cancel: &CancelFlag,
    ) -> Result<Speech, ModelError> {
        let mut utterance = self.begin(phonemes, options, cancel)?;
        let mut samples = Vec::with_capacity(utterance.samples());
        while let Some(chunk) = utterance.next_chunk(cancel)? {
            samples.extend_from_slice(&chunk);
        }
        Ok(Speech { samples, boundaries: utterance.boundaries })
    }
}

/// Synthesized speech.
#[derive(Clone, Debug, PartialEq)]
pub struct Speech {
    /// Mono samples at [`SAMPLE_RATE`].
    pub samples: Vec<f32>,
    /// As [`Utterance::boundaries`].
    pub boundaries: Vec<usize>,
}

/// An utterance that is being synthesized.
pub struct Utterance {
    network: Arc<Network>,
    vocoder: Arc<Vocoder>,
    decoded: Decoded,
    stream: Stream,
    boundaries: Vec<usize>,
}

impl Utterance {
    /// Total number of samples, at [`SAMPLE_RATE`].
    pub fn samples(&self) -> usize {
        self.decoded.f0_hz.len() * HOP_LENGTH
    }

    /// For each character of the phonemes the sample at which it starts, and one more for the end of the last. Before
    /// the first and after the last is the voice's silence.
    pub fn boundaries(&self) -> &[usize] {
        &self.boundaries
    }

    /// The next samples, 0.6 s or less; `None` at the end.
    ///
    /// # Errors
    /// [`ModelError::Cancelled`].
    pub fn next_chunk(&mut self, cancel: &CancelFlag) -> Result<Option<Vec<f32>>, ModelError> {
        cancel.check()?;
        if self.stream.has_begun() {
            self.network.decode(&mut self.decoded, None, cancel)?;
        }
        Ok(self.stream.next(&self.vocoder, &self.network, &self.decoded))
    }

    /// The network's outputs, for comparison with other implementations.
    pub fn network_outputs(&self) -> NetworkOutputs {
        let mut parts = vec![0.0; self.decoded.f0_hz.len() * PARTS];
        self.network.parts(&self.decoded, 0, &mut parts);
        NetworkOutputs { durations: self.decoded.durations.clone(), f0_hz: self.decoded.f0_hz.clone(), parts }
    }
}

/// Outputs of the acoustic network.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkOutputs {
    /// Length of each token in frames of [`HOP_LENGTH`] samples, the silence at both ends included.
    pub durations: Vec<usize>,
    /// Pitch of each frame.
    pub f0_hz: Vec<f32>,
    /// `[frames, 5, 601]`: lh, theta, ln, lr and phi of each frame's spectrum.
    pub parts: Vec<f32>,
}
