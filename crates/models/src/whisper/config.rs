//! Sizes of a Whisper model and the token lists that come with its checkpoint.

/// Everything in which Whisper models differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Mel bands: 80, or 128 from large-v3 on.
    pub n_mels: usize,
    /// Size of the vocabulary, timestamps included: 51864 English-only, 51865 multilingual, 51866 from large-v3 on.
    pub vocab_size: usize,
    /// Width of the residual stream (d_model).
    pub width: usize,
    /// Width of the feed-forward layers.
    pub ffn_width: usize,
    /// Encoder layers.
    pub encoder_layers: usize,
    /// Encoder attention heads.
    pub encoder_heads: usize,
    /// Decoder layers.
    pub decoder_layers: usize,
    /// Decoder attention heads.
    pub decoder_heads: usize,
    /// Encoder positions: 1500 of 20 ms.
    pub audio_positions: usize,
    /// Decoder positions: 448.
    pub text_positions: usize,
    /// Token ids that are never chosen (not speech).
    pub suppress_tokens: Vec<u32>,
    /// Token ids that are not chosen as the first token: blank and end of text.
    pub begin_suppress_tokens: Vec<u32>,
    /// Cross-attention heads that follow the audio: (decoder layer, head). Empty: all heads of the upper half of
    /// the layers, openai-whisper's default.
    pub alignment_heads: Vec<(usize, usize)>,
}

impl Config {
    /// Whether the model was trained on several languages and tasks: all but those with the English-only vocabulary.
    pub fn is_multilingual(&self) -> bool {
        self.vocab_size != ENGLISH_VOCAB_SIZE
    }

    /// Whether error rates were measured with [`EncoderContext::Trimmed`] for models of this size: whisper-tiny.en's and
    /// whisper-base's were, on real weights. The confidence thresholds were chosen on those two; other models decode
    /// the full window unless a request says otherwise.
    ///
    /// [`EncoderContext::Trimmed`]: super::EncoderContext::Trimmed
    pub fn is_measured_trimmed(&self) -> bool {
        const TINY: (usize, usize, usize) = (384, 4, 4);
        const BASE: (usize, usize, usize) = (512, 6, 6);
        let size = (self.width, self.encoder_layers, self.decoder_layers);
        if self.is_multilingual() { size == BASE } else { size == TINY }
    }
}

/// Size of the vocabulary of `.en` models.
const ENGLISH_VOCAB_SIZE: usize = 51864;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_openais_models_tiny_en_and_base_were_measured_trimmed() {
        // Width, encoder and decoder layers.
        let (tiny, base, small) = ((384, 4, 4), (512, 6, 6), (768, 12, 12));
        let (medium, large, turbo) = ((1024, 24, 24), (1280, 32, 32), (1280, 32, 4));
        for (name, (width, encoder_layers, decoder_layers), vocab_size, expected) in [
            ("tiny.en", tiny, 51864, true),
            ("tiny", tiny, 51865, false),
            ("base.en", base, 51864, false),
            ("base", base, 51865, true),
            ("small.en", small, 51864, false),
            ("small", small, 51865, false),
            ("medium.en", medium, 51864, false),
            ("medium", medium, 51865, false),
            ("large-v2", large, 51865, false),
            ("large-v3", large, 51866, false),
            ("large-v3-turbo", turbo, 51866, false),
            ("distil-small.en", (768, 12, 4), 51864, false),
        ] {
            let config = Config {
                n_mels: 80,
                vocab_size,
                width,
                ffn_width: 4 * width,
                encoder_layers,
                encoder_heads: width / 64,
                decoder_layers,
                decoder_heads: width / 64,
                audio_positions: 1500,
                text_positions: 448,
                suppress_tokens: vec![],
                begin_suppress_tokens: vec![],
                alignment_heads: vec![],
            };
            assert_eq!(config.is_measured_trimmed(), expected, "{name}");
        }
    }
}
