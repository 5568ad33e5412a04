//! Unclear replies to the claim of an output folder: it has one owner, who knows it.

use batteuse_coordinator::claim::{Claim, ClaimError, ClaimOutcome, Holding, claim, look};
use batteuse_shared::ids::RunId;
use batteuse_shared::layout;

use super::{DONE_BUT_TIMEOUT, Scene, TIMEOUT};
use crate::support::scripted::{BUSY, Fault, Op, done_but, refused};

fn claim_of(nonce: &str) -> Claim {
    Claim { run: RunId::new("faults-1").unwrap(), state: "s3://grain/state/".to_owned(), nonce: nonce.to_owned() }
}

#[test]
fn a_claim_that_landed_is_ones_own_whatever_the_reply() {
    let mine = claim_of("mine");
    for fault in [done_but(500, "InternalError"), Fault::Close { applied: true }, DONE_BUT_TIMEOUT, BUSY] {
        let scene = Scene::new();
        scene.server.fault(Op::Put, layout::CLAIMS, 0..1, fault.clone());
        assert_eq!(claim(&*scene.folder, 0, &mine).unwrap(), ClaimOutcome::Won, "{fault:?}");
        assert_eq!(look(&*scene.folder).unwrap(), Holding::Claimed { seq: 0, claim: mine.clone() });
        scene.server.must_have_removed_nothing();
    }
}

#[test]
fn a_claim_that_did_not_land_is_unknown_and_is_made_again() {
    let mine = claim_of("mine");
    for fault in [refused(409, "ConditionalRequestConflict"), TIMEOUT] {
        let scene = Scene::new();
        scene.server.fault(Op::Put, layout::CLAIMS, 0..1, fault.clone());
        let unknown = claim(&*scene.folder, 0, &mine);
        assert!(matches!(unknown, Err(ClaimError::Unknown { .. })), "{fault:?}: {unknown:?}");
        assert_eq!(claim(&*scene.folder, 0, &mine).unwrap(), ClaimOutcome::Won);
    }
}

#[test]
fn another_ones_claim_is_lost_however_it_is_told() {
    let (mine, theirs) = (claim_of("mine"), claim_of("theirs"));
    for fault in [BUSY, refused(409, "ConditionalRequestConflict"), TIMEOUT, Fault::Close { applied: false }] {
        let scene = Scene::new();
        claim(&*scene.folder, 0, &theirs).unwrap();
        scene.server.fault(Op::Put, layout::CLAIMS, 0..1, fault.clone());
        assert_eq!(claim(&*scene.folder, 0, &mine).unwrap(), ClaimOutcome::Lost { by: theirs.clone() }, "{fault:?}");
        assert_eq!(look(&*scene.folder).unwrap(), Holding::Claimed { seq: 0, claim: theirs.clone() });
    }
}
