//! The reader's test table of the csv-core crate, restated: the same texts, and the records it reads in them.
//!
//! Invariant: a text of the table stands here under its name there. Left out are the tests of its own buffers and of line ends
//! of one's own choice; where our definition reads something else, the records are ours and a comment says so.

use super::{Told, told};

/// The whole table.
pub fn table() -> Vec<Told> {
    [one_row(), many_rows(), blank_lines(), quotes(), escapes(), marks(), streams()].concat()
}

fn core<const N: usize>(name: &str, text: impl AsRef<[u8]>, records: [&[&str]; N]) -> Told {
    told(format!("csv-core: {name}"), text, records)
}

fn one_row() -> Vec<Told> {
    vec![
        core("one_row_one_field", "a", [&["a"]]),
        core("one_row_many_fields", "a,b,c", [&["a", "b", "c"]]),
        core("one_row_trailing_comma", "a,b,", [&["a", "b", ""]]),
        core("one_row_one_field_lf", "a\n", [&["a"]]),
        core("one_row_many_fields_lf", "a,b,c\n", [&["a", "b", "c"]]),
        core("one_row_trailing_comma_lf", "a,b,\n", [&["a", "b", ""]]),
        core("one_row_one_field_crlf", "a\r\n", [&["a"]]),
        core("one_row_many_fields_crlf", "a,b,c\r\n", [&["a", "b", "c"]]),
        core("one_row_trailing_comma_crlf", "a,b,\r\n", [&["a", "b", ""]]),
        core("one_row_one_field_cr", "a\r", [&["a"]]),
        core("one_row_many_fields_cr", "a,b,c\r", [&["a", "b", "c"]]),
        core("one_row_trailing_comma_cr", "a,b,\r", [&["a", "b", ""]]),
        core("bom_in_field", "a\u{feff}", [&["a\u{feff}"]]),
        core("bom_at_field_start", "a,\u{feff}b", [&["a", "\u{feff}b"]]),
        // There a byte order mark at the start is no content. Here it lies before `data_start`, or else it is content.
        core("bom_at_start", "\u{feff}a", [&["\u{feff}a"]]),
    ]
}

fn many_rows() -> Vec<Told> {
    vec![
        core("many_rows_one_field", "a\nb", [&["a"], &["b"]]),
        core("many_rows_many_fields", "a,b,c\nx,y,z", [&["a", "b", "c"], &["x", "y", "z"]]),
        core("many_rows_trailing_comma", "a,b,\nx,y,", [&["a", "b", ""], &["x", "y", ""]]),
        core("many_rows_one_field_lf", "a\nb\n", [&["a"], &["b"]]),
        core("many_rows_many_fields_lf", "a,b,c\nx,y,z\n", [&["a", "b", "c"], &["x", "y", "z"]]),
        core("many_rows_trailing_comma_lf", "a,b,\nx,y,\n", [&["a", "b", ""], &["x", "y", ""]]),
        core("many_rows_one_field_crlf", "a\r\nb\r\n", [&["a"], &["b"]]),
        core("many_rows_many_fields_crlf", "a,b,c\r\nx,y,z\r\n", [&["a", "b", "c"], &["x", "y", "z"]]),
        core("many_rows_trailing_comma_crlf", "a,b,\r\nx,y,\r\n", [&["a", "b", ""], &["x", "y", ""]]),
        core("many_rows_one_field_cr", "a\rb\r", [&["a"], &["b"]]),
        core("many_rows_many_fields_cr", "a,b,c\rx,y,z\r", [&["a", "b", "c"], &["x", "y", "z"]]),
        core("many_rows_trailing_comma_cr", "a,b,\rx,y,\r", [&["a", "b", ""], &["x", "y", ""]]),
        core("extra_record_crlf_1", "foo\n1\n", [&["foo"], &["1"]]),
        core("extra_record_crlf_2", "foo\r\n1\r\n", [&["foo"], &["1"]]),
    ]
}

fn blank_lines() -> Vec<Told> {
    let two = [&["a", "b", "c"][..], &["x", "y", "z"]];
    let three = [&["a", "b"][..], &["x", "y"], &["m", "n"]];
    vec![
        core("trailing_lines_no_record", "\n\n\na,b,c\nx,y,z\n\n\n", two),
        core("trailing_lines_no_record_cr", "\r\r\ra,b,c\rx,y,z\r\r\r", two),
        core("trailing_lines_no_record_crlf", "\r\n\r\n\r\na,b,c\r\nx,y,z\r\n\r\n\r\n", two),
        core("empty", "", []),
        core("empty_lines", "\n\n\n\n", []),
        core("empty_lines_crlf", "\r\n\r\n\r\n\r\n", []),
        core("empty_lines_mixed", "\r\n\n\r\n\n", []),
        core("empty_lines_cr", "\r\r\r\r", []),
        core("empty_lines_interspersed", "\n\na,b\n\n\nx,y\n\n\nm,n\n", three),
        core("empty_lines_interspersed_crlf", "\r\n\r\na,b\r\n\r\n\r\nx,y\r\n\r\n\r\nm,n\r\n", three),
        core("empty_lines_interspersed_mixed", "\n\r\na,b\r\n\n\r\nx,y\r\n\n\r\nm,n\r\n", three),
        core("empty_lines_interspersed_cr", "\r\ra,b\r\r\rx,y\r\r\rm,n\r", three),
    ]
}

