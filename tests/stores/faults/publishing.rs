//! Unclear replies while a decided plan is published: the object tells whether an upload was completed, and nothing is removed
//! until all is visible.

use std::io::Write;
use std::ops::ControlFlow;

use batteuse_coordinator::claim::{Claim, ClaimOutcome, claim};
use batteuse_coordinator::publish::{Link, PublishError, PublishPlan, Staged, publish};
use batteuse_shared::ids::{AttemptId, Epoch, PartitionId, RunId};
use batteuse_shared::layout;
use batteuse_shared::limits::COMPLETIONS_IN_FLIGHT_MAX;

use super::{Scene, TRIES};
use crate::support::scripted::{BUSY, Fault, Op, done_but, refused};

const TEXTS: [&str; 2] = ["the first part", "the second"];

/// A plan of two staged parts.
struct Decided {
    scene: Scene,
    plan: PublishPlan,
}

impl Decided {
    fn new() -> Self {
        Self::of(&TEXTS)
    }

    fn of(texts: &[&str]) -> Self {
        let scene = Scene::new();
        let run = RunId::new("faults-1").unwrap();
        let mine = Claim { run: run.clone(), state: layout::EMBEDDED_STATE.to_owned(), nonce: "n".to_owned() };
        assert_eq!(claim(&*scene.folder, 0, &mine).unwrap(), ClaimOutcome::Won);
        let link = |(n, text): (u32, &&str)| {
            let attempt = AttemptId::new(Epoch(1), n);
            let name = layout::staged_part(PartitionId(n), attempt, 0);
            let published = layout::part(u64::from(n) * 100, attempt);
            let mut file = scene.folder.stage(&format!("{}/{name}", layout::staging_dir(&run)), &published).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            let (bytes, _) = file.seal().unwrap();
            Link { attempt, staged: Staged { name, upload: file.keep() }, published, bytes }
        };
        let plan = PublishPlan {
            output_url: format!("{}out/", scene.server.url()),
            run: run.clone(),
            before: None,
            parts: (0..).zip(texts).map(link).collect(),
            rejects: None,
            table: None,
            replaces: Vec::new(),
            removes: Vec::new(),
            keeps: false,
            unwanted: Vec::new(),
            manifest: Some("manifest\n".to_owned()),
            report: Some("report\n".to_owned()),
            success: Some("success\n".to_owned()),
        };
        Self { scene, plan }
    }

    fn first(&self) -> &str {
        &self.plan.parts[0].published
    }

    fn fault(&self, calls: std::ops::Range<usize>, fault: Fault) {
        self.scene.server.fault(Op::Complete, self.first(), calls, fault);
    }

    fn publish(&self) -> Result<(), PublishError> {
        publish(&self.plan, &*self.scene.folder, &mut |_| ControlFlow::Continue(()))
    }

    /// All is there, and nothing else.
    #[track_caller]
    fn must_be_published(&self) {
        for (part, text) in self.plan.parts.iter().zip(TEXTS) {
            assert_eq!(self.scene.kept(&part.published).as_deref(), Some(text.as_bytes()));
        }
        assert_eq!(self.scene.kept(layout::SUCCESS).as_deref(), Some(&b"success\n"[..]));
        assert_eq!(self.scene.server.objects().len(), 6, "the claim, two parts, manifest, report, _SUCCESS");
        assert_eq!(self.scene.server.uploads(), []);
    }

    /// The publishing stopped before anything was seen or removed.
    #[track_caller]
    fn must_be_untouched(&self, uploads: usize) {
        assert!(self.scene.kept(layout::SUCCESS).is_none(), "VISIBLE-IS-DECIDED");
        self.scene.server.must_have_removed_nothing();
        assert_eq!(self.scene.server.uploads().len(), uploads);
    }
}

