//! Whether anything is accepted now: the journal's health, room on the disk, and stopping.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use crate::store::journal::Health;

/// The one gate that every change and message passes.
pub struct Admission {
    draining: AtomicBool,
    disk_low: AtomicBool,
    replicates_late: AtomicBool,
    journal: watch::Receiver<Health>,
}

impl Admission {
    /// Open, as long as the journal is well.
    pub fn new(journal: watch::Receiver<Health>) -> Self {
        Self {
            draining: AtomicBool::new(false),
            disk_low: AtomicBool::new(false),
            replicates_late: AtomicBool::new(false),
            journal,
        }
    }

    /// Whether a message is taken: `Ok`, or why not, in words for the caller. All of these are 503.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.is_disk_low() {
            return Err("the disk has too little room");
        }
        self.check_change()
    }

    /// Whether a change is taken: a few bytes, such as revoking a key, also while messages are
    /// refused for want of room.
    pub fn check_change(&self) -> Result<(), &'static str> {
        match *self.journal.borrow() {
            // A full disk is found out again by trying: the journal answers at once.
            Health::Good | Health::DiskFull => Ok(()),
            Health::Away => Err("the database is away"),
            Health::Failed | Health::Closed => Err("the store has failed"),
        }
    }

    /// The process is to end: it is not ready for more, and finishes what is in flight.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether the process is to end.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Whether the disk has less room than is kept for outcomes.
    pub fn is_disk_low(&self) -> bool {
        self.disk_low.load(Ordering::Acquire)
    }

    /// The disk was looked at; says whether this is news.
    pub fn set_disk_low(&self, low: bool) -> bool {
        self.disk_low.swap(low, Ordering::AcqRel) != low
    }

    /// Whether commits wait for no standby although there is one: a failover may lose what was acknowledged.
    pub fn replicates_late(&self) -> bool {
        self.replicates_late.load(Ordering::Acquire)
    }

    /// The database was asked how it replicates; says whether this is news.
    pub fn set_replicates_late(&self, late: bool) -> bool {
        self.replicates_late.swap(late, Ordering::AcqRel) != late
    }

    /// How the journal is.
    pub fn journal(&self) -> Health {
        *self.journal.borrow()
    }
}
