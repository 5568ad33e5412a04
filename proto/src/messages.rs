//! The two directions of the stream between a worker and its coordinator, as plain values.
//!
//! Invariant: what is said is read back as the same value. The order in which things may be said is not judged here.

use batteuse_shared::ids::{AttemptId, PartitionId, RunId, WorkerId};
use batteuse_shared::limits::{FAILURE_MESSAGE_BYTES_MAX, LEASE_TTL_MS_MAX, PARTITIONS_MAX, SLOTS_MAX};
use batteuse_shared::task::{Held, Lease, Outcome, TaskKey};

use crate::convert::{
    Read, attempt_ref, cut, list, messages, name, optional_size, present, run_id, size, text, within, worker_id,
};
use crate::error::WireError;
use crate::v1;

/// Bytes that a message takes on the wire: above [`batteuse_shared::limits::MESSAGE_BYTES_MAX`] no peer reads it.
#[must_use]
pub fn wire_bytes(message: &impl prost::Message) -> usize {
    message.encoded_len()
}

/// Version of the messages. Raised by one whenever an old side would misread a new one; then both must be replaced.
pub const PROTOCOL: u32 = 10;

/// What a worker says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerSays {
    /// The first message of a stream.
    Hello(Hello),
    /// How many further leases it can take now: absolute, it replaces the number said before.
    Wanted {
        /// At most [`SLOTS_MAX`].
        slots: u32,
    },
    /// It lives.
    Heartbeat {
        /// Which heartbeat of the worker, from 1 on: what answers it names it.
        beat: u64,
        /// How far its attempts have come. At most [`SLOTS_MAX`] of them.
        progress: Vec<Progress>,
    },
    /// How an attempt ended; repeated after a reconnection until it is acknowledged.
    Report {
        /// Whose task.
        run: RunId,
        /// Which try.
        attempt: AttemptId,
        /// How it ended.
        outcome: Outcome,
    },
}

/// A worker's introduction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// Chosen by the worker, kept over reconnections.
    pub worker: WorkerId,
    /// Leases it can hold at once, 1 to [`SLOTS_MAX`].
    pub slots: u32,
    /// Version of the program, for the operator. 1 to 100 bytes.
    pub version: String,
    /// Its [`PROTOCOL`].
    pub protocol: u32,
    /// Attempts it holds: running, or ended and not acknowledged. At most [`SLOTS_MAX`].
    pub running: Vec<Held>,
    /// Which stream of this worker, from 1 on. A greeting that was long under way may come after that of a later stream.
    pub stream: u64,
}

/// How far one attempt has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Whose task.
    pub run: RunId,
    /// Which try.
    pub attempt: AttemptId,
    /// Bytes of its range that it has read and parsed.
    pub bytes_done: u64,
    /// A count that grows with whatever it does: reading, encoding, staging. One that stands still tells that the attempt hangs.
    pub work: u64,
    /// Where its range ends, once its rest was given away.
    pub end: Option<u64>,
}

/// What the coordinator says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CoordinatorSays {
    /// The worker is taken in.
    Welcome {
        /// The coordinator's [`PROTOCOL`].
        protocol: u32,
        /// How long a lease lives without a word from the worker. Milliseconds, 1 to [`LEASE_TTL_MS_MAX`]. A worker speaks five times
        /// as often, and stops its attempts when nothing it said for so long was answered.
        lease_ttl_ms: u64,
    },
    /// The worker is not taken in.
    Refused {
        /// What is wrong and what to do. Cut at [`FAILURE_MESSAGE_BYTES_MAX`] bytes when it is sent.
        reason: String,
    },
    /// A task for the worker.
    Grant(Box<Lease>),
    /// Stop this attempt: nobody waits for it any more.
    Revoke {
        /// Whose task.
        run: RunId,
        /// Which try.
        attempt: AttemptId,
    },
    /// The report of this attempt is durable or known to be stale: forget it.
    Ack {
        /// Whose task.
        run: RunId,
        /// Which try.
        attempt: AttemptId,
    },
    /// Let this attempt's range end earlier, if that place is not reached yet. The answer is [`Progress::end`], or its report.
    Shorten {
        /// Whose task.
        run: RunId,
        /// Which try.
        attempt: AttemptId,
        /// Where its range is to end.
        end: u64,
    },
    /// This heartbeat was heard.
    Alive {
        /// Its number.
        beat: u64,
    },
    /// Finish what runs, ask for nothing more.
    Drain,
}

