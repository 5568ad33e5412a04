//! Finding one record in a buffer: field ends by the structural index, or by the automaton, with `memchr` over the bytes that
//! change nothing, where the index will not do.
//!
//! Invariant: both agree with the automaton on every byte; where the buffer ends too early they say so.

use batteuse_shared::limits::SURPLUS_FIELDS_MAX;
use batteuse_shared::spec::Dialect;

use crate::arch::{Path, Structure};
use crate::automaton::{Automaton, CR_SEEN, ESCAPE_SEEN, End, FIELD_START, QUOTED, RECORD_START};
use crate::block::Index;

/// What was found.
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
    /// Ordinal of the end before its first field.
    pub(crate) ordinal: u32,
    /// How many there are; only as many as there are columns are sure to be kept.
    pub(crate) fields: usize,
    /// Whether a line may end in it, or a value not be as it stands between its quotes.
    pub(crate) odd: bool,
    /// Whether a field beyond those that count is not empty.
    pub(crate) extra_filled: bool,
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
    /// Fields that count.
    pub(crate) columns: usize,
}

/// The line end at `at` (a CR or LF): the index after it, or none if the buffer ends between CR and what follows.
#[inline(always)]
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

/// Finds record after record of one buffer.
#[derive(Debug)]
pub(crate) struct Framer {
    automaton: Automaton,
    /// None where the automaton frames alone.
    index: Option<Index>,
    structure: Structure,
    /// Ordinal of the end before the record under way.
    before: usize,
    /// Ends that belong to records found so far.
    kept: usize,
    /// Where to go on in the lines and the odd fields of the structure.
    next_line: usize,
    next_odd: usize,
    /// Fields of the record under way that were dropped, and whether one of them was filled.
    dropped: usize,
    dropped_filled: bool,
}

impl Framer {
    pub(crate) fn new(automaton: Automaton, dialect: &Dialect, path: Path, index_bytes: usize) -> Self {
        Self {
            index: Index::new(dialect, path, index_bytes),
            automaton,
            structure: Structure::default(),
            before: 0,
            kept: 0,
            next_line: 0,
            next_odd: 0,
            dropped: 0,
            dropped_filled: false,
        }
    }

    pub(crate) fn automaton(&self) -> &Automaton {
        &self.automaton
    }

    /// Where the fields of the records found lie.
    pub(crate) fn structure(&self) -> &Structure {
        &self.structure
    }

    /// Something else has gone ahead of it: a comment, or a record that was cut.
    pub(crate) fn stumble(&mut self) {
        if let Some(index) = &mut self.index {
            index.stumble();
        }
    }

    /// The buffer's first `by` bytes are dropped; no record found so far lies in them, or none is of use any more.
    pub(crate) fn shift(&mut self, by: usize) {
        self.structure.shift(by as u32);
        if let Some(index) = &mut self.index {
            index.shift(by);
        }
    }

    /// No record found so far is of use any more, but what is known ahead of them is.
    pub(crate) fn release(&mut self) {
        let started = self.index.as_ref().is_some_and(|index| index.started);
        if !started {
            self.structure.truncate(0);
            self.kept = 0;
        } else if 2 * self.before >= self.structure.ends.len().max(128) {
            let from = self.before / 64 * 64;
            self.structure.forget(from);
            self.before -= from;
            self.kept = self.kept.saturating_sub(from);
            (self.next_line, self.next_odd) = (0, 0);
        }
    }

    /// Finds the record at `place` of `bytes`, the buffer.
    pub(crate) fn record(&mut self, bytes: &[u8], place: Place) -> Scanned {
        (self.dropped, self.dropped_filled) = (0, false);
        if let Some(scanned) = self.by_index(bytes, place) {
            return scanned;
        }
        self.stumble();
        self.stand(place.start);
        let scanned = self.by_automaton(bytes, place);
        if matches!(scanned, Scanned::Record { .. }) {
            self.kept = self.structure.ends.len();
        }
        scanned
    }

    /// Forgets what lies behind the records found so far, and stands at a record that starts at `start`.
    fn stand(&mut self, start: usize) {
        self.structure.truncate(self.kept);
        self.structure.push((start as u32).wrapping_sub(self.automaton.delimiter_bytes() as u32), false);
        self.before = self.structure.ends.len() - 1;
        (self.next_line, self.next_odd) = (0, 0);
    }

    /// By the index; none when there is none, or the record is irregular, and the automaton must read it.
    #[inline(always)]
    fn by_index(&mut self, bytes: &[u8], place: Place) -> Option<Scanned> {
        let index = self.index.as_mut()?;
        let ends = &self.structure.ends;
        // A record starts behind a line end; the LF of a CR LF, and blank lines, are passed over.
        while index.started && ends[self.before].wrapping_add(1) as usize != place.start {
            self.before += 1;
            index.started = self.before < ends.len();
        }
        if !index.started {
            index.start(place.start);
            self.stand(place.start);
        }
        loop {
            if let Some(&line) = self.structure.lines.get(self.next_line) {
                self.next_line += 1;
                if line as usize > self.before {
                    return Some(self.line(bytes, place, line as usize));
                }
                continue;
            }
            let index = self.index.as_mut()?;
            if index.irregular {
                return None;
            }
            if index.until == bytes.len() {
                return Some(self.end(bytes, place));
            }
            index.extend(bytes, &mut self.structure);
            if self.structure.ends.len() - self.before > place.columns + SURPLUS_FIELDS_MAX {
                self.drop_surplus(place.columns);
            }
        }
    }

