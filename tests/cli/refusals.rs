//! What is refused, with exit 12 and the place, the reason and the way out; and what cannot be reached, with exit 16.

use std::fs;
use std::net::TcpListener;

use super::{Stage, must_not_be_published};
use crate::support::binary::{batteuse, run, write_spec_of};
use crate::support::published::{json_file, run_file};

#[test]
fn bad_flags_are_named() {
    let stage = Stage::new("a,b\n1,2\n");
    let cases: &[(&[&str], &[&str])] = &[
        (&["--workers", "0"], &["--workers", "1..=1024"]),
        (&["--workers", "many"], &["--workers"]),
        (&["--partition-bytes", "0"], &["--partition-bytes", "out of range"]),
        (&["--partition-bytes", "64MX"], &["--partition-bytes", "64MiB"]),
        (&["--delimiter", ""], &["--delimiter", "empty"]),
        (&["--delimiter", "123456789"], &["--delimiter", "9 bytes long"]),
        (&["--quote", "ab"], &["--quote", "one ASCII character"]),
        (&["--quote", ",", "--delimiter", ","], &["--delimiter", "quote character"]),
        (&["--encoding", "shift-jis"], &["--encoding", "iconv"]),
        (&["--encoding", "utf-16"], &["--encoding", "iconv"]),
        (&["--skip-lines=-1"], &["--skip-lines"]),
        (&["--skip-lines", "1000001"], &["--skip-lines", "at most"]),
        (&["--ragged", "drop"], &["--ragged", "reject", "pad"]),
        (&["--tolerate", "some"], &["--tolerate", "0.5%"]),
        (&["--tolerate", "101%"], &["--tolerate", "0 to 100"]),
        (&["--tolerate=-1"], &["--tolerate"]),
        (&["--tolerate", "1", "--tolerate", "2"], &["--tolerate", "given twice"]),
        (&["-o", "xml"], &["text", "json"]),
        (&["--nonsense"], &["--nonsense"]),
        (&["-f", "job.yaml"], &["--from", "--file"]),
    ];
    for (flags, words) in cases {
        let (from, to) = (stage.source.to_str().unwrap().to_owned(), stage.out().to_str().unwrap().to_owned());
        let ended = batteuse(["run", "--from", &from, "--to", &to].iter().chain(*flags));
        assert_eq!(ended.code, Some(12), "{flags:?}: {}", ended.err);
        assert_eq!(ended.out, "", "{flags:?}");
        ended.says(words);
        assert!(!stage.out().exists(), "{flags:?}: a refused run leaves nothing");
    }
}

#[test]
fn incomplete_command_lines_are_refused() {
    let cases: [&[&str]; 14] = [
        &["coordinator", "--state", "state", "--lease-ttl", "0"],
        &["coordinator", "--state", "state", "--lease-ttl", "3601"],
        &["coordinator", "--state", "state", "--open-runs", "0"],
        &["pause", "run-1"],
        &["drain", "--coordinator", "http://127.0.0.1:7171"],
        &[],
        &["thresh"],
        &["run"],
        &["run", "--from", "a.csv"],
        &["run", "--to", "out"],
        &["resume"],
        &["coordinator"],
        &["worker"],
        &["coordinator", "--listen", "somewhere", "--state", "state"],
    ];
    for args in cases {
        let ended = batteuse(args);
        assert_eq!((ended.code, ended.out.as_str()), (Some(12), ""), "{args:?}");
        assert!(ended.err.contains("Usage") || ended.err.contains("--"), "{args:?}: {}", ended.err);
    }
    assert!(batteuse(["--help"]).expect(0).out.contains("130 interrupted"));
    assert!(batteuse(["--version"]).expect(0).out.starts_with("batteuse "));
}

#[test]
fn a_source_that_cannot_be_read_is_named() {
    let stage = Stage::new("a,b\n1,2\n");
    run(&stage.path("absent.csv"), &stage.out(), &[]).expect(12).says(&[
        "absent.csv",
        "cannot be read",
        "check the path",
    ]);
    run(stage.folder.path(), &stage.out(), &[]).expect(12).says(&["not a regular file"]);
    assert!(!stage.out().exists());
}

