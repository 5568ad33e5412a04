//! The shell around who leads: it reads and writes the leader's record, and tells when this process leads and when it does no more.
//!
//! Invariant: it decides nothing; see [`crate::lead`].
#![expect(clippy::disallowed_methods, reason = "the shell: it starts tasks for blocking I/O")]

use std::time::Duration;

use batteuse_shared::limits::{LEADER_BEATS_PER_TTL, LEAVE_TRIES_MAX};
use batteuse_shared::time::Millis;
use tokio::sync::watch;
use tokio::task::JoinError;
use tracing::{info, warn};

use super::{Driver, DriverError, Until};
use crate::journal::{LeaderError, State};
use crate::lead::{Lead, Standing};

/// Whether a coordinator takes workers and calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Serving {
    /// It leads.
    Leads,
    /// It waits to lead.
    Waits {
        /// Where the leader is, as far as is known.
        leader: Option<String>,
    },
}

/// Why a coordinator does not get to lead.
#[derive(Debug, thiserror::Error)]
pub enum LeadingError {
    /// The record cannot be understood.
    #[error(transparent)]
    Leader(#[from] LeaderError),
    /// A task of this process died.
    #[error("a task of the coordinator died: {0}")]
    Task(#[from] JoinError),
}

/// Why a coordinator stops before it is asked to.
#[derive(Debug, thiserror::Error)]
pub enum LeadError {
    /// Who leads cannot be told.
    #[error(transparent)]
    Leading(#[from] LeadingError),
    /// Its driver stopped.
    #[error(transparent)]
    Driver(#[from] DriverError),
    /// Another coordinator is in its place.
    #[error("another coordinator leads on this state now: this one stops")]
    Replaced,
}

/// Waits to lead, then leads until `stop` turns true or another coordinator leads.
///
/// # Errors
/// When it must stop before that.
pub async fn lead(mut driver: Driver, mut leading: Leading, mut stop: watch::Receiver<bool>) -> Result<(), LeadError> {
    tokio::select! {
        waited = leading.wait() => waited?,
        _ = stop.wait_for(|stop| *stop) => return Ok(()),
    }
    let serving = leading.serving();
    let work = async {
        driver.recover().await?;
        serving.send_replace(Serving::Leads);
        driver.run(Until::SteppedDown, stop).await
    };
    tokio::select! {
        kept = leading.keep() => {
            kept?;
            return Err(LeadError::Replaced);
        }
        ended = work => ended?,
    };
    leading.leave().await;
    Ok(())
}

/// One coordinator on a state store.
pub struct Leading {
    lead: Lead,
    state: State,
    clock: fn() -> Millis,
    url: String,
    beat: Duration,
    serving: watch::Sender<Serving>,
}

impl Leading {
    /// A coordinator that waits, with leases that live so long, and where others hear whether it still does.
    #[must_use]
    pub fn new(
        state: State,
        clock: fn() -> Millis,
        writer: &str,
        url: &str,
        lease_ttl_ms: u64,
    ) -> (Self, watch::Receiver<Serving>) {
        let (serving, served) = watch::channel(Serving::Waits { leader: None });
        let beat_ms = (lease_ttl_ms / LEADER_BEATS_PER_TTL).max(1);
        let (lead, beat) = (Lead::new(writer, url, beat_ms), Duration::from_millis(beat_ms));
        (Self { lead, state, clock, url: url.to_owned(), beat, serving }, served)
    }

    /// Looks once, and writes what is to be written.
    async fn look(&mut self) -> Result<(), LeadingError> {
        let state = self.state.clone();
        let found = tokio::task::spawn_blocking(move || state.leader()).await??;
        if let Some(write) = self.lead.look(found, (self.clock)()) {
            let (state, record) = (self.state.clone(), write.record.clone());
            let done = tokio::task::spawn_blocking(move || state.lead(&write)).await??;
            self.lead.wrote(record, done, (self.clock)());
        }
        Ok(())
    }

    /// Returns once this process leads.
    ///
    /// # Errors
    /// When the record is damaged. A store that fails is asked again.
    pub async fn wait(&mut self) -> Result<(), LeadingError> {
        let mut told = None;
        loop {
            match self.look().await {
                Err(LeadingError::Leader(error @ LeaderError::Io { .. })) => {
                    warn!(%error, "who leads cannot be told now")
                }
                looked => looked?,
            }
            if *self.lead.standing() == Standing::Leading {
                // Until its runs are taken over nobody is sent elsewhere.
                self.serving.send_replace(Serving::Waits { leader: None });
                info!(term = self.lead.leader().map(|leader| leader.term), "this coordinator leads");
                return Ok(());
            }
            let leader = self.lead.leader().map(|leader| leader.url.clone());
            if told != leader {
                info!(leader, "another coordinator leads; this one waits");
                told.clone_from(&leader);
            }
            // Where one was killed its record names the very place of the one that was started anew.
            let leader = leader.filter(|leader| *leader != self.url);
            self.serving.send_replace(Serving::Waits { leader });
            // Twice as often as the leader beats: what it says is not noticed late.
            tokio::time::sleep(self.beat / 2).await;
        }
    }

    /// Where it is said that workers and calls are taken from now on.
    #[must_use]
    pub fn serving(&self) -> watch::Sender<Serving> {
        self.serving.clone()
    }

    /// Says that this process lives; returns when another one leads.
    ///
    /// # Errors
    /// When the record is damaged.
    pub async fn keep(&mut self) -> Result<(), LeadingError> {
        while *self.lead.standing() == Standing::Leading {
            tokio::time::sleep(self.beat).await;
            match self.look().await {
                // Safety does not rest on it: as long as its journals take its facts it leads.
                Err(LeadingError::Leader(error)) => {
                    warn!(%error, "nobody was told that it lives")
                }
                looked => looked?,
            }
        }
        Ok(())
    }

    /// Says that this process has left, so that the next one need not wait.
    pub async fn leave(&mut self) {
        for _ in 0..LEAVE_TRIES_MAX {
            // A beat that was under way when it was told to leave may have landed since.
            let looked = self.look().await;
            let Some(write) = self.lead.leave() else { return };
            let state = self.state.clone();
            match (looked, tokio::task::spawn_blocking(move || state.lead(&write)).await) {
                (Ok(()), Ok(Ok(true))) => return,
                (Err(error), _) => warn!(%error, "nobody was told that it leaves"),
                (_, Ok(Err(error))) => warn!(%error, "nobody was told that it leaves"),
                _ => {}
            }
        }
    }
}
