//! `batteuse generate`: made-up data in the shape of real open data, for demonstrations and measurements. A file appears under its
//! name only when it is whole, and none is ever replaced. Not fsynced: what a power loss takes, the same command writes again.

use crate::generate::{self, Generated, Shape};
use anyhow::{Context, bail};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// Write made-up data in the shape of real open data; the same shape, size and seed give the same bytes everywhere
#[derive(Debug, clap::Args)]
pub struct GenerateArgs {
    /// What kind of file to write
    #[arg(value_enum)]
    shape: Shape,

    /// Size that the file does not exceed: a number of bytes, or text such as 200MB or 1GiB; records are never cut
    #[arg(long, value_name = "SIZE", value_parser = batteuse_shared::spec::parse_bytes)]
    bytes: u64,

    /// Another seed gives other values (not for `quotes`, whose bytes are fixed)
    #[arg(long, default_value_t = 1)]
    seed: u64,

    /// File to write, which must not exist yet, or `-` for standard output
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

/// Writes what `args` ask for, and one line of counts: on standard output, or on standard error when the text goes there.
///
/// # Errors
/// FILE exists, SIZE holds no record, or a write fails; nothing is left under FILE's name then.
pub fn generate(args: &GenerateArgs) -> anyhow::Result<()> {
    if args.to == Path::new("-") {
        let generated = generate::generate(args.shape, args.seed, args.bytes, &mut io::stdout().lock())
            .context("cannot generate to standard output")?;
        eprintln!("{}", counts_line(generated));
    } else {
        println!("{}", counts_line(write_file(args)?));
    }
    Ok(())
}

fn counts_line(Generated { bytes, rows, quoted_newlines }: Generated) -> String {
    format!("rows={rows} bytes={bytes} quoted_newlines={quoted_newlines}")
}

/// Writes beside the final name, then renames.
fn write_file(args: &GenerateArgs) -> anyhow::Result<Generated> {
    let to = args.to.as_path();
    refuse_existing(to)?;
    let partial = partial_path(to)?;
    let mut file = File::create_new(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
    let written = generate::generate(args.shape, args.seed, args.bytes, &mut file)
        .with_context(|| format!("cannot generate {}", to.display()))
        .and_then(|generated| {
            refuse_existing(to)?; // one may have appeared meanwhile, and a rename would replace it
            fs::rename(&partial, to)
                .with_context(|| format!("cannot rename {} to {}", partial.display(), to.display()))?;
            Ok(generated)
        });
    if written.is_err() {
        // The error in hand says more than a failure to clean up would.
        let _ = fs::remove_file(&partial);
    }
    written
}

fn refuse_existing(to: &Path) -> anyhow::Result<()> {
    // A dangling symbolic link exists too: a rename would replace it.
    if to.symlink_metadata().is_ok() {
        bail!("{} exists already: remove it, or name another file with --to", to.display());
    }
    Ok(())
}

/// `.FILE.PID.partial` in FILE's directory: hidden, and not shared with another process that writes the same FILE.
fn partial_path(to: &Path) -> anyhow::Result<PathBuf> {
    let Some(name) = to.file_name() else {
        bail!("{} names no file: give --to a file to write, or - for standard output", to.display());
    };
    let mut partial = OsString::from(".");
    partial.push(name);
    partial.push(format!(".{}.partial", std::process::id()));
    Ok(to.with_file_name(partial))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(to: PathBuf, bytes: u64) -> GenerateArgs {
        GenerateArgs { shape: Shape::Taxi, bytes, seed: 1, to }
    }

    fn names_in(directory: &Path) -> Vec<OsString> {
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    #[test]
    fn writes_the_whole_file_and_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        generate(&args(directory.path().join("taxi.csv"), 100_000)).unwrap();
        let mut expected = Vec::new();
        generate::generate(Shape::Taxi, 1, 100_000, &mut expected).unwrap();
        assert!(fs::read(directory.path().join("taxi.csv")).unwrap() == expected);
        assert_eq!(names_in(directory.path()), ["taxi.csv"]);
    }

    #[test]
    fn an_existing_file_is_refused_and_kept() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("taxi.csv");
        fs::write(&file, "mine").unwrap();
        let refused = generate(&args(file.clone(), 100_000)).unwrap_err().to_string();
        assert!(refused.contains("taxi.csv exists already"), "{refused}");
        assert_eq!(fs::read(&file).unwrap(), b"mine");
    }

    #[test]
    fn a_failure_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let refused = generate(&args(directory.path().join("taxi.csv"), 10)).unwrap_err();
        assert!(format!("{refused:#}").contains("ask for at least"), "{refused:#}");
        assert!(names_in(directory.path()).is_empty());
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let refused = generate(&args(directory.path().join("absent/taxi.csv"), 10_000)).unwrap_err().to_string();
        assert!(refused.contains("cannot create") && refused.contains("absent"), "{refused}");
    }
}
