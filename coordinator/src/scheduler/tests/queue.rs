//! Whose turn it is: priority, age and fairness, and what those who wait are told.

use batteuse_shared::limits::PRIORITY_AGE_MS;
use batteuse_shared::status::Waits;

use super::*;

fn id(number: u64) -> RunId {
    RunId::new(&format!("job-{number:03}")).unwrap()
}

/// A run of [`accepted`]'s job with another id, priority and time.
fn numbered(number: u64, priority: i32, at: Millis) -> Event {
    let mut accepted = Accepted { run: id(number), at, ..accepted() };
    accepted.job.spec.priority = priority;
    Event::Submitted(Box::new(accepted))
}

fn usual(lease: &Lease) -> Outcome {
    match &lease.task {
        Task::Inspect(_) => inspected(ColumnType::Int64),
        Task::Parse(_) => plain(lease).outcome(lease),
        Task::Finish(_) => finished(lease, 0),
    }
}

fn runs(leases: &[Lease]) -> Vec<&str> {
    leases.iter().map(|lease| lease.run.as_str()).collect()
}

impl Stage {
    fn queued(priorities: &[i32]) -> Self {
        let mut stage = Self::new();
        for (number, priority) in (0..).zip(priorities) {
            stage.step(numbered(number, *priority, Millis(number)));
        }
        stage.now = Millis(priorities.len() as u64);
        stage
    }

    fn done(&mut self, lease: &Lease) -> Vec<Lease> {
        grants(&self.report("w", lease, usual(lease)))
    }

    /// Works with so many slots and a second for each attempt until all runs have ended; the longest that one of them waited between two
    /// leases, in milliseconds, and the order in which they were decided.
    fn work_all(&mut self, slots: u32) -> (u64, Vec<RunId>) {
        let mut under_way: BTreeMap<(Millis, u64), Lease> = BTreeMap::new();
        let (mut order, mut longest, mut ended) = (0, 0, Vec::new());
        let mut served: BTreeMap<RunId, Millis> =
            self.scheduler.open_runs().map(|run| (run.clone(), self.now)).collect();
        let mut begun = self.join("w", slots);
        loop {
            for lease in std::mem::take(&mut begun) {
                let before = served.insert(lease.run.clone(), self.now).unwrap();
                longest = longest.max(self.now.since(before));
                order += 1;
                under_way.insert((self.now.plus(1_000), order), lease);
            }
            let Some(((at, _), lease)) = under_way.pop_first() else { return (longest, ended) };
            self.now = at;
            let said = self.report("w", &lease, usual(&lease));
            if said.iter().any(|action| matches!(action, Action::Publish(_))) {
                ended.push(lease.run.clone());
                self.step(Event::Published { run: lease.run.clone() });
            }
            begun = grants(&said);
        }
    }
}

#[test]
fn the_higher_priority_has_the_turn_until_the_lower_has_waited_for_it() {
    let mut stage = Stage::queued(&[0, 10]);
    let inspect = stage.join("w", 1);
    assert_eq!(runs(&inspect), ["job-001"]);
    let first = stage.done(&inspect[0]);
    assert_eq!(runs(&first), ["job-001"], "both have waited as long");
    stage.now = Millis(10 * PRIORITY_AGE_MS - 1);
    let second = stage.done(&first[0]);
    assert_eq!(runs(&second), ["job-001"], "both have waited nearly as long");
    stage.now = Millis(11 * PRIORITY_AGE_MS);
    let third = stage.done(&second[0]);
    assert_eq!(runs(&third), ["job-000"], "ten points more of waiting, and accepted first");
    let fourth = stage.done(&third[0]);
    assert_eq!(runs(&fourth), ["job-001"]);
}

#[test]
fn equal_runs_share_the_slots() {
    let mut stage = Stage::queued(&[5]);
    let inspect = stage.join("w", 2);
    let both = stage.done(&inspect[0]);
    assert_eq!(runs(&both), ["job-000", "job-000"]);
    stage.step(numbered(1, 5, Millis(1)));
    let shared = stage.done(&both[0]);
    assert_eq!(runs(&shared), ["job-001"], "it has none yet");
    let again = stage.done(&shared[0]);
    assert_eq!(runs(&again), ["job-001"], "the other has one");
}

