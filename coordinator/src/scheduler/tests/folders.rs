//! Runs whose files lie in folders by the values of a column: what is believed, published, kept and replaced, and what is refused.

use batteuse_shared::hive;
use batteuse_shared::limits::{HIVE_FILES_MAX, TABLE_FILES_MAX};
use batteuse_shared::manifest::{Manifest, ManifestPart, Share, Standing, Success};

use super::*;
use crate::publish::PublishPlan;

/// Columns `k`, by whose values files lie in folders, and `a`.
fn found(k: ColumnType, declared: bool) -> Outcome {
    let Outcome::Inspected(mut found) = inspected(ColumnType::Int64) else { panic!("an inspection") };
    let column = Column { name: "k".to_owned(), ctype: k, declared, format: None, nulls: Vec::new() };
    found.columns.insert(0, column);
    Outcome::Inspected(found)
}

fn by(mode: Mode, columns: &[&str], standing: Option<Standing>) -> Accepted {
    let mut run = accepted();
    let parquet = run.job.spec.output.parquet.as_mut().unwrap();
    (parquet.mode, parquet.partition_by) = (mode, columns.iter().map(|&name| name.to_owned()).collect());
    Accepted { standing: standing.map(Box::new), ..run }
}

/// A run by `k` that a worker with three slots has inspected; the leases it holds.
fn by_k(mode: Mode, standing: Option<Standing>) -> (Stage, Vec<Lease>) {
    let mut stage = Stage::new();
    stage.step(Event::Submitted(Box::new(by(mode, &["k"], standing))));
    let leases = stage.join("w", 3);
    let leases = grants(&stage.report("w", &leases[0], found(ColumnType::Text, false)));
    (stage, leases)
}

/// The report of a lease whose rows lie in folders of these values, one in each and the rest in the last.
fn staged_in(lease: &Lease, values: &[Option<&str>]) -> Parsed {
    let Task::Parse(task) = &lease.task else { panic!("a parse task") };
    let Outcome::Parsed(mut parsed) = plain(lease).outcome(lease) else { panic!("a parse") };
    let whole = parsed.parts.pop().unwrap();
    let part = |(nth, value): (usize, &Option<&str>)| {
        let rows = if nth + 1 == values.len() { whole.rows - nth as u64 } else { 1 };
        StagedPart {
            key: layout::staged_part(task.partition, lease.attempt, nth),
            values: vec![value.map(str::to_owned)],
            rows,
            digest: Digest(rows.into()),
            ..whole.clone()
        }
    };
    parsed.parts = values.iter().enumerate().map(part).collect();
    parsed.summaries = vec![Classes::TEXT, Classes::INT_SHORT];
    parsed.types = Some(vec![ColumnType::Text, ColumnType::Int64]);
    *parsed
}

fn report(lease: &Lease, values: &[Option<&str>]) -> Outcome {
    Outcome::Parsed(Box::new(staged_in(lease, values)))
}

/// The values of each partition's parts, and the plan that they come to.
const VALUES: [&[Option<&str>]; 3] = [&[Some("x"), None], &[Some("x")], &[Some("a/b"), Some("x")]];

/// A run by `k` whose every lease is done, and what was said to the last report.
fn ended(mode: Mode, standing: Option<Standing>) -> (Stage, Vec<Action>) {
    let (mut stage, leases) = by_k(mode, standing);
    let mut said = Vec::new();
    for (lease, values) in std::iter::zip(&leases, VALUES) {
        said = stage.report("w", lease, report(lease, values));
    }
    let finish = grants(&said);
    let said = stage.report("w", &finish[0], finished(&finish[0], 0));
    (stage, said)
}

fn decided(mode: Mode, standing: Option<Standing>) -> (Stage, PublishPlan) {
    let (stage, said) = ended(mode, standing);
    let plan = said.iter().find_map(|action| if let Action::Publish(plan) = action { Some(plan) } else { None });
    let plan = (**plan.unwrap_or_else(|| panic!("it is decided: {:?}", names(&said)))).clone();
    (stage, plan)
}

fn manifest(plan: &PublishPlan) -> Manifest {
    serde_json::from_str(plan.manifest.as_ref().expect("it is published")).unwrap()
}

