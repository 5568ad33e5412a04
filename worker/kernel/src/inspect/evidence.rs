//! Evidence: what the sampled records look like under one dialect.
//!
//! Invariant: records and fields are those of the oracle ([`crate::automaton::parse`]); a test holds them against each
//! other. Marks play no part: no sample is as long as the record cap. It chooses nothing.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::ops::Range;

use batteuse_shared::limits;
use batteuse_shared::span::StateId;
use batteuse_shared::spec::Dialect;
use batteuse_shared::table::Classes;

use super::Region;
use crate::automaton::{
    Automaton, CR_SEEN, ESCAPE_SEEN, FIELD_START, QUOTE_SEEN, QUOTED, RECORD_START, UNQUOTED, base, open,
};
use crate::infer::classify;

/// Delimiters that are tried, the commonest first.
pub(super) const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// A quote that is open at the end of the file speaks for a lone quote when it has swallowed so many line ends; with fewer
/// the file may as well be cut short in a quoted field.
const SWALLOWED_LINES: usize = 3;

/// Lines that look like records which a quoted field must hold to count as one that two lone quotes made. An honest field of a few
/// lines may look like that; so many of the right width are the work of a quote that is text.
const SWALLOWED_RECORDS_MIN: usize = 30;

/// A dialect that is tried, and its automaton.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    pub(super) dialect: Dialect,
    pub(super) automaton: Automaton,
    /// Of each byte, whether it is the quote or a delimiter but this one: fields of a record without any tell nothing.
    tells: [bool; 256],
    /// Of each byte, whether it changes nothing within a field, quoted or not.
    plain: [bool; 256],
}

impl Trial {
    pub(super) fn new(dialect: Dialect) -> Self {
        let automaton = Automaton::new(&dialect, limits::RECORD_BYTES_MAX);
        let foreign = DELIMITERS.into_iter().filter(|byte| !dialect.delimiter.contains(byte));
        let mut tells = [false; 256];
        foreign.chain(dialect.quote).for_each(|byte| tells[byte as usize] = true);
        let stays = |byte: u8| [UNQUOTED, QUOTED].iter().all(|state| automaton.next(*state, byte) == *state);
        let plain = std::array::from_fn(|byte| stays(byte as u8));
        Self { dialect, automaton, tells, plain }
    }

    /// How many of the first bytes change nothing within a field.
    fn plain_bytes(&self, bytes: &[u8]) -> usize {
        bytes.iter().position(|byte| !self.plain[*byte as usize]).unwrap_or(bytes.len())
    }
}

/// How a sampled record ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// At a line end.
    Whole,
    /// At the end of the bytes.
    Open,
    /// At the end of the bytes with a quote open.
    OpenQuote,
}

/// A record among sampled bytes; offsets count from their beginning.
#[derive(Debug)]
pub(super) struct Record<'r> {
    pub(super) start: usize,
    /// After its line end, but before the LF of a CR LF.
    pub(super) end: usize,
    /// Raw fields, quotes included.
    pub(super) fields: &'r [Range<usize>],
    /// Whether a closing quote is followed by more of the field.
    pub(super) broken: bool,
    pub(super) ended: Ended,
}

/// Hands the records of `bytes`, which begin at a record's start, to `each` until it breaks.
pub(super) fn walk(trial: &Trial, bytes: &[u8], mut each: impl FnMut(&Record<'_>) -> ControlFlow<()>) {
    let delimiter_bytes = trial.dialect.delimiter.len();
    let mut fields: Vec<Range<usize>> = Vec::new();
    let (mut state, mut start, mut field, mut broken) = (RECORD_START, None, 0, false);
    let mut next = 0;
    while let Some(&byte) = bytes.get(next) {
        let (i, from) = (next, state);
        next += 1;
        state = trial.automaton.next(from, byte);
        if matches!(state, UNQUOTED | QUOTED) {
            // Within a field nothing begins or ends; the byte that entered the state is looked at.
            next += trial.plain_bytes(&bytes[next..]);
            if state == from {
                continue;
            }
        }
        if start.is_none() && open(state) {
            (start, field, broken) = (Some(i), i, false);
            fields.clear();
        }
        broken |= from == QUOTE_SEEN && state == UNQUOTED;
        if state == FIELD_START {
            fields.push(field..i + 1 - delimiter_bytes);
            field = i + 1;
        } else if let (RECORD_START | CR_SEEN, Some(begun)) = (state, start) {
            fields.push(field..i);
            start = None;
            let record = Record { start: begun, end: i + 1, fields: &fields, broken, ended: Ended::Whole };
            if each(&record).is_break() {
                return;
            }
        }
    }
    if let Some(start) = start {
        fields.push(field..bytes.len());
        let ended = if matches!(state, QUOTED | ESCAPE_SEEN) { Ended::OpenQuote } else { Ended::Open };
        // Nothing follows that a break could spare.
        let _ = each(&Record { start, end: bytes.len(), fields: &fields, broken, ended });
    }
}

/// The first record of the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct First {
    /// Its fields.
    pub(super) fields: usize,
    /// After its whole line end, from the head region's beginning.
    pub(super) end: usize,
    /// Whether the file ends in it with a quote open.
    pub(super) open_quote: bool,
}

