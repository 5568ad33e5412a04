//! CSV to Parquet, end to end: the binary beside what one would write in an hour with arrow-csv and ArrowWriter.
//!
//! Both convert the same generated file to zstd(3) with two threads, in turns (A B A B ...), each as a whole process; the
//! figure to quote is the median of the paired ratios. Row counts are compared before anything is timed. The peer has its
//! schema given and splits at a newline followed by a digit, which is wrong in general; it takes no digest.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a benchmark: it reads clocks, starts processes and stops at the first failure"
)]

mod common;

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use arrow_csv::ReaderBuilder;
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use self::common::{bytes_asked, generate, schema, spread};

/// Pairs that are timed, after one that is not.
const PAIRS: usize = 5;
const THREADS: u64 = 2;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    match args.iter().position(|a| a == "--peer") {
        Some(i) => println!("{}", peer(Path::new(&args[i + 1]), Path::new(&args[i + 2]))),
        None => compare(),
    }
}

fn compare() {
    let bytes = bytes_asked();
    let dir = tempfile::Builder::new().prefix("batteuse-bench-").tempdir().unwrap();
    println!("{bytes} a file, {THREADS} threads, {PAIRS} pairs; seconds are min / median / max of whole processes");
    println!("shape     rows        batteuse s            naive s               MB/s  naive  ratio naive/batteuse");
    for shape in ["sirene", "taxi"] {
        let file = dir.path().join(format!("{shape}.csv"));
        generate(shape, &bytes, &file);
        let rows = (ours(&file, dir.path()).1, theirs(&file, dir.path()).1);
        assert_eq!(rows.0, rows.1, "{shape}: both must read the same rows");
        let (mut a, mut b, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..PAIRS {
            let (x, y) = (ours(&file, dir.path()).0, theirs(&file, dir.path()).0);
            a.push(x);
            b.push(y);
            ratios.push(y / x);
        }
        let megabytes = fs::metadata(&file).unwrap().len() as f64 / 1e6;
        let (ours, naive, ratio) = (spread(&mut a), spread(&mut b), spread(&mut ratios));
        println!(
            "{shape:<8} {:>9}  {:>5.2} / {:>5.2} / {:>5.2}  {:>5.2} / {:>5.2} / {:>5.2}  {:>5.0}  {:>5.0}  {:.2} / {:.2} / {:.2}",
            rows.0,
            ours[0],
            ours[1],
            ours[2],
            naive[0],
            naive[1],
            naive[2],
            megabytes / ours[1],
            megabytes / naive[1],
            ratio[0],
            ratio[1],
            ratio[2],
        );
        fs::remove_file(&file).unwrap();
    }
}

/// Seconds and rows of the binary.
fn ours(file: &Path, dir: &Path) -> (f64, u64) {
    let out = dir.join("ours");
    let mut run = Command::new(env!("CARGO_BIN_EXE_batteuse"));
    run.args(["run", "-o", "json", "--workers", "2", "--from"]).arg(file).arg("--to").arg(&out);
    let (seconds, report) = timed(run);
    fs::remove_dir_all(&out).unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    (seconds, report["written"].as_u64().unwrap())
}

/// Seconds and rows of the peer, in a process of its own.
fn theirs(file: &Path, dir: &Path) -> (f64, u64) {
    let out = dir.join("theirs");
    let mut run = Command::new(std::env::current_exe().unwrap());
    run.arg("--peer").arg(file).arg(&out);
    let (seconds, rows) = timed(run);
    fs::remove_dir_all(&out).unwrap();
    (seconds, rows.trim().parse().unwrap())
}

fn timed(mut command: Command) -> (f64, String) {
    let began = Instant::now();
    let output = command.output().unwrap();
    let seconds = began.elapsed().as_secs_f64();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    (seconds, String::from_utf8(output.stdout).unwrap())
}

/// The naive converter: rows written.
fn peer(file: &Path, out: &Path) -> usize {
    fs::create_dir(out).unwrap();
    let size = fs::metadata(file).unwrap().len();
    let middle = split(file, size / THREADS);
    let schema = schema(file);
    std::thread::scope(|scope| {
        let second = scope.spawn(|| convert(&schema, file, middle..size, &out.join("2.parquet")));
        convert(&schema, file, 0..middle, &out.join("1.parquet")) + second.join().unwrap()
    })
}

fn split(file: &Path, near: u64) -> u64 {
    let mut file = File::open(file).unwrap();
    file.seek(SeekFrom::Start(near)).unwrap();
    let mut bytes = vec![0; 1 << 16];
    file.read_exact(&mut bytes).unwrap();
    let line = bytes.windows(2).position(|w| w[0] == b'\n' && w[1].is_ascii_digit()).unwrap();
    near + line as u64 + 1
}

fn convert(schema: &SchemaRef, file: &Path, range: std::ops::Range<u64>, out: &PathBuf) -> usize {
    let mut file = File::open(file).unwrap();
    file.seek(SeekFrom::Start(range.start)).unwrap();
    let reader = ReaderBuilder::new(schema.clone()).with_header(range.start == 0).with_batch_size(8192);
    let zstd = Compression::ZSTD(ZstdLevel::try_new(3).unwrap());
    let properties = WriterProperties::builder().set_compression(zstd).build();
    let mut writer = ArrowWriter::try_new(File::create(out).unwrap(), schema.clone(), Some(properties)).unwrap();
    let mut rows = 0;
    for batch in reader.build(file.take(range.end - range.start)).unwrap() {
        let batch = batch.unwrap();
        rows += batch.num_rows();
        writer.write(&batch).unwrap();
    }
    writer.close().unwrap();
    rows
}
