use super::OutputFormat;

/// Why audio could not be encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// An unknown format name.
    #[error("unknown audio format {name:?}: use one of mp3, opus, aac, flac, wav, pcm")]
    UnknownFormat {
        /// The requested name.
        name: String,
    },
    /// An unsupported rate of the input samples.
    #[error("cannot encode samples of {rate_hz} Hz: their rate must be between 8000 and 192000 Hz")]
    UnsupportedInputRate {
        /// Rate of the samples in Hz.
        rate_hz: u32,
    },
    /// An output rate that the format does not support.
    #[error("{format} has no sample rate of {rate_hz} Hz: use {allowed}")]
    UnsupportedRate {
        /// The format.
        format: OutputFormat,
        /// The requested rate in Hz.
        rate_hz: u32,
        /// The allowed values, as a phrase.
        allowed: String,
    },
    /// A bitrate that the format does not support.
    #[error("{format} has no bitrate of {bitrate_bps} bit/s: {allowed}")]
    UnsupportedBitrate {
        /// The format.
        format: OutputFormat,
        /// The requested bitrate.
        bitrate_bps: u32,
        /// The allowed values, as a phrase.
        allowed: String,
    },
    /// The codec failed: a bug in this program, as its input is valid.
    #[error("the {format} encoder failed: {detail}")]
    Codec {
        /// The format.
        format: OutputFormat,
        /// The codec's message.
        detail: String,
    },
}

impl EncodeError {
    pub(super) fn codec(format: OutputFormat, detail: impl std::fmt::Display) -> Self {
        Self::Codec { format, detail: detail.to_string() }
    }
}
