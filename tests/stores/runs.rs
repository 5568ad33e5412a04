//! Whole runs into real stores, by the real binary: what they publish equals what a run onto a disk does, killed or not.
//!
//! Invariant: nothing is seen in the output folder before the run is decided, and nothing that was staged is left when it is done.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use batteuse_coordinator::claim;
use batteuse_coordinator::journal::{Journal, State, state_at};
use batteuse_coordinator::scheduler::Fact;
use batteuse_shared::layout;
use batteuse_shared::limits::TEXT_BYTES_MAX;
use batteuse_store::{Folder, Stores, tree};
use serde_json::Value;
use tempfile::TempDir;

use super::files;
use super::journals::in_database;
use crate::recovery::{Chance, dirty, dirty_over};
use crate::support::binary::{BINARY, Ended, Process, until};
use crate::support::gate::Gate;
use crate::support::published;
use crate::support::servers::{Azurite, Postgres, Seaweed};

const ROWS: usize = 6_000;
pub const PARTITIONS: u64 = 40;

/// A source, where runs of it go, and what they need to know of the store.
pub struct Site {
    pub folder: TempDir,
    pub source: PathBuf,
    base: String,
    env: Vec<(String, String)>,
    stores: Arc<Stores>,
    /// By which column files lie in folders; empty: there are none.
    by: &'static str,
}

impl Site {
    pub fn new(base: String, env: Vec<(String, String)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("dirty.csv");
        fs::write(&source, dirty(ROWS)).unwrap();
        let stores = Arc::new(Stores::new(env.clone()));
        Self { folder, source, base, env, stores, by: "" }
    }

    /// The same with files in folders by three days.
    pub fn in_folders(self) -> Self {
        fs::write(&self.source, dirty_over(ROWS, 2)).unwrap();
        Self { by: "jour", ..self }
    }

    /// One whose runs reach the store through a gate; who looks at it from outside does not.
    pub fn gated(base: String, env: Vec<(String, String)>) -> (Self, Gate) {
        let (gate, through) = Gate::before(&env);
        (Self { env: through, ..Self::new(base, env) }, gate)
    }

    pub fn url(&self, name: &str) -> String {
        format!("{}{name}/", self.base)
    }

    pub fn output(&self, name: &str) -> Arc<dyn Folder> {
        self.stores.folder(&self.url(name)).unwrap()
    }

    pub fn state(&self, name: &str) -> State {
        state_at(&format!("{}{}/", self.url(name), layout::EMBEDDED_STATE), &self.stores).unwrap()
    }

    pub fn start(&self, args: &[&str]) -> Process {
        let mut command = Command::new(BINARY);
        command.args(args).env_remove("BATTEUSE_LOG").envs(self.env.iter().cloned());
        Process::spawn(command)
    }

    pub fn ask(&self, args: &[&str]) -> Ended {
        self.start(args).wait()
    }

