//! What nodes tell each other through the database: what has changed, and where there is new work.

use super::session::{Session, SessionError};
use crate::model::AppKey;
use crate::store::command::Changed;
use crate::store::sql::db::Value;

/// The channel.
pub(super) const CHANNEL: &str = "posthouse";
/// Applications that one notice names; beyond them it says that anything may have changed.
const APPLICATIONS_MAX: usize = 200;

/// What of the configuration has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
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
            | Changed::Expunged { .. }
            | Changed::AnswerExpunged
            | Changed::RequestLogged
            | Changed::Task(_) => None,
            _ => Some(Self::All),
        }
    }

    /// Tells all nodes with the transaction, if it is committed: version, node and what has changed.
    pub(super) fn send(session: &Session, version: i64, node: u16, notices: &[Self]) -> Result<(), SessionError> {
        let named: Option<Vec<String>> = notices
            .iter()
            .map(|notice| match notice {
                Self::Application(app) => Some(app.0.to_string()),
                Self::All => None,
            })
            .collect();
        let named = named.filter(|named| named.len() <= APPLICATIONS_MAX);
        let what = named.map_or_else(|| "*".to_owned(), |named| named.join(","));
        let statement = session.prepare("SELECT pg_notify(?, ?)")?;
        let text = format!("configuration {version} {node} {what}");
        session.query(&statement, &[Value::Text(CHANNEL.into()), Value::Text(text.into())])?;
        Ok(())
    }
}
