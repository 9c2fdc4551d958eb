//! Fetching of certificates and key sets that schemes need by URL: by the guarded client, from the
//! hosts that the schemes allow, kept for some time.

use std::hash::BuildHasher as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method};
use quick_cache::sync::Cache;
use rustc_hash::FxBuildHasher;

use crate::deliver::{Client, OutboundRequest, Target};
use crate::model::{Clock, OutcomeKind, UnixMs};

/// Documents that are kept.
const KEPT_MAX: usize = 1_000;
/// How long each is kept, in milliseconds.
const KEPT_MS: i64 = 3_600_000;
/// How long at most it serves where it cannot be fetched again, in milliseconds.
const STALE_MS_MAX: i64 = 86_400_000;
/// How long it is kept that something could not be had.
const FAILURE_KEPT_MS: i64 = 30_000;
/// How soon at the earliest what is kept is fetched again because it lacks a key: what strangers send may name
/// keys that nobody has.
const RENEWED_MS_MIN: i64 = 300_000;
/// How soon at the earliest the same URL is called again, in milliseconds: what was signed can be sent again.
const CALLED_MS_MIN: i64 = 300_000;
/// Lines in which those stand who want the same URL, so that it is fetched once.
const FLIGHTS: usize = 64;
/// Fetches under way at once: what strangers send may name others without end.
const FETCHING_MAX: usize = 16;
/// How long one fetch may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Gets what is behind a URL.
#[async_trait]
pub trait Fetcher: Send + Sync + 'static {
    /// The bytes behind a URL, if they are in memory.
    fn known(&self, url: &str) -> Option<Bytes>;
    /// The bytes behind a URL, perhaps from memory; `None` where they cannot be had now.
    async fn fetch(&self, url: &str) -> Option<Bytes>;
    /// The bytes behind a URL that [`Self::fetch`] has given and that lack a key, perhaps the same: they are
    /// fetched again, unless that was tried some minutes ago. `None` where it is to be asked again soon.
    async fn renew(&self, url: &str) -> Option<Bytes>;
    /// Calls a URL, for what that does there; once in some minutes.
    async fn call(&self, url: &str);
}

/// Fetches over HTTP, by the guarded client.
pub struct HttpFetcher {
    client: Client,
    clock: Arc<dyn Clock>,
    kept: Cache<Box<str>, Kept>,
    /// When each URL was called.
    called: Cache<Box<str>, UnixMs>,
    flights: [tokio::sync::Mutex<()>; FLIGHTS],
    fetching: tokio::sync::Semaphore,
}

/// What is known of a URL.
#[derive(Debug, Clone)]
struct Kept {
    /// `None`: it could not be had, which is kept for a shorter time.
    bytes: Option<Bytes>,
    /// When it was fetched.
    fetched_at: UnixMs,
    /// From when on it counts: later than that where it could not be fetched again.
    at: UnixMs,
    /// When it was last to be fetched again because it lacks a key.
    renewed_at: Option<UnixMs>,
}

/// What is to be done where a document lacks a key.
#[derive(Debug, PartialEq, Eq)]
enum Renewal {
    /// Fetch it.
    Due,
    /// Another request has it fetched, or that has just failed.
    UnderWay,
    /// It was fetched too short a time ago: there is no newer.
    Newest,
}

impl Kept {
    fn new(bytes: Option<Bytes>, now: UnixMs) -> Self {
        Self { bytes, fetched_at: now, at: now, renewed_at: None }
    }

    fn is_good(&self, now: UnixMs) -> bool {
        now - self.at < if self.bytes.is_some() { KEPT_MS } else { FAILURE_KEPT_MS }
    }

    /// The same for a while where it could not be fetched again, unless it is too old.
    fn serving_on(mut self, now: UnixMs) -> Option<Self> {
        if self.bytes.is_none() || now - self.fetched_at >= STALE_MS_MAX {
            return None;
        }
        self.at = self.at.max(now - KEPT_MS + FAILURE_KEPT_MS);
        Some(self)
    }

    fn renewal(&self, now: UnixMs) -> Renewal {
        match self.renewed_at.map(|at| now - at) {
            Some(ago) if ago < FAILURE_KEPT_MS => Renewal::UnderWay,
            Some(ago) if ago < RENEWED_MS_MIN => Renewal::Newest,
            _ if now - self.fetched_at < RENEWED_MS_MIN => Renewal::Newest,
            _ => Renewal::Due,
        }
    }
}

