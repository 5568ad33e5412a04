//! Forms round-trip, and every rule of the check is broken once.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::format::Format;
use crate::table::ColumnType;

fn auto() -> impl Strategy<Value = Auto<String>> {
    prop_oneof![Just(Auto::Auto), "[^a]{0,4}".prop_map(Auto::Given), Just(Auto::Given("none".to_owned()))]
}

fn column_type() -> impl Strategy<Value = ColumnType> {
    use ColumnType::*;
    prop_oneof![
        prop::sample::select(vec![Boolean, Int64, Float64, Date, Timestamp, TimestampUtc, Text]),
        (1u8..=38).prop_flat_map(|p| (Just(p), 0..=p)).prop_map(|(precision, scale)| Decimal { precision, scale }),
    ]
}

fn declared_type() -> impl Strategy<Value = DeclaredType> {
    prop_oneof![3 => column_type().prop_map(DeclaredType::from), 1 => formatted()]
}

/// A date or a timestamp with a format: its parts in any order, a mark before each.
fn formatted() -> impl Strategy<Value = DeclaredType> {
    const PARTS: [&str; 7] = ["%Y", "%m", "%d", "%H", "%M", "%S", "%3f"];
    let parts = prop::sample::select(vec![3, 5, 6, 7]).prop_map(|count| PARTS[..count].to_vec()).prop_shuffle();
    let marks = vec(prop::sample::select(vec!["", "/", ".", " ", "%%", "(", ")", "\"", "T", ","]), 7);
    (parts, marks).prop_map(|(parts, marks)| {
        let text: String = std::iter::zip(marks, parts).flat_map(|(mark, part)| [mark, part]).collect();
        let format: Format = text.parse().expect("a format");
        DeclaredType { ctype: format.ctype(), format: Some(format) }
    })
}

fn columns() -> impl Strategy<Value = Columns> {
    let listed = (".{0,6}", option::of(declared_type()), option::of(vec(".{0,3}", 0..3)))
        .prop_map(|(name, ctype, nulls)| ColumnSpec { name, ctype, nulls });
    prop_oneof![
        Just(Columns::Infer),
        Just(Columns::AllText),
        vec(("[^i].{0,5}", declared_type()), 0..4).prop_map(Columns::Some),
        vec(listed, 0..4).prop_map(Columns::All),
    ]
}

fn csv() -> impl Strategy<Value = Csv> {
    let marks = (auto(), auto(), option::of("[^n]{0,2}"), option::of("[^n]{0,2}"), auto(), auto());
    let rest =
        (any::<bool>(), any::<u64>(), prop::sample::select(vec![Ragged::Reject, Ragged::Pad]), vec(".{0,4}", 0..3));
    (marks, rest).prop_map(|(marks, rest)| {
        let (delimiter, quote, escape, comment, encoding, decimal) = marks;
        let (header, skip_lines, ragged, nulls) = rest;
        Csv { delimiter, quote, escape, comment, encoding, decimal, header, skip_lines, ragged, nulls }
    })
}

fn job() -> impl Strategy<Value = Job> {
    let compression =
        prop_oneof![Just(Compression::None), Just(Compression::Snappy), (1u8..=22).prop_map(Compression::Zstd)];
    let rejects = (option::of(any::<u64>()), option::of(0.0..=100.0f64), any::<u64>());
    (".{0,9}", ".{0,9}", csv(), any::<u64>(), columns(), compression, (rejects, any::<i32>())).prop_map(
        |(name, url, csv, bytes, columns, compression, ((count, percent, quarantine_bytes), priority))| Job {
            api_version: API_VERSION.to_owned(),
            kind: KIND.to_owned(),
            metadata: Metadata { name },
            spec: Spec {
                source: Source { url: url.clone(), csv },
                partition: Partition { bytes: Auto::Given(bytes) },
                columns,
                output: Output::parquet(Parquet {
                    url,
                    compression,
                    file_bytes: 1 << 20,
                    mode: Mode::Append,
                    partition_by: vec!["siret".to_owned()],
                }),
                rejects: Rejects { tolerate: Tolerance { count, percent }, quarantine_bytes },
                priority,
            },
        },
    )
}

