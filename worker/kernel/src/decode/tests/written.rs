//! Texts that become too many for a dictionary, among odd ones, nulls and rows set aside, in blocks of any length.

use super::*;

#[test]
fn many_texts_are_written_out_as_they_are() {
    // By turns plain, long, quoted, doubled quotes, empty, not ASCII; and digits alone; every seventh number is none.
    let text = |row: usize| match row % 6 {
        0 => format!("v{row}"),
        1 => format!("{row}{}", "x".repeat(row % 90)),
        2 => format!("\"q,{row}\""),
        3 => format!("\"{row}\"\"\""),
        4 => String::new(),
        _ => format!("\u{e9}{row}"),
    };
    let number = |row: usize| if row % 7 == 3 { format!("x{row}") } else { row.to_string() };
    for encoding in [Encoding::Utf8, Encoding::Windows1252] {
        let encoded = |value: String| match encoding {
            Encoding::Utf8 => value.into_bytes(),
            Encoding::Windows1252 => encoding_rs::WINDOWS_1252.encode(&value).0.into_owned(),
        };
        let records: Vec<[Vec<u8>; 3]> =
            (0..9_000).map(|row| [number(row), text(row), (10_000 + row).to_string()].map(encoded)).collect();
        let fields: Vec<Vec<&[u8]>> = records.iter().map(|record| record.iter().map(Vec::as_slice).collect()).collect();
        let framed = Framed::new(&fields);
        let columns = [
            column("number", ColumnType::Int64, true),
            column("text", ColumnType::Text, false),
            column("digits", ColumnType::Text, false),
        ];
        for nulls in [vec![String::new()], vec![String::new(), "v12".to_owned()]] {
            let columns = columns.clone().map(|column| Column { nulls: nulls.clone(), ..column });
            for path in Path::available() {
                let mut decoder = Decoder::new(&columns, &every(&columns), &dialect(encoding), path);
                let (mut at, mut missed, mut block) = (0, Vec::new(), 1);
                while at < framed.rows.len() {
                    let end = framed.rows.len().min(at + block);
                    missed.extend(decoder.add(&framed.rows(at..end)).iter().map(|miss| at + miss.row));
                    (at, block) = (end, block % 64 + 7);
                    block = block.min(64);
                }
                let misses: Vec<usize> = (0..9_000).filter(|row| row % 7 == 3).collect();
                assert_eq!(missed, misses, "{}", path.name());
                let rows = decoder.finish().rows.expect("text takes all");
                let value = |row: usize| match row % 6 {
                    2 => format!("q,{row}"),
                    3 => format!("{row}\""),
                    _ => text(row),
                };
                let kept = || (0..9_000).filter(|row| row % 7 != 3);
                let want: Vec<_> = kept().map(|row| Some(value(row)).filter(|text| !nulls.contains(text))).collect();
                let want: Vec<_> = want.iter().map(Option::as_deref).collect();
                assert_eq!(texts(&rows, 1), want, "{}", path.name());
                assert!(
                    texts(&rows, 2).into_iter().eq(kept()
                        .map(|row| (10_000 + row).to_string())
                        .collect::<Vec<_>>()
                        .iter()
                        .map(|text| Some(text.as_str())))
                );
                assert_eq!(decoder.summaries(), [Classes::default(), Classes::TEXT, Classes::INT_SHORT]);
            }
        }
    }
}