/// The first record, which starts where the head region does; none when the region ends before it, or may do.
pub(super) fn first_record(trial: &Trial, head: &Region<'_>) -> Option<First> {
    let mut first = None;
    walk(trial, head.bytes, |record| {
        let lf = head.bytes[record.end - 1] == b'\r' && head.bytes.get(record.end) == Some(&b'\n');
        let end = record.end + usize::from(lf);
        if end < head.bytes.len() || head.last {
            first = Some(First { fields: record.fields.len(), end, open_quote: record.ended == Ended::OpenQuote });
        }
        ControlFlow::Break(())
    });
    first
}

/// Which numbers of fields a record may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Width {
    /// Of the first record.
    pub(super) fields: usize,
    /// Whether short records are padded.
    pub(super) pad: bool,
}

/// What was counted. Adds up over regions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Evidence {
    /// Records, the first one included.
    pub(super) records: u64,
    /// Records with the right number of fields and no broken quote.
    pub(super) fitting: u64,
    /// Records with exactly the right number of fields: none that padding would mend.
    pub(super) exact: u64,
    /// Bytes of the others, but of one that the end of the file may have cut.
    pub(super) unfit_bytes: u64,
    /// Fields.
    pub(super) cells: u64,
    /// Fields without quotes that hold another delimiter and are no number with a decimal comma.
    pub(super) muddled: u64,
    /// Records by their number of fields, the first one excluded.
    pub(super) widths: BTreeMap<usize, u64>,
    /// Records with a well-formed quoted field.
    pub(super) quoted: u64,
    /// Well-formed quoted fields of fitting records that need their quotes: a delimiter, line end or quote in them.
    pub(super) telling: u64,
    /// Records with a broken quote.
    pub(super) broken: u64,
    /// Well-formed quoted fields in which few lines look like records.
    pub(super) orderly: u64,
    /// Quoted fields in which many do, those among them that the end of a sample leaves open.
    pub(super) swallowing: u64,
}

