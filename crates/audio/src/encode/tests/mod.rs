//! Round trips through FFmpeg and our own decoder, and invalid input.

mod degenerate;
mod ffmpeg;
mod own_decoder;
mod signal;
