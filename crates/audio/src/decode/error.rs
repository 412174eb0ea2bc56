use std::fmt;
use std::io;

/// Formats decoded without external programs, for error messages.
pub const SUPPORTED_FORMATS: &str = "wav (PCM, float, mu-law, A-law, ADPCM; RF64, BW64, Wave64), mp3, mp2, aac, m4a, mp4, mov, flac, ogg, \
     opus, webm, mkv, mka, aiff, aifc, au, caf";

/// Why a recording could not be decoded.
///
/// Each text says what to do. All except [`DecodeError::Io`], [`DecodeError::NoMemory`] and [`DecodeError::Cancelled`] are caused by
/// the file: sending it again will not help.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The container or the codec's stream is too damaged to decode.
    #[error("the {format} data is broken: {detail}; check that the file plays, or export it again")]
    Malformed {
        /// Name of the container or codec.
        format: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// The content is not audio, or is audio in an unsupported format.
    #[error("{what}; supported are {SUPPORTED_FORMATS}")]
    Unsupported {
        /// What was detected and why it was refused.
        what: String,
    },
    /// A limit of [`DecodeLimits`](super::DecodeLimits) is exceeded.
    #[error("the audio is over the limit of {limit}; send a shorter or smaller file, or raise the limit")]
    TooLarge {
        /// The limit that was hit.
        limit: Limit,
    },
    /// The file appears intact, but has no audio.
    #[error("there is no audio in the file: {detail}")]
    NoAudio {
        /// What the file has instead.
        detail: String,
    },
    /// [`DecodeHooks::reserve`](super::DecodeHooks::reserve) refused memory for the samples.
    #[error("there is not enough memory for the audio")]
    NoMemory,
    /// The caller asked to stop.
    #[error("decoding was cancelled")]
    Cancelled,
    /// The bytes could not be read.
    #[error("the audio could not be read: {0}")]
    Io(#[from] io::Error),
}

impl DecodeError {
    pub(super) fn malformed(format: &'static str, detail: impl Into<String>) -> Self {
        Self::Malformed { format, detail: detail.into() }
    }

    pub(super) fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported { what: what.into() }
    }

    pub(super) fn no_audio(detail: impl Into<String>) -> Self {
        Self::NoAudio { detail: detail.into() }
    }
}

/// A limit that was hit, with its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// Size of the file in bytes.
    Bytes(u64),
    /// Length of the audio in seconds.
    Duration(f64),
    /// Number of channels.
    Channels(u16),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{bytes} bytes"),
            Self::Duration(seconds) => write!(f, "{seconds} seconds"),
            Self::Channels(channels) => write!(f, "{channels} channels"),
        }
    }
}
