//! One partition's parse as a machine that asks for bytes: seam, framing and decoding in one place, without I/O.
//!
//! Invariant: what it yields is a function of the bytes and of its [`Plan`]; the caller reads, encodes and stages.

mod cut;
mod plan;
mod window;

use std::cmp::Ordering;

use arrow_schema::SchemaRef;
use batteuse_shared::limits::READ_BYTES_GROWN_MAX;
use batteuse_shared::report::RejectKind;
use batteuse_shared::span::{Span, StateId};
use batteuse_shared::spec::{Encoding, Ragged};
use batteuse_shared::table::Counts;
use batteuse_shared::task::Seam;
use bytes::Bytes;

use self::cut::Cut;
pub use self::plan::{Batch, Done, Placed, Plan, Progress, Reject};
use self::window::Window;
use crate::automaton::{Automaton, End};
use crate::decode::Decoder;
use crate::frame::{BLOCK_ROWS, Row, Rows};
use crate::framer::{Found, Framer, Place, Scanned, after_line_end, count_lines};
use crate::seam::Lockstep;

/// Bytes of a read beyond the range's end, where only the last record's rest is wanted. Doubles with the record.
const TAIL_READ_BYTES: usize = 64 << 10;
/// Bytes validated as UTF-8 at a time: they stay in the nearest caches.
const VALIDATED_BYTES: usize = 16 << 10;

/// Where the parse stands.
#[derive(Debug)]
enum Mode {
    /// The byte before the range is wanted, to guess a start.
    Guessing,
    /// The first boundary is not met yet.
    Seeking,
    /// At a boundary: a record, a blank line, a comment or the span's end comes next.
    Rows,
    /// Inside a comment line.
    Comment,
    /// Behind the second mark of a record.
    Cutting(Box<Cut>),
    /// The span is parsed.
    Ended,
}

/// The machine.
pub struct PartitionParse {
    plan: Plan,
    framer: Framer,
    decoder: Decoder,
    lockstep: Lockstep,
    taken: StateId,
    mode: Mode,
    window: Window,
    /// Index in the window of the next byte to frame.
    pos: usize,
    /// Index up to which the window is known to be valid UTF-8, counted from the last record checked.
    utf8_until: usize,
    first: Option<u64>,
    /// Where the record or blank line lies that was looked at last.
    last: u64,
    /// The first mark behind the latest record: a division, so not one for each record.
    mark: u64,
    counts: Counts,
    /// Framed and not decoded yet, at most a block.
    rows: Vec<Row>,
    /// Bytes of the records of the batch.
    batch_bytes: usize,
    rejects: Vec<Reject>,
    /// Of the rows of the batch that are decoded, if they are asked for.
    places: Vec<Placed>,
}

