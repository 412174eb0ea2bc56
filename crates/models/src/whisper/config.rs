//! Sizes of a Whisper model and the token lists that come with its checkpoint.

/// Everything that tells one Whisper model from another.
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
    /// Token ids that are not chosen first: blank and end of text.
    pub begin_suppress_tokens: Vec<u32>,
    /// Cross-attention heads that follow the audio: (decoder layer, head). Empty: all heads of the upper half of
    /// the layers, as openai-whisper does where it knows no better.
    pub alignment_heads: Vec<(usize, usize)>,
}

impl Config {
    /// Whether the model was taught languages and tasks: all but those with the English-only vocabulary.
    pub fn is_multilingual(&self) -> bool {
        self.vocab_size != ENGLISH_VOCAB_SIZE
    }
}

impl Config {
    /// Whether the error rates of a model of this size were measured with [`EncoderContext::Trimmed`]: whisper-tiny.en's and
    /// whisper-base's were, on real weights. The thresholds that tell doubtful text were chosen on those two; others are decoded
    /// on the full window unless a request says otherwise.
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
