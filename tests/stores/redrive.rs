//! Runs into stores and tables that failed and are redriven: what they had staged is kept where it lies, and counts.
//!
//! Invariant: what comes of it is what an undisturbed run comes to, once, and nothing that was staged is left.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::runs::{Site, left_over, must_be_swept, table};
use super::tables::Barn;
use crate::support::binary::{Ended, Process};
use crate::support::servers::Seaweed;

/// A coordinator that `start` starts, and workers that it starts.
struct Scene<'s> {
    start: &'s dyn Fn(&[&str]) -> Process,
    _coordinator: Process,
    url: String,
}

impl<'s> Scene<'s> {
    fn new(start: &'s dyn Fn(&[&str]) -> Process, state: &Path) -> Self {
        let args = ["coordinator", "--lease-ttl", "3", "--listen", "127.0.0.1:0", "--state", state.to_str().unwrap()];
        let coordinator = start(&args);
        let url = coordinator.line_of_out("listening on ").trim_start_matches("listening on ").trim().to_owned();
        Self { start, _coordinator: coordinator, url }
    }

    fn ask(&self, args: &[&str]) -> Ended {
        (self.start)(&[args, &["--coordinator", &self.url]].concat()).wait()
    }

    /// Lets a run fail by the record in the middle of its source; its report.
    fn fail(&self, spec: &str, source: &Path) -> Value {
        let text = fs::read_to_string(source).unwrap();
        let half = text.len() / 2;
        let poison = half + text[half..].find('\n').unwrap() + 1;
        let chaos = format!("poison={poison}:panic");
        let worker = (self.start)(&["worker", "--slots", "1", "--coordinator", &self.url, "--chaos", &chaos]);
        let report = self.ask(&["submit", "-f", spec, "--wait", "-o", "json"]).expect(8).json();
        assert!(worker.killed());
        report
    }

    fn redrive(&self, failed: &Value) -> Value {
        let _worker = (self.start)(&["worker", "--slots", "1", "--coordinator", &self.url]);
        let report = self.ask(&["redrive", failed["run"].as_str().unwrap(), "--wait", "-o", "json"]).expect(4).json();
        assert_eq!(report["redrives"], Value::from(1));
        report
    }
}

#[test]
fn uploads_of_a_run_that_failed_are_kept_and_completed() {
    let server = Seaweed::start();
    let site = Site::new(server.bucket("barn"), server.env());
    let undisturbed = site.on_a_disk();
    let (start, url) = (|args: &[&str]| site.start(args), site.url("redriven"));
    let scene = Scene::new(&start, &site.folder.path().join("state"));
    let failed = scene.fail(&site.spec("redriven", &url), &site.source);
    let folder = site.output("redriven");
    let kept = left_over(&*folder);
    assert!(kept > 10, "{kept} files and uploads are kept");
    site.ask(&["gc", &url]).expect(0).says(&["batteuse redrive"]);
    assert_eq!(left_over(&*folder), kept);
    scene.redrive(&failed);
    // Its cuts are others: the range that failed was halved.
    let redriven = table(&*folder, site.folder.path());
    assert_eq!(redriven.content(), undisturbed.content());
    must_be_swept(&*folder);
    site.ask(&["verify", &url]).expect(0);
    // One that is given up.
    let url = site.url("given-up");
    scene.fail(&site.spec("given-up", &url), &site.source);
    let folder = site.output("given-up");
    assert!(left_over(&*folder) > 10);
    site.ask(&["gc", &url, "--give-up"]).expect(0);
    must_be_swept(&*folder);
}

#[test]
fn rows_that_a_run_which_failed_had_staged_are_moved_once() {
    let barn = Barn::new();
    let line = |row: u32| if row == 77 { "77,one,two\n".to_owned() } else { format!("{row},name {row}\n") };
    let source = format!("id,name\n{}", (0..4_000).map(line).collect::<String>());
    let start = |args: &[&str]| barn.start(args);
    let scene = Scene::new(&start, &barn.out("state"));
    let more = "  rejects: {tolerate: {count: 1}}\n";
    let spec = barn.spec("undisturbed", &source, 12, "table: undisturbed", more);
    barn.run(&spec, 4);
    let spec = barn.spec("redriven", &source, 12, "table: redriven", more);
    let failed = scene.fail(&spec, &barn.out("redriven.csv"));
    assert!(barn.staged().len() > 5, "{:?}", barn.staged());
    scene.redrive(&failed);
    assert_eq!(barn.content("redriven"), barn.content("undisturbed"));
    assert_eq!(barn.staged(), [""; 0]);
}
