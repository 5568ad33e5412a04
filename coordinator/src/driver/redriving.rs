//! A run that failed goes on, here.
//!
//! Invariant: it goes on only once that is the next fact of its journal; where another fact came first, it is as it was.

use batteuse_shared::ids::RunId;

use super::{Driver, DriverError, Redriven};
use crate::journal::Position;
use crate::redrive::Look;
use crate::scheduler::{Remains, Run};

impl Driver {
    /// Lets a run go on that was rebuilt from its journal and is redrivable; durable on return. `remains` is what its ending left.
    ///
    /// # Errors
    /// When that cannot be journalled, because another fact came first or the disk fails.
    pub async fn redrive(&mut self, run: Run, position: Position, remains: Remains) -> Result<(), DriverError> {
        self.open(run.id(), position).await?;
        let actions = self.scheduler.redrive(run, remains, (self.components.clock)());
        self.perform(actions).await
    }

    pub(super) async fn take_redrive(&mut self, id: &RunId, look: Option<Box<Look>>) -> Result<Redriven, DriverError> {
        if self.scheduler.accepted(id).is_some() {
            return Ok(Redriven::GoesOn);
        }
        // Without a look: another coordinator, which is gone since this one took all runs over, has redriven it.
        let Some(Look { run, position, remains }) = look.map(|look| *look) else { return self.take_up(id, None).await };
        match self.redrive(run, position, remains).await {
            Err(DriverError::Unreadable(error)) => Ok(Redriven::Unavailable(error.to_string())),
            Err(superseded @ DriverError::Superseded { .. }) => {
                self.scheduler.forget(id);
                self.take_up(id, Some(superseded)).await
            }
            done => done.map(|()| Redriven::GoesOn),
        }
    }

    /// Takes a run as its journal tells it now; where it goes on, and another fact came first, it goes on elsewhere.
    async fn take_up(&mut self, id: &RunId, superseded: Option<DriverError>) -> Result<Redriven, DriverError> {
        let read = match self.read(id).await? {
            Ok(read) => read,
            Err(error) => return Ok(Redriven::Unavailable(error.to_string())),
        };
        let Some(run) = Run::replay(read.facts.into_iter().map(|(_, fact)| fact)) else {
            return Ok(Redriven::Unavailable(format!("the journal of run {id} is gone: ask again")));
        };
        let (open, why) = (!run.done(), run.redrivable());
        if let Some(superseded) = superseded.filter(|_| open) {
            return Err(superseded);
        }
        match self.adopt(run, read.position).await {
            Err(DriverError::Unreadable(error)) => return Ok(Redriven::Unavailable(error.to_string())),
            adopted => adopted?,
        }
        Ok(match why {
            _ if open => Redriven::GoesOn,
            Err(not) => Redriven::Not(not),
            Ok(()) => Redriven::Unavailable(format!("run {id} has just ended: ask again")),
        })
    }
}
