//! What wrong guesses cost: a file every cut of which lies amid a quoted field full of lines that look like records, beside its
//! twin, every cut of which lies between two records.
//!
//! Both hold the same records but for the length of the first, which shifts all others. As many workers as partitions, so that all
//! but the first are guessed. What was guessed is asserted before anything is timed; runs go in turns (A B A B ...), each as a
//! whole process, and the figure to quote is the median of the paired ratios: at most 2.2.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a benchmark: it reads clocks, starts processes and stops at the first failure"
)]

#[allow(dead_code, reason = "it is shared with benchmarks that need more")]
mod common;

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use batteuse_shared::limits::PARTITION_BYTES_DEFAULT;
use batteuse_shared::report::{Report, Seams};
use batteuse_shared::spec::parse_bytes;

use self::common::{bytes_asked, spread};

/// Pairs that are timed, after one that is not.
const PAIRS: usize = 5;
/// Bytes of a record, which divide a partition's.
const RECORDS_BYTES: [u64; 2] = [4 << 10, 1 << 20];

const HEADER: &str = "id,txt,n\n";
const FALSE_RECORD: &str = "7,fake row,7\n";

fn main() {
    let dir = tempfile::Builder::new().prefix("batteuse-bench-").tempdir().unwrap();
    let partitions = (parse_bytes(&bytes_asked()).unwrap() / PARTITION_BYTES_DEFAULT).max(2);
    println!("{partitions} partitions and workers, {PAIRS} pairs; seconds are min / median / max of whole processes");
    for record in RECORDS_BYTES {
        let (wrong, right) = (dir.path().join("wrong.csv"), dir.path().join("right.csv"));
        write(&wrong, record / 2, record, partitions * PARTITION_BYTES_DEFAULT).unwrap();
        write(&right, record, record, partitions * PARTITION_BYTES_DEFAULT).unwrap();
        let guessed = [run(&wrong, partitions).1.guessed_wrong, run(&right, partitions).1.guessed_right];
        assert_eq!(guessed, [partitions - 1; 2], "every guess is wrong, and right");
        let (mut a, mut b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..PAIRS {
            let (x, y) = (run(&wrong, partitions).0, run(&right, partitions).0);
            a.push(x);
            b.push(y);
            ratios.push(x / y);
        }
        let [a, b, ratios] = [&mut a, &mut b, &mut ratios].map(|values| spread(values));
        println!(
            "records of {record:>7} bytes: wrong {:.2} / {:.2} / {:.2}  right {:.2} / {:.2} / {:.2}  ratio {:.2} / {:.2} / {:.2}",
            a[0], a[1], a[2], b[0], b[1], b[2], ratios[0], ratios[1], ratios[2]
        );
    }
}

/// Writes a file of `size` bytes whose first record ends at `first`; the others have `record` bytes, but for the last.
fn write(file: &Path, first: u64, record: u64, size: u64) -> std::io::Result<()> {
    let mut out = BufWriter::new(File::create(file)?);
    out.write_all(HEADER.as_bytes())?;
    let (mut at, mut id) = (HEADER.len() as u64, 0);
    while at < size {
        let end = (first + id * record).min(size);
        let (before, after) = (format!("{id},\"start\n"), format!("\nend\",{id}\n"));
        let room = (end - at) as usize - before.len() - after.len();
        let mut inside = FALSE_RECORD.repeat(room / FALSE_RECORD.len() + 1);
        inside.truncate(room);
        out.write_all((before + &inside + &after).as_bytes())?;
        (at, id) = (end, id + 1);
    }
    out.flush()
}

/// Seconds of a run, and what it guessed.
fn run(file: &Path, workers: u64) -> (f64, Seams) {
    let out = file.with_extension("out");
    let mut run = Command::new(env!("CARGO_BIN_EXE_batteuse"));
    run.args(["run", "-o", "json", "--workers", &workers.to_string(), "--from"]).arg(file).arg("--to").arg(&out);
    let began = Instant::now();
    let output = run.output().unwrap();
    let seconds = began.elapsed().as_secs_f64();
    assert!(output.status.success(), "{run:?}: {}", String::from_utf8_lossy(&output.stderr));
    fs::remove_dir_all(&out).unwrap();
    let report: Report = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report.counts.written, report.counts.read);
    (seconds, report.seams)
}
