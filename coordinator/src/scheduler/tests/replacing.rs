//! What was decided and is proven gone is made once more, and published only where it is the same.

use batteuse_shared::limits::{FAILURES_LOST_MAX, RETRY_BACKOFF_MS_MAX};

use super::*;
use crate::publish::PublishPlan;

fn plan(actions: &[Action]) -> PublishPlan {
    let plan = |a: &Action| if let Action::Publish(plan) = a { Some((**plan).clone()) } else { None };
    actions.iter().find_map(plan).unwrap_or_else(|| panic!("it publishes: {:?}", names(actions)))
}

/// A run over three partitions, each with a reject, that is being published.
fn decided() -> (Stage, PublishPlan) {
    let mut accepted = accepted();
    accepted.job.spec.rejects.tolerate = serde_json::from_value(serde_json::json!({"count": 3})).unwrap();
    let mut stage = Stage::new();
    stage.step(Event::Submitted(Box::new(accepted)));
    let leases = stage.join("w", 3);
    let mut leases = grants(&stage.report("w", &leases[0], inspected(ColumnType::Int64)));
    loop {
        let lease = leases.pop().expect("a task until the decision");
        let said = stage.report("w", &lease, again(&lease));
        leases.extend(grants(&said));
        if names(&said).contains(&"record RunDecided".to_owned()) {
            return (stage, plan(&said));
        }
    }
}

/// What an attempt at a task reports, be it the first or a later one.
fn again(lease: &Lease) -> Outcome {
    match &lease.task {
        Task::Finish(_) => finished(lease, 3),
        _ => {
            let report = plain(lease);
            Report { rows: report.rows - 1, rejected: 1, ..report }.outcome(lease)
        }
    }
}

/// With another digest.
fn other(lease: &Lease) -> Outcome {
    let Outcome::Parsed(mut parsed) = again(lease) else { panic!("a parse task") };
    parsed.parts[0].digest = Digest(7);
    Outcome::Parsed(parsed)
}

fn failed(class: FailureClass) -> Outcome {
    Outcome::Failed(Failure { class, message: "boom".to_owned() })
}

impl Stage {
    fn gone(&mut self, attempts: &[AttemptId]) -> Vec<Action> {
        let message = "gone".to_owned();
        self.step(Event::PublishFailed { run: run_id(), message, gone: attempts.to_vec() })
    }

    /// Time enough for whatever the run waits for; the worker is there still.
    fn later(&mut self, name: &str) -> Vec<Action> {
        self.now = self.now.plus(RETRY_BACKOFF_MS_MAX);
        let mut said = self.step(Event::Heartbeat { worker: worker(name), beat: 1, progress: Vec::new() });
        said.retain(|action| !matches!(action, Action::Alive { .. }));
        said.extend(self.step(Event::Tick));
        said
    }
}

/// What a plan makes visible, and by whom it is staged.
fn shown(plan: &PublishPlan) -> Vec<(String, AttemptId)> {
    plan.parts.iter().chain(&plan.rejects).map(|link| (link.published.clone(), link.attempt)).collect()
}

/// Two plans that make the same visible.
#[track_caller]
fn must_show_the_same(one: &PublishPlan, other: &PublishPlan) {
    let texts = |plan: &PublishPlan| (plan.manifest.clone(), plan.report.clone(), plan.success.clone());
    assert_eq!(texts(one), texts(other));
    let names = |plan: &PublishPlan| shown(plan).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(names(one), names(other));
}

#[test]
fn a_lost_part_is_made_again_and_published_under_its_name() {
    let (mut stage, before) = decided();
    let lost = before.parts[1].attempt;
    let said = stage.gone(&[lost]);
    assert_eq!(names(&said), ["grant 1 from 2"]);
    let lease = &grants(&said)[0];
    let Task::Parse(task) = &lease.task else { panic!() };
    let given = (task.replaces, task.range, task.columns[0].ctype);
    assert_eq!(given, (Some(lost), Span::new(10, 20), ColumnType::Int64));
    let said = stage.report("w", lease, again(lease));
    assert_eq!(names(&said), ["record PartitionReplaced", "discard 1", "publish 3 parts, success true", "ack"]);
    let after = plan(&said);
    must_show_the_same(&before, &after);
    assert_eq!(after.parts[1].staged.name, layout::staged_part(PartitionId(1), lease.attempt, 0));
    assert_eq!((&after.parts[0], &after.parts[2]), (&before.parts[0], &before.parts[2]));
    assert_eq!(names(&stage.step(Event::Published { run: run_id() })), ["record RunDone"]);
    let status = stage.scheduler.statuses().next().unwrap();
    assert_eq!(status.report.as_deref(), Some(&stage.replayed().report()), "REPLAY");
}

