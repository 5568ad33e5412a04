//! The nasty corpus: small files that have broken parsers and splitters, each with its dialect, cap and policy.
//!
//! Invariant: every file is below 2 kB, so that every cut of it can be tried; those of 160 bytes or less are tried with
//! every pair of cuts.

use batteuse_shared::spec::{Dialect, Encoding, Ragged};

/// One file of the corpus.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it is about.
    pub name: String,
    /// The file; its data starts at `data_start`.
    pub bytes: Vec<u8>,
    /// Dialect.
    pub dialect: Dialect,
    /// Offset of the first record.
    pub data_start: u64,
    /// Columns of the header.
    pub columns: usize,
    /// Whether the first column is declared an integer; the others are text.
    pub integer: bool,
    /// Policy for ragged records.
    pub ragged: Ragged,
    /// The record cap K.
    pub cap: u64,
}

/// The dialect most files have.
pub fn comma() -> Dialect {
    Dialect {
        delimiter: b",".to_vec(),
        quote: Some(b'"'),
        escape: None,
        comment: None,
        encoding: Encoding::Utf8,
        decimal: b'.',
    }
}

fn case(name: &str, columns: usize, text: impl AsRef<[u8]>) -> Case {
    Case {
        name: name.to_owned(),
        bytes: text.as_ref().to_vec(),
        dialect: comma(),
        data_start: 0,
        columns,
        integer: false,
        ragged: Ragged::Reject,
        cap: 1 << 20,
    }
}

impl Case {
    fn with(mut self, change: impl FnOnce(&mut Dialect)) -> Self {
        change(&mut self.dialect);
        self
    }

    fn cap(mut self, cap: u64) -> Self {
        self.cap = cap;
        self
    }

    fn after(mut self, head: &[u8]) -> Self {
        self.data_start = head.len() as u64;
        self.bytes = [head, &self.bytes].concat();
        self
    }

    fn integer(mut self) -> Self {
        self.integer = true;
        self
    }

    fn pad(mut self) -> Self {
        self.ragged = Ragged::Pad;
        self
    }
}

/// All files.
pub fn cases() -> Vec<Case> {
    let mut all = quoting();
    all.extend(line_ends());
    all.extend(not_records());
    all.extend(edges());
    all.extend(dialects());
    all.extend(bad_content());
    all.extend(caps());
    all.extend(long());
    all
}

