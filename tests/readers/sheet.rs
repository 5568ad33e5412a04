//! A CSV file made for readers, and what each of its cells must be in the table.
//!
//! Invariant: what is expected follows from the text of the file alone, by code that is not the engine's; each cell has one text
//! that names the value to its last bit, so that readers are compared by texts.

use std::fs;
use std::path::{Path, PathBuf};

use jiff::civil;

use crate::support::binary::batteuse;

/// Cells as texts; null is none.
pub type Cells = Vec<Option<String>>;

/// One column: how the file writes it, and what the table must make of it.
pub struct Column {
    pub name: String,
    /// The type in the table.
    pub ctype: String,
    /// The type as the spec declares it, which may have a format.
    declared: String,
    /// The text that means null.
    null: &'static str,
    /// As they stand in the file.
    pub texts: Cells,
}

/// A file under construction.
pub struct Sheet {
    pub name: &'static str,
    pub rows: usize,
    pub columns: Vec<Column>,
    pub partitions: u64,
    pub compression: &'static str,
    /// Whether the spec leaves all types to be inferred.
    pub inferred: bool,
    /// Decimal columns that no record of the file has a field for.
    pub voids: usize,
    /// Columns by whose values the files lie in folders.
    pub by: &'static [&'static str],
}

/// A plain generator of numbers: every run of the tests has the same.
#[derive(Clone)]
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

impl Sheet {
    /// A sheet whose first column numbers its rows.
    pub fn new(name: &'static str, rows: usize) -> Self {
        let sheet = Self {
            name,
            rows,
            columns: Vec::new(),
            partitions: 1,
            compression: "zstd(3)",
            inferred: false,
            voids: 0,
            by: &[],
        };
        sheet.column("id", "int64", |row| Some(row.to_string()))
    }

    pub fn inferred(self) -> Self {
        Self { inferred: true, ..self }
    }

    /// Adds a column by the text of each row.
    pub fn column(mut self, name: &str, declared: &str, text: impl FnMut(usize) -> Option<String>) -> Self {
        let ctype = if declared.contains('%') { declared.split('(').next().unwrap() } else { declared };
        let [name, ctype, declared] = [name, ctype, declared].map(str::to_owned);
        self.columns.push(Column { name, ctype, declared, null: "", texts: (0..self.rows).map(text).collect() });
        self
    }

    /// Adds a column of texts of which `NULL` means null, and an empty one does not.
    pub fn texts(mut self, name: &str, text: impl FnMut(usize) -> Option<String>) -> Self {
        self = self.column(name, "text", text);
        self.columns.last_mut().unwrap().null = "NULL";
        self
    }

    /// Adds a column of some values, of others, and of nulls: each of `some` stands in one of the first rows, and again.
    pub fn mixed(self, name: &str, declared: &str, some: &[&str], mut other: impl FnMut(&mut Dice) -> String) -> Self {
        let mut dice = Dice(name.len() as u64);
        self.column(name, declared, |row| match dice.below(10) {
            _ if row < some.len() => Some(some[row].to_owned()),
            0 => None,
            1 | 2 => Some(some[dice.below(some.len() as u64) as usize].to_owned()),
            _ => Some(other(&mut dice)),
        })
    }

    fn csv(&self) -> String {
        let mut out = self.columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(",");
        (0..self.voids).for_each(|i| out += &format!(",void{i}"));
        for row in 0..self.rows {
            for (at, column) in self.columns.iter().enumerate() {
                out.push(if at == 0 { '\n' } else { ',' });
                let text = column.texts[row].as_deref().unwrap_or(column.null);
                if text.contains([',', '"', '\n', '\r']) {
                    out += &format!("\"{}\"", text.replace('"', "\"\""));
                } else {
                    out += text;
                }
            }
        }
        out + "\n"
    }

    fn declarations(&self) -> String {
        if self.inferred {
            return "infer".to_owned();
        }
        let columns = self.columns.iter().map(|Column { name, declared, null, .. }| {
            format!("{{name: {name}, type: \"{declared}\", nulls: [\"{null}\"]}}")
        });
        let voids = (0..self.voids).map(|i| format!("{{name: void{i}, type: \"decimal(38,9)\"}}"));
        format!("[{}]", columns.chain(voids).collect::<Vec<_>>().join(", "))
    }

