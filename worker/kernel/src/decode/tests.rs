//! Decoding against the rules: what fits, what misses, what is summarized, whatever the batches and the guesses.

use std::ops::Range;

use arrow_array::cast::AsArray;
use arrow_array::types::{Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType, UInt16Type};
use arrow_array::{Array, RecordBatch};
use arrow_select::concat::concat_batches;
use arrow_select::take::take;
use proptest::prelude::*;

use super::*;
use crate::arch::Structure;
use crate::frame::Row;
use crate::infer::classify;

mod formats;
mod written;

const GUESSES: [ColumnType; 7] = [
    ColumnType::Boolean,
    ColumnType::Int64,
    ColumnType::Float64,
    ColumnType::Date,
    ColumnType::Timestamp,
    ColumnType::TimestampUtc,
    ColumnType::Text,
];

fn dialect(encoding: Encoding) -> Dialect {
    Dialect { delimiter: b",".to_vec(), quote: Some(b'"'), escape: None, comment: None, encoding, decimal: b'.' }
}

fn column(name: &str, ctype: ColumnType, declared: bool) -> Column {
    Column { name: name.to_owned(), ctype, declared, format: None, nulls: vec![String::new(), "NA".to_owned()] }
}

fn inferred(types: &[ColumnType]) -> Vec<Column> {
    types.iter().enumerate().map(|(i, &ctype)| column(&format!("c{i}"), ctype, false)).collect()
}

/// Framed records.
struct Framed {
    bytes: Vec<u8>,
    structure: Structure,
    rows: Vec<Row>,
    columns: usize,
}

/// What became of some records, dictionaries written out.
#[derive(Debug, Clone)]
struct Whole {
    rows: Option<RecordBatch>,
    written: u64,
    misses: Vec<Miss>,
}

impl Framed {
    /// Frames fields as they are in the source, quotes included.
    fn new(records: &[Vec<&[u8]>]) -> Self {
        let columns = records[0].len();
        let mut framed = Self { bytes: Vec::new(), structure: Structure::default(), rows: Vec::new(), columns };
        for (i, record) in records.iter().enumerate() {
            let start = framed.bytes.len();
            let ordinal = framed.structure.ends.len() as u32;
            framed.structure.push((start as u32).wrapping_sub(1), true);
            let mut odd = false;
            for &field in record {
                odd |= matches!(field, [b'"', inner @ ..] if inner.iter().filter(|&&byte| byte == b'"').count() != 1 || !inner.ends_with(b"\""));
                framed.bytes.extend_from_slice(field);
                framed.structure.push(framed.bytes.len() as u32, !matches!(field, b"" | b"\"\""));
                framed.bytes.push(b',');
            }
            let (offset, bytes) = (start as u64, (framed.bytes.len() - start) as u32);
            let fields = record.len() as u32;
            framed.rows.push(Row { offset, bytes, line: i as u64, record: i as u64, ordinal, fields, odd });
        }
        // Fields are read in words: what lies behind the last one must not matter.
        framed.bytes.extend([b'7'; 64]);
        framed
    }

    fn rows(&self, range: Range<usize>) -> Rows<'_> {
        Rows {
            bytes: &self.bytes,
            base: 0,
            structure: &self.structure,
            columns: self.columns,
            rows: &self.rows[range],
            delimiter_bytes: 1,
            quote: Some(b'"'),
            escape: None,
        }
    }

    /// Decodes the rows of `range` as one batch.
    fn decode_range(&self, decoder: &mut Decoder, range: Range<usize>) -> Whole {
        let mut misses = Vec::new();
        for start in range.clone().step_by(BLOCK_ROWS) {
            let block = decoder.add(&self.rows(start..range.end.min(start + BLOCK_ROWS)));
            misses.extend(block.into_iter().map(|miss| Miss { row: miss.row + start - range.start, ..miss }));
        }
        let Decoded { rows, written } = decoder.finish();
        let plain = |array: &ArrayRef| match array.as_dictionary_opt::<UInt16Type>() {
            Some(coded) => take(coded.values(), coded.keys(), None).expect("codes are within"),
            None => Arc::clone(array),
        };
        let rows = rows.map(|rows| {
            let digest = crate::digest::rows(&rows);
            let columns = rows.columns().iter().map(plain).collect();
            let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
            let plain = RecordBatch::try_new_with_options(decoder.schema(), columns, &options);
            let plain = plain.expect("the decoder's schema");
            assert_eq!(digest, crate::digest::rows(&plain), "a dictionary has the digest of its texts");
            plain
        });
        Whole { rows, written, misses }
    }

    fn decode(&self, decoder: &mut Decoder) -> Whole {
        self.decode_range(decoder, 0..self.rows.len())
    }
}

