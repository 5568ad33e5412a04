//! From what a user wrote (a spec's file, or flags) to a checked job.
//!
//! Invariant: a [`Job`] that leaves here passed [`Job::check`], and whatever is wrong is told with the line of the spec
//! or the flag, why, and what to do. The files that a job names are not opened here.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use batteuse_shared::limits;
use batteuse_shared::location::{self, BadPath};
use batteuse_shared::spec::{
    API_VERSION, Auto, Columns, Compression, Csv, Job, KIND, Metadata, Output, Parquet, Partition, Rejects, Source,
    Spec, SpecProblem, Tolerance,
};

use crate::cli::{JobFlags, RunArgs, Tolerate};

use yaml::Place;

mod yaml;

#[cfg(test)]
mod tests;

/// Why there is no job.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The spec's file cannot be read.
    #[error("{}: the spec cannot be read: {source}: check the path and its permissions", path.display())]
    Read {
        /// The spec's file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The spec is too long.
    #[error("{}: the spec is longer than {} bytes: is this the spec, not the data?", path.display(), limits::SPEC_BYTES_MAX)]
    TooLong {
        /// The spec's file.
        path: PathBuf,
    },
    /// The spec is not text.
    #[error("{}:{line}: the spec is not UTF-8: save it as UTF-8; is this the spec, not the data?", path.display())]
    NotUtf8 {
        /// The spec's file.
        path: PathBuf,
        /// Line of the first bad byte, from 1.
        line: usize,
    },
    /// The spec or the flags are wrong.
    #[error("{}", Shown(.0))]
    Wrong(Vec<Mistake>),
    /// A flag's path cannot be made absolute.
    #[error("{flag}: {}: {source}: give a path whose folders exist", path.display())]
    Path {
        /// The flag.
        flag: &'static str,
        /// Its value.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A flag's path has no URL.
    #[error("{flag}: {source}")]
    Url {
        /// The flag.
        flag: &'static str,
        /// Why.
        source: BadPath,
    },
}

/// One thing wrong with a spec or with flags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub at: At,
    /// What is wrong and what to do.
    pub message: String,
}

/// Where a mistake is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// A flag, such as `--quote`.
    Flag(&'static str),
    /// A line of a spec.
    Line(Place),
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.at {
            At::Flag(flag) => write!(f, "{flag}: {}", self.message),
            At::Line(place) => write!(f, "{place}: {}\n{}", self.message, place.excerpt()),
        }
    }
}

/// Mistakes, one below the other, no more than fit a screen.
struct Shown<'a>(&'a [Mistake]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, mistake) in self.0.iter().take(limits::PROBLEMS_SHOWN).enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}{mistake}")?;
        }
        match self.0.len().saturating_sub(limits::PROBLEMS_SHOWN) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

/// The job that the flags of `run` ask for: of `-f`, or of the others.
///
/// # Errors
/// As [`read_job`] and [`job_from_flags`].
pub fn job_of(args: &RunArgs) -> Result<Job, ConfigError> {
    match &args.file {
        Some(path) => read_job(path),
        None => job_from_flags(args),
    }
}

