//! Dirty files: every kind of reject, with the place of each told by whoever made it dirty.
//!
//! Invariant: what is expected is noted while the file is written, never read back from it.

use super::{Input, must_equal};

/// A file as it grows, and what must come of it.
#[derive(Default)]
struct Dirty {
    bytes: Vec<u8>,
    lines: usize,
    blank: usize,
    comment: usize,
    records: usize,
    rows: Vec<Vec<Option<String>>>,
    /// Line, record, offset, length, column, name and kind.
    rejects: Vec<[Option<String>; 7]>,
    raw: Vec<Vec<u8>>,
}

impl Dirty {
    fn lines(&mut self, bytes: &[u8]) {
        self.bytes.extend(bytes);
        // No lone CR is written here.
        self.lines += bytes.iter().filter(|b| **b == b'\n').count();
    }

    fn good(&mut self, record: &str, row: [&str; 4]) {
        self.lines(record.as_bytes());
        self.records += 1;
        self.rows.push(row.iter().map(|v| (!v.is_empty()).then(|| (*v).to_owned())).collect());
    }

    fn bad(&mut self, raw: &[u8], end: &str, kind: &str, column: Option<(usize, &str)>) {
        let whole = [raw, end.as_bytes()].concat();
        let number = |n: usize| Some(n.to_string());
        self.records += 1;
        self.rejects.push([
            number(self.lines + 1),
            number(self.records),
            number(self.bytes.len()),
            number(whole.len()),
            column.and_then(|(index, _)| number(index)),
            column.map(|(_, name)| name.to_owned()),
            Some(kind.to_owned()),
        ]);
        self.raw.push(raw.to_vec());
        self.lines(&whole);
    }
}

/// One bad record of each kind that lies in the middle of a file.
fn spoil(file: &mut Dirty, i: usize) {
    match i / 33 % 6 {
        0 => file.bad(format!("{i},only two").as_bytes(), "\n", "MISSING COLUMNS", None),
        1 => file.bad(format!("{i},a,1.5,2024-02-03,more").as_bytes(), "\r\n", "TOO MANY COLUMNS", None),
        2 => file.bad(b"7,caf\xe9,1.5,2024-02-03", "\n", "INVALID ENCODING", None),
        // The first of several reasons is told.
        3 => file.bad(b"x,\"ca\nf\xe9\"", "\r\n", "INVALID ENCODING", None),
        4 => file.bad(format!("{i}.0,\"two\r\nlines\",1,12/03/2024").as_bytes(), "\n", "CAST", Some((1, "id"))),
        _ => file.bad(format!("{i},word,1,12/03/2024").as_bytes(), "\n", "CAST", Some((4, "jour"))),
    }
}

/// 3,000 records, three in a hundred of them bad, with blank lines, comments, and a quote that is open at the end.
fn dirty() -> Dirty {
    let mut file = Dirty::default();
    file.lines(b"id,nom,montant,jour\n");
    for i in 0..3_000 {
        if i % 33 == 5 {
            spoil(&mut file, i);
            continue;
        }
        if i % 100 == 0 {
            file.lines(b"# a comment, with a comma and a \" in it\n\r\n");
            (file.comment, file.blank) = (file.comment + 1, file.blank + 1);
        }
        match i % 3 {
            0 => file.good(
                &format!("{i},plain,{i}.25,2024-01-02\n"),
                [&i.to_string(), "plain", &format!("{i}.25"), "2024-01-02"],
            ),
            1 => file.good(
                &format!("{i},\"over\n\"\"two\"\"\r\nlines, or three\",,\r\n"),
                [&i.to_string(), "over\n\"two\"\r\nlines, or three", "", ""],
            ),
            _ => file.good(&format!("{i},\"\"more,-3,2023-12-31\n"), [&i.to_string(), "more", "-3", "2023-12-31"]),
        }
    }
    file.bad(b"9999,\"never closed,1,2024-01-01\n9998,x,1,2024-01-01\n", "", "UNQUOTED VALUE", None);
    file
}

fn dirty_input(file: &Dirty, spec: &'static str) -> Input {
    let csv = "{encoding: utf-8, quote: '\"', comment: '#'}";
    Input { csv, spec, ..Input::new("dirty.csv", &file.bytes) }
}

