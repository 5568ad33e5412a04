//! A table of PostgreSQL as an output.
//!
//! Invariant: a [`TableName`] names one table whatever the session's search path is. No password is part of a spec (NO-SECRET).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::check::Found;
use crate::{limits, location};

/// PostgreSQL output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Postgres {
    /// `postgres://user@host[:port]/database`; the password comes from `PGPASSWORD`.
    pub url: String,
    /// `[schema.]name`. It is made when it is not there.
    pub table: TableName,
    /// What becomes of the rows that are there.
    #[serde(default)]
    pub mode: TableMode,
    /// Of `upsert`: the columns by which a row is known again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// Most connections that workers have to the database at once, over the whole run; publishing, after them, has one.
    #[serde(default = "max_connections")]
    pub max_connections: u32,
}

fn max_connections() -> u32 {
    limits::TABLE_CONNECTIONS_DEFAULT
}

/// What becomes of the rows of a table that are there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TableMode {
    /// They stay.
    #[default]
    Append,
    /// They go, in the transaction in which the new ones come.
    Replace,
    /// Those with the key of a new one take its values; of new ones with one key the last in source order counts.
    Upsert,
}

/// A table, and the schema it lies in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TableName {
    /// `public` where none is given.
    pub schema: String,
    /// Without the schema.
    pub name: String,
}

/// Why a text names no table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} names no table: write name or schema.name, each 1 to 63 bytes without quotes, dots or control characters"
)]
pub struct BadTableName(pub String);

impl std::str::FromStr for TableName {
    type Err = BadTableName;

    fn from_str(text: &str) -> Result<Self, BadTableName> {
        let (schema, name) = text.split_once('.').unwrap_or(("public", text));
        let fits = |part: &str| {
            (1..=limits::TABLE_NAME_BYTES_MAX).contains(&part.len())
                && !part.chars().any(|c| c.is_control() || matches!(c, '.' | '"' | '\''))
        };
        if !fits(schema) || !fits(name) {
            return Err(BadTableName(text.to_owned()));
        }
        Ok(Self { schema: schema.to_owned(), name: name.to_owned() })
    }
}

impl TryFrom<String> for TableName {
    type Error = BadTableName;

    fn try_from(text: String) -> Result<Self, BadTableName> {
        text.parse()
    }
}

impl From<TableName> for String {
    fn from(table: TableName) -> Self {
        table.to_string()
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

impl TableName {
    /// The table of this name beside it.
    #[must_use]
    pub fn beside(&self, name: &str) -> Self {
        Self { schema: self.schema.clone(), name: name.to_owned() }
    }
}

pub(super) fn check(postgres: &Postgres, found: &mut Found) {
    let Postgres { url, mode, key, max_connections, .. } = postgres;
    let at = |field: &str| format!("spec.output.postgres.{field}");
    if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
        let shown = location::shown(url);
        found.add(at("url"), format!("{shown:?} names no database: write postgres://user@host:port/database"));
    } else if has_password(url) {
        found.add(at("url"), "it holds a password, which would be kept with the run: give it as PGPASSWORD instead");
    }
    match (mode, key.is_empty()) {
        (TableMode::Upsert, true) => {
            found.add(at("key"), "upsert needs the columns by which a row is known again: give them, as key: [id]");
        }
        (TableMode::Append | TableMode::Replace, false) => {
            found.add(at("key"), "only mode upsert has a key: leave it out, or write mode: upsert");
        }
        _ => {}
    }
    if let Some(twice) = (1..key.len()).find(|&i| key[..i].contains(&key[i])) {
        found.add(at("key"), format!("the column {:?} is given twice: remove one", key[twice]));
    }
    if !(1..=limits::TABLE_CONNECTIONS_MAX).contains(max_connections) {
        let most = limits::TABLE_CONNECTIONS_MAX;
        found.add(at("maxConnections"), format!("{max_connections} connections are out of range: use 1 to {most}"));
    }
}

fn has_password(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (place, options) = rest.split_once('?').unwrap_or((rest, ""));
    let login = place.split('/').next().and_then(|host| host.rsplit_once('@')).map_or("", |(login, _)| login);
    login.contains(':') || options.split('&').any(|option| option.starts_with("password="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_with_their_schema() {
        let named = |text: &str| text.parse::<TableName>().map(|table| table.to_string()).ok();
        for (text, want) in [("t", "public.t"), ("geo.Communes 2024", "geo.Communes 2024"), ("é", "public.é")] {
            assert_eq!(named(text).as_deref(), Some(want));
        }
        for text in ["", ".", "a.", ".b", "a.b.c", "a\"b", "a\nb", &"x".repeat(64)] {
            assert_eq!(named(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_senseless_is_refused_and_no_password_is_told() {
        let good = Postgres {
            url: "postgres://me@h:1/db".to_owned(),
            table: "t".parse().unwrap(),
            mode: TableMode::Append,
            key: Vec::new(),
            max_connections: 4,
        };
        let refused = |postgres: Postgres| {
            let mut found = Found::default();
            check(&postgres, &mut found);
            found.verdict().err().unwrap_or_default().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(refused(good.clone()).is_empty());
        let keyed = Postgres { mode: TableMode::Upsert, key: vec!["id".to_owned()], ..good.clone() };
        assert!(refused(keyed.clone()).is_empty());
        let twice = vec!["id".to_owned(), "id".to_owned()];
        for (bad, field, words) in [
            (Postgres { url: "postgres://me:secret@h/db".to_owned(), ..good.clone() }, "url", "PGPASSWORD"),
            (Postgres { url: "postgres://h/db?password=secret".to_owned(), ..good.clone() }, "url", "PGPASSWORD"),
            (Postgres { url: "mysql://me:secret@h/db".to_owned(), ..good.clone() }, "url", "names no database"),
            (Postgres { mode: TableMode::Upsert, ..good.clone() }, "key", "upsert needs"),
            (Postgres { mode: TableMode::Replace, ..keyed.clone() }, "key", "only mode upsert"),
            (Postgres { key: twice, ..keyed.clone() }, "key", "given twice"),
            (Postgres { max_connections: 0, ..good.clone() }, "maxConnections", "1 to 100"),
        ] {
            let told = refused(bad);
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].starts_with(&format!("spec.output.postgres.{field}: ")), "{told:?}");
            assert!(told[0].contains(words) && !told[0].contains("secret"), "{told:?}");
        }
    }
}
