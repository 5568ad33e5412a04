//! One partition's parse as a machine that asks for bytes: seam, framing and decoding in one place, without I/O.
//!
//! Invariant: what it yields is a function of the bytes and of its [`Plan`]; the caller reads, encodes and stages.

use std::cmp::Ordering;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use batteuse_shared::limits::REJECT_RAW_BYTES_MAX;
use batteuse_shared::report::RejectKind;
use batteuse_shared::span::{ExitMap, Span, StateId};
use batteuse_shared::spec::{Dialect, Encoding, Ragged};
use batteuse_shared::table::{Classes, Column, Counts, Digest};
use batteuse_shared::task::Seam;
use sha2::{Digest as _, Sha256};

use crate::arch::Path;
use crate::automaton::{Automaton, End};
use crate::block::Index;
use crate::decode::Decoder;
use crate::frame::{Field, Form, Row, Rows};
use crate::framer::{self, Found, Place, Scanned, after_line_end, count_lines};
use crate::seam::Lockstep;

/// What to parse and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Settled dialect.
    pub dialect: Dialect,
    /// What to do with ragged records.
    pub ragged: Ragged,
    /// Columns, in file order.
    pub columns: Vec<Column>,
    /// The planned range `[a, b)`.
    pub range: Span,
    /// Size of the source.
    pub source_bytes: u64,
    /// The true state before byte `a`, where it is known.
    pub start: Option<StateId>,
    /// The record cap K.
    pub record_bytes_max: u64,
    /// Bytes of one read; the buffer holds about this much, more only for a long record.
    pub read_bytes: usize,
    /// Most rows of one batch.
    pub batch_rows_max: usize,
    /// Fields at which a batch ends.
    pub batch_fields_max: usize,
    /// Bytes indexed at a time.
    pub index_bytes: usize,
    /// Vector instructions to use.
    pub path: Path,
}

/// A record set aside, with numbers relative to the span it starts in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Physical lines between the span's start and the record.
    pub line: u64,
    /// Records between the span's start and the record.
    pub record: u64,
    /// Absolute offset of its first byte.
    pub byte_offset: u64,
    /// Bytes, line end included.
    pub byte_length: u64,
    /// The column to blame, from 0, where one is.
    pub column: Option<u32>,
    /// What is wrong.
    pub kind: RejectKind,
    /// What is wrong, in words.
    pub message: String,
    /// The record's bytes without its line end; of a cut record the first 64 KiB.
    pub raw: Vec<u8>,
}

/// Some records of the span, in order.
#[derive(Debug)]
pub struct Batch {
    /// Rows; none when a value did not fit its column's guessed type, now or earlier in this attempt.
    pub rows: Option<RecordBatch>,
    /// Digest of the rows.
    pub digest: Digest,
    /// Records set aside.
    pub rejects: Vec<Reject>,
}

/// The end of a parse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The first boundary in the range under the start state taken.
    pub first: Option<u64>,
    /// The span; empty at the range's end when `first` is none.
    pub span: Span,
    /// Exits of the range.
    pub exits: ExitMap,
    /// Counts over the span.
    pub counts: Counts,
    /// Summary of each column.
    pub summaries: Vec<Classes>,
    /// Whether every value fitted the types of the plan.
    pub fits: bool,
    /// How the start was known.
    pub seam: Seam,
}

/// What the machine does next.
#[derive(Debug)]
pub enum Progress {
    /// It wants up to `bytes` bytes from `offset`: fill [`PartitionParse::space`], then call [`PartitionParse::filled`].
    Wants {
        /// Absolute offset.
        offset: u64,
        /// At least 1; never beyond the end of the source.
        bytes: usize,
    },
    /// Here are some records.
    Batch(Batch),
    /// The span is parsed to its end. Further calls say the same.
    Done(Box<Done>),
}

/// Bytes of a read beyond the range's end, where only the last record's rest is wanted. Doubles with the record.
const TAIL_READ_BYTES: usize = 64 << 10;

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

/// A record being cut, streamed away to the next line end.
#[derive(Debug)]
struct Cut {
    row: Row,
    bytes: u64,
    raw: Vec<u8>,
    sha256: Sha256,
    after_cr: bool,
}

impl Cut {
    fn take(&mut self, bytes: &[u8]) {
        let room = REJECT_RAW_BYTES_MAX.saturating_sub(self.raw.len());
        self.raw.extend_from_slice(&bytes[..room.min(bytes.len())]);
        self.sha256.update(bytes);
        self.bytes += bytes.len() as u64;
    }
}

