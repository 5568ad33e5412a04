//! Values of declared formats: in lanes, one by one, as nulls and as misses.

use batteuse_shared::spec::DeclaredType;

use super::*;

/// A declared column with a format.
fn formatted(declared: &str) -> Column {
    let DeclaredType { ctype, format } = declared.parse().expect(declared);
    Column { format, ..column("c", ctype, true) }
}

#[test]
fn values_of_a_format_are_taken_in_lanes_and_one_by_one() {
    let far = [
        "01/02/1970",
        "31/12/1969",
        "NA",
        "",
        "29/02/2023",
        "1970-01-01",
        "\"02/01/1970\"",
        "\"0\"\"/01/1970\"",
        "1/01/1970",
    ];
    let values: Vec<&str> = far.iter().copied().cycle().take(150).collect();
    let records: Vec<[&str; 1]> = values.iter().map(|&value| [value]).collect();
    let records: Vec<&[&str]> = records.iter().map(|record| &record[..]).collect();
    let want: Vec<Option<i32>> = [Some(31), Some(-1), None, None, Some(1)].into_iter().cycle().take(84).collect();
    // Where a null may be one of the format's values, all are read one by one.
    for null in ["x", "01/03/1970"] {
        let mut column = formatted("date(%d/%m/%Y)");
        column.nulls.push(null.to_owned());
        let mut decoder = decoder(&[column], Encoding::Utf8);
        let decoded = frame(&records).decode(&mut decoder);
        let rows = decoded.rows.expect("declared columns always fit");
        let got: Vec<_> = rows.column(0).as_primitive::<Date32Type>().iter().collect();
        assert_eq!(got, want, "{null}");
        let missed: Vec<&str> = decoded.misses.iter().map(|miss| values[miss.row]).collect();
        let bad = ["29/02/2023", "1970-01-01", "\"0\"\"/01/1970\"", "1/01/1970"];
        assert_eq!(missed, bad.iter().copied().cycle().take(66).collect::<Vec<_>>());
        assert_eq!(decoded.misses[0].message, "\"29/02/2023\" is no date: expected a valid %d/%m/%Y");
    }
    // A null that begins with no digit, and is a value of the format all the same.
    let mut column = formatted("timestamp(le %d/%m/%Y %H:%M)");
    column.nulls.push("le 01/01/1900 00:00".to_owned());
    let records: [&[&str]; 3] = [&["le 02/01/1970 00:01"], &["le 01/01/1900 00:00"], &["02/01/1970 00:01"]];
    let framed = frame(&records.repeat(20));
    for encoding in [Encoding::Utf8, Encoding::Windows1252] {
        let decoded = framed.decode(&mut decoder(std::slice::from_ref(&column), encoding));
        let rows = decoded.rows.expect("declared columns always fit");
        let micros: Vec<_> = rows.column(0).as_primitive::<TimestampMicrosecondType>().iter().collect();
        assert_eq!(micros, [Some(86_460_000_000), None].repeat(20));
        assert_eq!(
            decoded.misses[0].message,
            "\"02/01/1970 00:01\" is no timestamp: expected a valid le %d/%m/%Y %H:%M"
        );
    }
}
