//! Identity of a client, for fair scheduling.

/// A client: jobs with equal numbers share what one client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(pub u64);
