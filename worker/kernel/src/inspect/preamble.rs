//! What lies before the first record: byte order mark, a spreadsheet's `sep=` line, skipped lines, blank and comment lines.
//!
//! Invariant: skipped lines are physical lines, ended by LF, CR LF or a lone CR, quotes or not. Bounded by
//! `limits::PREAMBLE_BYTES_MAX`; reads no field.

use batteuse_shared::limits;
use batteuse_shared::spec::Csv;

use super::Stop;
use super::refusal::{Emptiness, Refusal};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Where things start in the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Preamble {
    /// Whether a byte order mark opens the file.
    pub(super) bom: bool,
    /// After byte order mark, `sep=` line and skipped lines.
    pub(super) body: usize,
    /// The first byte of the first record.
    pub(super) first: usize,
}

/// Finds body and first record in `head`, the first bytes of a source of `source_bytes` bytes.
pub(super) fn locate(head: &[u8], source_bytes: u64, csv: &Csv) -> Result<Preamble, Stop> {
    let bom = head.starts_with(BOM);
    let mut body = if bom { BOM.len() } else { 0 };
    if csv.skip_lines == 0 {
        body = after_separator_line(head, body);
    }
    for _ in 0..csv.skip_lines {
        match next_line(head, body) {
            Some(next) => body = next,
            None => return Err(beyond(head, source_bytes, Emptiness::SkippedLines { skip: csv.skip_lines })),
        }
    }
    let mut first = body;
    while let Some(&byte) = head.get(first) {
        if !matches!(byte, b'\n' | b'\r') && Some(byte) != csv.comment_byte() {
            if first as u64 > limits::PREAMBLE_BYTES_MAX {
                return Err(Refusal::PreambleTooLong.into());
            }
            return Ok(Preamble { bom, body, first });
        }
        first = next_line(head, first).unwrap_or(head.len());
    }
    let nothing = match (head.len(), csv.skip_lines) {
        (0, _) => Emptiness::NoBytes,
        (3, _) if bom => Emptiness::Bom,
        (_, skip) if skip > 0 && body == head.len() => Emptiness::SkippedLines { skip },
        _ => Emptiness::BlankLines,
    };
    Err(beyond(head, source_bytes, nothing))
}

/// The offset after a first line `sep=;`, which spreadsheet programs write and hide; `body` where there is none.
fn after_separator_line(head: &[u8], body: usize) -> usize {
    match &head[body..] {
        [b's' | b'S', b'e' | b'E', b'p' | b'P', b'=', separator, b'\n' | b'\r', ..]
            if !separator.is_ascii_alphanumeric() =>
        {
            next_line(head, body).unwrap_or(body)
        }
        _ => body,
    }
}

/// The head ends before what is looked for: the file does too, or more of it is needed.
fn beyond(head: &[u8], source_bytes: u64, nothing: Emptiness) -> Stop {
    let read = head.len() as u64;
    if read >= source_bytes {
        Refusal::EmptyFile(nothing).into()
    } else if read > limits::PREAMBLE_BYTES_MAX {
        Refusal::PreambleTooLong.into()
    } else {
        Stop::NeedsHead(source_bytes.min((read * 2).min(limits::PREAMBLE_BYTES_MAX + 1)))
    }
}

/// The offset after the line end at or after `from`; none when the head does not show where the line ends.
fn next_line(head: &[u8], from: usize) -> Option<usize> {
    let end = from + memchr::memchr2(b'\n', b'\r', &head[from..])?;
    if head[end] == b'\r' && head.get(end + 1) == Some(&b'\n') { Some(end + 2) } else { Some(end + 1) }
}

/// Physical lines that end in `bytes`, which does not end between a CR and its LF.
pub(super) fn lines(bytes: &[u8]) -> u64 {
    let ends = memchr::memchr2_iter(b'\n', b'\r', bytes);
    ends.filter(|&i| bytes[i] == b'\n' || bytes.get(i + 1) != Some(&b'\n')).count() as u64
}