/// Reads and checks the spec in the file at `path`: YAML, and so JSON too.
///
/// # Errors
/// When the file cannot be read, or is no spec; every problem that [`Job::check`] finds, with its line.
pub fn read_job(path: &Path) -> Result<Job, ConfigError> {
    let unread = |source| ConfigError::Read { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    // One byte more than the cap tells a spec of just that length from a longer one, whatever kind of file it is.
    let cap = limits::SPEC_BYTES_MAX as u64 + 1;
    File::open(path).and_then(|file| file.take(cap).read_to_end(&mut bytes)).map_err(unread)?;
    if bytes.len() > limits::SPEC_BYTES_MAX {
        return Err(ConfigError::TooLong { path: path.to_owned() });
    }
    let text = str::from_utf8(&bytes).map_err(|bad| {
        let line = 1 + bytes[..bad.valid_up_to()].iter().filter(|b| **b == b'\n').count();
        ConfigError::NotUtf8 { path: path.to_owned(), line }
    })?;
    let job = yaml::read(text, path).map_err(|mistake| ConfigError::Wrong(vec![mistake]))?;
    job.check().map_err(|problems| ConfigError::Wrong(yaml::locate(text, path, problems)))?;
    Ok(job)
}

/// The job of `--from`, `--to` and the flags beside them.
///
/// # Errors
/// When a path cannot be made a URL; every problem that [`Job::check`] finds, with its flag.
pub fn job_from_flags(args: &RunArgs) -> Result<Job, ConfigError> {
    let flags = &args.job;
    let from = given("--from", flags.from.as_deref())?;
    let to = given("--to", flags.to.as_deref())?;
    let in_url = |flag| move |source| ConfigError::Url { flag, source };
    let job = Job {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        metadata: Metadata { name: job_name(from) },
        spec: Spec {
            source: Source {
                url: location::url_of_file(&absolute("--from", from)?).map_err(in_url("--from"))?,
                csv: dialect_flags(flags),
            },
            partition: Partition { bytes: flags.partition_bytes.map_or(Auto::Auto, Auto::Given) },
            columns: if flags.all_text { Columns::AllText } else { Columns::Infer },
            output: Output::parquet(Parquet {
                url: output_url(to)?,
                compression: Compression::default(),
                file_bytes: limits::FILE_BYTES_DEFAULT,
                mode: flags.mode.unwrap_or_default(),
                partition_by: flags.partition_by.clone(),
            }),
            rejects: Rejects {
                tolerate: tolerance(&flags.tolerate)?,
                quarantine_bytes: flags.quarantine_bytes.unwrap_or(0),
            },
            priority: 0,
        },
    };
    job.check().map_err(|problems| ConfigError::Wrong(problems.into_iter().map(by_flag).collect()))?;
    Ok(job)
}

/// A URL as it is given, or that of a path.
fn output_url(to: &Path) -> Result<String, ConfigError> {
    if let Some(url) = to.to_str().filter(|to| to.contains("://")) {
        return Ok(url.to_owned());
    }
    location::url_of_dir(&absolute("--to", to)?).map_err(|source| ConfigError::Url { flag: "--to", source })
}

fn given<'a>(flag: &'static str, path: Option<&'a Path>) -> Result<&'a Path, ConfigError> {
    path.ok_or_else(|| wrong_flag(flag, "is missing: give --from FILE --to DIR, or -f JOB".to_owned()))
}

fn wrong_flag(flag: &'static str, message: String) -> ConfigError {
    ConfigError::Wrong(vec![Mistake { at: At::Flag(flag), message }])
}

fn dialect_flags(flags: &JobFlags) -> Csv {
    let auto = |text: &Option<String>| match text.as_deref() {
        None | Some("auto") => Auto::Auto,
        Some(text) => Auto::Given(text.to_owned()),
    };
    Csv {
        delimiter: auto(&flags.delimiter),
        quote: auto(&flags.quote),
        encoding: auto(&flags.encoding),
        header: !flags.no_header,
        skip_lines: flags.skip_lines,
        ragged: flags.ragged.unwrap_or_default(),
        ..Csv::default()
    }
}

fn tolerance(given: &[Tolerate]) -> Result<Tolerance, ConfigError> {
    let mut tolerance = Tolerance::default();
    for one in given {
        let earlier = match *one {
            Tolerate::Count(count) => tolerance.count.replace(count).is_some(),
            Tolerate::Percent(percent) => tolerance.percent.replace(percent).is_some(),
        };
        if earlier {
            let what = if matches!(one, Tolerate::Count(_)) { "a count" } else { "a percentage" };
            return Err(wrong_flag(
                "--tolerate",
                format!("{what} is given twice: give at most one count and one percentage"),
            ));
        }
    }
    Ok(tolerance)
}

/// The flag that a field of the spec was set by. Fields without a flag have their defaults, which are right.
fn by_flag(problem: SpecProblem) -> Mistake {
    let flag = match problem.path.as_str() {
        "spec.source.url" | "metadata.name" => "--from",
        "spec.output.parquet.url" => "--to",
        "spec.partition.bytes" => "--partition-bytes",
        "spec.output.parquet.mode" => "--mode",
        path if path.starts_with("spec.output.parquet.partitionBy") => "--partition-by",
        "spec.source.csv.quote" => "--quote",
        "spec.source.csv.encoding" => "--encoding",
        "spec.source.csv.delimiter" => "--delimiter",
        "spec.source.csv.skipLines" => "--skip-lines",
        "spec.rejects.tolerate.percent" => "--tolerate",
        _ => return Mistake { at: At::Flag("run"), message: problem.to_string() },
    };
    Mistake { at: At::Flag(flag), message: problem.message }
}

/// A job's name from its source's: lower case, `-` for what a name cannot hold, cut to the longest allowed.
fn job_name(from: &Path) -> String {
    let stem = from.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
    let plain = |c: char| if c.is_ascii_lowercase() || c.is_ascii_digit() { c } else { '-' };
    let name: String = stem.chars().map(plain).take(limits::JOB_NAME_BYTES_MAX).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "job".to_owned() } else { name.to_owned() }
}

/// `path` from the root. What stands before a `..` is resolved on the disk, because a link may stand there: a URL takes
/// `..` as text.
fn absolute(flag: &'static str, path: &Path) -> Result<PathBuf, ConfigError> {
    let unresolved = |source| ConfigError::Path { flag, path: path.to_owned(), source };
    let from_root = std::path::absolute(path).map_err(unresolved)?;
    let parts: Vec<Component<'_>> = from_root.components().collect();
    let Some(last) = parts.iter().rposition(|part| *part == Component::ParentDir) else { return Ok(from_root) };
    let resolved = fs::canonicalize(parts[..=last].iter().collect::<PathBuf>()).map_err(unresolved)?;
    Ok(resolved.join(parts[last + 1..].iter().collect::<PathBuf>()))
}