/// Compares all columns of the rejects with what was noted, but for the message, which must be there.
#[track_caller]
fn must_be_set_aside(found: &[Vec<Option<String>>], file: &Dirty, input: &Input) {
    let url = batteuse_shared::location::url_of_file(&input.source).unwrap();
    let hex = |raw: &Vec<u8>| raw.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let rows = file.rejects.iter().zip(&file.raw).map(|(reject, raw)| {
        let mut row = vec![Some(url.clone())];
        row.extend(reject.iter().cloned());
        row.push(Some(hex(raw)));
        row
    });
    let without_message = found.iter().map(|row| {
        assert!(row[8].as_ref().is_some_and(|message| message.len() > 5), "{row:?}");
        [&row[..8], &row[9..]].concat()
    });
    must_equal(&without_message.collect::<Vec<_>>(), &rows.collect::<Vec<_>>(), "rejects found and made");
}

#[test]
fn every_kind_of_reject_with_its_place() {
    let file = dirty();
    let input =
        dirty_input(&file, "  columns: {infer: true, id: int64, jour: date}\n  rejects: {tolerate: {percent: 3.5}}\n");
    let outcome = input.run_however_cut();
    assert_eq!(outcome.code, 4);
    must_be_set_aside(&outcome.rejects, &file, &input);
    must_equal(&outcome.table().rows, &file.rows, "rows found and made");
    assert_eq!(outcome.table().type_of("montant"), "float64");
    let told = |field: &str| outcome.report[field].as_u64().unwrap() as usize;
    assert_eq!([told("read"), told("written"), told("rejected")], [file.records, file.rows.len(), file.rejects.len()]);
    assert_eq!(
        [told("blank"), told("comment"), told("filtered"), told("quarantined")],
        [file.blank, file.comment, 0, 0]
    );
    let names = ["source", "line", "record", "byte_offset", "byte_length", "column_idx", "column_name", "error_type"];
    let path = crate::support::published::run_file(&input.out("p1-w1"), "rejects.parquet");
    let (columns, _) = crate::support::published::rejects(&path);
    assert_eq!(columns, [&names[..], &["message", "raw"]].concat());
}

#[test]
fn beyond_tolerance_however_it_is_cut() {
    let file = dirty();
    let input = dirty_input(
        &file,
        "  columns: {infer: true, id: int64, jour: date}\n  rejects: {tolerate: {count: 90, percent: 3}}\n",
    );
    let outcome = input.run_however_cut();
    assert_eq!(outcome.code, 8);
    assert!(outcome.table.is_none(), "nothing is published");
    must_be_set_aside(&outcome.rejects, &file, &input);
    assert_eq!(outcome.report["rejectsShown"].as_array().unwrap().len(), 3);
}

#[test]
fn an_unclosed_quote_does_not_swallow_the_file() {
    const MARK: usize = batteuse_shared::limits::RECORD_BYTES_MAX as usize;
    let mut text = "id,txt,n\n".to_owned();
    (0..1_000).for_each(|i| text += &format!("{i},plain,{i}\n"));
    let start = text.len();
    text += "1000,\"never closed,1000\n";
    let line = "7,a line like any other,7\n";
    text += &line.repeat((2 * MARK - text.len()) / line.len() + 100);
    // Inside the quotes at the second mark; from the next line end on, records again.
    let cut = 2 * MARK;
    let next = cut + text[cut..].find('\n').unwrap() + 1;
    let after = (text.len() - next) / line.len();
    let spec = "  rejects: {tolerate: {percent: 100}}\n";
    let input = Input { csv: "{quote: '\"', delimiter: comma}", spec, ..Input::new("open.csv", &text) };
    let outcome = input.run_however_cut();
    assert_eq!((outcome.code, outcome.table().rows.len()), (4, 1_000 + after));
    let reject = &outcome.rejects[0];
    let number = |at: usize| reject[at].as_ref().unwrap().parse::<usize>().unwrap();
    assert_eq!((outcome.rejects.len(), reject[7].as_deref()), (1, Some("LINE SIZE OVER MAXIMUM")));
    assert_eq!((number(1), number(2), number(3)), (1_002, 1_001, start));
    assert_eq!(outcome.report["cutBytes"], number(4));
    assert!((cut - start..=next - start).contains(&number(4)), "{} bytes were cut", number(4));
    assert_eq!(reject[9].as_ref().unwrap().len(), 2 * batteuse_shared::limits::REJECT_RAW_BYTES_MAX);
    assert_eq!(outcome.table().rows[1_000][1].as_deref(), Some("a line like any other"));
}