#[test]
fn each_part_is_published_in_its_folder_and_listed_with_its_values() {
    let (stage, plan) = decided(Mode::Error, None);
    let folders: Vec<_> = plan.parts.iter().map(|part| part.published.split_once("/part-").unwrap().0).collect();
    assert_eq!(folders, ["k=x", "k=__HIVE_DEFAULT_PARTITION__", "k=x", "k=a%2Fb", "k=x"]);
    assert!(plan.parts.iter().all(|part| layout::is_part(&part.published)));
    let manifest = manifest(&plan);
    assert_eq!(
        (manifest.partition_by.as_slice(), manifest.rows, manifest.digest),
        (&["k".to_owned()][..], 28, Digest(28))
    );
    let listed: Vec<_> =
        manifest.parts.iter().map(|part| (part.partition.0, part.values[0].as_deref(), part.rows)).collect();
    let expected = [(0, Some("x"), 1), (0, None, 7), (1, Some("x"), 10), (2, Some("a/b"), 1), (2, Some("x"), 9)];
    assert_eq!(listed, expected);
    assert_eq!(manifest.spans().map(|(_, span)| span.bytes()).sum::<u64>(), 28, "each span counts once");
    assert_eq!(stage.replayed().report().files, 5);
    let success: Success = serde_json::from_str(plan.success.as_ref().unwrap()).unwrap();
    assert_eq!((success.files.len(), success.rows), (5, 28));
}

#[test]
fn what_cannot_be_true_of_folders_is_a_failure_of_the_attempt() {
    type Lie = fn(&mut Parsed);
    let lies: [(&str, Lie); 7] = [
        ("no value", |parsed| parsed.parts[0].values.clear()),
        ("two values", |parsed| parsed.parts[0].values.push(None)),
        ("one folder twice", |parsed| parsed.parts[1].values = parsed.parts[0].values.clone()),
        ("a value without a folder", |parsed| parsed.parts[0].values = vec![Some(String::new())]),
        ("a part without rows", |parsed| {
            let moved = std::mem::take(&mut parsed.parts[0].rows);
            parsed.parts[1].rows += moved;
        }),
        ("another order", |parsed| parsed.parts.reverse()),
        ("a row too many", |parsed| parsed.parts[1].rows += 1),
    ];
    for (what, lie) in lies {
        let (mut stage, leases) = by_k(Mode::Error, None);
        let mut parsed = staged_in(&leases[0], &[Some("x"), Some("y")]);
        lie(&mut parsed);
        let said = names(&stage.report("w", &leases[0], Outcome::Parsed(Box::new(parsed))));
        assert_eq!(said[0], "record AttemptFailed", "{what}: {said:?}");
    }
    let (mut stage, leases) = Stage::inspected(1);
    let Outcome::Parsed(mut parsed) = plain(&leases[0]).outcome(&leases[0]) else { panic!() };
    parsed.parts[0].values = vec![Some("x".to_owned())];
    let said = names(&stage.report("w", &leases[0], Outcome::Parsed(parsed)));
    assert_eq!(said[0], "record AttemptFailed", "no folder was asked for");
}

#[test]
fn of_several_parts_that_are_made_again_those_that_were_left_are_discarded() {
    let (mut stage, before) = decided(Mode::Error, None);
    let said = stage.step(Event::PublishFailed {
        run: run_id(),
        message: "gone".to_owned(),
        gone: vec![before.parts[4].attempt, before.parts[4].attempt],
    });
    let lease = &grants(&said)[0];
    let other = stage.report("w", lease, report(lease, &[Some("x"), Some("a/b")]));
    assert_eq!(names(&other)[0], "discard 2", "the same values in another order are not the same files");
    stage.now = stage.now.plus(RETRY_BACKOFF_MS);
    let again = grants(&stage.step(Event::Tick));
    let said = stage.report("w", &again[0], report(&again[0], VALUES[2]));
    assert_eq!(names(&said), ["record PartitionReplaced", "discard 2", "publish 5 parts, success true", "ack"]);
    let Some(Action::Publish(plan)) = said.into_iter().find(|action| matches!(action, Action::Publish(_))) else {
        panic!()
    };
    assert_eq!((&plan.manifest, &plan.success), (&before.manifest, &before.success));
    let published = |plan: &PublishPlan| plan.parts.iter().map(|part| part.published.clone()).collect::<Vec<_>>();
    assert_eq!(published(&plan), published(&before));
}

/// A table with rows of these values, one file each, of one run each.
fn standing(values: &[Option<&str>]) -> Standing {
    let (_, plan) = decided(Mode::Error, None);
    let manifest = manifest(&plan);
    let attempt = AttemptId::new(Epoch(0), 1);
    let part = |value: &Option<&str>| {
        let values = vec![value.map(str::to_owned)];
        let file = layout::part_in(&hive::folder(&manifest.partition_by, &values), 7, attempt);
        ManifestPart { attempt, file: Some(file), values, rows: 100, digest: Digest(100), ..manifest.parts[0].clone() }
    };
    let mut standing = Standing::new(manifest.clone(), Checksum::default());
    let share = standing.shares.pop().unwrap();
    standing.shares = values.iter().map(|value| Share { parts: vec![part(value)], ..share.clone() }).collect();
    standing
}

