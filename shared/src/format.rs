//! Formats: how the parts of a declared date or timestamp stand in its values, as in `%d/%m/%Y`.
//!
//! Invariant: all values of a format have one width, so that they can be read side by side, and a format has one text only, so
//! that it reads back as itself. What a value means is decided elsewhere.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits::FORMAT_BYTES_MAX;
use crate::table::ColumnType;

/// A part of a moment: its specifier, and where its digits stand in ISO 8601, `YYYY-MM-DDTHH:MM:SS.mmm`.
struct Part {
    specifier: &'static str,
    at: u8,
    digits: u8,
}

const PARTS: [Part; 7] = [
    Part { specifier: "%Y", at: 0, digits: 4 },
    Part { specifier: "%m", at: 5, digits: 2 },
    Part { specifier: "%d", at: 8, digits: 2 },
    Part { specifier: "%H", at: 11, digits: 2 },
    Part { specifier: "%M", at: 14, digits: 2 },
    Part { specifier: "%S", at: 17, digits: 2 },
    Part { specifier: "%3f", at: 20, digits: 3 },
];

/// What a byte of a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// This very byte: printable ASCII, no digit.
    Literal(u8),
    /// The digit that stands at this place in `YYYY-MM-DDTHH:MM:SS.mmm`.
    Digit(u8),
}

/// How the values of a column of dates or timestamps are written, where not as ISO 8601.
///
/// A date has `%Y`, `%m` and `%d`; a timestamp `%H` and `%M` too, and perhaps `%S`, and then perhaps `%3f`. Each is there once and has
/// all its digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Format {
    /// Beyond `bytes`: literals of zero.
    places: [Place; FORMAT_BYTES_MAX],
    bytes: u8,
}

/// Why a text is no format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFormat {
    /// `%` and something unknown.
    #[error("{0:?} is no part of a format: use %Y, %m, %d, %H, %M, %S and %3f, and %% for a percent sign")]
    Specifier(String),
    /// A part that is there already.
    #[error("{0} is there twice: keep one")]
    Twice(&'static str),
    /// A part that a moment does not go without.
    #[error("it has no {0}: a date has %Y, %m and %d, a timestamp %H and %M too, and %S before %3f")]
    Missing(&'static str),
    /// What may not stand between parts.
    #[error("{0:?} cannot stand in it: between the parts use printable ASCII characters that are no digits")]
    Literal(char),
    /// Too much of it.
    #[error("its values have more than {FORMAT_BYTES_MAX} bytes: shorten what stands between the parts")]
    TooWide,
    /// A format of the other type.
    #[error("this is how a {0} is written: declare {0}({1})")]
    OtherType(ColumnType, Format),
}

impl Format {
    /// Of each byte of a value what it is.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places[..usize::from(self.bytes)]
    }

    /// What its values are: dates, or timestamps when they have a time of day.
    #[must_use]
    pub fn ctype(&self) -> ColumnType {
        let [.., hours, _, _, _] = &PARTS;
        if self.has(hours) { ColumnType::Timestamp } else { ColumnType::Date }
    }

    /// Whether it is one for this type.
    ///
    /// # Errors
    /// When it is not.
    pub fn of(self, ctype: ColumnType) -> Result<Self, BadFormat> {
        if self.ctype() == ctype { Ok(self) } else { Err(BadFormat::OtherType(self.ctype(), self)) }
    }

    fn has(&self, part: &Part) -> bool {
        self.places().contains(&Place::Digit(part.at))
    }

    fn push(&mut self, place: Place) -> Result<(), BadFormat> {
        *self.places.get_mut(usize::from(self.bytes)).ok_or(BadFormat::TooWide)? = place;
        self.bytes += 1;
        Ok(())
    }

    fn push_part(&mut self, part: &Part) -> Result<(), BadFormat> {
        if self.has(part) {
            return Err(BadFormat::Twice(part.specifier));
        }
        (part.at..part.at + part.digits).try_for_each(|at| self.push(Place::Digit(at)))
    }

    fn complete(self) -> Result<Self, BadFormat> {
        let [date @ .., hours, minutes, seconds, fraction] = &PARTS;
        let mut due: Vec<&Part> = date.iter().collect();
        if [hours, minutes, seconds, fraction].iter().any(|part| self.has(part)) {
            due.extend([hours, minutes]);
        }
        if self.has(fraction) {
            due.push(seconds);
        }
        match due.into_iter().find(|part| !self.has(part)) {
            Some(part) => Err(BadFormat::Missing(part.specifier)),
            None => Ok(self),
        }
    }
}

