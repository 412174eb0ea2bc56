//! Memory that this process can still use: what the machine has left, and what its control groups allow.

use std::fs;
use std::path::Path;

/// How much, and what limits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Available {
    pub(crate) bytes: u64,
    pub(crate) limited_by: &'static str,
}

/// The smallest limit; `None` if none is known. `root` is `/`, or a folder with other `proc` and `sys`.
pub(crate) fn available(root: &Path) -> Option<Available> {
    let machine = machine(root)
        .map(|bytes| Available { bytes, limited_by: "the machine (MemAvailable of /proc/meminfo)" });
    let groups = groups(root).into_iter();
    let groups = groups
        .map(|bytes| Available { bytes, limited_by: "the limit of the control group (cgroup) it runs in" });
    machine.into_iter().chain(groups).min_by_key(|available| available.bytes)
}

/// See proc_meminfo(5).
fn machine(root: &Path) -> Option<u64> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// What the group of this process and each group above it have left; see cgroups(7). A container sees its own group as
/// the root.
fn groups(root: &Path) -> Vec<u64> {
    let text = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut left = Vec::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (top, group): (_, fn(&Path) -> Option<u64>) = match controllers {
            "" => (root.join("sys/fs/cgroup"), left_of_v2),
            "memory" => (root.join("sys/fs/cgroup/memory"), left_of_v1),
            _ => continue,
        };
        let own = top.join(path.trim_start_matches('/'));
        left.extend(own.ancestors().take_while(|folder| folder.starts_with(&top)).filter_map(group));
    }
    left
}

fn left_of_v2(folder: &Path) -> Option<u64> {
    left(folder, "memory.max", "memory.current", "inactive_file ")
}

fn left_of_v1(folder: &Path) -> Option<u64> {
    left(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ")
}

/// Inactive file pages are included in the usage, though the kernel reclaims them first.
fn left(folder: &Path, limit: &str, used: &str, reclaimable: &str) -> Option<u64> {
    let number = |name: &str| fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    let statistics = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    let reclaimable = statistics.lines().find_map(|line| line.strip_prefix(reclaimable)?.parse::<u64>().ok());
    let used = number(used)?.saturating_sub(reclaimable.unwrap_or(0));
    Some(number(limit)?.saturating_sub(used))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, name: &str, text: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn the_smallest_limit_counts() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        assert_eq!(available(root), None);
        write(root, "proc/meminfo", "MemTotal: 9 kB\nMemAvailable:    4000 kB\n");
        assert_eq!(available(root).unwrap().bytes, 4_096_000);
        write(root, "proc/self/cgroup", "0::/a/b\n");
        write(root, "sys/fs/cgroup/a/b/memory.max", "max\n");
        write(root, "sys/fs/cgroup/a/b/memory.current", "7\n");
        assert_eq!(available(root).unwrap().bytes, 4_096_000, "a group without a limit");
        write(root, "sys/fs/cgroup/a/memory.max", "1000\n");
        write(root, "sys/fs/cgroup/a/memory.current", "900\n");
        write(root, "sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 50\n");
        let Available { bytes, limited_by } = available(root).unwrap();
        assert_eq!(bytes, 150);
        assert!(limited_by.contains("cgroup"));
        write(root, "proc/self/cgroup", "4:memory:/c\n");
        write(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", "90\n");
        write(root, "sys/fs/cgroup/memory/memory.usage_in_bytes", "100\n");
        assert_eq!(available(root).unwrap().bytes, 0);
    }

    #[test]
    fn the_memory_of_this_machine_is_read() {
        assert!(available(Path::new("/")).unwrap().bytes > 0);
    }
}
