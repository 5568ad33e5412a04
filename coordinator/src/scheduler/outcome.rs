//! How a run ends: its decision, manifest, report and publish plan, all pure functions of its facts.
//!
//! Invariant: asked again after a crash they are the same, byte for byte, so publishing can be redone.

use std::collections::BTreeSet;

use batteuse_shared::ids::{AttemptId, PartitionId};
use batteuse_shared::limits::{REJECTS_SHOWN, TABLE_FILES_MAX, TEXT_BYTES_MAX};
use batteuse_shared::manifest::{Manifest, ManifestPart, Share, Success};
use batteuse_shared::mutants::{Mutant, planted};
use batteuse_shared::report::{Equation, Reason, Report, Reruns, RunState};
use batteuse_shared::spec::{Mode, unfit_columns};
use batteuse_shared::table::{Column, Counts, Digest};
use batteuse_shared::task::{SourceRef, StagedPart};
use batteuse_shared::time::Millis;
use batteuse_shared::{hive, layout};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::kept::Kept;
use super::messages::{Action, Decision, Fact};
use super::partition::{Partition, seams};
use super::run::Run;
use crate::publish::{Before, Link, PublishPlan, Staged};

/// What to do about a table of too many files.
const FEWER_FILES: &str = "give a larger partition.bytes, or fewer columns in output.parquet.partitionBy";

/// Why no later run could read the manifest; `_SUCCESS` tells less of each file.
fn too_long(manifest: &str) -> Option<String> {
    let bytes = manifest.len() as u64;
    let long =
        || format!("the manifest would have {bytes} bytes, more than the {TEXT_BYTES_MAX} it may have: {FEWER_FILES}");
    (bytes > TEXT_BYTES_MAX).then(long)
}

impl Run {
    /// The decision over a run whose every partition is accepted and whose rejects are staged.
    pub(super) fn outcome(&self, now: Millis) -> Decision {
        if let Some(message) = self.broken() {
            return self.failed(Reason::Invariant { message }, now);
        }
        let counts = self.counts();
        let tolerate = &self.accepted.job.spec.rejects.tolerate;
        if !tolerate.bears(counts.rejected, counts.read, counts.cut_bytes, self.span_bytes()) {
            return self.failed(Reason::TooManyRejects, now);
        }
        if let Some(reason) = self.quarantined_too_much() {
            return self.failed(reason, now);
        }
        if let Some(message) = self.unlike().or_else(|| self.too_many_files()) {
            return self.failed(Reason::Refused { message }, now);
        }
        let manifest = self.manifest_json();
        if let Some(message) = too_long(&manifest) {
            return self.failed(Reason::Refused { message }, now);
        }
        let state = if counts.rejected + counts.quarantined == 0 {
            RunState::Succeeded
        } else {
            RunState::SucceededWithRejects
        };
        let manifest_sha256 = Some(format!("{:x}", Sha256::digest(manifest)));
        Decision { state, reason: None, manifest_sha256, at: now }
    }

    pub(super) fn failed(&self, reason: Reason, now: Millis) -> Decision {
        Decision { state: RunState::Failed, reason: Some(reason), manifest_sha256: None, at: now }
    }

    /// Gives the run up, if it is not decided yet.
    pub(super) fn cancel(&mut self, message: String, now: Millis, out: &mut Vec<Action>) {
        if self.decision.is_none() || planted(Mutant::AbortAfterDecision) {
            let reason = Some(Reason::Cancelled { message });
            let decision = Decision { state: RunState::Cancelled, reason, manifest_sha256: None, at: now };
            self.record(Fact::RunAborted(decision), out);
            self.advance(now, out);
        }
    }

