//! Knobs drawn from the front of an input, and a file from its rest.
//!
//! Invariant: when the bytes are used up every knob is at zero, so that a short input is a valid one. A dialect passes its check
//! and its delimiter is text of its encoding, as the spec's is.

use arbitrary::{Error, Result, Unstructured};
use batteuse_shared::spec::{Dialect, Encoding};

/// Bytes of a file made of pieces. Enough for more fields than the framer keeps, few enough to be fast.
const PIECED_BYTES_MAX: usize = 6_000;

/// One byte.
pub fn byte(u: &mut Unstructured<'_>) -> Result<u8> {
    u.arbitrary()
}

/// A number below `bound`, which is at most 256.
pub fn below(u: &mut Unstructured<'_>, bound: usize) -> Result<usize> {
    Ok(usize::from(byte(u)?) % bound)
}

/// A size: mostly 1 to 200, else a power of two up to 64 KiB.
pub fn size(u: &mut Unstructured<'_>) -> Result<usize> {
    let drawn = usize::from(byte(u)?);
    Ok(if drawn < 200 { drawn + 1 } else { 64 << (drawn % 11) })
}

/// A record cap: nowhere, small, or a power of two.
pub fn cap(u: &mut Unstructured<'_>) -> Result<u64> {
    Ok(match byte(u)? {
        0 => u64::MAX,
        small @ 1..=200 => u64::from(small),
        power => 1 << (power - 194),
    })
}

/// Up to `most` places in a text of `length` bytes, sorted. Ends of the text may be among them.
pub fn places(u: &mut Unstructured<'_>, most: usize) -> Result<Vec<u16>> {
    let count = below(u, most + 1)?;
    (0..count).map(|_| u.arbitrary()).collect()
}

/// A dialect that passes its check.
pub fn dialect(u: &mut Unstructured<'_>) -> Result<Dialect> {
    let delimiter_bytes = below(u, 8)? + 1;
    let delimiter = (0..delimiter_bytes).map(|_| byte(u)).collect::<Result<Vec<u8>>>()?;
    let mut mark = || byte(u).map(|byte| Some(byte).filter(|&byte| byte != 0));
    let (quote, escape, comment) = (mark()?, mark()?, mark()?);
    let rest = byte(u)?;
    let encoding = if rest & 1 == 0 { Encoding::Utf8 } else { Encoding::Windows1252 };
    let decimal = if rest & 2 == 0 { b'.' } else { b',' };
    let dialect = Dialect { delimiter, quote, escape, comment, encoding, decimal };
    let is_text = encoding != Encoding::Utf8 || std::str::from_utf8(&dialect.delimiter).is_ok();
    if is_text && dialect.check().is_ok() { Ok(dialect) } else { Err(Error::IncorrectFormat) }
}

/// All that is left, as a file: as it is, or each byte as a piece of which files of this dialect are made.
pub fn file(u: &mut Unstructured<'_>, dialect: &Dialect) -> Result<Vec<u8>> {
    let pieced = byte(u)? & 1 == 1;
    let rest = u.bytes(u.len())?;
    Ok(if pieced { assemble(rest, &pieces(dialect)) } else { rest.to_vec() })
}

/// What files of this dialect are made of.
fn pieces(dialect: &Dialect) -> Vec<Vec<u8>> {
    let delimiter = &dialect.delimiter;
    let mut all: Vec<Vec<u8>> = ["\n", "\r", "\r\n", "a", "7", "-12", "1.5", "é", "ab\ncd"].map(Into::into).to_vec();
    all.push(delimiter.clone());
    all.extend((1..delimiter.len()).map(|k| delimiter[..k].to_vec()));
    if let Some(quote) = dialect.quote {
        all.extend([vec![quote], vec![quote, quote], vec![quote, b'\n']]);
        all.extend([[delimiter, &[quote][..]].concat(), [&[quote][..], delimiter].concat()]);
    }
    if let Some(escape) = dialect.escape {
        all.extend([vec![escape], vec![escape, dialect.quote.unwrap_or(escape)]]);
    }
    if let Some(comment) = dialect.comment {
        all.extend([vec![comment], vec![b'\n', comment]]);
    }
    all.extend([vec![0], vec![0xc3], vec![0xa9], vec![b'x'; 40], vec![b'y'; 63]]);
    all
}

/// Puts pieces together: a pick names one, the highest picks repeat what was put last.
fn assemble(picks: &[u8], pieces: &[Vec<u8>]) -> Vec<u8> {
    let (mut out, mut starts) = (Vec::new(), Vec::new());
    for &pick in picks {
        let length = out.len();
        match pick {
            0..=0xdf => out.extend_from_slice(&pieces[usize::from(pick) % pieces.len()]),
            0xe0..=0xef => {
                let last: Vec<u8> = starts.last().map_or(Vec::new(), |&start: &usize| out[start..].to_vec());
                out.extend(last.repeat(1 << (pick & 7)));
            }
            0xf0..=0xff => {
                let back = starts.len().saturating_sub(usize::from(pick & 15) + 1);
                let some: Vec<u8> = starts.get(back).map_or(Vec::new(), |&start| out[start..].to_vec());
                out.extend(some);
            }
        }
        if out.len() > PIECED_BYTES_MAX {
            out.truncate(length);
            break;
        }
        starts.push(length);
    }
    out
}
