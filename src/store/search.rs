//! What the pages for people ask for beside the lists of one application: messages of a whole
//! environment with where their deliveries stand, endpoints of all applications, and what an id names.

use crate::model::{AppKey, DeliveryState, Endpoint, EnvKey, Id, Key, Message, MessageKey, UnixMs};

use super::query::MessageFilter;

/// Whose messages are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchIn {
    /// Those of all applications of an environment, but for the environment's own.
    Environment(EnvKey),
    /// Those of one application.
    Application(AppKey),
}

/// How deliveries stand, as people tell it apart: what is held is not pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The receiver has it.
    Success,
    /// In line for its first attempt.
    Pending,
    /// The next attempt has its time.
    Sending,
    /// No other attempt follows by itself.
    Fail,
    /// Its content was gone before it was delivered.
    Cancelled,
    /// Its endpoint is disabled.
    Held,
    /// There is no delivery: no endpoint wanted the message.
    None,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Success, Self::Pending, Self::Sending, Self::Fail, Self::Cancelled, Self::Held, Self::None];

    /// As the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Pending => "pending",
            Self::Sending => "sending",
            Self::Fail => "fail",
            Self::Cancelled => "canceled",
            Self::Held => "held",
            Self::None => "none",
        }
    }
}

/// What messages are searched for.
#[derive(Debug, Clone)]
pub struct Search {
    /// Whose.
    pub within: SearchIn,
    /// Like this.
    pub filter: MessageFilter,
    /// With a delivery that stands so.
    pub status: Option<Standing>,
    /// That have this text in their bytes, in the request that they came in with, or in an id; letters of
    /// ASCII are the same in both cases.
    pub text: Option<String>,
    /// The requests that messages came in with are looked through for it, too.
    pub in_requests: bool,
    /// Made after this one. Some that were made shortly before may be among them, where a store with several
    /// writers may have committed them later.
    pub newer_than: Option<Key>,
    /// With where their deliveries stand.
    pub with_deliveries: bool,
    /// Without the newest, where a store with several writers may still commit older ones: who reads on and
    /// on misses none.
    pub settled: bool,
}

impl Search {
    /// All that the filter lets through, the messages alone.
    pub const fn of(within: SearchIn, filter: MessageFilter) -> Self {
        Self {
            within,
            filter,
            status: None,
            text: None,
            in_requests: true,
            newer_than: None,
            with_deliveries: false,
            settled: false,
        }
    }
}

/// An id and what people call what it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The id.
    pub id: Id,
    /// The name.
    pub name: String,
}

/// A message that was found.
#[derive(Debug, Clone)]
pub struct SearchRow {
    /// The message.
    pub message: Message,
    /// Its application.
    pub app: Named,
    /// The source that it came in by, if that is still there.
    pub source: Option<Named>,
    /// Where its deliveries stand, as far as that was asked for and the page's time sufficed.
    pub tally: Option<Tally>,
}

/// Where the deliveries of a message stand, counted. Those to endpoints that are gone do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// The receiver has it.
    pub success: u32,
    /// In line for their first attempt.
    pub pending: u32,
    /// The next attempt has its time.
    pub sending: u32,
    /// No other attempt follows by itself.
    pub fail: u32,
    /// Their content was gone.
    pub cancelled: u32,
    /// Their endpoint is disabled.
    pub held: u32,
    /// The first of the times that are set.
    pub next_attempt: Option<UnixMs>,
    /// More would have had to be read than a page may.
    pub approximated: bool,
}

impl Tally {
    /// All of them.
    pub const fn total(&self) -> u32 {
        self.success + self.pending + self.sending + self.fail + self.cancelled + self.held
    }

    /// Counts a delivery.
    pub fn add(&mut self, state: DeliveryState) {
        let place = match state {
            DeliveryState::Delivered => &mut self.success,
            DeliveryState::Pending => &mut self.pending,
            DeliveryState::Waiting { .. } => &mut self.sending,
            DeliveryState::Failed | DeliveryState::Quarantined => &mut self.fail,
            DeliveryState::Held => &mut self.held,
            DeliveryState::Cancelled | DeliveryState::Withdrawn => &mut self.cancelled,
        };
        *place += 1;
        if let DeliveryState::Waiting { due } = state {
            self.next_attempt = Some(self.next_attempt.map_or(due, |other| other.min(due)));
        }
    }

    /// Whether a delivery stands so.
    pub const fn has(&self, standing: Standing) -> bool {
        match standing {
            Standing::Success => self.success > 0,
            Standing::Pending => self.pending > 0,
            Standing::Sending => self.sending > 0,
            Standing::Fail => self.fail > 0,
            Standing::Cancelled => self.cancelled > 0,
            Standing::Held => self.held > 0,
            Standing::None => self.total() == 0 && !self.approximated,
        }
    }

    /// Whether something follows by itself.
    pub const fn is_open(&self) -> bool {
        self.pending > 0 || self.sending > 0 || self.approximated
    }
}

/// A message with where its deliveries stand.
pub type Tallied = (MessageKey, Tally);

/// What endpoints of an environment are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointsIn {
    /// All.
    Any,
    /// Those that are enabled, and do nothing but fail.
    Failing,
    /// Those that are disabled, by whomever.
    Disabled,
}

/// Waiting deliveries of an endpoint that are counted.
pub const WAITING_COUNT_MAX: u32 = 1_000;

/// An endpoint in the list of those of an environment.
#[derive(Debug, Clone)]
pub struct EndpointRow {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Its application.
    pub app: Named,
    /// The source whose own the application is.
    pub source: Option<Id>,
    /// When the first of what waits for it is due.
    pub next_attempt: Option<UnixMs>,
    /// Deliveries that wait for their time, [`WAITING_COUNT_MAX`] at most.
    pub waiting: u32,
}

/// What an id, or another name, stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    /// A message of an application, and the source that it came in by.
    Message {
        /// The application.
        app: Id,
        /// The message.
        message: Id,
        /// The source.
        source: Option<Id>,
    },
    /// An attempt.
    Attempt {
        /// The application.
        app: Id,
        /// The endpoint, if it is still there.
        endpoint: Option<Id>,
        /// The message.
        message: Id,
    },
    /// An endpoint.
    Endpoint {
        /// The application.
        app: Id,
        /// The endpoint.
        endpoint: Id,
    },
    /// An application.
    Application {
        /// The application.
        app: Id,
    },
    /// A source, and its application.
    Source {
        /// The application, if it is still there.
        app: Option<Id>,
        /// The source.
        source: Id,
    },
    /// An event type.
    EventType,
}

/// Attempts that were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptCount {
    /// How many.
    pub count: u64,
    /// There may be more: counting was cut short.
    pub approximated: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliveries_are_counted_by_how_they_stand() {
        let mut tally = Tally::default();
        assert!(tally.has(Standing::None));
        for state in [
            DeliveryState::Delivered,
            DeliveryState::Pending,
            DeliveryState::Waiting { due: 9 },
            DeliveryState::Waiting { due: 7 },
            DeliveryState::Failed,
            DeliveryState::Quarantined,
            DeliveryState::Held,
            DeliveryState::Cancelled,
        ] {
            tally.add(state);
        }
        let expected = Tally {
            success: 1,
            pending: 1,
            sending: 2,
            fail: 2,
            cancelled: 1,
            held: 1,
            next_attempt: Some(7),
            approximated: false,
        };
        assert_eq!((tally, tally.total()), (expected, 8));
        for standing in Standing::ALL {
            assert_eq!(tally.has(standing), standing != Standing::None, "{standing:?}");
        }
    }
}
