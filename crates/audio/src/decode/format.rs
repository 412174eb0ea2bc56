//! Containers of packets, and their demuxers.

use std::io;

use symphonia::core::errors::Error;
use symphonia::core::formats::FormatReader;
use symphonia::core::io::MediaSourceStream;
use symphonia::default::formats;

use super::DecodeError;
use super::source::Section;

/// Containers of packets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Format {
    Adts,
    Caf,
    Matroska,
    Mp4,
    Mpeg,
    Ogg,
}

const BROKEN: [&str; 3] = ["missing moov atom", "missing segment element", "page is not marked as first"];

impl Format {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Adts => "adts",
            Self::Caf => "caf",
            Self::Matroska => "matroska",
            Self::Mp4 => "mp4",
            Self::Mpeg => "mpeg audio",
            Self::Ogg => "ogg",
        }
    }

    pub(super) fn open(self, source: Section) -> Result<Box<dyn FormatReader>, Error> {
        let stream = MediaSourceStream::new(Box::new(source), Default::default());
        let options = Default::default();
        Ok(match self {
            Self::Adts => Box::new(formats::AdtsReader::try_new(stream, options)?),
            Self::Caf => Box::new(formats::CafReader::try_new(stream, options)?),
            Self::Matroska => Box::new(formats::MkvReader::try_new(stream, options)?),
            Self::Mp4 => Box::new(formats::IsoMp4Reader::try_new(stream, options)?),
            Self::Mpeg => Box::new(formats::MpaReader::try_new(stream, options)?),
            Self::Ogg => Box::new(formats::OggReader::try_new(stream, options)?),
        })
    }

    /// Maps an error before any audio.
    pub(super) fn error(self, error: Error) -> DecodeError {
        match error {
            Error::IoError(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                DecodeError::malformed(self.name(), "it ends before the audio begins")
            }
            Error::IoError(error) if error.kind() == io::ErrorKind::Other => {
                DecodeError::malformed(self.name(), error.to_string())
            }
            Error::IoError(error) => DecodeError::Io(error),
            // Symphonia reports these as unsupported, but parts of the file are missing.
            Error::Unsupported(what) if BROKEN.iter().any(|broken| what.ends_with(broken)) => {
                DecodeError::malformed(self.name(), what)
            }
            Error::Unsupported(what) => DecodeError::unsupported(format!("{} file: {what}", self.name())),
            error => DecodeError::malformed(self.name(), error.to_string()),
        }
    }
}