#[test]
fn two_hundred_runs_at_once_are_all_served() {
    let mut stage = Stage::queued(&[0; 200]);
    let (longest, ended) = stage.work_all(4);
    assert_eq!(ended.len(), 200);
    // A round of all runs takes fifty seconds.
    assert!(longest <= 200 / 4 * 1_000 + 2 * PRIORITY_AGE_MS, "one waited for {longest} ms");
}

#[test]
fn of_two_hundred_runs_the_higher_ones_end_first_and_the_lowest_end_too() {
    let priorities: Vec<i32> = (0..200).map(|number| [-100, 0, 100][number % 3]).collect();
    let mut stage = Stage::queued(&priorities);
    let (longest, ended) = stage.work_all(4);
    assert_eq!(ended.len(), 200);
    let high = ended.iter().position(|run| *run == id(2)).unwrap();
    let low = ended.iter().position(|run| *run == id(0)).unwrap();
    assert!(high < 67 && low > 100, "{high}, {low}");
    // Five attempts for each run, four at once: 250 s of work, so none waits longer than that.
    assert!(longest <= 250_000, "one waited for {longest} ms");
    assert_eq!(stage.scheduler.open_runs().count(), 0);
}

#[test]
fn those_who_wait_are_told_for_what() {
    let mut stage = Stage::queued(&[0, 0, 7]);
    let waits = |stage: &Stage| stage.scheduler.statuses().map(|status| status.waits).collect::<Vec<_>>();
    assert_eq!(waits(&stage), vec![Some(Waits::Worker); 3]);
    let leases = stage.join("w", 1);
    let slot = |runs_before| Some(Waits::Slot { runs_before });
    assert_eq!(waits(&stage), [slot(0), slot(1), None], "the third has the slot");
    stage.step(Event::Paused { run: id(0) });
    assert_eq!(waits(&stage), [Some(Waits::Unpause), slot(0), None]);
    stage.step(Event::Draining { worker: worker("w") });
    assert_eq!(waits(&stage), [Some(Waits::Unpause), Some(Waits::Worker), None]);
    let full = Failure { class: FailureClass::Environment, message: "disk full".to_owned() };
    stage.report("w", &leases[0], Outcome::Failed(full));
    let retry_at = stage.now.plus(RETRY_BACKOFF_MS);
    let storage = Some(Waits::Storage { message: "disk full".to_owned(), retry_at });
    assert_eq!(waits(&stage)[2], storage);
    stage.now = retry_at;
    stage.step(Event::Tick);
    assert_eq!(waits(&stage)[2], Some(Waits::Worker), "it may be tried again, and nobody is there");
    stage.step(Event::Cancelled { run: id(1), message: "enough".to_owned() });
    assert_eq!(waits(&stage)[1], None, "it is being published");
    let refused = Event::PublishFailed { run: id(1), message: "no room".to_owned(), gone: Vec::new() };
    stage.step(refused);
    assert!(matches!(&waits(&stage)[1], Some(Waits::Storage { message, .. }) if message == "no room"));
}

#[test]
fn a_run_that_wants_more_slots_may_come_before_one_without_any() {
    let mut stage = Stage::queued(&[1, 0]);
    let inspect = stage.join("w", 1);
    stage.done(&inspect[0]);
    let waits: Vec<_> = stage.scheduler.statuses().map(|status| status.waits).collect();
    assert_eq!(waits, [None, Some(Waits::Slot { runs_before: 1 })], "the first has two partitions left");
}

#[test]
fn a_stopped_line_moves_on_without_the_run_that_is_held() {
    let mut stage = Stage::queued(&[100, 0]);
    stage.step(Event::Paused { run: id(0) });
    let leases = stage.join("w", 1);
    assert_eq!(runs(&leases), ["job-001"]);
    stage.step(Event::Unpaused { run: id(0) });
    assert_eq!(runs(&stage.done(&leases[0])), ["job-000"]);
}