#[test]
fn mistakes_of_a_spec_are_told_with_their_line() {
    let stage = Stage::new("a,b\n1,2\n");
    let cases = [
        ("{}", "  partitions: 3\n", "7:3", "`partitions` is no field here"),
        ("{delimeter: ','}", "", "5:", "`delimeter` is no field here"),
        ("{}", "  partition: {bytes: 64MX}\n", "7:22", "\"64MX\" is no size"),
        ("{}", "  columns: {infer: true, a: int}\n", "7:29", "\"int\" is no column type"),
        ("{}", "  columns: {a: text}\n", "7:12", "needs `infer: true`"),
        ("{quote: '\"', delimiter: '\"'}", "", "5:", "holds the quote character"),
        ("{comment: ',', delimiter: ','}", "", "5:", "holds the comment character"),
        ("{encoding: gbk}", "", "5:", "iconv"),
        ("{}", "  rejects: {tolerate: {percent: 101}}\n", "7:", "out of range"),
        ("{}", "  rejects: {tolerate: {count: -1}}\n", "7:", "whole number"),
        ("{", "", ":", "not well-formed YAML"),
    ];
    for (csv, more, place, words) in cases {
        let spec = write_spec_of(&stage.path("job.yaml"), &stage.source, &stage.out(), csv, more);
        let place = format!("{}:{}", spec.display(), place.trim_start_matches(':'));
        for args in [&["run", "-f"][..], &["submit", "--coordinator", "http://127.0.0.1:1", "-f"]] {
            let ended = batteuse(args.iter().copied().chain([spec.to_str().unwrap()]));
            assert_eq!(ended.code, Some(12), "{csv} {more}: {}", ended.err);
            ended.says(&[&place, words]);
        }
        assert!(!stage.out().exists());
    }
    batteuse(["run", "-f", stage.path("absent.yaml").to_str().unwrap()]).expect(12).says(&["the spec cannot be read"]);
}

/// Runs a source that inspection must refuse; the report says so, and nothing is published.
#[track_caller]
fn refused(bytes: &[u8], flags: &[&str], words: &[&str]) {
    let stage = Stage::new(bytes);
    let report = run(&stage.source, &stage.out(), flags).expect(12).json();
    let message = report["reason"]["message"].as_str().unwrap_or_else(|| panic!("no reason: {report:#}"));
    assert_eq!((&report["state"], &report["reason"]["kind"]), (&"Failed".into(), &"refused".into()), "{message}");
    for word in words {
        assert!(message.contains(word), "{word:?} is not in {message}");
    }
    assert!(message.contains("source.csv"), "the file is named: {message}");
    must_not_be_published(&stage.out());
    assert_eq!(json_file(&run_file(&stage.out(), "report.json")), report);
    assert!(crate::support::published::rejects(&run_file(&stage.out(), "rejects.parquet")).1.is_empty());
}

#[test]
fn what_cannot_be_read_or_written_is_named_by_its_flag_or_field() {
    let stage = Stage::new("a,b\n1,2\n");
    let (absent, folder) = (stage.path("absent.csv"), stage.path("."));
    run(&absent, &stage.out(), &[]).expect(12).says(&["--from: the source", "absent.csv", "check the path"]);
    run(&folder, &stage.out(), &[]).expect(12).says(&["--from: ", "is not a regular file"]);
    run(&stage.source, &stage.source, &[]).expect(12).says(&["--to: ", "is not a folder"]);
    for (flag, words) in
        [("--tolerate", "whole number"), ("--skip-lines", "invalid"), ("--partition-bytes", "is no size")]
    {
        run(&stage.source, &stage.out(), &[flag, "-1"]).expect(12).says(&[flag, "'-1'", words]);
    }
    let spec = write_spec_of(&stage.path("job.yaml"), &absent, &stage.out(), "{}", "");
    batteuse(["run", "-f", spec.to_str().unwrap()]).expect(12).says(&["job.yaml: spec.source.url: the source"]);
    assert!(!stage.out().exists());
}

#[test]
fn an_ambiguous_dialect_is_refused_with_the_readings() {
    refused(b"a,b;c,d;e\nf,g;h,i;j\nk,l;m,n;o\n", &[], &["the delimiter is not clear", "--delimiter"]);
    // What is found may clash with what is given.
    refused(b"a,b\n1,2\n", &["--delimiter", "\""], &["holds the quote character"]);
}

