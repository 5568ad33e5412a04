//! Escapes: in quotes they make the next byte content, whatever it is; outside they are content themselves.
//!
//! Invariant: every dialect here has an escape.

use batteuse_shared::spec::Dialect;

use super::{Case, case};

/// All of them.
pub fn cases() -> Vec<Case> {
    [backslash(), runs(), outside(), at_block_edges(), others()].concat()
}

fn escaped(name: &str, columns: usize, text: impl AsRef<[u8]>) -> Case {
    case(name, columns, text).with(|d| d.escape = Some(b'\\'))
}

fn backslash() -> Vec<Case> {
    vec![
        escaped("escape", 2, "\"a\\\"b\",c\n\"d\\\\\",e\nf\\,g\n\"h\\\n\",i\n"),
        escaped("escape at the end of the file", 2, "a,b\nc,\"d\\"),
        escaped("escape before crlf", 2, "\"a\\\r\nb\",c\r\n\"\\\"\r\n\\\"\",d\r\n"),
        escaped("escape before a delimiter", 2, "\"a\\,b\",\"\\,\"\nc,\"d\\,\n\"\n"),
        escaped("escape before a line end", 2, "\"a\\\nb\",c\n\"\\\n\",\"\\\n\\\n\"\n"),
        escaped("escape before a lone cr", 2, "\"a\\\rb\",c\r\"\\\r\",d\r"),
        escaped("escape, then the last quote of the file", 2, "a,b\nc,\"d\\\""),
        escaped("escape, a quote, a line end and nothing", 2, "a,b\nc,\"d\\\"\n"),
        escaped("escape before a doubled quote", 2, "\"a\\\"\"b\",c\n\"d\"\"\\\"\"\n\",e\n"),
        escaped("escaped quotes that look like rows", 2, "\"a\\\"\n1,2\n\\\"\n3,4\n\",b\n5,6\n"),
        escaped("escapes before ordinary letters", 2, "\"\\a\\b\",\"\\n\"\n\"c\\ d\",\\\n"),
        escaped("escape first in quotes", 1, "\"\\\\\"\n\"\\\"\"\n\"\\\n\"\n"),
        escaped("escape before a nul and before invalid utf-8", 2, b"\"a\\\0\",b\n\"c\\\xff\",d\n\"\\\xc3\\\xa9\",e\n"),
        escaped("escapes and a cap of 8", 2, "\"a\\\"\\\"\\\"\\\"\\\"\\\"\\\"\",b\nc,d\n\"\\\"\n\",e\n").cap(8),
        escaped("escapes in ragged records", 2, "\"a\\\"\"\n\"b\\,\",c,d\n\"\\\n\",e\n"),
        escaped("escapes, padded", 3, "\"a\\\"\"\n\"b\\,\",c\n\"\\\n\",d,\"\\\\\",\"\"\n").pad(),
        escaped("escapes after a head", 2, "\"a\\\"\n\",b\nc,d\n").after(b"\"x\\\"\n\",y\n"),
    ]
}

fn runs() -> Vec<Case> {
    let run = |n: usize| {
        let run = "\\".repeat(n);
        escaped(&format!("{n} escapes before a quote"), 2, format!("\"a{run}\",b\n\"c\",\"{run}\"\nd,e\n"))
    };
    let mut all: Vec<Case> = (1..=6).map(run).collect();
    all.extend([
        escaped("an even run of escapes over a block", 2, format!("a,b\n\"{}\",c\nd,e\n", "\\".repeat(66))),
        escaped("an odd run of escapes over a block", 2, format!("a,b\n\"{}\",c\n\",d\ne,f\n", "\\".repeat(67))),
        escaped("a run of escapes to the end of the file", 1, format!("a\n\"{}", "\\".repeat(9))),
        escaped("escaped quotes over a block", 1, format!("a\n\"{}\"\nb\n", "\\\"".repeat(36))),
        escaped("escaped line ends over a block", 1, format!("a\n\"{}\"\nb\n", "\\\n".repeat(36))),
    ]);
    all
}

fn outside() -> Vec<Case> {
    vec![
        escaped("escape before an opening quote", 2, "a,\\\"b\nc,d\n\\\"e,f\n"),
        escaped("escape right after a closing quote", 2, "\"a\"\\,b\n\"c\"\\\"\n\",d\ne,\"f\"\\\n"),
        escaped("escape between two quotes", 2, "\"a\"\\\"b,c\n\"d\\\"e\"\\\"f\",g\n"),
        escaped("escapes as whole fields", 3, "\\,\\,\\\n\\\\,\\\\,\\\\\r\n\\,a,\\\r"),
        escaped("an escape ends the file outside quotes", 2, "a,b\nc,\\"),
        escaped("escape, then crlf, outside quotes", 2, "a,\\\r\n\\\r\nb,\\\r\\\nc,d\n"),
        escaped("paths", 2, "C:\\a,\"C:\\\\b\\\\\"\n\\\\c\\d,\"\\\\\\\\e\"\n"),
        escaped("escape without quoting is content", 2, "\\\"a,b\\\nc\\,d\n\"\\,\"\n").with(|d| d.quote = None),
        escaped("escape and comments", 2, "#\\\"\n\\#a,b\n\"\\#\n#\\\"\n\",c\n#\\\nd,e\n")
            .with(|d| d.comment = Some(b'#')),
    ]
}

/// The escape and what it escapes on both sides of the edge of a block of 64 bytes, the quote opened some rows before.
fn at_block_edges() -> Vec<Case> {
    let at = |position: usize, what: &str, behind: &str| {
        let text =
            format!("{}{},\"{}\\{behind}\",b\nc,d\n\"e\",f\n", "a,b\n".repeat(10), "a", "y".repeat(position - 43));
        escaped(&format!("an escape at {position} before {what}"), 2, text)
    };
    let whats = [("a quote", "\""), ("itself", "\\"), ("a line end", "\n"), ("a quote and crlf", "\"\r\n")];
    (62..=65).flat_map(|position| whats.map(|(what, behind)| at(position, what, behind))).collect()
}

fn others() -> Vec<Case> {
    let escape = |escape: u8, quote: u8| move |d: &mut Dialect| (d.escape, d.quote) = (Some(escape), Some(quote));
    vec![
        case("circumflex escapes", 2, "\"a^\"b\",c\n\"d^^\",e\n^,f\n\"^\n\",g\n").with(escape(b'^', b'"')),
        case("a letter escapes", 2, "\"aeeb\",c\n\"e\"\n\",d\nee,e\n").with(escape(b'e', b'"')),
        case("a space escapes", 2, "\"a  b\",c\n\" \"\n\",d\n , \n").with(escape(b' ', b'"')),
        case("a slash escapes single quotes", 2, "'a/'b',c\n'//',d\n'/\n',\"e\n").with(escape(b'/', b'\'')),
        case("backslash and single quotes", 2, "'a\\'b',\"c\n'\\\\','d\n'\n").with(escape(b'\\', b'\'')),
        case("escape, tab and windows-1252", 2, b"\"\xe9\\\"\t\"\t\x80\n\"\\\t\"\t\\\xff\n").with(|d| {
            d.delimiter = b"\t".to_vec();
            d.escape = Some(b'\\');
            d.encoding = batteuse_shared::spec::Encoding::Windows1252;
        }),
    ]
}
