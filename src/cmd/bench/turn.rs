//! One measured run: embedded, as `batteuse run`; or by a coordinator and workers as processes, as `batteuse submit --wait`.
//!
//! A turn's time is that of the command, from the start of its process to its end. A cluster is waiting when its turn begins, and is
//! killed after it; the CPU seconds and the memory are those of all processes over their lives. Nothing of a turn is left on disk.

use std::convert::Infallible;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, anyhow};
use batteuse_proto::RunList;
use batteuse_proto::v1::ListRequest;
use batteuse_shared::limits::BENCH_START_MS_MAX;
use batteuse_shared::location::{url_of_dir, url_of_file};
use batteuse_shared::report::{Report, RunState};
use serde_json::json;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStderr, ChildStdout};
use tokio::sync::watch;

use super::process::{Process, Used, batteuse, interrupted};
use crate::cli::BenchMode;
use crate::cmd::remote::{self, Remote};
use crate::exit::{Code, Stop};

/// What the coordinator logs of a worker that has come.
const COME: &str = "a worker has come";

/// How often a cluster is asked whether something holds it up.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What turns are made of.
pub struct Ground {
    /// The file to read.
    pub source: PathBuf,
    /// A folder for all that turns write.
    pub folder: PathBuf,
}

/// Has one run made, and removes what it wrote.
pub async fn turn(
    mode: BenchMode,
    workers: u32,
    ground: &Ground,
    stop: &mut watch::Receiver<bool>,
) -> Result<(Used, Report), Stop> {
    let output = ground.folder.join("out");
    let measured = match mode {
        BenchMode::Embedded => embedded(workers, ground, &output, stop).await,
        BenchMode::Processes => processes(workers, ground, &output, stop).await,
    };
    for leftover in [&output, &ground.folder.join("state")] {
        match fs::remove_dir_all(leftover) {
            Err(error) if error.kind() != io::ErrorKind::NotFound && measured.is_ok() => {
                return Err(Stop::unreachable(anyhow!("{} cannot be removed: {error}", leftover.display())));
            }
            _ => {}
        }
    }
    measured
}

async fn embedded(
    workers: u32,
    ground: &Ground,
    output: &Path,
    stop: &mut watch::Receiver<bool>,
) -> Result<(Used, Report), Stop> {
    let workers = workers.to_string();
    let mut command = batteuse(["run", "-o", "json", "--tolerate", "100%", "--workers", &workers, "--from"])?;
    command.arg(&ground.source).arg("--to").arg(output);
    told(command, "the run", ground, stop).await
}

async fn processes(
    workers: u32,
    ground: &Ground,
    output: &Path,
    stop: &mut watch::Receiver<bool>,
) -> Result<(Used, Report), Stop> {
    let spec = spec(ground, output)?;
    let starting = tokio::time::timeout(Duration::from_millis(BENCH_START_MS_MAX), Cluster::start(workers, ground));
    let mut cluster = tokio::select! {
        started = starting => started.map_err(|_| {
            let seconds = BENCH_START_MS_MAX / 1_000;
            Stop::unreachable(anyhow!("a coordinator and {workers} workers did not come together within {seconds} s"))
        })??,
        _ = stop.wait_for(|stop| *stop) => return Err(interrupted()),
    };
    let mut command = batteuse(["submit", "--wait", "-o", "json", "--coordinator", &cluster.url, "-f"])?;
    command.arg(spec);
    let (used, report) = tokio::select! {
        told = told(command, "the submitted run", ground, stop) => told?,
        trouble = cluster.trouble() => return Err(trouble),
    };
    Ok((cluster.end(used)?, report))
}

/// The job of `batteuse run`, as a spec in a file.
fn spec(ground: &Ground, output: &Path) -> Result<PathBuf, Stop> {
    let spec = json!({
        "apiVersion": batteuse_shared::spec::API_VERSION,
        "kind": batteuse_shared::spec::KIND,
        "metadata": {"name": "bench"},
        "spec": {
            "source": {"url": url_of_file(&ground.source).map_err(Stop::refused)?},
            "output": {"parquet": {"url": url_of_dir(output).map_err(Stop::refused)?}},
            "rejects": {"tolerate": {"percent": 100.0}},
        },
    });
    let path = ground.folder.join("spec.json");
    fs::write(&path, spec.to_string()).with_context(|| path.display().to_string()).map_err(Stop::unreachable)?;
    Ok(path)
}

/// Runs a command that prints a report. Its streams are files: nobody has to read along.
async fn told(
    mut command: std::process::Command,
    what: &str,
    ground: &Ground,
    stop: &mut watch::Receiver<bool>,
) -> Result<(Used, Report), Stop> {
    let (out, err) = (ground.folder.join("out.json"), ground.folder.join("err.txt"));
    command.stdout(stream(&out)?).stderr(stream(&err)?);
    let (status, used) = Process::start(what, &mut command)?.end(stop).await?;
    let text = |path: &Path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let read = text(&out).and_then(|out| Ok((out, text(&err)?)));
    let (out, err) = read.context("what the run said").map_err(Stop::unreachable)?;
    let report: Option<Report> = serde_json::from_str(&out).ok();
    match report {
        Some(report) if matches!(report.state, RunState::Succeeded | RunState::SucceededWithRejects) => {
            Ok((used, report))
        }
        report => Err(failed(what, status, report, &err)),
    }
}