impl PartitionParse {
    /// A machine at the start of its plan.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let automaton = Automaton::new(&plan.dialect, plan.record_bytes_max);
        let decoder = Decoder::new(&plan.columns, &plan.read, &plan.dialect, plan.path);
        let (a, mode) = match plan.start {
            Some(_) => (plan.range.start, Mode::Seeking),
            None => (plan.range.start.saturating_sub(1), Mode::Guessing),
        };
        let starts = plan.start.map_or_else(|| automaton.states(), |state| vec![state]);
        Self {
            lockstep: Lockstep::new(&starts, plan.range.start),
            taken: plan.start.unwrap_or(automaton.record_start()),
            mode,
            window: Window::new(a, plan.index_bytes.max(1)),
            pos: 0,
            utf8_until: 0,
            first: None,
            last: 0,
            mark: 0,
            counts: Counts::default(),
            rows: Vec::new(),
            batch_bytes: 0,
            rejects: Vec::new(),
            places: Vec::new(),
            framer: Framer::new(automaton, &plan.dialect, plan.path, plan.index_bytes),
            decoder,
            plan,
        }
    }

    /// Schema of the batches.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.decoder.schema()
    }

    /// The next step.
    pub fn step(&mut self) -> Progress {
        loop {
            self.follow();
            let hungry = match self.mode {
                Mode::Guessing | Mode::Seeking => true,
                Mode::Rows => self.frame(),
                Mode::Comment => self.pass_comment(),
                Mode::Cutting(_) => self.pass_cut(),
                Mode::Ended => {
                    return match self.flush() {
                        Some(batch) => Progress::Batch(batch),
                        None => Progress::Done(Box::new(self.done())),
                    };
                }
            };
            if (self.full() || hungry && self.retains_much())
                && let Some(batch) = self.flush()
            {
                return Progress::Batch(batch);
            }
            if hungry && !matches!(self.mode, Mode::Ended) {
                if self.window.is_lent() {
                    // Rows that wait for their block to fill would have to be copied.
                    self.decode();
                }
                if !self.advance() {
                    return self.want();
                }
            }
        }
    }

    /// Whether a batch is to end here. Fields count too: padding makes many out of few bytes.
    fn full(&self) -> bool {
        let rows = self.decoder.rows() + self.rows.len();
        let fields = rows * self.plan.columns.len();
        rows.max(self.rejects.len()) >= self.plan.batch_rows_max
            || fields >= self.plan.batch_fields_max
            || self.batch_bytes >= self.plan.batch_bytes_max
    }

    /// Index of the first byte that is still needed: that of the first record that is not decoded, or what comes next.
    fn needed(&self) -> usize {
        self.rows.first().map_or(self.pos, |row| (row.offset - self.window.base()) as usize)
    }

    /// Whether records wait for their block to fill that are better decoded before the buffer grows, though the batch ends then.
    fn retains_much(&self) -> bool {
        !matches!(self.mode, Mode::Rows) || self.pos - self.needed() > self.plan.batch_bytes_max
    }

    /// Where the bytes wanted go; exactly as long as wanted.
    pub fn space(&mut self) -> &mut [u8] {
        self.window.space()
    }

    /// Where the first record of the span begins, under the start that is given or guessed; none before it is met. Known when a batch
    /// with rows comes.
    #[must_use]
    pub fn first(&self) -> Option<u64> {
        self.first
    }

    /// Lets the range end at `end` instead, so that somebody else may parse what lies behind. False, and nothing is changed, when bytes
    /// behind it were asked for already, or the range ends before it.
    pub fn shorten(&mut self, end: u64) -> bool {
        let fits = self.plan.range.start < end && self.window.asked() <= end && end < self.plan.range.end;
        if fits && !matches!(self.mode, Mode::Ended) {
            self.plan.range = Span::new(self.plan.range.start, end);
            return true;
        }
        false
    }

    /// Offset up to which the span is framed; of meaning once [`PartitionParse::first`] is known. All before it belongs to records,
    /// blank lines and comments that begin in the span.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.window.base() + self.pos as u64
    }

    /// Tells that the first `bytes` of [`PartitionParse::space`] were filled; less than wanted only if the read was short.
    pub fn filled(&mut self, bytes: usize) {
        self.window.filled(bytes);
    }

    /// Takes memory that holds the bytes wanted, or the first of them, instead of a copy in [`PartitionParse::space`]. It is given back
    /// by the time more is wanted. Pieces should be whole: what finishes a long record is copied piece by piece.
    ///
    /// # Panics
    /// When it is longer than was wanted.
    pub fn lend(&mut self, bytes: Bytes) {
        self.window.lend(bytes);
    }

    fn end(&self) -> u64 {
        self.window.end()
    }

    fn eof(&self) -> bool {
        self.end() == self.plan.source_bytes
    }

    /// Has more of what was lent at hand. False when there is no more.
    fn advance(&mut self) -> bool {
        let needed = self.needed();
        let moved = self.window.advance(needed);
        self.shift(moved.unwrap_or(0));
        moved.is_some()
    }

    /// The window's first `by` bytes were dropped.
    fn shift(&mut self, by: usize) {
        if self.rows.is_empty() {
            self.framer.release();
        }
        self.framer.shift(by);
        self.utf8_until = self.utf8_until.saturating_sub(by);
        self.pos -= by;
    }

    /// Drops what is framed, and says what comes next.
    fn want(&mut self) -> Progress {
        let (offset, needed) = (self.end(), self.needed());
        debug_assert!(offset < self.plan.source_bytes, "the end of the source ends every mode");
        let inside = self.plan.range.end.saturating_sub(offset);
        // A record longer than a read may be looked at from its start again: reads double with it, up to a bound.
        let doubled = (self.window.bytes().len() - needed).min(READ_BYTES_GROWN_MAX) as u64;
        let most = if inside > 0 {
            inside.min(doubled.max(self.plan.read_bytes as u64))
        } else {
            doubled.max(TAIL_READ_BYTES as u64)
        };
        let most = most.max(1).min(self.plan.source_bytes - offset) as usize;
        self.window.want(needed, most);
        self.shift(needed);
        Progress::Wants { offset, bytes: most }
    }

    /// Lets the seam follow the bytes that are there, and turns to the rows once their first boundary is known.
    fn follow(&mut self) {
        let b = self.plan.range.end;
        if matches!(self.mode, Mode::Guessing) {
            let Some(&before) = self.window.bytes().first() else { return };
            self.taken = self.framer.automaton().guess(before);
            self.mode = Mode::Seeking;
        }
        let here = self.end().min(b);
        if !self.lockstep.settled() && self.lockstep.at() < here {
            let bytes = &self.window.bytes()
                [(self.lockstep.at() - self.window.base()) as usize..(here - self.window.base()) as usize];
            self.lockstep.feed(self.framer.automaton(), bytes);
        }
        if matches!(self.mode, Mode::Seeking) {
            self.first = self.lockstep.first(self.taken);
            self.pos = (self.first.unwrap_or(self.lockstep.at()) - self.window.base()) as usize;
            self.mode = match self.first {
                Some(_) => Mode::Rows,
                None if self.lockstep.at() >= b => Mode::Ended,
                None => Mode::Seeking,
            };
        }
        // A comment and a record that is cut may be streamed away over the range's end; other records are whole there.
        let automaton = self.framer.automaton();
        match self.mode {
            Mode::Comment => self.leave(automaton.in_comment(), self.window.base() + self.pos as u64),
            Mode::Cutting(_) => self.leave(automaton.skipping(), self.window.base() + self.pos as u64),
            _ => {}
        }
    }

    /// Lets a settled seam go on to the range's end, if it is there, from `at`, where the parse is in `state`.
    fn leave(&mut self, state: StateId, at: u64) {
        let b = self.plan.range.end;
        if self.lockstep.settled() && self.lockstep.at() < b && self.end() >= b && at <= b {
            let bytes = &self.window.bytes()[(at - self.window.base()) as usize..(b - self.window.base()) as usize];
            self.lockstep.resume(self.framer.automaton(), state, at, bytes);
        }
    }

    /// Frames what the buffer holds. True when it wants more bytes (or the span has ended).
    fn frame(&mut self) -> bool {
        while !self.full() {
            let at = self.window.base() + self.pos as u64;
            if at >= self.plan.range.end {
                self.leave(self.framer.automaton().record_start(), self.last);
                self.mode = Mode::Ended;
                return true;
            }
            self.last = at;
            if self.pos == self.window.bytes().len() {
                return true;
            }
            let byte = self.window.bytes()[self.pos];
            if matches!(byte, b'\n' | b'\r') {
                let Some(end) = after_line_end(self.window.bytes(), self.pos, self.eof()) else { return true };
                self.counts.blank += 1;
                self.counts.lines += 1;
                self.pos = end;
            } else if self.framer.automaton().comments(byte) {
                self.framer.stumble();
                self.mode = Mode::Comment;
                return false;
            } else if !self.record(at) {
                return true;
            } else if matches!(self.mode, Mode::Cutting(_)) {
                return false;
            }
        }
        false
    }

    /// Frames the record at `pos`; false when the buffer ends too early.
    #[inline(always)]
    fn record(&mut self, at: u64) -> bool {
        if at >= self.mark {
            self.mark = self.framer.automaton().mark_after(at);
        }
        let second_mark = self.framer.automaton().mark_after_mark(self.mark);
        let mark_index = usize::try_from(second_mark - self.window.base()).unwrap_or(usize::MAX);
        let bytes = self.window.bytes();
        let eof = self.window.base() + self.window.bytes().len() as u64 == self.plan.source_bytes;
        let columns = self.plan.columns.len();
        let place = Place { start: self.pos, second_mark: mark_index, eof, columns };
        let (line, record) = (self.counts.lines, self.counts.read);
        let row = Row { offset: at, bytes: 0, line, record, ordinal: 0, fields: 0, odd: false };
        match self.framer.record(bytes, place) {
            Scanned::More => return false,
            Scanned::Cut { mark } => {
                self.leave(self.framer.automaton().record_start(), at);
                self.cut(row, mark);
            }
            Scanned::Record { content, end, ended, found } => {
                let plain = u64::from(content < end);
                self.counts.lines += if found.odd { count_lines(&bytes[self.pos..end]) } else { plain };
                self.counts.read += 1;
                let fields = found.fields.min(columns) as u32;
                let (ordinal, odd) = (found.ordinal, found.odd);
                let row = Row { bytes: (end - self.pos) as u32, ordinal, fields, odd, ..row };
                match self.verdict(end, ended, found) {
                    None => self.rows.push(row),
                    Some((kind, message)) => {
                        let raw = self.window.bytes()[self.pos..content].to_vec();
                        self.reject(row, u64::from(row.bytes), None, kind, message, raw);
                    }
                }
                self.batch_bytes += end - self.pos;
                self.pos = end;
                if self.rows.len() == BLOCK_ROWS {
                    self.decode();
                }
            }
        }
        true
    }

    /// What is wrong with the record at `pos`, if anything.
    #[inline(always)]
    fn verdict(&mut self, end: usize, ended: End, found: Found) -> Option<(RejectKind, String)> {
        let pads = self.plan.ragged == Ragged::Pad;
        let fits = match found.fields.cmp(&self.plan.columns.len()) {
            Ordering::Equal => true,
            Ordering::Less => pads,
            Ordering::Greater => pads && !found.extra_filled,
        };
        let invalid = self.invalid_utf8(end);
        if fits && ended == End::Whole && invalid.is_none() { None } else { self.wrong(end, ended, found, invalid) }
    }

    /// What is wrong with the record at `pos`: something is.
    #[cold]
    fn wrong(&mut self, end: usize, ended: End, found: Found, invalid: Option<usize>) -> Option<(RejectKind, String)> {
        if ended == End::OpenQuote {
            // It may have swallowed half the file, and a tolerance in percent must see that.
            self.counts.cut_bytes += (end - self.pos) as u64;
            let message = "a quoted field is still open at the end of the file".to_owned();
            return Some((RejectKind::UnterminatedQuote, message));
        }
        if let Some(bad) = invalid {
            let at = bad - self.pos;
            return Some((RejectKind::InvalidEncoding, format!("byte {at} of the record is not valid UTF-8")));
        }
        let (columns, found) = (self.plan.columns.len(), found.fields);
        let kind = if found < columns { RejectKind::MissingColumns } else { RejectKind::TooManyColumns };
        Some((kind, format!("expected {columns} fields, found {found}")))
    }

    /// The index of the first byte of the record ending at `end` that is not valid UTF-8, if the source is UTF-8.
    #[inline(always)]
    fn invalid_utf8(&mut self, end: usize) -> Option<usize> {
        if end <= self.utf8_until || self.plan.dialect.encoding != Encoding::Utf8 { None } else { self.validate(end) }
    }

    /// Validates some more bytes, at least to `end`.
    #[inline(never)]
    fn validate(&mut self, end: usize) -> Option<usize> {
        // What is valid up to here ends with a whole character.
        let from = self.utf8_until.max(self.pos);
        let to = self.window.bytes().len().min(end.max(from + VALIDATED_BYTES));
        self.utf8_until = match simdutf8::compat::from_utf8(&self.window.bytes()[from..to]) {
            Ok(_) => to,
            Err(bad) => from + bad.valid_up_to(),
        };
        (self.utf8_until < end).then_some(self.utf8_until)
    }

    #[cold]
    fn cut(&mut self, row: Row, mark: usize) {
        self.framer.stumble();
        let head = &self.window.bytes()[self.pos..mark];
        self.counts.lines += count_lines(head);
        let cut = Cut::new(row, head);
        self.pos = mark;
        self.counts.read += 1;
        self.mode = Mode::Cutting(Box::new(cut));
    }

    /// Streams the rest of a cut record away. True when it wants more bytes.
    fn pass_cut(&mut self) -> bool {
        let Mode::Cutting(mut cut) = std::mem::replace(&mut self.mode, Mode::Rows) else {
            unreachable!("called in this mode only")
        };
        let bytes = self.window.bytes();
        let hit = memchr::memchr2(b'\n', b'\r', &bytes[self.pos..]).map(|i| self.pos + i);
        let content = hit.unwrap_or(self.window.bytes().len());
        let end = hit
            .map_or(Some(self.window.bytes().len()).filter(|_| self.eof()), |i| after_line_end(bytes, i, self.eof()));
        if content > self.pos {
            cut.after_cr = false;
        }
        cut.take(&bytes[self.pos..content]);
        self.pos = content;
        let Some(end) = end else {
            self.mode = Mode::Cutting(cut);
            return true;
        };
        let lf_of_crlf = cut.after_cr && bytes.get(content) == Some(&b'\n');
        self.counts.lines += u64::from(end > content && !lf_of_crlf);
        let length = cut.bytes + (end - content) as u64;
        self.counts.cut_bytes += length;
        let message = cut.message();
        self.pos = end;
        self.reject(cut.row, length, None, RejectKind::RecordTooLong, message, cut.raw);
        false
    }

    /// Streams the rest of a comment line away. True when it wants more bytes.
    fn pass_comment(&mut self) -> bool {
        let bytes = self.window.bytes();
        let hit = memchr::memchr2(b'\n', b'\r', &bytes[self.pos..]).map(|i| self.pos + i);
        let end = hit
            .map_or(Some(self.window.bytes().len()).filter(|_| self.eof()), |i| after_line_end(bytes, i, self.eof()));
        self.pos = end.or(hit).unwrap_or(self.window.bytes().len());
        if end.is_none() {
            return true;
        }
        self.counts.comment += 1;
        self.counts.lines += u64::from(hit.is_some());
        self.mode = Mode::Rows;
        false
    }

    fn reject(&mut self, row: Row, length: u64, column: Option<u32>, kind: RejectKind, message: String, raw: Vec<u8>) {
        self.counts.rejected += 1;
        self.rejects.push(Reject {
            line: row.line,
            record: row.record,
            byte_offset: row.offset,
            byte_length: length,
            column,
            kind,
            message,
            raw,
        });
    }

    /// Decodes what is framed.
    fn decode(&mut self) {
        let automaton = self.framer.automaton();
        let framed = Rows {
            // What lies behind the bytes held is read, and of no meaning.
            bytes: self.window.padded(),
            base: self.window.base(),
            structure: self.framer.structure(),
            columns: self.plan.columns.len(),
            rows: &self.rows,
            delimiter_bytes: automaton.delimiter_bytes() as u32,
            quote: automaton.quote(),
            escape: automaton.escape(),
        };
        let misses = self.decoder.add(&framed);
        if self.plan.placed {
            let mut missed = misses.iter().map(|miss| miss.row).peekable();
            let kept = self.rows.iter().enumerate().filter(|(at, _)| missed.next_if_eq(at).is_none());
            self.places.extend(kept.map(|(_, row)| Placed {
                line: row.line,
                record: row.record,
                byte_offset: row.offset,
                byte_length: u64::from(row.bytes),
            }));
        }
        let missed: Vec<_> = misses
            .into_iter()
            .map(|miss| (self.rows[miss.row], miss.column, miss.message, framed.content(miss.row).to_vec()))
            .collect();
        for (row, column, message, raw) in missed {
            self.reject(row, u64::from(row.bytes), Some(column), RejectKind::Cast, message, raw);
        }
        self.rows.clear();
        self.framer.release();
    }

    /// Ends the batch.
    fn flush(&mut self) -> Option<Batch> {
        self.decode();
        if self.decoder.rows() == 0 && self.rejects.is_empty() {
            return None;
        }
        self.batch_bytes = 0;
        let decoded = self.decoder.finish();
        self.counts.written += decoded.written;
        let mut rejects = std::mem::take(&mut self.rejects);
        rejects.sort_by_key(|r| r.record);
        Some(Batch { rows: decoded.rows, places: std::mem::take(&mut self.places), rejects })
    }

    fn done(&self) -> Done {
        let b = self.plan.range.end;
        debug_assert!(self.lockstep.at() >= b, "the seam has followed the whole range");
        let span = match self.first {
            Some(first) => Span::new(first, self.window.base() + self.pos as u64),
            None => Span::new(b, b),
        };
        Done {
            first: self.first,
            span,
            end: b,
            exits: self.lockstep.exits(),
            counts: self.counts,
            summaries: self.decoder.summaries().to_vec(),
            fits: self.decoder.fits(),
            seam: Seam { given: self.plan.start.is_some(), merged_after: self.lockstep.merged_after() },
        }
    }
}
