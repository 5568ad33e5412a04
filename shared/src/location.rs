//! URLs of files and folders, and what they name, as text only: nothing here looks at a disk or a store.
//!
//! Invariant: [`path_of`] of a URL made here is the path it was made from. A URL is never read as another file than the
//! one its text names: what the URL syntax would drop or rewrite is refused.

use std::path::{Path, PathBuf};

use url::Url;

/// Why a text names no local file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// Not `file:///...`.
    #[error("{0:?} is not a URL of the form file:///absolute/path, the only one supported for now")]
    NotFile(String),
    /// None of the forms that name a folder.
    #[error(
        "{0:?} names no folder: write file:///absolute/path/, s3://bucket/prefix/, gs://bucket/prefix/ or az://container/prefix/"
    )]
    NotFolder(String),
    /// `#` or `?`, which begin a fragment or a query.
    #[error("{url:?} holds {found:?}, which ends the path of a URL: write {instead}")]
    Cut {
        /// The URL.
        url: String,
        /// `#` or `?`.
        found: char,
        /// Its escape.
        instead: &'static str,
    },
    /// Something that the URL syntax drops or rewrites: a tab, a newline, a NUL, a backslash, `..`, an outer space.
    #[error(
        "{url:?} holds {found}, which a URL does not keep as it is: write the absolute path plainly, \
         its unusual bytes as %XX"
    )]
    Unkept {
        /// The URL.
        url: String,
        /// What it holds, in words.
        found: &'static str,
    },
}

/// Why a path has no `file://` URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be written as a file:// URL: use an absolute path without `..`")]
pub struct BadPath(pub PathBuf);

/// The path that a `file:///` URL names, percent escapes decoded. A final `/` does not matter to the path.
///
/// # Errors
/// When `url` is no `file:///` URL, or holds what the URL syntax would drop or rewrite.
pub fn path_of(url: &str) -> Result<PathBuf, BadUrl> {
    if !url.starts_with("file:///") {
        return Err(BadUrl::NotFile(url.to_owned()));
    }
    let parsed = parsed(url)?;
    if matches!(url.as_bytes()["file:///".len()..], [letter, b'|', ..] if letter.is_ascii_alphabetic()) {
        return Err(BadUrl::Unkept { url: url.to_owned(), found: "a drive letter" });
    }
    parsed.to_file_path().map_err(|()| BadUrl::NotFile(url.to_owned()))
}

/// Where a folder lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// On a disk.
    File,
    /// In an S3 bucket.
    S3,
    /// In a bucket of Google Cloud Storage.
    Gcs,
    /// In a container of Azure Blob Storage.
    Azure,
}

/// A folder that a URL names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FolderUrl {
    /// Where it lies.
    pub scheme: Scheme,
    /// The bucket or container; empty on a disk.
    pub bucket: String,
    /// On a disk its absolute path, else the prefix in the bucket without a `/` at either end.
    pub path: PathBuf,
}

/// The folder that a URL names, percent escapes decoded. A final `/` does not matter.
///
/// # Errors
/// When `url` names no folder, or holds what the URL syntax would drop or rewrite.
pub fn folder_of(url: &str) -> Result<FolderUrl, BadUrl> {
    let not_folder = || BadUrl::NotFolder(shown(url));
    let (scheme, rest) = url.split_once("://").ok_or_else(not_folder)?;
    let scheme = match scheme {
        "file" if rest.starts_with('/') => {
            return Ok(FolderUrl { scheme: Scheme::File, bucket: String::new(), path: path_of(url)? });
        }
        "s3" => Scheme::S3,
        "gs" => Scheme::Gcs,
        "az" => Scheme::Azure,
        _ => return Err(not_folder()),
    };
    let parsed = parsed(url)?;
    let bucket = parsed
        .host_str()
        .filter(|_| parsed.port().is_none() && parsed.username().is_empty() && parsed.password().is_none());
    let bucket = bucket.ok_or_else(not_folder)?.to_owned();
    let path = percent_decoded(parsed.path().trim_matches('/')).ok_or_else(not_folder)?;
    if path.split('/').any(str::is_empty) && !path.is_empty() {
        return Err(BadUrl::Unkept { url: shown(url), found: "`//`" });
    }
    Ok(FolderUrl { scheme, bucket, path: path.into() })
}

