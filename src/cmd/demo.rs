//! `batteuse demo`: real and generated data, a coordinator and three workers as processes, one of them killed on the way;
//! then everything published is read again and proved.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, anyhow};
use batteuse_proto::RunStatus;
use batteuse_proto::v1::StatusRequest;
use batteuse_shared::ids::RunId;
use batteuse_shared::location;
use batteuse_shared::report::Report;

use crate::cli::DemoArgs;
use crate::cmd::output::OutputDir;
use crate::cmd::remote::{self, Remote};
use crate::cmd::verify;
use crate::components;
use crate::exit::{self, Code, Stop};
use crate::generate::{self, Shape};

const WORKERS: usize = 3;
/// Small partitions, so that there is something left to lose when a worker dies.
const PARTITION: &str = "8MiB";

/// Processes that end with the demonstration, whatever way it ends.
struct Processes(Vec<(String, Child)>);

impl Drop for Processes {
    fn drop(&mut self) {
        for (_, child) in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A folder that is deleted at the end.
struct Stage(PathBuf);

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Shows it.
pub fn demo(args: &DemoArgs) -> Result<Code, Stop> {
    let began = components::now();
    let stage = Stage(std::env::temp_dir().join(format!("batteuse-demo-{}", components::run_suffix())));
    fs::create_dir_all(&stage.0).with_context(|| stage.0.display().to_string()).map_err(Stop::unreachable)?;
    let (communes, sirene) = (stage.0.join("communes.csv"), stage.0.join("sirene.csv"));
    say("1. Data: France's communes (Licence Ouverte, see data/README.md), and a generated register of establishments");
    fs::write(&communes, generate::COMMUNES).context("the communes").map_err(Stop::unreachable)?;
    let mut file = File::create_new(&sirene).context("the generated file").map_err(Stop::unreachable)?;
    let made = generate::generate(Shape::Sirene, 1, args.bytes, &mut file).map_err(Stop::refused)?;
    println!("   {} bytes real, {} bytes generated ({} records)", generate::COMMUNES.len(), made.bytes, made.rows);

    say("2. A coordinator and three workers, as processes");
    let mut processes = Processes(Vec::new());
    let url = start_coordinator(&mut processes, &stage.0)?;
    for i in 1..=WORKERS {
        let name = format!("worker {i}");
        start(&mut processes, &name, &["worker", "--coordinator", &url, "--slots", "1"], &stage.0)?;
    }
    println!("   coordinator at {url}, {WORKERS} workers");

    let runtime = components::runtime()?;
    say("3. The communes, with every type inferred");
    let real = job(&stage.0, "communes", &communes)?;
    finished(&runtime.block_on(carry(&url, &real, None))?)?;
    say("4. The register, and worker 1 killed (kill -9) in the middle of it");
    let generated = job(&stage.0, "sirene", &sirene)?;
    let report = runtime.block_on(carry(&url, &generated, Some(&mut processes)))?;
    finished(&report)?;
    if report.counts.read != made.rows {
        return Err(Stop::failed(anyhow!("{} records were generated, {} read", made.rows, report.counts.read)));
    }
    if report.attempts <= report.partitions + 2 {
        return Err(Stop::failed(anyhow!(
            "no attempt was lost with the killed worker: the demonstration shows nothing"
        )));
    }
    say("5. What was published, read again (batteuse verify)");
    for name in ["communes", "sirene"] {
        verify::folder(&OutputDir::given("demo", &stage.0.join("out").join(name))?)?;
    }
    let seconds = components::now().since(began) as f64 / 1e3;
    println!("\nAll of it holds. {seconds:.1} s.");
    Ok(Code::Ok)
}

fn say(line: &str) {
    println!("\n{line}");
}

fn finished(report: &Report) -> Result<(), Stop> {
    println!(
        "   {}: {} partitions, {} attempts; {} read = {} written + {} rejected; {} files, {:.1} s, {:.0} MB/s",
        report.run,
        report.partitions,
        report.attempts,
        report.counts.read,
        report.counts.written,
        report.counts.rejected,
        report.files,
        report.seconds,
        report.bytes as f64 / 1e6 / report.seconds.max(0.001),
    );
    match exit::of(report) {
        Code::Ok => Ok(()),
        code => Err(Stop { code, error: anyhow!("run {} ended as {:?}", report.run, report.state) }),
    }
}

fn start(
    processes: &mut Processes,
    name: &str,
    args: &[&str],
    stage: &Path,
) -> Result<Option<std::process::ChildStdout>, Stop> {
    let binary = std::env::current_exe().context("this program's own path").map_err(Stop::unreachable)?;
    let log = stage.join(format!("{}.log", name.replace(' ', "-")));
    let log = File::create(log).context("a log file").map_err(Stop::unreachable)?;
    let mut child = Command::new(binary)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .with_context(|| format!("the process of {name}"))
        .map_err(Stop::unreachable)?;
    let out = child.stdout.take();
    processes.0.push((name.to_owned(), child));
    Ok(out)
}

/// Starts a coordinator on a free port and reads its address off its first line.
fn start_coordinator(processes: &mut Processes, stage: &Path) -> Result<String, Stop> {
    let state = stage.join("state").display().to_string();
    let args = ["coordinator", "--listen", "127.0.0.1:0", "--state", &state];
    let out = start(processes, "coordinator", &args, stage)?.ok_or_else(|| Stop::unreachable(anyhow!("no output")))?;
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line).context("the coordinator's address").map_err(Stop::unreachable)?;
    let url = line.trim().strip_prefix("listening on ").map(str::to_owned);
    url.ok_or_else(|| Stop::unreachable(anyhow!("the coordinator did not start; it said {line:?}")))
}

fn job(stage: &Path, name: &str, source: &Path) -> Result<PathBuf, Stop> {
    let url = |path: &Path| location::url_of_file(path).map_err(Stop::refused);
    let spec = format!(
        "apiVersion: batteuse.dev/v1alpha1\nkind: Ingest\nmetadata: {{name: {name}}}\nspec:\n  source: {{url: \"{}\"}}\n  \
         partition: {{bytes: {PARTITION}}}\n  output: {{parquet: {{url: \"{}/\"}}}}\n",
        url(source)?,
        url(&stage.join("out").join(name))?
    );
    let path = stage.join(format!("{name}.yaml"));
    fs::write(&path, spec).context("the spec").map_err(Stop::unreachable)?;
    Ok(path)
}

/// Submits a job and watches it to its end; kills worker 1 once a quarter of the bytes is done, where that is wished.
async fn carry(url: &str, spec: &Path, mut victims: Option<&mut Processes>) -> Result<Report, Stop> {
    let job = crate::config::read_job(spec).map_err(Stop::refused)?;
    let mut remote = Remote::connect(url).await?;
    let submission = batteuse_proto::Submission { job, client_request_id: components::run_suffix() };
    let reply = remote.client.submit(batteuse_proto::v1::SubmitRequest::from(submission)).await;
    let run = RunId::try_from(reply.map_err(remote::refused)?.into_inner()).map_err(Stop::unreachable)?;
    let watch = remote.client.watch(StatusRequest::from(run.clone())).await;
    let mut seen = watch.map_err(remote::refused)?.into_inner();
    while let Some(wire) = seen.message().await.map_err(remote::refused)? {
        let status = remote::read(wire)?;
        if status.partitions > 0 && status.bytes_done >= status.bytes / 4 {
            kill_first(victims.take(), &status)?;
        }
        if let Some(report) = remote::report_of(&status)? {
            return Ok(report);
        }
    }
    Err(Stop::unreachable(anyhow!("the coordinator stopped before run {run} ended")))
}

fn kill_first(victims: Option<&mut Processes>, status: &RunStatus) -> Result<(), Stop> {
    let Some(processes) = victims else { return Ok(()) };
    let victim = processes.0.iter_mut().find(|(name, _)| name == "worker 1");
    let (name, child) = victim.ok_or_else(|| Stop::failed(anyhow!("worker 1 is gone already")))?;
    child.kill().context("kill -9").map_err(Stop::failed)?;
    let _ = child.wait();
    println!("   {name} killed at {} of {} bytes, with {} leases out", status.bytes_done, status.bytes, status.running);
    Ok(())
}
