//! Verification: reads a published table again and compares it with its manifest and its report.
//!
//! Invariant: every figure told is recounted from the files, none is copied, but for rows that lie in a table of a database alone, which
//! others may change: what its ledger says is the caller's to compare. Every discrepancy is listed, not the first alone. It does not
//! read the source, repairs nothing and trusts no file to be well formed.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_schema::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};
use batteuse_kernel::digest::RowDigester;
use batteuse_shared::ids::PartitionId;
use batteuse_shared::limits::SOURCE_BYTES_MAX;
use batteuse_shared::manifest::{Manifest, ManifestPart, Success};
use batteuse_shared::report::{Equation, Report};
use batteuse_shared::span::Span;
use batteuse_shared::table::{Checksum, Column, ColumnType, Counts, Digest};
use batteuse_shared::{hive, layout};
use batteuse_store::{Folder, ListError, checksum, hides_rows, tree};
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use crate::encode::{EncodeError, Reader};
use crate::rejects;
use crate::{attempt, folders};

/// Why nothing could be verified.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The output folder cannot be listed.
    #[error("cannot list the output folder {dir}", dir = dir.display())]
    Dir {
        /// Which folder.
        dir: PathBuf,
        /// Why.
        source: ListError,
    },
}

/// What was found to be otherwise than manifest or report say.
#[derive(Debug, thiserror::Error)]
pub enum Discrepancy {
    /// A file is missing or damaged.
    #[error("{file}: {reason}")]
    Unreadable {
        /// Its name.
        file: String,
        /// Why it cannot be read.
        reason: String,
    },
    /// A file is listed under a name that its partition does not give.
    #[error("partition {partition} is listed as {listed:?} and must be named {named:?}")]
    Name {
        /// The partition.
        partition: PartitionId,
        /// Name in the manifest.
        listed: String,
        /// Name by span and attempt.
        named: String,
    },
    /// A partition has rows and no file.
    #[error("partition {partition} is listed with {rows} rows and no file")]
    NoFile {
        /// The partition.
        partition: PartitionId,
        /// Rows in the manifest.
        rows: u64,
    },
    /// A file that readers of the folder would take for a part.
    #[error("{file} is not listed in the manifest, and readers of the folder would read it too")]
    Unlisted {
        /// Its name.
        file: String,
    },
    /// A file of another size.
    #[error("{file} has {found} bytes, listed {listed}")]
    Bytes {
        /// Its name.
        file: String,
        /// In the manifest.
        listed: u64,
        /// In the folder.
        found: u64,
    },
    /// A file with another number of rows.
    #[error("{file} has {found} rows, listed {listed}")]
    Rows {
        /// Its name.
        file: String,
        /// In the manifest.
        listed: u64,
        /// Counted.
        found: u64,
    },
    /// A file with other rows.
    #[error("{file} has rows of digest {found}, listed {listed}")]
    Digest {
        /// Its name.
        file: String,
        /// In the manifest.
        listed: Digest,
        /// Computed.
        found: Digest,
    },
    /// `_SUCCESS` and the manifest do not tell of one table.
    #[error("{file} does not list the files, rows, bytes, digest and inputs that the manifest {manifest} lists", file = layout::SUCCESS)]
    Success {
        /// The manifest's path.
        manifest: String,
    },
    /// A file with other bytes: it is not read any further.
    #[error("{file} has sha256 {found}, listed with {listed}")]
    Sha256 {
        /// Its name.
        file: String,
        /// In the manifest.
        listed: Checksum,
        /// Computed.
        found: Checksum,
    },
    /// A file with other columns; the first that differs.
    #[error("{file}: column {position} is {found}, listed as {listed}")]
    Columns {
        /// Its name.
        file: String,
        /// Of the column, from 1.
        position: usize,
        /// Name and type it must have, `absent` when the file has more columns.
        listed: String,
        /// Name and type in the file, `absent` when it has fewer.
        found: String,
    },
    /// Bytes of the source are in no span or in two (TILES).
    #[error("partition {partition} covers [{start}, {end}) where the span before it ends at {at}", start = span.start, end = span.end)]
    Tiles {
        /// The partition.
        partition: PartitionId,
        /// Its span.
        span: Span,
        /// Where it had to start.
        at: u64,
    },
    /// The spans end before or behind the source's end (TILES).
    #[error("the spans end at {found}, the source at {size}")]
    End {
        /// End of the last span.
        found: u64,
        /// Size of the source.
        size: u64,
    },
    /// The table's rows.
    #[error("{whose} states {stated} rows, the files have {found}")]
    TableRows {
        /// `the manifest` or `the report`.
        whose: &'static str,
        /// Stated.
        stated: u64,
        /// Counted.
        found: u64,
    },
    /// The table's digest.
    #[error("{whose} states the digest {stated}, the files have {found}")]
    TableDigest {
        /// `the manifest` or `the report`.
        whose: &'static str,
        /// Stated.
        stated: Digest,
        /// Computed.
        found: Digest,
    },
    /// The number of rejects.
    #[error("the report states {stated} rejects, {file} has {found}")]
    Rejects {
        /// The file.
        file: String,
        /// Stated.
        stated: u64,
        /// Counted.
        found: u64,
    },
    /// Rejects that are not in source order, or one that is there twice; the first such row.
    #[error("{file} is not in source order: row {row} starts at byte {offset}, the row before it at {before}")]
    RejectsOrder {
        /// The file.
        file: String,
        /// Row, from 1.
        row: u64,
        /// Its byte offset.
        offset: i64,
        /// Byte offset of the row before.
        before: i64,
    },
    /// CONSERVATION, over what was recounted.
    #[error("the equation does not hold: {0}")]
    Equation(String),
}

