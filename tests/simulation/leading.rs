//! What happens to the coordinators of a world, and what they do.

use batteuse_coordinator::journal::StateStore as _;
use batteuse_coordinator::lead::Standing;
use batteuse_coordinator::publish::{self, PublishError, PublishPlan};
use batteuse_coordinator::rpc;
use batteuse_coordinator::scheduler::Fact;
use batteuse_coordinator::scheduler::{Action, Event};
use batteuse_coordinator::turn::Step;
use batteuse_proto::{CoordinatorSays, PROTOCOL, WorkerSays};
use batteuse_shared::ids::{RunId, WorkerId};
use batteuse_shared::limits::RETRY_BACKOFF_MS;
use batteuse_shared::task::Lease;
use std::ops::ControlFlow;

use super::coordinator::{Exit, Input};
use super::crew::{self, Running};
use super::faults::Fault;
use super::store::SimFolder;
use super::wire::Way;
use super::world::{Happening, Role, World};

impl World {
    /// A coordinator looks who leads.
    pub fn looks(&mut self, number: u32) {
        let now = self.now;
        let Some(coordinator) = self.coordinators.get_mut(&number) else { return };
        if let Ok(found) = self.store.leader()
            && let Some(write) = coordinator.lead.look(found, now)
            && let Ok(done) = self.store.lead(&write)
        {
            coordinator.lead.wrote(write.record, done, now);
        }
        match coordinator.lead.standing() {
            Standing::Deposed => return self.exits(number, &Exit::Superseded),
            Standing::Leading if !coordinator.serves() && !coordinator.is_busy() => match coordinator.recover(now) {
                Ok(true) => self.after(1, Happening::GoesOn(number)),
                Ok(false) => {}
                Err(what) => self.violations.push(what),
            },
            Standing::Leading | Standing::Waiting => {}
        }
        let beat = (self.timing.lease_ttl_ms / 15).max(2);
        self.after(beat, Happening::Looks(number));
    }

    pub fn turns(&mut self, number: u32) {
        let now = self.now;
        let Some(coordinator) = self.coordinators.get_mut(&number) else { return };
        let begun = coordinator.begin(now);
        let closing = std::mem::take(&mut coordinator.closing);
        closing.into_iter().for_each(|stream| self.hang_up(stream));
        if begun {
            let append = self.moment();
            self.after(append, Happening::GoesOn(number));
        }
    }

    /// The turn goes on: with an append, or with all that can be done until the next one.
    pub fn goes_on(&mut self, number: u32) {
        loop {
            let Some(coordinator) = self.coordinators.get_mut(&number) else { return };
            match coordinator.next_step() {
                Some(Step::Append { run, facts }) => return self.appends(number, &run, facts),
                Some(Step::Act(action)) => {
                    let premature = coordinator.premature(&action);
                    self.violations.extend(premature);
                    if self.befalls(Fault::KilledBetweenActions) {
                        return self.kill_coordinator(number);
                    }
                    self.act(number, *action);
                }
                None => break,
            }
        }
        if self.coordinators[&number].has_left() {
            let write = self.coordinators[&number].lead.leave();
            // Whether it is written or not: it goes.
            write.map(|write| self.store.lead(&write).ok());
            return self.exits(number, &Exit::SteppedDown);
        }
        self.after(0, Happening::Turns(number));
    }

    /// Counts a lease of what somebody else is at.
    fn count_second(&self, lease: &Lease) {
        let same = |running: &Running| running.lease.run == lease.run && running.lease.task.key() == lease.task.key();
        if self.workers.values().any(|worker| worker.running.values().any(same)) {
            self.store.faults(|faults| faults.count(Fault::BackedUp));
        }
    }

    fn appends(&mut self, number: u32, run: &RunId, facts: Vec<Fact>) {
        if facts.iter().any(|fact| matches!(fact, Fact::Split { .. })) {
            self.store.faults(|faults| faults.count(Fault::RangeSplit));
        }
        if self.befalls(Fault::KilledBeforeAppend) {
            return self.kill_coordinator(number);
        }
        let Some(coordinator) = self.coordinators.get_mut(&number) else { return };
        let wait = match coordinator.append(run, facts, &mut self.violations) {
            Ok(true) if self.befalls(Fault::KilledAfterAppend) => return self.kill_coordinator(number),
            Ok(true) => self.moment(),
            Ok(false) => RETRY_BACKOFF_MS.min(self.timing.lease_ttl_ms / 10 + 1),
            Err(exit) => return self.exits(number, &exit),
        };
        self.after(wait, Happening::GoesOn(number));
    }

