//! The reader's tests of Python's csv module, restated: the same texts, and the records it reads in them.
//!
//! Invariant: a text of those tests stands here under the name of its test. Where our definition reads something else (an escape
//! outside quotes is content, a blank line is no record, spaces are never dropped, no value is a number or null), the records
//! are ours and a comment says so. NUL may be neither delimiter nor quote nor escape here: the byte 1 is in its place.

use super::{Told, told};

/// All of them.
pub fn table() -> Vec<Told> {
    [odd_inputs(), nul(), delimiters(), escapes(), quoting(), spaces(), excel(), hammer(), dicts(), round_trips()]
        .concat()
}

fn python<const N: usize>(name: &str, text: impl AsRef<[u8]>, records: [&[&str]; N]) -> Told {
    told(format!("python: {name}"), text, records)
}

fn odd_inputs() -> Vec<Told> {
    vec![
        python("read_oddinputs, nothing", "", []),
        // There an empty line is a record without fields.
        python("read_oddinputs, an empty line", "\n", []),
        python("read_oddinputs, text after a quote", "\"ab\"c", [&["abc"]]),
        python("read_eol, last end missing", "a,b\nc,d", [&["a", "b"], &["c", "d"]]),
        python("read_eol, lf", "a,b\nc,d\n", [&["a", "b"], &["c", "d"]]),
        python("read_eol, crlf", "a,b\r\nc,d\r\n", [&["a", "b"], &["c", "d"]]),
        python("read_eol, cr", "a,b\rc,d\r", [&["a", "b"], &["c", "d"]]),
        // There a CR inside a line handed over is an error: here it ends one.
        python("read_eol, cr inside a line", "a,b\rc,d", [&["a", "b"], &["c", "d"]]),
        python("read_eof, a quote", "a,\"", [&["a", ""]]),
        python("read_eof, quoted", "\"a", [&["a"]]),
        // There the escape takes the end of the file for a line feed, outside quotes too.
        python("read_eof, an escape", "^", [&["^"]]).with(|d| d.escape = Some(b'^')),
        python("read_eof, an escape in quotes", "a,\"^", [&["a", ""]]).with(|d| d.escape = Some(b'^')),
        python("read_linenum", "line,1\nline,2\nline,3", [&["line", "1"], &["line", "2"], &["line", "3"]]),
    ]
}

fn nul() -> Vec<Told> {
    vec![
        python("read_nul, alone", "\0", [&["\0"]]),
        python("read_nul, first", "a,\0b,c", [&["a", "\0b", "c"]]),
        python("read_nul, last", "a,b\0,c", [&["a", "b\0", "c"]]),
        // There the escape is taken off.
        python("read_nul, escaped", "a,b\\\0,c", [&["a", "b\\\0", "c"]]).with(|d| d.escape = Some(b'\\')),
        python("read_nul, quoted", "a,\"\0b\",c", [&["a", "\0b", "c"]]),
    ]
}

fn delimiters() -> Vec<Told> {
    let abc = [&["a", "b", "c"][..]];
    vec![
        python("read_delimiter, comma", "a,b,c", abc),
        python("read_delimiter, semicolon", "a;b;c", abc).with(|d| d.delimiter = b";".to_vec()),
        python("read_delimiter, control", "a\x01b\x01c", abc).with(|d| d.delimiter = vec![1]),
    ]
}

/// There an escape is taken off outside quotes as well, and makes a delimiter content; here it means something in quotes only.
fn escapes() -> Vec<Told> {
    let backslash = |told: Told| told.with(|d| d.escape = Some(b'\\'));
    vec![
        backslash(python("read_escape, outside", "a,\\b,c", [&["a", "\\b", "c"]])),
        backslash(python("read_escape, before a delimiter", "a,b\\,c", [&["a", "b\\", "c"]])),
        backslash(python("read_escape, before a delimiter in quotes", "a,\"b\\,c\"", [&["a", "b,c"]])),
        backslash(python("read_escape, before a letter in quotes", "a,\"b,\\c\"", [&["a", "b,c"]])),
        backslash(python("read_escape, before a quote", "a,\"b,c\\\"\"", [&["a", "b,c\""]])),
        backslash(python("read_escape, behind a quote", "a,\"b,c\"\\", [&["a", "b,c\\"]])),
        python("read_escape, circumflex", "a,^b,c", [&["a", "^b", "c"]]).with(|d| d.escape = Some(b'^')),
        python("read_escape, control", "a,\x01b,c", [&["a", "\x01b", "c"]]).with(|d| d.escape = Some(1)),
        python("read_escape, none", "a,\\b,c", [&["a", "\\b", "c"]]),
        backslash(python("escaped excel, unquoted", "abc\\,def\r\n", [&["abc\\", "def"]])),
        backslash(python("escaped excel, quoted", "\"abc\\,def\"\r\n", [&["abc,def"]])),
    ]
}

