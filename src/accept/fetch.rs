//! Fetching of certificates and key sets that schemes need by URL: by the guarded client, from the
//! hosts that the schemes allow, kept for some time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method};
use quick_cache::sync::Cache;

use crate::deliver::{Client, OutboundRequest, Target};
use crate::model::{Clock, OutcomeKind, UnixMs};

/// Documents that are kept.
const KEPT_MAX: usize = 1_000;
/// How long each is kept, in milliseconds.
const KEPT_MS: i64 = 3_600_000;
/// How long it is kept that something could not be had.
const FAILURE_KEPT_MS: i64 = 30_000;
/// How soon at the earliest what is kept is fetched again because it lacks a key: what strangers send may name
/// keys that nobody has.
const RENEWED_MS_MIN: i64 = 300_000;
/// Fetches under way at once: what strangers send may name others without end.
const FETCHING_MAX: usize = 16;
/// How long one fetch may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Gets what is behind a URL.
#[async_trait]
pub trait Fetcher: Send + Sync + 'static {
    /// The bytes behind a URL, perhaps from memory; `None` where they cannot be had now.
    async fn fetch(&self, url: &str) -> Option<Bytes>;
    /// The bytes behind a URL that [`Self::fetch`] has given and that lack a key, perhaps the same: they are
    /// fetched again, unless that was tried some minutes ago. `None` where it is to be asked again soon.
    async fn renew(&self, url: &str) -> Option<Bytes>;
    /// Calls a URL once, for what that does there.
    async fn call(&self, url: &str);
}

/// Fetches over HTTP, by the guarded client.
pub struct HttpFetcher {
    client: Client,
    clock: Arc<dyn Clock>,
    kept: Cache<Box<str>, Kept>,
    fetching: tokio::sync::Semaphore,
}

/// What is known of a URL.
#[derive(Debug, Clone)]
struct Kept {
    /// `None`: it could not be had, which is kept for a shorter time.
    bytes: Option<Bytes>,
    /// When it was fetched.
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
    fn is_good(&self, now: UnixMs) -> bool {
        now - self.at < if self.bytes.is_some() { KEPT_MS } else { FAILURE_KEPT_MS }
    }

    fn renewal(&self, now: UnixMs) -> Renewal {
        match self.renewed_at.map(|at| now - at) {
            Some(ago) if ago < FAILURE_KEPT_MS => Renewal::UnderWay,
            Some(ago) if ago < RENEWED_MS_MIN => Renewal::Newest,
            _ if now - self.at < RENEWED_MS_MIN => Renewal::Newest,
            _ => Renewal::Due,
        }
    }
}

impl HttpFetcher {
    /// Through `client`, whose bound of answers is the bound of what is fetched.
    pub fn new(client: Client, clock: Arc<dyn Clock>) -> Self {
        Self { client, clock, kept: Cache::new(KEPT_MAX), fetching: tokio::sync::Semaphore::new(FETCHING_MAX) }
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
    async fn fetch(&self, url: &str) -> Option<Bytes> {
        let now = self.clock.now_ms();
        if let Some(kept) = self.kept.get(url).filter(|kept| kept.is_good(now)) {
            return kept.bytes;
        }
        // Whoever finds too many under way is told to come again.
        let _one = self.fetching.try_acquire().ok()?;
        let bytes = self.get(url).await;
        self.kept.insert(url.into(), Kept { bytes: bytes.clone(), at: now, renewed_at: None });
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
        self.kept.insert(url.into(), Kept { bytes: Some(bytes.clone()), at: now, renewed_at: None });
        Some(bytes)
    }

    async fn call(&self, url: &str) {
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
        let mut kept = Kept { bytes: Some(Bytes::new()), at: 0, renewed_at: None };
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
}
