//! Rows that the database does not take: rejects with a reason, and nothing else is lost, however the file is cut.

use std::collections::BTreeMap;

use super::Barn;
use crate::support::published;

const TABLE: &str =
    "CREATE TABLE {} (id bigint NOT NULL, code varchar(3), n smallint CHECK (n <> 13), d numeric(4,2), t text)";

/// The kernel's own words: a table that is there declares the types.
const DECIMAL: &str = "\"123.4\" is no decimal(4,2): expected at most 2 digits, then at most 2 after '.', without leading zeros or exponent";

/// A file of 700 records, and what is wrong with some: line and reason.
fn dirty() -> (String, BTreeMap<u64, &'static str>) {
    let (mut text, mut wrong) = ("id,code,n,d,t\n".to_owned(), BTreeMap::new());
    for id in 0..700u64 {
        let line = id + 2;
        let (row, why) = match id {
            5 | 6 | 7 | 350 => (
                format!(",a,1,1,x {id}"),
                "null value in column \"id\" of relation \"{}\" violates not-null constraint",
            ),
            20 | 699 => (format!("{id},abcd,1,1,x"), "value too long for type character varying(3)"),
            100..=103 => {
                (format!("{id},a,13,1,x"), "new row for relation \"{}\" violates check constraint \"{}_n_check\"")
            }
            222 => (format!("{id},a,40000,1,x"), "40000 is out of range for type smallint"),
            223 => (format!("{id},a,1,123.4,x"), DECIMAL),
            300 => (format!("{id},a,1,1,\"x\0y\""), "the text holds a NUL character, which no text of PostgreSQL can"),
            // The first of several reasons, whatever is sent with it.
            301 => (",abcd,13,1,x".to_owned(), "value too long for type character varying(3)"),
            400 => (format!("{id},a"), "expected 5 fields, found 2"),
            _ => (format!("{id},{},{},{}.5,text {id}", id % 100, id % 13, id % 90), ""),
        };
        if !why.is_empty() {
            wrong.insert(line, why);
        }
        text += &(row + if id % 3 == 0 { "\r\n" } else { "\n" });
    }
    (text, wrong)
}

#[test]
fn refused_rows_are_rejects_however_the_file_is_cut() {
    let barn = Barn::new();
    let (source, wrong) = dirty();
    let mut seen = Vec::new();
    for partitions in [1, 3, 7] {
        let name = format!("refused{partitions}");
        barn.sql(&TABLE.replace("{}", &name));
        let more = "  rejects: {tolerate: {count: 100}}\n";
        barn.run(&barn.spec(&name, &source, partitions, &format!("table: {name}"), more), 4);
        let out = barn.out(&name);
        let (names, rejects) = published::rejects(&published::run_file(&out, "rejects.parquet"));
        let at = |column: &str| names.iter().position(|name| name == column).unwrap();
        let value = |row: &[Option<String>], column: &str| row[at(column)].clone().unwrap();
        let told: BTreeMap<u64, String> =
            rejects.iter().map(|row| (value(row, "line").parse().unwrap(), value(row, "message"))).collect();
        let want: BTreeMap<u64, String> = wrong.iter().map(|(line, why)| (*line, why.replace("{}", &name))).collect();
        assert_eq!(told, want);
        for row in &rejects {
            let line: usize = value(row, "line").parse().unwrap();
            let raw: String = source.lines().nth(line - 1).unwrap().bytes().map(|b| format!("{b:02x}")).collect();
            assert_eq!(value(row, "raw"), raw, "line {line}");
        }
        let kinds: Vec<_> = rejects
            .iter()
            .map(|row| (value(row, "line"), value(row, "error_type"), row[at("column_name")].clone()))
            .collect();
        assert!(
            kinds.contains(&("22".to_owned(), "REFUSED BY TABLE".to_owned(), Some("code".to_owned()))),
            "{kinds:?}"
        );
        assert!(kinds.contains(&("7".to_owned(), "REFUSED BY TABLE".to_owned(), Some("id".to_owned()))), "{kinds:?}");
        let own = |text: &str| text.replace(&name, "table");
        // All but the URL of the source.
        let rejects: Vec<Vec<_>> =
            rejects.iter().map(|row| row[1..].iter().map(|field| field.as_deref().map(own)).collect()).collect();
        let counts = barn.sql(&format!("SELECT count(*), count(DISTINCT id) FROM {name}"));
        assert_eq!(counts, format!("{0}|{0}", 700 - wrong.len()));
        let report = published::json_file(&published::run_file(&out, "report.json"));
        assert_eq!((&report["equation"]["holds"], &report["rejected"]), (&true.into(), &wrong.len().into()));
        seen.push((rejects, barn.content(&name), report["digest"].clone()));
        barn.ask(&["verify", out.to_str().unwrap()]).expect(0);
    }
    assert!(seen.iter().all(|one| *one == seen[0]));
}

#[test]
fn keys_of_a_new_table_are_no_nulls_and_too_many_rejects_leave_it_unmade() {
    let barn = Barn::new();
    let source = "id,t\n1,a\n,b\n2,c\n";
    let table = "table: keyed, mode: upsert, key: [id]";
    barn.run(&barn.spec("strict", source, 2, table, ""), 8);
    assert_eq!(barn.sql("SELECT to_regclass('keyed') IS NULL"), "t");
    barn.run(&barn.spec("lenient", source, 2, table, "  rejects: {tolerate: {count: 1}}\n"), 4);
    assert_eq!(barn.sql("SELECT * FROM keyed ORDER BY id"), "1|a\n2|c");
}
