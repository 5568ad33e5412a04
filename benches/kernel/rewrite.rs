//! The same rows in another form: what a reader that knows less must be given, and what a reader pays for quotes.
//!
//! Invariant: no value changes but in its spelling; what could not be rewritten field by field stops the benchmark.

use std::sync::Arc;

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use encoding_rs::WINDOWS_1252;

/// The columns of dvf.
const DVF: [(&str, Kind); 43] = {
    use Kind::{Code, Date, Decimal, Integer};
    [
        ("Identifiant de document", Code),
        ("Reference document", Code),
        ("1 Articles CGI", Code),
        ("2 Articles CGI", Code),
        ("3 Articles CGI", Code),
        ("4 Articles CGI", Code),
        ("5 Articles CGI", Code),
        ("No disposition", Code),
        ("Date mutation", Date),
        ("Nature mutation", Code),
        ("Valeur fonciere", Decimal),
        ("No voie", Integer),
        ("B/T/Q", Code),
        ("Type de voie", Code),
        ("Code voie", Code),
        ("Voie", Code),
        ("Code postal", Code),
        ("Commune", Code),
        ("Code departement", Code),
        ("Code commune", Integer),
        ("Prefixe de section", Code),
        ("Section", Code),
        ("No plan", Integer),
        ("No Volume", Code),
        ("1er lot", Integer),
        ("Surface Carrez du 1er lot", Decimal),
        ("2eme lot", Integer),
        ("Surface Carrez du 2eme lot", Decimal),
        ("3eme lot", Integer),
        ("Surface Carrez du 3eme lot", Decimal),
        ("4eme lot", Integer),
        ("Surface Carrez du 4eme lot", Decimal),
        ("5eme lot", Integer),
        ("Surface Carrez du 5eme lot", Decimal),
        ("Nombre de lots", Integer),
        ("Code type local", Integer),
        ("Type local", Code),
        ("Identifiant local", Code),
        ("Surface reelle bati", Integer),
        ("Nombre pieces principales", Integer),
        ("Nature culture", Code),
        ("Nature culture speciale", Code),
        ("Surface terrain", Integer),
    ]
};

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Text, codes with leading zeros among it.
    Code,
    Integer,
    /// With a comma.
    Decimal,
    /// dd/mm/yyyy.
    Date,
}

/// The types that inspection finds in dvf, and a date where one is declared.
pub fn dvf_schema() -> SchemaRef {
    let of = |kind| match kind {
        Kind::Code => DataType::Utf8,
        Kind::Integer => DataType::Int64,
        Kind::Decimal => DataType::Float64,
        Kind::Date => DataType::Date32,
    };
    let fields: Vec<Field> = DVF.iter().map(|&(name, kind)| Field::new(name, of(kind), true)).collect();
    Arc::new(Schema::new(fields))
}

/// dvf with commas, decimal points and ISO dates, and its rows.
pub fn as_plain_csv(text: &str) -> (Vec<u8>, usize) {
    let mut lines = text.lines();
    assert!(lines.next().unwrap().split('|').eq(DVF.map(|(name, _)| name)), "the columns of dvf");
    let mut out = DVF.map(|(name, _)| name).join(",").into_bytes();
    out.reserve(text.len());
    let mut rows = 0;
    for line in lines {
        rows += 1;
        let mut between = b'\n';
        for (field, (name, kind)) in line.split('|').zip(DVF) {
            out.push(between);
            between = b',';
            match (kind, field.as_bytes()) {
                (Kind::Decimal, digits) => {
                    out.extend(digits.iter().map(|&byte| if byte == b',' { b'.' } else { byte }));
                }
                (Kind::Date, &[d1, d2, b'/', m1, m2, b'/', y1, y2, y3, y4]) => {
                    out.extend([y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2]);
                }
                (Kind::Date, _) => panic!("{name}: {field}"),
                (_, bytes) => {
                    assert!(!bytes.iter().any(|byte| b",\"\r".contains(byte)), "{name}: {field}");
                    out.extend_from_slice(bytes);
                }
            }
        }
    }
    out.push(b'\n');
    (out, rows)
}

/// As the administration writes it.
pub fn as_windows_1252(text: &str) -> Vec<u8> {
    let (encoded, _, unmappable) = WINDOWS_1252.encode(text);
    assert!(!unmappable, "every letter exists in Windows-1252");
    encoded.into_owned()
}

/// A text of quoted fields that do not need it, without its quotes, and its rows.
pub fn without_quotes(text: &[u8]) -> (Vec<u8>, usize) {
    let mut out = Vec::with_capacity(text.len());
    let mut rows = 0;
    for line in text.strip_suffix(b"\n").unwrap().split(|&byte| byte == b'\n') {
        for field in line.split(|&byte| byte == b',') {
            let inside = field.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).expect("a quoted field");
            assert!(!inside.contains(&b'"'), "a field that needs its quotes");
            out.extend_from_slice(inside);
            out.push(b',');
        }
        *out.last_mut().unwrap() = b'\n';
        rows += 1;
    }
    (out, rows - 1)
}
