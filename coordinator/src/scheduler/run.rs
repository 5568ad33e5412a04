//! One run as a state machine: facts in, the next tasks and facts out.
//!
//! Invariants: [`Run::apply`] is the only way state changes by a fact, live and in replay alike (REPLAY); leases are hints
//! and are not facts (LEASE-IS-HINT); nothing is decided from an attempt whose start is not proven. Pure.

use std::collections::{BTreeMap, BTreeSet};

use batteuse_shared::ids::{AttemptId, Epoch, PartitionId, RunId};
use batteuse_shared::limits;
use batteuse_shared::mutants::{Mutant, planted};
use batteuse_shared::report::Reason;
use batteuse_shared::span::Span;
use batteuse_shared::spec::Auto;
use batteuse_shared::table::{Classes, Column, ColumnType, Counts};
use batteuse_shared::task::{Failure, FailureClass, Finished, Inspected, Outcome, Parsed, Phases};
use batteuse_shared::time::Millis;

use super::blame::Crashed;
use super::kept::{Kept, KnownTypes};
use super::leases::Leases;
use super::messages::{Accepted, Action, Decision, Fact, TaskKey};
use super::partition::Partition;
use super::retry::{Budget, Stall};
use super::sound;
use super::stragglers::Paces;
use crate::fold::Fold;
use crate::plan;
use crate::publish::{Staged, Visible};

/// A run.
#[derive(Debug, Clone)]
pub struct Run {
    pub(super) accepted: Accepted,
    /// Bytes of its spec as JSON.
    pub(super) spec_bytes: u64,
    epoch: Epoch,
    pub(super) counter: u32,
    pub(super) inspected: Option<Box<Inspected>>,
    /// By their ids.
    pub(super) partitions: Vec<Partition>,
    /// Their ids in the order of the source.
    pub(super) line: Vec<PartitionId>,
    /// How many ranges were cut once more.
    pub(super) splits: u64,
    pub(super) fold: Option<Fold>,
    /// Partitions whose start the fold has told and which were compared with it.
    proven: usize,
    /// Summaries of their columns, joined, until the types are settled.
    joined: Vec<Classes>,
    /// Of the attempts that were ever staged.
    types: KnownTypes,
    pub(super) phases: Phases,
    /// Counts of all staged partitions, and bytes of their ranges: what a glance shows.
    pub(super) staged: (Counts, u64),
    pub(super) settled: Option<Vec<ColumnType>>,
    pub(super) to_accept: BTreeSet<PartitionId>,
    pub(super) accepted_count: u64,
    pub(super) finish: Option<(AttemptId, Finished)>,
    pub(super) failing: Option<Reason>,
    /// The finish task failed for good: the run fails without its rejects.
    pub(super) finish_given_up: bool,
    pub(super) decision: Option<Decision>,
    pub(super) done: bool,
    /// An operator holds it.
    pub(super) paused: bool,
    /// How often it went on after it had failed.
    pub(super) redrives: u64,
    /// The epoch in which it last did: attempts of before are nobody's.
    pub(super) since: Epoch,
    /// What its endings before published, and the next one replaces.
    pub(super) replaces: Vec<Visible>,
    /// Parts that they published, if they published a table.
    pub(super) stood: Option<BTreeSet<String>>,
    /// Why it can be redriven no more, if that was said.
    pub(super) released: Option<String>,
    pub(super) journalled_attempts: u64,
    /// Attempts of which the journal tells the end, but for those that were lost with their worker: they may be at work yet.
    pub(super) ended: BTreeSet<AttemptId>,
    /// Bytes of a partition, as planned.
    pub(super) planned_bytes: u64,
    pub(super) budgets: BTreeMap<TaskKey, Budget>,
    /// Partitions that are to be cut or set aside, and whether that is due now: else their start is waited for.
    pub(super) condemned: BTreeMap<PartitionId, bool>,
    /// Staged files that no fact will use: deleted by the next live step.
    pub(super) garbage: Vec<Staged>,
    // What follows are hints: gone with the process.
    /// When it was last given a lease; before the first, when this coordinator got it.
    pub(super) served: Millis,
    pub(super) stall: Stall,
    pub(super) paces: Paces,
    /// What crashed of late.
    pub(super) crashed: Vec<Crashed>,
    pub(super) waiting: BTreeSet<TaskKey>,
    pub(super) leases: Leases,
    pub(super) issued: BTreeMap<AttemptId, TaskKey>,
    /// Those of them that were given the true start of their partition.
    pub(super) given: BTreeSet<AttemptId>,
    /// What was decided and is proven gone: to be done once more.
    pub(super) gone: BTreeSet<TaskKey>,
    pub(super) publishing: bool,
    pub(super) publish_again_at: Option<Millis>,
    pub(super) publish_failures: u32,
    pub(super) publish_message: String,
}

