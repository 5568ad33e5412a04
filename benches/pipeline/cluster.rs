//! A coordinator and its workers as processes, one slot each: beside an embedded run, and two workers beside one.
//!
//! Every run has a cluster of its own, that is waiting when its time begins; its time is that of `batteuse submit --wait`, from the
//! start of the process to its end. The coordinator's CPU time is what it had from then until it was killed after the run.

use std::io::{BufRead, BufReader};
use std::path::Path;

use batteuse_shared::report::Report;

use super::figures::{Figures, ROUNDS, Turns, Wanted, verdict};
use super::meter::{Ended, Process, batteuse, remove, run, until};
use super::source::{Source, THREADS, told};

struct Cluster {
    url: String,
    coordinator: Process,
    workers: Vec<Process>,
}

impl Cluster {
    /// A cluster whose workers have come.
    fn start(state: &Path, workers: u32) -> Self {
        remove(state);
        let mut command = batteuse(&["coordinator", "--listen", "127.0.0.1:0", "--state"]);
        let mut coordinator = Process::start(command.arg(state));
        let mut line = String::new();
        BufReader::new(&mut coordinator.out).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").expect("it says where it listens").to_owned();
        let hire = |_| Process::start(&mut batteuse(&["worker", "--coordinator", &url, "--slots", "1"]));
        let workers: Vec<_> = (0..workers).map(hire).collect();
        until("the workers to come", || coordinator.said().matches("a worker has come").count() == workers.len());
        Self { url, coordinator, workers }
    }

    /// Runs a job.
    fn submit(&self, spec: &Path) -> (Ended, Report) {
        let words = ["submit", "--wait", "-o", "json", "--coordinator", &self.url, "-f"];
        told(run(batteuse(&words).arg(spec)))
    }

    /// Ends it: the CPU seconds of the coordinator's life.
    fn end(self) -> f64 {
        let ended = self.coordinator.kill().expect("it was running");
        for worker in self.workers {
            worker.kill().expect("it was running");
        }
        ended.cpu_seconds
    }
}

#[derive(Clone, Copy)]
enum Contestant {
    Embedded,
    /// Of so many workers.
    Cluster(u32),
}

/// What was measured, round by round.
#[derive(Default)]
struct Measured {
    embedded: Figures,
    one: Figures,
    two: Figures,
    /// The coordinator's CPU time with two workers, in percent of the run's time.
    coordinator: Figures,
}

pub fn section(source: &Source) {
    let mut contestants = [Contestant::Embedded, Contestant::Cluster(1), Contestant::Cluster(THREADS)];
    let tables = contestants.map(|contestant| {
        let report = turn(contestant, source, &mut Measured::default());
        (report.counts, report.digest)
    });
    assert!(tables.iter().all(|table| *table == tables[0]), "{}: the same rows: {tables:?}", source.shape);
    let (mut measured, mut turns) = (Measured::default(), Turns::new());
    for _ in 0..ROUNDS {
        turns.shuffle(&mut contestants);
        for contestant in contestants {
            let report = turn(contestant, source, &mut measured);
            assert_eq!((report.counts, report.digest), tables[0], "{}: every time the same", source.shape);
        }
    }
    print(source, &measured);
}

fn turn(contestant: Contestant, source: &Source, measured: &mut Measured) -> Report {
    let output = source.output("cluster");
    let report = match contestant {
        Contestant::Embedded => {
            let (ended, report) = source.convert(&output, Some(source.fine_partition_bytes()));
            measured.embedded.push(ended.seconds);
            report
        }
        Contestant::Cluster(workers) => {
            let cluster = Cluster::start(&output.with_extension("state"), workers);
            let before = cluster.coordinator.cpu_seconds();
            let (ended, report) = cluster.submit(&source.spec(&output));
            let coordinator_seconds = cluster.end() - before;
            if workers == 1 {
                measured.one.push(ended.seconds);
            } else {
                measured.two.push(ended.seconds);
                measured.coordinator.push(100.0 * coordinator_seconds / ended.seconds);
            }
            report
        }
    };
    source.output("cluster");
    report
}

fn print(source: &Source, measured: &Measured) {
    let Measured { embedded, one, two, coordinator } = measured;
    let shape = &source.shape;
    for (what, seconds) in [("embedded, two workers", embedded), ("cluster, two workers", two), ("one worker", one)] {
        let rate = source.megabytes() / seconds.median();
        println!("  {:<30} {:>21} s  {rate:>6.0} MB/s", format!("{shape}: {what}"), seconds.told());
    }
    let speed = embedded.by(two);
    let line = format!("{shape}: {} of the embedded speed", speed.told());
    verdict(&line, speed.median(), Wanted::AtLeast(0.97));
    let gain = one.by(two);
    verdict(&format!("{shape}: {} times as fast as one worker", gain.told()), gain.median(), Wanted::AtLeast(1.85));
    let line = format!("{shape}: the coordinator's CPU time is {} % of the run's time", coordinator.told());
    verdict(&line, coordinator.median(), Wanted::AtMost(1.0));
}
