//! Who was sent what: the topology of a run and its exactly-once accounting.
//!
//! A message is known by its sequence number alone: the application follows from it by a hash,
//! so that the sink can tell a message that arrived at the wrong endpoint.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const CHUNK_BITS: u64 = 1 << 20;
/// 4.3 thousand million bits, 512 MiB when all of them are in use.
const CHUNKS_MAX: usize = 4_096;

/// A set of numbers that grows in chunks and is shared by threads.
#[derive(Debug)]
pub(super) struct Bitmap {
    chunks: Box<[OnceLock<Box<[AtomicU64]>>]>,
}

impl Bitmap {
    pub(super) fn new() -> Self {
        Self { chunks: (0..CHUNKS_MAX).map(|_| OnceLock::new()).collect() }
    }

    /// Adds `bit`; true if it was new. Beyond the bound nothing is new.
    pub(super) fn insert(&self, bit: u64) -> bool {
        let Some(chunk) = self.chunks.get((bit / CHUNK_BITS) as usize) else {
            return false;
        };
        let words = chunk.get_or_init(|| (0..CHUNK_BITS / 64).map(|_| AtomicU64::new(0)).collect());
        let mask = 1 << (bit % 64);
        words[(bit % CHUNK_BITS / 64) as usize].fetch_or(mask, Relaxed) & mask == 0
    }

    pub(super) fn contains(&self, bit: u64) -> bool {
        let words = self.chunks.get((bit / CHUNK_BITS) as usize).and_then(OnceLock::get);
        words.is_some_and(|w| w[(bit % CHUNK_BITS / 64) as usize].load(Relaxed) & (1 << (bit % 64)) != 0)
    }
}

/// What stands at the receiving end, and how messages are spread over it.
#[derive(Debug, Clone)]
pub(super) struct Topology {
    /// Tells one run from the next on the same server.
    pub(super) token: String,
    pub(super) seed: u64,
    pub(super) applications: u32,
    pub(super) fan_out: u32,
    pub(super) failing_percent: u32,
    pub(super) hanging: u32,
}

impl Topology {
    pub(super) fn uid(&self, application: u32) -> String {
        format!("bench-{}-{application:06}", self.token)
    }

    /// The applications of the hanging endpoints are numbered after the others.
    pub(super) fn hanging_application(&self, hanging: u32) -> u32 {
        self.applications + hanging
    }

    /// The application that message `seq` goes to.
    pub(super) fn application_of(&self, seq: u64) -> u32 {
        if self.applications == 1 {
            return 0;
        }
        // Multiply and shift: a fair pick without a division.
        let hash = mix(seq ^ self.seed) >> 32;
        ((hash * u64::from(self.applications)) >> 32) as u32
    }

    /// The failing ones are spread evenly over all endpoints.
    pub(super) fn is_failing(&self, endpoint: u32) -> bool {
        let percent = u64::from(self.failing_percent);
        let upto = |n: u64| n * percent / 100;
        upto(u64::from(endpoint)) != upto(u64::from(endpoint) + 1)
    }

    pub(super) fn healthy_of(&self, application: u32) -> u32 {
        let first = application * self.fan_out;
        (first..first + self.fan_out).filter(|&e| !self.is_failing(e)).count() as u32
    }
}

/// What arrived with a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    First,
    Again,
    /// A message of another application.
    Astray,
}

/// The end of the accounting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Acknowledged, but missing at a healthy endpoint.
    pub(super) lost: u64,
    /// Never acknowledged, but delivered all the same (allowed: the answer was lost).
    pub(super) unacknowledged: u64,
}

/// Acknowledged and delivered messages of a run.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) topology: Topology,
    next: AtomicU64,
    acknowledged: Bitmap,
    delivered: Bitmap,
    healthy_of: Box<[u32]>,
}

