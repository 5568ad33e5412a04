//! Attempts that are late while slots are idle.

use super::*;

/// Two workers of one slot: "slow" has the first partition, "fast" has staged the others, each within a second.
fn late(timing: Timing) -> (Stage, Lease) {
    let mut stage = Stage::timed(timing);
    stage.step(Event::Submitted(Box::new(accepted())));
    let leases = stage.join("slow", 1);
    let first = grants(&stage.report("slow", &leases[0], inspected(ColumnType::Int64)));
    let mut next = stage.join("fast", 1);
    for second in 1..=2 {
        stage.now = Millis(1_000 * second);
        next = grants(&stage.report("fast", &next[0], plain(&next[0]).outcome(&next[0])));
    }
    assert_eq!(next, [], "there is nothing else to do");
    (stage, first[0].clone())
}

fn knobs(split_bytes_min: u64) -> Timing {
    Timing { split_bytes_min, ..Timing::default() }
}

fn beat(stage: &mut Stage, lease: &Lease, bytes: u64, end: Option<u64>) -> Vec<Action> {
    let progress = vec![(lease.run.clone(), lease.attempt, Done { bytes, work: stage.now.0, end })];
    stage.step(Event::Heartbeat { worker: worker("slow"), beat: 1, progress })
}

/// An attempt's lease, with the range that is left to it.
fn shortened(lease: &Lease, end: u64) -> Lease {
    let mut lease = lease.clone();
    if let Task::Parse(task) = &mut lease.task {
        task.range = Span::new(task.range.start, end);
    }
    lease
}

/// Stages what is left, and has the run end.
fn must_end_well(stage: &mut Stage, said: &[Action], partitions: u64) {
    let finish = grants(said);
    assert!(matches!(finish[..], [Lease { task: Task::Finish(_), .. }]), "{:?}", names(said));
    let said = names(&stage.report("fast", &finish[0], finished(&finish[0], 0)));
    assert_eq!(said[..2], ["record FinishStaged", "record RunDecided"]);
    let report = stage.replayed().report();
    assert_eq!((report.partitions, report.accepted, report.counts.written), (partitions, partitions, 28));
    assert!(report.equation.holds);
    let live = stage.scheduler.run(&run_id()).unwrap();
    assert_eq!(live.differs(&stage.replayed()), None, "REPLAY");
}

#[test]
fn one_that_tells_nothing_is_begun_once_more_elsewhere_and_the_first_that_stages_wins() {
    for first in ["slow", "fast"] {
        let (mut stage, lease) = late(knobs(1));
        stage.now = Millis(3_000);
        assert_eq!(names(&stage.step(Event::Tick)), [""; 0], "it may be only a little late");
        stage.now = Millis(4_001);
        let said = stage.step(Event::Tick);
        assert_eq!(names(&said), ["grant 0 from 0"]);
        let second = grants(&said)[0].clone();
        stage.now = Millis(9_000);
        assert_eq!(names(&stage.step(Event::Tick)), [""; 0], "one, and no more");
        let (won, lost) = if first == "slow" { (&lease, &second) } else { (&second, &lease) };
        let loser = if first == "slow" { "fast" } else { "slow" };
        let said = stage.report(first, won, plain(won).outcome(won));
        let revoked = Action::Revoke { worker: worker(loser), run: run_id(), attempt: lost.attempt };
        assert_eq!((names(&said)[0].as_str(), said.contains(&revoked)), ("record Staged", true), "{:?}", names(&said));
        let late = stage.report(loser, lost, plain(lost).outcome(lost));
        assert!(!names(&late).iter().any(|name| name.starts_with("record")), "{:?}", names(&late));
        must_end_well(&mut stage, &said, 3);
    }
}

#[test]
fn the_failure_of_one_of_two_attempts_leaves_the_other() {
    let (mut stage, lease) = late(knobs(1));
    stage.now = Millis(4_001);
    let second = grants(&stage.step(Event::Tick))[0].clone();
    let crash = Outcome::Failed(Failure { class: FailureClass::Crash, message: "boom".to_owned() });
    assert_eq!(names(&stage.report("slow", &lease, crash)), ["record AttemptFailed", "ack"], "nobody begins it again");
    let said = stage.report("fast", &second, plain(&second).outcome(&second));
    must_end_well(&mut stage, &said, 3);
}