fn stream(path: &Path) -> Result<Stdio, Stop> {
    let file = File::create(path).with_context(|| path.display().to_string()).map_err(Stop::unreachable)?;
    Ok(file.into())
}

/// A run that cannot be measured ends the bench as it ended itself, in its own words.
fn failed(what: &str, status: ExitStatus, report: Option<Report>, err: &str) -> Stop {
    let codes = [Code::Failed, Code::Refused, Code::Unreachable, Code::Interrupted];
    let code = codes.into_iter().find(|code| status.code() == Some(*code as i32)).unwrap_or(Code::Unreachable);
    let reason = report.and_then(|report| report.reason).map(|reason| reason.message().to_owned());
    let last = || err.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing").to_owned();
    let words = reason.unwrap_or_else(last);
    let again = if code == Code::Unreachable { "; a bench keeps nothing: mend this, then measure again" } else { "" };
    Stop { code, error: anyhow!("{what} ended with {status}: {}{again}", words.trim_start_matches("error: ")) }
}

/// A coordinator and its workers.
struct Cluster {
    url: String,
    coordinator: Process,
    /// What the coordinator logs: read to the end, because a full pipe would hold it up.
    said: Said<ChildStderr>,
    workers: Vec<Process>,
}

impl Cluster {
    /// A cluster whose workers have come.
    async fn start(workers: u32, ground: &Ground) -> Result<Self, Stop> {
        let mut command = batteuse(["coordinator", "--listen", "127.0.0.1:0", "--state"])?;
        command.arg(ground.folder.join("state")).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut coordinator = Process::start("the coordinator", &mut command)?;
        let (mut out, mut err) = lines(&mut coordinator)?;
        let Some(url) = line(&mut out, "listening on ").await else {
            let last = last(&mut err).await;
            return Err(Stop::unreachable(anyhow!("the coordinator did not start: {last}")));
        };
        let mut hired = Vec::new();
        for _ in 0..workers {
            let mut command = batteuse(["worker", "--slots", "1", "--coordinator", &url])?;
            command.stdout(Stdio::null()).stderr(Stdio::null());
            hired.push(Process::start("a worker", &mut command)?);
        }
        for _ in 0..workers {
            if line(&mut err, COME).await.is_none() {
                return Err(Stop::unreachable(anyhow!("the coordinator ended before its workers came")));
            }
        }
        Ok(Self { url, coordinator, said: err, workers: hired })
    }

    /// Waits for what spoils a measurement: a process that ends, or trouble that a coordinator would bear for ever.
    async fn trouble(&mut self) -> Stop {
        match self.watch().await {
            Err(trouble) => trouble,
            Ok(never) => match never {},
        }
    }

    async fn watch(&mut self) -> Result<Infallible, Stop> {
        let mut remote = Remote::connect(&self.url).await?;
        let mut every = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                said = self.said.next_line() => match said {
                    Ok(Some(_)) => continue,
                    _ => return Err(Stop::unreachable(anyhow!("the coordinator ended before the run did"))),
                },
                _ = every.tick() => {}
            }
            std::iter::once(&mut self.coordinator).chain(&mut self.workers).try_for_each(Process::must_run)?;
            let listed = remote.client.list(ListRequest {}).await.map_err(remote::refused)?.into_inner();
            let list = RunList::try_from(listed).context("the coordinator's answer").map_err(Stop::unreachable)?;
            if let Some(trouble) = list.runs.into_iter().find_map(|run| run.trouble) {
                return Err(Stop::unreachable(anyhow!("{trouble}")));
            }
        }
    }

    /// Ends it: what it took besides the command that had the run made.
    fn end(self, command: Used) -> Result<Used, Stop> {
        let mut used = command.beside(self.coordinator.kill()?);
        for worker in self.workers {
            used = used.beside(worker.kill()?);
        }
        Ok(used)
    }
}

type Said<S> = Lines<BufReader<S>>;

fn lines(process: &mut Process) -> Result<(Said<ChildStdout>, Said<ChildStderr>), Stop> {
    let (Some(out), Some(err)) = process.streams() else { unreachable!("both are piped") };
    let read = ChildStdout::from_std(out).and_then(|out| Ok((out, ChildStderr::from_std(err)?)));
    let (out, err) = read.context("the coordinator's words").map_err(Stop::unreachable)?;
    Ok((BufReader::new(out).lines(), BufReader::new(err).lines()))
}

/// What follows `words` in the next line that has them; none when there is no such line.
async fn line(said: &mut Lines<impl AsyncBufRead + Unpin>, words: &str) -> Option<String> {
    while let Ok(Some(line)) = said.next_line().await {
        if let Some((_, after)) = line.split_once(words) {
            return Some(after.trim().to_owned());
        }
    }
    None
}

/// The last line.
async fn last(said: &mut Lines<impl AsyncBufRead + Unpin>) -> String {
    let mut last = "it said nothing".to_owned();
    while let Ok(Some(line)) = said.next_line().await {
        last = line;
    }
    last
}