fn quoting() -> Vec<Case> {
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

fn not_records() -> Vec<Case> {
    let hash = |d: &mut Dialect| d.comment = Some(b'#');
    vec![
        case("blank lines", 2, "\n\na,b\n\n\nc,d\n\n"),
        case("blank crlf lines", 2, "\r\n\r\na,b\r\n\r\nc,d\r\n\r\n"),
        case("only blank lines", 2, "\n\n\r\n\r\r\n"),
        case("blank lines in one column", 1, "a\n\nb\n\"\"\n\n"),
        case("spaces are no blank line", 1, "a\n \nb\n"),
        case("comments", 2, "#x,y\na,b\n# \"open\nc,d\n#last").with(hash),
        case("a comment sign inside a record", 2, "a,#b\n\"#\n#\",c\nd,e#\n").with(hash),
        case("comments with crlf and cr", 2, "#x\r\n#y\ra,b\r\n#z\n").with(hash),
        case("a comment sign after blank lines", 2, "\n#\n\r\n#\n#\na,b\n").with(hash),
        case("only comments", 2, "#a\n#b\r\n#").with(hash),
        case("a quote inside a comment", 2, "a,b\n#\"\nc,d\n#\"\n\"#\",e\n").with(hash),
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
        case("a record over many partitions", 2, format!("a,b\n{},\"{}\"\nc,d\n", "x".repeat(60), "y\n".repeat(30))),
        case("wide and empty", 9, ",,,,,,,,\n1,,,,,,,,2\n,,,,,,,,\n"),
        case("no quote at all", 3, "1,2,3\n4,5,6\n7,8,9\n10,11,12\n13,14,15\n"),
    ]
}

fn dialects() -> Vec<Case> {
    let to = |delimiter: &'static str| move |d: &mut Dialect| d.delimiter = delimiter.as_bytes().to_vec();
    let backslash = |d: &mut Dialect| d.escape = Some(b'\\');
    vec![
        case("semicolon", 2, "a;b,c\n\"d;e\";f\n").with(to(";")),
        case("tab without quoting", 2, "a\t\"b\nc\"\td\n\"e\t\"\n").with(|d| {
            d.delimiter = b"\t".to_vec();
            d.quote = None;
        }),
        case("two-byte delimiter", 2, "a||b\nc|d||e\n\"f||g\"||h|\n|||i\n").with(to("||")),
        case("delimiter that overlaps itself", 2, "aab|x\nab|aab|y\naaab|z\n\"aab|\"aab|w\n").with(to("aab|")),
        case("eight-byte delimiter", 2, "a<-sep->>b\nc<-sep-<-sep->>d\n\"<-sep->>\"<-sep->>\n").with(to("<-sep->>")),
        case("partial delimiter before a quote", 2, "|\"a\"||b\n\"c\"|d||e\n\"f\"|\"||g\n").with(to("||")),
        case("partial delimiter at a line end", 2, "a||b|\nc|\r\nd||e\n").with(to("||")),
        case("utf-8 delimiter", 2, "a¦b\n\"c¦\"¦d\ne\u{a5}¦f\n").with(to("¦")),
        case("escape", 2, "\"a\\\"b\",c\n\"d\\\\\",e\nf\\,g\n\"h\\\n\",i\n").with(backslash),
        case("escape at the end of the file", 2, "a,b\nc,\"d\\").with(backslash),
        case("escape before crlf", 2, "\"a\\\r\nb\",c\r\n\"\\\"\r\n\\\"\",d\r\n").with(backslash),
        case("single quote", 2, "'a''b','c\nd'\n\"e,f\n").with(|d| d.quote = Some(b'\'')),
        case("windows-1252", 2, b"\xe9t\xe9,\x80\n\"\x81\n\x92\",\xff\n").with(|d| d.encoding = Encoding::Windows1252),
    ]
}

fn bad_content() -> Vec<Case> {
    vec![
        case("ragged", 2, "a,b\nc\nd,e,f\ng,h\n,\n"),
        case("ragged, padded", 3, "a\nb,c\nd,e,f\ng,h,i,\nj,k,l,\"\",\nm,n,o,p\n\"q\n\"\n").pad(),
        case("multibyte sequences", 2, "é,ü\n\"日\n本\",語\n𝄞,𝄞\n"),
        case("invalid utf-8", 2, b"a,b\n\xff,c\nd,e\n\"f\n\xc3\",g\nh,\xe2\x82\n\xed\xa0\x80,i\nj,k\n"),
        case("invalid utf-8 and ragged: the first reason counts", 2, b"\xff\na,b\nc\n\xc3,\xa9,x\n"),
        case("a sequence cut by the end of the file", 2, b"a,b\nc,\xc3"),
        case("nul bytes", 2, b"a,\0\n\0,b\n"),
        case("every record bad", 2, "a\nb,c,d\ne\n"),
        case("casts among other rejects", 2, "1,a\r\nx,b\r\n2\r\n\r\n\"3\",c\r\n04,d\r\n\"5\n\",e\r\n-6,f\rx,")
            .integer(),
        case("casts, padded", 3, "1\nx\n,\n\"\",y,z,\"\"\n2,y,z,w\n\"\"\"\",y\n").integer().pad(),
    ]
}

fn caps() -> Vec<Case> {
    let texts = [
        ("short records", "a,b\nc,d\ne,f\n"),
        ("one long record", "a,b\nccccccccccccccccccccccc,d\ne,f\n"),
        ("an open quote swallows", "a,b\n\"c,d\ne,f\ng,h\ni,j\nk,l\nm,n\n"),
        ("a long quoted record with crlf", "a,\"b\r\nc\r\nd\r\ne\"\r\nf,g\r\n"),
        ("long blank and long comment", "\n\n\n\n#ccccccccccccccccccccc\r\na,b\n\r\n"),
        ("a record that ends at a mark", "aaaaaa,\nbbbbbb,\ncc,\n"),
        ("the last record is cut", "a,b\n\"ccccccccccccccccccc"),
    ];
    let caps = [2, 3, 8, 64];
    let each = |cap| texts.iter().map(move |(name, text)| (cap, *name, *text));
    let tailored = |(cap, name, text): (u64, &str, &str)| {
        case(&format!("cap {cap}: {name}"), 2, text).cap(cap).with(|d| d.comment = Some(b'#'))
    };
    caps.into_iter().flat_map(each).map(tailored).collect()
}

fn long() -> Vec<Case> {
    let fake: String = (0..40).map(|i| format!("{i},fake row,{i}\n")).collect();
    let plain: String = (0..20).map(|i| format!("{i},plain,{i}\n")).collect();
    let quoted: String = (0..60).map(|i| format!("\"{i}\",\"a \"\"b\"\" {i}\",\"x, y\"\r\n")).collect();
    let numbers: String = (0..150).map(|i| format!("{i},{}\n", i * 7919 % 1000)).collect();
    let sixty_four = "\"x\ny\",z\n".repeat(30);
    vec![
        case("quoted lines that look like rows", 3, format!("{plain}0,\"start\n{fake}end\",0\n{plain}")),
        case("all quoted, crlf", 3, quoted),
        case("numbers without a quote", 2, numbers),
        case("cap 64 over many records", 2, sixty_four).cap(64),
        case("cap 64: an open quote in the middle", 3, format!("{plain}1,\"open,\n{plain}")).cap(64),
    ]
}