    /// The first invariant that does not hold, with its figures.
    fn broken(&self) -> Option<String> {
        let inspected = self.inspected.as_ref()?;
        let mut at = inspected.data_start;
        for (partition, _, parsed) in self.proven_prefix().filter(|(_, _, p)| !p.span.is_empty()) {
            if parsed.span.start != at {
                return Some(format!(
                    "TILES: the span of partition {partition} starts at {}, not at {at}",
                    parsed.span.start
                ));
            }
            at = parsed.span.end;
        }
        let size = self.accepted.source.version.bytes;
        if at != size {
            return Some(format!("TILES: the spans end at {at}, the source at {size}"));
        }
        let counts = self.counts();
        let equation = Equation::state(&counts, inspected.data_start, self.span_bytes(), size);
        let rejects = self.finish.as_ref().map_or(0, |(_, f)| f.rejects.rows);
        if !equation.holds || rejects != counts.rejected {
            return Some(format!("CONSERVATION: {}; {}; rejects staged {rejects}", equation.records, equation.bytes));
        }
        None
    }

    fn mode(&self) -> Mode {
        self.accepted.job.spec.output.mode()
    }

    /// Why the rows cannot be added to the table that stands in the folder: the first column that differs.
    fn unlike(&self) -> Option<String> {
        let goes_on = matches!(self.mode(), Mode::Append | Mode::OverwritePartition);
        let standing = self.accepted.standing.as_ref().filter(|_| goes_on)?;
        let (is, adds) = (&standing.columns, self.current_columns());
        let show =
            |column: Option<&Column>| column.map_or("absent".to_owned(), |c| format!("{:?} {}", c.name, c.ctype));
        let mut pairs = (0..is.len().max(adds.len())).map(|at| (at + 1, show(is.get(at)), show(adds.get(at))));
        let (at, is, adds) = pairs.find(|(_, is, adds)| is != adds)?;
        Some(format!(
            "column {at} of the table in {} is {is}, and of this source {adds}: nothing is added. Declare the types under spec.columns, \
             or write into another folder",
            self.output_url()
        ))
    }

    /// Why the columns, as far as they are known, cannot be those of `partitionBy`.
    pub(super) fn unfit_columns(&self, settled: bool) -> Option<String> {
        unfit_columns(self.partition_by(), &self.current_columns(), settled)
    }

    /// Why no later run could go on from the table.
    fn too_many_files(&self) -> Option<String> {
        let own = self.proven_prefix().map(|(_, _, parsed)| parsed.parts.len()).sum::<usize>();
        let files = own + self.kept().iter().map(|share| share.parts.len()).sum::<usize>();
        let many = || {
            format!("the table would lie in {files} files, more than the {TABLE_FILES_MAX} it may have: {FEWER_FILES}")
        };
        (files > TABLE_FILES_MAX).then(many)
    }

    /// Whether a file of the table that stands in the folder stays, by the run's mode.
    fn stays(&self) -> impl Fn(&ManifestPart) -> bool {
        let mode = self.mode();
        let parts = self.proven_prefix().filter(|_| mode == Mode::OverwritePartition).flat_map(|(_, _, p)| &p.parts);
        let written: BTreeSet<&[Option<String>]> = parts.map(|part| &part.values[..]).collect();
        move |part| match mode {
            Mode::Error | Mode::Append => true,
            Mode::Overwrite => false,
            Mode::OverwritePartition => !written.contains(&part.values[..]),
        }
    }

    /// What stays of it.
    fn kept(&self) -> Vec<Share> {
        let stays = self.stays();
        let mut shares = self.accepted.standing.as_ref().map(|standing| standing.shares.clone()).unwrap_or_default();
        shares.iter_mut().for_each(|share| share.parts.retain(|part| stays(part)));
        shares.retain(|share| !share.parts.is_empty());
        shares
    }

    /// What publishing finds of it, and what it does with that.
    fn before(&self) -> Option<Before> {
        let standing = self.accepted.standing.as_ref()?;
        let stays = self.stays();
        let (kept, removed): (Vec<_>, Vec<_>) = standing.parts().partition(|part| stays(part));
        let files = |parts: Vec<&ManifestPart>| parts.into_iter().filter_map(|part| part.file.clone()).collect();
        Some(Before { success_sha256: standing.success_sha256, kept: files(kept), removed: files(removed) })
    }

