//! Whisper's vocabulary: byte-level BPE and the special tokens behind it.

/// Vocabulary of one Whisper model.
#[derive(Clone, Debug)]
pub struct WhisperTokenizer {}
