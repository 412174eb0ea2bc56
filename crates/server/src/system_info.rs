//! Processors and memory of this machine, as Linux reports them; 0 elsewhere.

use std::fs;
use std::sync::Mutex;
use std::thread::available_parallelism;

use mynah_api::CpuStatus;

/// Busy and total time of the CPUs, in ticks since boot.
#[derive(Clone, Copy, Default)]
struct Ticks {
    worked: u64,
    all: u64,
}

/// The current state of the machine.
pub(crate) fn look() -> CpuStatus {
    static LAST: Mutex<Ticks> = Mutex::new(Ticks { worked: 0, all: 0 });
    let now = fs::read_to_string("/proc/stat").ok().and_then(|text| ticks(&text)).unwrap_or_default();
    let mut last = LAST.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let all = now.all.saturating_sub(last.all).max(1);
    let usage = now.worked.saturating_sub(last.worked) as f64 / all as f64;
    *last = now;
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory_total = memory_bytes(&memory, "MemTotal:");
    let memory_available = memory_bytes(&memory, "MemAvailable:");
    CpuStatus {
        usage: usage.clamp(0.0, 1.0),
        total: available_parallelism().map_or(1, std::num::NonZero::get),
        memory_used: memory_total.saturating_sub(memory_available),
        memory_available,
        memory_total,
    }
}

/// The first line of `/proc/stat`: user, nice, system, idle, iowait, and more.
fn ticks(stat: &str) -> Option<Ticks> {
    let fields: Vec<u64> =
        stat.lines().next()?.split_whitespace().skip(1).map(str::parse).collect::<Result<_, _>>().ok()?;
    let idle = fields.get(3)? + fields.get(4).unwrap_or(&0);
    let all: u64 = fields.iter().sum();
    Some(Ticks { worked: all.checked_sub(idle)?, all })
}

/// A line of `/proc/meminfo`, which counts in KiB.
fn memory_bytes(meminfo: &str, name: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name));
    let kib: Option<u64> = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    kib.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_files_are_parsed() {
        let ticks = ticks("cpu  10 1 20 60 9 0 0 0 0 0\ncpu0 1 1 1 1\n").unwrap();
        assert_eq!((ticks.worked, ticks.all), (31, 100));
        assert_eq!(memory_bytes("MemTotal:       2 kB\nMemAvailable:   1 kB\n", "MemAvailable:"), 1024);
        assert_eq!(memory_bytes("", "MemTotal:"), 0);
    }
}
