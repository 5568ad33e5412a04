//! `batteuse bench`: how runs over one file scale with workers, embedded and as processes, in figures, as JSON and as a page.
//!
//! Invariant: every run reads the same file, warm, and writes the same table, or there are no figures; what is compared runs in turns,
//! so that a machine that slows down slows all alike. Whatever way it ends, nothing but the page is left.

mod curve;
mod page;
mod plot;
mod process;
mod text;
mod turn;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, anyhow};
use batteuse_shared::limits::BENCH_COUNTS_MAX;
use clap::ValueEnum;
use tokio::sync::watch;

use self::curve::{Bench, Case, Runs, Source, Unlike};
use self::process::{Process, batteuse, interrupted};
use self::turn::{Ground, turn};
use crate::cli::{BenchArgs, OutputForm};
use crate::components;
use crate::exit::{Code, Stop};

/// Size of one read of the file before it is measured.
const WARM_BYTES: usize = 1 << 20;

/// A folder that goes away.
struct Stage(PathBuf);

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Measures, and tells the figures.
pub fn bench(args: &BenchArgs) -> Result<Code, Stop> {
    let cases = cases(args)?;
    if let Some(page) = &args.html {
        absent(page)?;
    }
    let bench = components::runtime()?.block_on(measure(args, &cases))?;
    let told = match args.output {
        OutputForm::Text => text::text(&bench),
        OutputForm::Json => serde_json::to_string_pretty(&bench).expect("plain values with text keys serialise") + "\n",
    };
    let mut out = std::io::stdout().lock();
    let printed = out.write_all(told.as_bytes()).and_then(|()| out.flush());
    let written = args.html.as_ref().map(|path| written(path, &page::page(&bench))).transpose();
    printed.context("the figures cannot be printed on standard output").map_err(Stop::unreachable)?;
    written?;
    Ok(Code::Ok)
}

/// What is measured, in the order of a round.
fn cases(args: &BenchArgs) -> Result<Vec<Case>, Stop> {
    let mut counts = if args.workers.is_empty() { doubling(components::cores()) } else { args.workers.clone() };
    let mut modes = args.modes.clone();
    counts.sort_unstable();
    modes.sort_unstable();
    if let Some(twice) = counts.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Stop::refused(anyhow!("--workers: {} is given twice: give every count once", twice[0])));
    }
    if let Some(twice) = modes.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Stop::refused(anyhow!("--modes: {} is given twice: give every mode once", curve::mode(twice[0]))));
    }
    if counts.len() > BENCH_COUNTS_MAX {
        let given = counts.len();
        return Err(Stop::refused(anyhow!("--workers: {given} counts are given: give at most {BENCH_COUNTS_MAX}")));
    }
    let of = |workers| modes.iter().map(move |mode| Case { mode: *mode, workers });
    Ok(counts.into_iter().flat_map(of).collect())
}

/// 1, 2, 4... and `cores`.
fn doubling(cores: u32) -> Vec<u32> {
    let cores = cores.min(batteuse_shared::limits::BENCH_WORKERS_MAX);
    std::iter::successors(Some(1), |count| Some(count * 2)).take_while(|count| *count < cores).chain([cores]).collect()
}

/// Refuses a page that could not be written, before anything is measured.
fn absent(page: &Path) -> Result<(), Stop> {
    if page.symlink_metadata().is_ok() {
        return Err(Stop::refused(anyhow!(
            "--html: {} exists already: remove it, or name another file",
            page.display()
        )));
    }
    let folder = page.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if page.file_name().is_none() || !folder.is_dir() {
        return Err(Stop::refused(anyhow!("--html: {} lies in no folder: name a file in one", page.display())));
    }
    Ok(())
}

fn written(path: &Path, page: &str) -> Result<(), Stop> {
    let written = File::create_new(path).and_then(|mut file| file.write_all(page.as_bytes()));
    written.with_context(|| format!("--html: {} cannot be written", path.display())).map_err(Stop::unreachable)
}

