//! What makes a job or a dialect ambiguous or senseless, in words: where, why, and what to do.
//!
//! Invariant: pure and total; the same spec gives the same problems in the same order. The dialect that a user gives and
//! the one that inspection settles obey the same rules (`clashes`). Files are not looked at.

use std::collections::BTreeSet;
use std::fmt;

use super::given::{ascii_byte, iconv_command};
use super::{
    API_VERSION, Auto, Columns, Compression, Csv, DeclaredType, Dialect, Job, KIND, Output, Parquet, Source, Tolerance,
    hive, postgres,
};
use crate::table::ColumnType;
use crate::{limits, location};

/// One thing wrong with a spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpecProblem {
    /// The field, such as `spec.source.csv.quote` or `spec.columns[2].name`.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for SpecProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Problems as they are found.
#[derive(Default)]
pub(super) struct Found(Vec<SpecProblem>);

impl Found {
    pub(super) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(SpecProblem { path: path.into(), message: message.into() });
    }

    fn csv(&mut self, field: &str, message: impl Into<String>) {
        self.add(format!("spec.source.csv.{field}"), message);
    }

    pub(super) fn verdict(self) -> Result<(), Vec<SpecProblem>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}

impl Job {
    /// Whether the job is unambiguous and within the limits; says nothing about the files it names.
    ///
    /// # Errors
    /// Every problem found.
    pub fn check(&self) -> Result<(), Vec<SpecProblem>> {
        let mut found = Found::default();
        if self.api_version != API_VERSION {
            found.add("apiVersion", format!("{:?} is not a version known here: write {API_VERSION}", self.api_version));
        }
        if self.kind != KIND {
            found.add("kind", format!("{:?} is not a kind known here: write {KIND}", self.kind));
        }
        let name = &self.metadata.name;
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if name.is_empty() || name.len() > limits::JOB_NAME_BYTES_MAX || !name.bytes().all(plain) {
            let max = limits::JOB_NAME_BYTES_MAX;
            found.add(
                "metadata.name",
                format!("{name:?} is no job name: use 1 to {max} characters of a-z, 0-9 and '-'"),
            );
        }
        check_source(&self.spec.source, &mut found);
        if let Auto::Given(bytes) = self.spec.partition.bytes
            && !(limits::PARTITION_BYTES_MIN..=limits::PARTITION_BYTES_MAX).contains(&bytes)
        {
            found.add(
                "spec.partition.bytes",
                format!("{bytes} bytes are out of range: use 1 byte to 1 PiB, such as 64MiB"),
            );
        }
        check_columns(&self.spec.columns, &mut found);
        check_output(&self.spec.output, &mut found);
        hive::check(&self.spec, &mut found);
        check_tolerance(self.spec.rejects.tolerate, &mut found);
        let (priority, max) = (self.spec.priority, limits::PRIORITY_MAX);
        if !(-max..=max).contains(&priority) {
            found.add("spec.priority", format!("{priority} is out of range: use -{max} to {max}"));
        }
        found.verdict()
    }
}

impl Dialect {
    /// Whether the settled dialect is unambiguous, by the rules for given ones; `path` names the spec's field to set.
    ///
    /// # Errors
    /// Every problem found.
    pub fn check(&self) -> Result<(), Vec<SpecProblem>> {
        let mut found = Found::default();
        let known = Known {
            delimiter: Some(&self.delimiter),
            quote: self.quote,
            escape: self.escape,
            comment: self.comment,
            decimal: Some(self.decimal),
        };
        clashes(&known, &mut found);
        found.verdict()
    }
}

/// The parts of a dialect that are known.
struct Known<'a> {
    delimiter: Option<&'a [u8]>,
    quote: Option<u8>,
    escape: Option<u8>,
    comment: Option<u8>,
    decimal: Option<u8>,
}

/// The rules of an unambiguous dialect.
fn clashes(known: &Known<'_>, found: &mut Found) {
    let marks = [("quote", known.quote), ("escape", known.escape), ("comment", known.comment)];
    if let Some(delimiter) = known.delimiter {
        check_delimiter(delimiter, &marks, found);
    }
    for (i, (field, byte)) in marks.iter().enumerate() {
        let Some(byte) = *byte else { continue };
        if !byte.is_ascii() || matches!(byte, b'\r' | b'\n' | 0) {
            let shown = shown(&[byte]);
            found
                .csv(field, format!("{shown} cannot be the {field}: use one ASCII character, not a line end, not NUL"));
        }
        let Some((other, _)) = marks[..i].iter().find(|(_, earlier)| *earlier == Some(byte)) else { continue };
        let what_to_do = match (*field, *other) {
            ("escape", "quote") => "a doubled quote is read as one quote anyway: leave the escape out",
            _ => "give another character for one of them",
        };
        found.csv(field, format!("{} is the {other} as well as the {field}: {what_to_do}", shown(&[byte])));
    }
    let Some(decimal) = known.decimal else { return };
    if !matches!(decimal, b'.' | b',') {
        found.csv("decimal", format!("{} is no decimal mark: use \".\" or \",\"", shown(&[decimal])));
    } else if known.delimiter == Some(&[decimal]) {
        let mark = shown(&[decimal]);
        found.csv(
            "decimal",
            format!("{mark} is the delimiter as well as the decimal mark: give another for one of them"),
        );
    }
}

