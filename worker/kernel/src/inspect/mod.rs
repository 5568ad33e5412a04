//! Inspection: from samples of a source to its dialect, encoding, header and a guess of the types.
//!
//! Invariant: pure. What it wants is a function of the source's size (and, for a long preamble or header, of the head);
//! what it finds is a function of the samples and the spec, so it is the same for every partitioning. Types are a guess
//! that settling corrects; dialect, encoding and header are decided here. It reads nothing itself.
//!
//! The head is decided first (BOM, skipped lines, where the first record starts), then encoding, delimiter and quote
//! from all samples together, then the header, then decimal mark and types.

mod container;
mod dialect;
mod encoding;
mod evidence;
mod header;
mod preamble;
mod refusal;
#[cfg(test)]
mod tests;
mod types;

use batteuse_shared::limits;
use batteuse_shared::span::Span;
use batteuse_shared::spec::{Columns, Csv, Dialect};
use batteuse_shared::task::{Inspected, Measured};

pub use container::Container;
pub use refusal::{Emptiness, Names, Reading, Refusal};

/// Bytes of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Where they lie.
    pub span: Span,
    /// As many as the span is long.
    pub bytes: Vec<u8>,
}

/// What inspection came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Preamble or header reach beyond the head: call again with a first sample of `[0, bytes)`, longer than before.
    NeedsHead {
        /// Bytes of the head wanted, at most the source's size and
        /// [`limits::PREAMBLE_BYTES_MAX`] + [`limits::RECORD_BYTES_MAX`] + 1.
        bytes: u64,
    },
    /// Everything is found.
    Inspected(Box<Inspected>),
}

/// Why a step of inspection ended early.
#[derive(Debug)]
enum Stop {
    NeedsHead(u64),
    Refused(Refusal),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// A run of sampled bytes after the preamble.
#[derive(Debug, Clone, Copy)]
struct Region<'a> {
    bytes: &'a [u8],
    /// Absolute offset of the first byte.
    offset: u64,
    /// Whether a record starts at the first byte: only in the head.
    head: bool,
    /// Whether the source ends with the last byte.
    last: bool,
}

/// What to read of a source of `source_bytes` bytes before the first call of [`inspect`]: sorted, disjoint.
///
/// The whole of a small source; of a large one [`limits::SAMPLE_PLACES`] places of [`limits::SAMPLE_BYTES`], spread
/// evenly, the head and the tail among them.
#[must_use]
pub fn wants(source_bytes: u64) -> Vec<Span> {
    let (places, bytes) = (limits::SAMPLE_PLACES, limits::SAMPLE_BYTES);
    if source_bytes == 0 {
        return Vec::new();
    }
    if source_bytes <= places * bytes {
        return vec![Span::new(0, source_bytes)];
    }
    let room = u128::from(source_bytes - bytes);
    let start = |place: u64| (room * u128::from(place) / u128::from(places - 1)) as u64;
    (0..places).map(|place| Span::new(start(place), start(place) + bytes)).collect()
}

/// Inspects a source from `samples`: those that [`wants`] names, the first one longer where a verdict asked for it.
///
/// # Errors
/// When the source cannot be read as the spec asks, or cannot be understood without being told more.
pub fn inspect(source_bytes: u64, csv: &Csv, columns: &Columns, samples: &[Sample]) -> Result<Verdict, Refusal> {
    match inspected(source_bytes, csv, columns, samples) {
        Ok(found) => Ok(Verdict::Inspected(Box::new(found))),
        Err(Stop::NeedsHead(bytes)) => Ok(Verdict::NeedsHead { bytes: bytes.min(source_bytes) }),
        Err(Stop::Refused(refusal)) => Err(refusal),
    }
}

fn inspected(source_bytes: u64, csv: &Csv, columns: &Columns, samples: &[Sample]) -> Result<Inspected, Stop> {
    let head = samples.first().map_or(&[][..], |sample| &sample.bytes);
    container::refuse(head, csv)?;
    let preamble = preamble::locate(head, source_bytes, csv)?;
    let regions = regions(source_bytes, samples, preamble.first);
    let encoding = csv.given_encoding().unwrap_or_else(|| encoding::detect(&regions, preamble.bom));
    let settled = dialect::settle(csv, encoding, &regions)?;
    let header = header::read(csv, columns, &settled, &regions[0])?;
    let evidence = types::gather(csv, &settled, &header.columns, &regions);
    let decimal = csv
        .given_decimal()
        .unwrap_or_else(|| types::decimal(&settled.trial.dialect.delimiter, &header.columns, &evidence));
    let dialect = Dialect { decimal, ..settled.trial.dialect };
    dialect.check().map_err(Refusal::DialectRefused)?;
    let data_start = if csv.header { header.end } else { preamble.body as u64 };
    Ok(Inspected {
        measured: Measured::default(),
        partition_bytes: None,
        start: settled.trial.automaton.record_start(),
        data_start,
        preamble_lines: preamble::lines(&head[..data_start as usize]),
        columns: types::apply(header.columns, &evidence, decimal),
        dialect,
    })
}

/// The sampled bytes from the first record on, the head first. Samples that a longer head covers are cut to the rest.
fn regions(source_bytes: u64, samples: &[Sample], first: usize) -> Vec<Region<'_>> {
    let head_end = samples[0].bytes.len() as u64;
    let region = |bytes, offset| Region { bytes, offset, head: false, last: false };
    let head = Region { head: true, ..region(&samples[0].bytes[first..], first as u64) };
    let others = samples[1..].iter().filter_map(|sample| {
        let covered = head_end.saturating_sub(sample.span.start) as usize;
        let rest = sample.bytes.get(covered..).filter(|rest| !rest.is_empty())?;
        Some(region(rest, sample.span.start + covered as u64))
    });
    let mut regions: Vec<_> = std::iter::once(head).chain(others).collect();
    for region in &mut regions {
        region.last = region.offset + region.bytes.len() as u64 == source_bytes;
    }
    regions
}
