//! Round trips through FFmpeg and our own decoder, and what hostile input does.

mod degenerate;
mod ffmpeg;
mod own_decoder;
mod signal;
