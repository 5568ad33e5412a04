//! `verify`: a table is what its manifest and report say, or the difference is told.

use std::fs;
use std::path::{Path, PathBuf};

use super::Stage;
use crate::support::binary::{Ended, batteuse, run};
use crate::support::published::{json_file, parts, run_file, table};

/// A published table of several parts and some rejects.
fn published() -> (Stage, Vec<PathBuf>) {
    let lines = (0..400).map(|i| if i % 100 == 7 { "?\n".to_owned() } else { format!("{i},word {i}\n") });
    let stage = Stage::new("a,b\n".to_owned() + &lines.collect::<String>());
    run(&stage.source, &stage.out(), &["--tolerate", "4", "--partition-bytes", "1500"]).expect(4);
    let parts = parts(&stage.out());
    assert!(parts.len() >= 4);
    (stage, parts)
}

fn verify(stage: &Stage) -> Ended {
    batteuse(["verify", stage.out().to_str().unwrap()])
}

/// Asserts that verification fails and names `words`.
#[track_caller]
fn must_differ(stage: &Stage, words: &[&str]) {
    let ended = verify(stage).expect(8);
    assert!(!ended.out.contains(" verified"), "{}", ended.out);
    let told: Vec<_> = ended.out.lines().filter(|line| line.contains("NOT AS REPORTED")).collect();
    for word in words {
        assert!(told.iter().any(|line| line.contains(word)), "{word:?} is not told: {told:#?}");
    }
    assert!(ended.err.contains("is not what its manifest and report say"), "{}", ended.err);
}

fn name(part: &Path) -> &str {
    part.file_name().unwrap().to_str().unwrap()
}

#[test]
fn an_intact_table_is_recounted_and_verified() {
    let (stage, parts) = published();
    let ended = verify(&stage).expect(0);
    let report = json_file(&run_file(&stage.out(), "report.json"));
    let files = format!("{} files", parts.len());
    let words =
        ["396 rows", "4 rejects", report["digest"].as_str().unwrap(), report["equation"]["records"].as_str().unwrap()];
    for word in words.iter().chain(&[files.as_str(), "verified"]) {
        assert!(ended.out.contains(word), "{word} is not in {}", ended.out);
    }
}

#[test]
fn a_flipped_byte_anywhere_in_a_part_is_noticed_or_harmless() {
    let (stage, parts) = published();
    let (whole, want) = (fs::read(&parts[1]).unwrap(), table(&stage.out()));
    let mut noticed = 0;
    // The closing magic and the footer's length among them.
    let places: Vec<usize> = (0..whole.len()).step_by(29).chain(whole.len() - 8..whole.len()).collect();
    for &at in &places {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&parts[1], &bytes).unwrap();
        let ended = verify(&stage);
        match ended.code {
            Some(8) => noticed += 1,
            // Statistics, offsets of indexes, the opening magic: a reader need not look at them.
            Some(0) => assert!(table(&stage.out()) == want, "byte {at}: other rows were verified"),
            code => panic!("byte {at}: exit code {code:?}\n{}\n{}", ended.out, ended.err),
        }
        assert!(ended.code == Some(8) || at < whole.len() - 8, "byte {at} of {}: the end of the file", whole.len());
    }
    assert!(noticed * 2 > places.len(), "{noticed} of {} flips were noticed", places.len());
    fs::write(&parts[1], &whole).unwrap();
    verify(&stage).expect(0);
}

#[test]
fn a_cut_a_missing_and_an_extra_part_are_noticed() {
    let (stage, parts) = published();
    let whole = fs::read(&parts[2]).unwrap();
    fs::write(&parts[2], &whole[..whole.len() - 1]).unwrap();
    must_differ(&stage, &[name(&parts[2])]);
    fs::remove_file(&parts[2]).unwrap();
    must_differ(&stage, &[name(&parts[2]), "rows", "digest"]);
    fs::write(&parts[2], &whole).unwrap();
    let extra = stage.out().join("part-00000000000fffff-0000000100000009.parquet");
    fs::write(&extra, &whole).unwrap();
    must_differ(&stage, &[name(&extra), "not listed"]);
    fs::remove_file(&extra).unwrap();
    verify(&stage).expect(0);
}

#[test]
fn swapped_parts_are_noticed() {
    let (stage, parts) = published();
    let (one, two) = (fs::read(&parts[0]).unwrap(), fs::read(&parts[2]).unwrap());
    fs::write(&parts[0], two).unwrap();
    fs::write(&parts[2], one).unwrap();
    // The table has the same rows, each file has others than listed.
    must_differ(&stage, &[name(&parts[0]), name(&parts[2])]);
}

#[test]
fn other_rejects_are_noticed() {
    let (stage, _) = published();
    let rejects = run_file(&stage.out(), "rejects.parquet");
    fs::remove_file(&rejects).unwrap();
    must_differ(&stage, &["rejects.parquet", "equation does not hold"]);
    fs::copy(&parts(&stage.out())[0], &rejects).unwrap();
    must_differ(&stage, &["rejects.parquet"]);
}

#[test]
fn there_is_nothing_to_verify() {
    let stage = Stage::new("a,b\n1,2\n3\n");
    verify(&stage).expect(12).says(&["no published table"]);
    run(&stage.source, &stage.out(), &[]).expect(8);
    verify(&stage).expect(12).says(&["no published table", "_SUCCESS"]);
}
