//! What the user gave of the dialect, as the bytes and values that inspection and the automaton work with.
//!
//! Invariant: after [`Job::check`](super::Job::check) passed, nothing given is lost. Text that the check refuses counts
//! here as not given.

use super::{Auto, Csv, Encoding};
use crate::location;

impl Csv {
    /// The bytes between fields, where given: words and `\t` translated, other text in the encoding given (UTF-8 when
    /// none is).
    #[must_use]
    pub fn given_delimiter(&self) -> Option<Vec<u8>> {
        let Auto::Given(text) = &self.delimiter else { return None };
        let text = match text.as_str() {
            "tab" | "\\t" => "\t",
            "comma" => ",",
            "semicolon" => ";",
            "pipe" => "|",
            "space" => " ",
            other => other,
        };
        match self.given_encoding() {
            Some(Encoding::Windows1252) => text.chars().map(windows_1252_byte).collect(),
            Some(Encoding::Utf8) | None => Some(text.as_bytes().to_vec()),
        }
    }

    /// The quote, where given: `Some(None)` is `none`.
    #[must_use]
    pub fn given_quote(&self) -> Option<Option<u8>> {
        match &self.quote {
            Auto::Auto => None,
            Auto::Given(text) if text == "none" => Some(None),
            Auto::Given(text) => ascii_byte(text).map(Some),
        }
    }

    /// The encoding, where given. Labels that the WHATWG Encoding Standard has for Windows-1252 and that portals use
    /// (`latin1`, `iso-8859-1`, `cp1252`) are taken for it; case does not matter.
    #[must_use]
    pub fn given_encoding(&self) -> Option<Encoding> {
        let Auto::Given(text) = &self.encoding else { return None };
        match text.to_ascii_lowercase().as_str() {
            "utf-8" | "utf8" => Some(Encoding::Utf8),
            "windows-1252" | "cp1252" | "iso-8859-1" | "latin1" => Some(Encoding::Windows1252),
            _ => None,
        }
    }

    /// The decimal mark, where given.
    #[must_use]
    pub fn given_decimal(&self) -> Option<u8> {
        let Auto::Given(text) = &self.decimal else { return None };
        ascii_byte(text)
    }

    /// The byte that escapes the next one inside quotes, if any.
    #[must_use]
    pub fn escape_byte(&self) -> Option<u8> {
        self.escape.as_deref().and_then(ascii_byte)
    }

    /// The byte that makes a line a comment, if any.
    #[must_use]
    pub fn comment_byte(&self) -> Option<u8> {
        self.comment.as_deref().and_then(ascii_byte)
    }
}

/// The only byte of a text of one ASCII character.
pub(super) fn ascii_byte(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [byte] => Some(*byte),
        _ => None,
    }
}

/// The byte of a character where Windows-1252 agrees with Unicode: ASCII and U+00A0 to U+00FF. The 27 others (quotation
/// marks, dashes) are left out: no file uses them between fields.
fn windows_1252_byte(c: char) -> Option<u8> {
    u8::try_from(u32::from(c)).ok().filter(|b| b.is_ascii() || *b >= 0xA0)
}

/// The command that converts the file at `url` from `encoding` to UTF-8, ready for a shell.
#[must_use]
pub fn iconv_command(encoding: &str, url: &str) -> String {
    let file = location::path_of(url).map_or_else(|_| "FILE".to_owned(), |path| path.display().to_string());
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let to = format!("{file}.utf8");
    format!("iconv -f {} -t UTF-8 {} > {}", quoted(&encoding.to_ascii_uppercase()), quoted(&file), quoted(&to))
}
