//! The exit codes of runs that end: 0, 4, 8, and what each leaves; where results and everything else are printed.

use std::fs;

use super::{Stage, must_not_be_published};
use crate::support::binary::{BINARY, Process, batteuse, run, write_spec};
use crate::support::published::{json_file, parts, rejects, run_file, table};

/// 100 records, of which the 5 of this list are ragged.
const RAGGED: [usize; 5] = [3, 20, 21, 60, 99];

fn ragged() -> Stage {
    let lines = (0..100).map(|i| if RAGGED.contains(&i) { format!("{i}\n") } else { format!("{i},x\n") });
    Stage::new("a,b\n".to_owned() + &lines.collect::<String>())
}

#[test]
fn a_clean_run_exits_0_and_prints_its_report_on_standard_output() {
    let stage = Stage::new("a,b\n1,x\n2,y\n");
    let args =
        ["run", "--from", stage.source.to_str().unwrap(), "--to", stage.out().to_str().unwrap()].map(str::to_owned);
    let ended = batteuse(args).expect(0);
    for word in ["(succeeded)", "2 read, 2 written", "equation", "(holds)", "digest", "MB/s"] {
        assert!(ended.out.contains(word), "{word} is not in {}", ended.out);
    }
    assert_eq!(ended.err, "", "a short run without trouble says nothing on standard error");
    assert!(stage.out().join("_SUCCESS").exists());
}

#[test]
fn a_result_that_nobody_reads_does_not_change_how_a_run_ended() {
    let stage = Stage::new("a,b\n1,x\n");
    let (from, to) = (stage.source.display(), stage.out());
    let line = format!("exec {BINARY} run --from {from} --to {} > /dev/full", to.display());
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &line]);
    Process::spawn(command).wait().expect(0).says(&["cannot be printed"]);
    assert!(to.join("_SUCCESS").exists());
}

#[test]
fn the_json_report_has_every_field() {
    let stage = ragged();
    let report = run(&stage.source, &stage.out(), &["--tolerate", "5", "--partition-bytes", "100"]).expect(4).json();
    for text in ["run", "job", "state", "digest"] {
        assert!(report[text].is_string(), "{text}: {report:#}");
    }
    let counts = [
        ("partitions", 5),
        ("accepted", 5),
        ("bytes", fs::metadata(&stage.source).unwrap().len()),
        ("read", 100),
        ("written", 95),
        ("filtered", 0),
        ("rejected", 5),
        ("quarantined", 0),
        ("blank", 0),
        ("comment", 0),
        ("files", 5),
    ];
    for (field, count) in counts {
        assert_eq!(report[field], count, "{field}: {report:#}");
    }
    // Inspection, the partitions, the finish task.
    assert!(report["attempts"].as_u64().unwrap() >= 7, "{report:#}");
    assert!(report["reruns"]["types"].is_u64() && report["reruns"]["guesses"].is_u64(), "{report:#}");
    let seams = ["certain", "guessedRight", "guessedWrong"].map(|of| report["seams"][of].as_u64().unwrap());
    assert_eq!((seams.iter().sum::<u64>(), seams[2]), (5, 0), "{report:#}");
    assert!(report["seconds"].as_f64().unwrap() > 0.0, "{report:#}");
    assert_eq!(report["equation"]["holds"], true);
    assert_eq!(report["equation"]["records"], "read 100 = written 95 + filtered 0 + rejected 5 + quarantined 0");
    assert_eq!(json_file(&run_file(&stage.out(), "report.json")), report);
}

#[test]
fn the_text_report_tells_of_seams_where_there_are_any() {
    for (more, seams) in [(&["--partition-bytes", "100", "--workers", "1"][..], 1), (&[], 0)] {
        let stage = ragged();
        let (from, to) = (stage.source.to_str().unwrap(), stage.out());
        let args = ["run", "--from", from, "--to", to.to_str().unwrap(), "--tolerate", "5"];
        let ended = batteuse([&args, more].concat()).expect(4);
        let told: Vec<_> = ended.out.lines().filter(|line| line.starts_with("seams ")).collect();
        assert_eq!(told.len(), seams, "{}", ended.out);
        assert!(told.iter().all(|t| t.ends_with(" 5 certain, 0 guessed right, 0 guessed wrong")), "{told:?}");
    }
}

