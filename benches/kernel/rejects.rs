//! What bad rows cost: the same file with one row in a hundred spoilt, beside itself.

use arrow_schema::DataType;
use bytes::Bytes;

use super::table::Row;
use super::typed::{self, Source, ours};

/// Of so many rows one is bad.
const ROWS_PER_BAD_ROW: usize = 100;

/// Times a file with bad rows beside the clean one, types declared.
pub fn line(shape: &str, clean: &Source) {
    let clean = Source { declared: true, ..clean.clone() };
    let (text, bad) = spoil(&clean);
    let spoilt = Source { text, ..clean.clone() };
    let measure = format!("{shape}: 1 % ragged or of wrong types");
    let amount = clean.text.len() as f64 / 1e9;
    let row = Row { measure: &measure, peer: "ours, clean", amount, unit: "GB/s", target: Some(0.9) };
    let rows = |source: &Source| ours(source, &mut |_| {}).1;
    let kept = rows(&spoilt);
    assert_eq!(kept + bad, rows(&clean), "{measure}: the bad rows, and only these, are set aside");
    typed::time(&row, (kept, ours, &spoilt), (kept + bad, ours, &clean));
}

/// The text with bad rows, and how many. By turns they have a field too many, and no number where one is wanted.
fn spoil(source: &Source) -> (Bytes, usize) {
    let fields = source.schema.fields();
    let number = |index: usize| matches!(fields[index].data_type(), DataType::Int64 | DataType::Float64);
    let mut out = Vec::with_capacity(source.text.len() + source.text.len() / 1_000);
    let (mut bad, mut rows) = (0, 0);
    for line in source.text.split_inclusive(|&byte| byte == b'\n') {
        let content = line.trim_ascii_end();
        let mut values = content.split(|&byte| byte == b',').enumerate();
        let whole = !content.contains(&b'"') && values.clone().count() == fields.len();
        let filled = values.find(|(index, value)| number(*index) && !value.is_empty());
        rows += 1;
        if rows % ROWS_PER_BAD_ROW != 0 || !whole {
            out.extend_from_slice(line);
            continue;
        }
        bad += 1;
        match filled.filter(|_| bad % 2 == 0) {
            Some((_, value)) => {
                let at = value.as_ptr() as usize - line.as_ptr() as usize;
                out.extend_from_slice(&line[..at]);
                out.push(b'x');
                out.extend_from_slice(&line[at + 1..]);
            }
            None => {
                out.extend_from_slice(content);
                out.extend_from_slice(b",\n");
            }
        }
    }
    assert!(bad > rows / (2 * ROWS_PER_BAD_ROW), "most of the rows chosen could be spoilt");
    (out.into(), bad)
}
