//! The nasty corpus: small files that have broken parsers and splitters, each with its dialect, cap and policy.
//!
//! Invariant: every file is below 2 kB and has a name of its own; most are so small that every cut of them can be tried. What a
//! file means is not told here but by the oracle; only the tables taken from other parsers ([`Told`]) say what they read.

mod blocks;
mod caps;
mod csv_core;
mod delimiters;
mod dirty;
mod escapes;
mod lines;
mod python;
mod quoting;

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

/// A file of another parser's own tests, and what is read in it.
#[derive(Debug, Clone)]
pub struct Told {
    /// The file.
    pub case: Case,
    /// The fields of its records, by the other parser's tests; where our definition differs, by ours, and a comment says so.
    pub records: Vec<Vec<String>>,
}

/// A table's line: a file in the usual dialect that has as many columns as its first record has fields.
fn told<const N: usize>(name: String, text: impl AsRef<[u8]>, records: [&[&str]; N]) -> Told {
    let columns = records.first().map_or(1, |record| record.len());
    let owned = |record: &[&str]| record.iter().map(|&field| field.to_owned()).collect();
    Told { case: case(&name, columns, text), records: records.map(owned).to_vec() }
}

impl Told {
    fn with(mut self, change: impl FnOnce(&mut Dialect)) -> Self {
        change(&mut self.case.dialect);
        self
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

/// The tables of other parsers.
pub fn told_by_others() -> Vec<Told> {
    [csv_core::table(), python::table()].concat()
}

/// All files.
pub fn cases() -> Vec<Case> {
    let ours = [
        quoting::cases(),
        lines::cases(),
        delimiters::cases(),
        escapes::cases(),
        dirty::cases(),
        caps::cases(),
        blocks::cases(),
    ];
    ours.concat().into_iter().chain(told_by_others().into_iter().map(|told| told.case)).collect()
}
