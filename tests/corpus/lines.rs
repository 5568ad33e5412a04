//! Line ends, blank lines, comments, and what lies before the first record.
//!
//! Invariant: what is no record here is blank, a comment, or before `data_start`.

use batteuse_shared::spec::Dialect;

use super::{Case, case};

/// All of them.
pub fn cases() -> Vec<Case> {
    [line_ends(), more_line_ends(), blank(), comments(), edges(), preambles()].concat()
}

fn line_ends() -> Vec<Case> {
    vec![
        case("crlf", 2, "a,b\r\nc,d\r\ne,f\r\n"),
        case("cr alone", 2, "a,b\rc,d\re,f\r"),
        case("mixed ends", 2, "a,b\nc,d\r\ne,f\rg,h\n\ri,j\r\n"),
        case("crlf in quotes", 2, "\"a\r\nb\",c\r\nd,\"e\rf\"\r\n"),
        case("cr then crlf", 2, "a,b\r\r\nc,d\r\n\re,f\n"),
        case("cr at the very end", 2, "a,b\nc,d\r"),
        case("quoted cr before the closing quote", 2, "\"a\r\",b\n\"\r\n\",\"\r\"\n"),
        case("lf cr", 2, "a,b\n\rc,d\n\r"),
        case("a lone cr inside an unquoted field ends it", 1, "a\rb\n\rc\r\n"),
        case("no final newline", 2, "a,b\nc,d"),
        case("no final newline after a quote", 2, "a,b\nc,\"d\""),
        case("ends with a delimiter", 2, "a,b\nc,"),
        case("crlf and no final newline", 2, "a,b\r\nc,d"),
    ]
}

fn more_line_ends() -> Vec<Case> {
    vec![
        case("every end once", 2, "a,b\nc,d\r\ne,f\rg,h\n"),
        case("every end twice", 1, "a\n\nb\r\n\r\nc\r\rd\n\r\ne\r\n\nf\n\rg\r\r\n"),
        case("only cr", 1, "\r"),
        case("only crlf", 1, "\r\n"),
        case("cr cr", 1, "\r\r"),
        case("a run of cr, then lf", 1, "a\r\r\r\r\nb\r\r\r\n\r"),
        case("cr alone, quoted fields", 2, "\"a\rb\",c\r\"d\",\"e\"\r\"\r\",f\r"),
        case("cr alone, no final one", 2, "a,b\rc,d"),
        case("cr right after a quote", 2, "a,\"b\"\rc,\"d\"\r\ne,\"f\"\n"),
        case("cr right before a quote", 2, "a,b\r\"c\",d\r\n\"e\",f\n"),
        case("cr, then a delimiter", 2, "a,b\r,c\r\n,d\n"),
        case("crlf after a delimiter", 2, "a,\r\n,\r\nb,\r"),
        case("cr in quotes, lf outside", 2, "\"a\r\"\n\"b\",\"\r\"\r\"c\r\",d\n"),
        case("crlf over a block", 2, "ab,cd\r\n".repeat(20)),
        case("cr over a block", 2, "ab,cd\r".repeat(22)),
        case("mixed ends over a block", 2, "ab,cd\rab,cde\r\nabc,d\n\r".repeat(6)),
        case("line and paragraph separators end no line", 1, "a\u{2028}b\nc\u{85}d\x0b\x0ce\n"),
    ]
}

fn blank() -> Vec<Case> {
    vec![
        case("blank lines", 2, "\n\na,b\n\n\nc,d\n\n"),
        case("blank crlf lines", 2, "\r\n\r\na,b\r\n\r\nc,d\r\n\r\n"),
        case("only blank lines", 2, "\n\n\r\n\r\r\n"),
        case("blank lines in one column", 1, "a\n\nb\n\"\"\n\n"),
        case("spaces are no blank line", 1, "a\n \nb\n"),
        case("blank lines after quoted records", 2, "\"a\nb\",c\n\n\n\"d\",e\n\n\"\n\n\",f\n\n"),
        case("blank lines in quotes are content", 1, "\"\n\n\n\"\n\n\"\r\n\r\n\"\r\n\r\n"),
        case("blank lines over a block", 1, format!("a\n{}b\n", "\n".repeat(80))),
        case("blank crlf lines over a block", 1, format!("a\r\n{}b\r\n", "\r\n".repeat(45))),
        case("blank lines, padded", 2, "\na\n\n\nb,c\n\r\n,\n").pad(),
        case("a quoted empty field is a record", 2, "\"\"\n\n\"\",\"\"\n\n").pad(),
    ]
}

