//! The flags of the command line, as clap reads them.
//!
//! Invariant: a flag that does not parse is refused here, by its name; what flags mean together is `config`'s part.

use std::net::SocketAddr;
use std::path::PathBuf;

use batteuse_shared::limits;
use batteuse_shared::spec::{Mode, Ragged, parse_bytes};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use serde::Serialize;

use crate::chaos::Chaos;
use crate::cmd::generate::GenerateArgs;
use crate::generate::Shape;
use crate::memory;

/// The flags of [`JobFlags`], by their fields: all of them, so that clap names the one that stands beside a spec.
pub(crate) const JOB_FLAGS: [&str; 14] = [
    "from",
    "to",
    "mode",
    "partition_by",
    "partition_bytes",
    "delimiter",
    "quote",
    "encoding",
    "no_header",
    "skip_lines",
    "all_text",
    "ragged",
    "tolerate",
    "quarantine_bytes",
];

/// Flags of `run`: a job from flags, or from a spec.
#[derive(Debug, Clone, Args)]
#[command(
    override_usage = "batteuse run --from FILE --to DIR [OPTIONS]\n       batteuse run -f JOB [--workers N] [--memory SIZE] [-o FORM]"
)]
pub struct RunArgs {
    /// Read the job from this spec (YAML or JSON)
    #[arg(short = 'f', long = "file", value_name = "JOB", conflicts_with_all = JOB_FLAGS)]
    pub file: Option<PathBuf>,

    /// The job as flags.
    #[command(flatten)]
    pub job: JobFlags,

    /// The workers of this run.
    #[command(flatten)]
    pub here: HereFlags,

    /// Form of the report on standard output
    #[arg(short = 'o', long = "output", value_enum, default_value_t)]
    pub output: OutputForm,
}

/// A job as flags: none of them goes with a spec.
#[derive(Debug, Clone, Args)]
pub struct JobFlags {
    /// The CSV file to read
    #[arg(long, value_name = "FILE", required_unless_present = "file", requires = "to")]
    pub from: Option<PathBuf>,

    /// The folder to write Parquet into: absent or empty, unless --mode says what becomes of the table in it
    #[arg(long, value_name = "DIR", required_unless_present = "file", requires = "from")]
    pub to: Option<PathBuf>,

    /// What becomes of a table that stands there: it is refused, added to, or replaced, whole or folder by folder [default: error]
    #[arg(long, value_name = "error|append|overwrite|overwrite-partition", value_parser = mode())]
    pub mode: Option<Mode>,

    /// Columns by whose values files lie in folders such as year=2024/, as Hive has them
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',')]
    pub partition_by: Vec<String>,

    /// Bytes of one partition, such as 64MiB [default: as file and slots suggest]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, allow_negative_numbers = true)]
    pub partition_bytes: Option<u64>,

    /// Text between fields, or tab, comma, semicolon, pipe, space [default: auto]
    #[arg(long, value_name = "TEXT|auto")]
    pub delimiter: Option<String>,

    /// Quote character [default: auto]
    #[arg(long, value_name = "CHAR|none|auto")]
    pub quote: Option<String>,

    /// utf-8 or windows-1252 [default: auto]
    #[arg(long, value_name = "NAME|auto")]
    pub encoding: Option<String>,

    /// The first record is data: columns have no names in the file
    #[arg(long)]
    pub no_header: bool,

    /// Lines before the header (or the first record) that are not read
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub skip_lines: u64,

    /// Every column is text: infer no types
    #[arg(long)]
    pub all_text: bool,

    /// Records with too few or too many fields [default: reject]
    #[arg(long, value_name = "reject|pad", value_parser = ragged())]
    pub ragged: Option<Ragged>,

    /// Rejects that a run bears: a count, or a share such as 0.5%; once each, the run passes if either holds
    #[arg(long, value_name = "N|P%", value_parser = tolerate, allow_negative_numbers = true)]
    pub tolerate: Vec<Tolerate>,

    /// Bytes in records that kill whoever parses them, such as 1MiB, which the run may set aside unread [default: 0]
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes, allow_negative_numbers = true)]
    pub quarantine_bytes: Option<u64>,
}

/// Form of the run report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputForm {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// One `--tolerate`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerate {
    /// Rejected records.
    Count(u64),
    /// Percent of the records read.
    Percent(f64),
}

/// Why a text is no `--tolerate`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("use a whole number of records such as 10, or a share of the records read such as 0.5%")]
pub struct BadTolerate;