    /// Counts over the proven prefix.
    pub(super) fn counts(&self) -> Counts {
        self.proven_prefix().fold(Counts::default(), |sum, (_, _, p)| sum.plus(p.counts))
    }

    /// Digest of the rows that the proven prefix staged.
    pub(super) fn digest(&self) -> Digest {
        self.proven_prefix().fold(Digest::default(), |sum, (_, _, p)| sum.plus(p.rows().1))
    }

    fn span_bytes(&self) -> u64 {
        self.proven_prefix().map(|(_, _, p)| p.span.bytes()).sum()
    }

    fn source(&self) -> SourceRef {
        self.accepted.source.clone()
    }

    /// The manifest of what is, or would be, published.
    fn manifest(&self) -> Manifest {
        let parts = |(partition, attempt, parsed)| self.manifest_parts(partition, attempt, parsed);
        Manifest {
            run: self.id().clone(),
            job: self.accepted.job.metadata.name.clone(),
            source: self.source(),
            columns: self.current_columns(),
            partition_by: self.partition_by().to_vec(),
            rows: self.counts().written,
            digest: self.digest(),
            postgres: self.accepted.job.spec.output.postgres.clone(),
            parts: self.proven_prefix().flat_map(parts).collect(),
            kept: self.kept(),
        }
    }

    /// One partition in the manifest.
    fn manifest_parts(&self, partition: PartitionId, attempt: AttemptId, parsed: &Kept) -> Vec<ManifestPart> {
        let span = parsed.span;
        let (rows, digest) = parsed.rows();
        let (file, values, sha256) = (None, Vec::new(), None);
        let none = ManifestPart { partition, attempt, span, file, values, rows, bytes: 0, digest, sha256 };
        if parsed.parts.is_empty() {
            return vec![none];
        }
        let part = |part: &StagedPart| ManifestPart {
            file: Some(self.path_of(part, parsed, attempt)),
            values: part.values.clone(),
            rows: part.rows,
            bytes: part.bytes,
            digest: part.digest,
            sha256: Some(part.sha256),
            ..none.clone()
        };
        parsed.parts.iter().map(part).collect()
    }

    fn partition_by(&self) -> &[String] {
        self.accepted.job.spec.output.partition_by()
    }

    /// The path under which a part of the accepted `attempt` is published.
    pub(super) fn path_of(&self, part: &StagedPart, parsed: &Kept, attempt: AttemptId) -> String {
        layout::part_in(&hive::folder(self.partition_by(), &part.values), parsed.span.start, attempt)
    }

    fn manifest_json(&self) -> String {
        pretty(&self.manifest())
    }

    /// The report as far as the facts go; final once the run is decided.
    #[must_use]
    pub fn report(&self) -> Report {
        let counts = self.counts();
        let data_start = self.inspected.as_ref().map_or(0, |i| i.data_start);
        let bytes = self.accepted.source.version.bytes;
        let decided = self.decision.as_ref();
        let state = decided.map_or(RunState::Running, |d| d.state);
        let published = matches!(state, RunState::Succeeded | RunState::SucceededWithRejects);
        let parts = || self.proven_prefix().flat_map(|(_, _, p)| &p.parts).filter(|_| published);
        let shown = self.finish.as_ref().map(|(_, f)| f.shown.clone()).unwrap_or_default();
        Report {
            run: self.id().clone(),
            job: self.accepted.job.metadata.name.clone(),
            state,
            reason: decided.and_then(|d| d.reason.clone()),
            source: self.source(),
            partitions: self.partitions.len() as u64,
            accepted: self.accepted_count,
            splits: self.splits,
            attempts: self.journalled_attempts,
            redrives: self.redrives,
            reruns: Reruns {
                types: self.partitions.iter().filter(|p| p.retyped).count() as u64,
                guesses: self.partitions.iter().filter(|p| p.guessed_wrong()).count() as u64,
            },
            seams: seams(&self.partitions),
            phases: self.phases,
            bytes,
            data_start,
            span_bytes: self.span_bytes(),
            counts,
            digest: self.digest(),
            seconds: decided.map_or(0.0, |d| d.at.since(self.accepted.at) as f64 / 1_000.0),
            files: parts().count() as u64,
            output_bytes: parts().map(|p| p.bytes).sum(),
            table: self.accepted.job.spec.output.postgres.as_ref().filter(|_| published).map(|p| p.table.clone()),
            equation: Equation::state(&counts, data_start, self.span_bytes(), bytes),
            quarantines: self.quarantines().collect(),
            rejects_shown: shown.into_iter().take(REJECTS_SHOWN).collect(),
        }
    }