impl FromStr for Format {
    type Err = BadFormat;

    fn from_str(text: &str) -> Result<Self, BadFormat> {
        let mut format = Self { places: [Place::Literal(0); FORMAT_BYTES_MAX], bytes: 0 };
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let read = if let Some(part) = PARTS.iter().find(|part| rest.starts_with(part.specifier)) {
                format.push_part(part)?;
                part.specifier.len()
            } else if rest.starts_with("%%") {
                format.push(Place::Literal(b'%'))?;
                2
            } else if first == '%' {
                return Err(BadFormat::Specifier(rest.chars().take(2).collect()));
            } else if matches!(first, ' '..='~') && !first.is_ascii_digit() {
                format.push(Place::Literal(first as u8))?;
                1
            } else {
                return Err(BadFormat::Literal(first));
            };
            rest = &rest[read..];
        }
        format.complete()
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.places().iter().try_for_each(|place| match *place {
            Place::Literal(b'%') => f.write_str("%%"),
            Place::Literal(byte) => write!(f, "{}", char::from(byte)),
            Place::Digit(at) => match PARTS.iter().find(|part| part.at == at) {
                Some(part) => f.write_str(part.specifier),
                None => Ok(()),
            },
        })
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Format({self})")
    }
}

impl From<Format> for String {
    fn from(format: Format) -> Self {
        format.to_string()
    }
}

impl TryFrom<String> for Format {
    type Error = BadFormat;

    fn try_from(text: String) -> Result<Self, BadFormat> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_round_trip_as_text() {
        for (text, bytes, ctype) in [
            ("%d/%m/%Y", 10, ColumnType::Date),
            ("%Y%m%d", 8, ColumnType::Date),
            ("%Y-%m-%d", 10, ColumnType::Date),
            ("le %d.%m.%Y (%%)", 17, ColumnType::Date),
            ("%d/%m/%Y %H:%M:%S", 19, ColumnType::Timestamp),
            ("%Y%m%d%H%M", 12, ColumnType::Timestamp),
            ("%H:%M:%S.%3f %d/%m/%Y", 23, ColumnType::Timestamp),
            ("%m/%d/%Y, %H h %M", 19, ColumnType::Timestamp),
        ] {
            let format: Format = text.parse().expect(text);
            assert_eq!((format.to_string(), format.places().len(), format.ctype()), (text.to_owned(), bytes, ctype));
            let json = serde_json::to_string(&format).expect("text");
            assert_eq!(serde_json::from_str::<Format>(&json).expect(&json), format);
        }
    }

    #[test]
    fn places_are_those_of_iso_8601() {
        let format: Format = "%d/%m/%Y".parse().expect("a format");
        let digits = |from: u8, to: u8| (from..to).map(Place::Digit).collect::<Vec<_>>();
        let slash = || vec![Place::Literal(b'/')];
        assert_eq!(format.places(), [digits(8, 10), slash(), digits(5, 7), slash(), digits(0, 4)].concat());
    }

    #[test]
    fn what_is_no_format_says_why() {
        for (text, want) in [
            ("", BadFormat::Missing("%Y")),
            ("iso", BadFormat::Missing("%Y")),
            ("%m/%Y", BadFormat::Missing("%d")),
            ("%d/%m/%Y %H", BadFormat::Missing("%M")),
            ("%d/%m/%Y %M:%S", BadFormat::Missing("%H")),
            ("%d/%m/%Y %H:%M.%3f", BadFormat::Missing("%S")),
            ("%d/%m/%y", BadFormat::Specifier("%y".to_owned())),
            ("%d/%m/%Y%", BadFormat::Specifier("%".to_owned())),
            ("%é", BadFormat::Specifier("%é".to_owned())),
            ("%d/%d/%Y", BadFormat::Twice("%d")),
            ("%d/%m/20%Y", BadFormat::Literal('2')),
            ("%Y年%m", BadFormat::Literal('年')),
            ("%d\t%m", BadFormat::Literal('\t')),
            ("%d/%m/%Y              .", BadFormat::TooWide),
            ("%d/%m/%Y %H:%M:%S.%3f. ", BadFormat::TooWide),
        ] {
            assert_eq!(text.parse::<Format>(), Err(want), "{text:?}");
        }
    }
}
