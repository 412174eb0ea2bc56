use super::OutputFormat;

/// Why audio could not be encoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The name of no format.
    #[error("unknown audio format {name:?}: use one of mp3, opus, aac, flac, wav, pcm")]
    UnknownFormat {
        /// What was asked for.
        name: String,
    },
    /// A rate of the samples to encode which this crate does not take.
    #[error("cannot encode samples of {rate_hz} Hz: their rate must lie between 8000 and 192000 Hz")]
    UnsupportedInputRate {
        /// Rate of the samples in Hz.
        rate_hz: u32,
    },
    /// An output rate the format does not have.
    #[error("{format} has no sample rate of {rate_hz} Hz: use {allowed}")]
    UnsupportedRate {
        /// The format.
        format: OutputFormat,
        /// The rate that was asked for in Hz.
        rate_hz: u32,
        /// What may be asked for, as a phrase.
        allowed: String,
    },
    /// A bitrate the format does not have.
    #[error("{format} has no bitrate of {bitrate_bps} bit/s: {allowed}")]
    UnsupportedBitrate {
        /// The format.
        format: OutputFormat,
        /// The bitrate that was asked for.
        bitrate_bps: u32,
        /// What may be asked for, as a phrase.
        allowed: String,
    },
    /// The codec refused: a fault on our side, since its input is conditioned.
    #[error("the {format} encoder failed: {detail}")]
    Codec {
        /// The format.
        format: OutputFormat,
        /// What the codec said.
        detail: String,
    },
}

impl EncodeError {
    pub(super) fn codec(format: OutputFormat, detail: impl std::fmt::Display) -> Self {
        Self::Codec { format, detail: detail.to_string() }
    }
}