    /// Paths of the parts that are published, or would be.
    pub(super) fn published_parts(&self) -> impl Iterator<Item = String> + use<> {
        let of = |(_, attempt, parsed): (PartitionId, AttemptId, &Kept)| {
            parsed.parts.iter().map(|part| self.path_of(part, parsed, attempt)).collect::<Vec<_>>()
        };
        self.proven_prefix().flat_map(of).collect::<Vec<_>>().into_iter()
    }

    /// Parts that endings before published, and this one does not.
    fn superseded(&self, published: bool) -> Vec<String> {
        let Some(stood) = self.stood.as_ref().filter(|_| published) else { return Vec::new() };
        let own: BTreeSet<String> = self.published_parts().collect();
        stood.difference(&own).cloned().collect()
    }

    /// What is to be published of one partition.
    fn links(&self, partition: PartitionId, attempt: AttemptId, parsed: &Kept) -> Vec<Link> {
        let Some(holder) = self.partitions[partition.0 as usize].holder() else { return Vec::new() };
        let link = |part: &StagedPart| Link {
            attempt: holder,
            staged: Staged { name: part.key.clone(), upload: part.upload.clone() },
            published: self.path_of(part, parsed, attempt),
            bytes: part.bytes,
        };
        parsed.parts.iter().map(link).collect()
    }

    /// What publishing has to do for the decision that was taken.
    pub(super) fn publish_plan(&self) -> PublishPlan {
        let published = self.is_published();
        let aborted = self.decision.as_ref().is_some_and(|d| d.state == RunState::Cancelled);
        let links = |(partition, attempt, parsed)| self.links(partition, attempt, parsed);
        let parts: Vec<Link> = self.proven_prefix().filter(|_| published).flat_map(links).collect();
        // Report and rejects of a table that stands stay with it.
        let stands = !published && self.stood.is_some();
        let rejects = self.finish.as_ref().filter(|_| !aborted && !stands).map(|(attempt, f)| Link {
            attempt: *attempt,
            staged: Staged { name: f.rejects.key.clone(), upload: f.rejects.upload.clone() },
            published: layout::rejects(self.id()),
            bytes: f.rejects.bytes,
        });
        let whole = |p: &Partition| p.staged.as_ref().map(|(_, parsed)| parsed.staged()).unwrap_or_default();
        let keeps = self.keeps_staged();
        let mut unwanted: Vec<Staged> =
            self.partitions.iter().filter(|_| !published && !keeps).flat_map(whole).collect();
        if (aborted || stands && !keeps)
            && let Some((_, f)) = &self.finish
        {
            unwanted.push(Staged { name: f.rejects.key.clone(), upload: f.rejects.upload.clone() });
        }
        let manifest = published.then(|| self.manifest());
        PublishPlan {
            output_url: self.output_url().to_owned(),
            run: self.id().clone(),
            before: self.before().filter(|_| published),
            parts,
            rejects,
            replaces: self.replaces.clone(),
            removes: self.superseded(published),
            keeps,
            unwanted,
            table: self.table_plan(),
            manifest: manifest.as_ref().map(pretty),
            report: (!stands).then(|| pretty(&self.report())),
            success: manifest.as_ref().map(|manifest| pretty(&Success::of(manifest))),
        }
    }
}

fn pretty(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("plain values with text keys serialise");
    text.push('\n');
    text
}
