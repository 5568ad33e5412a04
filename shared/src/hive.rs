//! Folders by the values of columns, as Hive names them: `column=value/column2=value2`, and back.
//!
//! Invariants: [`folder`] and [`split`] are inverse, so a folder tells its values exactly; what no folder can stand for is told by
//! [`fit`] and never written. Escaped is what Hive and Spark escape (`ExternalCatalogUtils.escapePathName`), and besides what other
//! readers or stores would stumble over: NUL, a dot at the end (Azure), and a dot or underscore at the beginning of a column's name
//! (readers pass over such folders). Every reader that undoes escapes undoes these.

use std::fmt::Write as _;

use crate::limits::{HIVE_COLUMNS_MAX, HIVE_FOLDER_BYTES_MAX, HIVE_NAME_BYTES_MAX};
use crate::table::ColumnType;

/// Stands for null in the name of a folder.
pub const NULL_NAME: &str = "__HIVE_DEFAULT_PARTITION__";

/// Whether a folder can be named after values of this type: each has one text, whoever writes it.
#[must_use]
pub fn names(ctype: ColumnType) -> bool {
    matches!(ctype, ColumnType::Text | ColumnType::Int64 | ColumnType::Date | ColumnType::Boolean)
}

/// Why no folder can stand for a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Readers take it for null.
    #[error("an empty text names no folder: readers would take it for null")]
    Empty,
    /// It is what stands for null.
    #[error("the text {NULL_NAME} names no folder: it stands for null")]
    NullName,
    /// It would be longer than file systems take.
    #[error("its folder's name would have {0} bytes, more than the {HIVE_NAME_BYTES_MAX} that file systems take")]
    Name(usize),
    /// All folders together would be longer than stores take.
    #[error(
        "its folders' path would have {0} bytes, more than the {HIVE_FOLDER_BYTES_MAX} that leave room in a store's key"
    )]
    Path(usize),
}

/// Whether there is a folder for these values of these columns.
///
/// # Errors
/// The first column, by its position, whose value has none, and why.
pub fn fit<'a>(columns: &[String], values: impl IntoIterator<Item = Option<&'a str>>) -> Result<(), (usize, Unfit)> {
    let mut path_bytes = 0;
    for (at, (column, value)) in columns.iter().zip(values).enumerate() {
        match value {
            Some("") => return Err((at, Unfit::Empty)),
            Some(NULL_NAME) => return Err((at, Unfit::NullName)),
            _ => {}
        }
        let bytes = name(column, value).len();
        if bytes > HIVE_NAME_BYTES_MAX {
            return Err((at, Unfit::Name(bytes)));
        }
        path_bytes += bytes + usize::from(at > 0);
        if path_bytes > HIVE_FOLDER_BYTES_MAX {
            return Err((at, Unfit::Path(path_bytes)));
        }
    }
    Ok(())
}

/// The folder of the rows that have these values in these columns; empty when there are none.
#[must_use]
pub fn folder(columns: &[String], values: &[Option<String>]) -> String {
    let names: Vec<String> = columns.iter().zip(values).map(|(column, value)| name(column, value.as_deref())).collect();
    names.join("/")
}

fn name(column: &str, value: Option<&str>) -> String {
    let head = column.chars().next().filter(|first| matches!(first, '.' | '_'));
    let mut name = String::with_capacity(column.len() + 1 + value.map_or(NULL_NAME.len(), str::len));
    match head {
        Some(first) => {
            escape_char(first, &mut name);
            escape(&column[1..], &mut name);
        }
        None => escape(column, &mut name),
    }
    name.push('=');
    match value {
        None => name.push_str(NULL_NAME),
        Some(value) => match value.strip_suffix('.') {
            Some(head) => {
                escape(head, &mut name);
                escape_char('.', &mut name);
            }
            None => escape(value, &mut name),
        },
    }
    name
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        if needs_escape(c) { escape_char(c, out) } else { out.push(c) }
    }
}

fn needs_escape(c: char) -> bool {
    c.is_ascii_control()
        || matches!(c, '"' | '#' | '%' | '\'' | '*' | '/' | ':' | '=' | '?' | '\\' | '{' | '[' | ']' | '^')
}

/// Of an ASCII character.
fn escape_char(c: char, out: &mut String) {
    write!(out, "%{:02X}", u32::from(c)).expect("a text takes whatever is written into it");
}

/// The columns and values that `folder` stands for; none when it is no folder of ours.
#[must_use]
pub fn split(path: &str) -> Option<Vec<(String, Option<String>)>> {
    if path.split('/').count() > HIVE_COLUMNS_MAX {
        return None;
    }
    let pairs: Option<Vec<_>> = path.split('/').map(split_name).collect();
    // What is written in another way than ours was not written by us.
    pairs.filter(|pairs| {
        let (columns, values): (Vec<_>, Vec<_>) = pairs.iter().cloned().unzip();
        folder(&columns, &values) == path && fit(&columns, values.iter().map(Option::as_deref)).is_ok()
    })
}