    /// The spec of a run to `url`.
    pub fn spec(&self, name: &str, url: &str) -> String {
        let bytes = fs::metadata(&self.source).unwrap().len().div_ceil(PARTITIONS);
        let path = self.folder.path().join(format!("{name}.yaml"));
        let text = format!(
            "apiVersion: batteuse.dev/v1alpha1\nkind: Ingest\nmetadata: {{name: {name}}}\nspec:\n  source: {{url: \"{}\"}}\n  \
             output: {{parquet: {{url: \"{url}\", partitionBy: [{}]}}}}\n  partition: {{bytes: {bytes}}}\n  rejects: {{tolerate: {{count: 1000}}}}\n",
            batteuse_shared::location::url_of_file(&self.source).unwrap(),
            self.by
        );
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// What an undisturbed run onto a disk comes to.
    pub fn on_a_disk(&self) -> Table {
        let dir = self.folder.path().join("disk");
        let url = batteuse_shared::location::url_of_dir(&dir).unwrap();
        self.ask(&["run", "-f", &self.spec("disk", &url)]).expect(4);
        table(&*self.stores.folder(&url).unwrap(), self.folder.path())
    }
}

/// What makes a published table, but for names and attempts.
#[derive(Debug, PartialEq)]
pub struct Table {
    columns: Value,
    rows: Value,
    digest: Value,
    /// Span, rows and digest of each part.
    parts: Vec<[Value; 3]>,
    rejects: Vec<Vec<Option<String>>>,
}

impl Table {
    /// The same, but for how the source was cut.
    pub fn content(&self) -> impl PartialEq + std::fmt::Debug {
        (&self.columns, &self.rows, &self.digest, &self.rejects)
    }
}

pub fn json(folder: &dyn Folder, path: &str) -> Value {
    let text = folder.read(path, TEXT_BYTES_MAX).unwrap().unwrap_or_else(|| panic!("{path} is not there"));
    serde_json::from_slice(&text).unwrap()
}

pub fn table(folder: &dyn Folder, scratch: &Path) -> Table {
    let success = json(folder, layout::SUCCESS);
    let manifest = json(folder, success["manifest"].as_str().unwrap());
    let run = batteuse_shared::ids::RunId::new(success["run"].as_str().unwrap()).unwrap();
    let copy = scratch.join("rejects.parquet");
    fs::write(&copy, folder.read(&layout::rejects(&run), 1 << 30).unwrap().unwrap()).unwrap();
    let (_, rejects) = published::rejects(&copy);
    let part = |part: &Value| [part["span"].clone(), part["rows"].clone(), part["digest"].clone()];
    Table {
        columns: manifest["columns"].clone(),
        rows: manifest["rows"].clone(),
        digest: manifest["digest"].clone(),
        parts: manifest["parts"].as_array().unwrap().iter().map(part).collect(),
        rejects,
    }
}

/// The names in the output folder that a reader takes for a table.
pub fn seen(folder: &dyn Folder) -> Vec<String> {
    let names = tree(folder).unwrap().unwrap_or_default().into_iter().map(|entry| entry.name);
    names.filter(|name| name.contains("part-") || name == layout::SUCCESS).collect()
}

pub fn facts(state: &State, folder: &dyn Folder) -> Vec<Fact> {
    let Some((_, claim)) = claim::current(folder).unwrap() else { return Vec::new() };
    Journal::read::<Fact>(&**state, &claim.run).unwrap().facts.into_iter().map(|(_, fact)| fact).collect()
}

pub fn decided(facts: &[Fact]) -> bool {
    facts.iter().any(|fact| matches!(fact, Fact::RunDecided(_)))
}

/// Staged files and uploads that are left.
pub fn left_over(folder: &dyn Folder) -> usize {
    let run = claim::current(folder).unwrap().unwrap().1.run;
    files(folder, &layout::staging_dir(&run)).len() + folder.pending_uploads().unwrap().unwrap_or_default().len()
}

pub fn must_be_swept(folder: &dyn Folder) {
    let run = claim::current(folder).unwrap().unwrap().1.run;
    assert_eq!(files(folder, &layout::staging_dir(&run)), [""; 0], "what was staged is gone");
    assert!(folder.pending_uploads().unwrap().unwrap_or_default().is_empty(), "no upload is left");
}

pub fn a_run_is_as_one_onto_a_disk(site: &Site) {
    let url = site.url("plain");
    let spec = site.spec("plain", &url);
    site.ask(&["run", "-f", &spec]).expect(4);
    let folder = site.output("plain");
    assert_eq!(table(&*folder, site.folder.path()), site.on_a_disk());
    must_be_swept(&*folder);
    site.ask(&["verify", &url]).expect(0).says(&[]);
    site.ask(&["status", &url]).expect(0);
    site.ask(&["resume", "--to", &url]).expect(4);
    let again = site.ask(&["run", "-f", &spec]).expect(12);
    assert!(again.err.contains("holds the table of run"), "{}", again.err);
}

/// Adds to a table and replaces it, by the real binary.
fn a_table_is_gone_on_from(site: &Site) {
    let url = site.url("modes");
    let spec = |mode: &str| {
        let path = site.spec(&format!("modes-{mode}"), &url);
        let text = fs::read_to_string(&path).unwrap().replace("parquet: {", &format!("parquet: {{mode: {mode}, "));
        fs::write(&path, text).unwrap();
        path
    };
    let folder = site.output("modes");
    let rows = || json(&*folder, layout::SUCCESS)["rows"].as_u64().unwrap();
    site.ask(&["run", "-f", &spec("error")]).expect(4);
    let (once, first) = (rows(), seen(&*folder));
    let mut tables = vec![(once, first.clone())];
    for (mode, times) in [("append", 2), ("overwrite", 1), ("append", 2)] {
        site.ask(&["run", "-f", &spec(mode)]).expect(4);
        site.ask(&["verify", &url]).expect(0);
        assert_eq!(rows(), times * once, "{mode}");
        must_be_swept(&*folder);
        tables.push((rows(), seen(&*folder)));
    }
    let common = |a: &[String], b: &[String]| a.iter().filter(|name| b.contains(name)).count();
    // `_SUCCESS` is in all of them.
    let parts = first.len() - 1;
    assert_eq!(common(&tables[0].1, &tables[1].1), parts + 1, "what is added to stays");
    assert_eq!(common(&tables[1].1, &tables[2].1), 1, "what is replaced goes");
}

/// Runs that take a table's place are killed, and what `_SUCCESS` lists is there all the time.
fn killed_runs_take_the_place(site: &Site, rounds: u32) {
    let undisturbed = site.on_a_disk();
    let (mut hits, mut chance) = (0, Chance(11));
    let (url, folder, state) = (site.url("place"), site.output("place"), site.state("place"));
    site.ask(&["run", "-f", &site.spec("place", &url)]).expect(4);
    let path = site.spec("place-again", &url);
    let text = fs::read_to_string(&path).unwrap().replace("parquet: {", "parquet: {mode: overwrite, ");
    fs::write(&path, text).unwrap();
    let listed = || {
        let success = json(&*folder, layout::SUCCESS);
        let there = seen(&*folder);
        let names = success["files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap().to_owned());
        names.inspect(|name| assert!(there.contains(name), "{name} is listed and not there")).collect::<Vec<_>>()
    };
    for round in 0..rounds * 2 {
        let (before, holder) = (listed(), claim::current(&*folder).unwrap().unwrap().0);
        let taken = || claim::current(&*folder).unwrap().unwrap().0 > holder;
        let mut process = site.start(&["run", "-f", &path, "--workers", "2"]);
        until("the folder to be taken", || (taken() || !process.running()).then_some(()));
        // Any of its slots, those of publishing as likely as those before.
        let wanted = chance.below(PARTITIONS + 10);
        let slots = || facts(&state, &*folder).len() as u64;
        until("the run to go on", || (slots() >= wanted || !process.running()).then_some(()));
        let killed = process.kill();
        hits += u32::from(killed);
        let (left, now) = (facts(&state, &*folder), listed());
        if !decided(&left) {
            assert_eq!(now, before, "VISIBLE-IS-DECIDED");
        }
        match left.is_empty() {
            true => site.start(&["run", "-f", &path]),
            false => site.start(&["resume", "--to", &url, "--workers", "2"]),
        }
        .wait()
        .expect(4);
        assert!(listed().iter().all(|name| !before.contains(name)) && seen(&*folder).len() == listed().len() + 1);
        assert_eq!(table(&*folder, site.folder.path()), undisturbed, "round {round}");
        must_be_swept(&*folder);
        if hits >= rounds {
            return;
        }
    }
    panic!("only {hits} kills hit");
}

/// A coordinator with its state at `state`, and two workers: the coordinator is killed once, and the run ends.
fn a_cluster_survives_its_coordinator(site: &Site, state: &str, name: &str) {
    let url = site.url(name);
    let spec = site.spec(name, &url);
    let listening = |listen: &str| {
        let process = site.start(&["coordinator", "--listen", listen, "--state", state]);
        let line = process.line_of_out("listening on ");
        (process, line.trim_start_matches("listening on ").trim().to_owned())
    };
    let (mut coordinator, at) = listening("127.0.0.1:0");
    let _workers = [0, 1].map(|_| site.start(&["worker", "--coordinator", &at, "--slots", "1"]));
    site.ask(&["submit", "-f", &spec, "--coordinator", &at]).expect(0);
    let (store, folder) = (state_at(state, &site.stores).unwrap(), site.output(name));
    until("the run to go on", || (facts(&store, &*folder).len() >= 12).then_some(()));
    assert!(coordinator.kill());
    let undecided = !decided(&facts(&store, &*folder));
    assert!(undecided, "it was killed in the middle");
    assert_eq!(seen(&*folder), [""; 0], "VISIBLE-IS-DECIDED");
    let (_coordinator, _) = listening(at.trim_start_matches("http://"));
    let done = || matches!(facts(&store, &*folder).last(), Some(Fact::RunDone { .. }));
    until("the run to end", || done().then_some(()));
    assert_eq!(table(&*folder, site.folder.path()), site.on_a_disk());
    must_be_swept(&*folder);
}

#[test]
fn runs_into_s3_are_as_onto_a_disk() {
    let server = Seaweed::start();
    a_run_is_as_one_onto_a_disk(&Site::new(server.bucket("grain"), server.env()));
}

#[test]
fn runs_into_azure_are_as_onto_a_disk() {
    let server = Azurite::start();
    a_run_is_as_one_onto_a_disk(&Site::new(server.container("grain"), server.env()));
}

#[test]
fn a_table_in_s3_is_gone_on_from() {
    let server = Seaweed::start();
    a_table_is_gone_on_from(&Site::new(server.bucket("grain"), server.env()));
}

#[test]
fn killed_runs_into_s3_take_the_place() {
    let server = Seaweed::start();
    killed_runs_take_the_place(&Site::new(server.bucket("grain"), server.env()), 8);
}

#[test]
fn a_cluster_keeps_its_state_in_s3() {
    let server = Seaweed::start();
    let site = Site::new(server.bucket("grain"), server.env());
    a_cluster_survives_its_coordinator(&site, &site.url("state"), "cluster");
}

#[test]
fn a_cluster_keeps_its_state_in_postgresql() {
    let (database, server) = (Postgres::start(), Seaweed::start());
    let (state, mut env) = in_database(&database);
    env.extend(server.env());
    a_cluster_survives_its_coordinator(&Site::new(server.bucket("grain"), env), &state, "cluster");
}