impl Run {
    /// A run that was just accepted.
    #[must_use]
    pub fn new(accepted: Accepted) -> Self {
        // Above those of the table that stands in the folder, so that no part has the name of one of its.
        let epoch = accepted.standing.as_ref().map_or(Epoch(0), |standing| standing.epoch());
        Self {
            served: accepted.at,
            spec_bytes: accepted.job.json_bytes(),
            accepted,
            epoch,
            counter: 0,
            inspected: None,
            partitions: Vec::new(),
            line: Vec::new(),
            splits: 0,
            fold: None,
            proven: 0,
            joined: Vec::new(),
            types: KnownTypes::default(),
            phases: Phases::default(),
            staged: (Counts::default(), 0),
            settled: None,
            to_accept: BTreeSet::new(),
            accepted_count: 0,
            finish: None,
            failing: None,
            finish_given_up: false,
            decision: None,
            done: false,
            paused: false,
            redrives: 0,
            since: Epoch(0),
            replaces: Vec::new(),
            stood: None,
            released: None,
            journalled_attempts: 0,
            ended: BTreeSet::new(),
            planned_bytes: 0,
            budgets: BTreeMap::new(),
            condemned: BTreeMap::new(),
            garbage: Vec::new(),
            stall: Stall::default(),
            paces: Paces::default(),
            crashed: Vec::new(),
            waiting: BTreeSet::from([TaskKey::Inspect]),
            leases: Leases::default(),
            issued: BTreeMap::new(),
            given: BTreeSet::new(),
            gone: BTreeSet::new(),
            publishing: false,
            publish_again_at: None,
            publish_failures: 0,
            publish_message: String::new(),
        }
    }

    /// Rebuilds a run from its journal. None when there is no `RunAccepted`.
    #[must_use]
    pub fn replay(facts: impl IntoIterator<Item = Fact>) -> Option<Self> {
        let mut facts = facts.into_iter();
        let Some(Fact::RunAccepted(accepted)) = facts.next() else { return None };
        let mut run = Run::new(*accepted);
        for fact in facts {
            let forgotten = planted(Mutant::FailureForgotten) && matches!(fact, Fact::AttemptFailed { .. })
                || planted(Mutant::PauseForgotten) && matches!(fact, Fact::Paused { .. });
            if !forgotten {
                run.apply(&fact);
            }
        }
        Some(run)
    }

    /// The run's id.
    #[must_use]
    pub fn id(&self) -> &RunId {
        &self.accepted.run
    }

    /// The content of its `RunAccepted`.
    #[must_use]
    pub fn accepted(&self) -> &Accepted {
        &self.accepted
    }

    /// The epoch of the coordinator that has it; before the first one the last that the folder's table tells of, or 0.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// How it ends, once that is decided.
    #[must_use]
    pub fn decision(&self) -> Option<&Decision> {
        self.decision.as_ref()
    }

    /// Whether everything decided is published.
    #[must_use]
    pub fn done(&self) -> bool {
        self.done
    }

