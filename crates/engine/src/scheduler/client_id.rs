//! Who asks, as far as fairness is concerned.

/// A client: jobs with equal numbers share what one client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientId(pub u64);
