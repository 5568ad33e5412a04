//! The forms in which a spec's values are written: `auto` or text, a type or `infer`, a size with a unit, `columns`.
//!
//! Invariant: what is serialized reads back as the same value, in YAML and in JSON. Meaning is checked elsewhere.

use std::fmt;

use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ColumnSpec, Columns, DeclaredType};

/// `auto`, or the text itself.
pub(super) mod text_or_auto {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::spec::Auto;

    pub fn serialize<S: Serializer>(value: &Auto<String>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(match value {
            Auto::Auto => "auto",
            Auto::Given(text) => text,
        })
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Auto<String>, D::Error> {
        let text = String::deserialize(from)?;
        Ok(if text == "auto" { Auto::Auto } else { Auto::Given(text) })
    }
}

/// `auto`, or a number of bytes, or text with a unit.
pub(super) mod size_or_auto {
    use serde::de::IntoDeserializer;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::byte_size;
    use crate::spec::Auto;

    /// What may stand there: told apart before it is read, so that a size that is none is told as such.
    struct Either(Auto<u64>);

    impl<'de> Deserialize<'de> for Either {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            struct Visitor;

            impl serde::de::Visitor<'_> for Visitor {
                type Value = Either;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("a whole number of bytes, text with a unit such as 64MiB, or auto")
                }

                fn visit_u64<E: serde::de::Error>(self, bytes: u64) -> Result<Either, E> {
                    Ok(Either(Auto::Given(bytes)))
                }

                fn visit_i64<E: serde::de::Error>(self, bytes: i64) -> Result<Either, E> {
                    let negative = || E::invalid_value(serde::de::Unexpected::Signed(bytes), &self);
                    u64::try_from(bytes).map(|bytes| Either(Auto::Given(bytes))).map_err(|_| negative())
                }

                fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Either, E> {
                    match text {
                        "auto" => Ok(Either(Auto::Auto)),
                        text => {
                            byte_size::deserialize(text.into_deserializer()).map(|bytes| Either(Auto::Given(bytes)))
                        }
                    }
                }
            }

            from.deserialize_any(Visitor)
        }
    }

    pub fn serialize<S: Serializer>(bytes: &Auto<u64>, to: S) -> Result<S::Ok, S::Error> {
        match bytes {
            Auto::Auto => to.serialize_str("auto"),
            Auto::Given(bytes) => byte_size::serialize(bytes, to),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Auto<u64>, D::Error> {
        Either::deserialize(from).map(|Either(bytes)| bytes)
    }
}

/// `none`, or the text itself. Not null, so that a bare `#`, which YAML takes for a comment, is not read as `none`.
pub(super) mod text_or_none {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &Option<String>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(value.as_deref().unwrap_or("none"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
        let text = String::deserialize(from)?;
        Ok(if text == "none" { None } else { Some(text) })
    }
}

/// `infer`, or the name of a type.
pub(super) mod type_or_infer {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::spec::DeclaredType;

    pub fn serialize<S: Serializer>(value: &Option<DeclaredType>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            None => to.serialize_str("infer"),
            Some(declared) => to.collect_str(declared),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<DeclaredType>, D::Error> {
        let text = String::deserialize(from)?;
        if text == "infer" { Ok(None) } else { text.parse().map(Some).map_err(de::Error::custom) }
    }
}

/// A number of bytes, or text with a unit.
pub(super) mod byte_size {
    use std::fmt;

    use serde::{Deserializer, Serializer, de};

    use super::parse_bytes;

    pub fn serialize<S: Serializer>(bytes: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(*bytes)
    }

    struct Bytes;

    impl de::Visitor<'_> for Bytes {
        type Value = u64;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number of bytes, or text with a unit such as 64MiB")
        }

        fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<u64, E> {
            Ok(bytes)
        }

        fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<u64, E> {
            u64::try_from(bytes).map_err(|_| E::invalid_value(de::Unexpected::Signed(bytes), &self))
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
            parse_bytes(text).map_err(E::custom)
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        from.deserialize_any(Bytes)
    }
}

/// Why a text is no number of bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadBytes {
    /// Not a number and a unit.
    #[error(
        "{0:?} is no size: write a whole number of bytes, or a whole number with k, M, G or T (times 1000) or \
         KiB, MiB, GiB or TiB (times 1024), such as 64MiB"
    )]
    Form(String),
    /// Does not fit 64 bits.
    #[error("{0:?} is too large: a size is less than 16 EiB; write a smaller one, such as 64MiB")]
    TooLarge(String),
}

/// Reads a number of bytes: `1048576`, `64MiB`, `1GB`, `500k`. Units are read without regard to case; `k`, `kB`, `M`,
/// `MB`... are powers of 1000 and `KiB`, `MiB`... powers of 1024.
///
/// # Errors
/// When `text` is no whole number with such a unit, or does not fit 64 bits.
pub fn parse_bytes(text: &str) -> Result<u64, BadBytes> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1_000,
        "m" | "mb" => 1_000_000,
        "g" | "gb" => 1_000_000_000,
        "t" | "tb" => 1_000_000_000_000,
        "ki" | "kib" => 1 << 10,
        "mi" | "mib" => 1 << 20,
        "gi" | "gib" => 1 << 30,
        "ti" | "tib" => 1 << 40,
        _ => return Err(BadBytes::Form(text.to_owned())),
    };
    if number.is_empty() {
        return Err(BadBytes::Form(text.to_owned()));
    }
    // Only digits are left, so a failure to parse can only be an overflow.
    let number: Option<u64> = number.parse().ok();
    number.and_then(|n| n.checked_mul(factor)).ok_or_else(|| BadBytes::TooLarge(text.to_owned()))
}

impl Serialize for Columns {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Infer => to.serialize_str("infer"),
            Self::AllText => to.serialize_str("text"),
            Self::All(list) => list.serialize(to),
            Self::Some(declared) => {
                let mut map = to.serialize_map(Some(declared.len() + 1))?;
                map.serialize_entry("infer", &true)?;
                for (name, ctype) in declared {
                    map.serialize_entry(name, ctype)?;
                }
                map.end()
            }
        }
    }
}

/// `true` and nothing else, for the key `infer`.
struct True;

impl<'de> Deserialize<'de> for True {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if bool::deserialize(from)? {
            return Ok(Self);
        }
        Err(de::Error::custom("infer can only be true: to declare every column, write a list of {name, type}"))
    }
}

impl<'de> Deserialize<'de> for Columns {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ColumnsVisitor)
    }
}

struct ColumnsVisitor;

impl<'de> Visitor<'de> for ColumnsVisitor {
    type Value = Columns;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("infer, text, {infer: true, name: type, ...} or a list of {name, type, nulls}")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Columns, E> {
        match text {
            "infer" => Ok(Columns::Infer),
            "text" => Ok(Columns::AllText),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Columns, A::Error> {
        let (mut infer, mut declared) = (false, Vec::new());
        while let Some(key) = map.next_key::<String>()? {
            if key != "infer" {
                declared.push((key, map.next_value::<DeclaredType>()?));
            } else if infer {
                return Err(de::Error::custom("infer is given twice: remove one"));
            } else {
                map.next_value::<True>()?;
                infer = true;
            }
        }
        if infer {
            return Ok(Columns::Some(declared));
        }
        Err(de::Error::custom(
            "a map of columns needs `infer: true`: the columns it does not name are inferred; \
             to declare every column, write a list of {name, type}",
        ))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Columns, A::Error> {
        Vec::<ColumnSpec>::deserialize(SeqAccessDeserializer::new(list)).map(Columns::All)
    }
}
