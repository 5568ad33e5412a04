//! Columns, their types, the lattice in which types settle, counts and digests.
//!
//! Invariants: [`Classes::join`] is commutative, associative and idempotent; [`Digest`] and [`Counts`] add up in any order.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::format::Format;

/// The type of a column of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ColumnType {
    /// `true` or `false`.
    Boolean,
    /// 64-bit signed integer.
    Int64,
    /// IEEE 754 double.
    Float64,
    /// Exact decimal, only when declared. `scale <= precision <= 38`.
    Decimal {
        /// Digits in all.
        precision: u8,
        /// Digits after the point.
        scale: u8,
    },
    /// Days since 1970-01-01.
    Date,
    /// Microseconds, no zone.
    Timestamp,
    /// Microseconds since the Unix epoch, UTC.
    TimestampUtc,
    /// The source's bytes, as UTF-8.
    Text,
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean => f.write_str("boolean"),
            Self::Int64 => f.write_str("int64"),
            Self::Float64 => f.write_str("float64"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Self::Date => f.write_str("date"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::TimestampUtc => f.write_str("timestamptz"),
            Self::Text => f.write_str("text"),
        }
    }
}

/// Why a text names no column type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no column type: use text, boolean, int64, float64, decimal(p,s) with s <= p <= 38, date, timestamp (either with a \
     format such as date(%d/%m/%Y) too) or timestamptz"
)]
pub struct BadColumnType(pub String);

impl std::str::FromStr for ColumnType {
    type Err = BadColumnType;

    fn from_str(text: &str) -> Result<Self, BadColumnType> {
        let bad = || BadColumnType(text.to_owned());
        Ok(match text {
            "boolean" => Self::Boolean,
            "int64" => Self::Int64,
            "float64" => Self::Float64,
            "date" => Self::Date,
            "timestamp" => Self::Timestamp,
            "timestamptz" => Self::TimestampUtc,
            "text" => Self::Text,
            _ => {
                let inner = text.strip_prefix("decimal(").and_then(|t| t.strip_suffix(')')).ok_or_else(bad)?;
                let (p, s) = inner.split_once(',').ok_or_else(bad)?;
                let precision: u8 = p.trim().parse().map_err(|_| bad())?;
                let scale: u8 = s.trim().parse().map_err(|_| bad())?;
                if precision == 0 || precision > 38 || scale > precision {
                    return Err(bad());
                }
                Self::Decimal { precision, scale }
            }
        })
    }
}

/// A column as a task reads and writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Name in the output, unique in the table.
    pub name: String,
    /// Declared, guessed by inspection, or settled.
    pub ctype: ColumnType,
    /// Whether the spec declares the type: then a value that does not fit rejects its record, and no summary is taken.
    pub declared: bool,
    /// How the values of a declared date or timestamp are written; none: as ISO 8601.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Decoded values that mean null.
    pub nulls: Vec<String>,
}

/// The summary of one inferred column: the set of classes its non-null values belong to.
///
/// The join is set union; the type is a function of the set ([`Classes::settle`]).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Classes(pub u16);

impl Classes {
    /// `true` or `false`.
    pub const BOOLEAN: Classes = Classes(1);
    /// An integer of at most 15 digits: exact as a double.
    pub const INT_SHORT: Classes = Classes(2);
    /// An integer of more than 15 digits that fits 64 bits.
    pub const INT_LONG: Classes = Classes(4);
    /// A number with a fraction or an exponent, finite.
    pub const FLOAT: Classes = Classes(8);
    /// `YYYY-MM-DD`.
    pub const DATE: Classes = Classes(16);
    /// A date and a time without zone, at most six fractional digits.
    pub const TIMESTAMP: Classes = Classes(32);
    /// A date and a time with `Z` or an offset.
    pub const TIMESTAMP_UTC: Classes = Classes(64);
    /// Anything else.
    pub const TEXT: Classes = Classes(128);