#[test]
fn all_that_is_lost_is_waited_for_and_what_is_lost_twice_is_made_twice() {
    let (mut stage, before) = decided();
    let lost = [before.parts[0].attempt, before.parts[2].attempt];
    let said = stage.gone(&lost);
    assert_eq!(names(&said), ["grant 0 from 0", "grant 2 from 2"]);
    let leases = grants(&said);
    let said = stage.report("w", &leases[1], again(&leases[1]));
    assert_eq!(names(&said), ["record PartitionReplaced", "discard 1", "ack"], "the other one is awaited");
    assert!(stage.later("w").is_empty());
    let once = plan(&stage.report("w", &leases[0], again(&leases[0])));
    // The first is lost once more; of the second an old word says so.
    let said = stage.gone(&[once.parts[0].attempt, lost[1]]);
    assert_eq!(names(&said), ["grant 0 from 0"]);
    let lease = &grants(&said)[0];
    assert_eq!(names(&stage.report("w", lease, again(lease))), ["record PartitionReplaced", "discard 1", "ack"]);
    let twice = plan(&stage.later("w"));
    must_show_the_same(&before, &twice);
    assert_eq!(twice.parts[0].attempt, lease.attempt);
    assert_eq!(twice.parts[2], once.parts[2]);
}

#[test]
fn lost_rejects_are_finished_again() {
    let (mut stage, before) = decided();
    let said = stage.gone(&[before.rejects.as_ref().unwrap().attempt]);
    assert_eq!(names(&said), ["grant finish"]);
    let lease = &grants(&said)[0];
    assert_eq!(names(&stage.report("w", lease, finished(lease, 2))), ["discard 1", "ack"], "others");
    let said = stage.later("w");
    assert_eq!(names(&said), ["grant finish"]);
    let lease = &grants(&said)[0];
    let said = stage.report("w", lease, finished(lease, 3));
    assert_eq!(names(&said), ["record FinishStaged", "publish 3 parts, success true", "ack"]);
    let after = plan(&said);
    must_show_the_same(&before, &after);
    assert_eq!(after.rejects.unwrap().attempt, lease.attempt);
}

#[test]
fn another_part_is_never_published() {
    let (mut stage, before) = decided();
    let mut leases = grants(&stage.gone(&[before.parts[1].attempt]));
    let facts = stage.facts.len();
    for failures in 1..=5 {
        assert_eq!(names(&stage.report("w", &leases[0], other(&leases[0]))), ["discard 2", "ack"]);
        let (held_up, message) = stage.scheduler.statuses().next().unwrap().stalled.unwrap();
        assert_eq!(held_up, failures);
        assert!(message.contains("partition 1") && message.contains("another part than the decided one"), "{message}");
        leases = grants(&stage.later("w"));
    }
    assert_eq!(stage.facts.len(), facts, "no fact is made of it");
    // The file is put back as it was.
    let said = stage.report("w", &leases[0], again(&leases[0]));
    must_show_the_same(&before, &plan(&said));
    assert_eq!(stage.scheduler.statuses().next().unwrap().stalled, None);
}

#[test]
fn no_failure_of_a_replacement_fails_a_decided_run() {
    let (mut stage, before) = decided();
    let mut leases = grants(&stage.gone(&[before.parts[1].attempt]));
    let facts = stage.facts.len();
    let classes = [
        FailureClass::Environment,
        FailureClass::Crash,
        FailureClass::Refused,
        FailureClass::SourceChanged,
        FailureClass::Released,
    ];
    for class in classes.into_iter().cycle().take(5 * FAILURES_LOST_MAX as usize) {
        // What was given back is leased at once.
        let mut said = stage.report("w", &leases[0], failed(class));
        said.extend(stage.later("w"));
        leases = grants(&said);
        assert_eq!(leases.len(), 1, "{class:?}: it is tried again");
    }
    assert_eq!(stage.facts.len(), facts, "no fact is made of it");
    must_show_the_same(&before, &plan(&stage.report("w", &leases[0], again(&leases[0]))));
}

