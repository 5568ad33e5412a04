//! Finding one record in a buffer: field bounds by the structural index, or by the automaton, with `memchr` over the bytes that
//! change nothing, where the index will not do.
//!
//! Invariant: [`scan`] and [`scan_indexed`] agree with the automaton on every byte; where the buffer ends too early they say so.

use crate::automaton::{Automaton, CR_SEEN, ESCAPE_SEEN, End, FIELD_START, QUOTE_SEEN, QUOTED, RECORD_START, UNQUOTED};
use crate::block::{Index, Next};
use crate::frame::{Field, Form};

/// What a scan found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scanned {
    /// A record whose content ends at `content` and whose line end ends at `end` (indices in the buffer).
    Record { content: usize, end: usize, ended: End, found: Found },
    /// The record is still open at its second mark, which lies at this index.
    Cut { mark: usize },
    /// The buffer ends too early.
    More,
}

/// The fields of a record.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// How many there are; only as many as there are columns are kept.
    pub(crate) fields: usize,
    /// Whether one of them is quoted: then a line may end in it.
    pub(crate) quoted: bool,
    /// Whether one of those that are not kept is not empty.
    pub(crate) extra_filled: bool,
}

/// The line end at `at` (a CR or LF): the index after it, or none if the buffer ends between CR and what follows.
pub(crate) fn after_line_end(bytes: &[u8], at: usize, eof: bool) -> Option<usize> {
    if bytes[at] == b'\n' {
        return Some(at + 1);
    }
    match bytes.get(at + 1) {
        Some(b'\n') => Some(at + 2),
        Some(_) => Some(at + 1),
        None => eof.then_some(at + 1),
    }
}

/// Physical line ends in `bytes`: LF, CR LF and lone CR.
pub(crate) fn count_lines(bytes: &[u8]) -> u64 {
    let ends = memchr::memchr2_iter(b'\n', b'\r', bytes);
    ends.filter(|&i| bytes[i] == b'\r' || i == 0 || bytes[i - 1] != b'\r').count() as u64
}

/// Where a record lies, and what bounds it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// Index of its first byte.
    pub(crate) start: usize,
    /// Index, perhaps beyond the buffer, at which it is cut.
    pub(crate) second_mark: usize,
    /// Whether the source ends where the buffer does.
    pub(crate) eof: bool,
}

/// Keeps the first fields of a record and what must be known of the others: a record may be all delimiters, so what is kept of
/// it is bounded.
struct Keep<'k> {
    bytes: &'k [u8],
    columns: usize,
    fields: &'k mut Vec<Field>,
    found: Found,
}

impl Keep<'_> {
    #[inline(always)]
    fn push(&mut self, field: Field) {
        self.found.fields += 1;
        self.found.quoted |= field.form() != Form::Plain;
        if self.found.fields <= self.columns {
            self.fields.push(field);
        } else {
            self.found.extra_filled |= field.is_filled(self.bytes);
        }
    }
}

/// Finds the record at `place` of `bytes` by the automaton, pushing its first `columns` fields.
pub(crate) fn scan(
    automaton: &Automaton,
    bytes: &[u8],
    place: Place,
    columns: usize,
    fields: &mut Vec<Field>,
) -> Scanned {
    let mut kept = Keep { bytes, columns, fields, found: Found::default() };
    let stop = bytes.len().min(place.second_mark);
    let window = &bytes[..stop];
    let mut open = OpenField::at(place.start);
    let mut state = RECORD_START;
    let mut i = place.start;
    loop {
        i = automaton.skip(state).find(window, i);
        if i >= stop {
            break;
        }
        let to = automaton.next(state, window[i]);
        match to {
            FIELD_START => {
                kept.push(open.close(i + 1 - automaton.delimiter_bytes()));
                open = OpenField::at(i + 1);
            }
            RECORD_START | CR_SEEN => {
                let Some(end) = after_line_end(bytes, i, place.eof) else { return Scanned::More };
                kept.push(open.close(i));
                return Scanned::Record { content: i, end, ended: End::Whole, found: kept.found };
            }
            _ => open.step(state, to, i),
        }
        state = to;
        i += 1;
    }
    if place.second_mark < bytes.len() {
        return Scanned::Cut { mark: place.second_mark };
    }
    if !place.eof {
        return Scanned::More;
    }
    kept.push(open.close(stop));
    let ended = if matches!(state, QUOTED | ESCAPE_SEEN) { End::OpenQuote } else { End::Whole };
    Scanned::Record { content: stop, end: stop, ended, found: kept.found }
}

