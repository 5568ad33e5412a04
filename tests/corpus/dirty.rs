//! Bad content: bytes that are no text, records with too few or too many fields, values that fit no type, and dirt among clean rows.
//!
//! Invariant: the delimiter is one byte and the quote is the usual one, so every fast path meets these files.

use batteuse_shared::spec::{Dialect, Encoding};

use super::{Case, case};

/// All of them.
pub fn cases() -> Vec<Case> {
    [ragged(), invalid_utf8(), windows_1252(), casts(), irregular_then_regular(), disasters()].concat()
}

fn ragged() -> Vec<Case> {
    vec![
        case("ragged", 2, "a,b\nc\nd,e,f\ng,h\n,\n"),
        case("ragged, padded", 3, "a\nb,c\nd,e,f\ng,h,i,\nj,k,l,\"\",\nm,n,o,p\n\"q\n\"\n").pad(),
        case("every record bad", 2, "a\nb,c,d\ne\n"),
        case("ragged, quoted", 2, "\"a\"\n\"b\",\"c\",\"d\"\n\"e\n\",\"f\"\n\"g,h\"\n"),
        case("ragged, crlf and cr", 2, "a\r\nb,c,d\r\ne\rf,g\r\n,,\r\n"),
        case("too many at the end, by one empty", 2, "a,b,\nc,d,\n"),
        case("too many at the end, by one empty, padded", 2, "a,b,\nc,d,,\ne,f,g\n\"h\",,\"\"\n").pad(),
        case("one column and many delimiters", 1, "a\n,\nb,c\n,,,\n\"d,e\"\n"),
        case("one column and many delimiters, padded", 1, "a\n,\nb,c\n,,,\n\"d,e\"\n").pad(),
        case("two spaces where a delimiter was meant", 3, "a,b,c\nd  e,f\ng,h,i\n"),
        case("a broken quote makes records ragged", 3, "a,\"b\",c\nd,\"e,f\ng,h\",i,j\nk,l,m\n"),
        case("padded records of nothing but delimiters", 3, ",\n,,\n,,,\n\"\"\n").pad(),
    ]
}

fn invalid_utf8() -> Vec<Case> {
    let late = [b"a,b\n".repeat(16).as_slice(), b"c,\xff\n", &b"d,e\n".repeat(3)].concat();
    let at_edge = [b"xyz\n".repeat(15).as_slice(), b"abc\xc3\xa9\nabc\xc3\n\xa9\nd\n"].concat();
    vec![
        case("multibyte sequences", 2, "é,ü\n\"日\n本\",語\n𝄞,𝄞\n"),
        case("invalid utf-8", 2, b"a,b\n\xff,c\nd,e\n\"f\n\xc3\",g\nh,\xe2\x82\n\xed\xa0\x80,i\nj,k\n"),
        case("invalid utf-8 and ragged: the first reason counts", 2, b"\xff\na,b\nc\n\xc3,\xa9,x\n"),
        case("a sequence cut by the end of the file", 2, b"a,b\nc,\xc3"),
        case("a sequence cut by a delimiter", 2, b"a\xc3,\xa9b\nc,d\n"),
        case("a sequence cut by a line end", 1, b"a\xe2\x82\n\xacb\nc\n"),
        case("a sequence cut by a quote", 2, b"\"a\xc3\"\xa9,b\n\"c\xc3\"\"\xa9\",d\n"),
        case("a sequence cut by cr", 1, b"\xf0\x9d\x84\r\x9ea\r\nb\r\n"),
        case(
            "overlong and out of range",
            2,
            b"\xc0\x80,a\n\xe0\x80\xaf,b\n\xf4\x90\x80\x80,c\n\xf8\x88\x80\x80\x80,d\ne,f\n",
        ),
        case("bytes that never occur", 1, b"\xfe\n\xff\n\xfe\xff\n\xff\xfea\nb\n"),
        case("continuation bytes alone", 1, b"\x80\n\xbf\xbf\na\x80\n\"\xa0\n\"\nb\n"),
        case("surrogates", 1, b"\xed\xa0\xbd\xed\xb8\x80\n\xed\x9f\xbf\n\xee\x80\x80\n"),
        case("the longest sequences", 1, "\u{10ffff}\n\"\u{10ffff}\n\"\n\u{ffff}\u{800}\u{7ff}\u{80}\n"),
        case("invalid in the first record only", 2, b"\xff,a\nb,c\nd,e\nf,g\n"),
        case("invalid in every second record", 2, b"\xff,a\nb,c\n\xfe,d\ne,f\n\x80,g\n"),
        case("invalid in blank company", 2, b"\n\xff,a\n\n\nb,\xff\r\n\r\n"),
        case("invalid behind a block", 2, late),
        case("a sequence over the edge of a block", 1, at_edge),
        case("invalid and padded", 3, b"\xff\na,\xc3\nb,c,d\n\xc3\xa9\n").pad(),
        case("invalid in what would be trimmed", 2, b"a,b,\xff\nc,d,\n\xff").pad(),
        case("nul bytes", 2, b"a,\0\n\0,b\n"),
        case("nul bytes everywhere", 2, b"\0,\0\n\"\0\",\0\"\0\n\0\0\0\r\n\"\0\n\0\",\0"),
        case("control bytes", 2, b"\x01,\x02\n\x1a,\x1b\n\"\x1a\n\",\x7f\n\x0b,\x0c\n"),
    ]
}

