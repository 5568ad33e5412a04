//! Unclear replies to a folder's calls, and reads that come short.

use std::io;

use batteuse_shared::table::Checksum;
use batteuse_store::{CreateError, Created, ListError, ReadError, WriteError};
use sha2::{Digest as _, Sha256};

use super::{DONE_BUT_TIMEOUT, Scene, TIMEOUT, TRIES};
use crate::support::scripted::{BUSY, Fault, Op, done_but, refused};

const TEXT: &[u8] = b"a report\n";

/// A reply that never comes has the client try again; one that says nothing of what was done has it give up.
#[test]
fn a_create_without_a_clear_reply_is_unknown() {
    let scene = Scene::new();
    for applied in [true, false] {
        let path = format!("applied-{applied}");
        scene.server.fault(Op::Put, &path, 0..1, if applied { DONE_BUT_TIMEOUT } else { TIMEOUT });
        let unknown = scene.folder.create_if_absent(&path, TEXT);
        assert!(matches!(unknown, Err(CreateError::Unknown(_))), "{unknown:?}");
        assert_eq!(scene.kept(&path).is_some(), applied);
        let path = format!("cut-off-{applied}");
        scene.server.fault(Op::Put, &path, 0..1, Fault::Close { applied });
        let reply = scene.folder.create_if_absent(&path, TEXT).unwrap();
        assert_eq!(reply, if applied { Created::Exists } else { Created::Done });
        assert_eq!((scene.kept(&path).as_deref(), scene.server.count(Op::Put, &path)), (Some(TEXT), 2));
    }
    scene.server.must_have_removed_nothing();
}

/// The client tries again what was answered with 500, and meets its own success.
#[test]
fn an_object_that_exists_may_be_ones_own() {
    let scene = Scene::new();
    scene.server.fault(Op::Put, "own", 0..1, done_but(500, "InternalError"));
    assert_eq!(scene.folder.create_if_absent("own", TEXT).unwrap(), Created::Exists);
    assert_eq!((scene.kept("own").as_deref(), scene.server.count(Op::Put, "own")), (Some(TEXT), 2));
    scene.server.fault(Op::Put, "conflict", 0..1, refused(409, "ConditionalRequestConflict"));
    assert_eq!(scene.folder.create_if_absent("conflict", TEXT).unwrap(), Created::Exists);
    assert_eq!(scene.kept("conflict"), None, "409 is told alike, and nothing landed");
    assert_eq!(scene.folder.create_if_absent("conflict", TEXT).unwrap(), Created::Done);
}

#[test]
fn a_refusal_may_answer_the_retry_of_what_was_done() {
    let scene = Scene::new();
    for path in ["slot", "text"] {
        scene.server.fault(Op::Put, path, 0..1, done_but(500, "InternalError"));
        scene.server.fault(Op::Put, path, 1..2, refused(403, "AccessDenied"));
    }
    let unknown = scene.folder.create_if_absent("slot", TEXT);
    assert!(matches!(unknown, Err(CreateError::Unknown(_))), "{unknown:?}");
    scene.folder.write_if_absent_or_equal("text", TEXT).unwrap();
}

