//! `batteuse bench`: the figures that it promises, that runs are compared, the page, what it refuses, and that it leaves nothing.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::Stage;
use crate::support::binary::{BINARY, Ended, Process, batteuse, until};

/// Runs a bench of `stage` in one round, with `more`.
fn bench(stage: &Stage, more: &[&str]) -> Ended {
    batteuse(["bench", "--from", stage.source.to_str().unwrap(), "--rounds", "1"].iter().chain(more))
}

/// Names in a folder, sorted.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Every field that the README promises of a point, with what must be true of it.
fn check_point(point: &Value, bytes: f64, records: f64) {
    let number = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("no number: {value} in {point:#}"));
    let [least, median, most] = ["least", "median", "most"].map(|of| number(&point["seconds"][of]));
    assert!(0.0 < least && least <= median && median <= most, "{point:#}");
    let speed = number(&point["megabytesPerSecond"]);
    assert!((speed * median - bytes / 1e6).abs() < 1e-6, "{point:#}");
    let workers = number(&point["workers"]);
    assert!((number(&point["efficiency"]) * workers - number(&point["speedUp"])).abs() < 1e-9, "{point:#}");
    assert!(number(&point["cpuSeconds"]) > 0.0 && number(&point["memoryBytes"]) > 1e6, "{point:#}");
    assert!(point["overCores"].is_boolean() && number(&point["partitions"]) >= 1.0, "{point:#}");
    let shares = ["read", "parse", "encode", "stage", "wait"].map(|of| number(&point["shares"][of]));
    assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)), "{shares:?}");
    assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{shares:?}");
    let runs = point["runs"].as_array().unwrap();
    let of = |run: &Value, phase: &str| number(&run["phases"][phase]);
    for run in runs {
        let phases = ["readUs", "parseUs", "encodeUs", "stageUs"].map(|phase| of(run, phase));
        let busy = phases.iter().sum::<f64>() / 1e6;
        assert!(phases[1] > 0.0 && phases[2] > 0.0 && busy <= workers * number(&run["seconds"]), "{run:#}");
        for field in ["cpuSeconds", "memoryBytes", "partitions", "attempts"] {
            assert!(number(&run[field]) > 0.0, "{run:#}");
        }
        let slots = workers * number(&run["seconds"]);
        assert!((1.0 - busy / slots - shares[4]).abs() < 1e-6, "of one round the share is that run's: {point:#}");
    }
    assert_eq!(runs.len(), 1);
    assert!(records > 0.0);
}

#[test]
fn both_modes_are_measured_and_told_as_json_and_as_a_page() {
    let stage = Stage::long();
    let page = stage.path("curve.html");
    let more = ["--workers", "2,1", "-o", "json", "--html", page.to_str().unwrap()];
    let ended = bench(&stage, &more).expect(0);
    let told = ended.json();
    let bytes = fs::metadata(&stage.source).unwrap().len();
    assert_eq!(told["source"], serde_json::json!({"name": "source.csv", "bytes": bytes, "generated": null}));
    assert!(told["cores"].as_u64().unwrap() >= 1 && told["version"].is_string(), "{told:#}");
    assert_eq!((&told["rounds"], &told["table"]["rejected"]), (&1.into(), &0.into()));
    let records = told["table"]["written"].as_f64().unwrap();
    assert!(records > 10_000.0 && told["table"]["digest"].is_string());
    let curve = told["curve"].as_array().unwrap();
    let cases: Vec<_> = curve.iter().map(|point| (point["mode"].as_str(), point["workers"].as_u64())).collect();
    let case = |mode, workers| (Some(mode), Some(workers));
    assert_eq!(cases, [case("embedded", 1), case("embedded", 2), case("processes", 1), case("processes", 2)]);
    curve.iter().for_each(|point| check_point(point, bytes as f64, records));
    assert_eq!((&curve[0]["speedUp"], &curve[2]["speedUp"]), (&1.0.into(), &1.0.into()));
    // 1 MB is one partition: for two workers there is too little.
    assert!(told["notes"].to_string().contains("measure a larger file"), "{told:#}");
    for said in ["round 1 of 1: embedded, 1 worker: ", "round 1 of 1: processes, 2 workers: "] {
        assert!(ended.err.contains(said), "{}", ended.err);
    }
    let page = fs::read_to_string(page).unwrap();
    for bad in ["http://", "https://", "<script", "src=", "href=", "url(", "@import"] {
        assert!(!page.contains(bad), "{bad} in the page");
    }
    assert_eq!((page.matches("<svg ").count(), page.matches("<tr>").count()), (2, 5));
    assert!(page.contains("prefers-color-scheme: dark") && page.contains("source.csv"));
    assert_eq!(names(stage.folder.path()), ["curve.html", "source.csv"], "nothing else is left");
}

#[test]
fn a_generated_file_is_measured_and_told_as_text() {
    let stage = Stage::new("");
    let args =
        ["bench", "--generate", "dvf", "--bytes", "1MB", "--workers", "1", "--modes", "embedded", "--rounds", "2"];
    let mut command = std::process::Command::new(BINARY);
    command.args(args).env("TMPDIR", stage.folder.path());
    let ended = Process::spawn(command).wait().expect(0);
    for word in ["dvf.csv", "generated", "rounds: 2", "digest", "MB/s", "efficiency", "100 %", "encode", "wait"] {
        assert!(ended.out.contains(word), "{word} is not in {}", ended.out);
    }
    assert_eq!(ended.out.lines().filter(|line| line.starts_with("embedded ")).count(), 1, "{}", ended.out);
    let help = batteuse(["bench", "--help"]).expect(0).out;
    let flags = ["--from", "--generate", "--bytes", "--workers", "--modes", "--rounds", "--output", "--html"];
    assert!(flags.iter().all(|flag| help.contains(flag)), "{help}");
    assert_eq!(names(stage.folder.path()), ["source.csv"], "nothing is left among the temporary files");
}

