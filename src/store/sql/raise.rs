//! Operational webhooks: messages that the writer makes by itself, in the transaction of what they
//! tell of. They go to the environment's own application; its endpoints raise none.

use super::db::{Db, Optional, Result};

use super::core::Core;
use super::rows;
use super::rows::application_of;
use crate::model::operational::{Happening, LastAttempt, MessageHappening, endpoint_event, message_event};
use crate::model::routing::route;
use crate::model::{AppConfig, AppKey, AppKind, Application, Endpoint, Envelope, UnixMs};
use crate::store::command::{Publish, Published, Raised, Settle};

/// Tells what happened to an endpoint, if anybody wants to know.
pub(in crate::store) fn endpoint(
    db: Db<'_>,
    state: &mut Core,
    what: Happening,
    endpoint: &Endpoint,
    at: UnixMs,
) -> Result<()> {
    let Some((config, app)) = listeners(db, state, endpoint.app, what.event_type())? else { return Ok(()) };
    let payload = endpoint_event(what, &app, endpoint);
    raise(state, config, what.event_type(), payload, at);
    Ok(())
}

/// Tells what happened to a delivery, if anybody wants to know.
pub(in crate::store) fn message(
    db: Db<'_>,
    state: &mut Core,
    what: MessageHappening,
    settle: &Settle,
    last: LastAttempt,
) -> Result<()> {
    let Some((config, app)) = listeners(db, state, settle.app, what.event_type())? else { return Ok(()) };
    let found = db
        .prepare_cached(
            "SELECT message.key, message.nonce, endpoint.key, endpoint.nonce, event_id FROM message, endpoint
             WHERE message.key = ? AND endpoint.key = ?",
        )?
        .query_row([settle.message.0, settle.endpoint.0], |row| {
            Ok((rows::id(row, 0)?, rows::id(row, 2)?, row.get::<Option<String>>(4)?))
        })
        .optional()?;
    let Some((message, endpoint, event_id)) = found else { return Ok(()) };
    let payload = message_event(what, &app, endpoint, (message, event_id.as_deref()), last);
    raise(state, config, what.event_type(), payload, settle.at);
    Ok(())
}

/// The environment's own application, if one of its endpoints wants this type, and the application that
/// it is about.
fn listeners(
    db: Db<'_>,
    state: &mut Core,
    about: AppKey,
    event_type: &str,
) -> Result<Option<(std::sync::Arc<AppConfig>, Application)>> {
    let Some(owner) = state.owner(db, about)?.filter(|owner| owner.kind == AppKind::Customer) else {
        return Ok(None);
    };
    let Some(config) = state.operational(db, owner.env)? else { return Ok(None) };
    if route(&config, event_type, &[]).is_empty() {
        return Ok(None);
    }
    Ok(application_of(db, about)?.map(|app| (config, app)))
}

/// The engine writes it before the transaction ends.
fn raise(state: &mut Core, config: std::sync::Arc<AppConfig>, event_type: &str, payload: Vec<u8>, at: UnixMs) {
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
    state.raised.push(Raised { publish, published: Published { id, rerouted: None } });
}