    /// Both sets together. [`Classes::TEXT`] absorbs: a set that holds it is `TEXT` alone, so that a column once found to
    /// be text need not be classified further and its summary still depends on the values only.
    #[must_use]
    pub const fn join(self, other: Classes) -> Classes {
        let both = self.0 | other.0;
        if both & Self::TEXT.0 == 0 { Classes(both) } else { Self::TEXT }
    }

    /// Whether every class of `self` is in `other`.
    #[must_use]
    pub const fn within(self, other: Classes) -> bool {
        self.0 & !other.0 == 0
    }

    /// The narrowest type that holds every value seen; all null is text.
    #[must_use]
    pub fn settle(self) -> ColumnType {
        const INTS: Classes = Classes::INT_SHORT.join(Classes::INT_LONG);
        const DOUBLES: Classes = Classes::INT_SHORT.join(Classes::FLOAT);
        const DATES: Classes = Classes::DATE.join(Classes::TIMESTAMP);
        if self == Classes::default() {
            ColumnType::Text
        } else if self == Classes::BOOLEAN {
            ColumnType::Boolean
        } else if self.within(INTS) {
            ColumnType::Int64
        } else if self.within(DOUBLES) {
            ColumnType::Float64
        } else if self == Classes::DATE {
            ColumnType::Date
        } else if self.within(DATES) {
            ColumnType::Timestamp
        } else if self == Classes::TIMESTAMP_UTC {
            ColumnType::TimestampUtc
        } else {
            ColumnType::Text
        }
    }
}

/// What became of the records and lines of a span; adds up over spans (CONSERVATION).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Records that start in the span.
    pub read: u64,
    /// Rows written.
    pub written: u64,
    /// Records dropped by the user's rule.
    pub filtered: u64,
    /// Records set aside with position and reason.
    pub rejected: u64,
    /// Records in byte ranges set aside.
    pub quarantined: u64,
    /// Blank lines: no records.
    pub blank: u64,
    /// Comment lines: no records.
    pub comment: u64,
    /// Physical lines that end in the span.
    pub lines: u64,
    /// Bytes of the records that were cut at the record cap, or left open by a quote at the end of the file.
    pub cut_bytes: u64,
}

impl Counts {
    /// Adds `other`, field by field.
    #[must_use]
    pub fn plus(self, other: Counts) -> Counts {
        Counts {
            read: self.read + other.read,
            written: self.written + other.written,
            filtered: self.filtered + other.filtered,
            rejected: self.rejected + other.rejected,
            quarantined: self.quarantined + other.quarantined,
            blank: self.blank + other.blank,
            comment: self.comment + other.comment,
            lines: self.lines + other.lines,
            cut_bytes: self.cut_bytes + other.cut_bytes,
        }
    }

    /// Takes `other`, which was added before, away again.
    #[must_use]
    pub fn minus(self, other: Counts) -> Counts {
        Counts {
            read: self.read - other.read,
            written: self.written - other.written,
            filtered: self.filtered - other.filtered,
            rejected: self.rejected - other.rejected,
            quarantined: self.quarantined - other.quarantined,
            blank: self.blank - other.blank,
            comment: self.comment - other.comment,
            lines: self.lines - other.lines,
            cut_bytes: self.cut_bytes - other.cut_bytes,
        }
    }

    /// Whether every record is in exactly one of written, filtered, rejected and quarantined.
    #[must_use]
    pub fn conserved(&self) -> bool {
        self.read == self.written + self.filtered + self.rejected + self.quarantined
    }
}

/// Digest of a set of rows: the sum modulo 2^128 of the XXH3-128 of each row (names, types, canonical values).
///
/// The sum makes it independent of order and of how rows lie in files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub u128);

