//! The engine through its public interface: downloads from a stand-in hub, models on disk, jobs on a stand-in model.

mod chattts;
mod corpus;
mod download;
mod families;
mod faults;
mod jobs;
mod lifecycle;
mod on_disk;
mod signal;
mod speech;