/// What was recounted, of earlier runs' files too.
#[derive(Debug)]
pub struct Verified {
    /// Parts read.
    pub files: u64,
    /// Their rows.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Digest of the table.
    pub digest: Digest,
    /// Rejects read.
    pub rejects: u64,
    /// CONSERVATION of the last run, with written and rejected records as counted here and the rest as the report states it.
    pub equation: Equation,
    /// What is not as manifest and report say, in order of the manifest.
    pub discrepancies: Vec<Discrepancy>,
}

/// What was recounted of one file.
#[derive(Debug, Default)]
struct Recount {
    files: u64,
    rows: u64,
    bytes: u64,
    digest: Digest,
    discrepancies: Vec<Discrepancy>,
}

impl Recount {
    fn add(&mut self, other: Recount) {
        self.files += other.files;
        self.rows += other.rows;
        self.bytes += other.bytes;
        self.digest = self.digest.plus(other.digest);
        self.discrepancies.extend(other.discrepancies);
    }
}

/// Reads the published table in `dir` again and compares it with `success`, `manifest` and `report`.
///
/// # Errors
/// When `dir` cannot be listed. Whatever is wrong with what lies in it is a [`Discrepancy`].
pub fn verify(
    dir: &Arc<dyn Folder>,
    success: &Success,
    manifest: &Manifest,
    report: &Report,
) -> Result<Verified, VerifyError> {
    let unlisted = unlisted(&**dir, manifest)?;
    let in_table_alone = manifest.postgres.is_some() && manifest.parts.iter().all(|part| part.file.is_none());
    let mut table = match in_table_alone {
        true => Recount { rows: manifest.rows, digest: manifest.digest, ..Recount::default() },
        false => recount_all(dir, &manifest.parts, manifest),
    };
    let mut found = std::mem::take(&mut table.discrepancies);
    let mut whole = Recount::default();
    for share in &manifest.kept {
        whole.add(recount_all(dir, &share.parts, manifest));
    }
    found.append(&mut whole.discrepancies);
    found.extend(unlisted);
    if *success != Success::of(manifest) {
        found.push(Discrepancy::Success { manifest: layout::manifest(&manifest.run) });
    }
    tiles(manifest, report.data_start, &mut found);
    for (whose, rows, digest) in
        [("the manifest", manifest.rows, manifest.digest), ("the report", report.counts.written, report.digest)]
    {
        if rows != table.rows {
            found.push(Discrepancy::TableRows { whose, stated: rows, found: table.rows });
        }
        if digest != table.digest {
            found.push(Discrepancy::TableDigest { whose, stated: digest, found: table.digest });
        }
    }
    let rejects = count_rejects(dir, manifest, report.counts.rejected, &mut found);
    let counts = Counts { written: table.rows, rejected: rejects, ..report.counts };
    let spans = manifest.spans().map(|(_, span)| span.end.saturating_sub(span.start));
    let span_bytes = spans.fold(0, u64::saturating_add).min(SOURCE_BYTES_MAX);
    let equation = Equation::state(&counts, report.data_start, span_bytes, manifest.source.version.bytes);
    if !equation.holds {
        found.push(Discrepancy::Equation(format!("{}; {}", equation.records, equation.bytes)));
    }
    whole.add(table);
    let Recount { files, rows, bytes, digest, .. } = whole;
    Ok(Verified { files, rows, bytes, digest, rejects, equation, discrepancies: found })
}

/// Reads parts again.
fn recount_all(dir: &Arc<dyn Folder>, parts: &[ManifestPart], manifest: &Manifest) -> Recount {
    let mut all = Recount::default();
    let recounted: Vec<_> = parts.par_iter().map(|part| recount(dir, part, manifest)).collect();
    recounted.into_iter().for_each(|part| all.add(part));
    all
}