/// The machine.
pub struct PartitionParse {
    plan: Plan,
    automaton: Automaton,
    /// None where the automaton frames alone.
    index: Option<Index>,
    decoder: Decoder,
    lockstep: Lockstep,
    taken: StateId,
    mode: Mode,
    /// Bytes of the source from `base` on; the first `held` are valid.
    buffer: Vec<u8>,
    base: u64,
    held: usize,
    /// Index in the buffer of the next byte to frame.
    pos: usize,
    /// Index up to which the buffer is known to be valid UTF-8, counted from the last record checked.
    utf8_until: usize,
    first: Option<u64>,
    counts: Counts,
    fields: Vec<Field>,
    rows: Vec<Row>,
    rejects: Vec<Reject>,
}

impl PartitionParse {
    /// A machine at the start of its plan.
    #[must_use]
    pub fn new(plan: Plan) -> Self {
        let automaton = Automaton::new(&plan.dialect, plan.record_bytes_max);
        let decoder = Decoder::new(&plan.columns, &plan.dialect);
        let (a, mode) = match plan.start {
            Some(_) => (plan.range.start, Mode::Seeking),
            None => (plan.range.start.saturating_sub(1), Mode::Guessing),
        };
        let starts = plan.start.map_or_else(|| automaton.states(), |state| vec![state]);
        Self {
            lockstep: Lockstep::new(&starts, plan.range.start),
            taken: plan.start.unwrap_or(automaton.record_start()),
            mode,
            buffer: Vec::new(),
            base: a,
            held: 0,
            pos: 0,
            utf8_until: 0,
            first: None,
            counts: Counts::default(),
            fields: Vec::new(),
            rows: Vec::new(),
            rejects: Vec::new(),
            index: Index::new(&plan.dialect, plan.path, plan.index_bytes),
            automaton,
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
            if (hungry || self.full())
                && let Some(batch) = self.flush()
            {
                return Progress::Batch(batch);
            }
            if hungry && !matches!(self.mode, Mode::Ended) {
                return self.want();
            }
        }
    }

    /// Whether a batch is to end here. Fields count too: padding makes many out of few bytes.
    fn full(&self) -> bool {
        let rows = self.rows.len().max(self.rejects.len());
        rows >= self.plan.batch_rows_max || self.fields.len() >= self.plan.batch_fields_max
    }

    /// Where the bytes wanted go; exactly as long as wanted.
    pub fn space(&mut self) -> &mut [u8] {
        &mut self.buffer[self.held..]
    }

    /// Tells that the first `bytes` of [`PartitionParse::space`] were filled; less than wanted only if the read was short.
    pub fn filled(&mut self, bytes: usize) {
        debug_assert!(self.held + bytes <= self.buffer.len(), "no more than wanted");
        self.held += bytes;
    }

    fn end(&self) -> u64 {
        self.base + self.held as u64
    }

    fn eof(&self) -> bool {
        self.end() == self.plan.source_bytes
    }

    /// Drops what is framed, and says what comes next.
    fn want(&mut self) -> Progress {
        self.forget();
        self.buffer.copy_within(self.pos..self.held, 0);
        self.base += self.pos as u64;
        self.held -= self.pos;
        self.utf8_until = self.utf8_until.saturating_sub(self.pos);
        self.pos = 0;
        let offset = self.end();
        debug_assert!(offset < self.plan.source_bytes, "the end of the source ends every mode");
        let inside = self.plan.range.end.saturating_sub(offset);
        let most = if inside > 0 { inside } else { self.held.max(TAIL_READ_BYTES) as u64 };
        let most = most.min(self.plan.read_bytes as u64).max(1).min(self.plan.source_bytes - offset);
        self.buffer.resize(self.held + most as usize, 0);
        Progress::Wants { offset, bytes: most as usize }
    }

    /// The index is of no use any more: the buffer has moved, or a record was cut.
    fn forget(&mut self) {
        if let Some(index) = &mut self.index {
            index.forget();
        }
    }