fn tolerate(text: &str) -> Result<Tolerate, BadTolerate> {
    match text.strip_suffix('%') {
        Some(percent) => percent.parse().map(Tolerate::Percent).map_err(|_| BadTolerate),
        None => text.parse().map(Tolerate::Count).map_err(|_| BadTolerate),
    }
}

fn mode() -> impl TypedValueParser<Value = Mode> {
    let modes = PossibleValuesParser::new(["error", "append", "overwrite", "overwrite-partition"]);
    modes.map(|text| match text.as_str() {
        "append" => Mode::Append,
        "overwrite" => Mode::Overwrite,
        "overwrite-partition" => Mode::OverwritePartition,
        _ => Mode::Error,
    })
}

fn ragged() -> impl TypedValueParser<Value = Ragged> {
    PossibleValuesParser::new(["reject", "pad"]).map(|word| if word == "pad" { Ragged::Pad } else { Ragged::Reject })
}

/// Exact, resumable ingestion of big dirty open-data files into clean Parquet tables
#[derive(Debug, Parser)]
#[command(name = "batteuse", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 ok, 4 ok with rejects within tolerance, 8 failed, 12 bad spec or refused input, \
16 a system cannot be reached, 130 interrupted and resumable";

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Turn a CSV file into Parquet, on this machine
    Run(RunArgs),
    /// Finish an interrupted run of this machine
    Resume(ResumeArgs),
    /// Serve workers and operators
    Coordinator(CoordinatorArgs),
    /// Work for a coordinator
    Worker(WorkerArgs),
    /// Make one attempt for the worker that starts this
    #[command(hide = true)]
    Attempt(AttemptArgs),
    /// Let the process that starts this go on after a while
    #[command(hide = true)]
    Wake(WakeArgs),
    /// Give a coordinator a job
    Submit(SubmitArgs),
    /// Show how a run stands
    Status(RunRefArgs),
    /// List a coordinator's runs, the latest first
    List(ListArgs),
    /// Give a run up
    Cancel(RunRefArgs),
    /// Hold a run: what is under way ends and counts, nothing more is leased
    Pause(PauseArgs),
    /// Let a paused run go on
    Unpause(PauseArgs),
    /// Let a run that failed go on: what failed or was set aside is tried once more, what was done stays done
    Redrive(RedriveArgs),
    /// List a coordinator's workers
    Workers(ListArgs),
    /// Ask a worker to leave: it takes nothing more, and finishes what fits its grace
    Drain(DrainArgs),
    /// Read a published run again and prove its report
    Verify(VerifyArgs),
    /// Show the files of a published table
    Manifest(ManifestArgs),
    /// Remove what lost attempts left in the output folder of a run that has ended
    Gc(GcArgs),
    /// Try whether a store is fit for runs
    Doctor(DoctorArgs),
    /// Write a file of realistic test data
    Generate(GenerateArgs),
    /// Measure how runs scale with workers, in one process and as processes
    Bench(BenchArgs),
    /// See it work: real and generated data, a coordinator, three workers, one of them killed
    Demo(DemoArgs),
}

/// Flags of `manifest`.
#[derive(Debug, Clone, Args)]
pub struct ManifestArgs {
    /// The output folder: a path or a URL
    #[arg(value_name = "DIR")]
    pub dir: String,

    /// Form of the answer
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputForm,
}

/// Flags of `gc`.
#[derive(Debug, Clone, Args)]
pub struct GcArgs {
    /// The output folder: a path or a URL
    #[arg(value_name = "DIR")]
    pub dir: String,

    /// Also give up what a run that failed keeps: it cannot be redriven any more
    #[arg(long)]
    pub give_up: bool,

    /// Form of the answer
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputForm,
}

/// Flags of `doctor`.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// A folder in the store, a path or a URL; or a database, postgres://user@host/database
    #[arg(value_name = "STORE")]
    pub store: String,

    /// Form of the answer
    #[arg(short, long, value_enum, default_value_t)]
    pub output: OutputForm,
}

/// What a run in this process works with.
#[derive(Debug, Clone, Args)]
pub struct HereFlags {
    /// Workers of this run [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::SLOTS_MAX)))]
    pub workers: Option<u32>,

    /// Memory that the workers share, such as 2GiB [default: three quarters of what this process may use]
    #[arg(long, value_name = "SIZE", value_parser = memory::given)]
    pub memory: Option<u64>,
}

/// Flags of `resume`.
#[derive(Debug, Clone, Args)]
pub struct ResumeArgs {
    /// The output folder of the run
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,

