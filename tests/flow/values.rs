//! The values: every row of the Parquet parts is what the `csv` crate reads from the same file, in the inferred types.
//!
//! Invariant: no code of the engine stands on the side of the expectation; the types are written here, or follow from the text.

use super::{Input, must_equal};
use crate::support::published::Table;

/// The columns of a table whose types are not text.
fn typed(table: &Table) -> Vec<(&str, &str)> {
    let typed = table.columns.iter().filter(|(_, ctype)| ctype != "text");
    typed.map(|(name, ctype)| (name.as_str(), ctype.as_str())).collect()
}

/// A value of the file as [`Table`] has it.
fn value(text: &str, ctype: &str) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    Some(match ctype {
        "text" | "boolean" => text.to_owned(),
        "int64" => text.parse::<i64>().unwrap().to_string(),
        "float64" => text.replace(',', ".").parse::<f64>().unwrap().to_string(),
        "date" => text.parse::<jiff::civil::Date>().unwrap().to_string(),
        "timestamp" => {
            let civil = text.parse::<jiff::civil::DateTime>().unwrap();
            civil.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().to_string()
        }
        other => panic!("no file here has a {other}"),
    })
}

/// Compares a table with what the `csv` crate reads from `text`.
#[track_caller]
pub fn must_hold(table: &Table, text: &str, delimiter: u8) {
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
    let names: Vec<_> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(table.columns.iter().map(|c| c.0.clone()).collect::<Vec<_>>(), names);
    let rows = reader.records().map(|record| {
        let record = record.unwrap();
        record.iter().zip(&table.columns).map(|(text, (_, ctype))| value(text, ctype)).collect()
    });
    must_equal(&rows.collect::<Vec<_>>(), &table.rows, "the csv crate and the parts");
}

#[test]
fn the_communes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/communes.csv");
    let input = Input::new("communes.csv", std::fs::read(path).unwrap());
    let outcome = input.run_however_cut();
    assert_eq!((outcome.code, outcome.table().rows.len()), (0, 34_969));
    // The codes begin with zeros or hold letters (2A004): they are no numbers.
    assert_eq!(typed(outcome.table()), [("population", "int64")]);
    must_hold(outcome.table(), str::from_utf8(&input.bytes()).unwrap(), b',');
}

#[test]
fn a_register_of_establishments() {
    let input = Input::generated("sirene", "3MB");
    let outcome = input.run_however_cut();
    assert_eq!(outcome.code, 0);
    let types = [
        ("siret", "text"),
        ("codePostalEtablissement", "text"),
        ("dateCreationEtablissement", "date"),
        ("dateDernierTraitementEtablissement", "timestamp"),
        ("etablissementSiege", "boolean"),
        ("nombrePeriodesEtablissement", "int64"),
        ("coordonneeLambertAbscisseEtablissement", "float64"),
    ];
    for (column, ctype) in types {
        assert_eq!(outcome.table().type_of(column), ctype, "{column}");
    }
    must_hold(outcome.table(), str::from_utf8(&input.bytes()).unwrap(), b',');
}

#[test]
fn journeys_by_taxi() {
    let input = Input::generated("taxi", "3MB");
    let outcome = input.run_however_cut();
    assert_eq!(outcome.code, 0);
    for (column, ctype) in [("VendorID", "int64"), ("tpep_pickup_datetime", "timestamp"), ("trip_distance", "float64")]
    {
        assert_eq!(outcome.table().type_of(column), ctype, "{column}");
    }
    must_hold(outcome.table(), str::from_utf8(&input.bytes()).unwrap(), b',');
}

#[test]
fn transfers_of_land_with_their_dates_declared() {
    let input = Input::generated("dvf", "1MB");
    let input = Input { spec: "  columns: {infer: true, Date mutation: date(%d/%m/%Y)}\n", ..input };
    let outcome = input.run_however_cut();
    assert_eq!(outcome.code, 0);
    let iso = |line: &str| {
        let mut fields: Vec<String> = line.split('|').map(str::to_owned).collect();
        let day: Vec<&str> = fields[8].split('/').collect();
        fields[8] = day.iter().rev().copied().collect::<Vec<_>>().join("-");
        fields.join("|") + "\n"
    };
    assert_eq!(outcome.table().type_of("Date mutation"), "date");
    let text: String = str::from_utf8(&input.bytes()).unwrap().lines().map(iso).collect();
    must_hold(outcome.table(), &text, b'|');
}

#[test]
fn moments_of_a_format_and_those_that_are_none() {
    let mut text = "id;vu\n".to_owned();
    for i in 0..2_000 {
        let day = i % 31 + 1;
        text += &format!("{i};{day:02}/02/2024 1{}:30\n", i % 10);
    }
    let spec = "  columns: [{name: id, type: int64}, {name: vu, type: timestamp(%d/%m/%Y %H:%M)}]\n  \
                rejects: {tolerate: {percent: 10}}\n";
    let outcome = Input { spec, ..Input::new("moments.csv", &text) }.run_however_cut();
    assert_eq!(outcome.code, 4);
    let good: Vec<i32> = (0..2_000).filter(|i| i % 31 < 29).collect();
    let want =
        good.iter().map(|i| vec![Some(i.to_string()), Some(format!("2024-02-{:02}T1{}:30:00Z", i % 31 + 1, i % 10))]);
    must_equal(&want.collect::<Vec<_>>(), &outcome.table().rows, "moments written and read");
    assert_eq!(outcome.rejects.len(), 2_000 - good.len());
    let said = outcome.rejects[0][8].as_deref();
    assert_eq!(said, Some("\"30/02/2024 19:30\" is no timestamp: expected a valid %d/%m/%Y %H:%M"));
}

#[test]
fn quoted_fields_full_of_lines_that_look_like_records() {
    let input = Input::generated("quotes", "3MB");
    let outcome = input.run_however_cut();
    assert_eq!(outcome.code, 0);
    assert_eq!(typed(outcome.table()), [("id", "int64"), ("n", "int64")]);
    must_hold(outcome.table(), str::from_utf8(&input.bytes()).unwrap(), b',');
}

#[test]
fn windows_1252_with_semicolons_and_decimal_commas() {
    let mut text = "Numéro;Libellé;Montant (€);Date;Actif\r\n".to_owned();
    for i in 0..4_000 {
        let name = ["Château d'Œuvre", "\"Noël; l'été\r\nà \"\"Pâques\"\"\"", "Ñandú – ½", ""][i % 4];
        text += &format!("{i};{name};{},{:02};2024-0{}-1{};{}\r\n", i * 7, i % 100, i % 9 + 1, i % 10, i % 3 == 0);
    }
    let (bytes, _, unmappable) = encoding_rs::WINDOWS_1252.encode(&text);
    assert!(!unmappable && str::from_utf8(&bytes).is_err(), "the file is Windows-1252 and not UTF-8");
    let outcome = Input::new("communes.csv", bytes).run_however_cut();
    assert_eq!(outcome.code, 0);
    let types = [("Numéro", "int64"), ("Montant (€)", "float64"), ("Date", "date"), ("Actif", "boolean")];
    assert_eq!(typed(outcome.table()), types);
    must_hold(outcome.table(), &text, b';');
}
