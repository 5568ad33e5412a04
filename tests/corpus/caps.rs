//! The record cap: marks lie at its multiples, and a record still open at its second mark is cut.
//!
//! Invariant: every cap here is small, so that a file has many marks; where they lie depends on the file only.

use batteuse_shared::spec::Dialect;

use super::{Case, case};

/// All of them.
pub fn cases() -> Vec<Case> {
    [with_comments(), without(), quoted(), line_ends_at_marks(), everything_else()].concat()
}

/// Texts that meet marks in one way or another.
const TEXTS: [(&str, &str); 7] = [
    ("short records", "a,b\nc,d\ne,f\n"),
    ("one long record", "a,b\nccccccccccccccccccccccc,d\ne,f\n"),
    ("an open quote swallows", "a,b\n\"c,d\ne,f\ng,h\ni,j\nk,l\nm,n\n"),
    ("a long quoted record with crlf", "a,\"b\r\nc\r\nd\r\ne\"\r\nf,g\r\n"),
    ("long blank and long comment", "\n\n\n\n#ccccccccccccccccccccc\r\na,b\n\r\n"),
    ("a record that ends at a mark", "aaaaaa,\nbbbbbb,\ncc,\n"),
    ("the last record is cut", "a,b\n\"ccccccccccccccccccc"),
];

fn with_comments() -> Vec<Case> {
    let each = |cap| TEXTS.iter().map(move |(name, text)| (cap, *name, *text));
    let tailored = |(cap, name, text): (u64, &str, &str)| {
        case(&format!("cap {cap}: {name}"), 2, text).cap(cap).with(|d| d.comment = Some(b'#'))
    };
    [2, 3, 8, 64].into_iter().flat_map(each).map(tailored).collect()
}

/// Without comments, so that the index of a fast path meets the marks.
fn without() -> Vec<Case> {
    let each = |cap| TEXTS.iter().map(move |(name, text)| (cap, *name, *text));
    let plain =
        |(cap, name, text): (u64, &str, &str)| case(&format!("cap {cap}, no comments: {name}"), 2, text).cap(cap);
    [1, 4, 7].into_iter().flat_map(each).map(plain).collect()
}

fn quoted() -> Vec<Case> {
    let long = format!("a,b\n\"{}\",c\nd,e\n\"f\",g\n", "x\n".repeat(20));
    vec![
        case("cap 8: a quoted line end before, at and after a mark", 2, "a,\"b\n\n\n\n\n\",c\nd,e\n").cap(8),
        case("cap 8: a quote opens at a mark", 2, "aaaaaa,\"b,c\nd\",e\nf,g\nh,i\n").cap(8),
        case("cap 8: a quote closes at the second mark", 2, "a,\"bbbbbbbbbbbb\",c\nd,e\n").cap(8),
        case("cap 8: a doubled quote at the second mark", 2, "a,\"bbbbbbbbbbbb\"\"b\",c\nd,e\n").cap(8),
        case("cap 8: a cut record holds line ends", 1, "\"aaaaa\naaaaa\naaaaa\naaaaa\"\nb\n\"c\n\"\n").cap(8),
        case("cap 8: the skipped line opens a quote", 2, "aaaaaaaaaaaaaaaaaaa,\"b\nc,d\",e\nf,g\n").cap(8),
        case("cap 16: fake rows in quotes, cut", 2, "a,\"\nb,c\nd,e\nf,g\nh,i\nj,k\nl,m\n\"\nn,o\n").cap(16),
        case("cap 16: two open quotes", 2, "a,\"bbbbbbbbbbbbbbbbbbbb\nc,d\ne,\"ffffffffffffffffff\ng,h\n").cap(16),
        case("cap 32: a quoted record over three marks", 2, long).cap(32),
        case("cap 5: only empty quotes", 3, "\"\",\"\",\"\"\n\"\",\"\",\"\"\n").cap(5),
        case("cap 6: an escape at a mark", 2, "\"aaaa\\\\\\\"\\\n\\\"\",b\nc,d\n")
            .cap(6)
            .with(|d| d.escape = Some(b'\\')),
    ]
}

/// A CR, an LF and both at the first and at the second mark of a record.
fn line_ends_at_marks() -> Vec<Case> {
    let ends = [("lf", "\n"), ("crlf", "\r\n"), ("cr", "\r")];
    let at = |cut: bool, before: usize, (name, end): (&str, &str)| {
        let text = format!("{},{end}bb,c{end}d,e{end}", "a".repeat(before - 1));
        case(&format!("cap 8: {name} {before} bytes in{}", if cut { ", second mark" } else { "" }), 2, text).cap(8)
    };
    let first = (6..=9).flat_map(|before| ends.map(|end| at(false, before, end)));
    let second = (14..=17).flat_map(|before| ends.map(|end| at(true, before, end)));
    first.chain(second).collect()
}

fn everything_else() -> Vec<Case> {
    let to = |delimiter: &'static [u8]| move |d: &mut Dialect| d.delimiter = delimiter.to_vec();
    vec![
        case("cap 1: every byte is a mark", 2, "a,b\nc\n\n,\n\"d\n\",e\r\n\"\nf").cap(1),
        case("cap 8: only delimiters", 30, format!("{}\na,b\n", ",".repeat(29))).cap(8),
        case("cap 8: blank lines over marks", 2, "\n\n\n\n\n\n\n\n\n\na,b\n\r\n\r\n\r\n\r\nc,d\n").cap(8),
        case("cap 8: invalid utf-8 in a cut record", 2, b"aaaaaaaaaaa\xffaaaaaaaaaa,b\n\xff,c\nd,e\n").cap(8),
        case("cap 8: ragged records of every length", 2, "a\nbb\nccc\ndddd\neeeee\nffffff\nggggggg\nhhhhhhhh\n").cap(8),
        case("cap 8: padded", 3, "a\nbbbbbb,c\ndddddddddddddddddddddd\ne,f,g,\n").cap(8).pad(),
        case("cap 8: casts", 2, "1,a\nx,bbbbbbbbb\n222222222222222222,c\n3,d\n").cap(8).integer(),
        case("cap 8: tab, no quote", 2, "a\t\"bbbbb\ncccccccccccccccc\td\ne\tf\n")
            .cap(8)
            .with(to(b"\t"))
            .with(|d| d.quote = None),
        case("cap 8: a cut comes right before the end", 1, "aaaaaaaaaaaaaaaa").cap(8),
        case("cap 8: a cut comes at the last byte", 1, "aaaaaaaaaaaaaaaab").cap(8),
        case("cap 8: a cut record ends with the file's cr", 1, "aaaaaaaaaaaaaaaaaa\r").cap(8),
        case("cap 64: records of 63 to 66 bytes", 1, (62..=65).map(|n| "x".repeat(n) + "\n").collect::<String>())
            .cap(64),
    ]
}
