//! What one attempt came to. Data, never an `Err`: a receiver that fails is not our failure.

use bytes::Bytes;

use super::time::UnixMs;
use super::trace::{Header, Timings};

/// The closed set of ways in which an attempt can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutcomeKind {
    /// The receiver answered 2xx.
    Success,
    /// The receiver answered with any other status (3xx included: never followed).
    Status,
    /// The deadline over the whole attempt, or the one over connecting, was over.
    Timeout,
    /// The name could not be resolved.
    Dns,
    /// No connection: refused, unreachable, reset while connecting.
    Connect,
    /// The TLS handshake or the certificate failed.
    Tls,
    /// The connection ended before a complete answer.
    Closed,
    /// What came back is not HTTP, or passes a limit on heads.
    Protocol,
    /// The address is one that may not be delivered to.
    Blocked,
    /// Something failed inside Posthouse (not the receiver's fault).
    Internal,
}

impl OutcomeKind {
    /// All kinds, in the order of their stored codes.
    pub const ALL: [Self; 10] = [
        Self::Success,
        Self::Status,
        Self::Timeout,
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::Closed,
        Self::Protocol,
        Self::Blocked,
        Self::Internal,
    ];

    /// The name used in metrics, logs and, where the receiver gave no text, in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Status => "status",
            Self::Timeout => "timeout",
            Self::Dns => "dns_failed",
            Self::Connect => "connect_failed",
            Self::Tls => "tls_failed",
            Self::Closed => "connection_closed",
            Self::Protocol => "invalid_response",
            Self::Blocked => "blocked_ip",
            Self::Internal => "internal_error",
        }
    }

    /// Whether this says that the receiver cannot be reached or does not answer in time:
    /// such ends shrink the lane's window, an answer of any status does not.
    pub const fn is_unreachable(self) -> bool {
        matches!(self, Self::Timeout | Self::Dns | Self::Connect | Self::Tls | Self::Closed | Self::Protocol)
    }

    /// The stored code.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The kind of a stored code; `None` for a code of a newer version.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }
}

/// The `Retry-After` of an answer, as far as it made sense (RFC 9110, section 10.2.3).
/// Seconds from the end of the attempt, 0 to 30 days; nonsense is `None` before it gets here.
pub type RetryAfterS = u32;

/// One finished attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub kind: OutcomeKind,
    /// The status code; 0 where no answer came.
    pub status: u16,
    /// `Retry-After`, honoured on 429 and 503 only.
    pub retry_after_s: Option<RetryAfterS>,
    /// The first bytes of the answer's body, at most `delivery.response_bytes_max`.
    pub body: Bytes,
    /// When the attempt began.
    pub started_at: UnixMs,
    /// How long it took, in milliseconds.
    pub duration_ms: u32,
    /// Where that time went.
    pub timings: Timings,
    /// The headers of the answer, of a failure only: at most [`super::trace::HEADERS_MAX`], and
    /// [`super::trace::HEADER_BYTES_MAX`] bytes.
    pub headers: Vec<Header>,
}

impl Outcome {
    /// An attempt that ended without an answer.
    pub fn without_answer(kind: OutcomeKind, started_at: UnixMs, duration_ms: u32) -> Self {
        Self {
            kind,
            status: 0,
            retry_after_s: None,
            body: Bytes::new(),
            started_at,
            duration_ms,
            timings: Timings::default(),
            headers: Vec::new(),
        }
    }

    /// Bytes of the answer that it holds in memory.
    pub fn bytes(&self) -> usize {
        self.body.len() + self.headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>()
    }

    /// Whether the delivery is done.
    pub fn is_success(&self) -> bool {
        self.kind == OutcomeKind::Success
    }
}