    /// Writes the file into `folder` and has the binary make a table of it; returns the table's folder.
    pub fn publish(&self, folder: &Path) -> PathBuf {
        let [source, spec] = ["csv", "yaml"].map(|end| folder.join(format!("{}.{end}", self.name)));
        let out = folder.join("out").join(self.name);
        let csv = self.csv();
        let text = format!(
            "apiVersion: batteuse.dev/v1alpha1\nkind: Ingest\nmetadata: {{name: {}}}\nspec:\n  \
             source: {{url: \"file://{}\", csv: {{delimiter: \",\", quote: '\"', encoding: utf-8, ragged: pad}}}}\n  \
             partition: {{bytes: {}}}\n  columns: {}\n  \
             output: {{parquet: {{url: \"file://{}/\", compression: {}, partitionBy: [{}]}}}}\n",
            self.name,
            source.display(),
            (csv.len() as u64).div_ceil(self.partitions),
            self.declarations(),
            out.display(),
            self.compression,
            self.by.join(", "),
        );
        fs::write(&source, csv).unwrap();
        fs::write(&spec, text).unwrap();
        let report = batteuse(["run", "-f", spec.to_str().unwrap(), "-o", "json"]).expect(0).json();
        assert_eq!((report["written"].as_u64(), report["partitions"].as_u64()), self.size());
        out
    }

    fn size(&self) -> (Option<u64>, Option<u64>) {
        (Some(self.rows as u64), Some(self.partitions))
    }
}

impl Column {
    /// What each cell must be.
    pub fn cells(&self) -> Cells {
        self.texts.iter().map(|text| text.as_deref().map(|text| self.cell(text))).collect()
    }

    /// What a cell with this text must be.
    pub fn cell(&self, text: &str) -> String {
        match self.ctype.split('(').next().unwrap() {
            "text" | "boolean" => text.to_owned(),
            "int64" => text.parse::<i64>().unwrap().to_string(),
            "float64" => format!("{:016x}", text.parse::<f64>().unwrap().to_bits()),
            "decimal" => decimal(text, self.ctype.split([',', ')']).nth(1).unwrap().parse().unwrap()),
            "date" => days(&iso(text)).to_string(),
            "timestamp" | "timestamptz" => micros(&iso(text)).to_string(),
            other => panic!("no sheet has a {other}"),
        }
    }
}

/// A decimal with all the digits of its scale.
fn decimal(text: &str, scale: usize) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = format!("{:0<scale$}", fraction.trim_end_matches('0'));
    let sign = if digits.contains(|c| ('1'..='9').contains(&c)) { sign } else { "" };
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// `DD/MM/YYYY` at the front as `YYYY-MM-DD`; what is ISO 8601 stays.
fn iso(text: &str) -> String {
    match text.get(2..3) {
        Some("/") => format!("{}-{}-{}{}", &text[6..10], &text[3..5], &text[..2], &text[10..]),
        _ => text.to_owned(),
    }
}

/// Days since 1970-01-01.
fn days(date: &str) -> i64 {
    let days = date.parse::<civil::Date>().unwrap() - civil::date(1970, 1, 1);
    days.get_days().into()
}

/// Microseconds since 1970-01-01T00:00:00, of the same clock or, with an offset, of UTC's. A day alone is its start.
fn micros(moment: &str) -> i64 {
    let (date, clock) = moment.split_at(10);
    let at = clock.find(['Z', '+', '-']).unwrap_or(clock.len());
    let (time, zone) = clock.split_at(at);
    let time = match time.get(1..) {
        None => 0,
        Some(time) => time.parse::<civil::Time>().unwrap().duration_since(civil::Time::midnight()).as_micros(),
    };
    let east = match zone.trim_start_matches('Z') {
        "" => 0,
        zone => {
            let (hours, minutes) = (zone[1..3].parse::<i64>().unwrap(), zone[zone.len() - 2..].parse::<i64>().unwrap());
            (hours * 60 + minutes) * if zone.starts_with('-') { -1 } else { 1 }
        }
    };
    (days(date) * 1_440 - east) * 60_000_000 + i64::try_from(time).unwrap()
}

#[test]
fn cells_are_written_in_one_way() {
    let cell = |ctype: &str, text: &str| {
        let sheet = Sheet::new("one", 1).column("one", ctype, |_| Some(text.to_owned()));
        sheet.columns[1].cells()[0].clone().unwrap()
    };
    let cases = [
        ("float64", "-0.0", "8000000000000000"),
        ("float64", "1", "3ff0000000000000"),
        ("decimal(5,2)", "-1.5", "-1.50"),
        ("decimal(5,2)", "-0.0", "0.00"),
        ("decimal(5,2)", "7.12000", "7.12"),
        ("decimal(5,0)", "-12", "-12"),
        ("date", "1969-12-31", "-1"),
        ("date(%d/%m/%Y)", "01/03/2000", "11017"),
        ("timestamp", "1970-01-02", "86400000000"),
        ("timestamp(%d/%m/%Y %H:%M)", "01/01/1970 00:01", "60000000"),
        ("timestamp", "1969-12-31 23:59:59.5", "-500000"),
        ("timestamptz", "1970-01-01T00:00:00+0130", "-5400000000"),
        ("timestamptz", "1970-01-01T00:00:01.000001-00:01", "61000001"),
        ("timestamptz", "0001-01-01T00:00:00Z", "-62135596800000000"),
    ];
    for (ctype, text, want) in cases {
        assert_eq!(cell(ctype, text), want, "{text} as {ctype}");
    }
}