#[test]
fn a_completion_that_was_carried_out_is_done_whatever_the_reply() {
    let faults = [
        done_but(500, "InternalError"),
        done_but(503, "SlowDown"),
        done_but(200, "InternalError"),
        done_but(200, "ServiceUnavailable"),
        done_but(400, "InvalidRequest"),
        Fault::Close { applied: true },
    ];
    for fault in faults {
        let decided = Decided::new();
        decided.fault(0..1, fault.clone());
        decided.publish().unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        decided.must_be_published();
    }
}

#[test]
fn a_completion_that_was_not_carried_out_is_tried_again() {
    let faults = [refused(200, "InternalError"), BUSY, Fault::Close { applied: false }];
    for fault in faults {
        let decided = Decided::new();
        decided.fault(0..1, fault.clone());
        decided.publish().unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        decided.must_be_published();
    }
}

/// What the client does not try again itself, the redo does.
#[test]
fn an_error_in_the_body_of_success_is_no_success() {
    for fault in
        [refused(200, "ServiceUnavailable"), refused(400, "RequestTimeTooSkewed"), refused(403, "AccessDenied")]
    {
        let decided = Decided::new();
        decided.fault(0..1, fault.clone());
        let failed = decided.publish();
        assert!(matches!(failed, Err(PublishError::Io { .. })), "{fault:?}: {failed:?}");
        decided.must_be_untouched(1);
        decided.publish().unwrap();
        decided.must_be_published();
    }
}

#[test]
fn an_upload_that_ran_out_is_gone_and_nothing_is_removed() {
    let decided = Decided::new();
    decided.fault(0..1, Fault::Expire);
    for _ in 0..2 {
        let gone = decided.publish().unwrap_err();
        assert_eq!(gone.gone(), [decided.plan.parts[0].attempt], "{gone:?}");
        let told = gone.to_string();
        assert!(told.contains(decided.first()) && told.contains("neither it nor what was staged"), "{told}");
        decided.must_be_untouched(0);
    }
    assert_eq!(decided.scene.server.objects().len(), 2, "the claim and the other part");
}

#[test]
fn an_object_of_another_size_is_not_ours() {
    let decided = Decided::new();
    decided.fault(0..1, Fault::Expire);
    decided.scene.server.put(&format!("out/{}", decided.first()), b"another's");
    let foreign = decided.publish();
    assert!(matches!(foreign, Err(PublishError::Foreign { .. })), "{foreign:?}");
    assert_eq!(decided.scene.kept(decided.first()).as_deref(), Some(&b"another's"[..]));
    decided.must_be_untouched(0);
}

/// What was completed is not what was reported.
#[test]
fn an_object_of_another_size_than_reported_is_not_published() {
    let mut decided = Decided::new();
    decided.plan.parts[0].bytes += 1;
    let changed = decided.publish();
    assert!(matches!(changed, Err(PublishError::Changed { .. })), "{changed:?}");
    decided.must_be_untouched(0);
}

/// The upload is not known, and whether the object is there cannot be told: it is not gone, it is unknown.
#[test]
fn what_cannot_be_looked_at_is_not_gone() {
    for fault in [refused(404, "NoSuchUpload"), done_but(500, "InternalError")] {
        let decided = Decided::new();
        decided.fault(0..1, fault.clone());
        decided.scene.server.fault(Op::Head, decided.first(), 0..1, refused(403, "AccessDenied"));
        let unknown = decided.publish();
        assert!(matches!(unknown, Err(PublishError::Io { .. })), "{fault:?}: {unknown:?}");
        assert!(decided.scene.kept(layout::SUCCESS).is_none());
        decided.scene.server.must_have_removed_nothing();
        decided.publish().unwrap();
        decided.must_be_published();
    }
}

