//! What happens to the workers of a world, what they do, and what strikes anybody.

use batteuse_coordinator::scheduler::Event;
use batteuse_proto::{CoordinatorSays, WorkerSays};
use batteuse_shared::ids::WorkerId;
use batteuse_shared::limits::HEARTBEATS_PER_TTL;
use batteuse_shared::mutants::{Mutant, planted};
use batteuse_shared::task::{FailureClass, Task};
use batteuse_worker::session::{Act, Heard, Key};

use super::coordinator::Input;
use super::crew::{self, Running};
use super::faults::Fault;
use super::wire::Way;
use super::world::{Happening, Role, World};

impl World {
    /// A worker tries the next coordinator.
    pub fn connects(&mut self, number: u32) {
        let Some(worker) = self.workers.get(&number) else { return };
        if worker.stream.is_some() {
            return;
        }
        let known: Vec<u32> = self.coordinators.keys().copied().collect();
        let retry = self.moment() + self.timing.lease_ttl_ms / 20;
        if known.is_empty() {
            return self.after(retry, Happening::Connects(number));
        }
        let target = known[self.chance.below(known.len() as u64) as usize];
        let stream = self.wire.open(number, target);
        let asked_at = self.now;
        if let Some(worker) = self.workers.get_mut(&number) {
            (worker.stream, worker.asked_at) = (Some(stream), asked_at);
            let hello = worker.session.hello();
            self.utter(stream, hello);
        }
        // One that does not answer is given up.
        let patience = self.timing.lease_ttl_ms / 2 + 20 * self.latency_ms + 50;
        self.after(patience, Happening::Connects(number));
        self.after(patience, Happening::GivesUp(number, stream));
    }

    /// A worker was not greeted on a stream, and leaves it.
    pub fn gives_up(&mut self, number: u32, stream: u64) {
        let greeted = |worker: &crew::Worker| worker.stream != Some(stream) || worker.greeted == Some(stream);
        if self.workers.get(&number).is_some_and(|worker| !greeted(worker)) {
            self.hang_up(stream);
        }
    }

    fn utter(&mut self, stream: u64, says: WorkerSays) {
        let latency = self.chance.below(self.latency_ms + 1);
        if let Some(at) = self.wire.arrival(stream, Way::ToCoordinator, self.now, latency) {
            self.at(at, Happening::ToCoordinator(stream, Box::new(says)));
        }
    }

    /// It tells how far it has come.
    pub fn beats_soon(&mut self, number: u32) {
        let Some(worker) = self.workers.get_mut(&number) else { return };
        let progress = worker.progress(self.now);
        self.hear(number, Heard::Beat { progress });
    }

    pub fn beats(&mut self, number: u32) {
        if !self.workers.contains_key(&number) {
            return;
        }
        self.beats_soon(number);
        let interval = (self.timing.lease_ttl_ms / HEARTBEATS_PER_TTL).max(1);
        self.after(interval, Happening::Beats(number));
    }

    /// A worker looks at its watch.
    pub fn watches(&mut self, number: u32) {
        if self.workers.contains_key(&number) {
            self.hear(number, Heard::Tick);
            let interval = (self.timing.lease_ttl_ms / 5).max(1);
            self.after(interval, Happening::Watches(number));
        }
    }

    pub fn gives_back(&mut self, number: u32) {
        self.hear(number, Heard::GiveBack);
    }

    pub fn goes(&mut self, number: u32) {
        if self.workers.contains_key(&number) {
            self.bury_worker(number);
        }
    }

    /// The coordinator's words arrive.
    pub fn heard_by_worker(&mut self, stream: u64, says: CoordinatorSays) {
        if !self.wire.is_open(stream, Way::ToWorker) {
            return;
        }
        let number = self.wire.streams[&stream].worker;
        let Some(worker) = self.workers.get_mut(&number).filter(|worker| worker.stream == Some(stream)) else { return };
        let heard = match says {
            CoordinatorSays::Welcome { lease_ttl_ms, .. } => {
                worker.greeted = Some(stream);
                Heard::Welcome { asked_at: worker.asked_at, lease_ttl_ms }
            }
            says => Heard::Said(says),
        };
        self.hear(number, heard);
    }

    /// A worker's session takes something in, and what it wants is done.
    fn hear(&mut self, number: u32, heard: Heard) {
        let now = self.now;
        let Some(worker) = self.workers.get_mut(&number) else { return };
        let stayed = !worker.session.is_leaving();
        let acts = worker.session.step(heard, now);
        if stayed && worker.session.is_leaving() {
            let grace = self.chance.below(self.timing.lease_ttl_ms);
            self.after(grace, Happening::GivesBack(number));
            self.after(2 * grace + 1, Happening::Goes(number));
        }
        for act in acts {
            self.do_act(number, act);
        }
        let gone =
            self.workers.get(&number).is_some_and(|worker| worker.session.is_leaving() && worker.session.is_idle());
        if gone {
            self.bury_worker(number);
        }
    }