fn windows_1252() -> Vec<Case> {
    let western = |d: &mut Dialect| d.encoding = Encoding::Windows1252;
    vec![
        case("windows-1252", 2, b"\xe9t\xe9,\x80\n\"\x81\n\x92\",\xff\n").with(western),
        case("windows-1252: bytes without a character", 2, b"\x81\x8d,\x8f\n\x90,\x9d\n\"\x81\",a\n").with(western),
        case("windows-1252, quoted", 2, b"\"\xe9\"\"\xe8\",\"\xe0\n\"\n\"\x93\x94\",\xab\xbb\n").with(western),
        case("windows-1252: what is utf-8 too", 2, "é,ü\n\"€\n\",a\n").with(western),
        case("windows-1252 and ragged", 2, b"\xe9\n\xe8,\xea,\xeb\n\xf1,\xf2\n").with(western),
        case("windows-1252, padded", 3, b"\xe9\n\xe8,\xea\n\"\x80\n\"\n").with(western).pad(),
        case("windows-1252, semicolon, decimal comma", 2, b"1,5;\x80\n-2,25;\xe9\n;\n")
            .with(western)
            .with(|d| (d.delimiter, d.decimal) = (b";".to_vec(), b',')),
        case("windows-1252 over a block", 2, b"\xe9\xe8,\"\xe0\"\r\n".repeat(12)).with(western),
    ]
}

fn casts() -> Vec<Case> {
    vec![
        case("casts among other rejects", 2, "1,a\r\nx,b\r\n2\r\n\r\n\"3\",c\r\n04,d\r\n\"5\n\",e\r\n-6,f\rx,")
            .integer(),
        case("casts, padded", 3, "1\nx\n,\n\"\",y,z,\"\"\n2,y,z,w\n\"\"\"\",y\n").integer().pad(),
        case("the ends of the integers", 1, "9223372036854775807\n-9223372036854775808\n9223372036854775808\n-0\n0\n")
            .integer(),
        case("what is no integer", 1, "+1\n 1\n1 \n1.0\n1e3\n--1\n-\n\"\"\n00\n\"1\"\n").integer(),
        case("integers in quotes", 2, "\"1\",a\n\"-2\",\"b\n\"\n\"3\"4,c\n\"5\"\"\",d\n").integer(),
        case("a cast after too few fields", 2, "x\n1\n2,a\nx,b\nx,c,d\n").integer(),
        case("a cast in the last record", 1, "1\n2\nx").integer(),
        case("kinds of values", 4, "1,true,2024-01-31,1.5\n,false,2024-01-31T10:00:00Z,-1e-3\n\"2\",\"true\",\"\",x\n"),
        case("numbers that grow out of their type", 1, "1\n12345678901234567\n1.5\n01\n"),
    ]
}

/// After what a fast path gives up on, clean rows come again.
fn irregular_then_regular() -> Vec<Case> {
    let clean = "a,b\n\"c\",\"d\"\ne,\"f\n\"\n".repeat(4);
    let dirt = [
        ("a quote in text", "x\"y,z\n"),
        ("text after a closed quote", "\"x\"y,z\n"),
        ("a quote after a closed quote and text", "\"x\"y\",z\n"),
        ("a space before a quote", "x, \"y,z\"\n"),
        ("a lone quote in text", "\",\"\"x,y\"z\n"),
        ("too few fields", "x\n"),
        ("too many fields", "x,y,z\n"),
        ("a nul byte", "x,\u{0}y\n"),
        ("blank lines", "\n\r\n\r\n\n"),
        ("a lone cr", "x,y\rz,w\r"),
        ("a long field", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx,y\n"),
    ];
    let once = |(what, dirt): &(&str, &str)| case(&format!("{what}, then clean rows"), 2, format!("{dirt}{clean}"));
    let between = |(what, dirt): &(&str, &str)| {
        case(&format!("clean rows around {what}"), 2, format!("a,b\n\"c\n\",d\n{dirt}e,f\n{dirt}\"g\",\"h\"\ni,j\n"))
    };
    dirt.iter().map(once).chain(dirt.iter().map(between)).collect()
}

/// As portals have served them.
fn disasters() -> Vec<Case> {
    vec![
        case("a spreadsheet's footer", 3, "a,b,c\nd,e,f\n\n(2 rows affected)\n\n"),
        case("a header in the middle", 2, "1,a\n2,b\nid,name\n3,c\n").integer(),
        case("a transfer that broke off in quotes", 3, "1,\"a\",b\n2,\"c\",d\n3,\"e"),
        case("a transfer that broke off in a sequence", 3, b"1,a,b\n2,c,\xe2\x82"),
        case("two files run together", 2, "a,b\nc,da,b\ne,f\n"),
        case("a page of html", 2, "<html>\n<body class=\"x\">\n<p>a, b</p>\n\"\n</body>\n"),
        case("json lines", 2, "{\"a\":1,\"b\":\"c\"}\n{\"a\":2,\"b\":\"d,\\\"e\"}\n"),
        case("quotes doubled by two exports", 2, "\"\"\"a\"\"\",\"\"\"b\"\"\"\n\"\"\"c\n\"\"\",d\n"),
        case("a measure in feet and inches", 2, "5'10\",a\n\"6'1\"\"\",b\n6'2\"\",c\n"),
        case("a name in quotes after its title", 3, "1,Dr \"Who\" Smith,a\n2,\"Dr\" Who,b\n3,\"Dr \"\"Who\"\"\",c\n"),
        case("lines wrapped by hand", 2, "a,\"b\r\n b\r\n b\"\r\nc,\"d\r\r\n\"\r\n"),
        case("a zero-filled tail", 2, b"a,b\nc,d\n\0\0\0\0\0\0\0\0\0\0"),
        case("a control-z at the end", 2, b"a,b\r\nc,d\r\n\x1a"),
    ]
}