    /// The workers of this run.
    #[command(flatten)]
    pub here: HereFlags,

    /// Form of the report on standard output
    #[arg(short = 'o', long = "output", value_enum, default_value_t)]
    pub output: OutputForm,
}

/// Flags of `coordinator`.
#[derive(Debug, Clone, Args)]
pub struct CoordinatorArgs {
    /// Address to listen on; port 0 takes a free one, which is printed
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7171")]
    pub listen: SocketAddr,

    /// State folder, as a URL or a path: journals lie in it
    #[arg(long, value_name = "URL")]
    pub state: String,

    /// Where others reach this coordinator [default: where it listens]
    #[arg(long, value_name = "URL")]
    pub advertise: Option<String>,

    /// Seconds that a lease lives without a word from its worker
    #[arg(long, value_name = "SECONDS", default_value_t = limits::LEASE_TTL_MS / 1_000, value_parser = clap::value_parser!(u64).range(1..=limits::LEASE_TTL_MS_MAX / 1_000))]
    pub lease_ttl: u64,

    /// Do nothing about attempts that are late: no second one is begun elsewhere, and no rest of their range is given away
    #[arg(long)]
    pub no_speculation: bool,

    /// Runs that may be open at once: a job that finds no room is sent away, and told when to come again
    #[arg(long, value_name = "N", default_value_t = limits::OPEN_RUNS_MAX, value_parser = clap::value_parser!(u64).range(1..=limits::OPEN_RUNS_MAX))]
    pub open_runs: u64,

    /// Listen beyond this machine although nothing is encrypted and nobody is authenticated
    #[arg(long)]
    pub insecure: bool,

    /// Faults that befall this coordinator.
    #[arg(
        help = "Faults that befall this coordinator, to try what it bears: seed=N,kill=P,stall=P[:MS],delay=P[:MS]",
        long,
        value_name = "FAULTS",
        hide_short_help = true
    )]
    pub chaos: Option<Chaos>,
}

/// Flags of `worker`.
#[derive(Debug, Clone, Args)]
pub struct WorkerArgs {
    /// The coordinator; given several times: all that may lead
    #[arg(long, value_name = "URL", required = true)]
    pub coordinator: Vec<String>,

    /// Seconds that a worker which is told to stop has to finish what it runs, and to give back what does not fit
    #[arg(long, value_name = "SECONDS", default_value_t = 25)]
    pub grace: u32,

    /// Attempts at once [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::SLOTS_MAX)))]
    pub slots: Option<u32>,

    /// Memory that the slots share, such as 2GiB [default: three quarters of what this process may use]
    #[arg(long, value_name = "SIZE", value_parser = memory::given)]
    pub memory: Option<u64>,

    /// Faults that befall this worker.
    #[arg(
        help = "Faults that befall this worker, to try what a run bears: seed=N,kill=P,stall=P[:MS],delay=P[:MS],poison=OFFSET[:abort|panic|hang|oom]",
        long,
        value_name = "FAULTS",
        hide_short_help = true
    )]
    pub chaos: Option<Chaos>,
}

/// Flags of `attempt`.
#[derive(Debug, Clone, Args)]
pub struct AttemptArgs {
    /// Bytes of memory that it may ask for: a slot's
    #[arg(long, value_name = "BYTES")]
    pub memory: Option<u64>,

    /// Poison that its worker was given
    #[arg(long, value_name = "FAULTS")]
    pub chaos: Option<Chaos>,
}

/// Flags of `wake`.
#[derive(Debug, Clone, Args)]
pub struct WakeArgs {
    /// Milliseconds until then
    #[arg(long, value_name = "MS")]
    pub after: u64,
}

/// Flags of `submit`.
#[derive(Debug, Clone, Args)]
pub struct SubmitArgs {
    /// The spec (YAML or JSON)
    #[arg(short = 'f', long = "file", value_name = "JOB")]
    pub file: PathBuf,

    /// The coordinator
    #[arg(long, value_name = "URL")]
    pub coordinator: String,

    /// Wait for the run to end, and exit as it did
    #[arg(long)]
    pub wait: bool,

    /// Seconds to go on trying while the coordinator has no room for another run
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub patience: u32,

    /// Form of the report on standard output
    #[arg(short = 'o', long = "output", value_enum, default_value_t)]
    pub output: OutputForm,
}

/// Flags of `status` and `cancel`.
#[derive(Debug, Clone, Args)]
pub struct RunRefArgs {
    /// A run's id (with --coordinator), or its output folder as a URL or a path
    #[arg(value_name = "RUN")]
    pub run: String,