impl Evidence {
    /// What all regions show under `trial`; the first region is the head, the others are resynchronised.
    pub(super) fn of(trial: &Trial, width: Width, regions: &[Region<'_>]) -> Self {
        let mut all = Self::default();
        for region in regions {
            if let Some(start) = start_in(trial, width, region) {
                all.add(Self::from(trial, width, region, start));
            }
        }
        all
    }

    fn from(trial: &Trial, width: Width, region: &Region<'_>, start: usize) -> Self {
        let mut evidence = Self::default();
        let bytes = &region.bytes[start..];
        walk(trial, bytes, |record| {
            if counts(region, record, bytes) {
                evidence.count(trial, width, record, bytes, region.head && record.start == 0);
            } else if record.ended == Ended::OpenQuote
                && let Some(open) = record.fields.last()
            {
                let records = records_within(trial, width, &bytes[open.clone()]);
                evidence.swallowing += u64::from(records >= SWALLOWED_RECORDS_MIN);
            }
            ControlFlow::Continue(())
        });
        evidence
    }

    fn count(&mut self, trial: &Trial, width: Width, record: &Record<'_>, bytes: &[u8], first: bool) {
        let (mut quoted, mut telling) = (false, 0);
        let is_quoted = |raw: &[u8]| trial.dialect.quote.is_some() && raw.first().copied() == trial.dialect.quote;
        let is_filled = |raw: &[u8]| !(raw.is_empty() || is_quoted(raw) && raw.len() == 2);
        let last = record.fields.iter().rposition(|field| is_filled(&bytes[field.clone()]));
        let filled = last.map_or(0, |last| last + 1);
        let told = bytes[record.start..record.end].iter().any(|&byte| trial.tells[byte as usize]);
        for field in record.fields.iter().filter(|_| told) {
            let raw = &bytes[field.clone()];
            if !is_quoted(raw) {
                self.muddled += u64::from(muddled(trial, raw));
            } else if record.ended != Ended::OpenQuote && !record.broken {
                let inside = &raw[1..raw.len() - 1];
                let records = records_within(trial, width, inside);
                quoted = true;
                telling += u64::from(records == 0 && needs_quotes(trial, inside));
                self.orderly += u64::from(records < SWALLOWED_RECORDS_MIN);
                self.swallowing += u64::from(records >= SWALLOWED_RECORDS_MIN);
            }
        }
        let fields = record.fields.len();
        let fits = record.ended != Ended::OpenQuote && !record.broken && width.takes(fields, filled);
        self.records += 1;
        self.fitting += u64::from(fits);
        self.exact += u64::from(fits && fields >= width.fields);
        self.unfit_bytes += if fits || may_be_cut(record, bytes) { 0 } else { (record.end - record.start) as u64 };
        self.cells += fields as u64;
        self.quoted += u64::from(quoted);
        self.telling += if fits { telling } else { 0 };
        self.broken += u64::from(record.broken);
        if !first {
            *self.widths.entry(fields).or_default() += 1;
        }
    }

    fn add(&mut self, other: Self) {
        self.records += other.records;
        self.fitting += other.fitting;
        self.exact += other.exact;
        self.unfit_bytes += other.unfit_bytes;
        self.cells += other.cells;
        self.muddled += other.muddled;
        self.quoted += other.quoted;
        self.telling += other.telling;
        self.broken += other.broken;
        self.orderly += other.orderly;
        self.swallowing += other.swallowing;
        for (width, records) in other.widths {
            *self.widths.entry(width).or_default() += records;
        }
    }

    /// Share of fitting records, 0 to 1.
    pub(super) fn regular(&self) -> f64 {
        self.fitting as f64 / self.records.max(1) as f64
    }

    /// Share of clean fields, 0 to 1.
    fn clean(&self) -> f64 {
        1.0 - self.muddled as f64 / self.cells.max(1) as f64
    }

    /// How well the dialect explains the samples, 0 to 1.
    pub(super) fn score(&self) -> f64 {
        self.regular() * self.clean()
    }

    /// The commonest number of fields after the first record, the larger on ties, and the share of records that have it.
    pub(super) fn usual(&self) -> (usize, f64) {
        let all: u64 = self.widths.values().sum();
        let most = self.widths.iter().max_by_key(|&(&width, &records)| (records, width));
        most.map_or((0, 0.0), |(&width, &records)| (width, records as f64 / all as f64))
    }
}

impl Width {
    /// Whether a record of `fields` fields, all empty after the first `filled`, is well-formed or can be made so.
    ///
    /// Trailing delimiters count as well-formed whatever `ragged` says: they tell nothing against a delimiter.
    fn takes(self, fields: usize, filled: usize) -> bool {
        fields == self.fields
            || (fields > self.fields && filled <= self.fields)
            || (self.pad && fields < self.fields && fields >= 2)
    }
}

/// Whether a record is evidence: one that the sample's end may have cut is not.
///
/// Not even when a quote has been open for thousands of lines: honest quoted fields of a megabyte exist.
pub(super) fn counts(region: &Region<'_>, record: &Record<'_>, bytes: &[u8]) -> bool {
    region.last || (record.ended == Ended::Whole && record.end < bytes.len())
}

/// Whether the file may end in the middle of this record's quoted field.
fn may_be_cut(record: &Record<'_>, bytes: &[u8]) -> bool {
    let lines = || memchr::memchr2_iter(b'\n', b'\r', &bytes[record.start..record.end]).count();
    record.ended == Ended::OpenQuote && lines() < SWALLOWED_LINES
}

/// Whether the inside of a quoted field would be misread without its quotes.
fn needs_quotes(trial: &Trial, inside: &[u8]) -> bool {
    let delimiter = trial.dialect.delimiter[0];
    let special = |&byte: &u8| byte == delimiter || matches!(byte, b'\n' | b'\r') || Some(byte) == trial.dialect.quote;
    inside.iter().any(special)
}

/// Lines within a quoted field, but the first, that look like records: two lone quotes may have swallowed them.
fn records_within(trial: &Trial, width: Width, inside: &[u8]) -> usize {
    let delimiter = trial.dialect.delimiter.as_slice();
    let looks = |line: &&[u8]| memchr::memmem::find_iter(line, delimiter).count() + 1 == width.fields;
    if width.fields > 1 { inside.split(|&byte| byte == b'\n').skip(1).filter(looks).count() } else { 0 }
}

/// Whether an unquoted field looks as if another delimiter should have cut it.
fn muddled(trial: &Trial, raw: &[u8]) -> bool {
    let own = &trial.dialect.delimiter;
    let foreign = raw.iter().any(|byte| DELIMITERS.contains(byte) && !own.contains(byte));
    foreign && classify(raw, b',') != Classes::FLOAT && !is_point(raw)
}

/// Whether a field is a place on the map, as portals write it: `48.11525,5.00191`.
fn is_point(raw: &[u8]) -> bool {
    let mut numbers = raw.split(|&byte| byte == b',').map(|number| classify(number.trim_ascii(), b'.'));
    let both = numbers.by_ref().take(2).filter(|class| *class == Classes::FLOAT).count() == 2;
    both && numbers.next().is_none()
}

/// The index in `region` from which records are read; none when no boundary is found.
///
/// Away from the head the state before the first byte is not known. Two hypotheses are tried, outside and inside
/// quotes; the one whose records fit better is taken, outside on ties: states that differ merge soon, so this decides
/// about the sample's first records only, or about a sample full of quotes.
pub(super) fn start_in(trial: &Trial, width: Width, region: &Region<'_>) -> Option<usize> {
    if region.head {
        return Some(0);
    }
    let (&before, rest) = region.bytes.split_first()?;
    let start = |state: StateId| first_boundary(&trial.automaton, state, rest).map(|index| index + 1);
    let outside = start(trial.automaton.guess(before));
    let inside = trial.dialect.quote.and_then(|_| start(StateId(QUOTED)));
    let (Some(outside), Some(inside)) = (outside, inside) else { return outside.or(inside) };
    let common = common_start(trial, region.bytes, outside.min(inside), outside.max(inside));
    let balance = |start: usize| {
        if Some(start) == common {
            return 0;
        }
        // A record that ends where the common ones begin counts, and none of these.
        let region = match common {
            Some(end) => Region { bytes: &region.bytes[..=end], last: false, ..*region },
            None => *region,
        };
        let evidence = Evidence::from(trial, width, &region, start);
        2 * i128::from(evidence.fitting) - i128::from(evidence.records)
    };
    Some(if balance(inside) > balance(outside) { inside } else { outside })
}

/// `later`, where a record starts there too when one starts at `earlier`: all that follow are the same.
fn common_start(trial: &Trial, bytes: &[u8], earlier: usize, later: usize) -> Option<usize> {
    let step = |state, &byte: &u8| StateId(trial.automaton.next(base(state), byte));
    let state = bytes[earlier..later].iter().fold(trial.automaton.record_start(), step);
    bytes.get(later).is_some_and(|&byte| trial.automaton.boundary(state, byte)).then_some(later)
}

/// The index of the first byte of `bytes` before which a boundary lies when `state` is the state before the first one.
fn first_boundary(automaton: &Automaton, state: StateId, bytes: &[u8]) -> Option<usize> {
    let (mut state, mut at) = (state, 0);
    while let Some(&byte) = bytes.get(at) {
        if automaton.boundary(state, byte) {
            return Some(at);
        }
        state = StateId(automaton.next(state.0, byte));
        at = automaton.skip(state.0).find(bytes, at + 1);
    }
    None
}
