//! How true starts were met, as the report tells it: by the facts alone, so that a replayed run tells the same.

use batteuse_shared::report::{self, BytesToMerge, Seams};
use batteuse_shared::task::Phases;

use super::*;

/// Carries a run to its decision; the report that is published must be the one that its facts tell.
fn concluded(stage: &mut Stage, mut leases: Vec<Lease>) -> report::Report {
    loop {
        let lease = leases.pop().expect("a task until the decision");
        let outcome = match &lease.task {
            Task::Finish(_) => finished(&lease, 0),
            _ => plain(&lease).outcome(&lease),
        };
        let said = stage.report("w", &lease, outcome);
        leases.extend(grants(&said));
        let published = said.iter().find_map(|a| if let Action::Publish(plan) = a { Some(&plan.report) } else { None });
        if let Some(text) = published {
            let told: report::Report = serde_json::from_str(text.as_ref().unwrap()).unwrap();
            assert_eq!(told, stage.replayed().report(), "REPLAY");
            return told;
        }
    }
}

/// A run over three partitions, the first of which ends inside quotes, which nothing closes: both guesses are wrong. With the
/// leases that it grants then.
fn guessed_wrong() -> (Stage, Vec<Lease>) {
    let (mut stage, leases) = Stage::inspected(3);
    stage.report("w", &leases[1], plain(&leases[1]).outcome(&leases[1]));
    let unmerged = Report { merged_after: None, ..plain(&leases[2]) };
    stage.report("w", &leases[2], unmerged.outcome(&leases[2]));
    let mut first = plain(&leases[0]);
    first.exits.insert(StateId(0), Exit { state: INSIDE, first: Some(2) });
    first.end = 30;
    let said = stage.report("w", &leases[0], Report { rows: 28, ..first }.outcome(&leases[0]));
    (stage, grants(&said))
}

#[test]
fn starts_that_were_given_and_guessed_right_are_told() {
    let (mut stage, leases) = Stage::inspected(3);
    let early = Report { merged_after: Some(1), ..plain(&leases[2]) };
    stage.report("w", &leases[2], early.outcome(&leases[2]));
    let told = concluded(&mut stage, leases[..2].to_vec()).seams;
    let bytes_to_merge = Some(BytesToMerge { median: 1, max: 4 });
    assert_eq!(told, Seams { certain: 1, guessed_right: 2, merged: 2, bytes_to_merge, ..Seams::default() });
}

#[test]
fn one_worker_never_guesses() {
    let (mut stage, leases) = Stage::inspected(1);
    assert_eq!(concluded(&mut stage, leases).seams, Seams { certain: 3, ..Seams::default() });
}

#[test]
fn starts_that_were_guessed_wrong_are_told_once_they_are_parsed_again_too() {
    let (mut stage, again) = guessed_wrong();
    let bytes_to_merge = Some(BytesToMerge { median: 4, max: 4 });
    let wrong = Seams { certain: 1, guessed_wrong: 2, merged: 1, never_merged: 1, bytes_to_merge, ..Seams::default() };
    assert_eq!(stage.replayed().report().seams, wrong);
    for lease in again {
        let Task::Parse(task) = &lease.task else { panic!() };
        let mut empty = Report { first: task.range.end, end: task.range.end, rows: 0, ..plain(&lease) };
        empty.exits.insert(INSIDE, Exit { state: INSIDE, first: None });
        let Outcome::Parsed(mut parsed) = empty.outcome(&lease) else { panic!() };
        parsed.first = None;
        stage.report("w", &lease, Outcome::Parsed(parsed));
    }
    let report = stage.replayed().report();
    assert_eq!((report.seams, report.reruns.guesses, report.accepted), (wrong, 2, 3));
    let phases = Phases { read_us: 5, parse_us: 5 * 20, encode_us: 5 * 300, stage_us: 5 * 4_000 };
    assert_eq!(report.phases, phases, "of three attempts and of the two that were done again");
}

#[test]
fn what_other_types_make_parse_again_was_guessed_once() {
    let (mut stage, leases) = Stage::inspected(3);
    let odd = Report { classes: Classes::TEXT, types: None, ..plain(&leases[2]) };
    stage.report("w", &leases[2], odd.outcome(&leases[2]));
    stage.report("w", &leases[1], plain(&leases[1]).outcome(&leases[1]));
    let said = stage.report("w", &leases[0], plain(&leases[0]).outcome(&leases[0]));
    let report = concluded(&mut stage, grants(&said));
    assert_eq!((report.reruns.types, report.seams.certain, report.seams.guessed_right), (3, 1, 2));
    assert_eq!((report.seams.guessed_wrong, report.seams.merged), (0, 2));
}

#[test]
fn a_guess_that_was_never_compared_is_not_told() {
    let (mut stage, leases) = Stage::inspected(3);
    stage.report("w", &leases[2], plain(&leases[2]).outcome(&leases[2]));
    stage.step(Event::Cancelled { run: run_id(), message: "enough".to_owned() });
    assert_eq!(stage.replayed().report().seams, Seams::default());
}

#[test]
fn a_seam_that_cannot_be_true_is_not_believed() {
    let (mut stage, leases) = Stage::inspected(3);
    let lies = [(1, Seam { given: true, merged_after: None }), (2, Seam { given: false, merged_after: Some(11) })];
    for (lease, seam) in lies.map(|(i, seam)| (&leases[i], seam)) {
        let Outcome::Parsed(mut parsed) = plain(lease).outcome(lease) else { panic!() };
        parsed.seam = seam;
        assert_eq!(names(&stage.report("w", lease, Outcome::Parsed(parsed)))[0], "record AttemptFailed", "{seam:?}");
    }
    let Outcome::Parsed(mut parsed) = plain(&leases[0]).outcome(&leases[0]) else { panic!() };
    parsed.seam.merged_after = Some(1);
    assert_eq!(names(&stage.report("w", &leases[0], Outcome::Parsed(parsed)))[0], "record AttemptFailed", "one start");
}