#[test]
fn a_replacement_that_is_lost_with_its_worker_is_leased_to_another_and_the_first_one_counts() {
    let (mut stage, before) = decided();
    let first = grants(&stage.gone(&[before.parts[1].attempt])).remove(0);
    stage.step(Event::WorkerLeft { worker: worker("w") });
    stage.now = stage.now.plus(SUSPECT_MS);
    assert!(stage.step(Event::Tick).is_empty(), "a decided run has no budget to count it against");
    stage.now = stage.now.plus(RETRY_BACKOFF_MS);
    let second = stage.join("v", 1).remove(0);
    // The one that was given up comes after all.
    let said = stage.report("w", &first, again(&first));
    let expected = ["record PartitionReplaced", "revoke", "discard 1", "publish 3 parts, success true", "ack"];
    assert_eq!(names(&said), expected);
    must_show_the_same(&before, &plan(&said));
    assert_eq!(names(&stage.report("v", &second, again(&second))), ["ack"], "it is of no use");
    assert_eq!(names(&stage.report("w", &first, again(&first))), ["ack"], "told twice, it loses nothing");
}

#[test]
fn who_takes_over_finds_out_again_and_keeps_what_was_replaced() {
    let (mut stage, before) = decided();
    let lost = [before.parts[0].attempt, before.parts[1].attempt];
    let leases = grants(&stage.gone(&lost));
    stage.report("w", &leases[0], again(&leases[0]));
    // Killed: one of two is replaced.
    let mut next = Stage { scheduler: Scheduler::default(), now: stage.now, facts: stage.facts.clone() };
    let said = next.scheduler.adopt(stage.replayed(), next.now);
    assert_eq!(names(&said), ["record EpochBegun", "discard 1", "publish 3 parts, success true"]);
    let resumed = plan(&said);
    must_show_the_same(&before, &resumed);
    assert_eq!(resumed.parts[0].attempt, leases[0].attempt);
    next.facts.push(Fact::EpochBegun { epoch: Epoch(2), at: next.now });
    next.join("v", 2);
    // The replacement that its predecessor had leased is nobody's any more.
    assert_eq!(names(&next.report("w", &leases[1], again(&leases[1]))), ["ack"]);
    let said = next.gone(&[lost[1]]);
    assert_eq!(names(&said), ["grant 1 from 2"]);
    let lease = &grants(&said)[0];
    assert_eq!(lease.attempt.epoch(), Epoch(2));
    let said = next.report("v", lease, again(lease));
    must_show_the_same(&before, &plan(&said));
    next.step(Event::Published { run: run_id() });
    let status = next.scheduler.statuses().next().unwrap();
    assert_eq!(status.report.as_deref(), Some(&next.replayed().report()), "REPLAY");
}

#[test]
fn an_attempt_from_before_the_decision_replaces_nothing() {
    let (mut stage, leases) = Stage::inspected(3);
    stage.step(Event::WorkerLeft { worker: worker("w") });
    stage.now = Millis(SUSPECT_MS);
    stage.step(Event::Tick);
    let mut line = stage.join("v", 3);
    let before = loop {
        let lease = line.pop().unwrap();
        let outcome =
            if matches!(lease.task, Task::Finish(_)) { finished(&lease, 0) } else { plain(&lease).outcome(&lease) };
        let said = stage.report("v", &lease, outcome);
        line.extend(grants(&said));
        if names(&said).contains(&"record RunDecided".to_owned()) {
            break plan(&said);
        }
    };
    let lost = before.parts.iter().map(|part| part.attempt).collect::<Vec<_>>();
    assert_eq!(grants(&stage.gone(&lost)).len(), 3);
    let late = stage.report("w", &leases[0], plain(&leases[0]).outcome(&leases[0]));
    assert_eq!(names(&late), ["ack"]);
}
