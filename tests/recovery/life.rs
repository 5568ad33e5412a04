//! One life of an embedded run in this process: begun or resumed as `run` and `resume` do it, perhaps stopped dead on the way.
//!
//! Invariant: with one crew that does one thing at a time, the actions of a life are the same whenever it is lived again, so
//! that their number names an instant. The clock stands still: nothing but a kill may depend on time.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use batteuse_coordinator::admit::{Admission, Ground, admit};
use batteuse_coordinator::driver::{Components, Driver, DriverError, Probe, Until};
use batteuse_coordinator::journal::{Journal, Position};
use batteuse_coordinator::scheduler::{Fact, Run, Timing};
use batteuse_shared::spec::{Job, Mode};
use batteuse_shared::task::Task;
use batteuse_shared::time::Millis;
use batteuse_shared::{layout, location};
use batteuse_store::Stores;
use tempfile::TempDir;
use tokio::sync::{Notify, watch};

use super::crew::{Crew, Mishap};
use super::{kept_in, run_of, state};

/// What happens to a run beside being killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// One partition, and nothing happens.
    Plain,
    /// A worker that sees nothing, one that comes twice, a crash, reports told twice, a guess of types that is wrong.
    Whole,
    /// As `Whole`, and there are more rejects than the spec bears.
    TooManyRejects,
    /// As `Whole`, and an operator gives it up in the middle.
    Cancelled,
    /// As `Whole`, and it is interrupted in order in the middle.
    SteppedDown,
    /// As `Whole`, and two staged parts are lost when it is decided.
    Lost,
}

/// A source, and what is to be done with it.
pub struct Stage {
    folder: TempDir,
    pub source: PathBuf,
    pub scenario: Scenario,
    mode: Mode,
    /// Whether files lie in folders by `jour`.
    in_folders: bool,
}

/// Partitions of every scenario but `Plain`.
pub const PARTITIONS: u64 = 6;

/// Rows of every scenario.
const ROWS: usize = 420;

/// One row in so many is no record: it has too few fields.
pub const RAGGED_EACH: usize = 35;

/// A dirty file: ragged records, quoted fields that hold lines which look like records (one of them lies over a cut), and
/// one value in the last record that no other tells the type of.
pub fn dirty(rows: usize) -> String {
    dirty_over(rows, 28)
}

/// The same with so many days in `jour`, and one more in the last record.
pub fn dirty_over(rows: usize, days: usize) -> String {
    let mut text = "id,txt,n,jour\n".to_owned();
    for id in 0..rows {
        let txt = match id % 70 {
            7 => format!("\"start\n{}end\"", "x,fake row,y,z\n".repeat(90)),
            20 => "\"she said \"\"no\"\", then\r\nleft\"".to_owned(),
            _ => format!("plain {id}"),
        };
        match id % RAGGED_EACH {
            11 => text += &format!("{id},{txt}\n"),
            _ => text += &format!("{id},{txt},{},2024-02-{:02}\n", id * 3, id % days + 1),
        }
    }
    text + &format!("{rows},last,12.5,2024-03-01\n")
}

impl Stage {
    pub fn new(scenario: Scenario) -> Self {
        Self::under(scenario, Mode::Error)
    }

    /// The runs go on from a table under `mode`.
    pub fn under(scenario: Scenario, mode: Mode) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("dirty.csv");
        fs::write(&source, dirty(ROWS)).unwrap();
        Self { folder, source, scenario, mode, in_folders: false }
    }

    /// As [`Stage::under`], with files in folders by so many days and one.
    pub fn in_folders(scenario: Scenario, mode: Mode, days: usize) -> Self {
        let stage = Self::under(scenario, mode);
        fs::write(&stage.source, dirty_over(ROWS, days)).unwrap();
        Self { in_folders: true, ..stage }
    }

    /// An output folder of this name.
    pub fn dir(&self, name: &str) -> PathBuf {
        self.folder.path().join("out").join(name)
    }

    pub fn job(&self, dir: &Path) -> Job {
        let bytes = fs::metadata(&self.source).unwrap().len();
        let partitions = if self.scenario == Scenario::Plain { 1 } else { PARTITIONS };
        let ragged = ROWS / RAGGED_EACH;
        let tolerate = if self.scenario == Scenario::TooManyRejects { ragged - 1 } else { ragged };
        let by: &[&str] = if self.in_folders { &["jour"] } else { &[] };
        let spec = serde_json::json!({
            "apiVersion": "batteuse.dev/v1alpha1", "kind": "Ingest", "metadata": {"name": "dirty"},
            "spec": {
                "source": {"url": location::url_of_file(&self.source).unwrap()},
                "partition": {"bytes": bytes.div_ceil(partitions)},
                "output": {"parquet": {"url": location::url_of_dir(dir).unwrap(), "mode": self.mode, "partitionBy": by}},
                "rejects": {"tolerate": {"count": tolerate}},
            },
        });
        serde_json::from_value(spec).unwrap()
    }
}

/// A clock that stands still.
fn clock() -> Millis {
    Millis(1_700_000_000_000)
}

