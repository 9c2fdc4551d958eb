//! Who sent what, what was acknowledged, and what arrived.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::load::Topology;
use crate::support::receiver::Received;
use crate::support::reply::Reply;
use crate::support::signature::sha256;

/// A number that every message carries.
pub(crate) type Marker = u64;
const FENCE: Marker = u64::MAX >> 12;
/// How often a failing endpoint answers 500 to a message: many times, but not so often that a long
/// run is nothing but retries.
const REFUSALS: u32 = 4;
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// One message as its producer knows it.
#[derive(Debug)]
struct Sent {
    application: usize,
    body: [u8; 32],
    /// Its id, once it was acknowledged.
    id: Option<String>,
}

/// What arrived of a message at one endpoint.
#[derive(Debug, Default)]
struct Arrived {
    /// Answered 200.
    taken: u32,
    /// Answered 500.
    refused: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    sent: Mutex<HashMap<Marker, Sent>>,
    arrived: Mutex<HashMap<(Marker, usize), Arrived>>,
    problems: Mutex<Vec<String>>,
    fences: Mutex<HashSet<String>>,
    mended: AtomicBool,
    next: AtomicU64,
    acknowledged: AtomicU64,
    refused: AtomicU64,
}

pub(crate) fn fence_payload() -> Value {
    json!({ "marker": FENCE })
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
    /// A new payload for an application, noted before it is sent.
    pub(crate) fn issue(&self, application: usize, filler: &str) -> (Marker, String) {
        let marker = self.next.fetch_add(1, SeqCst);
        let payload = format!("{{\"marker\":{marker},\"n\":1.0, \"filler\":\"{filler}\"}}");
        let sent = Sent { application, body: sha256(payload.as_bytes()), id: None };
        lock(&self.sent).insert(marker, sent);
        (marker, payload)
    }

    pub(crate) fn acknowledge(&self, marker: Marker, id: String) {
        if let Some(sent) = lock(&self.sent).get_mut(&marker) {
            sent.id = Some(id);
        }
        self.acknowledged.fetch_add(1, SeqCst);
    }

    /// The server said no, before it accepted anything.
    pub(crate) fn refuse(&self, marker: Marker) {
        lock(&self.sent).remove(&marker);
        self.refused.fetch_add(1, SeqCst);
    }

    pub(crate) fn acknowledged_count(&self) -> u64 {
        self.acknowledged.load(SeqCst)
    }

    /// From now on no endpoint fails.
    pub(crate) fn mend(&self) {
        self.mended.store(true, SeqCst);
    }

    /// Notes what arrived at an endpoint, and answers.
    pub(crate) fn arrive(&self, endpoint: usize, failing: bool, received: &Received) -> Reply {
        let id = received.header("webhook-id").unwrap_or_default().to_owned();
        let Some(marker) = marker_of(&received.body) else {
            self.problem(format!("{id}: a body that was never sent"));
            return Reply::ok();
        };
        if marker == FENCE {
            lock(&self.fences).insert(id);
            return Reply::ok();
        }
        match lock(&self.sent).get(&marker) {
            None => self.problem(format!("{marker}: never sent, or refused")),
            Some(sent) if sent.body != sha256(&received.body) => self.problem(format!("{marker}: another body")),
            Some(Sent { id: Some(known), .. }) if *known != id => {
                self.problem(format!("{marker}: {id} is not {known}"));
            }
            Some(_) => {}
        }
        let mut arrived = lock(&self.arrived);
        let entry = arrived.entry((marker, endpoint)).or_default();
        if failing && !self.mended.load(SeqCst) && entry.refused < REFUSALS && entry.taken == 0 {
            entry.refused += 1;
            return Reply::status(500);
        }
        entry.taken += 1;
        Reply::ok()
    }

    fn problem(&self, text: String) {
        lock(&self.problems).push(text);
    }

    /// What was acknowledged and has not been taken by each endpoint of its application.
    fn missing(&self) -> Vec<(Marker, usize)> {
        let (sent, arrived) = (lock(&self.sent), lock(&self.arrived));
        let mut missing = Vec::new();
        for (marker, sent) in sent.iter().filter(|(_, sent)| sent.id.is_some()) {
            for endpoint in Topology::endpoints_of(sent.application) {
                let taken = arrived.get(&(*marker, endpoint)).is_some_and(|arrived| arrived.taken > 0);
                if !taken {
                    missing.push((*marker, endpoint));
                }
            }
        }
        missing
    }

    /// Everything that was acknowledged arrives; what does not is named.
    pub(crate) async fn assert_delivered(&self, within: Duration) {
        let began = Instant::now();
        loop {
            let missing = self.missing();
            if missing.is_empty() {
                return;
            }
            let lost = &missing[..missing.len().min(20)];
            assert!(began.elapsed() < within, "{} acknowledged and not delivered: {lost:?}", missing.len());
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    pub(crate) fn assert_nothing_invented(&self) {
        let problems = lock(&self.problems);
        assert!(problems.is_empty(), "{} problems: {:#?}", problems.len(), &problems[..problems.len().min(20)]);
    }

    fn duplicates(&self) -> u64 {
        lock(&self.arrived).values().map(|arrived| u64::from(arrived.taken.saturating_sub(1))).sum()
    }

    pub(crate) fn assert_duplicates_at_most(&self, most: u64) {
        let duplicates = self.duplicates();
        assert!(duplicates <= most, "{duplicates} duplicates, at most {most} were in flight");
    }

    pub(crate) fn delivery_count(&self) -> u64 {
        lock(&self.arrived).values().map(|arrived| u64::from(arrived.taken + arrived.refused)).sum()
    }

    pub(crate) fn has_fence(&self, id: &str) -> bool {
        lock(&self.fences).contains(id)
    }

    /// The ids that were acknowledged for an application.
    pub(crate) fn acknowledged_of(&self, application: usize) -> Vec<String> {
        let sent = lock(&self.sent);
        sent.values().filter(|sent| sent.application == application).filter_map(|sent| sent.id.clone()).collect()
    }

    /// Compares the whole list of an application with what was sent to it.
    pub(crate) fn assert_list(&self, application: &str, listed: &[(String, Value)]) {
        let sent = lock(&self.sent);
        let index = application_index(application);
        let ids: HashSet<&str> = listed.iter().map(|(id, _)| id.as_str()).collect();
        let mut acknowledged = HashSet::new();
        for (marker, sent) in sent.iter().filter(|(_, sent)| sent.application == index) {
            let Some(id) = sent.id.as_deref() else { continue };
            assert!(ids.contains(id), "{application}: {marker} ({id}) is acknowledged and not listed");
            acknowledged.insert(id);
        }
        for (id, payload) in listed.iter().filter(|(id, _)| !acknowledged.contains(id.as_str())) {
            let marker = payload["marker"].as_u64().unwrap_or(FENCE);
            let unanswered = sent.get(&marker).is_some_and(|sent| sent.id.is_none() && sent.application == index);
            assert!(unanswered, "{application}: {id} is listed and was never sent: {payload}");
        }
    }

    pub(crate) fn summary(&self) -> String {
        let sent = lock(&self.sent);
        let unanswered = sent.values().filter(|sent| sent.id.is_none()).count();
        format!(
            "{} acknowledged, {} refused, {unanswered} without an answer, {} delivered, {} duplicates",
            self.acknowledged_count(),
            self.refused.load(SeqCst),
            self.delivery_count(),
            self.duplicates(),
        )
    }
}

/// Applications are known by uids that end in their number.
fn application_index(uid: &str) -> usize {
    uid.rsplit('-').next().and_then(|digits| digits.parse().ok()).expect("a number")
}