impl Digest {
    /// The digest of both sets of rows together.
    #[must_use]
    pub fn plus(self, other: Digest) -> Digest {
        Digest(self.0.wrapping_add(other.0))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for Digest {
    type Error = std::num::ParseIntError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        u128::from_str_radix(&text, 16).map(Digest)
    }
}

/// sha256 of a file's bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Checksum(pub [u8; 32]);

/// Why a text is no [`Checksum`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a sha256 has 64 hexadecimal digits")]
pub struct BadChecksum;

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl From<Checksum> for String {
    fn from(checksum: Checksum) -> Self {
        checksum.to_string()
    }
}

impl TryFrom<String> for Checksum {
    type Error = BadChecksum;

    fn try_from(text: String) -> Result<Self, BadChecksum> {
        if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(BadChecksum);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| BadChecksum)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| BadChecksum)?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lattice_settles_as_designed() {
        let c = |sets: &[Classes]| sets.iter().fold(Classes::default(), |a, &b| a.join(b)).settle();
        let (i, l, f) = (Classes::INT_SHORT, Classes::INT_LONG, Classes::FLOAT);
        let (d, t, z, b) = (Classes::DATE, Classes::TIMESTAMP, Classes::TIMESTAMP_UTC, Classes::BOOLEAN);
        let cases: &[(&[Classes], ColumnType)] = &[
            (&[], ColumnType::Text),
            (&[b], ColumnType::Boolean),
            (&[b, i], ColumnType::Text),
            (&[i], ColumnType::Int64),
            (&[l], ColumnType::Int64),
            (&[i, l], ColumnType::Int64),
            (&[f], ColumnType::Float64),
            (&[i, f], ColumnType::Float64),
            (&[l, f], ColumnType::Text),
            (&[i, l, f], ColumnType::Text),
            (&[d], ColumnType::Date),
            (&[d, t], ColumnType::Timestamp),
            (&[t], ColumnType::Timestamp),
            (&[z], ColumnType::TimestampUtc),
            (&[t, z], ColumnType::Text),
            (&[d, z], ColumnType::Text),
            (&[i, d], ColumnType::Text),
            (&[Classes::TEXT, i], ColumnType::Text),
        ];
        for (sets, want) in cases {
            assert_eq!(c(sets), *want, "{sets:?}");
        }
    }

    #[test]
    fn the_join_is_a_semilattice_with_text_on_top() {
        let all = || (0..256).map(Classes);
        for (a, b) in all().flat_map(|a| all().map(move |b| (a, b))) {
            let both = a.join(b);
            assert_eq!(both, b.join(a), "commutative");
            assert_eq!((both.join(a), both.join(b), both.join(both)), (both, both, both), "idempotent, an upper bound");
            assert_eq!(both == Classes::TEXT, (a.0 | b.0) & Classes::TEXT.0 != 0, "text absorbs");
            assert!(both == Classes::TEXT || (a.within(both) && b.within(both)), "nothing else is lost");
            for c in (0..256).step_by(7).map(Classes) {
                assert_eq!(both.join(c), a.join(b.join(c)), "associative");
            }
        }
        assert!((0..128).map(Classes).all(|a| a.join(a) == a && a.join(Classes::default()) == a));
    }

    #[test]
    fn column_types_round_trip_as_text() {
        for text in ["boolean", "int64", "float64", "decimal(12,2)", "date", "timestamp", "timestamptz", "text"] {
            assert_eq!(text.parse::<ColumnType>().expect(text).to_string(), text);
        }
        for text in ["", "int", "decimal(39,2)", "decimal(3,4)", "decimal(0,0)", "decimal(3)", "Text"] {
            assert!(text.parse::<ColumnType>().is_err(), "{text}");
        }
    }

    #[test]
    fn checksums_round_trip_as_text() {
        let checksum = Checksum(std::array::from_fn(|i| (i * 7 + 250) as u8));
        assert_eq!(Checksum::try_from(checksum.to_string()), Ok(checksum));
        for text in ["", "zz", &"g".repeat(64), &"a".repeat(63), &"é".repeat(32)] {
            assert_eq!(Checksum::try_from(text.to_owned()), Err(BadChecksum), "{text}");
        }
    }
}