    /// The coordinator that has the run
    #[arg(long, value_name = "URL")]
    pub coordinator: Option<String>,

    /// Form of what is printed
    #[arg(short = 'o', long = "output", value_enum, default_value_t)]
    pub output: OutputForm,
}

/// Flags of `pause` and `unpause`.
#[derive(Debug, Clone, Args)]
pub struct PauseArgs {
    /// The run's id
    #[arg(value_name = "RUN")]
    pub run: String,

    /// The coordinator that has the run
    #[arg(long, value_name = "URL")]
    pub coordinator: String,

    /// Form of what is printed
    #[arg(short = 'o', long = "output", value_enum, default_value_t)]
    pub output: OutputForm,
}

/// Flags of `redrive`.
#[derive(Debug, Clone, Args)]
pub struct RedriveArgs {
    /// A run's id (with --coordinator), or its output folder as a URL or a path
    #[arg(value_name = "RUN")]
    pub run: String,

    /// The coordinator that has the run
    #[arg(long, value_name = "URL", conflicts_with_all = ["workers", "memory"])]
    pub coordinator: Option<String>,

    /// Wait for the run to end, and exit as it did; without --coordinator always
    #[arg(long)]
    pub wait: bool,

    /// The workers of this run.
    #[command(flatten)]
    pub here: HereFlags,

    /// Form of what is printed
    #[arg(short = 'o', long = "output", value_enum, default_value_t)]
    pub output: OutputForm,
}

/// Flags of `drain`.
#[derive(Debug, Clone, Args)]
pub struct DrainArgs {
    /// The worker's name, as `workers` lists it
    #[arg(value_name = "WORKER")]
    pub worker: String,

    /// The coordinator that it works for
    #[arg(long, value_name = "URL")]
    pub coordinator: String,

    /// Wait until it has left
    #[arg(long)]
    pub wait: bool,

    /// Form of what is printed
    #[arg(short = 'o', long = "output", value_enum, default_value_t)]
    pub output: OutputForm,
}

/// Flags of `list` and `workers`.
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// The coordinator
    #[arg(long, value_name = "URL")]
    pub coordinator: String,

    /// Form of what is printed
    #[arg(short = 'o', long = "output", value_enum, default_value_t)]
    pub output: OutputForm,
}

/// Flags of `verify`.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// The output folder, as a URL or a path; or a run's id with --coordinator
    #[arg(value_name = "RUN")]
    pub run: String,

    /// The coordinator that has the run
    #[arg(long, value_name = "URL")]
    pub coordinator: Option<String>,
}

/// Flags of `bench`.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// The CSV file to read; runs write into a folder beside it, which goes away [default: a generated file]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["generate", "bytes"])]
    pub from: Option<PathBuf>,

    /// The kind of file to generate, in the folder for temporary files
    #[arg(long, value_enum, value_name = "SHAPE", default_value = "sirene")]
    pub generate: Shape,

    /// Its size, such as 300MB
    #[arg(long, value_name = "SIZE", default_value = "1GB", value_parser = parse_bytes, allow_negative_numbers = true)]
    pub bytes: u64,

    /// Counts of workers [default: 1, 2, 4... up to one per core]
    #[arg(long, value_name = "N,...", value_delimiter = ',')]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::BENCH_WORKERS_MAX)))]
    pub workers: Vec<u32>,

    /// All workers in one process, or a coordinator and each worker as processes on this machine
    #[arg(long, value_enum, value_name = "MODE,...", value_delimiter = ',', default_value = "embedded,processes")]
    pub modes: Vec<BenchMode>,

    /// Rounds; in each every mode has one turn with every count
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::BENCH_ROUNDS_MAX)))]
    pub rounds: u32,

    /// Form of the figures on standard output
    #[arg(short = 'o', long = "output", value_enum, default_value_t)]
    pub output: OutputForm,

    /// Also write a page with plots to this file, which must not exist yet
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// How a bench runs its workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum BenchMode {
    /// `batteuse run`: coordinator and workers in one process.
    Embedded,
    /// A coordinator and workers of one slot each, all processes of this machine.
    Processes,
}

/// Flags of `demo`.
#[derive(Debug, Clone, Args)]
pub struct DemoArgs {
    /// Bytes of generated data
    #[arg(long, value_name = "SIZE", default_value = "300MB", value_parser = parse_bytes)]
    pub bytes: u64,
}