fn check_delimiter(delimiter: &[u8], marks: &[(&str, Option<u8>)], found: &mut Found) {
    let max = limits::DELIMITER_BYTES_MAX;
    if delimiter.is_empty() {
        let words =
            "the delimiter is empty: give text in quotes such as \"|\", or tab, comma, semicolon, pipe, space or auto";
        found.csv("delimiter", words);
    } else if delimiter.len() > max {
        let bytes = delimiter.len();
        found.csv("delimiter", format!("{} is {bytes} bytes long: use 1 to {max} bytes", shown(delimiter)));
    }
    if delimiter.iter().any(|b| matches!(b, b'\r' | b'\n' | 0)) {
        let words = "holds a line end or NUL: a delimiter stands within a line, use other bytes";
        found.csv("delimiter", format!("{} {words}", shown(delimiter)));
    }
    for (field, byte) in marks {
        if byte.is_some_and(|b| delimiter.contains(&b)) {
            let words = "give another character for one of them";
            found.csv("delimiter", format!("{} holds the {field} character: {words}", shown(delimiter)));
        }
    }
}

/// Bytes as an error shows them: in quotes, what is not printable ASCII as an escape.
fn shown(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}

fn check_source(source: &Source, found: &mut Found) {
    match location::path_of(&source.url) {
        Err(bad) => found.add("spec.source.url", bad.to_string()),
        Ok(_) if source.url.ends_with('/') => {
            found.add("spec.source.url", format!("{:?} ends with / and so names a folder: name one file", source.url));
        }
        Ok(_) => {}
    }
    let csv = &source.csv;
    check_encoding(csv, &source.url, found);
    check_characters(csv, found);
    let delimiter = csv.given_delimiter();
    clashes(
        &Known {
            delimiter: delimiter.as_deref(),
            quote: csv.given_quote().flatten(),
            escape: csv.escape_byte(),
            comment: csv.comment_byte(),
            decimal: csv.given_decimal(),
        },
        found,
    );
    if csv.skip_lines > limits::SKIP_LINES_MAX {
        let (lines, max) = (csv.skip_lines, limits::SKIP_LINES_MAX);
        found.csv("skipLines", format!("{lines} lines are too many: at most {max} are skipped; cut the file first"));
    }
    check_nulls("spec.source.csv.nulls", &csv.nulls, found);
}

fn check_encoding(csv: &Csv, url: &str, found: &mut Found) {
    let Auto::Given(encoding) = &csv.encoding else { return };
    if csv.given_encoding().is_none() {
        let convert = iconv_command(encoding, url);
        found.csv(
            "encoding",
            format!("{encoding:?} is not read: use utf-8, windows-1252 or auto, or convert the file first: {convert}"),
        );
    }
}

/// What is lost on the way from text to bytes: more than one character, one not ASCII, or one not in the encoding.
fn check_characters(csv: &Csv, found: &mut Found) {
    if let Auto::Given(delimiter) = &csv.delimiter {
        if csv.given_delimiter().is_none() {
            let words = "has no form in windows-1252: use other characters, or convert the file to UTF-8 first";
            found.csv("delimiter", format!("{delimiter:?} {words}"));
        } else if !delimiter.is_ascii() && csv.encoding == Auto::Auto {
            let words = "is not ASCII, so its bytes depend on the encoding: give the encoding as well";
            found.csv("delimiter", format!("{delimiter:?} {words}"));
        }
    }
    let quote = match &csv.quote {
        Auto::Given(text) if text != "none" => Some(text),
        _ => None,
    };
    for (field, text) in [("quote", quote), ("escape", csv.escape.as_ref()), ("comment", csv.comment.as_ref())] {
        if let Some(text) = text.filter(|t| ascii_byte(t).is_none()) {
            let auto = if field == "quote" { ", none or auto" } else { " or none" };
            found.csv(field, format!("{text:?} is not one ASCII character: give one, in quotes{auto}"));
        }
    }
    match (csv.given_quote(), csv.escape_byte()) {
        (Some(None), Some(_)) => {
            found.csv("escape", "an escape works inside quotes only and the quote is none: leave the escape out");
        }
        (None, Some(byte @ (b'"' | b'\''))) => {
            let words = "may be the quote too, which is auto: give the quote as well";
            found.csv("escape", format!("{} {words}", shown(&[byte])));
        }
        _ => {}
    }
    if let Auto::Given(text) = &csv.decimal
        && csv.given_decimal().is_none()
    {
        found.csv("decimal", format!("{text:?} is no decimal mark: use \".\", \",\" or auto"));
    }
}