fn every(columns: &[Column]) -> Vec<usize> {
    (0..columns.len()).collect()
}

fn decoder(columns: &[Column], encoding: Encoding) -> Decoder {
    Decoder::new(columns, &every(columns), &dialect(encoding), Path::best())
}

fn frame(records: &[&[&str]]) -> Framed {
    Framed::new(&records.iter().map(|record| record.iter().map(|field| field.as_bytes()).collect()).collect::<Vec<_>>())
}

fn texts(batch: &RecordBatch, column: usize) -> Vec<Option<&str>> {
    batch.column(column).as_string::<i32>().iter().collect()
}

/// The classes that a guessed type takes.
fn takes(ctype: ColumnType) -> Classes {
    match ctype {
        ColumnType::Boolean => Classes::BOOLEAN,
        ColumnType::Int64 => Classes::INT_SHORT.join(Classes::INT_LONG),
        ColumnType::Float64 => Classes::INT_SHORT.join(Classes::FLOAT),
        ColumnType::Date => Classes::DATE,
        ColumnType::Timestamp => Classes::DATE.join(Classes::TIMESTAMP),
        ColumnType::TimestampUtc => Classes::TIMESTAMP_UTC,
        ColumnType::Text => Classes(255),
        ColumnType::Decimal { .. } => unreachable!("decimals are never guessed"),
    }
}

#[test]
fn the_schema_is_nullable_and_of_the_columns_types() {
    let mut columns = inferred(&GUESSES);
    columns.push(column("d", ColumnType::Decimal { precision: 12, scale: 2 }, true));
    let schema = decoder(&columns, Encoding::Utf8).schema();
    let types: Vec<String> = schema.fields().iter().map(|field| field.data_type().to_string()).collect();
    let want = [
        "Boolean",
        "Int64",
        "Float64",
        "Date32",
        "Timestamp(µs)",
        "Timestamp(µs, \"UTC\")",
        "Utf8",
        "Decimal128(12, 2)",
    ];
    assert_eq!(types, want);
    assert!(schema.fields().iter().all(|field| field.is_nullable()));
    assert_eq!((schema.field(0).name().as_str(), schema.field(7).name().as_str()), ("c0", "d"));
}

#[test]
fn every_type_holds_its_values() {
    let mut columns = inferred(&GUESSES);
    columns.push(column("d", ColumnType::Decimal { precision: 12, scale: 2 }, true));
    let framed = frame(&[
        &["true", "-5", "-0", "1970-01-02", "1970-01-02", "1970-01-01T00:00:01Z", "01", "-1.5"],
        &["\"false\"", "\"1\"", "0.25", "0001-01-01", "1970-01-01 00:00:00.5", "1970-01-01 01:00:00+01:00", "é€", "7"],
        &["", "NA", "\"\"", "\"NA\"", "", "", "", ""],
    ]);
    let mut decoder = decoder(&columns, Encoding::Utf8);
    let decoded = framed.decode(&mut decoder);
    let rows = decoded.rows.expect("every value fits");
    assert_eq!((decoded.written, rows.num_rows(), decoder.fits()), (3, 3, true));
    assert_eq!(decoded.misses, []);
    assert_eq!(rows.column(0).as_boolean().iter().collect::<Vec<_>>(), [Some(true), Some(false), None]);
    assert_eq!(rows.column(1).as_primitive::<Int64Type>().iter().collect::<Vec<_>>(), [Some(-5), Some(1), None]);
    let doubles = rows.column(2).as_primitive::<Float64Type>();
    assert_eq!(doubles.iter().collect::<Vec<_>>(), [Some(-0.0), Some(0.25), None]);
    assert!(doubles.value(0).is_sign_negative());
    assert_eq!(rows.column(3).as_primitive::<Date32Type>().iter().collect::<Vec<_>>(), [Some(1), Some(-719_162), None]);
    let micros = |i: usize| rows.column(i).as_primitive::<TimestampMicrosecondType>().iter().collect::<Vec<_>>();
    assert_eq!(micros(4), [Some(86_400_000_000), Some(500_000), None]);
    assert_eq!(micros(5), [Some(1_000_000), Some(0), None]);
    assert_eq!(texts(&rows, 6), [Some("01"), Some("é€"), None]);
    assert_eq!(
        rows.column(7).as_primitive::<Decimal128Type>().iter().collect::<Vec<_>>(),
        [Some(-150), Some(700), None]
    );
    let float = Classes::INT_SHORT.join(Classes::FLOAT);
    let moment = Classes::DATE.join(Classes::TIMESTAMP);
    let want = [
        Classes::BOOLEAN,
        Classes::INT_SHORT,
        float,
        Classes::DATE,
        moment,
        Classes::TIMESTAMP_UTC,
        Classes::TEXT,
        Classes::default(),
    ];
    assert_eq!(decoder.summaries(), want);
}