    /// Takes a durable fact in.
    pub fn apply(&mut self, fact: &Fact) {
        match fact {
            Fact::RunAccepted(_) | Fact::SteppedDown { .. } => {}
            Fact::EpochBegun { epoch, .. } => {
                debug_assert!(*epoch > self.epoch, "epochs rise");
                self.epoch = *epoch;
                self.counter = 0;
            }
            Fact::Inspected(inspected) => self.take_inspected(inspected),
            Fact::Staged { partition, attempt, parsed } => self.take_staged(*partition, *attempt, parsed),
            Fact::Split { partition, at } => self.take_split(*partition, *at),
            Fact::Quarantined { partition, reason } => self.take_quarantined(*partition, reason),
            Fact::SchemaSettled { types } => self.take_settled(types),
            Fact::Accepted { partition, attempt } => {
                let p = &mut self.partitions[partition.0 as usize];
                debug_assert!(!p.accepted && p.staged.as_ref().is_some_and(|(a, _)| a == attempt), "SINGLE-DECISION");
                p.accepted = true;
                self.to_accept.remove(partition);
                self.accepted_count += 1;
                let early = u64::from(planted(Mutant::FinishEarly) && self.partitions.len() > 1);
                if self.accepted_count + early == self.partitions.len() as u64 {
                    self.waiting.insert(TaskKey::Finish);
                }
            }
            Fact::AttemptFailed { task, failure, attempt, given } => {
                self.journalled_attempts += 1;
                if failure.class != FailureClass::Lost {
                    self.ended.insert(*attempt);
                }
                self.take_accused(*task, failure, *given);
            }
            Fact::FinishStaged { attempt, finished } => {
                // The report tells what the run did until it was decided.
                self.journalled_attempts += u64::from(self.decision.is_none());
                self.ended.insert(*attempt);
                self.finish = Some((*attempt, finished.clone()));
                self.is_there(TaskKey::Finish);
            }
            Fact::RunDecided(decision) | Fact::RunAborted(decision) => {
                self.decision = Some(decision.clone());
                self.paused = false;
                self.waiting.clear();
                self.issued.clear();
                self.given.clear();
            }
            Fact::PartitionReplaced { partition, attempt, parts, table, rejects } => {
                let held = &mut self.partitions[partition.0 as usize];
                let before = held.replace(*attempt, parts, table.as_ref(), rejects.as_ref());
                self.garbage.extend(before);
                self.is_there(TaskKey::Parse(*partition));
            }
            Fact::Paused { .. } => self.paused = true,
            Fact::Unpaused { .. } => self.paused = false,
            Fact::RunDone { .. } => self.done = true,
            Fact::Redriven { remains, .. } => self.take_redriven(remains),
            Fact::Released { reason } => self.released = Some(reason.clone()),
        }
    }

    /// The run fails for `reason`: only its rejects are still wanted.
    pub(super) fn fail(&mut self, reason: Option<Reason>, task: TaskKey) {
        let Some(reason) = reason else { return };
        self.waiting.clear();
        self.condemned.clear();
        self.failing.get_or_insert(reason);
        self.finish_given_up |= task == TaskKey::Finish;
        if !self.finish_given_up && self.finish.is_none() {
            self.waiting.insert(TaskKey::Finish);
        }
    }

    fn take_inspected(&mut self, inspected: &Inspected) {
        self.journalled_attempts += 1;
        let bytes = match self.accepted.job.spec.partition.bytes {
            Auto::Given(bytes) => bytes,
            Auto::Auto => inspected.partition_bytes.unwrap_or(limits::PARTITION_BYTES_DEFAULT),
        };
        let ranges = plan::ranges(inspected.data_start, self.accepted.source.version.bytes, bytes);
        self.planned_bytes = bytes;
        self.partitions = ranges.into_iter().map(Partition::new).collect();
        self.line = (0u32..).map(PartitionId).take(self.partitions.len()).collect();
        self.fold = Some(Fold::new(inspected.start));
        self.joined = vec![Classes::default(); inspected.columns.len()];
        self.inspected = Some(Box::new(inspected.clone()));
        if let Some(message) = self.unfit_columns(false) {
            return self.fail(Some(Reason::Refused { message }), TaskKey::Inspect);
        }
        self.waiting = self.line.iter().map(|id| TaskKey::Parse(*id)).collect();
    }

    fn take_staged(&mut self, id: PartitionId, attempt: AttemptId, parsed: &Parsed) {
        self.journalled_attempts += 1;
        self.ended.insert(attempt);
        let partition = &mut self.partitions[id.0 as usize];
        debug_assert!(partition.staged.is_none(), "the first staged attempt wins until it is taken out");
        partition.exits.learn(&parsed.exits);
        self.phases = self.phases.plus(parsed.phases);
        partition.staged = Some((attempt, Box::new(Kept::of(parsed, &mut self.types))));
        self.staged = (self.staged.0.plus(parsed.counts), self.staged.1 + partition.range.bytes());
        self.waiting.remove(&TaskKey::Parse(id));
        let place = self.place_of(id);
        let Some(fold) = &mut self.fold else { return };
        let before = fold.known();
        let (partitions, line) = (&self.partitions, &self.line);
        fold.extend_by(|i, start| partitions[line.get(i)?.0 as usize].exit(start).map(|exit| exit.state));
        let after = fold.known().min(self.line.len());
        for i in (before..after).chain((before > place).then_some(place)) {
            self.judge(self.line[i]);
        }
    }