/// Files of the folder that look like parts and are not listed.
fn unlisted(dir: &dyn Folder, manifest: &Manifest) -> Result<Vec<Discrepancy>, VerifyError> {
    let parts = manifest.kept.iter().flat_map(|share| &share.parts).chain(&manifest.parts);
    let listed: BTreeSet<_> = parts.filter_map(|part| part.file.as_deref()).collect();
    let entries = tree(dir).and_then(|entries| entries.ok_or(ListError::NotAFolder));
    let entries = entries.map_err(|source| VerifyError::Dir { dir: dir.place(""), source })?;
    let strange = entries.into_iter().filter(|entry| hides_rows(entry) && !listed.contains(entry.name.as_str()));
    let extra: BTreeSet<String> = strange.map(|entry| entry.name).collect();
    Ok(extra.into_iter().map(|file| Discrepancy::Unlisted { file }).collect())
}

/// Whether the spans that are not empty follow each other from the data's start to the source's end.
fn tiles(manifest: &Manifest, data_start: u64, found: &mut Vec<Discrepancy>) {
    let mut at = data_start;
    for (partition, span) in manifest.spans().filter(|(_, span)| !span.is_empty()) {
        if span.start != at || span.end < at {
            found.push(Discrepancy::Tiles { partition, span, at });
        }
        at = span.end;
    }
    let size = manifest.source.version.bytes;
    if at != size {
        found.push(Discrepancy::End { found: at, size });
    }
}

/// Reads one part again.
fn recount(dir: &Arc<dyn Folder>, part: &ManifestPart, manifest: &Manifest) -> Recount {
    let mut recount = Recount::default();
    let Some(file) = &part.file else {
        if part.rows > 0 || part.digest != Digest::default() {
            recount.discrepancies.push(Discrepancy::NoFile { partition: part.partition, rows: part.rows });
        }
        return recount;
    };
    let named = layout::part_in(&hive::folder(&manifest.partition_by, &part.values), part.span.start, part.attempt);
    if *file != named {
        let wrong = Discrepancy::Name { partition: part.partition, listed: file.clone(), named };
        recount.discrepancies.push(wrong);
        return recount;
    }
    let unreadable_for = |reason| Discrepancy::Unreadable { file: file.clone(), reason };
    match dir.size(file) {
        Ok(Some(bytes)) => recount.bytes = bytes,
        Ok(None) => {
            recount.discrepancies.push(unreadable_for("No such file".to_owned()));
            return recount;
        }
        Err(error) => {
            recount.discrepancies.push(unreadable_for(error.to_string()));
            return recount;
        }
    }
    recount.files = 1;
    if recount.bytes != part.bytes {
        let wrong = Discrepancy::Bytes { file: file.clone(), listed: part.bytes, found: recount.bytes };
        recount.discrepancies.push(wrong);
    }
    match checksum(&**dir, file, recount.bytes) {
        Ok(found) if Some(found) == part.sha256 => {}
        Ok(found) => {
            let listed = part.sha256.unwrap_or_default();
            recount.discrepancies.push(Discrepancy::Sha256 { file: file.clone(), listed, found });
            return recount;
        }
        Err(error) => {
            recount.discrepancies.push(unreadable_for(error.to_string()));
            return recount;
        }
    }
    if let Err(error) = recount_rows(dir, file, (part, manifest), &mut recount) {
        recount.discrepancies.push(unreadable(file, &error));
        return recount;
    }
    if recount.rows != part.rows {
        let wrong = Discrepancy::Rows { file: file.clone(), listed: part.rows, found: recount.rows };
        recount.discrepancies.push(wrong);
    }
    if recount.digest != part.digest {
        let wrong = Discrepancy::Digest { file: file.clone(), listed: part.digest, found: recount.digest };
        recount.discrepancies.push(wrong);
    }
    recount
}

fn recount_rows(
    dir: &Arc<dyn Folder>,
    file: &str,
    (part, manifest): (&ManifestPart, &Manifest),
    recount: &mut Recount,
) -> Result<(), EncodeError> {
    let reader = Reader::open(dir, file)?;
    let by = &manifest.partition_by;
    let field = |column: &Column| Field::new(&column.name, data_type(column.ctype), true);
    let listed: Vec<_> = manifest.columns.iter().filter(|column| !by.contains(&column.name)).map(field).collect();
    recount.discrepancies.extend(differs(file, &listed.into(), reader.fields()));
    let mut digester = None;
    for batch in reader {
        let batch: RecordBatch = batch?;
        recount.rows += batch.num_rows() as u64;
        // Columns that differ are told already, and so is it if no such rows can be.
        let Some(batch) = whole(batch, part, manifest) else { continue };
        if digester.is_none() {
            // A type without canonical form is no column's type, so the columns differ and that is said already.
            digester = RowDigester::new(batch.schema_ref()).ok();
        }
        if let Some(digester) = &mut digester {
            recount.digest = recount.digest.plus(digester.add(&batch));
        }
    }
    Ok(())
}