#[test]
fn dirty_fields_are_unescaped_before_they_are_compared_and_read() {
    let framed = frame(&[&["\"a\"\"b\"", "\"4\"2"], &["\"N\"A", "\"\"7"], &["\"x\"y\"", "\"\""], &["\"\"\"\"", "1"]]);
    let mut decoder = decoder(&inferred(&[ColumnType::Text, ColumnType::Int64]), Encoding::Utf8);
    let rows = framed.decode(&mut decoder).rows.expect("every value fits");
    assert_eq!(texts(&rows, 0), [Some("a\"b"), None, Some("xy\""), Some("\"")]);
    assert_eq!(
        rows.column(1).as_primitive::<Int64Type>().iter().collect::<Vec<_>>(),
        [Some(42), Some(7), None, Some(1)]
    );
}

#[test]
fn an_empty_value_is_text_where_it_is_no_null() {
    let mut columns = inferred(&[ColumnType::Text, ColumnType::Text]);
    columns[0].nulls.clear();
    let mut decoder = decoder(&columns, Encoding::Utf8);
    let rows = frame(&[&["", ""]]).decode(&mut decoder).rows.expect("text takes all");
    assert_eq!((texts(&rows, 0), texts(&rows, 1)), (vec![Some("")], vec![None]));
    assert_eq!(decoder.summaries(), [Classes::TEXT, Classes::default()]);
}

#[test]
fn windows_1252_is_decoded_as_the_encoding_standard_says() {
    let high = "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}žŸ";
    let bytes: Vec<u8> = (0x80..=0x9f).collect();
    let latin: Vec<u8> = (0xa0..=0xff).collect();
    let latin_text: String = (0xa0..=0xff).map(char::from).collect();
    let records: Vec<Vec<&[u8]>> =
        vec![vec![&bytes, b"1"], vec![&latin, b""], vec![b"\"\"\"\xe9\"", b"n\xe9ant"], vec![b"ascii", b"2"]];
    let mut columns = inferred(&[ColumnType::Text, ColumnType::Int64]);
    columns[1].nulls.push("néant".to_owned());
    let mut decoder = decoder(&columns, Encoding::Windows1252);
    let rows = Framed::new(&records).decode(&mut decoder).rows.expect("every value fits");
    assert_eq!(texts(&rows, 0), [Some(high), Some(&latin_text), Some("\"é"), Some("ascii")]);
    assert_eq!(rows.column(1).null_count(), 2);
}

#[test]
fn a_row_misses_once_at_its_lowest_declared_column_and_is_dropped() {
    let columns = [
        column("guess", ColumnType::Int64, false),
        column("price", ColumnType::Decimal { precision: 5, scale: 2 }, true),
        column("day", ColumnType::Date, true),
        column("label", ColumnType::Text, true),
        column("other", ColumnType::Text, false),
    ];
    let framed = frame(&[
        &["1", "1.00", "2024-01-01", "a", "1"],
        &["x", "1.234", "never", "b", "true"],
        &["2", "2", "2024-02-30", "c", "1.5"],
        &["3", "", "", "", ""],
    ]);
    let mut decoder = decoder(&columns, Encoding::Utf8);
    let decoded = framed.decode(&mut decoder);
    let at: Vec<_> = decoded.misses.iter().map(|miss| (miss.row, miss.column)).collect();
    assert_eq!(at, [(1, 1), (2, 2)]);
    assert_eq!(
        decoded.misses[0].message,
        "\"1.234\" is no decimal(5,2): expected at most 3 digits, then at most 2 after '.', without leading zeros or exponent"
    );
    assert_eq!(decoded.misses[1].message, "\"2024-02-30\" is no date: expected a valid YYYY-MM-DD");
    // The values of dropped rows neither break a guess nor count in a summary.
    assert!(decoder.fits());
    let none = Classes::default();
    assert_eq!(decoder.summaries(), [Classes::INT_SHORT, none, none, none, Classes::INT_SHORT]);
    let rows = decoded.rows.expect("every value of a written row fits");
    assert_eq!((decoded.written, rows.num_rows()), (2, 2));
    assert_eq!((texts(&rows, 3), texts(&rows, 4)), (vec![Some("a"), None], vec![Some("1"), None]));
}