async fn measure(args: &BenchArgs, cases: &[Case]) -> Result<Bench, Stop> {
    let mut stop = components::stop_signal()?;
    // The folder is dropped last: no process writes into it any more.
    let from = args.from.as_deref().map(located).transpose()?;
    let stage = stage(from.as_deref())?;
    let (source, path) = match from {
        Some(from) => (Source { name: name(&from), bytes: 0, generated: None }, from),
        None => generated(args, &stage.0, &mut stop).await?,
    };
    let bytes = warm(&path)?;
    let ground = Ground { source: path, folder: stage.0.clone() };
    let mut runs = Runs::default();
    for round in 1..=args.rounds {
        // Nobody is always the first.
        let mut order = cases.to_vec();
        order.rotate_left((round as usize - 1) % cases.len());
        for case in order {
            let what = format!("round {round} of {}: {case}", args.rounds);
            let measured = turn(case.mode, case.workers, &ground, &mut stop).await;
            // A Ctrl-C ends all processes, some before this one knows of it.
            let (used, report) = measured.map_err(|stopped| match stopped.code {
                Code::Interrupted => interrupted(),
                _ if *stop.borrow() => interrupted(),
                code => Stop { code, error: stopped.error.context(what.clone()) },
            })?;
            runs.take(case, round, used, &report).map_err(unlike)?;
            eprintln!("{what}: {:.2} s", used.seconds);
        }
    }
    Ok(Bench::of(Source { bytes, ..source }, components::cores(), args.rounds, cases, &runs))
}

fn unlike(error: Unlike) -> Stop {
    match error {
        Unlike::Source { .. } => Stop::refused(error),
        Unlike::Table { .. } => Stop::failed(error),
    }
}

/// A folder beside the file, or among the temporary files where that is to be generated.
fn stage(from: Option<&Path>) -> Result<Stage, Stop> {
    let beside = from.and_then(Path::parent).map_or_else(std::env::temp_dir, Path::to_owned);
    let stage = beside.join(format!("batteuse-bench-{}", components::run_suffix()));
    let made = fs::create_dir(&stage).with_context(|| {
        format!(
            "no folder can be made in {}: runs write beside the file; bench a link to it in a folder with room",
            beside.display()
        )
    });
    made.map_err(Stop::unreachable)?;
    Ok(Stage(stage))
}

fn unread(from: &Path) -> String {
    format!("--from: {} cannot be read: check the path and its permissions", from.display())
}

/// The path of the file from the root, through no link but itself: beside a link there may be more room.
fn located(from: &Path) -> Result<PathBuf, Stop> {
    let path = std::path::absolute(from).with_context(|| unread(from)).map_err(Stop::refused)?;
    let found = fs::metadata(&path).with_context(|| unread(from)).map_err(Stop::refused)?;
    let (Some(folder), Some(name), true) = (path.parent(), path.file_name(), found.is_file()) else {
        return Err(Stop::refused(anyhow!("--from: {} is not a regular file", from.display())));
    };
    Ok(folder.canonicalize().with_context(|| unread(from)).map_err(Stop::refused)?.join(name))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// By a process of its own: what it holds in memory is not to be counted as the runs'.
async fn generated(
    args: &BenchArgs,
    folder: &Path,
    stop: &mut watch::Receiver<bool>,
) -> Result<(Source, PathBuf), Stop> {
    let shape = args.generate.to_possible_value().map_or_else(String::new, |shape| shape.get_name().to_owned());
    let (path, said) = (folder.join(format!("{shape}.csv")), folder.join("generate.txt"));
    let bytes = args.bytes.to_string();
    let mut command = batteuse(["generate", &shape, "--bytes", &bytes, "--to"])?;
    let words = File::create(&said).with_context(|| said.display().to_string()).map_err(Stop::unreachable)?;
    command.arg(&path).stdout(Stdio::null()).stderr(words);
    let (status, _) = Process::start("batteuse generate", &mut command)?.end(stop).await?;
    if !status.success() {
        let said = fs::read_to_string(&said).ok().filter(|said| !said.trim().is_empty()).unwrap_or(status.to_string());
        return Err(Stop::refused(anyhow!(
            "the file cannot be generated: {}",
            said.trim().trim_start_matches("error: ")
        )));
    }
    Ok((Source { name: name(&path), bytes: 0, generated: Some(args.generate) }, path))
}

/// Reads the file once, so that no run has to wait for a disk that others did not wait for; its size.
fn warm(path: &Path) -> Result<u64, Stop> {
    let mut buffer = vec![0; WARM_BYTES];
    let mut read = || -> std::io::Result<u64> {
        let (mut file, mut bytes) = (File::open(path)?, 0);
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(bytes),
                more => bytes += more as u64,
            }
        }
    };
    read().with_context(|| unread(path)).map_err(Stop::refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_double_up_to_one_per_core() {
        for (cores, counts) in [(1, &[1][..]), (2, &[1, 2]), (4, &[1, 2, 4]), (6, &[1, 2, 4, 6]), (9, &[1, 2, 4, 8, 9])]
        {
            assert_eq!(doubling(cores), counts);
        }
        assert_eq!(doubling(1_000).last(), Some(&256));
    }
}
