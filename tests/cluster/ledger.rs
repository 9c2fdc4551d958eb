//! Who sent what, what was acknowledged, and what arrived when.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::support::receiver::Received;
use crate::support::signature::sha256;

/// A number that every message carries.
pub(crate) type Marker = u64;
const LOOK_AGAIN: Duration = Duration::from_millis(50);
const NAMED_MAX: usize = 20;

/// One message as its producer knows it.
#[derive(Debug)]
struct Sent {
    endpoint: usize,
    body: [u8; 32],
    acknowledged: Option<Acknowledged>,
}

/// An answer of 202.
#[derive(Debug, Clone)]
pub(crate) struct Acknowledged {
    pub(crate) id: String,
    /// The node that answered.
    pub(crate) node: usize,
    /// When what was answered was sent.
    pub(crate) sent_at: Instant,
    pub(crate) at: Instant,
}

#[derive(Debug)]
pub(crate) struct Ledger {
    endpoints: usize,
    sent: Mutex<HashMap<Marker, Sent>>,
    arrived: Mutex<HashMap<Marker, Vec<Instant>>>,
    problems: Mutex<Vec<String>>,
    next: AtomicU64,
    refused: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The marker of a payload, read without a parser: `{"marker":123,…`.
fn marker_of(body: &[u8]) -> Option<Marker> {
    let rest = body.strip_prefix(b"{\"marker\":")?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
}

impl Ledger {
    pub(crate) fn new(endpoints: usize) -> Self {
        Self {
            endpoints,
            sent: Mutex::default(),
            arrived: Mutex::default(),
            problems: Mutex::default(),
            next: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    pub(crate) const fn endpoints(&self) -> usize {
        self.endpoints
    }

    /// A new payload for an endpoint, noted before it is sent.
    pub(crate) fn issue(&self, endpoint: usize, filler: &str) -> (Marker, String) {
        let marker = self.next.fetch_add(1, SeqCst);
        let payload = format!("{{\"marker\":{marker},\"n\":1.0, \"filler\":\"{filler}\"}}");
        let sent = Sent { endpoint, body: sha256(payload.as_bytes()), acknowledged: None };
        lock(&self.sent).insert(marker, sent);
        (marker, payload)
    }

    pub(crate) fn acknowledge(&self, marker: Marker, acknowledged: Acknowledged) {
        if let Some(sent) = lock(&self.sent).get_mut(&marker) {
            sent.acknowledged = Some(acknowledged);
        }
    }

    /// An answer of 503.
    pub(crate) fn refuse(&self) {
        self.refused.fetch_add(1, SeqCst);
    }

    /// What arrived at an endpoint.
    pub(crate) fn arrive(&self, endpoint: usize, received: &Received) {
        let id = received.header("webhook-id").unwrap_or_default();
        let Some(marker) = marker_of(&received.body) else {
            return self.problem(format!("{id}: a body that was never sent"));
        };
        match lock(&self.sent).get(&marker) {
            None => self.problem(format!("{marker}: never sent")),
            Some(sent) if sent.endpoint != endpoint => self.problem(format!("{marker}: at {endpoint}")),
            Some(sent) if sent.body != sha256(&received.body) => self.problem(format!("{marker}: another body")),
            Some(Sent { acknowledged: Some(known), .. }) if known.id != id => {
                self.problem(format!("{marker}: {id} is not {}", known.id));
            }
            Some(_) => {}
        }
        lock(&self.arrived).entry(marker).or_default().push(received.at);
    }

    /// What must not be.
    pub(crate) fn problem(&self, text: String) {
        lock(&self.problems).push(text);
    }

    /// All answers of 202.
    pub(crate) fn acknowledged(&self) -> Vec<Acknowledged> {
        lock(&self.sent).values().filter_map(|sent| sent.acknowledged.clone()).collect()
    }

    /// Everything that was acknowledged arrives; what does not is named.
    pub(crate) async fn assert_delivered(&self, within: Duration) {
        let began = Instant::now();
        loop {
            let mut missing: Vec<(Marker, String)> = {
                let (sent, arrived) = (lock(&self.sent), lock(&self.arrived));
                let of = sent.iter().filter(|(marker, _)| !arrived.contains_key(marker));
                of.filter_map(|(marker, sent)| Some((*marker, sent.acknowledged.as_ref()?.id.clone()))).collect()
            };
            if missing.is_empty() {
                break;
            }
            let count = missing.len();
            missing.sort_unstable();
            missing.truncate(NAMED_MAX);
            assert!(began.elapsed() < within, "{count} acknowledged and not delivered: {missing:?}");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        let problems = lock(&self.problems);
        assert!(problems.is_empty(), "{} problems: {:#?}", problems.len(), &problems[..problems.len().min(NAMED_MAX)]);
    }

    pub(crate) fn duplicates(&self) -> u64 {
        lock(&self.arrived).values().map(|arrivals| arrivals.len() as u64 - 1).sum()
    }

    #[track_caller]
    pub(crate) fn assert_duplicates_at_most(&self, most: u64) {
        let duplicates = self.duplicates();
        assert!(duplicates <= most, "{duplicates} duplicates, at most {most} were in flight");
    }

    /// How many endpoints have received what was acknowledged after this moment.
    pub(crate) fn endpoints_reached_since(&self, since: Instant) -> usize {
        let (sent, arrived) = (lock(&self.sent), lock(&self.arrived));
        let mut reached = vec![false; self.endpoints];
        for (marker, sent) in sent.iter().filter(|(marker, _)| arrived.contains_key(marker)) {
            reached[sent.endpoint] |= arrived[marker].iter().any(|at| *at >= since);
        }
        reached.into_iter().filter(|reached| *reached).count()
    }

    /// The longest time between two moments in which some endpoint received nothing.
    pub(crate) fn longest_gap(&self, from: Instant, to: Instant) -> Duration {
        let (sent, arrived) = (lock(&self.sent), lock(&self.arrived));
        let mut times = vec![vec![from, to]; self.endpoints];
        for (marker, arrivals) in arrived.iter() {
            let Some(sent) = sent.get(marker) else { continue };
            times[sent.endpoint].extend(arrivals.iter().filter(|at| (from..to).contains(*at)));
        }
        let gaps = times.iter_mut().flat_map(|times| {
            times.sort_unstable();
            times.windows(2).map(|pair| pair[1] - pair[0]).collect::<Vec<_>>()
        });
        gaps.max().unwrap_or_default()
    }

    /// The longest that a message waited for its delivery, from its 202 on.
    pub(crate) fn longest_wait(&self) -> Duration {
        let (sent, arrived) = (lock(&self.sent), lock(&self.arrived));
        let waits = sent.iter().filter_map(|(marker, sent)| {
            let first = arrived.get(marker)?.iter().min()?;
            Some(first.saturating_duration_since(sent.acknowledged.as_ref()?.at))
        });
        waits.max().unwrap_or_default()
    }

    pub(crate) fn summary(&self) -> String {
        let acknowledged = self.acknowledged().len();
        format!(
            "{acknowledged} acknowledged, {} answers of 503, {} duplicates, longest wait {:?}",
            self.refused.load(SeqCst),
            self.duplicates(),
            self.longest_wait(),
        )
    }
}