fn quoting() -> Vec<Told> {
    let unquoted = [&["1", "\"", "3", "\"", "5"][..]];
    let quoted = [&["1", ",3,", "5"][..]];
    vec![
        python("read_quoting", "1,\",3,\",5", quoted),
        python("read_quoting, none", "1,\",3,\",5", unquoted).with(|d| d.quote = None),
        // There escape and no quote go together.
        python("read_quoting, none but an escape", "1,\",3,\",5", unquoted)
            .with(|d| (d.quote, d.escape) = (None, Some(b'\\'))),
        // There numbers are cast and empty fields are null.
        python("read_quoting, numbers", ",3,\"5\",7.3, 9", [&["", "3", "5", "7.3", " 9"]]),
        python("read_quoting, empty", ",,\"\",", [&["", "", "", ""]]),
        python("read_quoting, a line end", "\"a\nb\", 7", [&["a\nb", " 7"]]),
        python("read_quoting, at", "1,@,3,@,5", quoted).with(|d| d.quote = Some(b'@')),
        python("read_quoting, control", "1,\x01,3,\x01,5", quoted).with(|d| d.quote = Some(1)),
        python("read_quoting, escaped decimals", "1\\.5,\\.5,\"\\.5\"", [&["1\\.5", "\\.5", ".5"]])
            .with(|d| d.escape = Some(b'\\')),
    ]
}

/// There spaces before a field may be dropped; here they never are.
fn spaces() -> Vec<Told> {
    vec![
        python(
            "read_skipinitialspace",
            "no space, space,  spaces,\ttab",
            [&["no space", " space", "  spaces", "\ttab"]],
        ),
        python("read_skipinitialspace, only", " , , ", [&[" ", " ", " "]]),
        python(
            "read_space_delimiter",
            "a   b\n  a  \n  \n\n",
            [&["a", "", "", "b"], &["", "", "a", "", ""], &["", "", ""]],
        )
        .with(|d| d.delimiter = b" ".to_vec()),
    ]
}

fn excel() -> Vec<Told> {
    vec![
        python("single", "abc", [&["abc"]]),
        python("simple", "1,2,3,4,5", [&["1", "2", "3", "4", "5"]]),
        python("empty_fields", ",", [&["", ""]]),
        python("singlequoted", "\"\"", [&[""]]),
        python("singlequoted_left_empty", "\"\",", [&["", ""]]),
        python("singlequoted_right_empty", ",\"\"", [&["", ""]]),
        python("single_quoted_quote", "\"\"\"\"", [&["\""]]),
        python("quoted_quotes", "\"\"\"\"\"\"", [&["\"\""]]),
        python("inline_quote", "a\"\"b", [&["a\"\"b"]]),
        python("inline_quotes", "a\"b\"c", [&["a\"b\"c"]]),
        python("quotes_and_more", "\"a\"b", [&["ab"]]),
        python("lone_quote", "a\"b", [&["a\"b"]]),
        python("quote_and_quote", "\"a\" \"b\"", [&["a \"b\""]]),
        python("space_and_quote", " \"a\"", [&[" \"a\""]]),
        python("dubious_quote", "12,12,1\",", [&["12", "12", "1\"", ""]]),
        python("unix dialect", "\"1\",\"abc def\",\"abc\"\n", [&["1", "abc def", "abc"]]),
    ]
}

