//! The structural index of a buffer under way: which part of a buffer is indexed, and how the next part is.
//!
//! Invariant: what it appends is what the automaton would find, as long as it started at a record's start and nothing irregular
//! was met; there it stops, says so, and must be started anew at a later record. It goes ahead of framing by one window.

use batteuse_shared::spec::Dialect;

use crate::arch::{self, Carry, Marks, Path, Structure};

/// Bytes of the first window after a start: what lies ahead of an irregular record may be irregular too, and be indexed in vain.
const WINDOW_BYTES_MIN: usize = 512;

/// An index under way.
#[derive(Debug)]
pub(crate) struct Index {
    path: Path,
    marks: Marks,
    /// Most bytes indexed at a time.
    window_bytes_max: usize,
    /// Bytes to index next; doubles.
    window_bytes: usize,
    /// Index of the first byte of the buffer that is not indexed yet.
    pub(crate) until: usize,
    carry: Carry,
    /// Whether something irregular lies at `until`.
    pub(crate) irregular: bool,
    /// Whether it stands in this buffer.
    pub(crate) started: bool,
}

impl Index {
    /// An index for texts of `dialect`; none when its records are the automaton's alone: its delimiter has several bytes.
    pub(crate) fn new(dialect: &Dialect, path: Path, window_bytes_max: usize) -> Option<Self> {
        let &[delimiter] = dialect.delimiter.as_slice() else { return None };
        Some(Self {
            path,
            window_bytes_max,
            window_bytes: window_bytes_max,
            marks: Marks { delimiter, quote: dialect.quote, escape: dialect.escape },
            until: 0,
            carry: Carry::record_start(),
            irregular: false,
            started: false,
        })
    }

    /// The buffer's first `by` bytes are dropped.
    pub(crate) fn shift(&mut self, by: usize) {
        // What lies behind the bytes dropped was not looked at, if even that was: it begins anew.
        self.started &= by <= self.until;
        self.until = self.until.saturating_sub(by);
    }

    /// What it knows is of no use, as something has gone ahead of it, and may do so again.
    pub(crate) fn stumble(&mut self) {
        self.started = false;
        self.window_bytes = WINDOW_BYTES_MIN.min(self.window_bytes_max);
    }

    /// Begins at the record that starts at index `start` of the buffer.
    pub(crate) fn start(&mut self, start: usize) {
        (self.until, self.carry, self.irregular, self.started) = (start, Carry::record_start(), false, true);
    }

    /// Whether a quote is open at the end of what is indexed.
    pub(crate) fn in_quotes(&self) -> bool {
        self.carry.in_quotes()
    }

    /// Indexes one more window of `bytes`, the buffer.
    #[inline(never)]
    pub(crate) fn extend(&mut self, bytes: &[u8], out: &mut Structure) {
        let window = &bytes[self.until..bytes.len().min(self.until + self.window_bytes)];
        // A buffer holds less than 1 GiB.
        let indexed = arch::index(self.path, self.marks, window, self.until as u32, &mut self.carry, out);
        self.irregular = indexed.is_err();
        self.until += window.len();
        self.window_bytes = (2 * self.window_bytes).min(self.window_bytes_max);
    }
}