/// All that may be are under way at once; what comes after parts comes after the last of them, and is told in source order.
#[test]
fn uploads_are_completed_several_at_once_and_told_in_order() {
    let decided = Decided::of(&["one of many"; 2 * COMPLETIONS_IN_FLIGHT_MAX + 1]);
    let server = &decided.scene.server;
    server.fault(Op::Complete, "part-", 0..COMPLETIONS_IN_FLIGHT_MAX, Fault::Together(COMPLETIONS_IN_FLIGHT_MAX));
    let mut told = Vec::new();
    publish(&decided.plan, &*decided.scene.folder, &mut |step| {
        told.push(step.to_owned());
        ControlFlow::Continue(())
    })
    .unwrap();
    let parts: Vec<_> = decided.plan.parts.iter().map(|part| part.published.clone()).collect();
    assert_eq!(told[..parts.len()], parts);
    assert_eq!(server.count(Op::Complete, "part-"), parts.len(), "none was asked for twice");
    let log = server.log();
    let last = log.iter().rposition(|call| call.op == Op::Complete).unwrap();
    let manifest = log.iter().position(|call| call.op == Op::Put && call.key.ends_with("manifest.json")).unwrap();
    assert!(last < manifest, "all parts, then the texts");
}

#[test]
fn of_several_errors_the_first_in_source_order_is_told() {
    let decided = Decided::of(&["one of many"; 8]);
    let first = decided.plan.parts[3].published.clone();
    for part in &decided.plan.parts[3..6] {
        decided.scene.server.fault(Op::Complete, &part.published, 0..1, refused(403, "AccessDenied"));
    }
    let failed = decided.publish();
    let place = decided.scene.folder.place(&first);
    assert!(matches!(&failed, Err(PublishError::Io { path, .. }) if *path == place), "{failed:?}");
    assert_eq!(decided.scene.kept(layout::SUCCESS), None);
    decided.publish().unwrap();
}

#[test]
fn a_storm_leaves_the_plan_to_be_redone() {
    let decided = Decided::new();
    decided.fault(0..TRIES, BUSY);
    let busy = decided.publish();
    assert!(matches!(busy, Err(PublishError::Io { .. })), "{busy:?}");
    decided.must_be_untouched(1);
    decided.publish().unwrap();
    decided.must_be_published();
}

#[test]
fn texts_are_seen_once_and_in_order() {
    let decided = Decided::new();
    let put = |path: &str, fault| decided.scene.server.fault(Op::Put, path, 0..1, fault);
    put("manifest.json", Fault::Close { applied: true });
    put("report.json", refused(409, "ConditionalRequestConflict"));
    put(layout::SUCCESS, done_but(500, "InternalError"));
    let unclear = decided.publish();
    assert!(matches!(unclear, Err(PublishError::Io { .. })), "{unclear:?}");
    decided.must_be_untouched(0);
    assert_eq!(decided.scene.server.count(Op::Put, layout::SUCCESS), 0, "the report comes first");
    decided.publish().unwrap();
    decided.must_be_published();
}

#[test]
fn what_is_swept_is_swept_again_after_an_unclear_reply() {
    let decided = Decided::new();
    let staging = format!("{}/nonce", layout::staging_dir(&decided.plan.run));
    decided.scene.folder.create_if_absent(&staging, b"nonce").unwrap();
    decided.scene.server.fault(Op::DeleteMany, "", 0..1, done_but(403, "AccessDenied"));
    let unclear = decided.publish();
    assert!(matches!(unclear, Err(PublishError::Io { .. })), "{unclear:?}");
    decided.publish().unwrap();
    decided.must_be_published();
}

/// A completion replaces what has its name: a coordinator that comes back late must not do that to the run that holds the folder now.
#[test]
fn a_folder_that_another_run_has_claimed_is_not_published_into() {
    let decided = Decided::new();
    let theirs = Claim { run: RunId::new("faults-2").unwrap(), state: "state".to_owned(), nonce: "m".to_owned() };
    assert_eq!(claim(&*decided.scene.folder, 1, &theirs).unwrap(), ClaimOutcome::Won);
    let refused = decided.publish();
    assert!(matches!(refused, Err(PublishError::Foreign { .. })), "{refused:?}");
    decided.must_be_untouched(2);
    assert_eq!(decided.scene.server.count(Op::Complete, ""), 0);
}
