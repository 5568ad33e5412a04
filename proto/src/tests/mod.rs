//! Tests of the wire: what is written is read back; what breaks a bound is refused by name; no bytes make it panic.

mod arbitrary;
mod bounds;

use batteuse_shared::task::{Lease, Outcome};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use prost::Message;

use crate::control::{RunList, Submission, WorkerList};
use crate::messages::{CoordinatorSays, WorkerSays};
use crate::status::RunStatus;
use crate::{FILE_DESCRIPTOR_SET, WireError, pipe, v1};

/// Over the wire as bytes and back.
fn carried<T, W>(value: T) -> Result<T, WireError>
where
    W: Message + Default + From<T>,
    T: TryFrom<W, Error = WireError>,
{
    let bytes = W::from(value).encode_to_vec();
    W::decode(bytes.as_slice()).expect("what was encoded decodes").try_into()
}

/// Reads hostile bytes. Most are refused; a value that is taken must be one that can be said and is then read the same.
fn survives<T, W>(bytes: &[u8])
where
    W: Message + Default + From<T>,
    T: TryFrom<W, Error = WireError> + Clone + PartialEq + std::fmt::Debug,
{
    if let Some(value) = W::decode(bytes).ok().and_then(|wire| T::try_from(wire).ok()) {
        assert_eq!(carried::<T, W>(value.clone()).expect("what was taken can be said"), value);
    }
}