#[test]
fn when_every_row_misses_the_batch_is_empty() {
    let mut decoder = decoder(&[column("n", ColumnType::Int64, true)], Encoding::Utf8);
    let decoded = frame(&[&["01"], &["é"]]).decode(&mut decoder);
    assert_eq!((decoded.written, decoded.misses.len()), (0, 2));
    assert_eq!(decoded.rows.expect("nothing was guessed").num_rows(), 0);
}

#[test]
fn a_long_value_is_abridged_between_characters() {
    let mut decoder = decoder(&[column("n", ColumnType::Int64, true)], Encoding::Utf8);
    let long = "é".repeat(100_000);
    let message = frame(&[&[&long]]).decode(&mut decoder).misses.remove(0).message;
    let want = format!("\"{}\"... is no int64: ", "é".repeat(REJECT_VALUE_CHARS_MAX));
    assert!(message.starts_with(&want), "{message}");
    let exact = "a".repeat(REJECT_VALUE_CHARS_MAX);
    let message = frame(&[&[&exact]]).decode(&mut decoder).misses.remove(0).message;
    assert!(message.starts_with(&format!("\"{exact}\" is no int64: ")), "{message}");
}

#[test]
fn declared_types_take_what_they_say() {
    let decimal = ColumnType::Decimal { precision: 4, scale: 2 };
    let cases: &[(ColumnType, &[&str], &[&str])] = &[
        (ColumnType::Boolean, &["true", "false"], &["TRUE", "1", "t"]),
        (ColumnType::Int64, &["0", "-9223372036854775808"], &["01", "1.0", "9223372036854775808", " 1", "1 "]),
        (
            ColumnType::Float64,
            &["1", "1.5", "1e3", "1000000000000001"],
            &["1,5", "01", "1e999", "inf", "99999999999999999999"],
        ),
        (decimal, &["12.34", "12.3400", "-1", "0"], &["123", "1.234", "1e1", "01", ".5", "2024-01-01"]),
        (ColumnType::Date, &["2024-01-01"], &["01/01/2024", "2024-01-01T00:00:00"]),
        (ColumnType::Timestamp, &["2024-01-01", "2024-01-01T00:00:00"], &["2024-01-01T00:00:00Z", "2024"]),
        (ColumnType::TimestampUtc, &["2024-01-01T00:00:00+02:00"], &["2024-01-01T00:00:00", "2024-01-01"]),
        (ColumnType::Text, &["", "NA", "anything"], &[]),
    ];
    for &(ctype, good, bad) in cases {
        for (values, misses) in [(good, 0), (bad, 1)] {
            for value in values {
                let mut decoder = decoder(&[column("c", ctype, true)], Encoding::Utf8);
                let decoded = frame(&[&[value]]).decode(&mut decoder);
                assert_eq!(
                    (decoded.misses.len(), decoded.written),
                    (misses, 1 - misses as u64),
                    "{value:?} as {ctype}"
                );
                assert!(decoded.rows.is_some() && decoder.summaries() == [Classes::default()]);
            }
        }
    }
    let mut decoder = decoder(&[column("c", ColumnType::Float64, true)], Encoding::Utf8);
    let rows = frame(&[&["9007199254740993"]]).decode(&mut decoder).rows.expect("a declared double rounds");
    assert_eq!(rows.column(0).as_primitive::<Float64Type>().value(0), 9_007_199_254_740_992.0);
}

