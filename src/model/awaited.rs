//! The first answer to a message, where its sender waits for it.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use tokio::sync::oneshot;

use super::id::EndpointKey;

/// Bytes of an answer that is passed on. A longer one is not: its sender gets the plain acknowledgement.
pub const AWAITED_BYTES_MAX: usize = 256 << 10;

/// What an endpoint answered, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointAnswer {
    /// 2xx.
    pub status: StatusCode,
    /// The media type, if it said one.
    pub content_type: Option<HeaderValue>,
    /// The body, without its compression; at most [`AWAITED_BYTES_MAX`].
    pub body: Bytes,
}

/// A sender who waits for the first answer of one endpoint. It waits no longer once this is dropped.
#[derive(Debug)]
pub struct Awaited {
    endpoint: EndpointKey,
    sender: Mutex<Option<oneshot::Sender<EndpointAnswer>>>,
}

impl Awaited {
    /// For the answer of `endpoint`; what is received is an error where there will be none.
    pub fn new(endpoint: EndpointKey) -> (Self, oneshot::Receiver<EndpointAnswer>) {
        let (sender, receiver) = oneshot::channel();
        (Self { endpoint, sender: Mutex::new(Some(sender)) }, receiver)
    }

    /// Whose answer is waited for.
    pub fn endpoint(&self) -> EndpointKey {
        self.endpoint
    }

    /// The first attempt came to this; `None` where there is nothing to pass on.
    pub fn end(&self, answer: Option<EndpointAnswer>) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(sender), Some(answer)) = (sender, answer) {
            // The sender may have gone, or have waited long enough.
            let _ = sender.send(answer);
        }
    }
}