/// As [`scan`], by the index; none when the record is irregular, and the automaton must read it. Of what was pushed then,
/// nothing counts.
pub(crate) fn scan_indexed(
    index: &mut Index,
    automaton: &Automaton,
    bytes: &[u8],
    place: Place,
    columns: usize,
    fields: &mut Vec<Field>,
) -> Option<Scanned> {
    let quote = automaton.quote();
    let mut kept = Keep { bytes, columns, fields, found: Found::default() };
    let mut open = place.start;
    index.record(place.start);
    loop {
        match index.next(bytes) {
            Next::At(at) if !matches!(bytes[at], b'\n' | b'\r') => {
                kept.push(regular(bytes, open, at, quote));
                open = at + 1;
            }
            Next::At(at) if at < place.second_mark => {
                let Some(end) = after_line_end(bytes, at, place.eof) else { return Some(Scanned::More) };
                kept.push(regular(bytes, open, at, quote));
                return Some(Scanned::Record { content: at, end, ended: End::Whole, found: kept.found });
            }
            Next::At(_) => return Some(Scanned::Cut { mark: place.second_mark }),
            Next::End { .. } if place.second_mark < bytes.len() => {
                return Some(Scanned::Cut { mark: place.second_mark });
            }
            Next::End { .. } if !place.eof => return Some(Scanned::More),
            Next::End { in_quotes } => {
                let stop = bytes.len();
                kept.push(regular(bytes, open, stop, quote));
                let ended = if in_quotes { End::OpenQuote } else { End::Whole };
                return Some(Scanned::Record { content: stop, end: stop, ended, found: kept.found });
            }
            Next::Irregular => return None,
        }
    }
}

/// The field at `[start, end)`, in which nothing is irregular: its first byte tells whether it is quoted.
#[inline(always)]
fn regular(bytes: &[u8], start: usize, end: usize, quote: Option<u8>) -> Field {
    // An empty field ends at the byte it starts at, which is no quote.
    let quoted = quote.is_some() && bytes.get(start).copied() == quote;
    let form = if quoted { quoted_form(&bytes[start..end], quote) } else { Form::Plain };
    Field::new(start, end, form)
}

/// Whether a quoted field holds anything to unescape.
fn quoted_form(raw: &[u8], quote: Option<u8>) -> Form {
    let inside = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    match quote {
        Some(quote) if raw.len() >= 2 && memchr::memchr(quote, inside).is_none() => Form::Quoted,
        _ => Form::Dirty,
    }
}

/// The field being scanned.
struct OpenField {
    start: usize,
    quoted: bool,
    dirty: bool,
    /// Index after the latest quote that may be the closing one.
    closed: usize,
}

impl OpenField {
    fn at(start: usize) -> Self {
        Self { start, quoted: false, dirty: false, closed: 0 }
    }

    /// Takes in the transition at index `i` that ended neither field nor record.
    fn step(&mut self, from: u8, to: u8, i: usize) {
        match (from, to) {
            (RECORD_START | FIELD_START, QUOTED) => self.quoted = true,
            (QUOTE_SEEN, QUOTED | UNQUOTED) | (_, ESCAPE_SEEN) => self.dirty = true,
            (QUOTED, QUOTE_SEEN) => self.closed = i + 1,
            _ => {}
        }
    }

    fn close(&self, end: usize) -> Field {
        let form = match (self.quoted, self.dirty || self.closed != end) {
            (false, _) => Form::Plain,
            (true, false) => Form::Quoted,
            (true, true) => Form::Dirty,
        };
        Field::new(self.start, end, form)
    }
}
