//! How the lanes stood when they were looked at last: what the API shows, which must never wait for dispatch.

use std::sync::{Arc, Mutex, PoisonError};

use super::scheduler::LanesNow;

/// Written about once a second, read by whoever asks.
#[derive(Debug, Default)]
pub struct LaneBook {
    last: Mutex<Arc<LanesNow>>,
}

impl LaneBook {
    /// How they stand.
    pub fn read(&self) -> Arc<LanesNow> {
        Arc::clone(&self.last.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// They were looked at.
    pub fn write(&self, lanes: LanesNow) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(lanes);
    }
}