fn comments() -> Vec<Case> {
    let hash = |d: &mut Dialect| d.comment = Some(b'#');
    let quote = |quote| move |d: &mut Dialect| (d.comment, d.quote) = (Some(b'#'), quote);
    let over_a_block = format!("a,b\n#{}\nc,d\n#{}\r\ne,f\n", "\",c".repeat(25), "x".repeat(64));
    vec![
        case("comments", 2, "#x,y\na,b\n# \"open\nc,d\n#last").with(hash),
        case("a comment sign inside a record", 2, "a,#b\n\"#\n#\",c\nd,e#\n").with(hash),
        case("comments with crlf and cr", 2, "#x\r\n#y\ra,b\r\n#z\n").with(hash),
        case("a comment sign after blank lines", 2, "\n#\n\r\n#\n#\na,b\n").with(hash),
        case("only comments", 2, "#a\n#b\r\n#").with(hash),
        case("a quote inside a comment", 2, "a,b\n#\"\nc,d\n#\"\n\"#\",e\n").with(hash),
        case("an odd number of quotes in comments", 2, "#\"\na,\"b\n#c\n\"\n#\"\"\"\nd,e\n").with(hash),
        case("comments that look like rows", 2, "#a,b\n#\"c\",\"d\"\ne,f\n#g,h\n").with(hash),
        case("a comment in the middle of a quoted record", 2, "a,\"\n#b\n#\"\n#c\nd,e\n").with(hash),
        case("a comment ends with the file after cr", 2, "a,b\r#c\r").with(hash),
        case("an empty comment at the end", 2, "a,b\n#").with(hash),
        case("an empty comment and crlf at the end", 2, "a,b\n#\r\n").with(hash),
        case("a comment sign after a space", 2, " #a,b\n#c\n\t#d,e\n").with(hash),
        case("a quoted comment sign first", 2, "\"#a\",b\n\"#\",c\n#d\n").with(hash),
        case("a comment sign after a closed quote", 2, "\"a\"#b,c\n#\nd,\"e\"#\n").with(hash),
        case("two comment signs", 1, "##\n#\n##a\nb##\n").with(hash),
        case("comments over a block", 2, over_a_block).with(hash),
        case("comments and an open quote", 2, "#a\nb,c\n#d\ne,\"f\n#g\n").with(hash),
        case("comments and no quote", 2, "#\"a\n\"b,c\n#d\"\ne\",f\n").with(quote(None)),
        case("comments and another quote", 2, "#'\na,'b\n#'\n#'\nc,d\n").with(quote(Some(b'\''))),
        case("a slash begins comments", 2, "//a\nb,c\n/\n/d/,e\nf,/\n").with(|d| d.comment = Some(b'/')),
        case("a letter begins comments", 2, "xa\nb,x\nx\n\"x\",c\n").with(|d| d.comment = Some(b'x')),
        case("comments of invalid utf-8 are no rejects", 2, b"#\xff\xfe\na,b\n#\xc3\nc,d\n#\xe2\x82").with(hash),
        case("comments among ragged records", 2, "#a\nb\n#c,d\ne,f,g\n#\nh,i\n").with(hash),
    ]
}

fn edges() -> Vec<Case> {
    vec![
        case("empty after the header", 2, "").after(b"x,y\n"),
        case("header only, no newline", 2, "").after(b"x,y"),
        case("one byte", 1, "a"),
        case("one newline", 1, "\n"),
        case("one quote", 1, "\""),
        case("after a bom", 2, "a,b\nc,d\n").after(b"\xef\xbb\xbfx,y\n"),
        case("after a header with a quoted newline", 2, "a,b\n\"c\n\",d\n").after(b"\"x\n1\",y\n"),
        case("after skipped lines", 2, "a,b\nc,d\n").after(b"title \"1\n\nx,y\n"),
        case("quote open at the end", 2, "a,b\nc,\"d\ne,f\n"),
        case("quote open at the end after a doubled one", 2, "a,\"b\"\"\nc,d\n"),
        case("quote open at the very last byte", 2, "a,b\nc,\""),
        case("wide and empty", 9, ",,,,,,,,\n1,,,,,,,,2\n,,,,,,,,\n"),
        case("no quote at all", 3, "1,2,3\n4,5,6\n7,8,9\n10,11,12\n13,14,15\n"),
    ]
}

fn preambles() -> Vec<Case> {
    let bom = b"\xef\xbb\xbf";
    let (long, block) = (format!("{}x,y\r\n", "title\r\n".repeat(20)), format!("{}\n", "x".repeat(64)));
    let hash = |d: &mut Dialect| d.comment = Some(b'#');
    vec![
        case("a bom, then no header", 2, "a,b\nc,d\n").after(bom),
        case("a bom, then a quote", 2, "\"a\nb\",c\nd,e\n").after(bom),
        case("a bom alone", 2, "").after(bom),
        case("a bom is content behind the first record", 2, "a,b\n\u{feff}c,d\n\u{feff}\"e\",f\n"),
        case("a crlf header", 2, "a,b\r\n\"c\r\n\",d\r\n").after(b"x,y\r\n"),
        case("a cr header", 2, "a,b\r\"c\r\",d\r").after(b"x,y\r"),
        case("a header of quotes", 2, "\"a\",\"b\"\n\"c\n\",d\n").after(b"\"x\",\"y\"\n"),
        case("lines before the header, of every end", 2, "a,b\nc\n").after(b"one\ntwo\r\nthree\r\n\n\rx,y\n"),
        case("a reject after a long head", 2, "a,b\nc\nd,e\n").after(long.as_bytes()),
        case("an open quote after a head", 2, "a,b\n\"c,d\ne,f\n").after(b"\"x\n\n\",y\r\n"),
        case("a head of a block and a byte", 2, "\"a\n\",b\nc,d\n").after(block.as_bytes()),
        case("cap 8 after a head", 2, "a,b\ncc,dddddddddddddddddddd\ne,f\n").after(b"x,yyy\n").cap(8),
        case("blank lines and comments after a head", 2, "\n#\"\na,b\n\n").after(b"#\"\nx,y\n").with(hash),
    ]
}
