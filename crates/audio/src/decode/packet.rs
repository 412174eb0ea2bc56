//! What containers and codecs say of packets.

/// A packet was damaged, or of a kind its decoder does not know.
pub(super) struct Undecodable;

/// Sound to leave out at the ends, in frames of the decoder's output.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Trim {
    /// Frames to drop first: what the encoder put before the signal.
    pub(super) skip: u64,
    /// Frames to keep after that.
    pub(super) keep: Option<u64>,
}
