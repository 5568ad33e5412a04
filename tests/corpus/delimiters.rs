//! Delimiters of one byte and of several, also such as begin again within themselves.
//!
//! Invariant: every delimiter passes the dialect's check, together with the quote and the signs beside it.

use batteuse_shared::spec::Dialect;

use super::{Case, case};

/// All of them.
pub fn cases() -> Vec<Case> {
    [one_byte(), several_bytes(), overlapping(), parts(), beside_others(), empty_and_wide()].concat()
}

fn to(delimiter: &[u8]) -> impl FnOnce(&mut Dialect) {
    move |d: &mut Dialect| d.delimiter = delimiter.to_vec()
}

fn one_byte() -> Vec<Case> {
    vec![
        case("semicolon", 2, "a;b,c\n\"d;e\";f\n").with(to(b";")),
        case("semicolon and decimal comma", 2, "1;1,5\n2;\"2,5\"\n3;3,\n").with(to(b";")).with(|d| d.decimal = b','),
        case("tab", 2, "a\tb\n\"c\td\"\te\n\t\n").with(to(b"\t")),
        case("tab without quoting", 2, "a\t\"b\nc\"\td\n\"e\t\"\n").with(to(b"\t")).with(|d| d.quote = None),
        case("pipe", 2, "a|b\n\"c|d\"|e\n\"f\n|\"|g\n").with(to(b"|")),
        case("space", 3, "a b c\n\"d e\" f g\n  h\n i \n").with(to(b" ")),
        case("colon", 2, "a:b\n\"c:\nd\":e\n::\n").with(to(b":")),
        case("a letter", 2, "axb\n\"cxd\"xe\nx\nfx\"x\"\n").with(to(b"x")),
        case("unit separator", 2, "a\x1fb\n\"c\x1f\nd\"\x1fe\n\x1f\n").with(to(b"\x1f")),
        case("delete", 2, "a\x7fb\n\"c\x7f\"\x7fd\n").with(to(b"\x7f")),
        case("a byte above ascii", 2, b"a\xa6b\n\"c\xa6\n\"\xa6d\n\xa6\n")
            .with(to(b"\xa6"))
            .with(|d| d.encoding = batteuse_shared::spec::Encoding::Windows1252),
    ]
}

fn several_bytes() -> Vec<Case> {
    vec![
        case("two-byte delimiter", 2, "a||b\nc|d||e\n\"f||g\"||h|\n|||i\n").with(to(b"||")),
        case("two different bytes", 2, "a;,b\n\"c;,d\";,e\n;f,;,g\n;;,,;,\n").with(to(b";,")),
        case("three bytes", 2, "a~#~b\n~#~#~\nc~#d~#~\"~#~\n\"\n").with(to(b"~#~")),
        case("four bytes", 2, "a::::b\n:::::\n\"c::::\"::::d:::\n").with(to(b"::::")),
        case("five bytes", 2, "a<|,|>b\n<|,<|,|>c\n\"<|,|>\n\"<|,|>d\n").with(to(b"<|,|>")),
        case("six bytes", 2, "a======b\n=====c======\n\"d\ne\"======f\n").with(to(b"======")),
        case("seven bytes", 2, "a--;;;--b\n--;;--;;;--c\n\"--;;;--\"--;;;--d\n").with(to(b"--;;;--")),
        case("eight-byte delimiter", 2, "a<-sep->>b\nc<-sep-<-sep->>d\n\"<-sep->>\"<-sep->>\n").with(to(b"<-sep->>")),
        case("eight equal bytes", 2, "axxxxxxxxb\nxxxxxxxxx\nxxxxxxx\n\"xxxxxxxx\"xxxxxxxxc\n").with(to(b"xxxxxxxx")),
        case("utf-8 delimiter", 2, "a¦b\n\"c¦\"¦d\ne\u{a5}¦f\n").with(to("¦".as_bytes())),
        case("three-byte utf-8 delimiter", 2, "a→b\n\"c→\n\"→d\ne↓→f\n").with(to("→".as_bytes())),
        case("two utf-8 characters delimit", 2, "a§§b\n§§§c\n\"§§\"§§d\n§\n").with(to("§§".as_bytes())),
        case("tab tab", 2, "a\t\tb\n\t\t\t\n\"c\t\t\n\"\t\td\t\n").with(to(b"\t\t")),
        case("control bytes delimit", 2, "a\x01\x02b\n\"c\x01\x02\"\x01\x02d\n\x01\x01\x02e\n").with(to(b"\x01\x02")),
    ]
}