    /// The record ends with the line end of the ordinal `line`.
    #[inline(always)]
    fn line(&mut self, bytes: &[u8], place: Place, line: usize) -> Scanned {
        let content = self.structure.ends[line] as usize;
        if content >= place.second_mark {
            return Scanned::Cut { mark: place.second_mark };
        }
        let Some(end) = after_line_end(bytes, content, place.eof) else {
            self.next_line -= 1;
            return self.more();
        };
        let found = self.found(place.columns, line);
        self.before = line;
        Scanned::Record { content, end, ended: End::Whole, found }
    }

    /// The buffer ends, and no line end was found.
    #[cold]
    fn end(&mut self, bytes: &[u8], place: Place) -> Scanned {
        if place.second_mark < bytes.len() {
            return Scanned::Cut { mark: place.second_mark };
        }
        if !place.eof {
            return self.more();
        }
        let last = self.structure.ends.last().map_or(place.start, |end| end.wrapping_add(1) as usize);
        self.structure.push(bytes.len() as u32, filled(&bytes[last..], self.automaton.quote()));
        let found = self.found(place.columns, self.structure.ends.len() - 1);
        let ended = match self.index.as_ref().is_some_and(Index::in_quotes) {
            true => End::OpenQuote,
            false => End::Whole,
        };
        Scanned::Record { content: bytes.len(), end: bytes.len(), ended, found }
    }

    /// The buffer ends too early; when it goes on, so does the index, unless it has dropped what must be counted.
    fn more(&mut self) -> Scanned {
        if self.dropped > 0 {
            self.stumble();
        }
        Scanned::More
    }

    /// The record from `before` to the ordinal `last`.
    #[inline(always)]
    fn found(&mut self, columns: usize, last: usize) -> Found {
        let fields = last - self.before + self.dropped;
        let mut odd = false;
        while let Some(&ordinal) = self.structure.odd.get(self.next_odd).filter(|&&ordinal| ordinal as usize <= last) {
            odd |= ordinal as usize > self.before;
            self.next_odd += 1;
        }
        let extra_filled =
            fields > columns && (self.dropped_filled || self.any_filled(self.before + columns + 1, last + 1));
        self.kept = last + 1;
        Found { ordinal: self.before as u32, fields, odd, extra_filled }
    }

    /// Whether a field of the ordinals `[from, to)` is filled.
    #[cold]
    fn any_filled(&self, from: usize, to: usize) -> bool {
        (from..to).any(|ordinal| self.structure.filled_from(ordinal) & 1 == 1)
    }

    /// Drops what is beyond the columns of the record under way, which has ended nowhere in the window just indexed; if it has, or
    /// something irregular was met, the surplus is one window's only.
    #[cold]
    fn drop_surplus(&mut self, columns: usize) {
        let index = self.index.as_ref().expect("it has just been extended");
        if self.structure.lines.len() > self.next_line || index.irregular {
            return;
        }
        let (from, length) = (self.before + columns + 1, self.structure.ends.len());
        self.dropped += length - from - 1;
        self.dropped_filled = self.dropped_filled || self.any_filled(from, length);
        // The latest stays: the next field starts behind it.
        let latest = self.structure.ends[length - 1];
        self.structure.ends.truncate(from);
        self.structure.push(latest, false);
        // An odd field makes its record odd, wherever it is: one of them is enough.
        let odd = &mut self.structure.odd;
        let beyond = odd.partition_point(|&ordinal| (ordinal as usize) < from);
        if beyond < odd.len() {
            odd[beyond] = from as u32;
            odd.truncate(beyond + 1);
            self.next_odd = self.next_odd.min(odd.len());
        }
    }

    /// By the automaton, from the end `before` on, which is the last one there is.
    fn by_automaton(&mut self, bytes: &[u8], place: Place) -> Scanned {
        let Self { automaton, structure, .. } = self;
        let mut found = Found { ordinal: self.before as u32, odd: true, ..Found::default() };
        let mut close = |start: usize, end: usize| {
            let filled = filled(&bytes[start..end], automaton.quote());
            found.fields += 1;
            if found.fields <= place.columns {
                structure.push(end as u32, filled);
            } else {
                found.extra_filled |= filled;
            }
        };
        let stop = bytes.len().min(place.second_mark);
        let window = &bytes[..stop];
        let (mut start, mut state, mut i) = (place.start, RECORD_START, place.start);
        loop {
            i = automaton.skip(state).find(window, i);
            if i >= stop {
                break;
            }
            state = automaton.next(state, window[i]);
            match state {
                FIELD_START => {
                    close(start, i + 1 - automaton.delimiter_bytes());
                    start = i + 1;
                }
                RECORD_START | CR_SEEN => {
                    let Some(end) = after_line_end(bytes, i, place.eof) else { return Scanned::More };
                    close(start, i);
                    return Scanned::Record { content: i, end, ended: End::Whole, found };
                }
                _ => {}
            }
            i += 1;
        }
        if place.second_mark < bytes.len() {
            return Scanned::Cut { mark: place.second_mark };
        }
        if !place.eof {
            return Scanned::More;
        }
        close(start, stop);
        let ended = if matches!(state, QUOTED | ESCAPE_SEEN) { End::OpenQuote } else { End::Whole };
        Scanned::Record { content: stop, end: stop, ended, found }
    }
}

/// Whether there is more to a field than quotes.
fn filled(raw: &[u8], quote: Option<u8>) -> bool {
    match raw {
        [] => false,
        &[open, close] => open != close || Some(open) != quote,
        _ => true,
    }
}