impl From<WorkerSays> for v1::WorkerMessage {
    fn from(says: WorkerSays) -> Self {
        use v1::worker_message::Kind;
        let kind = match says {
            WorkerSays::Hello(hello) => Kind::Hello(hello.into()),
            WorkerSays::Wanted { slots } => Kind::Wanted(v1::Wanted { slots }),
            WorkerSays::Heartbeat { beat, progress } => {
                Kind::Heartbeat(v1::Heartbeat { progress: messages(progress), beat })
            }
            WorkerSays::Report { run, attempt, outcome } => {
                Kind::Report(v1::Report { run: run.into(), attempt: attempt.0, outcome: Some(outcome.into()) })
            }
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<v1::WorkerMessage> for WorkerSays {
    type Error = WireError;

    fn try_from(wire: v1::WorkerMessage) -> Read<Self> {
        use v1::worker_message::Kind;
        Ok(match wire.kind.ok_or(WireError::Missing("WorkerMessage.kind"))? {
            Kind::Hello(hello) => Self::Hello(hello.try_into()?),
            Kind::Wanted(v1::Wanted { slots }) => {
                within("Wanted.slots", slots.into(), 0, SLOTS_MAX.into())?;
                Self::Wanted { slots }
            }
            Kind::Heartbeat(v1::Heartbeat { progress, beat }) => {
                Self::Heartbeat { beat, progress: list("Heartbeat.progress", progress, SLOTS_MAX as usize)? }
            }
            Kind::Report(v1::Report { run, attempt, outcome }) => Self::Report {
                run: run_id("Report.run", &run)?,
                attempt: AttemptId(attempt),
                outcome: present("Report.outcome", outcome)?,
            },
        })
    }
}

impl From<Hello> for v1::Hello {
    fn from(hello: Hello) -> Self {
        let Hello { worker, slots, version, protocol, running, stream } = hello;
        let running = messages(running);
        Self { worker: worker.into(), slots, version, protocol, running, stream }
    }
}

impl TryFrom<v1::Hello> for Hello {
    type Error = WireError;

    fn try_from(wire: v1::Hello) -> Read<Self> {
        within("Hello.slots", wire.slots.into(), 1, SLOTS_MAX.into())?;
        Ok(Self {
            worker: worker_id("Hello.worker", &wire.worker)?,
            slots: wire.slots,
            version: name("Hello.version", wire.version)?,
            protocol: wire.protocol,
            running: list("Hello.running", wire.running, SLOTS_MAX as usize)?,
            stream: wire.stream,
        })
    }
}

impl From<Held> for v1::Held {
    fn from(held: Held) -> Self {
        use v1::held::Task;
        let task = match held.task {
            TaskKey::Inspect => Task::Inspect(v1::Nothing {}),
            TaskKey::Parse(partition) => Task::Parse(partition.0),
            TaskKey::Finish => Task::Finish(v1::Nothing {}),
        };
        Self { run: held.run.into(), attempt: held.attempt.0, task: Some(task) }
    }
}

impl TryFrom<v1::Held> for Held {
    type Error = WireError;

    fn try_from(wire: v1::Held) -> Read<Self> {
        use v1::held::Task;
        let task = match wire.task.ok_or(WireError::Missing("Held.task"))? {
            Task::Inspect(v1::Nothing {}) => TaskKey::Inspect,
            Task::Parse(partition) => {
                within("Held.parse", partition.into(), 0, PARTITIONS_MAX)?;
                TaskKey::Parse(PartitionId(partition))
            }
            Task::Finish(v1::Nothing {}) => TaskKey::Finish,
        };
        Ok(Self { run: run_id("Held.run", &wire.run)?, attempt: AttemptId(wire.attempt), task })
    }
}

impl TryFrom<v1::AttemptRef> for (RunId, AttemptId) {
    type Error = WireError;

    fn try_from(wire: v1::AttemptRef) -> Read<Self> {
        Ok((run_id("AttemptRef.run", &wire.run)?, AttemptId(wire.attempt)))
    }
}

impl From<Progress> for v1::Progress {
    fn from(progress: Progress) -> Self {
        let Progress { run, attempt, bytes_done, work, end } = progress;
        Self { run: run.into(), attempt: attempt.0, bytes_done, work, end }
    }
}

impl TryFrom<v1::Progress> for Progress {
    type Error = WireError;

    fn try_from(wire: v1::Progress) -> Read<Self> {
        Ok(Self {
            run: run_id("Progress.run", &wire.run)?,
            attempt: AttemptId(wire.attempt),
            bytes_done: size("Progress.bytes_done", wire.bytes_done)?,
            work: wire.work,
            end: optional_size("Progress.end", wire.end)?,
        })
    }
}

impl From<CoordinatorSays> for v1::CoordinatorMessage {
    fn from(says: CoordinatorSays) -> Self {
        use v1::coordinator_message::Kind;
        let kind = match says {
            CoordinatorSays::Welcome { protocol, lease_ttl_ms } => {
                Kind::Welcome(v1::Welcome { protocol, lease_ttl_ms })
            }
            CoordinatorSays::Refused { reason } => {
                Kind::Refused(v1::Refused { reason: cut(reason, FAILURE_MESSAGE_BYTES_MAX) })
            }
            CoordinatorSays::Grant(lease) => Kind::Grant((*lease).into()),
            CoordinatorSays::Revoke { run, attempt } => Kind::Revoke(attempt_ref(run, attempt)),
            CoordinatorSays::Ack { run, attempt } => Kind::Ack(attempt_ref(run, attempt)),
            CoordinatorSays::Shorten { run, attempt, end } => {
                Kind::Shorten(v1::Shorten { run: run.into(), attempt: attempt.0, end })
            }
            CoordinatorSays::Alive { beat } => Kind::Alive(v1::Alive { beat }),
            CoordinatorSays::Drain => Kind::Drain(v1::Drain {}),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<v1::CoordinatorMessage> for CoordinatorSays {
    type Error = WireError;

    fn try_from(wire: v1::CoordinatorMessage) -> Read<Self> {
        use v1::coordinator_message::Kind;
        Ok(match wire.kind.ok_or(WireError::Missing("CoordinatorMessage.kind"))? {
            Kind::Welcome(v1::Welcome { protocol, lease_ttl_ms }) => {
                within("Welcome.lease_ttl_ms", lease_ttl_ms, 1, LEASE_TTL_MS_MAX)?;
                Self::Welcome { protocol, lease_ttl_ms }
            }
            Kind::Refused(v1::Refused { reason }) => {
                Self::Refused { reason: text("Refused.reason", reason, FAILURE_MESSAGE_BYTES_MAX)? }
            }
            Kind::Grant(lease) => Self::Grant(Box::new(lease.try_into()?)),
            Kind::Revoke(of) => {
                let (run, attempt) = of.try_into()?;
                Self::Revoke { run, attempt }
            }
            Kind::Ack(of) => {
                let (run, attempt) = of.try_into()?;
                Self::Ack { run, attempt }
            }
            Kind::Shorten(v1::Shorten { run, attempt, end }) => Self::Shorten {
                run: run_id("Shorten.run", &run)?,
                attempt: AttemptId(attempt),
                end: size("Shorten.end", end)?,
            },
            Kind::Alive(v1::Alive { beat }) => Self::Alive { beat },
            Kind::Drain(v1::Drain {}) => Self::Drain,
        })
    }
}
