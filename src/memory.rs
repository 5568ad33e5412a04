//! How much memory this process may use, and how its slots share it: three quarters of what its control groups allow, or of what the
//! machine has.
//!
//! Invariant: of all limits on the way up the smallest counts, in both versions of control groups; what cannot be read limits nothing.

use std::fs;
use std::path::{Component, Path, PathBuf};

use batteuse_shared::limits::{MEMORY_PERCENT, SLOT_MEMORY_BYTES_MIN};
use batteuse_shared::spec::{BadBytes, parse_bytes};
use tracing::warn;

/// The memory of a process and what each of its slots has of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Slots there is memory for.
    pub slots: u32,
    /// Bytes of each; none where nobody knows how much there is.
    pub slot_bytes: Option<u64>,
}

impl Budget {
    /// What `wanted` slots share: `given`, or what this process may use. Says so when that is too little for so many.
    pub fn of_process(wanted: u32, given: Option<u64>) -> Self {
        let bytes = given.or_else(|| allowed(Path::new("/")).map(|bytes| bytes / 100 * MEMORY_PERCENT));
        let budget = Self::of(wanted, bytes);
        if budget.slots < wanted {
            let (slots, memory_bytes, slot_bytes_min) = (budget.slots, bytes, SLOT_MEMORY_BYTES_MIN);
            warn!(slots, wanted, memory_bytes, slot_bytes_min, "there is not memory for so many slots: fewer are used");
        }
        budget
    }

    fn of(wanted: u32, bytes: Option<u64>) -> Self {
        let Some(bytes) = bytes else { return Self { slots: wanted, slot_bytes: None } };
        let room = u32::try_from(bytes / SLOT_MEMORY_BYTES_MIN).unwrap_or(u32::MAX);
        let slots = wanted.min(room).max(1);
        Self { slots, slot_bytes: Some(bytes / u64::from(slots)) }
    }
}

/// Why a text is no `--memory`.
#[derive(Debug, thiserror::Error)]
pub enum BadMemory {
    /// It is no number of bytes.
    #[error(transparent)]
    Bytes(#[from] BadBytes),
    /// No slot works with so little.
    #[error("a slot needs {SLOT_MEMORY_BYTES_MIN} bytes (128MiB) at least")]
    TooLittle,
}

/// Reads `--memory`.
pub fn given(text: &str) -> Result<u64, BadMemory> {
    let bytes = parse_bytes(text)?;
    if bytes < SLOT_MEMORY_BYTES_MIN { Err(BadMemory::TooLittle) } else { Ok(bytes) }
}

/// Bytes of memory that this process may use; none where that cannot be read. `root` is the folder that all paths start from.
fn allowed(root: &Path) -> Option<u64> {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let (groups, mounts) = (read("proc/self/cgroup"), read("proc/self/mountinfo"));
    let limits = mounts.lines().filter_map(Mount::read).flat_map(|mount| mount.limits(root, &groups));
    limits.chain(machine_bytes(&read("proc/meminfo"))).min()
}

fn machine_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1 << 10)
}

/// Where control groups that limit memory can be seen.
struct Mount<'a> {
    /// Of which group the place shows what is in it.
    group: &'a str,
    place: &'a str,
    /// Whether there is one tree for all resources.
    unified: bool,
}

impl<'a> Mount<'a> {
    /// A line of `mountinfo`, if it is such a place: `id parent device GROUP PLACE options... - KIND source OPTIONS`.
    fn read(line: &'a str) -> Option<Self> {
        let (head, tail) = line.split_once(" - ")?;
        let (mut head, mut tail) = (head.split(' ').skip(3), tail.split(' '));
        let (group, place, kind, options) = (head.next()?, head.next()?, tail.next()?, tail.nth(1)?);
        let memory = options.split(',').any(|option| option == "memory");
        (kind == "cgroup2" || kind == "cgroup" && memory).then_some(Self { group, place, unified: kind == "cgroup2" })
    }