#[test]
fn a_number_may_be_missing_but_not_come_twice_or_late() {
    let told = |numbers: [usize; 2]| {
        let (mut stage, leases) = by_k(Mode::Error, None);
        let mut parsed = staged_in(&leases[0], &[Some("x"), Some("y")]);
        for (part, number) in std::iter::zip(&mut parsed.parts, numbers) {
            part.key = layout::staged_part(PartitionId(0), leases[0].attempt, number);
        }
        names(&stage.report("w", &leases[0], Outcome::Parsed(Box::new(parsed))))[0].clone()
    };
    for fine in [[0, 1], [0, 7], [5, HIVE_FILES_MAX - 1]] {
        assert_eq!(told(fine), "record Staged", "{fine:?}");
    }
    for wrong in [[1, 1], [2, 1], [0, HIVE_FILES_MAX]] {
        assert_eq!(told(wrong), "record AttemptFailed", "{wrong:?}");
    }
}

#[test]
fn a_table_that_would_have_too_many_files_is_not_written() {
    let mut old = standing(&[Some("y")]);
    old.shares[0].parts = vec![old.shares[0].parts[0].clone(); TABLE_FILES_MAX - 4];
    for (mode, published) in [(Mode::Append, false), (Mode::OverwritePartition, false), (Mode::Overwrite, true)] {
        let report = ended(mode, Some(old.clone())).0.replayed().report();
        assert_eq!(report.state == RunState::Failed, !published, "{mode:?}: {:?}", report.reason);
        assert!(published || format!("{:?}", report.reason).contains("200001 files"), "{:?}", report.reason);
    }
}

#[test]
fn folders_that_the_run_writes_into_are_replaced_and_others_stay() {
    let old = standing(&[Some("x"), Some("y"), None]);
    let files: Vec<String> = old.files().map(str::to_owned).collect();
    let (_, plan) = decided(Mode::OverwritePartition, Some(old.clone()));
    let before = plan.before.as_ref().unwrap();
    assert_eq!((&before.kept, &before.removed), (&vec![files[1].clone()], &vec![files[0].clone(), files[2].clone()]));
    let manifest = manifest(&plan);
    assert_eq!(manifest.kept.len(), 1, "of what nothing is left nothing is told");
    let success = Success::of(&manifest);
    assert_eq!((success.rows, success.digest, success.files.len()), (128, Digest(128), 6));
    for (mode, kept, removed) in [(Mode::Append, 3, 0), (Mode::Overwrite, 0, 3)] {
        let before = decided(mode, Some(old.clone())).1.before.unwrap();
        assert_eq!((before.kept.len(), before.removed.len()), (kept, removed), "{mode:?}");
    }
    // Other columns are no folders of the same table.
    let mut other = old;
    other.columns.pop();
    let report = ended(Mode::OverwritePartition, Some(other)).0.replayed().report();
    assert!(matches!(&report.reason, Some(Reason::Refused { message }) if message.contains("column 2 of the table")));
}

#[test]
fn columns_that_name_no_folder_fail_the_run_once_that_is_certain() {
    let refused = |columns: &[&str], found: Outcome, words: &str| {
        let mut stage = Stage::new();
        stage.step(Event::Submitted(Box::new(by(Mode::Error, columns, None))));
        let leases = stage.join("w", 3);
        let said = stage.report("w", &leases[0], found);
        assert_eq!(names(&said), ["record Inspected", "ack", "grant finish"]);
        let finish = grants(&said);
        stage.report("w", &finish[0], finished(&finish[0], 0));
        let report = stage.replayed().report();
        assert!(matches!(&report.reason, Some(Reason::Refused { message }) if message.contains(words)), "{report:?}");
    };
    refused(&["z"], found(ColumnType::Text, false), "\"z\" is no column of the source, which has k, a");
    refused(&["a", "k"], found(ColumnType::Text, false), "every column of the table is named");
    refused(&["k"], found(ColumnType::Float64, true), "is of type float64");
    // A guess may still turn out text.
    for (classes, fails) in [(Classes::FLOAT, true), (Classes::TEXT, false)] {
        let mut stage = Stage::new();
        stage.step(Event::Submitted(Box::new(by(Mode::Error, &["k"], None))));
        let leases = stage.join("w", 3);
        let leases = grants(&stage.report("w", &leases[0], found(ColumnType::Float64, false)));
        assert_eq!(leases.len(), 3);
        let mut said = Vec::new();
        for lease in &leases {
            let mut parsed = staged_in(lease, &[None]);
            (parsed.parts, parsed.types, parsed.summaries[0]) = (Vec::new(), None, classes);
            said = stage.report("w", lease, Outcome::Parsed(Box::new(parsed)));
        }
        let expected =
            if fails { vec!["grant finish"] } else { vec!["grant 0 from 0", "grant 1 from 2", "grant 2 from 2"] };
        let granted: Vec<_> = names(&said).into_iter().filter(|name| name.starts_with("grant")).collect();
        assert_eq!(granted, expected, "{classes:?}: {:?}", names(&said));
    }
}