#[test]
fn duplicate_column_names_are_refused() {
    refused(b"a,b,a\n1,2,3\n", &[], &["\"a\" is given 2 times", "columns 1, 3"]);
}

#[test]
fn compressed_and_wide_files_are_refused_with_the_command_that_converts_them() {
    refused(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b\xd4\x49\xe2\x02\x00", &[], &["gzip", "gzip -dc"]);
    refused(b"PK\x03\x04\x14\x00\x00\x00\x08\x00", &[], &["zip archive", "unzip"]);
    refused(b"\x28\xb5\x2f\xfd\x24\x04\x21\x00\x00", &[], &["zstd -dc"]);
    let wide = |text: &str, bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    refused(&wide("\u{feff}a,b\n1,2\n", u16::to_le_bytes), &[], &["UTF-16", "iconv -f UTF-16"]);
    refused(&wide("\u{feff}a,b\n1,2\n", u16::to_be_bytes), &[], &["UTF-16", "iconv"]);
    refused(&wide(&"a,b\n1,2\n".repeat(20), u16::to_le_bytes), &[], &["UTF-16"]);
}

#[test]
fn columns_that_the_file_does_not_have_are_refused() {
    let stage = Stage::new("siret,nom\n1,2\n");
    let more = "  columns: {infer: true, sirett: text}\n";
    let spec = write_spec_of(&stage.path("job.yaml"), &stage.source, &stage.out(), "{}", more);
    let report = batteuse(["run", "-f", spec.to_str().unwrap(), "-o", "json"]).expect(12).json();
    let message = report["reason"]["message"].as_str().unwrap();
    assert!(message.contains("\"sirett\"") && message.contains("nearest are \"siret\""), "{message}");
}

/// An address of this machine at which nobody listens.
fn nobody() -> String {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    format!("http://{port}")
}

#[test]
fn a_coordinator_that_cannot_be_reached_exits_16() {
    let stage = Stage::new("a,b\n1,2\n");
    let spec = write_spec_of(&stage.path("job.yaml"), &stage.source, &stage.out(), "{}", "");
    let (url, spec) = (nobody(), spec.to_str().unwrap().to_owned());
    let cases: [&[&str]; 5] = [
        &["submit", "-f", &spec],
        &["status", "some-run"],
        &["list"],
        &["cancel", "some-run"],
        &["verify", "some-run"],
    ];
    for args in cases {
        let ended = batteuse(args.iter().chain(&["--coordinator", &url]));
        assert_eq!((ended.code, ended.out.as_str()), (Some(16), ""), "{args:?}: {}", ended.err);
        ended.says(&[&url, "cannot be reached"]);
    }
    assert!(!stage.out().exists());
}

#[test]
fn what_is_no_address_or_no_run_exits_12() {
    for url in ["nonsense", "ftp://127.0.0.1:1", "http://", "http://a b"] {
        for args in [&["list"][..], &["worker"]] {
            let ended = batteuse(args.iter().chain(&["--coordinator", url]));
            assert_eq!(ended.code, Some(12), "{args:?} {url}: {}", ended.err);
        }
    }
    batteuse(["status", "NO RUN", "--coordinator", &nobody()]).expect(12).says(&["is not a valid run id"]);
    let folder = tempfile::tempdir().unwrap();
    for command in ["status", "cancel"] {
        batteuse([command, folder.path().to_str().unwrap()]).expect(12).says(&["holds no run"]);
    }
}

#[test]
fn generate_never_replaces_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("taxi.csv");
    let args = ["generate", "taxi", "--bytes", "10kB", "--to", file.to_str().unwrap()];
    assert!(batteuse(args).expect(0).out.contains("rows="));
    let bytes = fs::read(&file).unwrap();
    batteuse(args).expect(12).says(&["exists already"]);
    assert_eq!(fs::read(&file).unwrap(), bytes);
    let twice = batteuse(["generate", "taxi", "--bytes", "10kB", "--to", "-"]).expect(0);
    assert_eq!(
        (twice.out.as_bytes(), twice.err.contains("rows=")),
        (&bytes[..], true),
        "the same seed, the same bytes"
    );
}