/// A URL of a store as it may be told to anybody: without what may be a key or a token, before the host and behind the path.
#[must_use]
pub fn shown(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://").filter(|(scheme, _)| *scheme != "file") else {
        return url.to_owned();
    };
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let path = rest.find('/').map_or(end, |slash| slash.min(end));
    let host = rest[..path].rfind('@').map_or(0, |at| at + 1);
    let (login, more) = (if host > 0 { "...@" } else { "" }, if end < rest.len() { "?..." } else { "" });
    format!("{scheme}://{login}{}{more}", &rest[host..end])
}

fn percent_decoded(path: &str) -> Option<String> {
    percent_encoding::percent_decode_str(path).decode_utf8().ok().map(Into::into)
}

/// `url` as the URL syntax reads it, if it drops and rewrites nothing.
fn parsed(url: &str) -> Result<Url, BadUrl> {
    for (found, instead) in [('#', "%23"), ('?', "%3F")] {
        if url.contains(found) {
            return Err(BadUrl::Cut { url: shown(url), found, instead });
        }
    }
    let unkept = |found| BadUrl::Unkept { url: shown(url), found };
    if url.chars().any(|c| c.is_ascii_control()) || url.contains("%00") {
        return Err(unkept("a control character"));
    }
    if url.contains('\\') {
        return Err(unkept("a backslash"));
    }
    if url.ends_with(' ') {
        return Err(unkept("a final space"));
    }
    let dots = |segment: &str| matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..");
    if url.split('/').any(dots) {
        return Err(unkept("`.` or `..`"));
    }
    Url::parse(url).map_err(|_| BadUrl::NotFolder(shown(url)))
}

/// The `file:///` URL of the file at an absolute path.
///
/// # Errors
/// When `path` is relative, or holds what [`path_of`] refuses (`..`, a control character).
pub fn url_of_file(path: &Path) -> Result<String, BadPath> {
    let bad = || BadPath(path.to_owned());
    let url = String::from(Url::from_file_path(path).map_err(|()| bad())?);
    if path_of(&url).is_ok_and(|named| named == path) { Ok(url) } else { Err(bad()) }
}

