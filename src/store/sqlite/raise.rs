//! Operational webhooks: messages that the writer makes by itself, in the transaction of what they
//! tell of. They go to the environment's own application; its endpoints raise none.

use rusqlite::{Connection, OptionalExtension};

use super::apply::{HotStatements, WriterState, application};
use super::rows;
use crate::model::operational::{Happening, LastAttempt, MessageHappening, endpoint_event, message_event};
use crate::model::routing::route;
use crate::model::{AppConfig, AppKey, AppKind, Application, Endpoint, Envelope, UnixMs};
use crate::store::command::{Publish, Published, Raised, Settle};

/// Tells what happened to an endpoint, if anybody wants to know.
pub(super) fn endpoint(
    connection: &Connection,
    state: &mut WriterState,
    what: Happening,
    endpoint: &Endpoint,
    at: UnixMs,
) -> rusqlite::Result<()> {
    let Some((config, app)) = listeners(connection, state, endpoint.app, what.event_type())? else { return Ok(()) };
    let payload = endpoint_event(what, &app, endpoint);
    raise(&mut HotStatements::new(connection)?, state, config, what.event_type(), payload, at)
}

/// Tells what happened to a delivery, if anybody wants to know.
pub(super) fn message(
    hot: &mut HotStatements<'_>,
    state: &mut WriterState,
    what: MessageHappening,
    settle: &Settle,
    last: LastAttempt,
) -> rusqlite::Result<()> {
    let connection = hot.connection;
    let Some((config, app)) = listeners(connection, state, settle.app, what.event_type())? else { return Ok(()) };
    let found = connection
        .prepare_cached(
            "SELECT message.key, message.nonce, endpoint.key, endpoint.nonce, event_id FROM message, endpoint
             WHERE message.key = ? AND endpoint.key = ?",
        )?
        .query_row([settle.message.0, settle.endpoint.0], |row| {
            Ok((rows::id(row, 0)?, rows::id(row, 2)?, row.get::<_, Option<String>>(4)?))
        })
        .optional()?;
    let Some((message, endpoint, event_id)) = found else { return Ok(()) };
    let payload = message_event(what, &app, endpoint, (message, event_id.as_deref()), last);
    raise(hot, state, config, what.event_type(), payload, settle.at)
}

/// The environment's own application, if one of its endpoints wants this type, and the application that
/// it is about.
fn listeners(
    connection: &Connection,
    state: &mut WriterState,
    about: AppKey,
    event_type: &str,
) -> rusqlite::Result<Option<(std::sync::Arc<AppConfig>, Application)>> {
    let Some(owner) = state.owner(connection, about)?.filter(|owner| owner.kind == AppKind::Customer) else {
        return Ok(None);
    };
    let Some(config) = state.operational(connection, owner.env)? else { return Ok(None) };
    if route(&config, event_type, &[]).is_empty() {
        return Ok(None);
    }
    Ok(application(connection, about)?.map(|app| (config, app)))
}

fn raise(
    hot: &mut HotStatements<'_>,
    state: &mut WriterState,
    config: std::sync::Arc<AppConfig>,
    event_type: &str,
    payload: Vec<u8>,
    at: UnixMs,
) -> rusqlite::Result<()> {
    let mut routes = route(&config, event_type, &[]);
    // Nobody asked the lanes whether they have room.
    for route in &mut routes {
        route.spilled = true;
    }
    let envelope = Envelope { event_type: event_type.to_owned(), ..Envelope::default() };
    let publish = Publish {
        config,
        routes,
        envelope,
        payload: payload.into(),
        payload_days: state.own_payload_days,
        only: None,
        idempotency: None,
        inbound: None,
        at,
    };
    let id = state.new_id(at);
    hot.insert_message(state, id, &publish)?;
    hot.insert_deliveries(id, &publish, &publish.routes)?;
    state.raised.push(Raised { publish, published: Published { id, rerouted: None } });
    Ok(())
}