fn check_nulls(path: &str, nulls: &[String], found: &mut Found) {
    if nulls.len() > limits::NULLS_MAX {
        let (count, max) = (nulls.len(), limits::NULLS_MAX);
        found.add(path, format!("{count} texts that mean null are too many: give at most {max}"));
    }
    let mut seen = BTreeSet::new();
    for (i, null) in nulls.iter().enumerate() {
        if !seen.insert(null) {
            found.add(format!("{path}[{i}]"), format!("{null:?} is given twice: remove one"));
        }
    }
}

fn check_columns(columns: &Columns, found: &mut Found) {
    let path = "spec.columns";
    let (names, types): (Vec<&str>, Vec<Option<DeclaredType>>) = match columns {
        Columns::Infer | Columns::AllText => return,
        Columns::Some(declared) => declared.iter().map(|(name, ctype)| (name.as_str(), Some(*ctype))).unzip(),
        Columns::All(list) => list.iter().map(|column| (column.name.as_str(), column.ctype)).unzip(),
    };
    let is_list = matches!(columns, Columns::All(_));
    if is_list && names.is_empty() {
        found.add(path, "the list of columns is empty: name every column of the file, or write infer");
    }
    if names.len() > limits::COLUMNS_MAX {
        let (count, max) = (names.len(), limits::COLUMNS_MAX);
        found.add(path, format!("{count} columns are too many: a file has at most {max}"));
    }
    let mut seen = BTreeSet::new();
    for (i, (&name, declared)) in names.iter().zip(types).enumerate() {
        let at = |field: &str| if is_list { format!("{path}[{i}].{field}") } else { path.to_owned() };
        if !seen.insert(name) {
            found.add(at("name"), format!("the column {name:?} is given twice: name each column once"));
        }
        if name == "infer" && !is_list {
            found.add(
                path,
                "in a map `infer` is no column's name: for a column of that name write a list of {name, type}",
            );
        }
        let Some(DeclaredType { ctype, format }) = declared else { continue };
        if let ColumnType::Decimal { precision, scale } = ctype
            && (!(1..=38).contains(&precision) || scale > precision)
        {
            let words = "use decimal(p,s) with 1 <= p <= 38 and s <= p";
            found.add(at("type"), format!("decimal({precision},{scale}) of {name:?} is out of range: {words}"));
        }
        if let Some(Err(bad)) = format.map(|format| format.of(ctype)) {
            found.add(at("type"), format!("the format of {name:?} does not fit {ctype}: {bad}"));
        }
    }
    if let Columns::All(list) = columns {
        for (i, column) in list.iter().enumerate() {
            check_nulls(&format!("{path}[{i}].nulls"), column.nulls.as_deref().unwrap_or(&[]), found);
        }
    }
}

fn check_output(output: &Output, found: &mut Found) {
    match output {
        Output { parquet: None, postgres: None, .. } => {
            found.add("spec.output", "there is none: give parquet, postgres or both");
        }
        Output { parquet: None, folder: None, .. } => {
            let words = "is missing: without parquet, name the folder of the run's report and rejects";
            found.add("spec.output.folder", words);
        }
        Output { parquet: Some(_), folder: Some(_), .. } => {
            let words = "report and rejects lie in the folder of the Parquet files: leave this one out";
            found.add("spec.output.folder", words);
        }
        Output { folder: Some(url), .. } => {
            if let Err(bad) = location::folder_of(url) {
                found.add("spec.output.folder", bad.to_string());
            }
        }
        Output { folder: None, .. } => {}
    }
    if let Some(parquet) = &output.parquet {
        check_parquet(parquet, found);
    }
    if let Some(table) = &output.postgres {
        postgres::check(table, found);
    }
}

fn check_parquet(parquet: &Parquet, found: &mut Found) {
    if let Err(bad) = location::folder_of(&parquet.url) {
        found.add("spec.output.parquet.url", bad.to_string());
    }
    let bytes = parquet.file_bytes;
    if !(limits::FILE_BYTES_MIN..=limits::FILE_BYTES_MAX).contains(&bytes) {
        let text = format!("{bytes} bytes are out of range: use 1MiB to 16GiB, such as 128MiB");
        found.add("spec.output.parquet.fileBytes", text);
    }
    if matches!(parquet.compression, Compression::Zstd(level) if !(1..=22).contains(&level)) {
        found.add("spec.output.parquet.compression", "zstd has the levels 1 to 22: use zstd(3)");
    }
}

fn check_tolerance(tolerate: Tolerance, found: &mut Found) {
    // A NaN is in no range.
    if let Some(percent) = tolerate.percent.filter(|p| !(0.0..=100.0).contains(p)) {
        found.add("spec.rejects.tolerate.percent", format!("{percent} percent is out of range: use 0 to 100"));
    }
}
