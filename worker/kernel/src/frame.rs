//! Records and fields of a buffer, as offsets: no byte is copied, nothing is decoded.
//!
//! Invariant: the records, fields, lines and verdicts are those of the automaton ([`crate::automaton::parse`]).

/// Where a field lies in its buffer, and how its value is read off it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    start: u32,
    end_and_form: u32,
}

const FORM_SHIFT: u32 = 30;
const END_MASK: u32 = (1 << FORM_SHIFT) - 1;

/// How a field is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Its bytes are its value.
    Plain,
    /// Its value lies between its first and its last byte, the quotes.
    Quoted,
    /// It holds a doubled quote, an escape, or bytes after its closing quote: it must be unescaped.
    Dirty,
    /// Its record is too short for it and was padded: it is null, whatever the null tokens are.
    Absent,
}

impl Field {
    /// A field at `[start, end)` of its buffer, which holds less than 1 GiB.
    #[must_use]
    pub fn new(start: usize, end: usize, form: Form) -> Self {
        debug_assert!(start <= end && end <= END_MASK as usize, "buffers hold less than 1 GiB");
        let form = match form {
            Form::Plain => 0,
            Form::Quoted => 1,
            Form::Dirty => 2,
            Form::Absent => 3,
        };
        Self { start: start as u32, end_and_form: end as u32 | form << FORM_SHIFT }
    }

    /// The field's bytes as they are in the source, quotes included.
    #[must_use]
    pub fn raw<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[self.start as usize..(self.end_and_form & END_MASK) as usize]
    }

    /// Whether there is more to it than quotes.
    pub(crate) fn is_filled(&self, bytes: &[u8]) -> bool {
        match self.form() {
            Form::Plain | Form::Absent => !self.raw(bytes).is_empty(),
            Form::Quoted => self.raw(bytes).len() > 2,
            Form::Dirty => true,
        }
    }

    /// How it is written.
    #[must_use]
    pub fn form(&self) -> Form {
        match self.end_and_form >> FORM_SHIFT {
            0 => Form::Plain,
            1 => Form::Quoted,
            2 => Form::Dirty,
            _ => Form::Absent,
        }
    }
}

/// A record's place, relative to its span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Absolute offset in the source.
    pub offset: u64,
    /// Bytes, line end included.
    pub bytes: u32,
    /// Physical lines between the span's start and this record.
    pub line: u64,
    /// Records between the span's start and this record.
    pub record: u64,
}

/// Well-formed records of one buffer: every one has exactly `columns` fields and is validly encoded.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'b> {
    /// The buffer.
    pub bytes: &'b [u8],
    /// Absolute offset of the buffer's first byte.
    pub base: u64,
    /// Fields, row after row.
    pub fields: &'b [Field],
    /// Fields of each row.
    pub columns: usize,
    /// Places of the records.
    pub rows: &'b [Row],
    /// The quote of the dialect.
    pub quote: Option<u8>,
    /// The escape of the dialect.
    pub escape: Option<u8>,
}

impl<'b> Rows<'b> {
    /// The value of a field as bytes of the source's encoding; `scratch` holds it when it must be unescaped. None for a
    /// field that padding added.
    #[inline]
    pub fn value<'s>(&self, row: usize, column: usize, scratch: &'s mut Vec<u8>) -> Option<&'s [u8]>
    where
        'b: 's,
    {
        let field = &self.fields[row * self.columns + column];
        let raw = field.raw(self.bytes);
        Some(match field.form() {
            Form::Plain => raw,
            Form::Quoted => &raw[1..raw.len() - 1],
            Form::Dirty => {
                unescape(raw, self.quote, self.escape, scratch);
                scratch
            }
            Form::Absent => return None,
        })
    }

    /// The first `N` bytes from a field's start on, and its length, when it is written plainly in so many at most, and the
    /// buffer goes on for as many.
    #[inline(always)]
    pub(crate) fn head<const N: usize>(&self, row: usize, column: usize) -> Option<([u8; N], usize)> {
        let field = &self.fields[row * self.columns + column];
        let (start, length) = (field.start as usize, field.end_and_form.wrapping_sub(field.start) as usize);
        // A form other than plain sets a high bit, so the length is out of range too.
        if length > N {
            return None;
        }
        Some((*self.bytes.get(start..)?.first_chunk()?, length))
    }

    /// A row's bytes as they are in the source, without its line end.
    #[must_use]
    pub fn content(&self, row: usize) -> &'b [u8] {
        let at = &self.rows[row];
        let start = (at.offset - self.base) as usize;
        let line = &self.bytes[start..start + at.bytes as usize];
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        line.strip_suffix(b"\r").unwrap_or(line)
    }
}

/// Writes the value of the quoted field `raw` into `out`, by literal quoting.
pub(crate) fn unescape(raw: &[u8], quote: Option<u8>, escape: Option<u8>, out: &mut Vec<u8>) {
    out.clear();
    let mut i = 1;
    while i < raw.len() {
        let byte = raw[i];
        if Some(byte) == escape {
            out.extend(raw.get(i + 1));
            i += 2;
        } else if Some(byte) != quote {
            out.push(byte);
            i += 1;
        } else if raw.get(i + 1).copied() == quote {
            out.push(byte);
            i += 2;
        } else {
            out.extend_from_slice(&raw[i + 1..]);
            return;
        }
    }
}
