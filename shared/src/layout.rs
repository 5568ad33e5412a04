//! Where things lie: every path of an output folder and of a state folder, relative, with `/`.
//!
//! Invariant: nothing but published parts is ever named `*.parquet` outside `_batteuse`, and part names of one folder sort in source
//! order.

use crate::hive;
use crate::ids::{AttemptId, PartitionId, RunId};

/// The folder of the engine's own files inside an output folder.
pub const ENGINE_DIR: &str = "_batteuse";
/// Written last by publishing; its presence means that the table is complete.
pub const SUCCESS: &str = "_SUCCESS";
/// State folder of embedded runs, inside the output folder.
pub const EMBEDDED_STATE: &str = "_batteuse/state";
/// Claims of an output folder: slots, the last one tells whose the folder is.
pub const CLAIMS: &str = "_batteuse/claims";

/// Where probes of an object store try what it does.
pub const DOCTOR: &str = "_batteuse/doctor";
/// Folder of the runs' own folders inside an output folder.
pub const RUNS_DIR: &str = "_batteuse/runs";

/// Folder of one run inside its output folder.
#[must_use]
pub fn run_dir(run: &RunId) -> String {
    format!("{RUNS_DIR}/{run}")
}

/// Staging folder of one run inside its output folder.
#[must_use]
pub fn staging_dir(run: &RunId) -> String {
    format!("{ENGINE_DIR}/runs/{run}/staging")
}

/// The run's manifest.
#[must_use]
pub fn manifest(run: &RunId) -> String {
    format!("{}/manifest.json", run_dir(run))
}

/// The run's report.
#[must_use]
pub fn report(run: &RunId) -> String {
    format!("{}/report.json", run_dir(run))
}

/// The run's rejects.
#[must_use]
pub fn rejects(run: &RunId) -> String {
    format!("{}/rejects.parquet", run_dir(run))
}

/// Name of an attempt's staged part, the `nth` of it from 0, inside the staging folder.
#[must_use]
pub fn staged_part(partition: PartitionId, attempt: AttemptId, nth: usize) -> String {
    format!("{:07}-{attempt}-{nth:04}.part.tmp", partition.0)
}

/// Name of an attempt's staged rejects, inside the staging folder.
#[must_use]
pub fn staged_rejects(partition: PartitionId, attempt: AttemptId) -> String {
    format!("{:07}-{attempt}.rejects.tmp", partition.0)
}

/// Name of the finish task's staged rejects, inside the staging folder.
#[must_use]
pub fn staged_finish(attempt: AttemptId) -> String {
    format!("finish-{attempt}.rejects.tmp")
}

/// Name of the file by which a worker proves that it sees the staging folder; it holds the run's nonce.
pub const STAGING_NONCE: &str = "nonce";

/// Name of a published part: the span's start, then the attempt, so that names sort in source order.
#[must_use]
pub fn part(span_start: u64, attempt: AttemptId) -> String {
    format!("part-{span_start:016x}-{attempt}.parquet")
}

/// Path of a published part in `folder` of the output folder, as [`crate::hive::folder`] names it; empty where there are none.
#[must_use]
pub fn part_in(folder: &str, span_start: u64, attempt: AttemptId) -> String {
    let name = part(span_start, attempt);
    if folder.is_empty() { name } else { format!("{folder}/{name}") }
}

/// Whether `path` is that of a published part in the output folder, as [`part_in`] has it.
#[must_use]
pub fn is_part(path: &str) -> bool {
    let (folder, name) = path.rsplit_once('/').map_or((None, path), |(folder, name)| (Some(folder), name));
    let ids = name.strip_prefix("part-").and_then(|rest| rest.strip_suffix(".parquet")?.split_once('-'));
    let hex = |id: &str| id.len() == 16 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let named = ids.is_some_and(|(start, attempt)| hex(start) && hex(attempt));
    named && folder.is_none_or(|folder| hive::split(folder).is_some())
}

/// File of a state folder that says which coordinator leads.
pub const LEADER: &str = "leader.json";

/// Folder of a run's journal inside a state folder.
#[must_use]
pub fn journal_dir(run: &RunId) -> String {
    format!("runs/{run}/journal")
}

/// Name of a journal (or claim) slot inside its folder.
#[must_use]
pub fn slot(seq: u64) -> String {
    format!("{seq:020}")
}

/// Beside a table of a database that is an output: which runs were published into it.
pub const LEDGER: &str = "batteuse_ledger";

/// What the names of all staging tables of a run begin with: `nonce` is what its staging folder's file holds.
#[must_use]
pub fn staging_tables(nonce: &str) -> String {
    let nonce: String = nonce.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
    format!("batteuse_{nonce}_")
}

/// Name of an attempt's staging table in a database, beside the table it is for. At most 63 bytes.
#[must_use]
pub fn staging_table(nonce: &str, attempt: AttemptId) -> String {
    format!("{}{attempt}", staging_tables(nonce))
}

/// In a staging table: the number of a row, in source order from 0.
pub const ROW_COLUMN: &str = "batteuse_row";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Epoch;

    #[test]
    fn parts_sort_in_source_order() {
        let late = part(0x1_0000_0000, AttemptId::new(Epoch(1), 2));
        let early = part(0xffff_ffff, AttemptId::new(Epoch(9), 9));
        assert!(early < late, "{early} {late}");
    }

    #[test]
    fn parts_are_known_by_their_names_in_their_folders() {
        let attempt = AttemptId::new(Epoch(1), 2);
        for folder in ["", "a=1", "a=1/b=x%2Fy", "a=__HIVE_DEFAULT_PARTITION__"] {
            assert!(is_part(&part_in(folder, 7, attempt)), "{folder}");
        }
        for folder in ["a", "a=", "a=1/b", "../a=1", "_batteuse", "a=1/", "/"] {
            assert!(!is_part(&part_in(folder, 7, attempt)), "{folder}");
        }
        for name in ["part-1.parquet", "", "a=1", "a=1/x.parquet"] {
            assert!(!is_part(name), "{name}");
        }
    }

    #[test]
    fn the_names_of_staging_tables_are_short() {
        let name = staging_table("67e55044-10b1-426f-9247-bb680e5fe0c8", AttemptId::new(Epoch(1), 2));
        assert_eq!(name, "batteuse_67e5504410b1426f9247bb680e5fe0c8_0000000100000002");
        assert!(name.len() <= crate::limits::TABLE_NAME_BYTES_MAX);
    }
}
