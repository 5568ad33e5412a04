//! What becomes of the rows that are there, and tables that were there before.

use batteuse_shared::location;

use super::Barn;
use crate::support::published;

#[test]
fn append_adds_and_a_conflict_holds_the_run_until_it_is_mended() {
    let barn = Barn::new();
    let run = |name: &str, source: &str, code| barn.run(&barn.spec(name, source, 2, "table: stock", ""), code);
    run("first", "id,name\n1,one\n2,two\n", 0);
    run("second", "id,name\n2,again\n3,three\n", 0);
    assert_eq!(barn.sql("SELECT * FROM stock ORDER BY id, name"), "1|one\n2|again\n2|two\n3|three");

    barn.sql("DELETE FROM stock WHERE name = 'again'; ALTER TABLE stock ADD PRIMARY KEY (id)");
    let spec = barn.spec("third", "id,name\n4,four\n3,other\n5,five\n", 3, "table: stock", "");
    let held = barn.ask(&["run", "-f", &spec]).expect(16);
    held.says(&["public.stock does not take the rows of this run", "(id)=(3)", "resume"]);
    assert_eq!(barn.sql("SELECT count(*) FROM stock"), "3", "nothing of it is there");
    assert!(!barn.staged().is_empty(), "what was staged waits");
    let out = barn.out("third");
    assert!(!out.join("_SUCCESS").exists());
    barn.sql("DELETE FROM stock WHERE id = 3");
    barn.ask(&["resume", "--to", out.to_str().unwrap()]).expect(0);
    assert_eq!(barn.sql("SELECT string_agg(id || name, ' ' ORDER BY id) FROM stock"), "1one 2two 3other 4four 5five");
    assert_eq!(barn.staged(), [""; 0]);
    assert!(out.join("_SUCCESS").exists());
}

#[test]
fn replace_takes_the_place_of_what_was_there() {
    let barn = Barn::new();
    let run = |name: &str, source: &str, code| {
        let spec = barn.spec(name, source, 2, "table: stock, mode: replace", "  rejects: {tolerate: {count: 1}}\n");
        barn.run(&spec, code)
    };
    run("first", "id,name\n1,one\n2,two\n", 0);
    run("second", "id,name\n7,seven\n", 0);
    assert_eq!(barn.sql("SELECT * FROM stock"), "7|seven");
    run("failed", "id,name\n8,eight\n9\n10\n", 8);
    assert_eq!(barn.sql("SELECT * FROM stock"), "7|seven", "a run that failed leaves what was there");
    run("empty", "id,name\n", 0);
    assert_eq!(barn.sql("SELECT count(*) FROM stock"), "0");
    for id in [5, 6] {
        run("daily", &format!("id,name\n{id},today\n"), 0);
        assert_eq!(barn.sql("SELECT * FROM stock"), format!("{id}|today"), "one folder takes one run after the other");
        barn.ask(&["verify", barn.out("daily").to_str().unwrap()]).expect(0);
    }
    let files = barn.out("files");
    let from = barn.folder.path().join("daily.csv");
    barn.ask(&["run", "--from", from.to_str().unwrap(), "--to", files.to_str().unwrap()]).expect(0);
    let refused = barn.ask(&["run", "-f", &barn.spec("files", "id,name\n1,one\n", 1, "table: stock", "")]);
    refused.expect(12).says(&["holds the table of run"]);
}

#[test]
fn upsert_keeps_the_last_in_source_order() {
    let barn = Barn::new();
    let first: String = (0..40).map(|id| format!("{id},a,old {id}\n")).collect();
    // Each key comes again and again, far apart.
    let second: String = (0..400).map(|n| format!("{},a,new {n}\n", n * 7 % 50)).collect();
    let mut contents = Vec::new();
    for partitions in [1, 3, 7] {
        let name = |what: &str| format!("{what}-{partitions}");
        let table = format!("table: stock{partitions}, mode: upsert, key: [id, kind]");
        barn.run(&barn.spec(&name("first"), &format!("id,kind,name\n{first}"), partitions, &table, ""), 0);
        barn.run(&barn.spec(&name("second"), &format!("id,kind,name\n{second}"), partitions, &table, ""), 0);
        contents.push(barn.content(&format!("stock{partitions}")));
        let last = barn.sql(&format!("SELECT name FROM stock{partitions} WHERE id = 7"));
        let want = (0..400).rev().find(|n| n * 7 % 50 == 7).unwrap();
        assert_eq!(last, format!("new {want}"));
    }
    assert!(contents[0].starts_with("50|") && contents.iter().all(|content| *content == contents[0]), "{contents:?}");

    barn.sql("CREATE TABLE keyless (id bigint, kind text, name text)");
    let table = "table: keyless, mode: upsert, key: [id, kind]";
    let held = barn.ask(&["run", "-f", &barn.spec("keyless", "id,kind,name\n1,a,b\n", 1, table, "")]).expect(16);
    held.says(&["no unique or exclusion constraint"]);
}