    /// Proves or takes out a staged partition whose start is known, and fits it to the settled types.
    fn judge(&mut self, id: PartitionId) {
        let Some(state) = self.start_of(id) else { return };
        let partition = &mut self.partitions[id.0 as usize];
        let (was, had) = (partition.proven, partition.counts());
        let mut keys = partition.prove(state);
        if let Some((_, kept)) = partition.staged.as_mut().filter(|_| partition.proven) {
            // Whatever reads the range later finds the same, and what is joined stays.
            self.joined.iter_mut().zip(&kept.summaries).for_each(|(all, one)| *all = all.join(*one));
            kept.summaries = Box::default();
        }
        if let Some(types) = &self.settled {
            keys.extend(partition.fit(types));
            if partition.proven && !partition.accepted {
                self.to_accept.insert(id);
            }
        }
        self.was_taken_out(id, was, had, keys);
    }

    /// Takes out what is staged of a partition, though it is proven.
    pub(super) fn take_out(&mut self, id: PartitionId) {
        let partition = &mut self.partitions[id.0 as usize];
        let (was, had, keys) = (partition.proven, partition.counts(), partition.take_out());
        self.was_taken_out(id, was, had, keys);
    }

    /// What is counted follows a partition which was proven or not, and of which `had` was staged.
    fn was_taken_out(&mut self, id: PartitionId, was: bool, had: Option<Counts>, keys: Vec<Staged>) {
        let partition = &self.partitions[id.0 as usize];
        self.proven = self.proven + usize::from(partition.proven) - usize::from(was);
        self.garbage.extend(keys);
        if let Some(counts) = had.filter(|_| partition.staged.is_none()) {
            self.staged = (self.staged.0.minus(counts), self.staged.1 - partition.range.bytes());
            // Another attempt at it may be under way: of a worker that was thought to be lost, and told what it had staged.
            self.want_again(TaskKey::Parse(id));
        }
    }

    fn take_settled(&mut self, types: &[ColumnType]) {
        self.settled = Some(types.to_vec());
        if let Some(message) = self.unfit_columns(true) {
            return self.fail(Some(Reason::Refused { message }), TaskKey::Inspect);
        }
        for i in 0..self.line.len() {
            self.judge(self.line[i]);
        }
    }

    /// Records a fact: it goes to the journal and into the state.
    pub(super) fn record(&mut self, fact: Fact, out: &mut Vec<Action>) {
        self.apply(&fact);
        out.push(Action::Record { run: self.id().clone(), fact });
    }

    /// Begins the next epoch: the first thing that a coordinator does with a run.
    pub(super) fn begin_epoch(&mut self, now: Millis, out: &mut Vec<Action>) {
        self.served = now;
        let epoch = Epoch(self.epoch.0 + u32::from(!planted(Mutant::EpochNotRaised) || self.epoch.0 == 0));
        self.record(Fact::EpochBegun { epoch, at: now }, out);
        self.advance(now, out);
    }

    /// Leaves the run in order.
    pub(super) fn step_down(&mut self, out: &mut Vec<Action>) {
        if !self.done {
            self.record(Fact::SteppedDown { epoch: self.epoch }, out);
        }
    }

