//! Identity of a client, for fair scheduling.

/// A client: jobs with equal ids share the compute time of one client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(pub u64);
