//! What nodes tell each other through the database: what has changed, and where there is new work. One that
//! gets lost delays, and loses nothing: everything is also looked for from time to time.

use super::session::{Session, SessionError};
use crate::model::{AppKey, EndpointKey, MessageKey, SlotSet, UnixMs};
use crate::store::command::Changed;
use crate::store::sql::db::Value;

/// The channel.
pub(super) const CHANNEL: &str = "posthouse";
/// Applications that one bulletin names; beyond them it says that anything may have changed.
const APPLICATIONS_MAX: usize = 200;
/// Endpoints that one bulletin names.
pub(super) const WAITS_MAX: usize = 100;

/// What of the configuration has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notice {
    /// An application or its endpoints.
    Application(AppKey),
    /// Anything.
    All,
}

impl Notice {
    /// What other nodes have to hear of a change.
    pub(super) fn of(changed: &Changed) -> Option<Self> {
        match changed {
            Changed::Application(app, _) => Some(Self::Application(app.key())),
            Changed::Endpoint(endpoint, _) => Some(Self::Application(endpoint.app)),
            Changed::EndpointDeleted { app, .. } => Some(Self::Application(*app)),
            Changed::Resealed(_)
            | Changed::Resent { .. }
            | Changed::ResentFailed { .. }
            | Changed::Expunged { .. }
            | Changed::AnswerExpunged
            | Changed::RequestLogged
            // Nobody has asked for the hash of a session before it was made.
            | Changed::SessionOpened
            | Changed::KeyUseNoted
            | Changed::Task(_) => None,
            _ => Some(Self::All),
        }
    }
}

/// What is told to all nodes, with the number of the one who tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bulletin {
    /// The configuration has a new version: what has changed since the one before.
    Configuration {
        /// The version.
        version: i64,
        /// Who changed it.
        node: u16,
        /// Applications; none where it may be anything.
        apps: Option<Vec<AppKey>>,
    },
    /// Slots have another holder, or shall have.
    Slots,
    /// There are pending deliveries.
    Work {
        /// In these slots.
        slots: SlotSet,
        /// From this message.
        first: MessageKey,
        /// To this one.
        last: MessageKey,
    },
    /// Endpoints have deliveries in the order of due times: whose they are, and when the first is due.
    Waits(Vec<(EndpointKey, AppKey, UnixMs)>),
    /// The bytes of a message are gone.
    Expunged(MessageKey),
}

impl Bulletin {
    /// That the configuration has changed.
    pub(super) fn configuration(version: i64, node: u16, notices: &[Notice]) -> Self {
        let apps: Option<Vec<AppKey>> = notices
            .iter()
            .map(|notice| match notice {
                Notice::Application(app) => Some(*app),
                Notice::All => None,
            })
            .collect();
        Self::Configuration { version, node, apps: apps.filter(|apps| apps.len() <= APPLICATIONS_MAX) }
    }

    /// As it is told.
    pub(super) fn to_text(&self) -> String {
        match self {
            Self::Configuration { version, node, apps } => {
                let apps = apps.as_ref().map_or_else(|| "*".to_owned(), |apps| joined(apps.iter().map(|app| app.0)));
                format!("configuration {version} {node} {apps}")
            }
            Self::Slots => "slots".to_owned(),
            Self::Work { slots, first, last } => {
                format!("work {} {} {}", first.0, last.0, joined(slots.to_numbers().into_iter().map(i64::from)))
            }
            Self::Waits(waits) => {
                let one =
                    |(endpoint, app, due): &(EndpointKey, AppKey, UnixMs)| format!("{}:{}:{due}", endpoint.0, app.0);
                format!("waits {}", waits.iter().map(one).collect::<Vec<_>>().join(","))
            }
            Self::Expunged(message) => format!("expunged {}", message.0),
        }
    }

