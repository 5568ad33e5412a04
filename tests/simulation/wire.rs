//! Streams between workers and coordinators: what is said arrives in order and late, or never because the stream is gone.

use std::collections::BTreeMap;

use batteuse_shared::time::Millis;

/// Which way something is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    ToCoordinator,
    ToWorker,
}

/// One stream.
#[derive(Debug)]
pub struct Stream {
    pub worker: u32,
    pub coordinator: u32,
    /// Whether each side still has it open: the coordinator's, the worker's.
    pub open: [bool; 2],
    /// When what was said last arrives, each way.
    last: [Millis; 2],
    /// Until when nothing arrives, each way.
    cut: [Millis; 2],
}

/// All streams that there ever were.
#[derive(Default)]
pub struct Wire {
    pub streams: BTreeMap<u64, Stream>,
    next: u64,
}

impl Wire {
    /// A new stream's number.
    pub fn open(&mut self, worker: u32, coordinator: u32) -> u64 {
        self.next += 1;
        let stream = Stream { worker, coordinator, open: [true; 2], last: [Millis(0); 2], cut: [Millis(0); 2] };
        self.streams.insert(self.next, stream);
        self.next
    }

    /// When something that is said now after `latency_ms` arrives; none when its stream is gone.
    pub fn arrival(&mut self, stream: u64, way: Way, now: Millis, latency_ms: u64) -> Option<Millis> {
        let stream = self.streams.get_mut(&stream)?;
        let way = way as usize;
        let at = now.plus(1 + latency_ms).max(stream.last[way]).max(stream.cut[way]);
        stream.last[way] = at;
        Some(at)
    }

    /// Nothing said from now on arrives before `until`.
    pub fn cut(&mut self, stream: u64, way: Way, until: Millis) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            let way = way as usize;
            stream.cut[way] = stream.cut[way].max(until);
        }
    }

    /// One side has no stream any more; once neither has it is forgotten. Tells whether it had it open.
    pub fn close(&mut self, stream: u64, side: Way) -> bool {
        let Some(found) = self.streams.get_mut(&stream) else { return false };
        let was = std::mem::replace(&mut found.open[side as usize], false);
        if found.open == [false; 2] {
            self.streams.remove(&stream);
        }
        was
    }

    pub fn is_open(&self, stream: u64, side: Way) -> bool {
        self.streams.get(&stream).is_some_and(|stream| stream.open[side as usize])
    }
}
