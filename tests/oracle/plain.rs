//! The sequential parse a second time: record by record, by searching in slices, without states.
//!
//! Invariant: written from the definition, not from the automaton, with which it shares no code; only the types it
//! answers in are the same, so that the answers can be compared.

use batteuse_kernel::automaton::{End, OracleParse, OracleRecord};
use batteuse_shared::spec::Dialect;

/// Parses `bytes`, whose first byte lies at `offset` and starts a record, to their end. `cap` is K.
pub fn parse(dialect: &Dialect, cap: u64, bytes: &[u8], offset: u64) -> OracleParse {
    let mut out = OracleParse { lines: physical_lines(bytes), ..OracleParse::default() };
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        if line_end(rest) > 0 {
            out.blank += 1;
            at += line_end(rest);
        } else if Some(rest[0]) == dialect.comment {
            out.comment += 1;
            at += line(rest);
        } else {
            let start = offset + at as u64;
            let lines_before = physical_lines(&bytes[..at]);
            let (bytes, fields, ended) = record(dialect, rest, second_mark(start, cap));
            out.records.push(OracleRecord { start, end: start + bytes as u64, lines_before, fields, ended });
            at += bytes;
        }
    }
    out
}

/// How far behind `start` the second mark of a record lies: marks are the multiples of `cap` that come after its first byte.
fn second_mark(start: u64, cap: u64) -> usize {
    let mark = (u128::from(start) / u128::from(cap) + 2) * u128::from(cap);
    usize::try_from(mark - u128::from(start)).unwrap_or(usize::MAX)
}

/// Length, fields and end of the record at the start of `rest`.
fn record(dialect: &Dialect, rest: &[u8], second_mark: usize) -> (usize, Vec<Vec<u8>>, End) {
    let mut fields = Vec::new();
    let mut at = 0;
    let (content, open_quote) = loop {
        let (value, end, open_quote) = field(dialect, rest, at);
        fields.push(value);
        if !rest[end..].starts_with(&dialect.delimiter) {
            break (end, open_quote);
        }
        at = end + dialect.delimiter.len();
    };
    if second_mark <= content && second_mark < rest.len() {
        return (second_mark + line(&rest[second_mark..]), Vec::new(), End::Cut);
    }
    (content + line_end(&rest[content..]), fields, if open_quote { End::OpenQuote } else { End::Whole })
}

/// Value and end of the field at `at`, and whether its quote is still open there.
fn field(dialect: &Dialect, rest: &[u8], mut at: usize) -> (Vec<u8>, usize, bool) {
    let mut value = Vec::new();
    if let Some(quote) = dialect.quote.filter(|quote| rest.get(at) == Some(quote)) {
        at += 1;
        loop {
            let Some(&byte) = rest.get(at) else { return (value, at, true) };
            let next = rest.get(at + 1).copied();
            if Some(byte) == dialect.escape {
                value.extend(next);
                at += 1 + usize::from(next.is_some());
            } else if byte != quote {
                value.push(byte);
                at += 1;
            } else if next == Some(quote) {
                value.push(quote);
                at += 2;
            } else {
                at += 1;
                break;
            }
        }
    }
    let tail = &rest[at..];
    let until_line_end = tail.iter().position(|b| b"\r\n".contains(b)).unwrap_or(tail.len());
    let until_delimiter = tail.windows(dialect.delimiter.len()).position(|window| window == dialect.delimiter);
    let end = at + until_delimiter.map_or(until_line_end, |delimiter| delimiter.min(until_line_end));
    value.extend(&rest[at..end]);
    (value, end, false)
}

/// Bytes of the line end at the start of `rest`; 0 if there is none.
fn line_end(rest: &[u8]) -> usize {
    match rest {
        [b'\r', b'\n', ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        _ => 0,
    }
}

/// Bytes of the physical line at the start of `rest`, line end included.
fn line(rest: &[u8]) -> usize {
    let content = rest.iter().position(|b| b"\r\n".contains(b)).unwrap_or(rest.len());
    content + line_end(&rest[content..])
}

/// Physical lines that end in `bytes`.
fn physical_lines(bytes: &[u8]) -> u64 {
    let mut at = 0;
    let mut lines = 0;
    while at < bytes.len() {
        let length = line(&bytes[at..]);
        lines += u64::from(b"\r\n".contains(&bytes[at + length - 1]));
        at += length;
    }
    lines
}