fn quotes() -> Vec<Told> {
    vec![
        core("quote_empty", "\"\"", [&[""]]),
        core("quote_lf", "\"\"\n", [&[""]]),
        core("quote_space", "\" \"", [&[" "]]),
        core("quote_inner_space", "\" a \"", [&[" a "]]),
        core("quote_outer_space", "  \"a\"  ", [&["  \"a\"  "]]),
        core("quote_change", "zaz", [&["a"]]).with(|d| d.quote = Some(b'z')),
        // There the delimiter is the quote as well, which is refused here: the delimiter is another.
        core("quote_delimiter", ",a,,b", [&["a,b"]]).with(|d| (d.delimiter, d.quote) = (b";".to_vec(), Some(b','))),
        core("quoting_disabled", "\"abc,foo\"", [&["\"abc", "foo\""]]).with(|d| d.quote = None),
    ]
}

fn escapes() -> Vec<Told> {
    vec![
        core("quote_no_escapes", "\"a\\\"b\"", [&["a\\b\""]]),
        // There a doubled quote can be switched off, which gives a"b": here it is always one quote.
        core("quote_escapes_no_double", "\"a\"\"b\"", [&["a\"b"]]),
        core("quote_escapes", "\"a\\\"b\"", [&["a\"b"]]).with(|d| d.escape = Some(b'\\')),
        core("quote_escapes_change", "\"az\"b\"", [&["a\"b"]]).with(|d| d.escape = Some(b'z')),
        core("quote_escapes_with_comma", "\"\\\"A,B\\\"\"", [&["\"A,B\""]]).with(|d| d.escape = Some(b'\\')),
    ]
}

fn marks() -> Vec<Told> {
    vec![
        core("delimiter_tabs", "a\tb", [&["a", "b"]]).with(|d| d.delimiter = b"\t".to_vec()),
        core("delimiter_weird", "azb", [&["a", "b"]]).with(|d| d.delimiter = b"z".to_vec()),
        // There z and the record separator end lines; here CR and LF alone do.
        core("term_weird", "zza,bzc,dzz", [&["zza", "bzc", "dzz"]]),
        core("ascii_delimited", "a\x1fb\x1ec\x1fd", [&["a", "b\x1ec", "d"]]).with(|d| d.delimiter = vec![0x1f]),
        core("comment_1", "foo\n# hi\nbar\n", [&["foo"], &["bar"]]).with(|d| d.comment = Some(b'#')),
        core("comment_2", "foo\n # hi\nbar\n", [&["foo"], &[" # hi"], &["bar"]]).with(|d| d.comment = Some(b'#')),
        // There a line feed is the comment sign, which is refused here: it amounts to none.
        core("comment_3", "foo\n# hi\nbar\n", [&["foo"], &["# hi"], &["bar"]]),
        core("comment_4", "foo,b#ar,baz", [&["foo", "b#ar", "baz"]]).with(|d| d.comment = Some(b'#')),
        core("comment_5", "foo,#bar,baz", [&["foo", "#bar", "baz"]]).with(|d| d.comment = Some(b'#')),
    ]
}

/// What its tests of buffers read, piece by piece.
fn streams() -> Vec<Told> {
    vec![
        core("stream_space", " ", [&[" "]]),
        core("stream_comma", ",", [&["", ""]]),
        core("stream_output_chunks", "fooquux", [&["fooquux"]]),
        core("stream_doubled_quotes", "\"fo\"\"o", [&["fo\"o"]]),
        core("stream_escaped_quotes", "\"fo\\\"o", [&["fo\"o"]]).with(|d| d.escape = Some(b'\\')),
        core("stream_record", "foo,bar\nbaz", [&["foo", "bar"], &["baz"]]),
        core("reset_works", "\"\"bar\"", [&["bar\""]]),
        core("reset_input_partial", "foo,bar\nbaz,raz\n", [&["foo", "bar"], &["baz", "raz"]]),
        core("line_numbers", "\n\n\n\nfoo,bar\n", [&["foo", "bar"]]),
    ]
}