proptest! {
    #[test]
    fn a_job_round_trips_through_json(job in job()) {
        let text = serde_json::to_string(&job).expect("a job is JSON");
        prop_assert_eq!(serde_json::from_str::<Job>(&text).expect(&text), job);
    }

    #[test]
    fn the_check_is_total(job in job()) {
        let problems = job.check().err().unwrap_or_default();
        prop_assert!(problems.iter().all(|p| !p.path.is_empty() && !p.message.is_empty()));
    }
}

/// A job of the least fields, with `value` put at each JSON pointer; objects on the way are made.
fn with(changes: &[(&str, Value)]) -> Job {
    let mut spec = json!({
        "apiVersion": API_VERSION, "kind": KIND, "metadata": {"name": "communes"},
        "spec": {"source": {"url": "file:///data/communes.csv", "csv": {}}, "output": {"parquet": {"url": "file:///out/"}}}
    });
    for (path, value) in changes {
        let place = path.split('.').fold(&mut spec, |at, key| &mut at[key]);
        *place = value.clone();
    }
    serde_json::from_value(spec.clone()).unwrap_or_else(|e| panic!("{e}: {spec}"))
}

fn problems(changes: &[(&str, Value)]) -> Vec<String> {
    with(changes).check().err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn defaults_are_those_of_the_glossary() {
    let job = with(&[]);
    assert_eq!(job.check(), Ok(()));
    let spec = &job.spec;
    assert_eq!(spec.source.csv, Csv::default());
    assert!(spec.source.csv.header && spec.source.csv.nulls == [""]);
    assert_eq!((&spec.partition.bytes, &spec.columns), (&Auto::Auto, &Columns::Infer));
    let parquet = spec.output.parquet.as_ref().expect("it was given");
    assert_eq!((parquet.compression, parquet.file_bytes), (Compression::Zstd(3), 128 << 20));
    assert_eq!(spec.output.folder_url(), "file:///out/");
    assert_eq!(spec.rejects.tolerate, Tolerance::default());
}

/// Fields of the Parquet output.
fn by(mut fields: Value) -> (&'static str, Value) {
    fields["url"] = json!("file:///out/");
    ("spec.output.parquet", fields)
}

#[test]
fn columns_of_folders_are_refused_with_words() {
    let columns = json!([{"name": "a", "type": "float64"}, {"name": "b", "type": "date(%d/%m/%Y)"}, {"name": "c"}]);
    let of = |fields: Value, columns: Value| problems(&[by(fields), ("spec.columns", columns)]);
    for (fields, words) in [
        (
            json!({"mode": "overwrite-partition"}),
            "spec.output.parquet.mode: overwrite-partition replaces the folders of partitionBy",
        ),
        (json!({"partitionBy": ["b", "b"]}), "spec.output.parquet.partitionBy[1]: the column \"b\" is given twice"),
        (json!({"partitionBy": [""]}), "spec.output.parquet.partitionBy[0]: the name of a column is empty"),
        (json!({"partitionBy": ["z"]}), "spec.output.parquet.partitionBy[0]: \"z\" is no column of spec.columns"),
        (json!({"partitionBy": ["a"]}), "spec.output.parquet.partitionBy[0]: \"a\" is of type float64"),
    ] {
        let found = of(fields.clone(), columns.clone());
        assert!(matches!(&found[..], [one] if one.starts_with(words)), "{fields}: {found:?}");
    }
    assert_eq!(of(json!({"partitionBy": ["b", "c"]}), columns.clone()), [""; 0]);
    let found = of(json!({"partitionBy": ["b", "c", "a"]}), columns);
    assert!(found.iter().any(|one| one.contains("every column of the table is named")), "{found:?}");
    let found = of(json!({"partitionBy": ["a", "b", "c", "d", "e"]}), json!("infer"));
    assert!(matches!(&found[..], [one] if one.contains("name at most 4")), "{found:?}");
    for ctype in ["decimal(5,2)", "timestamp", "timestamptz"] {
        let found = of(json!({"partitionBy": ["k"]}), json!({"infer": true, "k": ctype}));
        assert!(matches!(&found[..], [one] if one.contains(ctype)), "{found:?}");
    }
}

#[test]
fn good_specs_pass() {
    let csv = |fields: Value| ("spec.source.csv", fields);
    for change in [
        csv(json!({"delimiter": "tab", "quote": "none", "comment": "#"})),
        csv(json!({"delimiter": "||", "quote": "'", "escape": "\\", "decimal": ","})),
        csv(json!({"delimiter": ";", "decimal": ",", "encoding": "Latin1"})),
        csv(json!({"delimiter": "§", "encoding": "windows-1252"})),
        csv(json!({"delimiter": "‡", "encoding": "utf-8"})),
        csv(json!({"escape": "\\", "skipLines": limits::SKIP_LINES_MAX, "nulls": ["", "NA", "null"]})),
        ("spec.partition", json!({"bytes": "1GB"})),
        ("spec.columns", json!({"infer": true, "siret": "text", "prix": "decimal(12,2)", "jour": "date(%d/%m/%Y)"})),
        ("spec.columns", json!([{"name": "a", "type": "timestamp(%d/%m/%Y %H:%M:%S)"}, {"name": "b", "type": "date"}])),
        ("spec.columns", json!([{"name": "infer"}, {"name": "b", "type": "infer", "nulls": []}, {"name": ""}])),
        ("spec.rejects", json!({"tolerate": {"percent": 100}})),
        by(json!({"partitionBy": ["a", "b", "c", "d"], "mode": "append"})),
        by(json!({"partitionBy": ["\u{e9} =/"], "mode": "overwrite-partition"})),
    ] {
        assert_eq!(problems(std::slice::from_ref(&change)), [""; 0], "{change:?}");
    }
}

#[test]
fn what_is_given_becomes_bytes() {
    let csv = |fields: Value| with(&[("spec.source.csv", fields)]).spec.source.csv;
    for (text, bytes) in [
        ("tab", b"\t".as_slice()),
        ("\\t", b"\t"),
        ("\t", b"\t"),
        ("comma", b","),
        ("semicolon", b";"),
        ("pipe", b"|"),
        ("space", b" "),
        ("||", b"||"),
        ("é", "é".as_bytes()),
    ] {
        assert_eq!(csv(json!({"delimiter": text})).given_delimiter().as_deref(), Some(bytes), "{text:?}");
    }
    assert_eq!(csv(json!({"delimiter": "é", "encoding": "cp1252"})).given_delimiter(), Some(vec![0xE9]));
    assert_eq!(csv(json!({"delimiter": "auto"})).given_delimiter(), None);
    assert_eq!(csv(json!({})).given_quote(), None);
    assert_eq!(csv(json!({"quote": "none"})).given_quote(), Some(None));
    assert_eq!(csv(json!({"quote": "'"})).given_quote(), Some(Some(b'\'')));
    assert_eq!(csv(json!({"encoding": "UTF-8"})).given_encoding(), Some(Encoding::Utf8));
    assert_eq!(csv(json!({"encoding": "ISO-8859-1"})).given_encoding(), Some(Encoding::Windows1252));
    assert_eq!(csv(json!({"decimal": ","})).given_decimal(), Some(b','));
    let both = csv(json!({"escape": "\\", "comment": "none"}));
    assert_eq!((both.escape_byte(), both.comment_byte()), (Some(b'\\'), None));
}

/// Each row: fields, and the problems that they make, one a line.
fn assert_problems(root: &str, rows: &[(Value, &str)]) {
    for (fields, want) in rows {
        let fields = fields.as_object().expect("a row's fields are an object");
        let changes: Vec<(String, Value)> = fields.iter().map(|(k, v)| (format!("{root}{k}"), v.clone())).collect();
        let changes: Vec<(&str, Value)> = changes.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
        let said = problems(&changes).join("\n");
        assert_eq!(said.replace(root, ""), *want, "{fields:?}");
        assert!(said.starts_with(root), "{said}");
    }
}

#[test]
fn every_rule_of_the_dialect_says_where_and_what_to_do() {
    let many: Vec<String> = (0..=limits::NULLS_MAX).map(|n| n.to_string()).collect();
    let two = "give another character for one of them";
    let row = |fields: Value, want: &str| (fields, want.replace("TWO", two));
    let rows = [
        row(
            json!({"delimiter": ""}),
            "delimiter: the delimiter is empty: give text in quotes such as \"|\", or tab, comma, semicolon, pipe, \
             space or auto",
        ),
        row(json!({"delimiter": "123456789"}), "delimiter: \"123456789\" is 9 bytes long: use 1 to 8 bytes"),
        row(
            json!({"delimiter": "a\r"}),
            "delimiter: \"a\\r\" holds a line end or NUL: a delimiter stands within a line, use other bytes",
        ),
        row(
            json!({"delimiter": "§"}),
            "delimiter: \"§\" is not ASCII, so its bytes depend on the encoding: give the encoding as well",
        ),
        row(
            json!({"delimiter": "‡", "encoding": "windows-1252"}),
            "delimiter: \"‡\" has no form in windows-1252: use other characters, or convert the file to UTF-8 first",
        ),
        row(json!({"delimiter": "|!|", "quote": "!"}), "delimiter: \"|!|\" holds the quote character: TWO"),
        row(json!({"delimiter": "#", "comment": "#"}), "delimiter: \"#\" holds the comment character: TWO"),
        row(json!({"quote": "«"}), "quote: \"«\" is not one ASCII character: give one, in quotes, none or auto"),
        row(
            json!({"quote": "\n"}),
            "quote: \"\\n\" cannot be the quote: use one ASCII character, not a line end, not NUL",
        ),
        row(json!({"escape": "ab"}), "escape: \"ab\" is not one ASCII character: give one, in quotes or none"),
        row(
            json!({"quote": "!", "escape": "!"}),
            "escape: \"!\" is the quote as well as the escape: \
             a doubled quote is read as one quote anyway: leave the escape out",
        ),
        row(json!({"escape": "'"}), "escape: \"\\'\" may be the quote too, which is auto: give the quote as well"),
        row(
            json!({"quote": "none", "escape": "\\"}),
            "escape: an escape works inside quotes only and the quote is none: leave the escape out",
        ),
        row(json!({"escape": "!", "comment": "!"}), "comment: \"!\" is the escape as well as the comment: TWO"),
        row(
            json!({"encoding": "shift-jis"}),
            "encoding: \"shift-jis\" is not read: use utf-8, windows-1252 or auto, or convert the file first: \
             iconv -f 'SHIFT-JIS' -t UTF-8 '/data/communes.csv' > '/data/communes.csv.utf8'",
        ),
        row(json!({"decimal": ";"}), "decimal: \";\" is no decimal mark: use \".\" or \",\""),
        row(json!({"decimal": "point"}), "decimal: \"point\" is no decimal mark: use \".\", \",\" or auto"),
        row(
            json!({"decimal": ",", "delimiter": "comma"}),
            "decimal: \",\" is the delimiter as well as the decimal mark: give another for one of them",
        ),
        row(
            json!({"skipLines": 1_000_001}),
            "skipLines: 1000001 lines are too many: at most 1000000 are skipped; cut the file first",
        ),
        row(json!({"nulls": ["", "NA", "NA"]}), "nulls[2]: \"NA\" is given twice: remove one"),
        row(json!({"nulls": many}), "nulls: 101 texts that mean null are too many: give at most 100"),
    ];
    let rows = rows.each_ref().map(|(fields, want)| (fields.clone(), want.as_str()));
    assert_problems("spec.source.csv.", &rows);
}

#[test]
fn every_other_rule_says_where_and_what_to_do() {
    let rows = [
        (json!({"apiVersion": "v1"}), "apiVersion: \"v1\" is not a version known here: write batteuse.dev/v1alpha1"),
        (json!({"kind": "Job"}), "kind: \"Job\" is not a kind known here: write Ingest"),
        (
            json!({"metadata.name": "Communes"}),
            "metadata.name: \"Communes\" is no job name: use 1 to 60 characters of a-z, 0-9 and '-'",
        ),
        (
            json!({"spec.source.url": "s3://b/a.csv"}),
            "spec.source.url: \"s3://b/a.csv\" is not a URL of the form file:///absolute/path, \
             the only one supported for now",
        ),
        (
            json!({"spec.source.url": "file:///data/"}),
            "spec.source.url: \"file:///data/\" ends with / and so names a folder: name one file",
        ),
        (
            json!({"spec.output.parquet.url": "file:///a#b"}),
            "spec.output.parquet.url: \"file:///a#b\" holds '#', which ends the path of a URL: write %23",
        ),
        (
            json!({"spec.partition": {"bytes": 0}}),
            "spec.partition.bytes: 0 bytes are out of range: use 1 byte to 1 PiB, such as 64MiB",
        ),
        (json!({"spec.priority": 101}), "spec.priority: 101 is out of range: use -100 to 100"),
        (
            json!({"spec.columns": []}),
            "spec.columns: the list of columns is empty: name every column of the file, or write infer",
        ),
        (
            json!({"spec.columns": [{"name": "a"}, {"name": "b"}, {"name": "a", "nulls": ["x", "x"]}]}),
            "spec.columns[2].name: the column \"a\" is given twice: name each column once\n\
             spec.columns[2].nulls[1]: \"x\" is given twice: remove one",
        ),
        (
            json!({"spec.rejects": {"tolerate": {"percent": 100.5}}}),
            "spec.rejects.tolerate.percent: 100.5 percent is out of range: use 0 to 100",
        ),
    ];
    assert_problems("", &rows);
}

#[test]
fn declared_types_round_trip_as_text() {
    for text in ["text", "decimal(12,2)", "date", "date(%d/%m/%Y)", "date((%d) %m.%Y)", "timestamp(%d/%m/%Y %H:%M)"] {
        assert_eq!(text.parse::<DeclaredType>().expect(text).to_string(), text);
    }
}

#[test]
fn values_that_no_text_gives_are_checked_too() {
    let mut job = with(&[]);
    job.spec.columns = Columns::Some(vec![
        ("infer".to_owned(), ColumnType::Text.into()),
        ("a".to_owned(), ColumnType::Decimal { precision: 3, scale: 4 }.into()),
        ("a".to_owned(), ColumnType::Text.into()),
        ("b".to_owned(), DeclaredType { ctype: ColumnType::Timestamp, format: "%d/%m/%Y".parse().ok() }),
    ]);
    job.spec.output.parquet.as_mut().expect("it was given").compression = Compression::Zstd(0);
    job.spec.rejects.tolerate.percent = Some(f64::NAN);
    job.spec.source.csv.comment = Some("\0".to_owned());
    let paths: Vec<String> = job.check().expect_err("seven problems").into_iter().map(|p| p.path).collect();
    let want = [
        "source.csv.comment",
        "columns",
        "columns",
        "columns",
        "columns",
        "output.parquet.compression",
        "rejects.tolerate.percent",
    ];
    assert_eq!(paths, want.map(|p| format!("spec.{p}")));
}

#[test]
fn a_settled_dialect_obeys_the_same_rules() {
    let good = Dialect {
        delimiter: b",".to_vec(),
        quote: Some(b'"'),
        escape: Some(b'\\'),
        comment: None,
        encoding: Encoding::Utf8,
        decimal: b'.',
    };
    assert_eq!(good.check(), Ok(()));
    let fields = |dialect: Dialect| -> Vec<String> {
        let found = dialect.check().err().unwrap_or_default();
        found.into_iter().map(|p| p.path.trim_start_matches("spec.source.csv.").to_owned()).collect()
    };
    assert_eq!(fields(Dialect { escape: Some(b'"'), ..good.clone() }), ["escape"]);
    assert_eq!(fields(Dialect { delimiter: vec![], ..good.clone() }), ["delimiter"]);
    assert_eq!(fields(Dialect { delimiter: b"|\"".to_vec(), ..good.clone() }), ["delimiter"]);
    assert_eq!(fields(Dialect { decimal: b',', ..good.clone() }), ["decimal"]);
    assert_eq!(fields(Dialect { comment: Some(b'"'), ..good.clone() }), ["comment"]);
    assert_eq!(fields(Dialect { quote: Some(0xE9), ..good }), ["quote"]);
}

#[test]
fn forms_that_cannot_be_read_say_why() {
    let spec = |path: &str, value: Value| {
        let mut spec = serde_json::to_value(with(&[])).expect("a job is JSON");
        *path.split('.').fold(&mut spec, |at, key| &mut at[key]) = value;
        serde_json::from_value::<Job>(spec).expect_err(path).to_string()
    };
    for (path, value, want) in [
        ("spec.columns", json!("texts"), "expected infer, text, {infer: true, name: type, ...} or a list"),
        ("spec.columns", json!({"a": "text"}), "a map of columns needs `infer: true`"),
        ("spec.columns", json!({"infer": false, "a": "text"}), "infer can only be true"),
        ("spec.columns", json!({"infer": true, "a": "int"}), "\"int\" is no column type: use text, boolean"),
        ("spec.columns", json!([{"name": "a", "type": "decimal(40,2)"}]), "\"decimal(40,2)\" is no column type"),
        (
            "spec.columns",
            json!({"infer": true, "a": "date(%d/%m/%y)"}),
            "\"date(%d/%m/%y)\" is no column type: \"%y\" is no part of a format: use %Y, %m, %d, %H, %M, %S and %3f",
        ),
        (
            "spec.columns",
            json!([{"name": "a", "type": "timestamp(%d/%m/%Y)"}]),
            "\"timestamp(%d/%m/%Y)\" is no column type: this is how a date is written: declare date(%d/%m/%Y)",
        ),
        (
            "spec.columns",
            json!({"infer": true, "a": "date()"}),
            "\"date()\" is no column type: it has no %Y: a date has",
        ),
        ("spec.columns", json!({"infer": true, "a": "date(%Y"}), "\"date(%Y\" is no column type: use text, boolean"),
        (
            "spec.columns",
            json!({"infer": true, "a": "timestamptz(%Y)"}),
            "(either with a format such as date(%d/%m/%Y) too)",
        ),
        ("spec.columns", json!([{"name": "a", "nul": []}]), "unknown field `nul`"),
        ("spec.partition.bytes", json!("64 MX"), "\"64 MX\" is no size: write a whole number"),
        ("spec.partition.bytes", json!(-1), "expected a whole number of bytes"),
        ("spec.partition.bytes", json!(1.5), "expected a whole number of bytes"),
        ("spec.source.csv.comment", Value::Null, "expected a string"),
        ("spec.output.parquet.compression", json!("gzip"), "\"gzip\" is no compression: use zstd(1)"),
        ("spec.source.csv.header", json!("yes"), "expected a boolean"),
    ] {
        let said = spec(path, value);
        assert!(said.contains(want), "{path}: {said}");
    }
}

#[test]
fn sizes_are_read_with_their_units() {
    for (text, bytes) in [
        ("0", 0),
        ("1048576", 1 << 20),
        ("64MiB", 64 << 20),
        ("64 MiB", 64 << 20),
        ("1GB", 1_000_000_000),
        ("500k", 500_000),
        ("2kib", 2048),
        ("3T", 3_000_000_000_000),
        ("7B", 7),
        ("1Gi", 1 << 30),
    ] {
        assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
    }
    for text in ["", "MiB", "1.5GiB", "-1", "64MiBs", "1 2", "١"] {
        assert_eq!(parse_bytes(text), Err(BadBytes::Form(text.to_owned())), "{text}");
    }
    for text in ["18446744073709551616", "99999999TiB"] {
        assert_eq!(parse_bytes(text), Err(BadBytes::TooLarge(text.to_owned())), "{text}");
    }
}

#[test]
fn an_output_is_files_or_a_table_or_both() {
    let output = |output: Value| {
        let job = with(&[("spec.output", output)]);
        (job.spec.output.folder_url().to_owned(), job.check().err().unwrap_or_default())
    };
    let (files, table) =
        (json!({"url": "file:///out/"}), json!({"url": "postgres://me@h/db", "table": "geo.communes"}));
    let good = [
        json!({"parquet": files, "postgres": table}),
        json!({"postgres": table, "folder": "file:///out/"}),
        json!({"parquet": files}),
    ];
    for good in good {
        assert_eq!(output(good), ("file:///out/".to_owned(), Vec::new()));
    }
    for (bad, path) in [
        (json!({}), "spec.output"),
        (json!({"folder": "file:///out/"}), "spec.output"),
        (json!({"postgres": table}), "spec.output.folder"),
        (json!({"postgres": table, "folder": "out"}), "spec.output.folder"),
        (json!({"parquet": files, "folder": "file:///out/"}), "spec.output.folder"),
    ] {
        let paths: Vec<_> = output(bad).1.into_iter().map(|problem| problem.path).collect();
        assert_eq!(paths, [path]);
    }
    let whole = with(&[("spec.output", json!({"postgres": table, "folder": "file:///out/"}))]).spec.output;
    let postgres = whole.postgres.expect("it was given");
    assert_eq!((postgres.mode, postgres.max_connections), (TableMode::Append, limits::TABLE_CONNECTIONS_DEFAULT));
    assert_eq!((postgres.table.schema.as_str(), postgres.table.name.as_str()), ("geo", "communes"));
}