    /// The limits on the groups that this process is in, by the lines of its `cgroup`: `id:controllers:GROUP`.
    fn limits(&self, root: &Path, groups: &str) -> Vec<u64> {
        let of_kind = |controllers: &str| match self.unified {
            true => controllers.is_empty(),
            false => controllers.split(',').any(|controller| controller == "memory"),
        };
        let group = groups.lines().find_map(|line| {
            let (controllers, group) = line.split_once(':')?.1.split_once(':')?;
            of_kind(controllers).then_some(group)
        });
        // Where the place shows another part of the tree, as in a container, its top is the group.
        let within = group.and_then(|group| Path::new(group).strip_prefix(self.group).ok()).unwrap_or(Path::new(""));
        let top = joined(root, Path::new(self.place));
        let group = joined(&top, within);
        let file = if self.unified { "memory.max" } else { "memory.limit_in_bytes" };
        let limit = |folder: &Path| fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok();
        group.ancestors().take_while(|folder| folder.starts_with(&top)).filter_map(limit).collect()
    }
}

/// `path` below `root`, whatever it starts with, and never above.
fn joined(root: &Path, path: &Path) -> PathBuf {
    root.join(path.components().filter(|part| matches!(part, Component::Normal(_))).collect::<PathBuf>())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// A machine of 8 GiB with these files.
    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [("proc/meminfo", "MemTotal:        8388608 kB\nMemFree: 1 kB\n")].iter().chain(files) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn without_groups_the_machine_limits() {
        assert_eq!(allowed(machine(&[]).path()), Some(8_192 * MIB));
        assert_eq!(allowed(tempfile::tempdir().unwrap().path()), None);
    }

    #[test]
    fn the_smallest_limit_of_one_tree_counts() {
        let files = [
            ("proc/self/cgroup", "0::/kube/pod/worker\n"),
            ("proc/self/mountinfo", "26 23 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"),
            ("sys/fs/cgroup/kube/pod/worker/memory.max", "max\n"),
            ("sys/fs/cgroup/kube/pod/memory.max", "536870912\n"),
            ("sys/fs/cgroup/kube/memory.max", "1073741824\n"),
        ];
        assert_eq!(allowed(machine(&files).path()), Some(512 * MIB));
        assert_eq!(allowed(machine(&files[..3]).path()), Some(8_192 * MIB), "no limit is none");
    }

    #[test]
    fn the_tree_of_memory_counts_where_each_resource_has_its_own() {
        let files = [
            ("proc/self/cgroup", "9:name=systemd:/\n4:cpu,memory:/service/one\n1:cpuset:/\n0::/\n"),
            (
                "proc/self/mountinfo",
                "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n",
            ),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/service/one/memory.limit_in_bytes", "268435456\n"),
            ("sys/fs/cgroup/cpu/service/one/memory.limit_in_bytes", "1\n"),
        ];
        assert_eq!(allowed(machine(&files).path()), Some(256 * MIB));
    }

    #[test]
    fn a_container_that_sees_its_own_part_only_has_its_limit() {
        let mount = "35 31 0:32 /docker/0a1b /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let limit = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "134217728\n");
        for group in ["4:memory:/docker/0a1b\n", "4:memory:/another\n", "4:memory:/../../up\n"] {
            let files = [("proc/self/cgroup", group), ("proc/self/mountinfo", mount), limit];
            assert_eq!(allowed(machine(&files).path()), Some(128 * MIB), "{group}");
        }
    }

    #[test]
    fn slots_share_memory_and_are_fewer_where_there_is_little() {
        let of = |wanted, mib: Option<u64>| {
            let Budget { slots, slot_bytes } = Budget::of(wanted, mib.map(|mib| mib * MIB));
            (slots, slot_bytes.map(|bytes| bytes / MIB))
        };
        assert_eq!(of(4, None), (4, None));
        assert_eq!(of(4, Some(6_144)), (4, Some(1_536)));
        assert_eq!(of(4, Some(400)), (3, Some(133)));
        assert_eq!(of(4, Some(100)), (1, Some(100)), "there is always one");
        assert!(given("127MiB").unwrap_err().to_string().contains("128MiB"));
        assert_eq!(given("1GiB").unwrap(), 1_024 * MIB);
    }
}