    /// Takes an attempt's outcome in. One that is late, stale or told twice changes nothing.
    /// `slots` are those that all workers offer now.
    pub(super) fn take_outcome(
        &mut self,
        attempt: AttemptId,
        outcome: Outcome,
        slots: u32,
        now: Millis,
        out: &mut Vec<Action>,
    ) {
        let lease = self.leases.remove(attempt);
        if !matches!(outcome, Outcome::Failed(_)) && self.decision.is_none() {
            self.stall = Stall::default();
        }
        let task = self.issued.remove(&attempt).filter(|task| self.open(*task));
        let task = task.or_else(|| self.task_of_stale(&outcome));
        let Some(task) = task else {
            // Late, stale, or told twice: it changes nothing, and nothing of it is deleted. Another coordinator, which took the run over
            // while this one stood still, may have accepted what it staged; what nobody has is swept when the run is done.
            if let Outcome::Parsed(parsed) = &outcome
                && planted(Mutant::StaleIsGarbage)
            {
                self.garbage.extend(sound::own(parsed, attempt));
            }
            return self.advance(now, out);
        };
        if self.decision.is_some() {
            self.take_again(task, attempt, outcome, now, out);
            return self.advance(now, out);
        }
        match (task, outcome) {
            (TaskKey::Inspect, Outcome::Inspected(found))
                if sound::inspected(&found, self.accepted.source.version.bytes) =>
            {
                self.record(Fact::Inspected(Box::new(self.sized(*found, slots))), out);
            }
            (TaskKey::Parse(id), Outcome::Parsed(parsed)) if self.is_sound(id, attempt, &parsed) => {
                self.staged(id, attempt, parsed, lease.map(|lease| now.since(lease.began)), out);
            }
            (TaskKey::Finish, Outcome::Finished(finished))
                if sound::finished(&finished, self.id(), attempt, self.uploads()) =>
            {
                self.record(Fact::FinishStaged { attempt, finished }, out);
            }
            (_, Outcome::Failed(failure)) if sound::blameless(failure.class) => self.want_again(task),
            (_, Outcome::Failed(failure)) => self.take_failure(task, attempt, failure, now, out),
            (_, outcome) => {
                if let Outcome::Parsed(parsed) = &outcome {
                    self.garbage.extend(sound::own(parsed, attempt));
                }
                let message =
                    format!("attempt {attempt} reported figures that cannot be true of {}", super::retry::name(task));
                let failure = Failure { class: FailureClass::Crash, message };
                self.take_failure(task, attempt, failure, now, out);
            }
        }
        self.advance(now, out);
    }

    /// Takes in what an attempt at a partition staged, `ms` after it was leased.
    fn staged(
        &mut self,
        id: PartitionId,
        attempt: AttemptId,
        parsed: Box<Parsed>,
        ms: Option<u64>,
        out: &mut Vec<Action>,
    ) {
        if !self.fits_range(id, attempt, &parsed, out) {
            return self.want_again(TaskKey::Parse(id));
        }
        let bytes = self.partitions[id.0 as usize].range.bytes();
        ms.into_iter().for_each(|ms| self.paces.add(ms, bytes));
        self.record(Fact::Staged { partition: id, attempt, parsed }, out);
        self.revoke_others(TaskKey::Parse(id), None, out);
        self.want_again(TaskKey::Parse(id));
    }

    /// The task of an attempt that nobody waits for, as its outcome has it: none, unless a bug is planted.
    fn task_of_stale(&self, outcome: &Outcome) -> Option<TaskKey> {
        let Outcome::Parsed(parsed) = outcome else { return None };
        let of = |p: &&Partition| p.range.start <= parsed.span.start && parsed.span.start < p.range.end;
        let at = || self.partitions.iter().position(|p| of(&p)).map(|i| TaskKey::Parse(PartitionId(i as u32)));
        if planted(Mutant::StaleTokenAccepted) { at() } else { None }
    }

    /// What was inspected, with the size of partitions where that is ours to decide: a fact, so that replay cuts alike.
    fn sized(&self, found: Inspected, slots: u32) -> Inspected {
        let spec = &self.accepted.job.spec;
        let bytes = self.accepted.source.version.bytes;
        let auto = matches!(spec.partition.bytes, Auto::Auto);
        let file_bytes = spec.output.parquet.as_ref().map_or(limits::FILE_BYTES_DEFAULT, |parquet| parquet.file_bytes);
        let most = plan::partitions_max(&spec.output);
        let decided = || plan::partition_bytes(bytes, file_bytes, found.measured, slots, most);
        Inspected { partition_bytes: auto.then(decided), ..found }
    }

    pub(super) fn is_sound(&self, id: PartitionId, attempt: AttemptId, parsed: &Parsed) -> bool {
        let (start, range) = (self.start_of(id), self.partitions[id.0 as usize].range);
        // Of a range that it shortened it tells the end; another one is not judged here.
        let inside = range.start < parsed.end && parsed.end < range.end;
        let range = if inside { Span::new(range.start, parsed.end) } else { range };
        let named = self.replaces(id).unwrap_or(attempt);
        let wanted = self.wanted(attempt);
        let splits = self.splits > 0;
        sound::parsed(parsed, &sound::Asked { partition: id, attempt, named, range, start, splits, wanted })
    }