    /// Lets the seam follow the bytes that are there, and turns to the rows once their first boundary is known.
    fn follow(&mut self) {
        let b = self.plan.range.end;
        if matches!(self.mode, Mode::Guessing) {
            if self.held == 0 {
                return;
            }
            self.taken = self.automaton.guess(self.buffer[0]);
            self.mode = Mode::Seeking;
        }
        let here = self.end().min(b);
        if !self.lockstep.settled() && self.lockstep.at() < here {
            let bytes = &self.buffer[(self.lockstep.at() - self.base) as usize..(here - self.base) as usize];
            self.lockstep.feed(&self.automaton, bytes);
        }
        if matches!(self.mode, Mode::Seeking) {
            self.first = self.lockstep.first(self.taken);
            self.pos = (self.first.unwrap_or(self.lockstep.at()) - self.base) as usize;
            self.mode = match self.first {
                Some(_) => Mode::Rows,
                None if self.lockstep.at() >= b => Mode::Ended,
                None => Mode::Seeking,
            };
        }
        let at = self.base + self.pos as u64;
        if self.lockstep.settled() && self.lockstep.at() < b && self.end() >= b && at <= b {
            let state = match self.mode {
                Mode::Comment => self.automaton.in_comment(),
                Mode::Cutting(_) => self.automaton.skipping(),
                _ => self.automaton.record_start(),
            };
            self.lockstep.resume(&self.automaton, state, at, &self.buffer[self.pos..(b - self.base) as usize]);
        }
    }