#[test]
fn within_tolerance_exits_4() {
    // Either bound is enough; one given is that one alone.
    for tolerate in [&["5"][..], &["5%"], &["0", "5%"], &["5", "0%"], &["1000"], &["100%"]] {
        let stage = ragged();
        let flags: Vec<_> = tolerate.iter().flat_map(|bound| ["--tolerate", bound]).collect();
        let report = run(&stage.source, &stage.out(), &flags).expect(4).json();
        assert_eq!((&report["state"], &report["rejected"]), (&"SucceededWithRejects".into(), &5.into()));
        assert_eq!((table(&stage.out()).rows.len(), stage.out().join("_SUCCESS").exists()), (95, true), "{tolerate:?}");
        assert_eq!(rejects(&run_file(&stage.out(), "rejects.parquet")).1.len(), 5);
    }
}

#[test]
fn beyond_tolerance_exits_8_and_leaves_the_rejects_and_the_report() {
    for tolerate in [&[][..], &["4"], &["4.99%"], &["4", "4%"], &["0"], &["0%"]] {
        let stage = ragged();
        let mut args = vec!["run", "--from", stage.source.to_str().unwrap(), "--to"];
        let out = stage.out();
        args.push(out.to_str().unwrap());
        args.extend(tolerate.iter().flat_map(|bound| ["--tolerate", bound]));
        let ended = batteuse(&args).expect(8);
        assert!(ended.out.contains("(failed)") && ended.out.contains("more rejects than"), "{}", ended.out);
        must_not_be_published(&out);
        let rows = rejects(&run_file(&out, "rejects.parquet")).1;
        let lines: Vec<_> = rows.iter().map(|row| row[1].clone().unwrap().parse::<usize>().unwrap()).collect();
        assert_eq!(lines, RAGGED.map(|i| i + 2), "{tolerate:?}");
        let report = json_file(&run_file(&out, "report.json"));
        assert_eq!((&report["state"], &report["reason"]["kind"]), (&"Failed".into(), &"tooManyRejects".into()));
        let shown: Vec<_> = ended.out.lines().filter(|line| line.starts_with("reject ")).collect();
        assert_eq!(shown.len(), 3, "the first three: {}", ended.out);
        for (line, i) in shown.iter().zip(RAGGED) {
            assert!(
                line.contains(&format!("line {}:", i + 2)) && line.contains("expected 2 fields, found 1"),
                "{line}"
            );
        }
    }
}

#[test]
fn rejects_are_shown_with_line_column_and_reason() {
    let stage = Stage::new("a,b\n1,2024-01-01\n2,01/02/2024\nx,2024-01-01\n3\n");
    let spec = "  columns: [{name: a, type: int64}, {name: b, type: date}]\n";
    let spec = write_spec(&stage.path("job.yaml"), &stage.source, &stage.out(), spec);
    let ended = batteuse(["run", "-f", spec.to_str().unwrap()]).expect(8);
    let shown: Vec<_> = ended.out.lines().filter(|line| line.starts_with("reject ")).collect();
    let words =
        [["line 3", "column b", "01/02/2024"], ["line 4", "column a", "x"], ["line 5", "expected 2", "found 1"]];
    assert_eq!(shown.len(), words.len(), "{}", ended.out);
    for (line, words) in shown.iter().zip(words) {
        assert!(words.iter().all(|word| line.contains(word)), "{words:?} in {line}");
    }
}

