//! Precision and device of a model.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Precision of a model's weights at run time, as in CTranslate2's `compute_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ComputeType {
    /// The fastest type whose error rate is within 0.2 points of `f32`'s; on a CPU, `int8`.
    #[default]
    Auto,
    /// 32-bit floats throughout.
    F32,
    /// Weights stored as 16-bit floats, arithmetic in 32 bits.
    F16,
    /// Weights as integers with a scale per row: 8 bits for layers bound by memory, up to 16 for layers bound by
    /// arithmetic.
    Int8,
}

impl ComputeType {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Auto, Self::F32, Self::F16, Self::Int8];

    /// The name on the command line and in requests.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
        }
    }

    /// Minimum bytes per parameter in memory.
    pub fn min_bytes_per_parameter(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 => 2,
            Self::Auto | Self::Int8 => 1,
        }
    }
}

impl fmt::Display for ComputeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A name that is not one of [`ComputeType::ALL`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown compute type {0:?}; use auto, f32, f16 or int8")]
pub struct UnknownComputeType(String);

impl FromStr for ComputeType {
    type Err = UnknownComputeType;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|known| known.as_str() == name);
        found.ok_or_else(|| UnknownComputeType(name.chars().take(80).collect()))
    }
}

/// The device of a model. Every device has a scheduler and a memory budget of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum Device {
    /// The processor's cores, used by one pool of threads.
    #[default]
    Cpu,
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for compute in ComputeType::ALL {
            assert_eq!(compute.to_string().parse(), Ok(compute));
        }
        assert!("int4".parse::<ComputeType>().is_err());
    }
}