    /// Frames what the buffer holds. True when it wants more bytes (or the span has ended).
    fn frame(&mut self) -> bool {
        while !self.full() {
            let at = self.base + self.pos as u64;
            if at >= self.plan.range.end {
                self.mode = Mode::Ended;
                return true;
            }
            if self.pos == self.held {
                return true;
            }
            let byte = self.buffer[self.pos];
            if matches!(byte, b'\n' | b'\r') {
                let Some(end) = after_line_end(&self.buffer[..self.held], self.pos, self.eof()) else { return true };
                self.counts.blank += 1;
                self.counts.lines += 1;
                self.pos = end;
            } else if self.automaton.comments(byte) {
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
    fn record(&mut self, at: u64) -> bool {
        let second_mark = self.automaton.mark_after(self.automaton.mark_after(at));
        let mark_index = usize::try_from(second_mark - self.base).unwrap_or(usize::MAX);
        let kept = self.fields.len();
        let bytes = &self.buffer[..self.held];
        let eof = self.base + self.held as u64 == self.plan.source_bytes;
        let columns = self.plan.columns.len();
        let place = Place { start: self.pos, second_mark: mark_index, eof };
        let indexed = self
            .index
            .as_mut()
            .and_then(|index| framer::scan_indexed(index, &self.automaton, bytes, place, columns, &mut self.fields));
        let scanned = indexed.unwrap_or_else(|| {
            self.fields.truncate(kept);
            framer::scan(&self.automaton, bytes, place, columns, &mut self.fields)
        });
        let row = Row { offset: at, bytes: 0, line: self.counts.lines, record: self.counts.read };
        match scanned {
            Scanned::More => {
                self.fields.truncate(kept);
                return false;
            }
            Scanned::Cut { mark } => {
                self.fields.truncate(kept);
                self.forget();
                self.cut(row, mark);
            }
            Scanned::Record { content, end, ended, found } => {
                let row = Row { bytes: (end - self.pos) as u32, ..row };
                let plain = u64::from(content < end);
                self.counts.lines += if found.quoted { count_lines(&bytes[self.pos..end]) } else { plain };
                self.counts.read += 1;
                match self.verdict(kept, content, end, ended, found) {
                    None => self.rows.push(row),
                    Some((kind, message)) => {
                        self.fields.truncate(kept);
                        let raw = self.buffer[self.pos..content].to_vec();
                        self.reject(row, u64::from(row.bytes), None, kind, message, raw);
                    }
                }
                self.pos = end;
            }
        }
        true
    }

    /// What is wrong with the record whose fields begin at `kept`, if anything; pads it where the plan says so.
    fn verdict(
        &mut self,
        kept: usize,
        content: usize,
        end: usize,
        ended: End,
        found: Found,
    ) -> Option<(RejectKind, String)> {
        if ended == End::OpenQuote {
            // It may have swallowed half the file, and a tolerance in percent must see that.
            self.counts.cut_bytes += (end - self.pos) as u64;
            return Some((
                RejectKind::UnterminatedQuote,
                "a quoted field is still open at the end of the file".to_owned(),
            ));
        }
        if let Some(bad) = self.invalid_utf8(end) {
            let at = bad - self.pos;
            return Some((RejectKind::InvalidEncoding, format!("byte {at} of the record is not valid UTF-8")));
        }
        let (columns, Found { fields: found, extra_filled, .. }) = (self.plan.columns.len(), found);
        match found.cmp(&columns) {
            Ordering::Equal => None,
            Ordering::Less if self.plan.ragged == Ragged::Pad => {
                let absent = Field::new(content, content, Form::Absent);
                self.fields.resize(kept + columns, absent);
                None
            }
            Ordering::Greater if self.plan.ragged == Ragged::Pad && !extra_filled => None,
            Ordering::Less => Some((RejectKind::MissingColumns, format!("expected {columns} fields, found {found}"))),
            Ordering::Greater => {
                Some((RejectKind::TooManyColumns, format!("expected {columns} fields, found {found}")))
            }
        }
    }

    /// The index of the first byte of the record ending at `end` that is not valid UTF-8, if the source is UTF-8.
    fn invalid_utf8(&mut self, end: usize) -> Option<usize> {
        if self.plan.dialect.encoding != Encoding::Utf8 || end <= self.utf8_until {
            return None;
        }
        self.utf8_until = match std::str::from_utf8(&self.buffer[self.pos..self.held]) {
            Ok(_) => self.held,
            Err(bad) => self.pos + bad.valid_up_to(),
        };
        (self.utf8_until < end).then_some(self.utf8_until)
    }

    fn cut(&mut self, row: Row, mark: usize) {
        let head = &self.buffer[self.pos..mark];
        let after_cr = head.last() == Some(&b'\r');
        self.counts.lines += count_lines(head);
        let mut cut = Cut { row, bytes: 0, raw: Vec::new(), sha256: Sha256::new(), after_cr };
        cut.take(head);
        self.pos = mark;
        self.counts.read += 1;
        self.mode = Mode::Cutting(Box::new(cut));
    }

    /// Streams the rest of a cut record away. True when it wants more bytes.
    fn pass_cut(&mut self) -> bool {
        let Mode::Cutting(mut cut) = std::mem::replace(&mut self.mode, Mode::Rows) else {
            unreachable!("called in this mode only")
        };
        let bytes = &self.buffer[..self.held];
        let hit = memchr::memchr2(b'\n', b'\r', &bytes[self.pos..]).map(|i| self.pos + i);
        let content = hit.unwrap_or(self.held);
        let end = hit.map_or(Some(self.held).filter(|_| self.eof()), |i| after_line_end(bytes, i, self.eof()));
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
        let message = format!(
            "the record is longer than the cap allows and was cut: {} bytes, sha256 {:x}",
            cut.bytes,
            cut.sha256.finalize()
        );
        self.pos = end;
        self.reject(cut.row, length, None, RejectKind::RecordTooLong, message, cut.raw);
        false
    }

    /// Streams the rest of a comment line away. True when it wants more bytes.
    fn pass_comment(&mut self) -> bool {
        let bytes = &self.buffer[..self.held];
        let hit = memchr::memchr2(b'\n', b'\r', &bytes[self.pos..]).map(|i| self.pos + i);
        let end = hit.map_or(Some(self.held).filter(|_| self.eof()), |i| after_line_end(bytes, i, self.eof()));
        self.pos = end.or(hit).unwrap_or(self.held);
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
    fn flush(&mut self) -> Option<Batch> {
        if self.rows.is_empty() && self.rejects.is_empty() {
            return None;
        }
        let framed = Rows {
            bytes: &self.buffer[..self.held],
            base: self.base,
            fields: &self.fields,
            columns: self.plan.columns.len(),
            rows: &self.rows,
            quote: self.automaton.quote(),
            escape: self.automaton.escape(),
        };
        let decoded = self.decoder.decode(&framed);
        let mut missed = Vec::with_capacity(decoded.misses.len());
        for miss in decoded.misses {
            missed.push((self.rows[miss.row], miss.column, miss.message, framed.content(miss.row).to_vec()));
        }
        for (row, column, message, raw) in missed {
            self.reject(row, u64::from(row.bytes), Some(column), RejectKind::Cast, message, raw);
        }
        self.counts.written += decoded.written;
        self.fields.clear();
        self.rows.clear();
        let mut rejects = std::mem::take(&mut self.rejects);
        rejects.sort_by_key(|r| r.record);
        Some(Batch { rows: decoded.rows, digest: decoded.digest, rejects })
    }

    fn done(&self) -> Done {
        let b = self.plan.range.end;
        debug_assert!(self.lockstep.at() >= b, "the seam has followed the whole range");
        let span = match self.first {
            Some(first) => Span::new(first, self.base + self.pos as u64),
            None => Span::new(b, b),
        };
        Done {
            first: self.first,
            span,
            exits: self.lockstep.exits(),
            counts: self.counts,
            summaries: self.decoder.summaries().to_vec(),
            fits: self.decoder.fits(),
            seam: Seam { given: self.plan.start.is_some(), merged_after: self.lockstep.merged_after() },
        }
    }
}
