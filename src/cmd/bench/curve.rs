//! The figures of a bench: what its runs measured, and the scaling curve that they make. Its JSON form is documented in the README.
//!
//! Invariant: every run of a bench wrote the same table, or there are no figures. Pure: it measures nothing itself.

use std::fmt;

use batteuse_shared::report::Report;
use batteuse_shared::table::{Counts, Digest};
use batteuse_shared::task::{Phases, SourceVersion};
use serde::Serialize;

use super::process::Used;
use crate::cli::BenchMode;
use crate::generate::Shape;

/// How many times as long as the fastest round the slowest one takes on a machine that does nothing else, at most.
const SPREAD_CALM_MAX: f64 = 1.2;

/// What is measured: a point of the curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Case {
    pub mode: BenchMode,
    pub workers: u32,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let workers = if self.workers == 1 { "worker" } else { "workers" };
        write!(f, "{}, {} {workers}", mode(self.mode), self.workers)
    }
}

/// The mode in a word.
pub fn mode(mode: BenchMode) -> &'static str {
    match mode {
        BenchMode::Embedded => "embedded",
        BenchMode::Processes => "processes",
    }
}

/// The table that a run wrote, as its report tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Table {
    #[serde(flatten)]
    pub counts: Counts,
    pub digest: Digest,
}

/// Why two runs cannot be compared.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unlike {
    /// They read two versions of the source.
    #[error(
        "{case}, round {round}: the source is another than the first run read: nobody may write to it meanwhile; measure again"
    )]
    Source { case: Case, round: u32 },
    /// They wrote two tables.
    #[error(
        "{case}, round {round}: {} records and the digest {}, where the first run wrote {} and {}: EXACT does not hold, and no figure \
         is of use; please report this with the file",
        this.counts.written, this.digest, first.counts.written, first.digest
    )]
    Table { case: Case, round: u32, this: Box<Table>, first: Box<Table> },
}

/// What one run took.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    pub seconds: f64,
    pub cpu_seconds: f64,
    pub memory_bytes: u64,
    pub partitions: u64,
    pub attempts: u64,
    pub phases: Phases,
}

/// The runs of a bench, as they come.
#[derive(Debug, Default)]
pub struct Runs {
    /// Of the first.
    first: Option<(SourceVersion, Table)>,
    measured: Vec<(Case, Measured)>,
}

impl Runs {
    /// Takes a run in.
    ///
    /// # Errors
    /// When it read another source than the first one, or wrote another table.
    pub fn take(&mut self, case: Case, round: u32, used: Used, report: &Report) -> Result<(), Unlike> {
        let (version, this) = (report.source.version, Table { counts: report.counts, digest: report.digest });
        let (read, first) = *self.first.get_or_insert((version, this));
        if version != read {
            return Err(Unlike::Source { case, round });
        }
        if this != first {
            return Err(Unlike::Table { case, round, this: Box::new(this), first: Box::new(first) });
        }
        let Used { seconds, cpu_seconds, memory_bytes } = used;
        let (partitions, attempts, phases) = (report.partitions, report.attempts, report.phases);
        self.measured.push((case, Measured { seconds, cpu_seconds, memory_bytes, partitions, attempts, phases }));
        Ok(())
    }

    fn of(&self, case: Case) -> Vec<Measured> {
        self.measured.iter().filter(|(of, _)| *of == case).map(|(_, measured)| measured.clone()).collect()
    }
}

/// What was read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Source {
    /// As the user named it; of a generated file, its name.
    pub name: String,
    pub bytes: u64,
    /// None of a file that was there.
    pub generated: Option<Shape>,
}

/// The figures.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bench {
    pub version: &'static str,
    pub source: Source,
    /// Cores that this process may use.
    pub cores: u32,
    pub rounds: u32,
    pub table: Table,
    pub curve: Vec<Point>,
    /// What whoever reads the figures must know.
    pub notes: Vec<String>,
}

/// The least, the median and the most of the rounds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    pub least: f64,
    pub median: f64,
    pub most: f64,
}

impl Spread {
    /// Of some figures, at least one.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        let (least, most) = (figures[0], figures[figures.len() - 1]);
        let median = f64::midpoint(figures[(figures.len() - 1) / 2], figures[figures.len() / 2]);
        Self { least, median, most }
    }
}

/// How the slots spent their time: shares, which add up to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Shares {
    pub read: f64,
    pub parse: f64,
    pub encode: f64,
    pub stage: f64,
    /// Everything else: starting, inspecting, waiting for a lease or for the last partition, the rejects' task, publishing.
    pub wait: f64,
}

impl Shares {
    /// Of slots that were there for so many seconds in all.
    fn of(phases: Phases, slot_seconds: f64) -> Self {
        let Phases { read_us, parse_us, encode_us, stage_us } = phases;
        let seconds = [read_us, parse_us, encode_us, stage_us].map(|us| us as f64 / 1e6);
        let busy: f64 = seconds.iter().sum();
        // An attempt ends within its run, but the clocks are two.
        let all = slot_seconds.max(busy).max(f64::MIN_POSITIVE);
        let [read, parse, encode, stage] = seconds.map(|seconds| seconds / all);
        Self { read, parse, encode, stage, wait: (all - busy) / all }
    }