    fn act(&mut self, number: u32, action: Action) {
        match action {
            Action::Record { .. } => unreachable!("facts are appended first"),
            Action::Grant { worker, lease } => {
                self.count_second(&lease);
                self.say(number, &worker, CoordinatorSays::Grant(lease));
            }
            Action::Revoke { worker, run, attempt } => {
                self.say(number, &worker, CoordinatorSays::Revoke { run, attempt });
            }
            Action::Shorten { worker, run, attempt, end } => {
                self.say(number, &worker, CoordinatorSays::Shorten { run, attempt, end });
            }
            Action::Ack { worker, run, attempt } => self.say(number, &worker, CoordinatorSays::Ack { run, attempt }),
            Action::Alive { worker, beat } => self.say(number, &worker, CoordinatorSays::Alive { beat }),
            Action::Drain { worker } => self.say(number, &worker, CoordinatorSays::Drain),
            Action::Refuse { worker, reason } => self.say(number, &worker, CoordinatorSays::Refused { reason }),
            Action::Close { worker } => {
                let stream = self.coordinators.get_mut(&number).and_then(|c| c.sinks.remove(&worker));
                stream.into_iter().for_each(|(stream, _)| self.hang_up(stream));
            }
            Action::Discard { run, unwanted, .. } => {
                let folder = SimFolder { store: self.store.clone(), run: run.clone() };
                // What cannot be deleted now the sweep will.
                let _ = publish::discard(&folder, &run, &unwanted);
            }
            Action::Publish(plan) => {
                let begin = self.moment();
                self.after(begin, Happening::Publishes(number, plan));
            }
        }
    }

    /// Both sides of a stream notice that it is gone.
    pub fn hang_up(&mut self, stream: u64) {
        for side in [Way::ToCoordinator, Way::ToWorker] {
            let notice = self.moment();
            self.after(notice, Happening::Closes(stream, side));
        }
    }

    fn say(&mut self, number: u32, worker: &WorkerId, says: CoordinatorSays) {
        let Some(stream) = self.coordinators.get(&number).and_then(|c| c.sinks.get(worker)).map(|s| s.0) else {
            return;
        };
        let latency = self.chance.below(self.latency_ms + 1);
        if let Some(at) = self.wire.arrival(stream, Way::ToWorker, self.now, latency) {
            self.at(at, Happening::ToWorker(stream, Box::new(says)));
        }
    }

    pub fn ticks(&mut self, number: u32) {
        let Some(coordinator) = self.coordinators.get_mut(&number) else { return };
        if coordinator.serves() {
            coordinator.push(Input::Event(Event::Tick));
            self.after(0, Happening::Turns(number));
        }
        let tick = self.tick_ms();
        self.after(tick, Happening::Ticks(number));
    }

    pub fn publishes(&mut self, number: u32, plan: PublishPlan) {
        if !self.coordinators.contains_key(&number) {
            return;
        }
        let folder = SimFolder { store: self.store.clone(), run: plan.run.clone() };
        let store = self.store.clone();
        let mut between = |_: &str| match store.faults(|faults| faults.befalls(Fault::KilledInPublishing)) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let event = match publish::publish(&plan, &folder, &mut between) {
            Ok(()) => Event::Published { run: plan.run },
            Err(PublishError::Stopped { .. }) => return self.kill_coordinator(number),
            Err(error) => {
                Event::PublishFailed { run: plan.run, message: error.to_string(), gone: error.gone().to_vec() }
            }
        };
        self.tell(number, Input::Event(event));
    }

    /// Something for a coordinator.
    pub fn tell(&mut self, number: u32, input: Input) {
        if let Some(coordinator) = self.coordinators.get_mut(&number) {
            coordinator.push(input);
            self.after(0, Happening::Turns(number));
        }
    }

    /// A worker's words arrive.
    pub fn heard_by_coordinator(&mut self, stream: u64, says: WorkerSays) {
        if !self.wire.is_open(stream, Way::ToCoordinator) {
            return;
        }
        let found = &self.wire.streams[&stream];
        let (number, process) = (found.coordinator, found.worker);
        let worker = crew::name(process);
        let WorkerSays::Hello(hello) = says else {
            return self.tell(number, Input::Event(rpc::event(&worker, says).expect("no greeting")));
        };
        if !self.coordinators.get(&number).is_some_and(super::coordinator::Coordinator::serves) {
            // It waits to lead: who asks is sent on.
            return self.hang_up(stream);
        }
        let welcome = CoordinatorSays::Welcome { protocol: PROTOCOL, lease_ttl_ms: self.timing.lease_ttl_ms };
        if let Some(at) = self.wire.arrival(stream, Way::ToWorker, self.now, 0) {
            self.at(at, Happening::ToWorker(stream, Box::new(welcome)));
        }
        let (slots, running, nth) = (hello.slots, hello.running, hello.stream);
        self.tell(number, Input::Attached { worker, slots, running, stream, number: nth });
    }

    /// A coordinator ends by itself, and another one comes in its place.
    fn exits(&mut self, number: u32, _: &Exit) {
        self.bury_coordinator(number, 3);
    }

    pub fn kill_coordinator(&mut self, number: u32) {
        // Its machine may be gone with it: then nobody tells the workers.
        let silence = if self.chance.below(3) == 0 { self.timing.lease_ttl_ms } else { 3 };
        self.bury_coordinator(number, silence);
    }

    fn bury_coordinator(&mut self, number: u32, silence_ms: u64) {
        if self.coordinators.remove(&number).is_none() {
            return;
        }
        let streams: Vec<u64> =
            self.wire.streams.iter().filter(|(_, stream)| stream.coordinator == number).map(|(id, _)| *id).collect();
        for stream in streams {
            self.wire.close(stream, Way::ToCoordinator);
            let notice = self.chance.below(silence_ms + 1);
            self.after(notice, Happening::Closes(stream, Way::ToWorker));
        }
        let back = self.chance.below(self.timing.lease_ttl_ms);
        self.after(back, Happening::Comes(Role::Coordinator));
    }
}
