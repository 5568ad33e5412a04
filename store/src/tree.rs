//! What lies in a folder whose files may lie in folders by the values of columns (`year=2024/part-...`).
//!
//! Invariants: every file that a reader of such a table would find is told, with its path; other folders are told by their names and
//! not looked into. Links are not followed. It is bounded: in depth by the columns that a table may have folders of, in number by the
//! files that a table may have.

use std::io;

use batteuse_shared::hive;
use batteuse_shared::limits::TABLE_FILES_MAX;

use crate::{Entry, Folder, Kind, ListError};

/// Most files that are told: those of a table, and those of one run more.
pub(crate) const ENTRIES_MAX: usize = 2 * TABLE_FILES_MAX;

/// All that lies in `dir`; none when it does not exist. What lies in a folder whose name has an equals sign is told in its place, by
/// its path; such a folder itself where it is empty, or lies deeper than any of ours.
///
/// # Errors
/// When something cannot be listed, or holds more than any table has.
pub fn tree(dir: &dyn Folder) -> Result<Option<Vec<Entry>>, ListError> {
    let Some(entries) = dir.list("")? else { return Ok(None) };
    let (folders, mut all): (Vec<_>, Vec<_>) = entries.into_iter().partition(is_value);
    if !folders.is_empty() {
        let names: Vec<String> = folders.into_iter().map(|folder| folder.name).collect();
        all.extend(dir.below(&names)?);
    }
    Ok(Some(all))
}

/// Whether a folder may be one by the value of a column.
pub(crate) fn is_value(entry: &Entry) -> bool {
    entry.kind == Kind::Folder && entry.name.rsplit('/').next().is_some_and(|name| name.contains('='))
}

/// Whether a reader of the table may find rows in what is none of our files, and in what lies behind it and is not told.
#[must_use]
pub fn hides_rows(entry: &Entry) -> bool {
    let above = entry.name.rsplit_once('/').map_or("", |(above, _)| above);
    match entry.kind {
        _ if entry.name.ends_with(".parquet") => true,
        Kind::File => false,
        // Left empty by a crash, where it is one of ours.
        Kind::Folder => !above.is_empty() && hive::split(&entry.name).is_none(),
        Kind::Other => !above.is_empty() || entry.name.contains('='),
    }
}

/// Refuses to tell more than any table has.
pub(crate) fn bounded(entries: usize) -> Result<(), ListError> {
    if entries <= ENTRIES_MAX {
        return Ok(());
    }
    Err(ListError::Io(io::Error::other(format!(
        "more than {ENTRIES_MAX} files lie in its folders, more than a table has"
    ))))
}
