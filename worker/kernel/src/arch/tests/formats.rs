//! Values of declared formats, in lanes and by the grammar.

use batteuse_shared::format::{Format, Place};
use batteuse_shared::table::ColumnType;

use super::*;
use crate::infer::parse_as;

/// A moment of ISO 8601 in a format.
fn written(format: &Format, iso: &str) -> Vec<u8> {
    let byte = |place: &Place| match *place {
        Place::Literal(byte) => byte,
        Place::Digit(at) => iso.as_bytes()[usize::from(at)],
    };
    format.places().iter().map(byte).collect()
}

/// Good and bad values of a format, of every kind that it may be wrong in.
fn values_of(format: &Format) -> Vec<Vec<u8>> {
    let mut texts = Vec::new();
    for year in [0, 1, 4, 99, 100, 400, 1899, 1900, 1970, 2000, 2023, 2024, 9999] {
        for month in 0..=13 {
            for day in [0, 1, 2, 28, 29, 30, 31, 32, 99] {
                texts.push(written(format, &format!("{year:04}-{month:02}-{day:02}T12:34:56.789")));
            }
        }
    }
    for clock in ["00:00:00.000", "23:59:59.999", "24:00:00.000", "12:60:00.000", "12:00:60.000", "99:99:99.999"] {
        texts.push(written(format, &format!("2024-02-29T{clock}")));
    }
    let good = written(format, "2024-02-29T23:59:58.123");
    for (at, byte) in (0..good.len()).flat_map(|at| b"/0:9-. aT%\x00\xff".iter().map(move |&byte| (at, byte))) {
        let mut bytes = good.clone();
        bytes[at] = byte;
        texts.push(bytes);
    }
    texts.extend((0..=good.len()).map(|end| good[..end].to_vec()));
    texts.extend([b" ", &b"0"[..]].map(|more| [&good, more].concat()));
    texts
}

#[test]
fn the_lanes_read_formats_as_the_grammar_does() {
    for format in [
        "%d/%m/%Y",
        "%m/%d/%Y",
        "%Y%m%d",
        "%Y-%m-%d",
        "....%d....%Y....%m....",
        "%%%%%%%%%%%%%d%m%Y",
        "%d/%m/%Y %H:%M:%S",
        "%d/%m/%Y %H:%M",
        "%Y%m%d%H%M%S%3f",
        "%H:%M:%S.%3f %d/%m/%Y!",
        "(%Y.%d.%m,%S.%M.%H%%%3f",
    ] {
        let format: Format = format.parse().expect(format);
        let (template, texts) = (Template::new(format), values_of(&format));
        let mut read = 0;
        for texts in texts.chunks(64) {
            let texts: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
            for (path, behind) in Path::available().into_iter().flat_map(|path| [0, b'7', 0xff].map(|b| (path, b))) {
                let (gathered, tails) = lanes_of(&texts, behind);
                let mut out = Longs { values: [0; 64], good: 0 };
                let lanes = if format.ctype() == ColumnType::Date { dates_as } else { timestamps_as };
                let tails = if template.is_long() { tails } else { [u64::MAX; 64] };
                lanes(path, &template, &gathered, &tails, &mut out);
                for (i, text) in texts.iter().enumerate() {
                    let want = match parse_as(&format, text) {
                        Value::Date(days) => Some(i64::from(days)),
                        Value::Timestamp(micros) => Some(micros),
                        _ => None,
                    };
                    let got = (out.good >> i & 1 == 1).then_some(out.values[i]);
                    assert_eq!(got, want, "{}: {format}: {:?}", path.name(), text.escape_ascii().to_string());
                    read += usize::from(got.is_some());
                }
            }
        }
        assert!(read > 500, "{format}: {read}");
    }
}