/// How a life ended.
#[derive(Debug)]
pub enum End {
    /// The run has ended.
    Ended,
    /// Stopped dead.
    Killed,
    /// It was left in order.
    SteppedDown,
}

/// What was seen of one life.
pub struct Life {
    pub end: End,
    /// The name of each action that was begun, in order; of publishing, the name of each file made.
    pub actions: Vec<String>,
    /// Each lease, with the number of facts that were durable when it came.
    pub leases: Vec<(usize, Task)>,
    /// Mishaps that did not come to happen.
    pub spared: Vec<Mishap>,
}

/// Names the actions, and stops the driver dead before one of them.
struct Trap {
    at: Option<usize>,
    actions: Mutex<Vec<String>>,
    sprung: Notify,
}

impl Trap {
    fn meet(&self, action: &str) -> ControlFlow<()> {
        let mut actions = self.actions.lock().unwrap();
        if self.at == Some(actions.len()) {
            self.sprung.notify_one();
            return ControlFlow::Break(());
        }
        // The folder of a step has the run's id in it, which is drawn.
        actions.push(action.rsplit('/').next().unwrap_or_default().to_owned());
        ControlFlow::Continue(())
    }
}

/// The run that holds `dir`, rebuilt from its journal; none when no run began there.
pub fn held(dir: &Path) -> Option<(Run, Position)> {
    let replayed = Journal::read::<Fact>(&*kept_in(&state(dir)), &run_of(dir)?).unwrap();
    let run = Run::replay(replayed.facts.into_iter().map(|(_, fact)| fact))?;
    Some((run, replayed.position))
}

/// Lives one life of the run in `dir`, until its end or until it is stopped dead before the action number `kill_at`.
pub fn live(stage: &Stage, dir: &Path, kill_at: Option<usize>) -> Life {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let life = async { tokio::time::timeout(Duration::from_secs(60), one_life(stage, dir, kill_at)).await };
    runtime.block_on(life).unwrap_or_else(|_| panic!("PROGRESS: a life killed at {kill_at:?} does not end"))
}

async fn one_life(stage: &Stage, dir: &Path, kill_at: Option<usize>) -> Life {
    // A run of another mode is an earlier one, whose table stands there.
    let held = held(dir).filter(|(run, _)| run.accepted().job.spec.output.mode() == stage.mode);
    if held.as_ref().is_some_and(|(run, _)| run.done()) {
        // As `resume` does: it only tells the report again.
        return Life { end: End::Ended, actions: Vec::new(), leases: Vec::new(), spared: Vec::new() };
    }
    let trap = Arc::new(Trap { at: kill_at, actions: Mutex::default(), sprung: Notify::new() });
    let (probe, writer) = (trap.clone(), uuid::Uuid::new_v4());
    let (kept, stores) = (kept_in(&state(dir)), Arc::new(Stores::new([])));
    let probe: Option<Probe> = Some(Arc::new(move |action| probe.meet(action)));
    let components = Components { state: kept, stores, clock, writer, timing: Timing::default(), probe };
    let (driver, handle) = Driver::new(components);
    let mishaps = if held.is_none() { Mishap::of(stage.scenario) } else { Vec::new() };
    let (stop, stopped) = watch::channel(false);
    let crew = Crew::new(handle, dir, mishaps, stop);
    // The driver is dropped where its part ends, so that the crew's stream closes as in a killed process.
    let driven = async {
        tokio::select! {
            ended = drive(driver, held, stage, dir, writer, stopped) => ended,
            // A step of publishing that is stopped dead does not stop the driver by itself.
            () = trap.sprung.notified() => Err(DriverError::Stopped),
        }
    };
    let (ended, worked) = tokio::join!(driven, crew.work());
    let actions = trap.actions.lock().unwrap().clone();
    let end = match ended {
        Ok(true) => End::Ended,
        Ok(false) => End::SteppedDown,
        Err(DriverError::Stopped) => End::Killed,
        Err(error) => panic!("a life killed at {kill_at:?}: {error}"),
    };
    Life { end, actions, leases: worked.leases, spared: worked.spared }
}

/// Begins or resumes the run as the commands do, and carries it on; tells whether it has ended.
async fn drive(
    mut driver: Driver,
    held: Option<(Run, Position)>,
    stage: &Stage,
    dir: &Path,
    writer: uuid::Uuid,
    stopped: watch::Receiver<bool>,
) -> Result<bool, DriverError> {
    match held {
        Some((run, position)) => driver.adopt(run, position).await?,
        None => {
            let claimed_as = layout::EMBEDDED_STATE.to_owned();
            let (state, stores) = (kept_in(&state(dir)), Arc::new(Stores::new([])));
            let ground = Ground { claimed_as, state, stores, clock, writer };
            let request = uuid::Uuid::new_v4().simple().to_string();
            let admitted = admit(stage.job(dir), &request, &ground);
            let Ok(Admission::New(accepted)) = admitted else { panic!("a new run is admitted: {admitted:?}") };
            driver.accept(*accepted).await?;
        }
    }
    let statuses = driver.run(Until::NoOpenRun, stopped).await?;
    Ok(statuses.values().all(|status| status.report.is_some()))
}