#[test]
fn rejects_are_borne_and_counted() {
    let stage = Stage::new("a,b\n1,x\n2\n3,z\n");
    let told = bench(&stage, &["--workers", "1", "-o", "json"]).expect(0).json();
    assert_eq!((&told["table"]["written"], &told["table"]["rejected"]), (&2.into(), &1.into()));
    // From elsewhere, by a path with `..` in it, and by a link: runs lie beside the link.
    let folder = stage.path("folder");
    fs::create_dir(&folder).unwrap();
    std::os::unix::fs::symlink(&stage.source, folder.join("link.csv")).unwrap();
    for from in ["../source.csv", "link.csv", "../folder/link.csv"] {
        let ended = Process::start_in(&folder, ["bench", "--from", from, "--workers", "1", "--rounds", "1"]).wait();
        assert!(ended.expect(0).out.contains("2 written, 1 rejected"));
    }
}

#[test]
fn a_name_is_text_on_the_page() {
    let stage = Stage::new("");
    let (source, page) = (stage.path("<b>&\"x.csv"), stage.path("page.html"));
    fs::write(&source, "a,b\n1,x\n").unwrap();
    let args = ["--workers", "1", "--rounds", "1", "--modes", "embedded", "--html", page.to_str().unwrap()];
    bench_once(&source, &args).expect(0);
    let page = fs::read_to_string(page).unwrap();
    assert_eq!((page.matches("&lt;b&gt;&amp;&quot;x.csv").count(), page.matches("<b>").count()), (3, 0));
}

#[test]
fn what_cannot_be_measured_is_refused() {
    let stage = Stage::new("a,b\n1,x\n");
    let (absent, taken) = (stage.path("absent.csv"), stage.path("taken.html"));
    fs::write(&taken, "mine").unwrap();
    let many: Vec<String> = (1..=17).map(|count| count.to_string()).collect();
    let cases: [(&[&str], &[&str]); 11] = [
        (&["--workers", "0"], &["--workers", "1..=256"]),
        (&["--workers", "257"], &["--workers", "1..=256"]),
        (&["--workers", "1,two"], &["--workers", "'two'"]),
        (&["--workers", "2,1,2"], &["--workers: 2 is given twice"]),
        (&["--workers", &many.join(",")], &["--workers: 17 counts are given: give at most 16"]),
        (&["--modes", "embedded,embedded"], &["--modes: embedded is given twice"]),
        (&["--modes", "cloud"], &["--modes", "embedded, processes"]),
        (&["--rounds", "0"], &["--rounds", "1..=100"]),
        (&["--bytes", "1MB"], &["--bytes", "--from"]),
        (&["--html", taken.to_str().unwrap()], &["--html: ", "taken.html exists already"]),
        (&["--html", "no/such/folder/x.html"], &["--html: no/such/folder/x.html lies in no folder"]),
    ];
    for (flags, words) in cases {
        let ended = bench_once(&stage.source, flags);
        assert_eq!((ended.code, ended.out.as_str()), (Some(12), ""), "{flags:?}: {}", ended.err);
        ended.says(words);
    }
    bench_once(&absent, &[]).expect(12).says(&["--from: ", "absent.csv cannot be read", "check the path"]);
    bench_once(stage.folder.path(), &[]).expect(12).says(&["is not a regular file"]);
    batteuse(["bench", "--bytes", "1"]).expect(12).says(&["cannot be generated", "ask for at least"]);
    assert_eq!(fs::read(&taken).unwrap(), b"mine");
    assert_eq!(names(stage.folder.path()), ["source.csv", "taken.html"]);
}

fn bench_once(from: &Path, more: &[&str]) -> Ended {
    batteuse(["bench", "--from", from.to_str().unwrap()].iter().chain(more))
}

#[test]
fn a_run_that_fails_ends_the_bench_in_its_words() {
    // An ambiguous dialect, by inspection; in both modes.
    let stage = Stage::new("a,b;c,d;e\nf,g;h,i;j\nk,l;m,n;o\n");
    for mode in ["embedded", "processes"] {
        let ended = bench(&stage, &["--workers", "1", "--modes", mode]).expect(12);
        ended.says(&[&format!("round 1 of 1: {mode}, 1 worker"), "the delimiter is not clear"]);
    }
    assert_eq!(names(stage.folder.path()), ["source.csv"]);
}

#[test]
fn a_full_disk_is_told() {
    let stage = Stage::long();
    for (mode, words) in [("embedded", "measure again"), ("processes", "processes, 1 worker: ")] {
        // Files of at most 64 blocks: a part is larger.
        let bench = format!("bench --workers 1 --rounds 1 --modes {mode} --from {}", stage.source.display());
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &format!("ulimit -f 64; exec {BINARY} {bench}")]);
        Process::spawn(command).wait().expect(16).says(&["File too large", words]);
        assert_eq!(names(stage.folder.path()), ["source.csv"]);
    }
}

#[test]
fn an_interrupted_bench_leaves_nothing() {
    let stage = Stage::long();
    for mode in ["embedded", "processes"] {
        let args =
            ["bench", "--from", stage.source.to_str().unwrap(), "--workers", "1", "--modes", mode, "--rounds", "100"];
        let process = Process::start(args);
        process.line_of_err("round 1 of 100");
        process.signal("TERM");
        process.wait().expect(130).says(&["interrupted"]);
        until("the folder to be gone", || (names(stage.folder.path()) == ["source.csv"]).then_some(()));
    }
}