fn split_name(name: &str) -> Option<(String, Option<String>)> {
    let (column, value) = name.split_once('=')?;
    let column = unescape(column)?;
    let value = if value == NULL_NAME { None } else { Some(unescape(value)?) };
    Some((column, value)).filter(|(column, _)| !column.is_empty())
}

fn unescape(text: &str) -> Option<String> {
    let mut pieces = text.split('%');
    let mut out = pieces.next()?.to_owned();
    for piece in pieces {
        let code = piece.get(..2).filter(|code| code.bytes().all(|b| b.is_ascii_hexdigit()))?;
        let code = u8::from_str_radix(code, 16).ok().filter(u8::is_ascii)?;
        out.push(char::from(code));
        out.push_str(&piece[2..]);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn columns(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn of(column: &str, value: Option<&str>) -> String {
        folder(&columns(&[column]), &[value.map(str::to_owned)])
    }

    #[test]
    fn folders_are_named_as_hive_names_them() {
        for (column, value, name) in [
            ("year", Some("2024"), "year=2024"),
            ("d", None, "d=__HIVE_DEFAULT_PARTITION__"),
            ("d", Some("a/b"), "d=a%2Fb"),
            ("d", Some("a%2Fb"), "d=a%252Fb"),
            ("d", Some("a=b:c"), "d=a%3Db%3Ac"),
            ("d", Some("é ñ"), "d=é ñ"),
            ("d", Some("\"'#*?\\{}[]^"), "d=%22%27%23%2A%3F%5C%7B}%5B%5D%5E"),
            ("d", Some("a\u{0}\t\n\u{7f}"), "d=a%00%09%0A%7F"),
            ("d", Some("."), "d=%2E"),
            ("d", Some(".."), "d=.%2E"),
            ("d", Some("St."), "d=St%2E"),
            ("d", Some(" "), "d= "),
            ("d", Some("<>|&+~$,;@!`"), "d=<>|&+~$,;@!`"),
            ("a=b", Some("1"), "a%3Db=1"),
            ("_x", Some("1"), "%5Fx=1"),
            (".x_.", Some("1"), "%2Ex_.=1"),
        ] {
            assert_eq!(of(column, value), name);
            assert_eq!(split(name), Some(vec![(column.to_owned(), value.map(str::to_owned))]), "{name}");
        }
        let both = folder(&columns(&["a", "b"]), &[Some("1/2".to_owned()), None]);
        assert_eq!(both, "a=1%2F2/b=__HIVE_DEFAULT_PARTITION__");
        assert_eq!(folder(&[], &[]), "");
    }

    #[test]
    fn what_we_do_not_write_is_no_folder_of_ours() {
        for name in [
            "",
            "year",
            "=1",
            "year=",
            "year=2024/",
            "/year=2024",
            "year=a=b",
            "d=a%2fb",
            "d=a%2",
            "d=a%GG",
            "d=%E9",
            "d=%61",
            "_x=1",
            "d=a.",
            "d=a:b",
            "d=..",
            "year=1/sub",
            "d=a\nb",
            "d=%+1",
        ] {
            assert_eq!(split(name), None, "{name:?}");
        }
        assert_eq!(split(&format!("d={}", "x".repeat(254))), None);
    }

    #[test]
    fn a_value_without_a_folder_says_why() {
        let one = |value: &str| fit(&columns(&["k", "d"]), [None, Some(value)]);
        assert_eq!(one("x"), Ok(()));
        assert_eq!(one(""), Err((1, Unfit::Empty)));
        assert_eq!(one(NULL_NAME), Err((1, Unfit::NullName)));
        assert_eq!(one(&"x".repeat(253)), Ok(()));
        assert_eq!(one(&"x".repeat(254)), Err((1, Unfit::Name(256))));
        assert_eq!(one(&"é".repeat(127)), Err((1, Unfit::Name(256))));
        assert_eq!(one(&"/".repeat(85)), Err((1, Unfit::Name(257))));
        let long = "x".repeat(250);
        let four = columns(&["a", "b", "c", "d"]);
        assert_eq!(fit(&four, [Some(long.as_str()); 4]), Err((3, Unfit::Path(4 * 252 + 3))));
    }

    proptest! {
        #[test]
        fn any_values_come_back(pairs in proptest::collection::vec((".{1,8}", proptest::option::of(".{1,12}")), 1..4)) {
            let (columns, values): (Vec<String>, Vec<Option<String>>) = pairs.iter().cloned().unzip();
            let path = folder(&columns, &values);
            prop_assert!(!path.bytes().any(|b| b.is_ascii_control()));
            prop_assert_eq!(split(&path), Some(pairs));
        }
    }
}