#[test]
fn once_a_guess_is_broken_there_are_no_rows_but_all_else_goes_on() {
    let columns = [
        column("guess", ColumnType::Int64, false),
        column("day", ColumnType::Date, true),
        column("free", ColumnType::Text, false),
    ];
    let mut decoder = decoder(&columns, Encoding::Utf8);
    assert!(frame(&[&["1", "2024-01-01", ""]]).decode(&mut decoder).rows.is_some());
    let broken = frame(&[&["1.5", "2024-01-01", "7"], &["2", "x", "y"]]).decode(&mut decoder);
    assert!(broken.rows.is_none() && !decoder.fits());
    assert_eq!((broken.written, broken.misses.len()), (1, 1));
    let after = frame(&[&["2", "y", "no"], &["2024-01-01", "", "true"]]).decode(&mut decoder);
    assert!(after.rows.is_none() && !decoder.fits());
    assert_eq!((after.written, after.misses.len(), after.misses[0].row), (1, 1, 0));
    let mixed = Classes::INT_SHORT.join(Classes::FLOAT).join(Classes::DATE);
    assert_eq!(decoder.summaries(), [mixed, Classes::default(), Classes::INT_SHORT.join(Classes::BOOLEAN)]);
}

#[test]
fn whatever_settles_is_taken_by_its_type() {
    for set in (1..128).map(Classes).chain([Classes::TEXT]) {
        assert!(set.within(takes(set.settle())), "{set:?} settles as {}", set.settle());
    }
}

/// Values near the borders of the grammars.
fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?[0-9]{0,21}",
        "-?(0|[1-9][0-9]{0,18})",
        "-?[0-9]{1,17}([.,][0-9]{0,9})?([eE][+-]?[0-9]{0,3})?",
        "[0-9]{4}-[01][0-9]-[0-3][0-9]",
        "[0-9]{4}-0[1-9]-[0-2][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{0,7})?(Z|[+-][0-2][0-9]:?[0-6][0-9])?",
        "[-0-9.,eE:TZ+ ]{0,30}",
        "(true|false|True|NA|tru)",
        "[a-zé€ ]{0,6}",
        Just(String::new()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn a_value_fits_a_guess_if_and_only_if_its_class_does(value in value(), comma: bool) {
        let mut dialect = dialect(Encoding::Utf8);
        dialect.decimal = if comma { b',' } else { b'.' };
        let null = value.is_empty() || value == "NA";
        let class = classify(value.as_bytes(), dialect.decimal);
        let integer = value == "-0" || value.parse::<i64>().is_ok_and(|n| n.to_string() == value);
        prop_assert_eq!(class.within(takes(ColumnType::Int64)), integer);
        for ctype in GUESSES {
            // With an empty null alone, and with others: two ways through the decoder.
            let mut plain = inferred(&[ctype]);
            plain[0].nulls = vec![String::new()];
            let fast = frame(&[&[&value]]).decode(&mut Decoder::new(&plain, &[0], &dialect, Path::best()));
            let mut decoder = Decoder::new(&inferred(&[ctype]), &[0], &dialect, Path::best());
            let decoded = frame(&[&[&value]]).decode(&mut decoder);
            let fits = null || class.within(takes(ctype));
            prop_assert_eq!((decoder.fits(), decoded.rows.is_some(), decoded.written), (fits, fits, 1));
            prop_assert_eq!(decoder.summaries(), [if null { Classes::default() } else { class }]);
            if value != "NA" {
                prop_assert_eq!(&fast.rows, &decoded.rows);
            }
            if let Some(rows) = decoded.rows {
                prop_assert_eq!(rows.column(0).is_null(0), null);
                prop_assert!(ctype != ColumnType::Text || null || texts(&rows, 0) == [Some(value.as_str())]);
            }
            // Declared, the same values fit, and long integers as doubles.
            let declared = [column("c", ctype, true)];
            let misses = frame(&[&[&value]]).decode(&mut Decoder::new(&declared, &[0], &dialect, Path::best())).misses;
            let rounds = ctype == ColumnType::Float64 && class == Classes::INT_LONG;
            prop_assert_eq!(misses.is_empty(), fits || rounds);
        }
        if class == Classes::FLOAT {
            prop_assert!(value.replace(',', ".").parse::<f64>().expect("a number").is_finite());
        }
    }
}

/// Records of four columns: declared int64 and date, which sometimes miss, and two inferred ones.
fn records() -> impl Strategy<Value = Vec<[String; 4]>> {
    let rare = |good: &'static str, bad: &'static str| prop_oneof![30 => good, 1 => bad, 1 => Just("NA".to_owned())];
    let record = [
        rare("[1-9][0-9]{0,3}", "x").boxed(),
        rare("20[0-9]{2}-0[1-9]-[12][0-9]", "20").boxed(),
        rare("[1-9]{1,3}", "[1-9]\\.5").boxed(),
        rare("[a-z0-9]{1,20}", "\"q\"\"\"").boxed(),
    ];
    prop::collection::vec(record, 1..700)
}