/// As [`url_of_file`], for a folder: the URL ends with `/`.
///
/// # Errors
/// As [`url_of_file`].
pub fn url_of_dir(path: &Path) -> Result<String, BadPath> {
    let mut url = url_of_file(path)?;
    if !url.ends_with('/') {
        url.push('/');
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_url_names_the_path_it_was_made_from() {
        for path in [
            "/",
            "/data/a.csv",
            "/data/a b#c?d%e.csv",
            "/d\u{e9}partements/\u{1f33e}.csv",
            "/a\\b/c:",
            "/C|/x",
            "/...",
            "/ /x ",
        ] {
            let path = Path::new(path);
            let made = url_of_file(path).map(|url| path_of(&url));
            let refused = path.starts_with("/C|");
            assert_eq!(made.is_err(), refused, "{path:?} {made:?}");
            assert!(refused || made == Ok(Ok(path.to_owned())), "{path:?} {made:?}");
        }
        assert_eq!(url_of_file(Path::new("/a b/\u{e9}#.csv")), Ok("file:///a%20b/%C3%A9%23.csv".to_owned()));
        assert_eq!(url_of_dir(Path::new("/out/x")), Ok("file:///out/x/".to_owned()));
        assert_eq!(url_of_dir(Path::new("/")), Ok("file:///".to_owned()));
        assert_eq!(url_of_file(Path::new("a.csv")), Err(BadPath("a.csv".into())));
        assert_eq!(url_of_file(Path::new("/a/../b")), Err(BadPath("/a/../b".into())));
    }

    #[test]
    fn folders_are_named_by_their_urls() {
        let folder =
            |scheme, bucket: &str, path: &str| Ok(FolderUrl { scheme, bucket: bucket.to_owned(), path: path.into() });
        for (url, want) in [
            ("file:///out/a%20b/", folder(Scheme::File, "", "/out/a b")),
            ("s3://grain", folder(Scheme::S3, "grain", "")),
            ("s3://grain/", folder(Scheme::S3, "grain", "")),
            ("s3://grain/a/b c%25/", folder(Scheme::S3, "grain", "a/b c%")),
            ("gs://grain/a", folder(Scheme::Gcs, "grain", "a")),
            ("az://grain/a", folder(Scheme::Azure, "grain", "a")),
        ] {
            assert_eq!(folder_of(url), want, "{url}");
        }
        for url in [
            "grain/a",
            "ftp://grain/a",
            "s3:///a",
            "s3://grain:80/a",
            "file://host/a",
            "s3://grain/a//b",
            "s3://g/../b",
        ] {
            assert!(folder_of(url).is_err(), "{url}");
        }
    }

    #[test]
    fn no_refusal_tells_a_secret() {
        for url in [
            "s3://AKIA:hunter2@grain/p/",
            "s3://:hunter2@grain/p/",
            "s3://hunter2@grain/p/",
            "az://grain/p/?sv=1&sig=hunter2",
            "gs://grain/p#hunter2",
            "ftp://me:hunter2@grain/p/",
            "s3://me:hunter2@grain/a//b",
        ] {
            let refused = folder_of(url).expect_err(url).to_string();
            assert!(!refused.contains("hunter2") && refused.contains("grain"), "{refused}");
        }
        assert_eq!(shown("postgres://me:x@h:1/db?password=y"), "postgres://...@h:1/db?...");
        assert_eq!(shown("file:///a@b?c"), "file:///a@b?c");
    }

    #[test]
    fn a_url_that_would_be_read_as_another_path_is_refused() {
        for (url, want) in [
            ("s3://bucket/a.csv", "the form file:///absolute/path"),
            ("/data/a.csv", "the form file:///absolute/path"),
            ("file://host/a.csv", "the form file:///absolute/path"),
            ("file:/a.csv", "the form file:///absolute/path"),
            ("file:///a#b.csv", "write %23"),
            ("file:///a?b.csv", "write %3F"),
            ("file:///a\tb.csv", "a control character"),
            ("file:///a%00b.csv", "a control character"),
            ("file:///a\\b.csv", "a backslash"),
            ("file:///a.csv ", "a final space"),
            ("file:///a/../b.csv", "`.` or `..`"),
            ("file:///a/.%2E/b.csv", "`.` or `..`"),
            ("file:///C|/b.csv", "a drive letter"),
        ] {
            let refused = path_of(url).expect_err(url).to_string();
            assert!(refused.contains(want), "{url:?}: {refused}");
        }
        assert_eq!(path_of("file:///data/a%20b c%.csv"), Ok("/data/a b c%.csv".into()));
        assert_eq!(path_of("file:///out/x/"), Ok("/out/x".into()));
    }

    proptest! {
        #[test]
        fn what_is_made_is_read_back(names in prop::collection::vec("[^/\u{0}]{1,12}", 0..4)) {
            let path = PathBuf::from(format!("/{}", names.join("/")));
            if let Ok(url) = url_of_file(&path) {
                prop_assert_eq!(path_of(&url), Ok(path.clone()));
                prop_assert_eq!(path_of(&url_of_dir(&path).expect("the file's URL exists")), Ok(path));
            } else {
                let odd = path.to_string_lossy().into_owned();
                prop_assert!(odd.contains('|') || odd.contains("..") || odd.chars().any(|c| c.is_ascii_control()), "{}", odd);
            }
        }
    }
}
