//! The kernel alone, one thread, over files warm in memory: how near it is to the machine, and beside other readers.
//!
//! Counts and checksums are compared before anything is timed. Both sides of a line of the table run in turns (A B A B ...), and
//! the figure to quote is the median of the paired ratios: how many times as fast ours is. Ours checks every byte's encoding wherever it
//! makes Arrow, as every run does; none digests rows while it is timed.
//! `BATTEUSE_BENCH_ONLY` for some lines only, by parts of their measures and with commas between them.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a benchmark: it reads clocks, starts processes and stops at the first failure"
)]

#[path = "../../worker/kernel/src/arch/bare.rs"]
mod bare;
#[path = "../common/mod.rs"]
mod common;
mod index;
mod rejects;
mod rewrite;
mod split;
mod table;
mod typed;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use batteuse_shared::spec::Encoding;
use bytes::Bytes;

use self::common::{bytes_asked, generate, schema};
use self::table::{Row, heading};
use self::typed::{Source, arrow, ours, plain_dialect};

/// Columns of sirene that the line of a few columns reads: text, a date and codes, near and far.
const FEW: [&str; 5] = [
    "siret",
    "dateCreationEtablissement",
    "codePostalEtablissement",
    "libelleCommuneEtablissement",
    "activitePrincipaleEtablissement",
];

fn main() {
    let dir = tempfile::Builder::new().prefix("batteuse-bench-").tempdir().unwrap();
    heading(&bytes_asked());
    for shape in ["sirene", "taxi"] {
        plain(shape, dir.path());
    }
    dvf(dir.path());
    nppes(dir.path());
}

/// A generated file, and the types that inspection finds in the plain shapes.
fn generated(shape: &str, dir: &Path) -> (Bytes, SchemaRef) {
    let file = dir.join(shape);
    generate(shape, &bytes_asked(), &file);
    let made = (fs::read(&file).unwrap().into(), schema(&file));
    fs::remove_file(&file).unwrap();
    made
}

/// Commas, UTF-8, quotes where they are needed.
fn plain(shape: &str, dir: &Path) {
    let (text, schema) = generated(shape, dir);
    index::lines(shape, &text);
    match shape {
        "sirene" => split::lines::<54>(shape, &text),
        _ => split::lines::<19>(shape, &text),
    }
    let gigabytes = text.len() as f64 / 1e9;
    let mut source = Source {
        text: text.clone(),
        dialect: plain_dialect(),
        schema: &schema,
        dates: None,
        declared: false,
        few: None,
    };
    let measure = format!("{shape}: typed to Arrow, {} columns", schema.fields().len());
    let row = Row { measure: &measure, peer: "arrow-csv", amount: gigabytes, unit: "GB/s", target: Some(4.0) };
    typed::line(&row, (ours, &source), (arrow, &source));
    rejects::line(shape, &source);
    if shape == "sirene" {
        let all = Source {
            text: text.clone(),
            dialect: plain_dialect(),
            schema: &schema,
            dates: None,
            declared: false,
            few: None,
        };
        source.few = Some(FEW.map(|name| schema.index_of(name).unwrap()).to_vec());
        let measure = format!("sirene: typed to Arrow, {} of {} columns", FEW.len(), schema.fields().len());
        let row = Row { measure: &measure, peer: "ours, all columns", target: Some(2.5), ..row };
        let rows = typed::compare(&row, (ours, &source), (arrow, &source));
        typed::time(&row, (rows, ours, &source), (rows, ours, &all));
    }
}

/// `|`, decimal comma, dd/mm/yyyy and Windows-1252, beside the same rows as others want them.
fn dvf(dir: &Path) {
    let text = String::from_utf8(generated("dvf", dir).0.into()).unwrap();
    let (theirs, rows) = rewrite::as_plain_csv(&text);
    let encoded = rewrite::as_windows_1252(&text);
    drop(text);
    let mut dialect = plain_dialect();
    (dialect.delimiter, dialect.decimal, dialect.encoding) = (b"|".to_vec(), b',', Encoding::Windows1252);
    let (schema, dates) = (rewrite::dvf_schema(), Some("%d/%m/%Y".parse().unwrap()));
    let ours_of = Source { text: encoded.into(), dialect, schema: &schema, dates, declared: false, few: None };
    let theirs_of = Source {
        text: theirs.into(),
        dialect: plain_dialect(),
        schema: &schema,
        dates: None,
        declared: false,
        few: None,
    };
    let row = Row {
        measure: "dvf: typed to Arrow, 43 columns",
        peer: "arrow-csv, plain twin",
        amount: rows as f64 / 1e6,
        unit: "Mrow/s",
        target: Some(3.0),
    };
    typed::line(&row, (ours, &ours_of), (arrow, &theirs_of));
}

/// Every field in quotes, beside the same rows without.
fn nppes(dir: &Path) {
    let (quoted, _) = generated("nppes", dir);
    let (bare, rows) = rewrite::without_quotes(&quoted);
    let bare = Bytes::from(bare);
    let header = bare.split(|&byte| byte == b'\n').next().unwrap();
    let of = |name: &str| match name {
        "NPI" | "Entity Type Code" => DataType::Int64,
        _ => DataType::Utf8,
    };
    let names = std::str::from_utf8(header).unwrap().split(',');
    let schema: SchemaRef =
        Arc::new(Schema::new(names.map(|name| Field::new(name, of(name), true)).collect::<Vec<_>>()));
    let of_text = |text: &Bytes| Source {
        text: text.clone(),
        dialect: plain_dialect(),
        schema: &schema,
        dates: None,
        declared: false,
        few: None,
    };
    let row = Row {
        measure: "nppes: 330 columns, every field quoted",
        peer: "ours, unquoted twin",
        amount: rows as f64 / 1e6,
        unit: "Mrow/s",
        target: Some(0.6),
    };
    typed::line(&row, (ours, &of_text(&quoted)), (ours, &of_text(&bare)));
}