    /// From what was told; `None` for what another version tells.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let kind = words.next()?;
        let bulletin = match kind {
            "configuration" => Self::Configuration {
                version: words.next()?.parse().ok()?,
                node: words.next()?.parse().ok()?,
                apps: match words.next()? {
                    "*" => None,
                    apps => Some(numbers(apps)?.into_iter().map(AppKey).collect()),
                },
            },
            "slots" => Self::Slots,
            "work" => Self::Work {
                first: MessageKey(words.next()?.parse().ok()?),
                last: MessageKey(words.next()?.parse().ok()?),
                slots: {
                    let numbers: Option<Vec<i16>> =
                        numbers(words.next()?)?.into_iter().map(|number| i16::try_from(number).ok()).collect();
                    SlotSet::from_numbers(&numbers?)?
                },
            },
            "waits" => Self::Waits(words.next()?.split(',').map(wait).collect::<Option<_>>()?),
            "expunged" => Self::Expunged(MessageKey(words.next()?.parse().ok()?)),
            _ => return None,
        };
        words.next().is_none().then_some(bulletin)
    }

    /// Tells all nodes: with the transaction that is under way, if it is committed.
    pub(in crate::store) fn send(&self, session: &Session) -> Result<(), SessionError> {
        let statement = session.prepare("SELECT pg_notify(?, ?)")?;
        session.query(&statement, &[Value::Text(CHANNEL.into()), Value::Text(self.to_text().into())])?;
        Ok(())
    }
}

fn joined(numbers: impl Iterator<Item = i64>) -> String {
    numbers.map(|number| number.to_string()).collect::<Vec<_>>().join(",")
}

fn numbers(text: &str) -> Option<Vec<i64>> {
    text.split(',').filter(|number| !number.is_empty()).map(|number| number.parse().ok()).collect()
}

fn wait(text: &str) -> Option<(EndpointKey, AppKey, UnixMs)> {
    let mut parts = text.split(':').map(str::parse);
    let mut next = || parts.next()?.ok();
    Some((EndpointKey(next()?), AppKey(next()?), next()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Slot;

    #[test]
    fn what_is_told_is_understood_and_what_is_not_ours_is_not() {
        let slots = SlotSet::from_iter([Slot(0), Slot(7), Slot(255)]);
        for bulletin in [
            Bulletin::Configuration { version: 7, node: 3, apps: Some(vec![AppKey(1), AppKey(2)]) },
            Bulletin::Configuration { version: 7, node: 3, apps: None },
            Bulletin::Configuration { version: 7, node: 3, apps: Some(Vec::new()) },
            Bulletin::Slots,
            Bulletin::Work { slots, first: MessageKey(5), last: MessageKey(9) },
            Bulletin::Work { slots: SlotSet::FULL, first: MessageKey(i64::MAX), last: MessageKey(i64::MAX) },
            Bulletin::Waits(vec![(EndpointKey(1), AppKey(2), 3), (EndpointKey(4), AppKey(5), -6)]),
            Bulletin::Expunged(MessageKey(11)),
        ] {
            let text = bulletin.to_text();
            assert!(text.len() < 8_000, "PostgreSQL takes no more: {text}");
            assert_eq!(Bulletin::from_text(&text), Some(bulletin), "{text}");
        }
        let longest = (0..WAITS_MAX).map(|_| (EndpointKey(i64::MAX), AppKey(i64::MAX), i64::MAX));
        assert!(Bulletin::Waits(longest.collect()).to_text().len() < 8_000);
        let apps = Bulletin::Configuration {
            version: i64::MAX,
            node: 511,
            apps: Some(vec![AppKey(i64::MAX); APPLICATIONS_MAX]),
        };
        assert!(apps.to_text().len() < 8_000);
        for text in ["", "work", "work 1 2 256", "slots 1", "telegram 1", "waits 1:2", "configuration x 1 *"] {
            assert_eq!(Bulletin::from_text(text), None, "{text}");
        }
    }
}
