//! The structural index of a buffer, made a window at a time as records are framed: where fields and records end.
//!
//! Invariant: positions are those at which the automaton ends a field or a record, as long as it started at a record's start and
//! nothing irregular was met; there it stops, says so, and must be started anew at a later record. Holds one window, so its
//! memory is bounded whatever the text.

use batteuse_shared::spec::Dialect;

use crate::arch::{self, Carry, Marks, Path};

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// A delimiter or a line end outside quotes, at this index of the buffer.
    At(usize),
    /// The buffer ends first; whether a quote is open there.
    End { in_quotes: bool },
    /// Something irregular comes first.
    Irregular,
}

/// An index under way.
#[derive(Debug)]
pub(crate) struct Index {
    path: Path,
    marks: Marks,
    /// Bytes indexed at a time.
    window_bytes: usize,
    positions: Vec<u32>,
    /// The next position to hand out.
    next: usize,
    /// Index of the first byte of the buffer that is not indexed yet.
    until: usize,
    carry: Carry,
    irregular: bool,
    /// Whether it stands at the start of a record of this buffer.
    started: bool,
}

impl Index {
    /// An index for texts of `dialect`; none when its records are the automaton's alone: its delimiter has several bytes, or a
    /// quote in a comment or behind an escape is no quote.
    pub(crate) fn new(dialect: &Dialect, path: Path, window_bytes: usize) -> Option<Self> {
        let &[delimiter] = dialect.delimiter.as_slice() else { return None };
        if dialect.comment.is_some() || (dialect.escape.is_some() && dialect.quote.is_some()) {
            return None;
        }
        Some(Self {
            path,
            window_bytes,
            marks: Marks { delimiter, quote: dialect.quote },
            positions: Vec::new(),
            next: 0,
            until: 0,
            carry: Carry::record_start(),
            irregular: false,
            started: false,
        })
    }

    /// The buffer has moved, or the automaton has gone ahead: what is known is of no use.
    pub(crate) fn forget(&mut self) {
        self.started = false;
    }

    /// Stands at the record that starts at index `start` of the buffer: goes on from the record before, or begins anew.
    pub(crate) fn record(&mut self, start: usize) {
        if self.started {
            // The LF of a CR LF, and blank lines, were passed over.
            while self.positions.get(self.next).is_some_and(|&at| (at as usize) < start) {
                self.next += 1;
            }
            // What lies before something irregular is good, and used up before the index begins anew.
            if self.next < self.positions.len() || (!self.irregular && start <= self.until) {
                return;
            }
        }
        self.positions.clear();
        (self.next, self.until, self.carry, self.irregular, self.started) =
            (0, start, Carry::record_start(), false, true);
    }

    /// The next position in `bytes`, the buffer.
    #[inline]
    pub(crate) fn next(&mut self, bytes: &[u8]) -> Next {
        loop {
            if let Some(&at) = self.positions.get(self.next) {
                self.next += 1;
                return Next::At(at as usize);
            }
            if self.irregular {
                return Next::Irregular;
            }
            if self.until == bytes.len() {
                return Next::End { in_quotes: self.carry.in_quotes() };
            }
            self.extend(bytes);
        }
    }

    /// Indexes one more window.
    #[inline(never)]
    fn extend(&mut self, bytes: &[u8]) {
        self.positions.clear();
        self.next = 0;
        let window = &bytes[self.until..bytes.len().min(self.until + self.window_bytes)];
        // A buffer holds less than 1 GiB.
        let base = self.until as u32;
        let indexed = arch::index(self.path, self.marks, window, base, &mut self.carry, &mut self.positions);
        self.irregular = indexed.is_err();
        self.until += window.len();
    }
}
