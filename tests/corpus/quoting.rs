//! Quotes: where they open, close, double and mean nothing.
//!
//! Invariant: the dialect is the usual one, or has another quote or none.

use batteuse_shared::spec::Dialect;

use super::{Case, case};

/// All of them.
pub fn cases() -> Vec<Case> {
    [usual(), runs(), texts_around(), unclosed(), other_quotes()].concat()
}

fn usual() -> Vec<Case> {
    vec![
        case("plain", 2, "a,b\nc,d\ne,f\n"),
        case("every field quoted", 2, "\"a\",\"b\"\n\"c\",\"d\"\n"),
        case("delimiter in quotes", 2, "\"a,b\",c\nd,\"e,f\"\n"),
        case("newline in quotes", 2, "\"a\nb\",c\nd,\"e\n\nf\"\n"),
        case("lines that look like rows in quotes", 2, "1,\"x\n2,y\n3,z\n\"\n4,w\n5,\"\n6,q\n\"\n"),
        case("doubled quote", 2, "\"a\"\"b\",c\n\"\"\"\",\"\"\"x\"\n"),
        case("only doubled quotes", 1, "\"\"\"\"\"\"\n\"\"\n\"\"\"\"\n"),
        case("a run of quotes, odd", 1, "\"\"\"\"\"\n,\"\n\"\n"),
        case("a run of quotes, even", 1, "\"\"\"\"\n\"\"\"\"\"\"\"\"\n"),
        case("quote inside an unquoted field", 2, "a\"b,c\nd,e\"\n\"f\"\"g\",h\"i\"j\n"),
        case("bytes after the closing quote", 2, "\"a\"b,c\n\"d\" ,e\n\"f\"\"g\"h\"i\",j\n"),
        case("quote after a closed quote and text", 2, "\"a\"b\"c\",d\n\"e\"f\"\n\",g\n"),
        case("space before a quote", 2, "a, \"b\"\nc, \"d\ne,f\n"),
        case("empty quoted fields", 3, "\"\",\"\",\"\"\n,\"\",\n"),
        case("a quoted field that is only a newline", 2, "\"\n\",\"\n\"\n\"\n\",a\n"),
        case("a quote opens where a line seems to start", 2, "a,\"\nb,c\nd\",e\n\"f\n\",\"g\n,h\"\n"),
        case("quote parity would be wrong", 2, "a\",b\nc,d\n\"e\nf\",g\nh\"\"i,j\n"),
        case("inches", 3, "1,19\" rack,a\n2,24\" rack,b\n3,\"42\"\" rack\nwide\",c\n"),
    ]
}

fn runs() -> Vec<Case> {
    let run = |n: usize| case(&format!("{n} quotes and a line end in them"), 1, format!("{}\na\nb\n", "\"".repeat(n)));
    let inner = |n: usize| {
        let quotes = "\"".repeat(n);
        case(&format!("{n} quotes in a quoted field"), 2, format!("\"a{quotes},b\nc\",d\n\"e\",\"f\n{quotes}g\"\n"))
    };
    let mut all: Vec<Case> = (1..=9).map(run).collect();
    all.extend((1..=5).map(inner));
    all.extend([
        case("a run of quotes over a block", 1, format!("a\n{}\nb\n", "\"".repeat(70))),
        case("an odd run of quotes over a block", 1, format!("a\n{}\nb\n\"\nc\n", "\"".repeat(67))),
        case("fields of doubled quotes only, over a block", 3, "\"\"\"\",\"\"\"\"\"\",\"\"\n".repeat(6)),
    ]);
    all
}

