//! Whether anything is accepted now: the journal's health, room on the disk, and stopping.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;

use crate::store::journal::Health;

/// Why nothing is let in while it stands still.
const STILL: &str = "the store is being moved";
/// How often it is looked whether all that was let in is answered.
const LOOK_INSIDE: Duration = Duration::from_millis(2);

/// Held from the gate to the commit.
#[must_use]
pub struct Pass<'a>(&'a Admission);

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The one gate that every change and message passes.
pub struct Admission {
    draining: AtomicBool,
    disk_low: AtomicBool,
    replicates_late: AtomicBool,
    still: AtomicBool,
    /// Commands that were let in and are not answered.
    inside: AtomicUsize,
    journal: watch::Receiver<Health>,
}

impl Admission {
    /// Open, as long as the journal is well.
    pub fn new(journal: watch::Receiver<Health>) -> Self {
        Self {
            draining: AtomicBool::new(false),
            disk_low: AtomicBool::new(false),
            replicates_late: AtomicBool::new(false),
            still: AtomicBool::new(false),
            inside: AtomicUsize::new(0),
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
        if self.still.load(Ordering::SeqCst) {
            return Err(STILL);
        }
        match *self.journal.borrow() {
            // A full disk is found out again by trying: the journal answers at once.
            Health::Good | Health::DiskFull => Ok(()),
            Health::Away => Err("the database is away"),
            Health::Failed | Health::Closed => Err("the store has failed"),
        }
    }

    /// Lets a command in, which is on its way to its commit as long as the pass is held. After this nothing
    /// stands still before it is answered.
    pub fn enter(&self) -> Result<Pass<'_>, &'static str> {
        // Counted first: whoever stands still either sees it, or is seen here.
        self.inside.fetch_add(1, Ordering::SeqCst);
        let pass = Pass(self);
        if self.still.load(Ordering::SeqCst) { Err(STILL) } else { Ok(pass) }
    }

    /// Lets nothing in from now on, and waits until all that was let in is answered; false where that takes
    /// longer than `within`.
    pub async fn stand_still(&self, within: Duration) -> bool {
        self.still.store(true, Ordering::SeqCst);
        let all_out = async {
            while self.inside.load(Ordering::SeqCst) > 0 {
                tokio::time::sleep(LOOK_INSIDE).await;
            }
        };
        tokio::time::timeout(within, all_out).await.is_ok()
    }

    /// Whether it lets nothing in.
    pub fn is_still(&self) -> bool {
        self.still.load(Ordering::SeqCst)
    }

    /// Lets in again.
    pub fn go_on(&self) {
        self.still.store(false, Ordering::SeqCst);
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
