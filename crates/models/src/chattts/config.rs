//! Sizes of the language model: `asset/gpt/config.json`, completed from the shapes of tensors.

use mynah_core::ModelError;
use serde::Deserialize;

use super::weights::Reader;

/// Fields of the configuration file. The older layout has no such file; the defaults are the published model's.
#[derive(Debug, Deserialize)]
#[serde(default)]
pub(super) struct Settings {
    hidden_size: usize,
    num_attention_heads: usize,
    num_hidden_layers: usize,
    num_key_value_heads: Option<usize>,
    rms_norm_eps: f32,
    rope_theta: f64,
    rope_scaling: Option<serde_json::Value>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            hidden_size: 768,
            num_attention_heads: 12,
            num_hidden_layers: 20,
            num_key_value_heads: None,
            rms_norm_eps: 1e-6,
            rope_theta: 10_000.0,
            rope_scaling: None,
        }
    }
}

/// Sizes of the language model.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Width of a hidden state.
    pub width: usize,
    /// Width of a feed-forward block's hidden layer.
    pub ffn_width: usize,
    /// Layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Number of text tokens.
    pub text_tokens: usize,
    /// Codes per codebook, including the stop code.
    pub audio_tokens: usize,
    /// Codebooks.
    pub codebooks: usize,
    /// Added to mean squares.
    pub norm_epsilon: f32,
    /// Base of the rotary embedding's angles.
    pub rope_theta: f64,
}

impl Config {
    pub(super) fn new(settings: &Settings, gpt: &Reader<'_>, embed: &Reader<'_>) -> Result<Self, ModelError> {
        let [text_tokens, width] = embed.shape("emb_text.weight")?;
        let [audio_tokens, _] = embed.shape("emb_code.0.weight")?;
        let [ffn_width, _] = gpt.shape("layers.0.mlp.gate_proj.weight")?;
        let codebooks = embed.count("emb_code.");
        let layers = settings.num_hidden_layers;
        let heads = settings.num_attention_heads;
        let refuse = |what: String| Err(ModelError::Unsupported(format!("this ChatTTS checkpoint {what}")));
        if settings.hidden_size != width {
            return refuse(format!(
                "has embeddings of {width} numbers, its configuration says {}",
                settings.hidden_size
            ));
        }
        // Voices are drawn in blocks of sixteen numbers (random.rs).
        if width == 0 || !width.is_multiple_of(16) {
            return refuse(format!("has embeddings of {width} numbers, which is no multiple of 16"));
        }
        if layers == 0 || gpt.count("layers.") != layers {
            return refuse(format!("has {} layers, its configuration says {layers}", gpt.count("layers.")));
        }
        if heads == 0 || !width.is_multiple_of(2 * heads) {
            return refuse(format!("has {heads} heads for states of {width} numbers"));
        }
        if settings.num_key_value_heads.is_some_and(|n| n != heads) {
            return refuse("shares keys between heads, which is not known of ChatTTS".into());
        }
        if settings.rope_scaling.as_ref().is_some_and(|scaling| !scaling.is_null()) {
            return refuse("scales its rotary embedding, which is not known of ChatTTS".into());
        }
        if codebooks != 4 || audio_tokens < 626 {
            return refuse(format!("has {codebooks} codebooks of {audio_tokens} codes, not 4 of 626"));
        }
        Ok(Self {
            width,
            ffn_width,
            layers,
            heads,
            text_tokens,
            audio_tokens,
            codebooks,
            norm_epsilon: settings.rms_norm_eps,
            rope_theta: settings.rope_theta,
        })
    }

    /// The code that ends speech.
    pub fn stop_code(&self) -> u32 {
        self.audio_tokens as u32 - 1
    }
}