#[test]
fn the_rest_of_a_slow_one_is_given_away_where_it_says_that_it_ends() {
    let (mut stage, lease) = late(knobs(1));
    assert_eq!(names(&beat(&mut stage, &lease, 1, None)), ["alive 1"]);
    let said = stage.step(Event::Tick);
    assert_eq!(names(&said), ["shorten to 4"], "of 7 bytes who is twenty times slower keeps the one he is at");
    assert_eq!(names(&stage.step(Event::Tick)), [""; 0], "it is asked once");
    // It had come further.
    let said = beat(&mut stage, &lease, 3, Some(6));
    assert_eq!(names(&said), ["record Split", "alive 1", "grant 3 guess"]);
    let child = grants(&said)[0].clone();
    assert_eq!(names(&beat(&mut stage, &lease, 3, Some(6))), ["alive 1"], "once");
    let said = stage.report("fast", &child, plain(&child).outcome(&child));
    assert_eq!(names(&said), ["record Staged", "ack"]);
    let own = shortened(&lease, 6);
    let said = stage.report("slow", &own, plain(&own).outcome(&own));
    must_end_well(&mut stage, &said, 4);
}

#[test]
fn a_report_tells_what_was_given_away_too() {
    let (mut stage, lease) = late(knobs(1));
    let own = shortened(&lease, 6);
    let said = stage.report("slow", &own, plain(&own).outcome(&own));
    assert_eq!(names(&said), ["record Split", "record Staged", "ack", "grant 3 from 2"], "the fold knows its start");
    let child = grants(&said)[0].clone();
    let said = stage.report("slow", &child, plain(&child).outcome(&child));
    must_end_well(&mut stage, &said, 4);
}

#[test]
fn a_report_of_what_the_range_was_before_is_of_no_use_and_accuses_nobody() {
    let (mut stage, lease) = late(knobs(1));
    let child = grants(&beat(&mut stage, &lease, 3, Some(6)))[0].clone();
    let said = stage.report("slow", &lease, plain(&lease).outcome(&lease));
    assert_eq!(names(&said), ["ack", "grant 0 from 0"]);
    let again = grants(&said)[0].clone();
    let Task::Parse(task) = &again.task else { panic!() };
    assert_eq!(task.range, Span::new(2, 6));
    stage.report("slow", &again, plain(&again).outcome(&again));
    let said = stage.report("fast", &child, plain(&child).outcome(&child));
    must_end_well(&mut stage, &said, 4);
}

#[test]
fn one_that_does_not_give_its_rest_away_is_begun_once_more() {
    let (mut stage, lease) = late(knobs(1));
    beat(&mut stage, &lease, 1, None);
    assert_eq!(names(&stage.step(Event::Tick)), ["shorten to 4"]);
    stage.now = stage.now.plus(SUSPECT_MS);
    assert_eq!(names(&stage.step(Event::Tick)), ["grant 0 from 0"]);
}

#[test]
fn a_rest_that_is_too_small_is_not_given_away() {
    let (mut stage, lease) = late(knobs(5));
    beat(&mut stage, &lease, 1, None);
    assert_eq!(names(&stage.step(Event::Tick)), ["grant 0 from 0"]);
}

#[test]
fn nothing_is_done_without_idle_slots_or_when_it_is_not_wanted() {
    let (mut stage, lease) = late(Timing { speculates: false, ..knobs(1) });
    beat(&mut stage, &lease, 1, None);
    assert_eq!(names(&stage.step(Event::Tick)), [""; 0]);
    let (mut stage, lease) = late(knobs(1));
    beat(&mut stage, &lease, 1, None);
    stage.step(Event::Offered { worker: worker("fast"), slots: 0 });
    assert_eq!(names(&stage.step(Event::Tick)), [""; 0]);
}

#[test]
fn a_range_is_cut_where_its_exit_was_known_and_the_fold_finds_its_way_again() {
    let (mut stage, lease) = late(knobs(1));
    // Its exit is known; all are parsed again as text.
    let odd = Report { classes: Classes::TEXT, types: None, ..plain(&lease) };
    let mut said = stage.report("slow", &lease, odd.outcome(&lease));
    let text = |lease: &Lease| Report { classes: Classes::TEXT, ..plain(lease) }.outcome(lease);
    let mut left = leased(&said);
    let (name, first) = left.remove(0);
    let own = shortened(&first, 5);
    said = stage.report(&name, &own, text(&own));
    assert_eq!(names(&said)[..2], ["record Split", "record Staged"]);
    left.extend(leased(&said));
    while let Some((name, lease)) = left.pop() {
        said = stage.report(&name, &lease, text(&lease));
        left.extend(leased(&said).into_iter().filter(|(_, lease)| matches!(lease.task, Task::Parse(_))));
    }
    must_end_well(&mut stage, &said, 4);
}

/// Who got what.
fn leased(actions: &[Action]) -> Vec<(String, Lease)> {
    let lease = |action: &Action| match action {
        Action::Grant { worker, lease } => Some((worker.to_string(), (**lease).clone())),
        _ => None,
    };
    actions.iter().filter_map(lease).collect()
}