fn decode_all(types: [ColumnType; 2], framed: &Framed, cuts: &[usize], fresh: bool) -> (Vec<Whole>, Vec<Classes>) {
    let columns = [
        column("n", ColumnType::Int64, true),
        column("day", ColumnType::Date, true),
        column("a", types[0], false),
        column("b", types[1], false),
    ];
    let make = || decoder(&columns, Encoding::Utf8);
    let mut decoder = make();
    let mut summaries = vec![Classes::default(); 4];
    let mut all = Vec::new();
    for range in std::iter::zip(cuts, &cuts[1..]).map(|(&a, &b)| a..b) {
        if fresh {
            decoder = make();
        }
        all.push(framed.decode_range(&mut decoder, range));
        summaries = std::iter::zip(&summaries, decoder.summaries()).map(|(a, &b)| a.join(b)).collect();
    }
    (all, summaries)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn batches_partitions_and_guesses_change_nothing_else(records in records(), a: prop::sample::Index, b: prop::sample::Index) {
        let fields: Vec<Vec<&str>> = records.iter().map(|record| record.iter().map(String::as_str).collect()).collect();
        let framed = frame(&fields.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let count = records.len();
        let mut cuts = [0, a.index(count + 1), b.index(count + 1), count];
        cuts.sort_unstable();
        let settled = [ColumnType::Float64, ColumnType::Text];
        let (whole, summaries) = decode_all(settled, &framed, &[0, count], true);
        let rows = whole[0].rows.as_ref().expect("integers and floats fit a double");
        let kept: Vec<_> = (0..count).filter(|&row| whole[0].misses.iter().all(|miss| miss.row != row)).collect();
        let cell = |row: usize| Some(match records[row][3].as_str() { "\"q\"\"\"" => "q\"", other => other }).filter(|&v| v != "NA");
        prop_assert_eq!(texts(rows, 3), kept.iter().map(|&row| cell(row)).collect::<Vec<_>>());
        prop_assert_eq!(whole[0].written, kept.len() as u64);
        for (types, fresh) in [(settled, true), (settled, false), ([ColumnType::Int64, ColumnType::Boolean], true), ([ColumnType::Date; 2], false)] {
            let (parts, joined) = decode_all(types, &framed, &cuts, fresh);
            prop_assert_eq!(&joined, &summaries);
            prop_assert_eq!(parts.iter().map(|part| part.written).sum::<u64>(), whole[0].written);
            let misses = std::iter::zip(&parts, cuts).flat_map(|(part, start)| {
                part.misses.iter().map(move |miss| Miss { row: miss.row + start, ..miss.clone() })
            });
            prop_assert_eq!(misses.collect::<Vec<_>>(), whole[0].misses.clone());
            if types == settled {
                let batches: Vec<_> = parts.iter().map(|part| part.rows.clone().expect("settled types fit")).collect();
                prop_assert_eq!(&concat_batches(&rows.schema(), &batches).expect("one schema"), rows);
            }
        }
    }
}

#[test]
fn a_field_that_padding_added_is_null_where_an_empty_one_is_not() {
    let mut columns = [column("text", ColumnType::Text, true), column("number", ColumnType::Int64, true)];
    columns.iter_mut().for_each(|column| column.nulls.clear());
    let mut framed = frame(&[&["", "1"], &["a", "2"]]);
    framed.rows[1].fields = 0;
    let decoded = framed.decode(&mut decoder(&columns, Encoding::Utf8));
    let rows = decoded.rows.expect("declared columns always fit");
    assert_eq!((decoded.misses.len(), rows.num_rows()), (0, 2));
    assert_eq!((rows.column(0).is_null(0), rows.column(0).is_null(1)), (false, true));
    assert_eq!((rows.column(1).is_null(0), rows.column(1).is_null(1)), (false, true));
}

#[test]
fn columns_that_nobody_reads_are_not_looked_at() {
    // More columns than a block has rows; every third one is read, some of them declared and missed.
    let kind = |i: usize| match i % 4 {
        0 => (ColumnType::Int64, true),
        1 => (ColumnType::Text, false),
        2 => (ColumnType::Date, false),
        _ => (ColumnType::Float64, false),
    };
    let columns: Vec<Column> = (0..150).map(|i| column(&format!("c{i}"), kind(i).0, kind(i).1)).collect();
    let value = |row: usize, i: usize| match i % 4 {
        0 if (row + i) % 50 == 7 => "x".to_owned(),
        0 => (row * i).to_string(),
        1 => format!("t{}", row % 7),
        2 => format!("2024-01-{:02}", 1 + (row + i) % 28),
        _ => format!("{row}.{i}"),
    };
    let records: Vec<Vec<String>> = (0..200).map(|row| (0..150).map(|i| value(row, i)).collect()).collect();
    let records: Vec<Vec<&[u8]>> =
        records.iter().map(|record| record.iter().map(|field| field.as_bytes()).collect()).collect();
    let framed = Framed::new(&records);
    let read: Vec<usize> = (0..150).filter(|i| i % 3 == 2).collect();
    let mut few = Decoder::new(&columns, &read, &dialect(Encoding::Utf8), Path::best());
    let found = framed.decode(&mut few);
    // The same columns as a file of their own.
    let own: Vec<Column> = read.iter().map(|&i| columns[i].clone()).collect();
    let records: Vec<Vec<&[u8]>> = records.iter().map(|record| read.iter().map(|&i| record[i]).collect()).collect();
    let mut all = decoder(&own, Encoding::Utf8);
    let want = Framed::new(&records).decode(&mut all);
    assert_eq!((found.rows, found.written), (want.rows, want.written));
    let misses = want.misses.into_iter().map(|miss| Miss { column: read[miss.column as usize] as u32, ..miss });
    assert_eq!(found.misses, misses.collect::<Vec<_>>());
    assert!(found.written < 200, "some rows miss");
    let summaries: Vec<Classes> = read.iter().map(|&i| few.summaries()[i]).collect();
    assert_eq!(summaries, all.summaries());
    assert!((0..150).filter(|i| i % 3 != 2).all(|i| few.summaries()[i] == Classes::default()));
    let mut none = Decoder::new(&columns, &[], &dialect(Encoding::Utf8), Path::best());
    assert_eq!(framed.decode(&mut none).rows.expect("nothing to misfit").num_rows(), 200);
}

#[test]
fn nulls_take_no_room_when_a_dictionary_is_written_out() {
    // The first text is long, and each null would repeat it; the last one is too much for a dictionary.
    let (long, longer) = ("a".repeat(900_000), "b".repeat(200_000));
    let mut records: Vec<Vec<&[u8]>> = vec![vec![long.as_bytes()]];
    records.extend(std::iter::repeat_n(vec![&b""[..]], 5_000));
    records.push(vec![longer.as_bytes()]);
    let framed = Framed::new(&records);
    let mut decoder = decoder(&inferred(&[ColumnType::Text]), Encoding::Utf8);
    let rows = framed.decode(&mut decoder).rows.expect("text takes all");
    let column = rows.column(0).as_string::<i32>();
    assert_eq!((column.value_data().len(), column.null_count()), (1_100_000, 5_000));
    assert_eq!((column.value(0).len(), column.value(5_001).len()), (900_000, 200_000));
}

#[test]
fn dictionaries_of_many_columns_share_their_room() {
    let columns: Vec<Column> = (0..8_192).map(|i| column(&format!("c{i}"), ColumnType::Text, false)).collect();
    let records: Vec<Vec<String>> = (0..70).map(|row| (0..8_192).map(|i| format!("v{row}.{i}")).collect()).collect();
    let records: Vec<Vec<&[u8]>> =
        records.iter().map(|record| record.iter().map(|field| field.as_bytes()).collect()).collect();
    let framed = Framed::new(&records);
    let mut decoder = decoder(&columns, Encoding::Utf8);
    for row in 0..framed.rows.len() {
        // A batch each.
        let rows = framed.decode_range(&mut decoder, row..row + 1).rows.expect("text takes all");
        assert_eq!(texts(&rows, 5), [Some(format!("v{row}.5").as_str())]);
    }
    // More values than each column may keep: none is a dictionary any more.
    decoder.add(&framed.rows(0..1));
    let rows = decoder.finish().rows.expect("text takes all");
    assert!(rows.columns().iter().all(|array| array.data_type() == &data_type(ColumnType::Text)));
}