/// Rows of a file with the columns that its folder tells put back; none when there are no such columns.
fn whole(batch: RecordBatch, part: &ManifestPart, manifest: &Manifest) -> Option<RecordBatch> {
    let by = &manifest.partition_by;
    if by.is_empty() {
        return Some(batch);
    }
    let mut in_file = std::iter::zip(batch.schema_ref().fields(), batch.columns());
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for column in &manifest.columns {
        let (field, array) = match by.iter().position(|name| *name == column.name) {
            Some(at) => {
                let value = part.values.get(at)?.as_deref();
                let array = folders::constant(column.ctype, value, batch.num_rows())?;
                (Arc::new(Field::new(&column.name, array.data_type().clone(), true)), array)
            }
            None => in_file.next().map(|(field, array)| (field.clone(), array.clone()))?,
        };
        fields.push(field);
        columns.push(array);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).ok()
}

/// Counts the rejects, whose byte offsets must rise from row to row.
fn count_rejects(dir: &Arc<dyn Folder>, manifest: &Manifest, stated: u64, discrepancies: &mut Vec<Discrepancy>) -> u64 {
    let file = layout::rejects(&manifest.run);
    let mut found = 0;
    // Nothing vouches for these bytes, and the reader panics on some damages.
    let read = catch_unwind(AssertUnwindSafe(|| read_rejects(dir, &file, &mut found, discrepancies)));
    match read {
        Ok(Ok(())) => {}
        Ok(Err(error)) => discrepancies.push(unreadable(&file, &error)),
        Err(_) => {
            let reason = "it is damaged so that it cannot be decoded".to_owned();
            discrepancies.push(Discrepancy::Unreadable { file: file.clone(), reason });
        }
    }
    if found != stated {
        discrepancies.push(Discrepancy::Rejects { file, stated, found });
    }
    found
}

fn read_rejects(
    dir: &Arc<dyn Folder>,
    file: &str,
    found: &mut u64,
    discrepancies: &mut Vec<Discrepancy>,
) -> Result<(), EncodeError> {
    let reader = Reader::open(dir, file)?;
    if let Some(wrong) = differs(file, rejects::schema().fields(), reader.fields()) {
        discrepancies.push(wrong);
        return Ok(());
    }
    let (mut before, mut sorted) = (-1, true);
    for batch in reader {
        let batch = batch?;
        for &offset in batch.column(rejects::BYTE_OFFSET).as_primitive::<Int64Type>().values() {
            *found += 1;
            if offset <= before && sorted {
                let file = file.to_owned();
                discrepancies.push(Discrepancy::RejectsOrder { file, row: *found, offset, before });
                sorted = false;
            }
            before = offset;
        }
    }
    Ok(())
}

fn unreadable(file: &str, error: &EncodeError) -> Discrepancy {
    Discrepancy::Unreadable { file: file.to_owned(), reason: attempt::in_one_line(error) }
}

/// The first column that differs.
fn differs(file: &str, listed: &Fields, found: &Fields) -> Option<Discrepancy> {
    let show = |field: Option<&FieldRef>| match field {
        None => "absent".to_owned(),
        Some(field) => {
            let nullable = if field.is_nullable() { "" } else { " not null" };
            format!("{:?} {}{nullable}", field.name(), field.data_type())
        }
    };
    let mut pairs = (0..listed.len().max(found.len())).map(|at| (at, show(listed.get(at)), show(found.get(at))));
    let (at, listed, found) = pairs.find(|(_, listed, found)| listed != found)?;
    Some(Discrepancy::Columns { file: file.to_owned(), position: at + 1, listed, found })
}

/// How a column of this type is stored: said here a second time, so that a change of the decoder is noticed.
fn data_type(ctype: ColumnType) -> DataType {
    match ctype {
        ColumnType::Boolean => DataType::Boolean,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Float64 => DataType::Float64,
        ColumnType::Decimal { precision, scale } => DataType::Decimal128(precision, scale as i8),
        ColumnType::Date => DataType::Date32,
        ColumnType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        ColumnType::TimestampUtc => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnType::Text => DataType::Utf8,
    }
}

#[cfg(test)]
mod tests;