    /// With their names.
    pub fn named(&self) -> [(&'static str, f64); 5] {
        let Self { read, parse, encode, stage, wait } = *self;
        [("read", read), ("parse", parse), ("encode", encode), ("stage", stage), ("wait", wait)]
    }
}

/// A point of the curve.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Point {
    pub mode: BenchMode,
    pub workers: u32,
    /// More workers than cores: they take turns.
    pub over_cores: bool,
    pub partitions: u64,
    pub seconds: Spread,
    /// Of the source, by the median of the seconds.
    pub megabytes_per_second: f64,
    /// Times as fast as one worker of the mode: the median of the rounds' ratios. None where one worker was not measured.
    pub speed_up: Option<f64>,
    /// Speed-up by workers.
    pub efficiency: Option<f64>,
    /// Of all processes: the median.
    pub cpu_seconds: f64,
    /// The most that each process had in memory, added up: the most of the rounds.
    pub memory_bytes: u64,
    pub shares: Shares,
    /// Round by round.
    pub runs: Vec<Measured>,
}

impl Point {
    fn of(case: Case, runs: Vec<Measured>, ones: &[Measured], bytes: u64, cores: u32) -> Self {
        let seconds = Spread::of(runs.iter().map(|run| run.seconds));
        let workers = f64::from(case.workers);
        let ratios = std::iter::zip(ones, &runs).map(|(one, run)| one.seconds / run.seconds);
        let speed_up = (!ones.is_empty()).then(|| Spread::of(ratios).median);
        let phases = runs.iter().fold(Phases::default(), |sum, run| sum.plus(run.phases));
        let slot_seconds = workers * runs.iter().map(|run| run.seconds).sum::<f64>();
        Self {
            mode: case.mode,
            workers: case.workers,
            over_cores: case.workers > cores,
            partitions: runs.iter().map(|run| run.partitions).max().unwrap_or(0),
            seconds,
            megabytes_per_second: bytes as f64 / 1e6 / seconds.median,
            speed_up,
            efficiency: speed_up.map(|speed_up| speed_up / workers),
            cpu_seconds: Spread::of(runs.iter().map(|run| run.cpu_seconds)).median,
            memory_bytes: runs.iter().map(|run| run.memory_bytes).max().unwrap_or(0),
            shares: Shares::of(phases, slot_seconds),
            runs,
        }
    }

    /// What it is a point of.
    pub fn case(&self) -> Case {
        Case { mode: self.mode, workers: self.workers }
    }

    /// MB/s of the slowest and of the fastest round.
    pub fn megabytes_per_second_spread(&self) -> (f64, f64) {
        let megabytes = self.megabytes_per_second * self.seconds.median;
        (megabytes / self.seconds.most, megabytes / self.seconds.least)
    }
}

impl Bench {
    /// The figures of `runs`, which has as many of every case.
    pub fn of(source: Source, cores: u32, rounds: u32, cases: &[Case], runs: &Runs) -> Self {
        let mut cases = cases.to_vec();
        cases.sort_unstable();
        let point = |case: &Case| {
            let ones = runs.of(Case { workers: 1, ..*case });
            Point::of(*case, runs.of(*case), &ones, source.bytes, cores)
        };
        let curve: Vec<Point> = cases.iter().map(point).collect();
        let notes = notes(&curve, cores);
        let (_, table) = runs.first.expect("a bench has at least one run");
        Self { version: env!("CARGO_PKG_VERSION"), source, cores, rounds, table, curve, notes }
    }
}

fn notes(curve: &[Point], cores: u32) -> Vec<String> {
    let mut notes = Vec::new();
    if curve.iter().any(|point| point.seconds.most > SPREAD_CALM_MAX * point.seconds.least) {
        notes.push(
            "rounds differ much: something else was running; measure on an idle machine, or in more rounds".to_owned(),
        );
    }
    if curve.iter().any(|point| point.over_cores) {
        let cores = if cores == 1 { "1 core".to_owned() } else { format!("{cores} cores") };
        notes.push(format!(
            "* more workers than the {cores} that there are: they take turns, and wait while they seem to work"
        ));
    }
    if let Some(point) =
        curve.iter().filter(|point| point.partitions < u64::from(point.workers)).max_by_key(|p| p.workers)
    {
        notes.push(format!(
            "{}: {} partitions, so some workers had nothing to do; measure a larger file",
            point.case(),
            point.partitions
        ));
    }
    if curve.iter().any(|point| point.speed_up.is_none()) {
        notes.push("no speed-up is told: it is against 1 worker, which is not among the counts".to_owned());
    }
    notes
}

#[cfg(test)]
mod tests;
