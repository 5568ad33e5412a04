//! CSV to Parquet: batteuse beside DuckDB, Polars and DataFusion, its encoder beside ArrowWriter, a cluster beside an embedded run.
//!
//! All read the same generated files, warm in the page cache, and write zstd at level 3. What is compared runs in turns, in an order
//! drawn for each round; the figure to quote is the median of the paired ratios, and beside it stand the least and the most. That all
//! wrote the same rows is asserted before anything is timed. `BATTEUSE_BENCH_BYTES` asks for another size than 1GB,
//! `BATTEUSE_BENCH_ONLY` for some sections only, by their names and with commas between them.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a benchmark: it reads clocks, starts processes and stops at the first failure"
)]

mod cluster;
#[allow(dead_code, reason = "it is shared with benchmarks that need more")]
#[path = "../common/mod.rs"]
mod common;
mod encode;
mod end_to_end;
mod figures;
mod meter;
mod resume;
mod rows;
mod small;
mod source;

use std::path::Path;

use self::common::bytes_asked;
use self::figures::ROUNDS;
use self::meter::{aside, run};
use self::source::{Source, THREADS};

/// Measures one file and prints its lines.
type Section = fn(&Source);

const SECTIONS: [(&str, &str, Section); 5] = [
    ("e2e", "End to end", end_to_end::section),
    ("encode", "Encoding alone, one thread", encode_aside),
    ("cluster", "Coordinator and workers as processes", cluster::section),
    ("small", "A small file", small::section),
    ("resume", "Resuming after kill -9 at half", resume::section),
];

fn main() {
    let words: Vec<String> = std::env::args().collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [_, "--rows", path] => println!("{}", serde_json::to_string(&rows::table(Path::new(path))).unwrap()),
        [_, "--encode", shape, path] => encode::measure(&Source::open(shape, Path::new(path))),
        _ => all(),
    }
}

fn all() {
    let (bytes, sections) = (bytes_asked(), asked());
    println!(
        "{bytes} a file, {THREADS} threads, {ROUNDS} rounds; where there are three figures, they are min / median / max"
    );
    let folder = tempfile::Builder::new().prefix("batteuse-bench-").tempdir().unwrap();
    let sources = ["sirene", "taxi"].map(|shape| Source::generate(shape, &bytes, folder.path()));
    for (name, title, section) in sections {
        println!("\n{title} ({name})");
        sources.iter().for_each(section);
    }
}

/// The sections that are asked for, in their order.
fn asked() -> Vec<(&'static str, &'static str, Section)> {
    let mut sections = SECTIONS.to_vec();
    if let Ok(only) = std::env::var("BATTEUSE_BENCH_ONLY") {
        let names = SECTIONS.map(|(name, ..)| name);
        assert!(
            only.split(',').all(|asked| names.contains(&asked)),
            "BATTEUSE_BENCH_ONLY={only}: give names of {names:?}"
        );
        sections.retain(|(name, ..)| only.split(',').any(|asked| asked == *name));
    }
    sections
}

/// In a process of its own: it takes memory.
fn encode_aside(source: &Source) {
    print!("{}", run(&mut aside(&["--encode", &source.shape, source.path.to_str().unwrap()])).out);
}
