//! End to end: batteuse and its peers convert one file, each as a process of its own, in turns.
//!
//! The peers are given the types, which batteuse infers; all must have written the same rows before anything is timed. A ratio is a
//! peer's time by batteuse's of the same round: of the peer without Python's start and imports, of batteuse the whole process.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::figures::{Figures, ROUNDS, Turns, Wanted, verdict};
use super::meter::{Ended, aside, own_memory_bytes, run};
use super::rows;
use super::source::{Source, THREADS};

/// The peers, as `benches/peers/convert.py` knows them.
const PEERS: [&str; 3] = ["duckdb", "polars", "datafusion"];
const OURS: &str = "batteuse";

/// What one contestant took, round by round.
struct Contestant {
    name: &'static str,
    /// Of the conversion: the peers' own word, or batteuse's whole process.
    seconds: Figures,
    whole_seconds: Figures,
    memory_bytes: u64,
    output_bytes: u64,
    table: rows::Table,
}

pub fn section(source: &Source) {
    let mut contestants: Vec<_> = [OURS].into_iter().chain(PEERS).map(|name| Contestant::new(name, source)).collect();
    let table = (source.manifest.rows, source.manifest.digest.to_string());
    for contestant in &contestants {
        assert_eq!(contestant.table, table, "{}: rows and their digest, names and types included", contestant.name);
    }
    let mut turns = Turns::new();
    for _ in 0..ROUNDS {
        turns.shuffle(&mut contestants);
        contestants.iter_mut().for_each(|contestant| contestant.turn(source));
    }
    contestants.sort_by_key(|contestant| [OURS].iter().chain(&PEERS).position(|name| *name == contestant.name));
    print(source, &contestants);
}

impl Contestant {
    /// A contestant, whose first conversion is looked at and not timed.
    fn new(name: &'static str, source: &Source) -> Self {
        let output = source.output(name);
        convert(name, source, &output);
        let told = run(&mut aside(&["--rows", output.to_str().unwrap()])).out;
        let table = serde_json::from_str(&told).unwrap();
        let output_bytes = rows::bytes(&output);
        let (seconds, whole_seconds) = (Figures::default(), Figures::default());
        Self { name, seconds, whole_seconds, memory_bytes: 0, output_bytes, table }
    }

    fn turn(&mut self, source: &Source) {
        let output = source.output(self.name);
        let (ended, seconds, rows) = convert(self.name, source, &output);
        assert_eq!(rows, self.table.0, "{}: every time the same", self.name);
        self.seconds.push(seconds);
        self.whole_seconds.push(ended.seconds);
        assert!(ended.memory_bytes > own_memory_bytes(), "{}: its memory is unknown", self.name);
        self.memory_bytes = self.memory_bytes.max(ended.memory_bytes);
        source.output(self.name);
    }
}

/// One conversion: the process, its seconds, and rows.
fn convert(name: &str, source: &Source, output: &Path) -> (Ended, f64, u64) {
    if name == OURS {
        let (ended, report) = source.convert(output, None);
        let seconds = ended.seconds;
        return (ended, seconds, report.counts.written);
    }
    let job = json!({"source": source.path, "output": output, "threads": THREADS, "columns": source.columns()});
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/convert.py");
    let ended = run(Command::new(python()).arg(script).arg(name).arg(job.to_string()));
    let told: Value = serde_json::from_str(ended.out.trim()).unwrap();
    let (seconds, rows) = (told["seconds"].as_f64().unwrap(), told["rows"].as_u64().unwrap());
    (ended, seconds, rows)
}

/// The Python that has the peers: `make bench` installs it there.
fn python() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let python = target.join("parts/python/bin/python");
    assert!(python.exists(), "{} is not there: start this benchmark by `make bench`", python.display());
    python
}

fn print(source: &Source, contestants: &[Contestant]) {
    let (ours, peers) = contestants.split_first().unwrap();
    let (rows, digest) = &ours.table;
    println!("{}: {rows} rows, the same of all (digest {digest})", source.shape);
    println!(
        "  {:<11} {:>21} {:>6}  {:>21} {:>10} {:>10}  its seconds / batteuse's",
        "", "seconds", "MB/s", "whole process", "output MB", "memory MB"
    );
    for contestant in contestants {
        let ratio = contestant.seconds.by(&ours.seconds).told();
        println!(
            "  {:<11} {:>21} {:>6.0}  {:>21} {:>10.1} {:>10.0}  {}",
            contestant.name,
            contestant.seconds.told(),
            source.megabytes() / contestant.seconds.median(),
            contestant.whole_seconds.told(),
            contestant.output_bytes as f64 / 1e6,
            contestant.memory_bytes as f64 / 1e6,
            if contestant.name == OURS { "" } else { &ratio },
        );
    }
    let ratio = |peer: &Contestant| peer.seconds.by(&ours.seconds);
    let fastest = peers.iter().min_by(|a, b| ratio(a).median().total_cmp(&ratio(b).median())).unwrap();
    let line = format!("{}: {} times as fast as the fastest, {}", source.shape, ratio(fastest).told(), fastest.name);
    verdict(&line, ratio(fastest).median(), Wanted::AtLeast(2.5));
    let smallest = peers.iter().min_by_key(|peer| peer.output_bytes).unwrap();
    let ratio = ours.output_bytes as f64 / smallest.output_bytes as f64;
    let line = format!("{}: {ratio:.3} of the smallest output, {}'s", source.shape, smallest.name);
    verdict(&line, ratio, Wanted::AtMost(1.05));
}
