//! Whole runs, by the real binary, into a store that does wrong.

use batteuse_coordinator::scheduler::Fact;
use batteuse_shared::layout;

use crate::stores::runs::{PARTITIONS, Site, facts, must_be_swept, seen, table};
use crate::support::scripted::{BUSY, EVER, Fault, Op, Scripted, done_but, refused};

fn site(server: &Scripted) -> Site {
    Site::new(server.url(), server.env())
}

fn slot(seq: u64) -> String {
    format!("/journal/{}", layout::slot(seq))
}

/// At least one fault of each kind, each of which may be outlasted.
fn do_all_wrong(server: &Scripted) {
    let lost = Fault::Close { applied: true };
    let conflict = || refused(409, "ConditionalRequestConflict");
    let failed = || done_but(500, "InternalError");
    server.fault(Op::List, "", 0..1, BUSY);
    server.fault(Op::Put, layout::CLAIMS, 0..1, failed());
    server.fault(Op::Put, &slot(0), 0..1, lost.clone());
    server.fault(Op::Put, &slot(1), 0..1, failed());
    server.fault(Op::Put, &slot(2), 0..1, conflict());
    server.fault(Op::Put, &slot(3), 0..1, Fault::Close { applied: false });
    server.fault(Op::Put, &slot(4), 0..2, BUSY);
    server.fault(Op::Get, &slot(1), 0..1, Fault::Cut(100));
    server.fault(Op::Begin, "part-", 0..1, BUSY);
    server.fault(Op::Begin, "part-", 2..3, refused(403, "AccessDenied"));
    server.fault(Op::Part, "part-", 0..1, failed());
    server.fault(Op::Part, "part-", 2..3, lost.clone());
    server.fault(Op::Part, "part-", 5..6, refused(403, "AccessDenied"));
    server.fault(Op::Complete, "part-", 0..1, failed());
    server.fault(Op::Complete, "part-", 2..3, refused(200, "InternalError"));
    server.fault(Op::Complete, "part-", 4..5, lost.clone());
    server.fault(Op::Complete, "part-", 6..7, BUSY);
    server.fault(Op::Complete, "part-", 8..9, refused(200, "ServiceUnavailable"));
    server.fault(Op::Head, "part-", 3..4, BUSY);
    server.fault(Op::Put, "manifest.json", 0..1, conflict());
    server.fault(Op::Put, "report.json", 0..1, lost);
    server.fault(Op::Put, layout::SUCCESS, 0..1, failed());
    server.fault(Op::DeleteMany, "", 0..1, failed());
}

#[test]
fn a_run_into_a_store_that_does_wrong_is_as_one_onto_a_disk() {
    let server = Scripted::start();
    let site = site(&server);
    do_all_wrong(&server);
    let url = site.url("wrong");
    site.ask(&["run", "-f", &site.spec("wrong", &url)]).expect(4);
    server.heal();
    let folder = site.output("wrong");
    assert_eq!(table(&*folder, site.folder.path()), site.on_a_disk());
    must_be_swept(&*folder);
    assert_eq!(server.uploads(), []);
    site.ask(&["verify", &url]).expect(0);
}

/// The parts that a reader would see.
fn parts(server: &Scripted) -> Vec<String> {
    server.objects().into_keys().filter(|key| key.ends_with(".parquet") && key.contains("/part-")).collect()
}

/// A run whose uploads are said to be lost: it is decided, and waits to be resumed.
fn a_run_that_waits(server: &Scripted, site: &Site) -> String {
    let url = site.url("waits");
    server.fault(Op::Complete, "part-", EVER, refused(404, "NoSuchUpload"));
    let stopped = site.ask(&["run", "-f", &site.spec("waits", &url)]).expect(16);
    stopped.says(&["is decided but cannot be published", "is lost: neither it nor what was staged", "resume"]);
    server.heal();
    assert_eq!(seen(&*site.output("waits")), [""; 0], "VISIBLE-IS-DECIDED");
    url
}