#[test]
fn a_table_that_is_there_declares_the_types() {
    let barn = Barn::new();
    barn.sql(
        "CREATE SCHEMA geo; CREATE TABLE geo.\"Places\" (\"when\" timestamptz DEFAULT '2020-01-01', price numeric(6,2), \
         code varchar(5) NOT NULL, small smallint, id serial PRIMARY KEY, four integer, whole numeric(4), \
         upper text GENERATED ALWAYS AS (upper(code)) STORED)",
    );
    let source = "code,small,four,price,whole\n01,1,70000,1.5,12\n2a,-32768,,10,\nabc,,,9999.99,9999\n";
    barn.run(&barn.spec("typed", source, 2, "table: geo.Places", ""), 0);
    let rows =
        barn.sql("SELECT code, small, four, price, whole, upper, id, \"when\"::date FROM geo.\"Places\" ORDER BY id");
    let want =
        "01|1|70000|1.50|12|01|1|2020-01-01\n2a|-32768||10.00||2A|2|2020-01-01\nabc|||9999.99|9999|ABC|3|2020-01-01";
    // A sequence has gaps: what was staged took numbers too.
    let ids_aside = |rows: &str| {
        let cut = |row: &str| {
            row.split('|').enumerate().filter(|(at, _)| *at != 6).map(|(_, f)| f.to_owned()).collect::<Vec<_>>()
        };
        rows.lines().map(cut).collect::<Vec<_>>()
    };
    assert_eq!(ids_aside(&rows), ids_aside(want));

    barn.sql(
        "CREATE TABLE odd (a real, b uuid, c timestamp(0), d numeric(5,1), e text GENERATED ALWAYS AS ('x') STORED)",
    );
    let refused = |spec: &str, words: &[&str]| {
        let told = barn.run(spec, 12).out;
        assert!(words.iter().all(|words| told.contains(words)), "{words:?}: {told}");
    };
    for (source, columns, words) in [
        ("x\n1\n", "infer", "no column \"x\""),
        ("a\n1.5\n", "infer", "real, which no type of a file's column follows from"),
        ("b\nx\n", "text", "uuid and the file's is text"),
        ("c\n2024-01-01T00:00:00\n", "infer", "would round"),
        ("d\n1.25\n", "{infer: true, d: \"decimal(5,2)\"}", "would round"),
        ("e\nx\n", "infer", "is generated"),
    ] {
        let spec = barn.spec("odd", source, 1, "table: odd", &format!("  columns: {columns}\n"));
        refused(&spec, &["public.odd cannot take this file", words]);
    }
    let long = "x".repeat(64);
    let spec = barn.spec("odd", &format!("{long}\n1\n"), 1, "table: new", "");
    refused(&spec, &["1 to 63 bytes"]);
    let spec = barn.spec("odd", "ctid\n1\n", 1, "table: new", "");
    refused(&spec, &["conflicts with a system column name"]);
    let spec = barn.spec("odd", "a\n1\n", 1, "table: new, mode: upsert, key: [b]", "");
    refused(&spec, &["column \"b\""]);
}

#[test]
fn files_and_a_table_have_the_same_rows() {
    let barn = Barn::new();
    barn.sql("CREATE TABLE stock (id bigint, name text CHECK (name <> 'no'))");
    let source: String = (0..90).map(|id| format!("{id},{}\n", if id % 9 == 4 { "no" } else { "yes" })).collect();
    let out = barn.out("both");
    let files = format!("parquet: {{url: \"{}\"}}", location::url_of_dir(&out).unwrap());
    let more = "  rejects: {tolerate: {count: 10}}\n";
    let spec = barn.spec_of("both", &format!("id,name\n{source}"), 4, &files, "table: stock, maxConnections: 1", more);
    barn.run(&spec, 4);
    let table = published::table(&out);
    assert_eq!((table.rows.len(), barn.sql("SELECT count(*) FROM stock").as_str()), (80, "80"));
    let ids = table.rows.iter().map(|row| row[0].clone().unwrap()).collect::<Vec<_>>().join("\n");
    assert_eq!(barn.sql("SELECT id FROM stock ORDER BY id"), ids);
    barn.ask(&["verify", out.to_str().unwrap()]).expect(0);
    // The files of another run lie in folders; what the table or the folders do not take is in neither. The first folder has no row.
    let folders = barn.out("folders");
    let files = format!("parquet: {{url: \"{}\", partitionBy: [name]}}", location::url_of_dir(&folders).unwrap());
    let more = "  columns: [{name: id}, {name: name, nulls: []}]\n  rejects: {tolerate: {count: 13}}\n";
    let source = format!("id,name\n100,no\n{source}90,\n91,\n");
    barn.sql("CREATE TABLE others (LIKE stock INCLUDING ALL)");
    barn.run(&barn.spec_of("folders", &source, 4, &files, "table: others", more), 4);
    let in_folders = published::table(&folders);
    assert_eq!((in_folders.rows.len(), barn.sql("SELECT count(*) FROM others").as_str()), (80, "80"));
    barn.ask(&["verify", folders.to_str().unwrap()]).expect(0);
    barn.sql("UPDATE batteuse_ledger SET rows = 81");
    let told = barn.ask(&["verify", out.to_str().unwrap()]).expect(8);
    assert!(told.out.contains("NOT AS REPORTED: the ledger beside public.stock has 81 rows"), "{}", told.out);
}
