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
/// Fetches under way at once: what strangers send may name others without end.
const FETCHING_MAX: usize = 16;
/// How long one fetch may take.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Gets what is behind a URL.
#[async_trait]
pub trait Fetcher: Send + Sync + 'static {
    /// The bytes behind a URL, perhaps from memory; `None` where they cannot be had now.
    async fn fetch(&self, url: &str) -> Option<Bytes>;
    /// Calls a URL once, for what that does there.
    async fn call(&self, url: &str);
}

/// Fetches over HTTP, by the guarded client.
pub struct HttpFetcher {
    client: Client,
    clock: Arc<dyn Clock>,
    /// What could not be had is kept as nothing, for a shorter time.
    kept: Cache<Box<str>, (UnixMs, Option<Bytes>)>,
    fetching: tokio::sync::Semaphore,
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
        if let Some((at, bytes)) = self.kept.get(url)
            && now - at < if bytes.is_some() { KEPT_MS } else { FAILURE_KEPT_MS }
        {
            return bytes;
        }
        // Whoever finds too many under way is told to come again.
        let _one = self.fetching.try_acquire().ok()?;
        let bytes = self.get(url).await;
        self.kept.insert(url.into(), (now, bytes.clone()));
        bytes
    }

    async fn call(&self, url: &str) {
        if self.get(url).await.is_none() {
            tracing::warn!("a provider's subscription could not be confirmed; it will ask again");
        }
    }
}
