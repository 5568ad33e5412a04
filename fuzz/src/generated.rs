//! Files of values near the borders of the grammars, in any number of rows.
//!
//! Invariant: a file is a function of the bytes drawn; what it means is the oracle's to tell, so a field may well break its record.

use arbitrary::{Result, Unstructured};
use batteuse_shared::spec::{Dialect, Encoding};

use crate::case::{Case, NULLS};
use crate::draw;

/// Bytes of a generated file: enough for dictionaries to fill up, few enough to be fast.
const BYTES_MAX: usize = 16_000;

/// Records drawn; they may be repeated.
const RECORDS_MAX: usize = 24;

/// A field as it is drawn.
#[derive(Clone)]
struct Field {
    text: Vec<u8>,
    /// Its text goes on with the number of its row.
    numbered: bool,
    quoted: bool,
}

/// A file for the plan of `case`.
pub fn file(u: &mut Unstructured<'_>, case: &Case) -> Result<Vec<u8>> {
    let (count, passes, line_end) = (draw::below(u, RECORDS_MAX)? + 1, draw::byte(u)?, draw::byte(u)?);
    let mut records: Vec<Vec<Field>> = Vec::new();
    for _ in 0..count {
        // One in sixteen records is ragged.
        let shape = draw::byte(u)?;
        let columns = match shape {
            0xf0..=0xf7 => case.columns.len() - 1,
            0xf8..=0xff => case.columns.len() + 1,
            _ => case.columns.len(),
        };
        let above = records.last();
        let one = |column: usize| field(u, &case.dialect, above.and_then(|record| record.get(column)));
        let record = (0..columns).map(one).collect::<Result<_>>()?;
        records.push(record);
    }
    let passes = if passes < 128 { 1 } else { usize::from(passes) - 126 };
    let all = std::iter::repeat_n(&records, passes).flatten();
    let mut out = Vec::new();
    for (row, record) in all.enumerate() {
        let length = out.len();
        let fields: Vec<Vec<u8>> = record.iter().map(|field| written(field, row, &case.dialect)).collect();
        out.extend(fields.join(&case.dialect.delimiter[..]));
        out.extend_from_slice([&b"\n"[..], b"\r\n", b"\r", b"\n\n"][usize::from(line_end) % 4]);
        if out.len() > BYTES_MAX {
            out.truncate(length);
            break;
        }
    }
    Ok(out)
}

/// One field: a value of some type, perhaps with a byte changed, perhaps in quotes.
fn field(u: &mut Unstructured<'_>, dialect: &Dialect, above: Option<&Field>) -> Result<Field> {
    let kind = draw::byte(u)?;
    let mark = char::from(dialect.decimal);
    let mut text = match kind & 15 {
        0 => String::new(),
        1 => "true".to_owned(),
        2 => "false".to_owned(),
        3 => digits(u, 20)?,
        4 => format!("-{}", digits(u, 20)?),
        5 => format!("{}{mark}{}", digits(u, 18)?, digits(u, 18)?),
        6 => format!("-{}{mark}{}e{}", digits(u, 18)?, digits(u, 5)?, i16::from(u.arbitrary::<i8>()?) * 3),
        7 => date(u)?,
        8 => format!("{}T{}", date(u)?, time(u)?),
        9 => format!("{} {}.{}", date(u)?, time(u)?, digits(u, 7)?),
        10 => format!("{}T{}{}", date(u)?, time(u)?, zone(u)?),
        11 => NULLS[draw::below(u, NULLS.len())?].to_owned(),
        12 => "x".repeat(draw::below(u, 80)?),
        13 => ["é", "é€", "\u{1f33e} blé", "ÿ"][draw::below(u, 4)?].to_owned(),
        14 => return Ok(above.cloned().unwrap_or(Field { text: b"v".to_vec(), numbered: true, quoted: false })),
        _ => String::new(),
    }
    .into_bytes();
    if dialect.encoding == Encoding::Windows1252 {
        text = encoding_rs::WINDOWS_1252.encode(&String::from_utf8_lossy(&text)).0.into_owned();
    }
    if kind & 15 == 15 {
        let length = draw::below(u, 40)?;
        text = u.bytes(length.min(u.len()))?.to_vec();
    }
    let (changed, numbered) = (kind & 0x70 == 0x70, kind & 0x70 == 0x60);
    if changed {
        let (at, byte) = (draw::byte(u)?, draw::byte(u)?);
        let at = usize::from(at) % (text.len() + 1);
        if at < text.len() {
            text[at] = byte;
        } else {
            text.push(byte);
        }
    }
    Ok(Field { text, numbered, quoted: kind & 0x80 != 0 })
}

/// Some digits, at most `most`: often more than a grammar takes.
fn digits(u: &mut Unstructured<'_>, most: usize) -> Result<String> {
    let (length, number) = (draw::below(u, most)? + 1, u.arbitrary::<u64>()?);
    let digits = number.to_string();
    Ok(digits[..length.min(digits.len())].to_owned())
}

fn date(u: &mut Unstructured<'_>) -> Result<String> {
    let [a, b, month, day] = u.arbitrary::<[u8; 4]>()?;
    let year = (u16::from(a) << 8 | u16::from(b)) % 10_000;
    Ok(format!("{year:04}-{:02}-{:02}", month % 14, day % 33))
}

fn time(u: &mut Unstructured<'_>) -> Result<String> {
    let [hours, minutes, seconds] = u.arbitrary::<[u8; 3]>()?;
    Ok(format!("{:02}:{:02}:{:02}", hours % 25, minutes % 61, seconds % 61))
}

fn zone(u: &mut Unstructured<'_>) -> Result<String> {
    let [form, hours, minutes] = u.arbitrary::<[u8; 3]>()?;
    let sign = if form & 4 == 0 { '+' } else { '-' };
    Ok(match form & 3 {
        0 => "Z".to_owned(),
        1 => format!("{sign}{:02}{:02}", hours % 25, minutes % 61),
        2 => format!(".{:03}Z", u16::from(minutes) * 3),
        _ => format!("{sign}{:02}:{:02}", hours % 25, minutes % 61),
    })
}

/// A field as it stands in the file.
fn written(field: &Field, row: usize, dialect: &Dialect) -> Vec<u8> {
    let mut text = field.text.clone();
    if field.numbered {
        text.extend(row.to_string().into_bytes());
    }
    let Some(quote) = dialect.quote.filter(|_| field.quoted) else { return text };
    let mut out = vec![quote];
    for byte in text {
        if byte == quote || Some(byte) == dialect.escape {
            out.push(dialect.escape.unwrap_or(quote));
        }
        out.push(byte);
    }
    out.push(quote);
    out
}