    /// Whether the files that `attempt` staged are the run's: a report that is told twice must not lose them.
    #[must_use]
    pub fn uses(&self, attempt: AttemptId) -> bool {
        let staged =
            |p: &Partition| p.holder() == Some(attempt) || p.staged.as_ref().is_some_and(|(a, _)| *a == attempt);
        self.finish.as_ref().is_some_and(|(a, _)| *a == attempt) || self.partitions.iter().any(staged)
    }

    pub(super) fn take_failure(
        &mut self,
        task: TaskKey,
        attempt: AttemptId,
        failure: Failure,
        now: Millis,
        out: &mut Vec<Action>,
    ) {
        let counted = planted(Mutant::EnvironmentCounted);
        if failure.class == FailureClass::Environment && !counted || self.decision.is_some() {
            // It accuses no task, so no fact is made of it: the journal may lie on the very disk that is full.
            self.stall.fail(failure.message, now);
        } else {
            let given = self.given.contains(&attempt);
            self.record(Fact::AttemptFailed { task, attempt, failure, given }, out);
        }
        self.want_again(task);
    }

    /// Whether a task is still to be done.
    pub(super) fn open(&self, task: TaskKey) -> bool {
        if self.decision.is_some() {
            return self.gone.contains(&task);
        }
        match task {
            TaskKey::Inspect => self.inspected.is_none() && self.failing.is_none(),
            TaskKey::Parse(p) => self.partitions[p.0 as usize].staged.is_none() && self.failing.is_none(),
            TaskKey::Finish => self.finish.is_none() && !self.finish_given_up,
        }
    }

    /// Columns with the types that are settled, or guessed so far.
    pub(super) fn current_columns(&self) -> Vec<Column> {
        let mut columns = self.inspected.as_ref().map(|i| i.columns.clone()).unwrap_or_default();
        if let Some(types) = &self.settled {
            for (column, ctype) in columns.iter_mut().zip(types) {
                column.ctype = *ctype;
            }
        }
        columns
    }

    /// The contiguous prefix of partitions with a proven attempt: all of them, unless the run is failing.
    pub(super) fn proven_prefix(&self) -> impl Iterator<Item = (PartitionId, AttemptId, &Kept)> {
        let proven = self.in_line().take_while(|(_, partition)| partition.proven);
        proven.filter_map(|(id, p)| p.staged.as_ref().map(|(attempt, kept)| (id, *attempt, kept.as_ref())))
    }

    /// Takes every step that the state allows now.
    pub(super) fn advance(&mut self, now: Millis, out: &mut Vec<Action>) {
        if self.decision.is_none() {
            self.judge_condemned(out);
            self.settle(out);
            while let Some(partition) = self.to_accept.first().copied() {
                let staged = self.partitions[partition.0 as usize].staged.as_ref();
                let attempt = staged.expect("only staged partitions are to be accepted").0;
                self.record(Fact::Accepted { partition, attempt }, out);
            }
            self.decide(now, out);
        }
        if self.failing.is_some() || self.decision.is_some() {
            self.revoke(out);
        }
        self.discard(out);
        self.publish(now, out);
    }

    fn settle(&mut self, out: &mut Vec<Action>) {
        let Some(inspected) = &self.inspected else { return };
        let declared = inspected.columns.iter().all(|c| c.declared);
        let all_proven = self.proven == self.partitions.len() || planted(Mutant::UnprovenSummaries) && self.proven > 0;
        if self.settled.is_some() || self.failing.is_some() || !(declared || all_proven) {
            return;
        }
        let columns = inspected.columns.iter().zip(&self.joined);
        let types = columns.map(|(c, classes)| if c.declared { c.ctype } else { classes.settle() }).collect();
        self.record(Fact::SchemaSettled { types }, out);
    }

    fn decide(&mut self, now: Millis, out: &mut Vec<Action>) {
        let finished = self.finish.is_some();
        let decision = match &self.failing {
            Some(reason) if finished || self.finish_given_up => self.failed(reason.clone(), now),
            None if finished => self.outcome(now),
            _ => return,
        };
        self.record(Fact::RunDecided(decision), out);
    }
}