impl Ledger {
    pub(super) fn new(topology: Topology) -> Self {
        let healthy_of = (0..topology.applications).map(|a| topology.healthy_of(a)).collect();
        Self { topology, next: AtomicU64::new(0), acknowledged: Bitmap::new(), delivered: Bitmap::new(), healthy_of }
    }

    /// The next sequence number.
    pub(super) fn issue(&self) -> u64 {
        self.next.fetch_add(1, Relaxed)
    }

    pub(super) fn issued(&self) -> u64 {
        self.next.load(Relaxed)
    }

    /// Notes the acknowledgement and says how many deliveries it promises.
    pub(super) fn acknowledge(&self, seq: u64, application: u32) -> u32 {
        self.acknowledged.insert(seq);
        self.healthy_of[application as usize]
    }

    pub(super) fn arrive(&self, seq: u64, endpoint: u32) -> Arrival {
        let fan_out = self.topology.fan_out;
        if seq >= self.issued() || self.topology.application_of(seq) != endpoint / fan_out {
            return Arrival::Astray;
        }
        let slot = seq * u64::from(fan_out) + u64::from(endpoint % fan_out);
        if self.delivered.insert(slot) { Arrival::First } else { Arrival::Again }
    }

    /// Walks every message from `from` on. Bounded by what was issued.
    pub(super) fn tally(&self, from: u64) -> Tally {
        let mut tally = Tally::default();
        let fan_out = self.topology.fan_out;
        for seq in from..self.issued() {
            let acknowledged = self.acknowledged.contains(seq);
            let first = self.topology.application_of(seq) * fan_out;
            for nth in 0..fan_out {
                if self.topology.is_failing(first + nth) {
                    continue;
                }
                let slot = seq * u64::from(fan_out) + u64::from(nth);
                match (acknowledged, self.delivered.contains(slot)) {
                    (true, false) => tally.lost += 1,
                    (false, true) => tally.unacknowledged += 1,
                    _ => {}
                }
            }
        }
        tally
    }
}

/// The finaliser of `SplitMix64`: a cheap, well-spread hash of a counter.
pub(super) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(applications: u32, fan_out: u32, failing_percent: u32) -> Topology {
        Topology { token: "t".into(), seed: 7, applications, fan_out, failing_percent, hanging: 0 }
    }

    #[test]
    fn a_bitmap_tells_first_from_second() {
        let bitmap = Bitmap::new();
        for bit in [0, 63, 64, CHUNK_BITS - 1, CHUNK_BITS, 7 * CHUNK_BITS + 3] {
            assert!(!bitmap.contains(bit));
            assert!(bitmap.insert(bit));
            assert!(!bitmap.insert(bit));
            assert!(bitmap.contains(bit));
        }
    }

    #[test]
    fn the_failing_share_is_exact() {
        for percent in [0, 10, 37, 100] {
            let t = topology(1_000, 1, percent);
            let failing = (0..1_000).filter(|&e| t.is_failing(e)).count() as u32;
            assert_eq!(failing, percent * 10);
        }
    }

    #[test]
    fn what_is_missing_doubled_or_astray_is_seen() {
        let ledger = Ledger::new(topology(4, 2, 0));
        let seqs: Vec<u64> = (0..3).map(|_| ledger.issue()).collect();
        let application = |seq| ledger.topology.application_of(seq);
        assert_eq!(ledger.acknowledge(seqs[0], application(0)), 2);
        ledger.acknowledge(seqs[1], application(1));
        let first = application(0) * 2;
        assert_eq!(ledger.arrive(0, first), Arrival::First);
        assert_eq!(ledger.arrive(0, first), Arrival::Again);
        assert_eq!(ledger.arrive(0, (first + 2) % 8), Arrival::Astray);
        assert_eq!(ledger.arrive(99, first), Arrival::Astray);
        assert_eq!(ledger.arrive(2, application(2) * 2), Arrival::First);
        assert_eq!(ledger.tally(0), Tally { lost: 3, unacknowledged: 1 });
    }
}