fn overlapping() -> Vec<Case> {
    vec![
        case("delimiter that overlaps itself", 2, "aab|x\nab|aab|y\naaab|z\n\"aab|\"aab|w\n").with(to(b"aab|")),
        case("aab", 2, "aabx\naaabx\naaaab\nabaab\n\"aab\"aaby\n").with(to(b"aab")),
        case("aba", 3, "xabaybaba\nababa\nabababa\nababaaba\n\"aba\"abaaba\n").with(to(b"aba")),
        case("abab", 2, "ababab\nabababab\nxaabab\n\"a\nb\"abab\"abab\"\n").with(to(b"abab")),
        case("abababac", 2, "xabababacy\nababababac\nababac\nabababacabababac\n").with(to(b"abababac")),
        case("runs of pipes", 3, "|\n||\n|||\n||||\n|||||\n||||||\n").with(to(b"||")),
        case("runs of pipes, three", 2, "||\n|||\n||||\n|||||\n||||||\n").with(to(b"|||")),
        case("runs of pipes beside quotes", 2, "\"a\"|||\"b\"\n|\"c\"||d\n||\"e\n\"\n\"f\"|\"||g\n").with(to(b"||")),
        case("overlap over a block", 2, format!("{}aab{}\nx\n", "a".repeat(60), "a".repeat(9))).with(to(b"aab")),
    ]
}

fn parts() -> Vec<Case> {
    vec![
        case("partial delimiter before a quote", 2, "|\"a\"||b\n\"c\"|d||e\n\"f\"|\"||g\n").with(to(b"||")),
        case("partial delimiter at a line end", 2, "a||b|\nc|\r\nd||e\n").with(to(b"||")),
        case("partial delimiter at the end of the file", 2, "a||b\nc||d|").with(to(b"||")),
        case("partial delimiter at the record's start", 2, "|a||b\n||c\n|\n|||\n").with(to(b"||")),
        case("partial delimiter before cr", 2, "a|\rb||c|\r|\rd||e\r").with(to(b"||")),
        case("parts of a long one at line ends", 2, "a<-sep-\n<-s\nb<-sep->>c<-\n<-sep->\n").with(to(b"<-sep->>")),
        case("delimiter, then its part, then a quote", 2, "a|||\"b\"\n||\"c\n\"\n|||\"d\n").with(to(b"||")),
        case("closing quote, then a part, then a line end", 2, "\"a\"|\n\"b\"|\r\n\"c\"||d\n").with(to(b"||")),
        case(
            "a utf-8 delimiter's lead byte elsewhere",
            2,
            b"a\xc2\xa6b\n\xc2\xa7\xc2\xa6c\n\xc2\n\"\xc2\"\xc2\xa6\xc2",
        )
        .with(to("¦".as_bytes())),
    ]
}

fn beside_others() -> Vec<Case> {
    let signs = |d: &mut Dialect| (d.comment, d.escape) = (Some(b'#'), Some(b'\\'));
    vec![
        case("multi-byte and comments", 2, "#a||b\nc||d\n|#\n#\n\"#||\n#\"||e\n").with(to(b"||")).with(signs),
        case("multi-byte and escapes", 2, "\"a\\\"||b\"||c\n\"\\||\"||\\||\n\"d\\\n\"||e\n")
            .with(to(b"||"))
            .with(signs),
        case("multi-byte without quoting", 2, "\"a||b\nc||\"\n\"||\"||\"\n").with(to(b"||")).with(|d| d.quote = None),
        case("multi-byte, single quote", 2, "'a||'||\"b\n'c\n'||d\n").with(to(b"||")).with(|d| d.quote = Some(b'\'')),
        case("multi-byte, crlf", 2, "a||b\r\n\"c\r\n\"||d\r\n||\r\n").with(to(b"||")),
        case("multi-byte, ragged", 2, "a\nb||c||d\ne||f\n||\n").with(to(b"||")),
        case("multi-byte, padded", 3, "a\nb||c\nd||e||f\ng||h||i||\n").with(to(b"||")).pad(),
        case("multi-byte, open quote", 2, "a||b\nc||\"d||\ne||f\n").with(to(b"||")),
        case("multi-byte, cap 8", 2, "a||b\nccccccccccccccccccc||d\ne||f\n").with(to(b"||")).cap(8),
        case("multi-byte, cap 3 cuts in a delimiter", 2, "a<=>b\ncc<=>dd\n<=><=>\ne\n").with(to(b"<=>")).cap(3),
        case("multi-byte after a head", 2, "a||b\n\"c\n\"||d\n").with(to(b"||")).after(b"x||\"y\n\"\n"),
    ]
}

fn empty_and_wide() -> Vec<Case> {
    let wide: String = (0..40).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
    let quoted = vec!["\"\""; 40].join(",");
    vec![
        case("rows of delimiters only", 4, ",,,\n,,,\r\n,,,\r,,,"),
        case("rows of delimiters only, over a block", 70, format!("{0}\n{0}\n", ",".repeat(69))),
        case("rows of delimiters only, multi-byte", 4, "||||||\n||||||\n||||||").with(to(b"||")),
        case("rows of delimiters only, ragged", 3, ",,\n,\n,,,\n,,\n"),
        case("one delimiter a line", 2, ",\n,\n,\n,"),
        case("forty columns", 40, format!("{wide}\n{wide}\n")),
        case("forty columns of empty quotes", 40, format!("{quoted}\r\n{quoted}")),
        case("three hundred columns", 300, format!("{}\n{}9\n", ",".repeat(299), "8,".repeat(299))),
        case("one column too many of three hundred", 300, format!("{}\n{}\n", ",".repeat(300), ",".repeat(299))),
        case("three hundred columns, padded", 300, format!("a,b\n{}c\n\n\"d\n", ",".repeat(299))).pad(),
    ]
}
