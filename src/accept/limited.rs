//! Reading of bodies with limits: bytes of one, bytes of all that are being read, and time.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

const UNIT: usize = 1024;

/// The bytes that all bodies together may take while they are read.
#[derive(Clone)]
pub struct BodyBudget {
    kib: Arc<Semaphore>,
    body_bytes_max: usize,
    timeout: Duration,
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Longer than allowed.
    #[error("the body is longer than {0} bytes")]
    TooLarge(usize),
    /// Too slow: 10 s, and then at least 1 KiB/s.
    #[error("the body came too slowly")]
    TooSlow,
    /// Too many bodies are being read.
    #[error("too many requests are being read")]
    Busy,
    /// The connection ended, or what came is no body.
    #[error("the body is not whole")]
    Broken,
}

impl BodyBudget {
    /// At most `total` bytes of all bodies, `body_bytes_max` of one, `timeout` for its beginning.
    pub fn new(total: usize, body_bytes_max: usize, timeout: Duration) -> Self {
        let kib = (total / UNIT).clamp(1, Semaphore::MAX_PERMITS);
        Self { kib: Arc::new(Semaphore::new(kib)), body_bytes_max, timeout }
    }

    /// Reads a body whole.
    pub async fn read(&self, mut body: Body) -> Result<Bytes, BodyError> {
        let hint = body.size_hint();
        if hint.lower() > self.body_bytes_max as u64 {
            return Err(BodyError::TooLarge(self.body_bytes_max));
        }
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        let _permit = self.take(hint.exact().unwrap_or(0) as usize)?;
        let began = Instant::now();
        let first = self.frame(&mut body, began, 0).await?;
        let Some(first) = first else { return Ok(Bytes::new()) };
        if first.len() > self.body_bytes_max {
            return Err(BodyError::TooLarge(self.body_bytes_max));
        }
        let mut permits = Vec::new();
        if hint.exact().is_none() {
            permits.push(self.take(first.len())?);
        }
        if body.is_end_stream() {
            return Ok(first);
        }
        let mut whole = BytesMut::from(&first[..]);
        while let Some(part) = self.frame(&mut body, began, whole.len()).await? {
            if whole.len() + part.len() > self.body_bytes_max {
                return Err(BodyError::TooLarge(self.body_bytes_max));
            }
            if hint.exact().is_none() {
                permits.push(self.take(part.len())?);
            }
            whole.extend_from_slice(&part);
        }
        Ok(whole.freeze())
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, BodyError> {
        let kib = u32::try_from(bytes.div_ceil(UNIT).max(1)).map_err(|_| BodyError::Busy)?;
        Arc::clone(&self.kib).try_acquire_many_owned(kib).map_err(|_| BodyError::Busy)
    }

    /// The next piece of data; `None` at the end.
    async fn frame(&self, body: &mut Body, began: Instant, so_far: usize) -> Result<Option<Bytes>, BodyError> {
        loop {
            // Each KiB that has come buys another second.
            let until = began + self.timeout + Duration::from_secs((so_far / UNIT) as u64);
            let frame = tokio::time::timeout_at(until, body.frame()).await.map_err(|_| BodyError::TooSlow)?;
            match frame {
                None => return Ok(None),
                Some(Err(_)) => return Err(BodyError::Broken),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}