fn texts_around() -> Vec<Case> {
    vec![
        case("a lone quote after a delimiter", 2, "a,\"\nb,\"\nc,d\n"),
        case("a quote before a line end, unquoted", 2, "a,b\"\nc,d\"\r\ne,f\"\rg,h\n"),
        case("a quote before a delimiter, unquoted", 2, "a\",b\nc\"\",d\ne,f\n"),
        case("only quotes inside text", 1, "a\"\nb\"\"\nc\"\"\"\nd\n"),
        case("text after a closing quote, then a comma in quotes", 3, "\"a\"x\",b\",c\nd,e,f\n"),
        case("text after a closing quote, then a line end", 1, "\"a\"x\n\"b\"y\r\n\"c\"\"\"z\nd\n"),
        case("a space after a closing quote", 2, "\"a\" ,\"b\" \n\"c\" , \"d\"\ne,f\n"),
        case("a tab before an opening quote", 2, "\t\"a\",b\nc,\t\"d\n\"e\",f\n"),
        case("two quoted texts in one field", 2, "\"a\"\"b\"\"c\",\"d\"\"\"\n\"e\"\"\"\"f\",g\n"),
        case("an apostrophe is no quote", 2, "'a,b'\n'c\nd',e\n"),
        case("typographic quotes are no quotes", 2, "\u{201c}a,b\u{201d}\n\u{ab}c,d\u{bb}\n"),
        case("quoted and unquoted in turn", 4, "a,\"b\",c,\"d\"\n\"e\",f,\"g\",h\ni,\"j\nj\",k,\"l,l\"\n"),
        case("a row in quotes as one field", 1, "\"a,b,c\"\n\"d,e,f\"\n"),
        case("a file in quotes as one field", 1, "\"a,b\nc,d\ne,f\n\"\n"),
        case("delimiters alone in quotes", 2, "\",\",\",,\"\n\",,,\",\",\"\n"),
        case("a quoted record is the first", 1, "\"\n\n\n\"\na\n"),
        case("a quoted record is the last", 2, "a,b\n\"\n\n\",\"\n\"\n"),
        case("empty at the end of each line", 3, "a,b,\"\"\n\"\",,\"\"\n,,\n"),
        case("one empty quoted field a line", 1, "\"\"\n\"\"\r\n\"\"\r\"\"\n"),
        case("empty quoted fields with text after", 2, "\"\"a,\"\"b\n\"\"\"\"c,\"\"\nd,e\n"),
        case("all quoted, cr", 2, "\"a\",\"b\"\r\"c\r\",\"d\"\r\"e\",\"f\"\r"),
        case("all quoted, no final newline", 2, "\"a\",\"b\"\n\"c\",\"d\""),
    ]
}

fn unclosed() -> Vec<Case> {
    vec![
        case("open from the first byte", 2, "\"a,b\nc,d\ne,f\n"),
        case("open in the last record, after crlf", 2, "a,b\r\nc,\"d\r\n"),
        case("open, and the last byte is a cr", 2, "a,b\r\nc,\"d\r"),
        case("open, and doubled at the very end", 2, "a,b\nc,\"d\"\""),
        case("open after text behind a closed one", 2, "\"a\"b,\"c\nd,e\n"),
        case("open in a ragged record", 3, "a,b,c\nd,\"e\nf,g,h\n"),
        case("open over invalid utf-8", 2, b"a,b\nc,\"\xff\nd,e\n"),
        case("open, padded", 3, "a,b\n\"c\nd,e\n").pad(),
        case("open over a block", 2, format!("a,b\nc,\"{}", "d,e\n".repeat(20))),
        case("open at once after a quoted line end", 2, "\"a\nb\",c\n\"\nd,e\n"),
    ]
}

fn other_quotes() -> Vec<Case> {
    let quote = |quote: Option<u8>| move |d: &mut Dialect| d.quote = quote;
    vec![
        case("single quote", 2, "'a''b','c\nd'\n\"e,f\n").with(quote(Some(b'\''))),
        case("single quote, irregular", 2, "'a'b,c'd\n'e\n',f\n''',',''''\n").with(quote(Some(b'\''))),
        case("backtick quote", 2, "`a``b`,`c\nd`\n'e,\"f\n`g,h\n").with(quote(Some(b'`'))),
        case("a pipe quotes", 2, "|a,b|,c\nd|,|e\n|\n").with(quote(Some(b'|'))),
        case("a letter quotes", 2, "qaqqbq,qc\ndq\nq,qq\n").with(quote(Some(b'q'))),
        case("a space quotes", 2, " a b ,c\n  ,  d\n e\nf ,g\n").with(quote(Some(b' '))),
        case("a control byte quotes", 2, "\x01a,b\x01,c\n\x01\x01\x01\n\x01,d\n").with(quote(Some(1))),
        case("no quoting", 2, "\"a,b\"\n\"c\nd\",e\n\"\",\"\n").with(quote(None)),
        case("no quoting, crlf", 3, "\"a,b\",c\r\n\"d\r\n\",e,f\r\n").with(quote(None)),
        case("no quoting over a block", 2, "\"a,b\"\n\"c,\"d\n".repeat(9)).with(quote(None)),
    ]
}