    fn do_act(&mut self, number: u32, act: Act) {
        match act {
            Act::Say(says) => {
                let Some(stream) = self.workers.get(&number).and_then(|worker| worker.stream) else { return };
                if matches!(says, WorkerSays::Report { .. }) && self.befalls(Fault::ToldTwice) {
                    self.utter(stream, says.clone());
                }
                self.utter(stream, says);
            }
            Act::Start(lease) => {
                let hung = self.befalls(Fault::AttemptHangs);
                let key = (lease.run.clone(), lease.attempt);
                let longest = self.timing.lease_ttl_ms * [1, 1, 8][self.chance_below(3)] / 8 + 2;
                let times = if self.befalls(Fault::AttemptSlow) { 30 } else { 1 };
                let time = times * (1 + self.chance.below(longest));
                let (began, ends) = (self.now, self.now.plus(time));
                let running = Running { lease: *lease, stop: false, hung, work: 0, began, ends, end: None };
                if let Some(worker) = self.workers.get_mut(&number) {
                    worker.running.insert(key.clone(), running);
                }
                self.after(time, Happening::Ends(number, key));
            }
            Act::Stop(key) => {
                let running = self.workers.get_mut(&number).and_then(|worker| worker.running.get_mut(&key));
                if let Some(running) = running.filter(|running| !running.hung) {
                    running.stop = true;
                    let batch = self.moment();
                    self.after(batch, Happening::Ends(number, key));
                }
            }
            Act::Shorten(key, end) => {
                // Words may be lost: then it is known later, or by its report.
                let late = [0, 0, 3 * self.timing.suspect_ms][self.chance_below(3)];
                let (now, tells) = (self.now, self.now.plus(late));
                let running = self.workers.get_mut(&number).and_then(|worker| worker.running.get_mut(&key));
                let ends = running.and_then(|running| running.shorten(end, tells, now).then_some(running.ends));
                if let Some(ends) = ends {
                    self.at(ends, Happening::Ends(number, key));
                    if self.chance.below(2) > 0 {
                        self.after(1, Happening::BeatsSoon(number));
                    }
                }
            }
            Act::HangUp => {
                let stream = self.workers.get(&number).and_then(|worker| worker.stream);
                stream.into_iter().for_each(|stream| self.after(0, Happening::Closes(stream, Way::ToWorker)));
                stream.into_iter().for_each(|stream| self.after(1, Happening::Closes(stream, Way::ToCoordinator)));
            }
            Act::Refused(_) => self.bury_worker(number),
        }
    }

    fn chance_below(&mut self, end: u64) -> usize {
        self.chance.below(end) as usize
    }

    /// The time of an attempt is over.
    pub fn ends(&mut self, number: u32, key: &Key) {
        let Some(worker) = self.workers.get_mut(&number) else { return };
        if worker.running.get(key).is_none_or(|running| running.hung) {
            return;
        }
        let Some(running) = worker.running.remove(key) else { return };
        let dies = match &running.lease.task {
            Task::Parse(task) if !running.stop && self.job_of(&key.0).source.kills(task) => Some(task.alone),
            _ => None,
        };
        dies.into_iter().for_each(|_| self.store.faults(|faults| faults.count(Fault::Poisoned)));
        if dies == Some(false) {
            *self.deaths.entry(key.0.clone()).or_default() += 1;
            return self.bury_worker(number);
        }
        let outcome = if dies.is_some() {
            crew::failed(FailureClass::Crash, "simulated: its process died")
        } else if running.stop {
            crew::failed(FailureClass::Released, "the attempt was revoked and stopped")
        } else if self.befalls(Fault::AttemptCrashes) {
            crew::failed(FailureClass::Crash, "simulated: a panic")
        } else if self.befalls(Fault::AttemptStalls) {
            crew::failed(FailureClass::Environment, "simulated: the disk is full")
        } else {
            crew::execute(&running.lease, &self.job_of(&key.0).source, &self.store)
        };
        self.hear(number, Heard::Ended(key.clone(), outcome));
    }

    /// One side notices that a stream is gone.
    pub fn closes(&mut self, stream: u64, side: Way) {
        let Some(found) = self.wire.streams.get(&stream) else { return };
        let (number, coordinator) = (found.worker, found.coordinator);
        if !self.wire.close(stream, side) {
            return;
        }
        if side == Way::ToCoordinator {
            let worker = crew::name(number);
            return self.tell(coordinator, Input::Detached { worker, stream });
        }
        if let Some(worker) = self.workers.get_mut(&number).filter(|worker| worker.stream == Some(stream)) {
            worker.stream = None;
            self.hear(number, Heard::Closed);
            let back = self.moment();
            self.after(back, Happening::Connects(number));
        }
    }

