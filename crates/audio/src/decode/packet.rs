//! Types shared by containers and codecs of packets.

/// A packet was damaged or is not supported by its decoder.
pub(super) struct Undecodable;

/// Audio to drop at both ends, in frames of the decoder's output.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Trim {
    /// Frames to drop at the start: the encoder's delay.
    pub(super) skip: u64,
    /// Frames to keep after that.
    pub(super) keep: Option<u64>,
}