/// One way to spoil bytes.
#[derive(Debug, Clone)]
enum Spoil {
    Set(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Truncate(Index),
}

fn spoils() -> impl Strategy<Value = Vec<Spoil>> {
    let at = any::<Index>;
    let one = prop_oneof![
        (at(), any::<u8>()).prop_map(|(i, b)| Spoil::Set(i, b)),
        (at(), any::<u8>()).prop_map(|(i, b)| Spoil::Insert(i, b)),
        at().prop_map(Spoil::Remove),
        at().prop_map(Spoil::Truncate),
    ];
    vec(one, 1..4)
}

fn spoiled(mut bytes: Vec<u8>, spoils: Vec<Spoil>) -> Vec<u8> {
    for spoil in spoils {
        match spoil {
            Spoil::Insert(at, byte) => bytes.insert(at.index(bytes.len() + 1), byte),
            _ if bytes.is_empty() => {}
            Spoil::Set(at, byte) => {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            Spoil::Remove(at) => drop(bytes.remove(at.index(bytes.len()))),
            Spoil::Truncate(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
    bytes
}

proptest! {
    #[test]
    fn a_lease_is_read_as_it_was_written(lease in arbitrary::lease()) {
        prop_assert_eq!(carried::<Lease, v1::Lease>(lease.clone()).expect("valid"), lease);
    }

    #[test]
    fn an_outcome_is_read_as_it_was_written(outcome in arbitrary::outcome()) {
        prop_assert_eq!(carried::<Outcome, v1::Outcome>(outcome.clone()).expect("valid"), outcome);
    }

    #[test]
    fn what_a_worker_says_is_what_is_heard(says in arbitrary::worker_says()) {
        prop_assert_eq!(carried::<WorkerSays, v1::WorkerMessage>(says.clone()).expect("valid"), says);
    }

    #[test]
    fn what_the_coordinator_says_is_what_is_heard(says in arbitrary::coordinator_says()) {
        prop_assert_eq!(carried::<CoordinatorSays, v1::CoordinatorMessage>(says.clone()).expect("valid"), says);
    }

    #[test]
    fn a_pipe_carries_message_after_message(all in vec(arbitrary::worker_says(), 0..4), lease in arbitrary::lease()) {
        let mut bytes = Vec::new();
        for says in &all {
            pipe::say(says.clone(), &mut bytes).expect("room");
        }
        let mut from = &bytes[..];
        for says in &all {
            prop_assert_eq!(pipe::hear(&mut from).expect("whole"), Some(says.clone()));
        }
        prop_assert_eq!(pipe::hear(&mut from).expect("the end"), None);
        let grant = CoordinatorSays::Grant(Box::new(lease));
        let mut bytes = Vec::new();
        pipe::tell(grant.clone(), &mut bytes).expect("room");
        prop_assert!(pipe::take(&mut &bytes[..bytes.len() - 1]).is_err(), "it ends too early");
        prop_assert_eq!(pipe::take(&mut &bytes[..]).expect("whole"), Some(grant));
    }

    #[test]
    fn a_garbled_pipe_does_no_harm(bytes in vec(any::<u8>(), 0..300)) {
        let mut from = &bytes[..];
        while let Ok(Some(_)) = pipe::hear(&mut from) {}
        let mut from = &bytes[..];
        while let Ok(Some(_)) = pipe::take(&mut from) {}
    }

    #[test]
    fn statuses_are_read_as_they_were_written(runs in vec(arbitrary::run_status(), 0..3), more: bool) {
        for status in runs.clone() {
            prop_assert_eq!(carried::<RunStatus, v1::RunStatus>(status.clone()).expect("valid"), status);
        }
        let list = RunList { runs, more };
        prop_assert_eq!(carried::<RunList, v1::ListReply>(list.clone()).expect("valid"), list);
    }

    #[test]
    fn workers_are_read_as_they_were_written(workers in vec(arbitrary::worker_status(), 0..3), more: bool) {
        let list = WorkerList { workers, more };
        prop_assert_eq!(carried::<WorkerList, v1::WorkersReply>(list.clone()).expect("valid"), list);
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in vec(any::<u8>(), 0..300)) {
        survives::<WorkerSays, v1::WorkerMessage>(&bytes);
        survives::<CoordinatorSays, v1::CoordinatorMessage>(&bytes);
        survives::<RunStatus, v1::RunStatus>(&bytes);
        survives::<Submission, v1::SubmitRequest>(&bytes);
        survives::<WorkerList, v1::WorkersReply>(&bytes);
    }

    #[test]
    fn a_spoiled_report_does_no_harm(says in arbitrary::worker_says(), spoils in spoils()) {
        let bytes = v1::WorkerMessage::from(says).encode_to_vec();
        survives::<WorkerSays, v1::WorkerMessage>(&spoiled(bytes, spoils));
    }

    #[test]
    fn a_spoiled_lease_does_no_harm(says in arbitrary::coordinator_says(), spoils in spoils()) {
        let bytes = v1::CoordinatorMessage::from(says).encode_to_vec();
        survives::<CoordinatorSays, v1::CoordinatorMessage>(&spoiled(bytes, spoils));
    }
}

#[test]
fn a_submission_is_read_as_it_was_written() {
    let job = r#"{"apiVersion": "batteuse.dev/v1alpha1", "kind": "Ingest", "metadata": {"name": "communes"}, "spec": {
        "source": {"url": "file:///data/communes.csv", "csv": {"delimiter": ";", "nulls": ["", "NA"]}},
        "columns": {"infer": true, "siret": "text", "montant": "decimal(12,2)"},
        "output": {"parquet": {"url": "file:///out/", "compression": "zstd(7)"}},
        "rejects": {"tolerate": {"percent": 0.1}}}}"#;
    let submission = Submission {
        job: serde_json::from_str(job).expect("a job of the form of the spec"),
        client_request_id: "0f8fad5b-d9cb".to_owned(),
    };
    assert_eq!(carried::<Submission, v1::SubmitRequest>(submission.clone()).expect("valid"), submission);
}

#[test]
fn the_descriptors_describe_both_services() {
    let has = |name: &str| FILE_DESCRIPTOR_SET.windows(name.len()).any(|w| w == name.as_bytes());
    for name in ["batteuse/v1/worker.proto", "batteuse/v1/control.proto", "WorkerService", "ControlService"] {
        assert!(has(name), "{name}");
    }
    assert!(!has("Workers attach, ask for leases"), "comments are not for reflection");
}