    /// A worker's process is gone, and another one comes.
    pub fn bury_worker(&mut self, number: u32) {
        let Some(worker) = self.workers.remove(&number) else { return };
        if planted(Mutant::CompletedInDrop) {
            worker.running.values().for_each(|running| crew::complete(&running.lease, &self.store));
        }
        let streams: Vec<u64> =
            self.wire.streams.iter().filter(|(_, stream)| stream.worker == number).map(|(id, _)| *id).collect();
        // Its machine may be gone with it: then nobody tells the coordinator.
        let silence = if self.chance.below(3) == 0 { self.timing.lease_ttl_ms } else { 3 };
        for stream in streams {
            self.wire.close(stream, Way::ToWorker);
            let notice = self.chance.below(silence + 1);
            self.after(notice, Happening::Closes(stream, Way::ToCoordinator));
        }
        let back = self.chance.below(self.timing.lease_ttl_ms);
        self.after(back, Happening::Comes(Role::Worker));
    }

    /// What strikes now and then, whoever it meets.
    pub fn chaos(&mut self) {
        if self.store.faults(|faults| faults.stopped()) {
            return;
        }
        self.strike_workers();
        self.strike_coordinators();
        self.strike_streams();
        self.operate();
        self.store.land_one();
        for job in 0..self.jobs.len() {
            let run = self.run_of(job);
            if self.befalls(Fault::Cancelled) {
                let leading = self.leading();
                let event = Event::Cancelled { run: run.clone(), message: "not wanted any more".to_owned() };
                leading.into_iter().for_each(|number| self.tell(number, Input::Event(event.clone())));
            }
            let pick = self.chance.below(u64::MAX);
            if self.store.has_decided_staged(&run) && self.befalls(Fault::StagedVanishes) {
                self.store.vanish(&run, pick);
            }
        }
        let next = 1 + self.chance.below(self.timing.lease_ttl_ms / 4 + 1);
        self.after(next, Happening::Chaos);
    }

    fn strike_workers(&mut self) {
        let workers: Vec<u32> = self.workers.keys().copied().collect();
        for number in workers {
            if self.befalls(Fault::WorkerKilled) {
                self.bury_worker(number);
            } else if self.befalls(Fault::WorkerPaused) {
                self.pause(number);
            } else if self.befalls(Fault::WorkerLeaves) {
                self.hear(number, Heard::Leave);
            }
        }
    }

    /// What operators ask of who leads: they hold runs for a while, and send workers away.
    fn operate(&mut self) {
        let Some(leading) = self.leading() else { return };
        for job in 0..self.jobs.len() {
            let run = self.run_of(job);
            if self.coordinators[&leading].is_undecided(&run) && self.befalls(Fault::RunPaused) {
                self.tell(leading, Input::Event(Event::Paused { run }));
                let held = self.chance.below(2 * self.timing.lease_ttl_ms);
                self.after(held, Happening::Unpauses(job));
            }
        }
        let workers: Vec<WorkerId> = self.workers.keys().map(|number| crew::name(*number)).collect();
        for worker in workers {
            if self.coordinators[&leading].hears(&worker) && self.befalls(Fault::WorkerDrained) {
                self.tell(leading, Input::Event(Event::Draining { worker }));
            }
        }
    }

    /// A process is stopped, for longer than a lease lives or not.
    fn pause(&mut self, number: u32) {
        let ms = 1 + self.chance.below(self.timing.lease_ttl_ms * 4);
        let until = self.now.plus(ms);
        self.paused.insert(number, until);
    }

    fn strike_coordinators(&mut self) {
        let coordinators: Vec<u32> = self.coordinators.keys().copied().collect();
        for number in coordinators {
            if self.befalls(Fault::CoordinatorPaused) {
                self.pause(number);
            } else if self.befalls(Fault::CoordinatorLeaves)
                && let Some(coordinator) = self.coordinators.get_mut(&number).filter(|c| c.serves())
            {
                coordinator.leave();
                self.after(0, Happening::Turns(number));
            }
        }
    }

    fn strike_streams(&mut self) {
        let streams: Vec<u64> = self.wire.streams.keys().copied().collect();
        for stream in streams {
            if self.befalls(Fault::StreamBreaks) {
                for side in [Way::ToCoordinator, Way::ToWorker] {
                    let notice = self.chance.below(self.timing.lease_ttl_ms);
                    self.after(notice, Happening::Closes(stream, side));
                }
            } else if self.befalls(Fault::DirectionCut) {
                let way = [Way::ToCoordinator, Way::ToWorker][self.chance_below(2)];
                let ms = self.chance.below(3 * self.timing.lease_ttl_ms);
                self.wire.cut(stream, way, self.now.plus(ms));
                // Keepalive notices a cut that lasts.
                if ms > self.timing.lease_ttl_ms {
                    let keepalive = self.timing.lease_ttl_ms;
                    self.after(keepalive, Happening::Closes(stream, Way::ToCoordinator));
                    self.after(keepalive, Happening::Closes(stream, Way::ToWorker));
                }
            }
        }
    }
}
