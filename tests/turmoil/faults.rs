//! What goes wrong, and how each of it is mended.

use super::net::Host;

/// A fault that is injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Nothing passes between two hosts.
    LinkCut,
    /// Nothing passes in one direction.
    OneWayCut,
    /// All links of a host are cut.
    HostCutOff,
    /// What is sent between two hosts is kept, and arrives when the link is released.
    HeldBack,
    /// All that is sent between two hosts travels long.
    SlowLink,
    /// Messages between two hosts are lost by chance.
    LossyLink,
    /// A worker is killed, and started anew.
    WorkerCrashes,
    /// The coordinator that leads is killed, and started anew.
    LeaderCrashes,
    /// The coordinator that waits is killed, and started anew.
    WaitingCrashes,
    /// A worker is told to leave, and is started anew.
    WorkerLeaves,
    /// The coordinator that leads is told to leave, and is started anew.
    LeaderLeaves,
    /// An attempt takes longer than a lease lives. Drawn by [`super::pace`].
    AttemptLate,
}

/// All of them.
pub const ALL: [Fault; 12] = [
    Fault::LinkCut,
    Fault::OneWayCut,
    Fault::HostCutOff,
    Fault::HeldBack,
    Fault::SlowLink,
    Fault::LossyLink,
    Fault::WorkerCrashes,
    Fault::LeaderCrashes,
    Fault::WaitingCrashes,
    Fault::WorkerLeaves,
    Fault::LeaderLeaves,
    Fault::AttemptLate,
];

/// Those that the simulation strikes with.
pub const STRUCK: usize = ALL.len() - 1;

/// How a fault is mended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mending {
    /// Both directions pass again.
    Repair(Host, Host),
    /// What is sent by the first one passes again.
    RepairOneWay(Host, Host),
    /// What was held back arrives.
    Release(Host, Host),
    /// Messages travel quickly again.
    Quicken(Host, Host),
    /// No message is lost any more.
    Calm(Host, Host),
    /// A host that was killed is started anew.
    Start(Host),
}

impl Mending {
    /// The link that it gives back.
    pub fn link(self) -> Option<(Host, Host)> {
        match self {
            Self::Repair(a, b)
            | Self::RepairOneWay(a, b)
            | Self::Release(a, b)
            | Self::Quicken(a, b)
            | Self::Calm(a, b) => Some((a, b)),
            Self::Start(_) => None,
        }
    }
}