impl HttpFetcher {
    /// Through `client`, whose bound of answers is the bound of what is fetched.
    pub fn new(client: Client, clock: Arc<dyn Clock>) -> Self {
        Self {
            client,
            clock,
            kept: Cache::new(KEPT_MAX),
            called: Cache::new(KEPT_MAX),
            flights: std::array::from_fn(|_| tokio::sync::Mutex::new(())),
            fetching: tokio::sync::Semaphore::new(FETCHING_MAX),
        }
    }

    async fn get(&self, url: &str) -> Option<Bytes> {
        let target = Target::parse(url).ok().filter(Target::is_https)?;
        let mut request = OutboundRequest::post(Arc::new(target), HeaderMap::new(), Bytes::new());
        request.method = Method::GET;
        let outcome = self.client.attempt(request, TIMEOUT, &*self.clock).await;
        (outcome.kind == OutcomeKind::Success).then_some(outcome.body)
    }
}

#[async_trait]
impl Fetcher for HttpFetcher {
    fn known(&self, url: &str) -> Option<Bytes> {
        let now = self.clock.now_ms();
        self.kept.get(url).filter(|kept| kept.is_good(now))?.bytes
    }

    async fn fetch(&self, url: &str) -> Option<Bytes> {
        let _flight = self.flights[FxBuildHasher.hash_one(url) as usize % FLIGHTS].lock().await;
        let now = self.clock.now_ms();
        let kept = self.kept.get(url);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.is_good(now)) {
            return kept.bytes.clone();
        }
        // Whoever finds too many under way is told to come again.
        let _one = self.fetching.try_acquire().ok()?;
        let got = Kept::new(self.get(url).await, now);
        let kept = if got.bytes.is_none() { kept.and_then(|kept| kept.serving_on(now)).unwrap_or(got) } else { got };
        let bytes = kept.bytes.clone();
        self.kept.insert(url.into(), kept);
        bytes
    }

    async fn renew(&self, url: &str) -> Option<Bytes> {
        let now = self.clock.now_ms();
        let mut kept = self.kept.get(url)?;
        match kept.renewal(now) {
            Renewal::Newest => return kept.bytes,
            Renewal::UnderWay => return None,
            Renewal::Due => {}
        }
        let _one = self.fetching.try_acquire().ok()?;
        // What is kept serves the requests whose keys it has, whatever becomes of this.
        kept.renewed_at = Some(now);
        self.kept.insert(url.into(), kept);
        let bytes = self.get(url).await?;
        self.kept.insert(url.into(), Kept::new(Some(bytes.clone()), now));
        Some(bytes)
    }

    async fn call(&self, url: &str) {
        let now = self.clock.now_ms();
        if self.called.get(url).is_some_and(|at| now - at < CALLED_MS_MIN) {
            return;
        }
        let Ok(_one) = self.fetching.try_acquire() else { return };
        self.called.insert(url.into(), now);
        if self.get(url).await.is_none() {
            tracing::warn!("a provider's subscription could not be confirmed; it will ask again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_MS: i64 = 60_000;

    #[test]
    fn what_lacks_a_key_is_fetched_again_once_in_five_minutes() {
        let mut kept = Kept::new(Some(Bytes::new()), 0);
        assert_eq!(kept.renewal(5 * MINUTE_MS - 1), Renewal::Newest, "it has just been fetched");
        assert_eq!(kept.renewal(5 * MINUTE_MS), Renewal::Due);
        kept.renewed_at = Some(10 * MINUTE_MS);
        assert_eq!(kept.renewal(10 * MINUTE_MS), Renewal::UnderWay);
        assert_eq!(kept.renewal(10 * MINUTE_MS + FAILURE_KEPT_MS), Renewal::Newest, "it failed: not at once again");
        assert_eq!(kept.renewal(15 * MINUTE_MS), Renewal::Due);
        assert!(kept.is_good(59 * MINUTE_MS) && !kept.is_good(60 * MINUTE_MS));
        kept.bytes = None;
        assert!(kept.is_good(FAILURE_KEPT_MS - 1) && !kept.is_good(FAILURE_KEPT_MS));
    }

    #[test]
    fn what_cannot_be_fetched_again_serves_on_for_a_day() {
        let (mut kept, mut now, mut tried) = (Kept::new(Some(Bytes::from_static(b"key")), 0), 0, 0);
        loop {
            now += FAILURE_KEPT_MS;
            if !kept.is_good(now) {
                tried += 1;
                let Some(on) = kept.serving_on(now) else { break };
                assert!(on.is_good(now) && on.bytes.is_some());
                kept = on;
            }
        }
        assert_eq!(now, 24 * 60 * MINUTE_MS);
        assert_eq!(tried, 23 * 60 * 2 + 1, "every half minute after the first hour");
        assert_eq!(Kept::new(None, 0).serving_on(1).map(|kept| kept.at), None);
    }
}