#[test]
fn padded_records_are_no_rejects() {
    let stage = Stage::new("a,b\n1\n2,x,,\n3,y,z\n");
    let report = run(&stage.source, &stage.out(), &["--ragged", "pad", "--tolerate", "1"]).expect(4).json();
    assert_eq!((&report["written"], &report["rejected"]), (&2.into(), &1.into()));
    let text = |value: &str| Some(value.to_owned());
    assert_eq!(table(&stage.out()).rows, [vec![text("1"), None], vec![text("2"), text("x")]]);
    assert_eq!(report["rejectsShown"][0]["line"], 4);
}

#[test]
fn the_flags_of_the_dialect_are_obeyed() {
    let stage = Stage::new("made by hand\n1|'a|b'|01\n2|c|02\n");
    let flags = ["--skip-lines", "1", "--no-header", "--delimiter", "pipe", "--quote", "'", "--all-text"];
    run(&stage.source, &stage.out(), &flags).expect(0);
    let found = table(&stage.out());
    assert!(found.columns.len() == 3 && found.columns.iter().all(|(_, ctype)| ctype == "text"), "{:?}", found.columns);
    let rows: Vec<Vec<_>> = found.rows.iter().map(|row| row.iter().flatten().map(String::as_str).collect()).collect();
    assert_eq!(rows, [["1", "a|b", "01"], ["2", "c", "02"]]);
    let stage = Stage::new(b"a;b\n\xe9;\"x\n");
    run(&stage.source, &stage.out(), &["--encoding", "windows-1252", "--delimiter", ";", "--quote", "none"]).expect(0);
    assert_eq!(table(&stage.out()).rows, [[Some("\u{e9}".to_owned()), Some("\"x".to_owned())]]);
}

#[test]
fn a_spec_and_its_flags_come_to_the_same() {
    let stage = Stage::new("a;b\n1;x\n2\n3;z\n");
    let flags = ["--delimiter", ";", "--tolerate", "50%", "--partition-bytes", "5B"];
    let by_flags = run(&stage.source, &stage.out(), &flags).expect(4).json();
    let out = stage.path("by-spec");
    let url = |path| batteuse_shared::location::url_of_file(path).unwrap();
    let spec = format!(
        "apiVersion: batteuse.dev/v1alpha1\nkind: Ingest\nmetadata: {{name: source}}\nspec:\n  source: {{url: \"{}\", csv: \
         {{delimiter: \";\", quote: auto, encoding: auto, header: true, nulls: [\"\"]}}}}\n  partition: {{bytes: 5}}\n  \
         columns: infer\n  output: {{parquet: {{url: \"{}/\", compression: \"zstd(3)\"}}}}\n  \
         rejects: {{tolerate: {{percent: 50}}}}\n",
        url(&stage.source),
        url(&out)
    );
    fs::write(stage.path("job.yaml"), spec).unwrap();
    let spec = stage.path("job.yaml");
    let by_spec = batteuse(["run", "-f", spec.to_str().unwrap(), "--workers", "1", "-o", "json"]).expect(4).json();
    for field in ["job", "partitions", "read", "written", "rejected", "digest", "equation", "rejectsShown", "source"] {
        assert_eq!(by_flags[field], by_spec[field], "{field}");
    }
    assert_eq!(table(&stage.out()), table(&out));
    assert_eq!(parts(&stage.out()).len(), parts(&out).len());
}

#[test]
fn progress_is_told_on_standard_error_and_nothing_on_standard_output() {
    let stage = Stage::long();
    let (from, to) = (stage.source.to_str().unwrap(), stage.out());
    let args = ["run", "--from", from, "--to", to.to_str().unwrap(), "--partition-bytes", "100", "--workers", "1"];
    let process = Process::start(args);
    let line = process.line_of_err(" rejects, ETA ");
    for word in ["run source-", "%, ", " MB/s, ", " rows, "] {
        assert!(line.contains(word), "{word} is not in {line}");
    }
    process.signal("KILL");
    let ended = process.wait();
    assert_eq!((ended.code, ended.out.as_str()), (None, ""));
}
