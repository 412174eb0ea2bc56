//! The one machine, as Xinference's clients see a cluster of it. Sizes are bytes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ModelDescription;

/// Answer of `GET /v1/cluster/auth`, the first call of every Xinference client: whether to send credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuthProbe {
    /// True where requests need a key.
    pub auth: bool,
}

/// Answer of `GET /status`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterStatus {
    /// Seconds since the server started.
    pub uptime: u64,
    /// The machine under its address.
    pub workers: BTreeMap<String, WorkerStatus>,
}

/// One machine of [`ClusterStatus`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerStatus {
    /// Unix seconds of these figures.
    pub update_time: f64,
    /// Always 5: the machine does not lose itself.
    pub failure_remaining_count: u32,
    /// Its devices; `cpu` only.
    pub status: BTreeMap<String, CpuStatus>,
}

/// A processor and its memory.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CpuStatus {
    /// Share of the processors in use since the last look, 0 to 1.
    pub usage: f64,
    /// Logical processors.
    pub total: usize,
    /// Memory in use.
    pub memory_used: u64,
    /// Memory to be had.
    pub memory_available: u64,
    /// Memory.
    pub memory_total: u64,
}

/// One of the two nodes of `GET /v1/cluster/info`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterNode {
    /// `Supervisor` or `Worker`; both are this process.
    pub node_type: String,
    /// Address of the server.
    pub ip_address: String,
    /// Always 0.
    pub gpu_count: u32,
    /// Always 0.
    pub gpu_vram_total: u64,
    /// With `detailed=true`.
    #[serde(flatten)]
    pub details: Option<ClusterNodeDetails>,
}

/// What `detailed=true` adds to a [`ClusterNode`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterNodeDetails {
    /// Always 0.
    pub gpu_vram_available: u64,
    /// Always null.
    pub gpu_utilization: Option<f64>,
    /// Processors that are idle.
    pub cpu_available: f64,
    /// Logical processors.
    pub cpu_count: usize,
    /// Memory in use.
    pub mem_used: u64,
    /// Memory to be had.
    pub mem_available: u64,
    /// Memory.
    pub mem_total: u64,
}

/// Answer of `GET /v1/cluster/version`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterVersion {
    /// Version of the program.
    pub version: String,
    /// The same: releases are identified by their version.
    #[serde(rename = "full-revisionid")]
    pub full_revision_id: String,
}

/// One machine of `GET /v1/workers`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Worker {
    /// Its address.
    #[serde(rename = "work-ip")]
    pub work_ip: String,
    /// Its models by the uid of each replica.
    pub models: BTreeMap<String, ModelDescription>,
}

/// Answer of `GET /v1/supervisor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Supervisor {
    /// Address of the server.
    pub supervisor_ip: String,
}

/// Answer of calls that say no more than that they did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Done {
    /// Always true.
    pub result: bool,
}
