//! Files and dialects that proptest makes up: short, and almost only of bytes that mean something.
//!
//! Invariant: every dialect passes its own check. A file is a list of picks from the pieces of its dialect, so it shrinks.

use batteuse_shared::spec::{Dialect, Encoding, Ragged};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::corpus::Case;

/// Caps: marks at every byte, at few bytes, at the block size of the seam, far away, and nowhere.
pub const CAPS: [u64; 8] = [1, 2, 3, 5, 8, 64, 1 << 20, u64::MAX];

/// Delimiters of one byte: what most files have, and what the fastest paths are for.
const ONE_BYTE: [&str; 6] = [",", ";", "\t", "|", " ", "\u{1f}"];

/// Longer delimiters, most of which begin again within themselves.
const LONGER: [&str; 8] = ["||", "|||", "aab|", "<-<->", "¦", "§§", "abababac", "aaaaaaaa"];

pub fn dialect() -> impl Strategy<Value = Dialect> {
    let bytes = |delimiter: &str| delimiter.as_bytes().to_vec();
    let (one_byte, longer) = (select(&ONE_BYTE[..]).prop_map(bytes), select(&LONGER[..]).prop_map(bytes));
    let two_letters = prop::collection::vec(select(&b"|-"[..]), 1..=8);
    let delimiter = prop_oneof![4 => one_byte, 2 => longer, 1 => two_letters];
    let quote = prop_oneof![6 => Just(Some(b'"')), 1 => Just(Some(b'\'')), 1 => Just(Some(b'`')), 2 => Just(None)];
    let escape = prop_oneof![6 => Just(None), 1 => Just(Some(b'\\')), 1 => Just(Some(b'^'))];
    let comment = prop_oneof![6 => Just(None), 2 => Just(Some(b'#')), 1 => Just(Some(b'%'))];
    let encoding = prop_oneof![3 => Just(Encoding::Utf8), 1 => Just(Encoding::Windows1252)];
    let decimal = select(&b".,"[..]);
    (delimiter, quote, escape, comment, encoding, decimal).prop_map(|knobs| {
        let (delimiter, quote, escape, comment, encoding, decimal) = knobs;
        let decimal = if delimiter == b"," { b'.' } else { decimal };
        let dialect = Dialect { delimiter, quote, escape, comment, encoding, decimal };
        assert_eq!(dialect.check(), Ok(()));
        dialect
    })
}

/// What files of this dialect are made of; what stands twice is drawn twice as often.
pub fn pieces(dialect: &Dialect) -> Vec<Vec<u8>> {
    let delimiter = &dialect.delimiter;
    let mut all: Vec<Vec<u8>> =
        ["\n", "\n", "\r", "\r\n", "a", "b", "7", "7", "#", "\\", "\"", "\0", "é"].map(Into::into).to_vec();
    all.extend([delimiter.clone(), delimiter.clone(), delimiter.clone()]);
    all.extend((1..delimiter.len()).map(|k| delimiter[..k].to_vec()));
    if let Some(quote) = dialect.quote {
        let opening = [delimiter, &[quote][..]].concat();
        let closing = [&[quote][..], delimiter].concat();
        all.extend([vec![quote], vec![quote], vec![quote, quote], opening, closing, vec![quote, b'\n']]);
    }
    if let Some(escape) = dialect.escape {
        all.extend([vec![escape], vec![escape, escape], vec![escape, dialect.quote.unwrap_or(escape)]]);
    }
    if let Some(comment) = dialect.comment {
        all.extend([vec![comment], vec![b'\n', comment], vec![comment, dialect.quote.unwrap_or(comment), b'\n']]);
    }
    // Half a UTF-8 sequence, a continuation byte alone, and enough ordinary bytes to cross a block of any fast path.
    all.extend([vec![0xc3], vec![0xa9], vec![b'x'; 40]]);
    all
}

/// A dialect and some bytes of it.
pub fn text(picks_max: usize) -> impl Strategy<Value = (Dialect, Vec<u8>)> {
    (dialect(), prop::collection::vec(any::<u8>(), 0..=picks_max)).prop_map(|(dialect, picks)| {
        let pieces = pieces(&dialect);
        let bytes = picks.iter().flat_map(|&pick| pieces[pick as usize % pieces.len()].clone()).collect();
        (dialect, bytes)
    })
}

/// A file as the kernel gets it, with what stands before its first record.
pub fn case(picks_max: usize) -> impl Strategy<Value = Case> {
    let heads = select(&["", "x,y\n", "\u{feff}x\r\n", "# \"\n\n\"x\n1\",y\r"][..]);
    let ragged = select(&[Ragged::Reject, Ragged::Pad][..]);
    (text(picks_max), heads, 1..=4usize, any::<bool>(), ragged, select(&CAPS[..])).prop_map(
        |((dialect, body), head, columns, integer, ragged, cap)| {
            // The LF of a CR LF belongs to the head.
            let body = body.strip_prefix(b"\n").filter(|_| head.ends_with('\r')).unwrap_or(&body);
            Case {
                name: "made up".to_owned(),
                bytes: [head.as_bytes(), body].concat(),
                dialect,
                data_start: head.len() as u64,
                columns,
                integer,
                ragged,
                cap,
            }
        },
    )
}

/// Up to six cuts behind `data_start`, in order.
pub fn cuts() -> impl Strategy<Value = Vec<Index>> {
    prop::collection::vec(any::<Index>(), 0..=6)
}

/// Puts cuts at offsets of a file.
pub fn place(cuts: &[Index], case: &Case) -> Vec<u64> {
    let size = case.bytes.len() as u64;
    let room = (case.data_start + 1..size).count();
    let mut placed: Vec<u64> =
        cuts.iter().filter(|_| room > 0).map(|cut| case.data_start + 1 + cut.index(room) as u64).collect();
    placed.sort_unstable();
    placed.dedup();
    placed
}

/// Sizes of one read.
pub fn read_bytes() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 1..=9usize, 2 => 10..=100usize, 1 => Just(4096)]
}
