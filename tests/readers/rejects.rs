//! A table with rejects beside it: `rejects.parquet` is for readers too, and is no part of the table.
//!
//! Invariant: lines, offsets and bytes are counted here, by hand.

use std::fs;
use std::path::{Path, PathBuf};

use super::engine::Wanted;
use crate::support::binary::{batteuse, write_spec_of};
use crate::support::published::run_file;

/// The file, line by line; its records begin at the bytes 12, 27, 42, 60, 78 and 103.
const CSV: [&[u8]; 7] = [
    b"id,nom,jour\n",
    b"1,a,2024-01-01\n",
    b"x,b,2024-01-01\n",
    b"3,caf\xe9,2024-01-01\n",
    b"4,too,many,fields\n",
    b"5,\"two\nlines\",12/03/2024\n",
    b"6,,2024-01-02\n",
];

/// Columns of `rejects.parquet` behind `source`, and what they hold; `raw` is made of the file.
const REJECTS: [(&str, &str, [Option<&str>; 4]); 8] = [
    ("line", "int64", [Some("3"), Some("4"), Some("5"), Some("6")]),
    ("record", "int64", [Some("2"), Some("3"), Some("4"), Some("5")]),
    ("byte_offset", "int64", [Some("27"), Some("42"), Some("60"), Some("78")]),
    ("byte_length", "int64", [Some("15"), Some("18"), Some("18"), Some("25")]),
    ("column_idx", "int32", [Some("1"), None, None, Some("3")]),
    ("column_name", "text", [Some("id"), None, None, Some("jour")]),
    ("error_type", "text", [Some("CAST"), Some("INVALID ENCODING"), Some("TOO MANY COLUMNS"), Some("CAST")]),
    (
        "message",
        "text",
        [
            Some("\"x\" is no int64: expected digits without leading zeros, within 64 bits"),
            Some("byte 5 of the record is not valid UTF-8"),
            Some("expected 3 fields, found 4"),
            Some("\"12/03/2024\" is no date: expected a valid YYYY-MM-DD"),
        ],
    ),
];

/// A published table: its path, and what it must hold.
type Published = (PathBuf, Wanted);

/// Makes the table in `folder`; returns it and its rejects.
pub fn publish(folder: &Path) -> [Published; 2] {
    let (source, out) = (folder.join("dirty.csv"), folder.join("out/dirty"));
    fs::write(&source, CSV.concat()).unwrap();
    let types = "[{name: id, type: int64}, {name: nom, type: text}, {name: jour, type: date}]";
    let more = format!("  columns: {types}\n  rejects: {{tolerate: {{count: 4}}}}\n");
    let spec = write_spec_of(&folder.join("dirty.yaml"), &source, &out, "{encoding: utf-8}", &more);
    batteuse(["run", "-f", spec.to_str().unwrap()]).expect(4);
    let column = |name: &str, ctype: &str, cells: &[Option<&str>]| {
        (name.to_owned(), ctype.to_owned(), cells.iter().map(|cell| cell.map(str::to_owned)).collect())
    };
    let table = vec![
        column("id", "int64", &[Some("1"), Some("6")]),
        column("nom", "text", &[Some("a"), None]),
        column("jour", "date", &[Some("19723"), Some("19724")]),
    ];
    let url = format!("file://{}", source.display());
    let mut rejects = vec![column("source", "text", &[Some(&url[..]); 4])];
    rejects.extend(REJECTS.iter().map(|(name, ctype, cells)| column(name, ctype, cells)));
    let hex = |line: &[u8]| line[..line.len() - 1].iter().map(|byte| format!("{byte:02x}")).collect();
    rejects.push(("raw".to_owned(), "binary".to_owned(), CSV[2..6].iter().map(|line| Some(hex(line))).collect()));
    [(out.clone(), table), (run_file(&out, "rejects.parquet"), rejects)]
}