/// The uploads were there: whatever the store said, none was touched.
#[test]
fn a_decided_run_whose_uploads_are_lost_waits_and_removes_nothing() {
    let server = Scripted::start();
    let site = site(&server);
    let url = a_run_that_waits(&server, &site);
    assert_eq!(parts(&server), [""; 0]);
    site.ask(&["resume", "--to", &url]).expect(4);
    assert_eq!(table(&*site.output("waits"), site.folder.path()), site.on_a_disk());
    must_be_swept(&*site.output("waits"));
    assert_eq!(server.uploads(), []);
}

/// Facts of the run into `name` of this kind.
fn facts_like(site: &Site, name: &str, like: impl Fn(&Fact) -> bool) -> usize {
    facts(&site.state(name), &*site.output(name)).iter().filter(|fact| like(fact)).count()
}

/// As a lifecycle rule of the bucket does it.
#[test]
fn uploads_that_run_out_before_they_are_published_are_made_again() {
    let server = Scripted::start();
    let site = site(&server);
    server.fault(Op::Complete, "part-", 0..1, Fault::Expire);
    server.fault(Op::Complete, "part-", 5..8, Fault::Expire);
    server.fault(Op::Complete, "rejects.parquet", 0..1, Fault::Expire);
    let url = site.url("ran-out");
    site.ask(&["run", "-f", &site.spec("ran-out", &url)]).expect(4);
    server.heal();
    assert_eq!(facts_like(&site, "ran-out", |fact| matches!(fact, Fact::PartitionReplaced { .. })), 4);
    assert_eq!(facts_like(&site, "ran-out", |fact| matches!(fact, Fact::FinishStaged { .. })), 2);
    assert_eq!(table(&*site.output("ran-out"), site.folder.path()), site.on_a_disk());
    must_be_swept(&*site.output("ran-out"));
    assert_eq!(server.uploads(), []);
    site.ask(&["verify", &url]).expect(0);
}

/// All of them while nobody is there, and two of those that were made again.
#[test]
fn uploads_that_run_out_while_the_coordinator_is_down_are_made_again() {
    let server = Scripted::start();
    let site = site(&server);
    let url = site.url("down");
    server.fault(Op::Complete, "part-", EVER, refused(403, "AccessDenied"));
    site.ask(&["run", "-f", &site.spec("down", &url)]).expect(16);
    server.heal();
    let all = PARTITIONS as usize;
    server.fault(Op::Complete, "part-", 0..all + 2, Fault::Expire);
    site.ask(&["resume", "--to", &url]).expect(4);
    server.heal();
    assert_eq!(facts_like(&site, "down", |fact| matches!(fact, Fact::PartitionReplaced { .. })), all + 2);
    assert_eq!(table(&*site.output("down"), site.folder.path()), site.on_a_disk());
    must_be_swept(&*site.output("down"));
    assert_eq!(server.uploads(), []);
    site.ask(&["verify", &url]).expect(0);
}

#[test]
fn a_run_with_a_damaged_journal_is_not_continued() {
    let server = Scripted::start();
    let site = site(&server);
    let url = a_run_that_waits(&server, &site);
    let key = server.objects().into_keys().find(|key| key.ends_with(&slot(1))).unwrap();
    server.rot(&key, 60, 3);
    let (objects, uploads) = (server.objects(), server.uploads());
    let refused = site.ask(&["resume", "--to", &url]).expect(16);
    refused.says(&["the journal is damaged", &slot(1), "nothing was changed"]);
    assert!(server.objects() == objects && server.uploads() == uploads, "and nothing was");
    server.rot(&key, 60, 3);
    site.ask(&["resume", "--to", &url]).expect(4);
    assert_eq!(table(&*site.output("waits"), site.folder.path()), site.on_a_disk());
}

#[test]
fn rejects_that_are_altered_on_their_way_are_read_again() {
    let server = Scripted::start();
    let site = site(&server);
    // Of each piece the footer is read, then its rows: a bit of those.
    server.fault(Op::Get, "0000003-", 2..3, Fault::Flip(30));
    server.fault(Op::Get, "0000007-", 2..3, Fault::Flip(200));
    let url = site.url("altered");
    site.ask(&["run", "-f", &site.spec("altered", &url)]).expect(4);
    server.heal();
    assert_eq!(table(&*site.output("altered"), site.folder.path()), site.on_a_disk());
    site.ask(&["verify", &url]).expect(0);
}
