//! The runs of a simulation, and what each must come to.

use std::collections::{BTreeMap, BTreeSet};

use batteuse_coordinator::scheduler::{Accepted, Decision, Fact, Run};
use batteuse_shared::ids::RunId;
use batteuse_shared::layout;
use batteuse_shared::limits::{FAILURES_CRASH_MAX, FAILURES_HUNG_MAX, FAILURES_LOST_MAX, FILE_BYTES_DEFAULT};
use batteuse_shared::report::{Quarantine, Reason, Report};
use batteuse_shared::span::Span;
use batteuse_shared::spec::{
    API_VERSION, Auto, Columns, Compression, Csv, Job as Spec, KIND, Metadata, Mode, Output, Parquet, Partition,
    Rejects, Source as SourceSpec, Spec as Body, Tolerance,
};
use batteuse_shared::table::Digest;
use batteuse_shared::task::{FailureClass, SourceRef, SourceVersion, TaskKey};
use batteuse_shared::time::Millis;

use super::faults::Fault;
use super::source::Source;
use super::store::sha256;
use super::world::{Job, World};
use crate::recovery::Chance;

/// A run over a source of its own.
pub fn draw(number: u64, chance: &mut Chance) -> Job {
    let source = Source::draw(chance);
    let bytes = match chance.below(6) {
        0 => 1,
        1 => source.size() + 1,
        _ => 5 + chance.below(source.size()),
    };
    // Partitions of one byte are many; so the source is short then.
    let bytes = bytes.max(source.size() / 40 + u64::from(bytes > 1));
    let quarantine_bytes = [0, 10_000][chance.below(2) as usize];
    let url = "file:///in.csv".to_owned();
    let run = RunId::new(&format!("run-{number}")).expect("valid");
    let spec = Body {
        source: SourceSpec { url: url.clone(), csv: Csv::default() },
        partition: Partition { bytes: Auto::Given(bytes.max(1)) },
        columns: Columns::Infer,
        output: Output::parquet(Parquet {
            url: format!("file:///{run}/"),
            compression: Compression::default(),
            file_bytes: FILE_BYTES_DEFAULT,
            mode: Mode::Error,
            partition_by: Vec::new(),
        }),
        rejects: Rejects { tolerate: Tolerance { count: Some(u64::MAX), percent: None }, quarantine_bytes },
        priority: [0, 0, 100, -100][chance.below(4) as usize],
    };
    let metadata = Metadata { name: "job".to_owned() };
    let job = Spec { api_version: API_VERSION.to_owned(), kind: KIND.to_owned(), metadata, spec };
    let version = SourceVersion { inode: 1, mtime_ns: 2, bytes: source.size() };
    let source_ref = SourceRef { url, version };
    let nonce = format!("nonce{number}");
    Job { accepted: Accepted { run, job, source: source_ref, nonce, standing: None, at: Millis(number) }, source }
}

impl World {
    /// Looks at what all runs came to.
    pub fn conclude(&mut self) {
        for job in 0..self.jobs.len() {
            let wrong = self.judge(job);
            let run = self.run_of(job);
            self.violations.extend(wrong.err().map(|what| format!("{run}: {what}")));
        }
    }

    /// What is wrong with the ending of a run.
    pub fn judge(&self, job: usize) -> Result<(), String> {
        let run = self.run_of(job);
        let facts = self.store.facts(&run);
        lawful(&facts)?;
        let replayed = Run::replay(facts.clone()).ok_or("there is no run")?;
        let decision = replayed.decision().ok_or("it is not decided")?;
        let root = format!("{run}/");
        let parts: Vec<_> =
            self.store.files(&root).into_iter().filter(|(path, _)| layout::is_part(&path[root.len()..])).collect();
        let success = !self.store.files(&format!("{root}{}", layout::SUCCESS)).is_empty();
        let staging = self.store.files(&format!("{root}{}", layout::staging_dir(&run)));
        if !staging.is_empty() && !replayed.keeps_staged() {
            return Err(format!("staged files are left: {:?}", staging[0].0));
        }
        if decision.manifest_sha256.is_none() {
            self.may_have_failed(job, &facts, Some(decision))?;
            return match parts.first().filter(|_| !replayed.has_been_published()) {
                Some((path, _)) => Err(format!("VISIBLE-IS-DECIDED: {path} of a run that failed")),
                None if success && !replayed.has_been_published() => {
                    Err("VISIBLE-IS-DECIDED: _SUCCESS of a run that failed".to_owned())
                }
                None => Ok(()),
            };
        }
        self.must_be_exact(job, &parts)?;
        let manifest = self.store.files(&format!("{root}{}", layout::manifest(&run)));
        let text = manifest.first().map(|(_, text)| sha256(text));
        if text != decision.manifest_sha256 || !success {
            return Err("the manifest is not the decided one, or _SUCCESS is not there".to_owned());
        }
        Ok(())
    }

