//! Finding one record in a buffer: field bounds by the automaton, with `memchr` over the bytes that change nothing.
//!
//! Invariant: [`scan`] agrees with the automaton on every byte; where the buffer ends too early it says so and changes nothing.

use crate::automaton::{Automaton, CR_SEEN, ESCAPE_SEEN, End, FIELD_START, QUOTE_SEEN, QUOTED, RECORD_START, UNQUOTED};
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

/// Finds the record that starts at index `start` of `bytes`, pushing its first `columns` fields: a record may be all
/// delimiters, so what is kept of it is bounded. `second_mark` is the index (perhaps beyond the buffer) at which it is cut;
/// `eof` tells that the source ends where the buffer does.
pub(crate) fn scan(
    automaton: &Automaton,
    bytes: &[u8],
    start: usize,
    second_mark: usize,
    eof: bool,
    columns: usize,
    fields: &mut Vec<Field>,
) -> Scanned {
    let mut found = Found::default();
    let mut keep = |field: Field| {
        found.fields += 1;
        found.quoted |= field.form() != Form::Plain;
        if found.fields <= columns {
            fields.push(field);
        } else {
            found.extra_filled |= field.is_filled(bytes);
        }
        found
    };
    let stop = bytes.len().min(second_mark);
    let window = &bytes[..stop];
    let mut open = OpenField::at(start);
    let mut state = RECORD_START;
    let mut i = start;
    loop {
        i = automaton.skip(state).find(window, i);
        if i >= stop {
            break;
        }
        let to = automaton.next(state, window[i]);
        match to {
            FIELD_START => {
                keep(open.close(i + 1 - automaton.delimiter_bytes()));
                open = OpenField::at(i + 1);
            }
            RECORD_START | CR_SEEN => {
                let Some(end) = after_line_end(bytes, i, eof) else { return Scanned::More };
                let found = keep(open.close(i));
                return Scanned::Record { content: i, end, ended: End::Whole, found };
            }
            _ => open.step(state, to, i),
        }
        state = to;
        i += 1;
    }
    if second_mark < bytes.len() {
        return Scanned::Cut { mark: second_mark };
    }
    if !eof {
        return Scanned::More;
    }
    let found = keep(open.close(stop));
    let ended = if matches!(state, QUOTED | ESCAPE_SEEN) { End::OpenQuote } else { End::Whole };
    Scanned::Record { content: stop, end: stop, ended, found }
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