/// The blind man's sentences.
fn hammer() -> Vec<Told> {
    vec![
        python(
            "quoted",
            "1,2,3,\"I think, therefore I am\",5,6",
            [&["1", "2", "3", "I think, therefore I am", "5", "6"]],
        ),
        python(
            "quoted_quote",
            "1,2,3,\"\"\"I see,\"\" said the blind man\",\"as he picked up his hammer and saw\"",
            [&["1", "2", "3", "\"I see,\" said the blind man", "as he picked up his hammer and saw"]],
        ),
        python(
            "quoted_nl",
            "1,2,3,\"\"\"I see,\"\"\nsaid the blind man\",\"as he picked up his\nhammer and saw\"\n9,8,7,6",
            [
                &["1", "2", "3", "\"I see,\"\nsaid the blind man", "as he picked up his\nhammer and saw"],
                &["9", "8", "7", "6"],
            ],
        ),
        // There the fields have 50,000 bytes each; four times a block do here.
        python(
            "read_bigfield",
            format!("{},{}", "X".repeat(256), "X".repeat(256)),
            [&[&"X".repeat(256), &"X".repeat(256)]],
        ),
    ]
}

/// The texts of the readers into dictionaries; short and long records are ragged here.
fn dicts() -> Vec<Told> {
    let six = ["1", "2", "abc", "4", "5", "6"];
    vec![
        python("read_dict_fields", "1,2,abc\r\n", [&["1", "2", "abc"]]),
        python("read_dict_no_fieldnames", "f1,f2,f3\r\n1,2,abc\r\n", [&["f1", "f2", "f3"], &["1", "2", "abc"]]),
        python("read_long", "1,2,abc,4,5,6\r\n", [&six]),
        python("read_long_with_rest_no_fieldnames", "f1,f2\r\n1,2,abc,4,5,6\r\n", [&["f1", "f2"], &six]),
        python("read_short", "1,2,abc,4,5,6\r\n1,2,abc\r\n", [&six, &["1", "2", "abc"]]),
        python(
            "read_multi",
            "2147483648,43.0e12,17,abc,def\r\n147483648,43.0e2,17,abc,def\r\n47483648,43.0,170,abc,def\r\n",
            [
                &["2147483648", "43.0e12", "17", "abc", "def"],
                &["147483648", "43.0e2", "17", "abc", "def"],
                &["47483648", "43.0", "170", "abc", "def"],
            ],
        ),
        python("read_with_blanks", "1,2,abc,4,5,6\r\n\r\n1,2,abc,4,5,6\r\n", [&six, &six]),
        python("read_semi_sep", "1;2;abc;4;5;6\r\n", [&six]).with(|d| d.delimiter = b";".to_vec()),
    ]
}

/// What its writer makes of line ends in values, quoted and, by an escape, not. There the escaped ones come back as they were;
/// here they end records, whatever stands before them, for the escape means something in quotes only.
fn round_trips() -> Vec<Told> {
    let rows: [&[&str]; 6] = [
        &["\na", "b\nc", "d\n"],
        &["\re", "f\rg", "h\r"],
        &["\r\ni", "j\r\nk", "l\r\n"],
        &["\n\rm", "n\n\ro", "p\n\r"],
        &["\r\rq", "r\r\rs", "t\r\r"],
        &["\n\nu", "v\n\nw", "x\n\n"],
    ];
    let quoted = |end: &str| {
        let line = |row: &&[&str]| format!("\"{}\"{end}", row.join("\",\""));
        rows.iter().map(line).collect::<String>()
    };
    vec![
        python("roundtrip_quoted_newlines, crlf", quoted("\r\n"), rows),
        python("roundtrip_quoted_newlines, lf", quoted("\n"), rows),
        python("roundtrip_quoted_newlines, cr", quoted("\r"), rows),
        python(
            "roundtrip_escaped_unquoted_newlines",
            "\\\na,b\\\nc,d\\\n\r\n\\\re,f\\\rg,h\\\r\r\n",
            [&["\\"], &["a", "b\\"], &["c", "d\\"], &["\\"], &["e", "f\\"], &["g", "h\\"]],
        )
        .with(|d| d.escape = Some(b'\\')),
    ]
}