/// What is replaced is what was known, and after an unclear reply it is looked at.
#[test]
fn a_switch_is_made_once_and_by_who_knows_what_was_there() {
    let scene = Scene::new();
    let old = b"the old\n".as_slice();
    let switch = |path: &str| scene.folder.replace(path, &Checksum(Sha256::digest(old).into()), TEXT);
    let lay = |path: &str| scene.server.put(&format!("out/{path}"), old);
    scene.server.fault(Op::Put, "reply-lost", 0..1, Fault::Close { applied: true });
    scene.server.fault(Op::Put, "said-nothing", 0..1, DONE_BUT_TIMEOUT);
    scene.server.fault(Op::Put, "failed", 0..1, done_but(500, "InternalError"));
    scene.server.fault(Op::Put, "busy", 0..2, BUSY);
    for path in ["reply-lost", "said-nothing", "failed", "busy"] {
        lay(path);
        switch(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(scene.kept(path).as_deref(), Some(TEXT));
    }
    lay("timed-out");
    scene.server.fault(Op::Put, "timed-out", 0..1, TIMEOUT);
    let unclear = switch("timed-out");
    assert!(matches!(unclear, Err(WriteError::Io(_))), "{unclear:?}");
    assert_eq!(scene.kept("timed-out").as_deref(), Some(old));
    switch("timed-out").unwrap();
    lay("overtaken");
    scene.server.fault(Op::Put, "overtaken", 0..1, Fault::Overtake(b"a later table's"));
    let late = switch("overtaken");
    assert!(matches!(late, Err(WriteError::Different)), "{late:?}");
    assert_eq!(scene.kept("overtaken").as_deref(), Some(&b"a later table's"[..]));
    scene.server.must_have_removed_nothing();
}

#[test]
fn a_text_is_read_back_after_every_unclear_reply() {
    let scene = Scene::new();
    let write = |path: &str| scene.folder.write_if_absent_or_equal(path, TEXT);
    scene.server.fault(Op::Put, "reply-lost", 0..1, Fault::Close { applied: true });
    scene.server.fault(Op::Put, "said-nothing", 0..1, DONE_BUT_TIMEOUT);
    scene.server.fault(Op::Put, "failed", 0..1, done_but(500, "InternalError"));
    scene.server.fault(Op::Put, "busy", 0..2, BUSY);
    for path in ["reply-lost", "said-nothing", "failed", "busy"] {
        write(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(scene.kept(path).as_deref(), Some(TEXT));
    }
    scene.server.fault(Op::Put, "conflict", 0..1, refused(409, "ConditionalRequestConflict"));
    scene.server.fault(Op::Put, "timed-out", 0..1, TIMEOUT);
    for path in ["conflict", "timed-out"] {
        let unclear = write(path);
        assert!(matches!(unclear, Err(WriteError::Io(_))), "{path} is not there: {unclear:?}");
        write(path).unwrap();
    }
    scene.server.put("out/foreign", b"another's");
    scene.server.fault(Op::Put, "foreign", 0..1, refused(500, "InternalError"));
    assert!(matches!(write("foreign"), Err(WriteError::Different)));
    assert_eq!(scene.kept("foreign").as_deref(), Some(&b"another's"[..]));
    scene.server.must_have_removed_nothing();
}

#[test]
fn a_storm_is_outlasted_or_told() {
    let scene = Scene::new();
    scene.server.fault(Op::Put, "short", 0..2, BUSY);
    assert_eq!(scene.folder.create_if_absent("short", TEXT).unwrap(), Created::Done);
    scene.server.fault(Op::Put, "long", 0..TRIES, BUSY);
    let unknown = scene.folder.create_if_absent("long", TEXT);
    assert!(matches!(unknown, Err(CreateError::Unknown(_))), "{unknown:?}");
    assert_eq!(scene.server.count(Op::Put, "long"), TRIES, "BOUNDED");
    assert_eq!(scene.folder.create_if_absent("long", TEXT).unwrap(), Created::Done);
    scene.server.must_have_removed_nothing();
}

#[test]
fn a_short_read_is_noticed() {
    let scene = Scene::new();
    scene.server.put("out/digits", b"0123456789");
    scene.server.fault(Op::Get, "digits", 0..1, Fault::Short(3));
    let short = scene.folder.read_range("digits", 2, 5).unwrap_err();
    assert_eq!(short.kind(), io::ErrorKind::UnexpectedEof, "{short}");
    assert_eq!(&scene.folder.read_range("digits", 2, 5).unwrap()[..], b"23456");

    // The client asks for the rest of a body that broke off, and trusts what comes.
    scene.server.fault(Op::Get, "digits", 0..1, Fault::Cut(4));
    scene.server.fault(Op::Get, "digits", 1..2, Fault::Short(2));
    match scene.folder.read("digits", 10) {
        Err(ReadError::Io(short)) => assert_eq!(short.kind(), io::ErrorKind::UnexpectedEof, "{short}"),
        other => panic!("6 of 10 bytes: {other:?}"),
    }
    scene.server.fault(Op::Get, "digits", 0..1, Fault::Cut(4));
    assert_eq!(scene.folder.read("digits", 10).unwrap().unwrap(), b"0123456789");
}

#[test]
fn what_is_unknown_is_not_absent() {
    let scene = Scene::new();
    scene.server.put("out/there", b"1");
    scene.server.fault(Op::Head, "there", 0..2, refused(403, "AccessDenied"));
    scene.server.fault(Op::Get, "there", 0..1, refused(403, "AccessDenied"));
    assert!(scene.folder.size("there").is_err() && scene.folder.kind("there").is_err());
    scene.server.fault(Op::List, "out", 0..2, refused(403, "AccessDenied"));
    assert!(scene.folder.kind("there").is_err(), "nor is what cannot be listed");
    assert!(scene.folder.read("there", 1).is_err() && scene.folder.list("").is_err());
}

/// The client takes an error, or any page at all, for a listing without names.
#[test]
fn a_listing_that_is_none_is_not_empty() {
    let scene = Scene::new();
    scene.server.put("out/runs/one", b"");
    scene.server.fault(Op::List, "runs", 0..1, refused(200, "InternalError"));
    assert_eq!(scene.folder.list("runs").unwrap().unwrap().len(), 1, "it is asked for again");
    scene.server.fault(Op::List, "runs", 0..TRIES, refused(200, "ServiceUnavailable"));
    let told = scene.folder.list("runs");
    assert!(matches!(told, Err(ListError::Io(_))), "{told:?}");
    assert_eq!(scene.server.count(Op::List, "runs"), TRIES + 2, "BOUNDED");
    assert!(scene.folder.list("others").unwrap().is_none());
    // Cut short before its root is known, or after.
    scene.server.fault(Op::List, "runs", 0..1, Fault::Short(0));
    assert_eq!(scene.folder.list("runs").unwrap().unwrap().len(), 1);
    scene.server.fault(Op::List, "runs", 0..1, Fault::Short(60));
    assert!(matches!(scene.folder.list("runs"), Err(ListError::Io(_))));
}