    /// EXACT: what is visible is what one sequential reader makes of the source.
    fn must_be_exact(&self, job: usize, parts: &[(String, Vec<u8>)]) -> Result<(), String> {
        let run = self.run_of(job);
        let aside = Run::replay(self.store.facts(&run)).map(|run| run.report().quarantines).unwrap_or_default();
        self.must_be_poison(job, &aside)?;
        let aside: Vec<Span> = aside.iter().map(|q| Span::new(q.start, q.end)).collect();
        let want = self.jobs[job].source.whole_but(&aside);
        let (mut rows, mut digest) = (0, Digest::default());
        for (path, content) in parts {
            let text = std::str::from_utf8(content).expect("text");
            let (n, sum) = text.split_once(' ').ok_or_else(|| format!("{path} is no part"))?;
            rows += n.parse::<u64>().expect("a number");
            digest = digest.plus(Digest(sum.parse().expect("a number")));
        }
        if (rows, digest) != (want.counts.written, want.digest) {
            return Err(format!("EXACT: {rows} rows are visible, {} were to be, or others", want.counts.written));
        }
        let report = self.store.files(&format!("{run}/{}", layout::report(&run)));
        let (_, text) = report.first().ok_or("there is no report")?;
        let report: Report = serde_json::from_slice(text).expect("a report");
        if report.counts != want.counts || !report.equation.holds {
            return Err(format!("EXACT: the report tells {:?}, the truth is {:?}", report.counts, want.counts));
        }
        Ok(())
    }

    /// Only what kills is set aside, or what crashed by chance again and again.
    fn must_be_poison(&self, job: usize, aside: &[Quarantine]) -> Result<(), String> {
        let holds = |q: &Quarantine| self.jobs[job].source.poison.is_some_and(|at| q.start <= at && at < q.end);
        let chance = self.came(Fault::AttemptCrashes) + self.came(Fault::AttemptHangs) > 0;
        match aside.iter().find(|q| !holds(q)) {
            Some(q) if !chance => Err(format!("EXACT: bytes {} to {} are set aside, and kill nobody", q.start, q.end)),
            _ => Ok(()),
        }
    }

    fn came(&self, fault: Fault) -> u64 {
        self.store.faults(|faults| faults.came.get(&fault).copied().unwrap_or_default())
    }

    /// A run fails only when one of its tasks failed in one way as often as that may be.
    fn may_have_failed(&self, job: usize, facts: &[Fact], decision: Option<&Decision>) -> Result<(), String> {
        let Job { source, accepted } = &self.jobs[job];
        let mut budgets: BTreeMap<(TaskKey, FailureClass), u32> = BTreeMap::new();
        for fact in facts {
            if let Fact::AttemptFailed { task, failure, .. } = fact {
                *budgets.entry((*task, failure.class)).or_default() += 1;
            }
        }
        let spent = |((_, class), times): (&(TaskKey, FailureClass), &u32)| match class {
            FailureClass::Crash => *times >= FAILURES_CRASH_MAX,
            FailureClass::Hung => *times >= FAILURES_HUNG_MAX,
            FailureClass::Lost => *times >= FAILURES_LOST_MAX,
            _ => false,
        };
        // A part of a range that killed is cut, or set aside, at its first crash.
        let of_range = |((task, class), _): (&(TaskKey, FailureClass), &u32)| {
            matches!(task, TaskKey::Parse(_)) && matches!(class, FailureClass::Crash | FailureClass::Hung)
        };
        let chance = self.came(Fault::AttemptCrashes) + self.came(Fault::AttemptHangs) > 0;
        let poison = source.poison.is_some() && accepted.job.spec.rejects.quarantine_bytes == 0;
        match decision.and_then(|decision| decision.reason.as_ref()) {
            Some(Reason::Cancelled { .. }) if self.came(Fault::Cancelled) > 0 => Ok(()),
            Some(Reason::TaskFailed { .. }) if budgets.iter().any(spent) => Ok(()),
            Some(Reason::TaskFailed { .. }) if budgets.iter().any(of_range) && (chance || poison) => Ok(()),
            other => Err(format!("it failed for no reason that came: {other:?}")),
        }
    }
}

/// What no journal may say.
fn lawful(facts: &[Fact]) -> Result<(), String> {
    let (mut accepted, mut decided, mut epoch, mut failed) = (BTreeMap::new(), 0, 0, BTreeSet::new());
    let mut paused = false;
    for fact in facts {
        match fact {
            Fact::Redriven { .. } => {
                if std::mem::take(&mut decided) != 1 {
                    return Err("redriven, and not decided once before".to_owned());
                }
                accepted.clear();
            }
            Fact::EpochBegun { epoch: begun, .. } if begun.0 <= epoch => {
                return Err(format!("epoch {} after {epoch}", begun.0));
            }
            Fact::EpochBegun { epoch: begun, .. } => epoch = begun.0,
            Fact::Accepted { partition, attempt } => {
                if let Some(before) = accepted.insert(*partition, *attempt) {
                    return Err(format!("SINGLE-DECISION: partition {partition} is accepted twice, first {before}"));
                }
            }
            Fact::RunDecided(_) | Fact::RunAborted(_) => decided += 1,
            Fact::Paused { .. } | Fact::Unpaused { .. } => {
                let pauses = matches!(fact, Fact::Paused { .. });
                if std::mem::replace(&mut paused, pauses) == pauses || decided > 0 {
                    return Err(format!("{fact:?}, which says nothing new or comes after the decision"));
                }
            }
            Fact::AttemptFailed { failure, attempt, .. } => {
                use FailureClass as F;
                // One that was lost may be met again, and lost again.
                if !failed.insert((*attempt, failure.class)) && failure.class != F::Lost {
                    return Err(format!("attempt {attempt} failed twice: {:?}", failure.class));
                }
                if matches!(failure.class, F::Released | F::Unseen | F::Environment) {
                    return Err(format!("{:?} is counted as a failure", failure.class));
                }
            }
            _ => {}
        }
    }
    if decided == 1 { Ok(()) } else { Err(format!("SINGLE-DECISION: decided {decided} times")) }
}
