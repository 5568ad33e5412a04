//! Framing alone: the structural index by every set of vector instructions, and splitting against the oracle.
//!
//! Invariant: texts are given to the kernel in allocations of their own size, so that a sanitizer sees a read beyond them.

use arbitrary::{Arbitrary, Result, Unstructured};
use batteuse_kernel::arch::{Carry, Marks, Path, Structure, index};
use batteuse_kernel::automaton::{Automaton, End, OracleRecord, parse};
use batteuse_kernel::split::split;
use batteuse_shared::spec::Dialect;

use crate::draw;

/// A text, and how to frame it.
#[derive(Debug)]
pub struct Scan {
    dialect: Dialect,
    cap: u64,
    index_bytes: usize,
    columns: usize,
    pieces_end: Vec<u16>,
    bytes: Vec<u8>,
}

impl<'a> Arbitrary<'a> for Scan {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let dialect = draw::dialect(u)?;
        let (cap, index_bytes, columns) = (draw::cap(u)?, draw::size(u)?, usize::from(draw::byte(u)?));
        let pieces_end = draw::places(u, 4)?;
        let bytes = draw::file(u, &dialect)?;
        Ok(Self { dialect, cap, index_bytes, columns, pieces_end, bytes })
    }
}

/// A record found: where it starts, its fields, and where those that were asked for lie.
struct Found {
    start: usize,
    fields: usize,
    bounds: Vec<(usize, usize)>,
}

impl Scan {
    /// Frames it in every way that there is.
    pub fn check(&self) {
        let said = parse(&Automaton::new(&self.dialect, self.cap), &self.bytes, 0);
        let whole: Vec<_> = said.records.iter().filter(|record| record.ended != End::Cut).collect();
        let indexed = self.indexed(Path::available()[0]);
        for path in Path::available() {
            let found = self.found(path);
            assert_eq!(found.len(), whole.len(), "records by {}", path.name());
            for (found, record) in std::iter::zip(&found, &whole) {
                self.same(found, record, path);
            }
            assert_eq!(self.indexed(path), indexed, "the index by {}", path.name());
        }
    }

    fn found(&self, path: Path) -> Vec<Found> {
        let mut found = Vec::new();
        split(&self.bytes, &self.dialect, self.cap, path, self.index_bytes, self.columns, |record| {
            let starts = record.ends.iter().map(|&end| end as usize + self.dialect.delimiter.len());
            let starts = std::iter::once(record.start).chain(starts);
            let bounds = std::iter::zip(starts, record.ends).map(|(start, &end)| (start, end as usize)).collect();
            found.push(Found { start: record.start, fields: record.fields, bounds });
            assert_eq!(record.ends.len(), record.fields.min(self.columns), "the ends that were asked for");
            let last = record.fields <= self.columns;
            assert!(!last || record.ends.last() == Some(&(record.end as u32)), "a record ends with its last field");
        });
        found
    }

    fn same(&self, found: &Found, record: &OracleRecord, path: Path) {
        let name = path.name();
        assert_eq!((found.start as u64, found.fields), (record.start, record.fields.len()), "a record by {name}");
        for (&(from, to), field) in std::iter::zip(&found.bounds, &record.fields) {
            assert_eq!(&self.value(&self.bytes[from..to]), field, "a field by {name}, of the bytes {from} to {to}");
        }
    }

    /// The value of a field, by literal quoting.
    fn value(&self, raw: &[u8]) -> Vec<u8> {
        let Some(quote) = self.dialect.quote.filter(|&quote| raw.first() == Some(&quote)) else { return raw.to_vec() };
        let (mut out, mut rest) = (Vec::new(), &raw[1..]);
        loop {
            rest = match rest {
                [] => return out,
                [escape, tail @ ..] if Some(*escape) == self.dialect.escape => {
                    out.extend(tail.first());
                    tail.get(1..).unwrap_or_default()
                }
                [first, second, tail @ ..] if *first == quote && *second == quote => {
                    out.push(quote);
                    tail
                }
                [first, tail @ ..] if *first == quote => {
                    out.extend_from_slice(tail);
                    return out;
                }
                [byte, tail @ ..] => {
                    out.push(*byte);
                    tail
                }
            };
        }
    }

    /// What the index finds when the text comes in pieces, up to where it stops, and where that is or what it carries.
    fn indexed(&self, path: Path) -> (Structure, Vec<bool>, std::result::Result<Carry, usize>) {
        let &Dialect { quote, escape, .. } = &self.dialect;
        let marks = Marks { delimiter: self.dialect.delimiter[0], quote, escape };
        let mut ends: Vec<usize> =
            self.pieces_end.iter().map(|&end| usize::from(end) % (self.bytes.len() + 1)).collect();
        ends.push(self.bytes.len());
        ends.sort_unstable();
        let (mut out, mut carry, mut from) = (Structure::default(), Carry::record_start(), 0);
        let mut stopped = None;
        for to in ends {
            let piece = self.bytes[from..to].to_vec().into_boxed_slice();
            if let Err(at) = index(path, marks, &piece, from as u32, &mut carry, &mut out) {
                stopped = Some(from + at);
                break;
            }
            from = to;
        }
        let filled = (0..out.ends.len()).map(|ordinal| out.filled_from(ordinal) & 1 == 1).collect();
        // Bits beyond the ends mean nothing, nor do ordinals beyond them once it has stopped.
        out.filled.clear();
        out.odd.dedup();
        if stopped.is_some() {
            let length = out.ends.len();
            out.lines.retain(|&ordinal| (ordinal as usize) < length);
            out.odd.retain(|&ordinal| (ordinal as usize) < length);
        }
        (out, filled, stopped.map_or(Ok(carry), Err))
    }
}
