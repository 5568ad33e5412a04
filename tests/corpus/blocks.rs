//! What lies over the edges of blocks: marks at the bytes around 64, 128 and 256, and records longer than a block or several.
//!
//! Invariant: a block has 64 bytes and the file starts one; what is to be at an edge is behind clean rows or a long field.

use super::{Case, case};

/// All of them.
pub fn cases() -> Vec<Case> {
    [around_64(), further(), around_256(), long_records(), long_files()].concat()
}

/// Clean rows, then `open`, then ordinary bytes up to `position`, then `there` and more rows.
fn at(position: usize, open: &str, there: &str) -> String {
    let rows = (position - open.len()) / 4 - 3;
    let head = format!("{}{open}", "a,b\n".repeat(rows));
    let filling = "y".repeat(position - head.len());
    format!("{head}{filling}{there}c,d\n\"e\",\"f\"\n")
}

/// Name, what stands before the position, and what stands at it.
const MARKS: [(&str, &str, &str); 14] = [
    ("a doubled quote", "k,\"", "\"\"z\"\n"),
    ("two doubled quotes", "k,\"", "\"\"\"\"\"\n"),
    ("a closing quote", "k,\"", "\"\n"),
    ("a closing quote and a delimiter", "\"", "\",k\n"),
    ("a closing quote and crlf", "k,\"", "\"\r\n"),
    ("a quoted line end", "k,\"", "\n\"\n"),
    ("an opening quote", "", ",\"k\nk\"\n"),
    ("an empty quoted field", "", ",\"\"\n"),
    ("a delimiter", "", ",k\n"),
    ("crlf", "k,", "\r\nk,k\r\n"),
    ("a lone cr", "k,", "\rk,k\r"),
    ("a quote in text", "k,", "\"y\n"),
    ("text after a closing quote", "k,\"", "\"y\n"),
    ("a quote after a closed one", "k,\"z\"", "\"y\n\"k\"\",\"\n"),
];

fn around_64() -> Vec<Case> {
    let each = |(what, open, there): (&str, &str, &str)| {
        let name = |position| format!("{what} at {position}");
        (62..=65).map(|position| case(&name(position), 2, at(position, open, there))).collect::<Vec<_>>()
    };
    MARKS.into_iter().flat_map(each).collect()
}

fn further() -> Vec<Case> {
    let chosen = [MARKS[0], MARKS[3], MARKS[6], MARKS[9]];
    let each = |(what, open, there): (&str, &str, &str)| {
        let name = |position| format!("{what} at {position}");
        (127..=128).map(|position| case(&name(position), 2, at(position, open, there))).collect::<Vec<_>>()
    };
    chosen.into_iter().flat_map(each).collect()
}

/// Fields and files of 255, 256 and 257 bytes.
fn around_256() -> Vec<Case> {
    let lengths = 255..=257usize;
    let field = |n: usize| case(&format!("a field of {n} bytes"), 2, format!("a,{}\nb,c\n", "x".repeat(n)));
    let quoted = |n: usize| {
        let text = format!("a,\"{}\"\nb,c\n\"d\n\",e\n", "x\n\"\"".repeat(n / 4) + &"y".repeat(n % 4));
        case(&format!("a quoted field of {n} bytes"), 2, text)
    };
    let file = |n: usize| {
        let text = format!("{}{}", "ab,\"cd\"\n".repeat(n / 8), &"ef,\"ghi"[..n % 8]);
        case(&format!("a file of {n} bytes"), 2, text)
    };
    let marked = [MARKS[0], MARKS[2], MARKS[6]];
    let edge = |(what, open, there): (&str, &str, &str)| {
        let name = |position| format!("{what} at {position}");
        (255..=256).map(|position| case(&name(position), 2, at(position, open, there))).collect::<Vec<_>>()
    };
    let mut all: Vec<Case> = lengths.clone().map(field).collect();
    all.extend(lengths.clone().map(quoted));
    all.extend(lengths.map(file));
    all.extend(marked.into_iter().flat_map(edge));
    all
}

fn long_records() -> Vec<Case> {
    let quoted_rows = "x,y\n".repeat(20);
    vec![
        case("a record over many partitions", 2, format!("a,b\n{},\"{}\"\nc,d\n", "x".repeat(60), "y\n".repeat(30))),
        case("a field of one block", 1, format!("{}\na\n", "x".repeat(64))),
        case("a field of two blocks", 1, format!("{}\r\na\r\n", "x".repeat(128))),
        case("a quoted field of one block", 1, format!("\"{}\"\na\n", "x".repeat(62))),
        case("a quoted field over two blocks", 2, format!("a,\"{quoted_rows}\"\nb,c\n")),
        case("two long quoted fields in one record", 2, format!("\"{quoted_rows}\",\"{quoted_rows}\"\nb,c\n")),
        case("a long field without any mark", 1, "x".repeat(200)),
        case("a long field of commas in quotes", 2, format!("a,\"{}\"\nb,c\n", ",".repeat(100))),
        case("long blank lines between long records", 1, format!("{0}\n{1}{0}\n", "x".repeat(70), "\r\n".repeat(33))),
        case("a long open quote", 2, format!("a,b\nc,\"{}\n", "d".repeat(150))),
        case("long rejects", 2, format!("a,b\n{0}\nc,d\n{0},,\n", "x".repeat(90))),
        case("long utf-8", 2, format!("{},b\n\"{}\",c\n", "é".repeat(40), "日\n".repeat(30))),
    ]
}

fn long_files() -> Vec<Case> {
    let fake: String = (0..40).map(|i| format!("{i},fake row,{i}\n")).collect();
    let plain: String = (0..20).map(|i| format!("{i},plain,{i}\n")).collect();
    let quoted: String = (0..60).map(|i| format!("\"{i}\",\"a \"\"b\"\" {i}\",\"x, y\"\r\n")).collect();
    let numbers: String = (0..150).map(|i| format!("{i},{}\n", i * 7919 % 1000)).collect();
    let sixty_four = "\"x\ny\",z\n".repeat(30);
    let inches: String = (0..60).map(|i| format!("{i},{i}\" rack,\"{i}\"\"\"\n")).collect();
    vec![
        case("quoted lines that look like rows", 3, format!("{plain}0,\"start\n{fake}end\",0\n{plain}")),
        case("all quoted, crlf", 3, quoted),
        case("numbers without a quote", 2, numbers),
        case("cap 64 over many records", 2, sixty_four).cap(64),
        case("cap 64: an open quote in the middle", 3, format!("{plain}1,\"open,\n{plain}")).cap(64),
        case("an irregular quote in every row", 3, inches),
        case("a stray quote, then a long clean file", 3, format!("0,a\"b,0\n{plain}{plain}")),
        case("a comment before every row", 3, plain.replace("pl", "#\"\npl").replace(",#", ",x\n#"))
            .with(|d| d.comment = Some(b'#')),
        case("a wide row", 600, format!("{}\n{}\n", ",".repeat(599), "a,".repeat(599))),
        case("an open quote at the start of a long file", 3, format!("\"{plain}{plain}{plain}")),
    ]
}
