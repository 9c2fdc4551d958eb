//! What a batch adds to the tables, gathered as columns: one statement a table, however long the batch.

use tokio_postgres::types::ToSql;

use super::session::{Call, Session, SessionError};
use crate::model::id::key_time;
use crate::model::routing::Route;
use crate::model::slot::slot_of;
use crate::model::{EndpointKey, Id, Parked, UnixMs, trace};
use crate::store::command::{AttemptRecord, Publish, Settle};
use crate::store::sql::source_log;

const MESSAGE: &str =
    "INSERT INTO message (key, nonce, app, event_type, payload, content_type, channels, tags, event_id,
       deliver_at, source)
     SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::text[],
       $8::text[], $9::text[], $10::bigint[], $11::bigint[])";
const PAYLOAD: &str =
    "INSERT INTO payload (id, body, head) SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bytea[])";
const PENDING: &str = "INSERT INTO pending (message, endpoint, slot, version)
     SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::bigint[])";
const WAITING: &str = "INSERT INTO waiting (endpoint, due, message, attempts, manual)
     SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::smallint[], $5::smallint[])
     ON CONFLICT DO NOTHING RETURNING endpoint, due, message";
const PARKED: &str = "INSERT INTO parked (endpoint, message, state, at)
     SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::smallint[], $4::bigint[])
     ON CONFLICT (endpoint, message) DO UPDATE SET state = excluded.state, at = excluded.at";
const UNCANCELLED: &str = "DELETE FROM parked USING unnest($1::bigint[], $2::bigint[]) AS arrived (endpoint, message)
     WHERE parked.endpoint = arrived.endpoint AND parked.message = arrived.message AND state = $3::smallint";
const ATTEMPT: &str = "INSERT INTO attempt (key, nonce, message, endpoint, url, kind, status, manual, started_at,
       duration_ms, response, next_due, trace)
     SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bigint[], $6::smallint[],
       $7::smallint[], $8::smallint[], $9::bigint[], $10::bigint[], $11::bytea[], $12::bigint[], $13::bytea[])";
const FORGOTTEN: &str = "DELETE FROM unique_key USING unnest($1::bytea[], $2::bigint[]) AS refused (hash, message)
     WHERE unique_key.hash = refused.hash AND unique_key.message = refused.message";
/// The end of the transaction.
const COMMIT: &str = "COMMIT";

/// Columns of one table.
macro_rules! columns {
    ($(#[$doc:meta])* $name:ident { $($column:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Default)]
        struct $name<'b> {
            $($column: Vec<$type>,)*
            borrowed: std::marker::PhantomData<&'b ()>,
        }
        impl $name<'_> {
            fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
                vec![$(&self.$column),*]
            }
        }
    };
}

columns!(Messages {
    key: i64, nonce: Vec<u8>, app: i64, event_type: &'b str, payload: i64, content_type: Option<&'b str>,
    channels: Option<String>, tags: Option<String>, event_id: Option<&'b str>, deliver_at: Option<i64>,
    source: Option<i64>,
});
columns!(Payloads { id: i64, body: &'b [u8], head: Option<Vec<u8>> });
columns!(Pendings { message: i64, endpoint: i64, slot: i16, version: i64 });
columns!(Waitings { endpoint: i64, due: i64, message: i64, attempts: i16, manual: i16 });
columns!(Parkeds { endpoint: i64, message: i64, state: i16, at: i64 });
columns!(Attempts {
    key: i64, nonce: Vec<u8>, message: i64, endpoint: i64, url: i64, kind: i16, status: i16, manual: i16,
    started_at: i64, duration_ms: i64, response: Option<&'b [u8]>, next_due: Option<i64>, trace: Option<Vec<u8>>,
});

/// What a batch adds.
#[derive(Default)]
pub(super) struct Inserts<'b> {
    messages: Messages<'b>,
    payloads: Payloads<'b>,
    pendings: Pendings<'b>,
    waitings: Waitings<'b>,
    parkeds: Parkeds<'b>,
    attempts: Attempts<'b>,
    /// Deliveries that arrived although they were cancelled: endpoints and messages.
    uncancelled: (Vec<i64>, Vec<i64>),
    /// Unique keys of messages that were refused after all: hashes and messages.
    pub(super) forgotten: (Vec<Vec<u8>>, Vec<i64>),
}

/// Places in the order of due times that were taken: endpoint, due, message.
pub(super) type Place = (i64, UnixMs, i64);

impl<'b> Inserts<'b> {
    /// A message with its bytes.
    pub(super) fn message(&mut self, id: Id, publish: &'b Publish, payload: i64) {
        let (envelope, inbound) = (&publish.envelope, publish.inbound.as_deref());
        let row = &mut self.messages;
        row.key.push(id.key);
        row.nonce.push(id.nonce.to_vec());
        row.app.push(publish.config.app.key().0);
        row.event_type.push(&envelope.event_type);
        row.payload.push(payload);
        row.content_type.push(envelope.content_type.as_deref());
        row.channels.push(json_list(&envelope.channels));
        row.tags.push(json_list(&envelope.tags));
        row.event_id.push(envelope.event_id.as_deref());
        row.deliver_at.push(envelope.deliver_at);
        row.source.push(publish.origin());
        self.payloads.id.push(payload);
        self.payloads.body.push(&publish.payload);
        self.payloads.head.push(inbound.map(|inbound| source_log::head(&inbound.received)));
    }

    /// The deliveries of a message, routed by this version of its application.
    pub(super) fn deliveries(&mut self, id: Id, publish: &Publish, routes: &[Route], version: i64) {
        let delayed = publish.envelope.deliver_at.filter(|&at| at > publish.at);
        for route in routes {
            if route.held {
                self.park(route.endpoint, id.key, Parked::Held, publish.at);
            } else if let Some(due) = delayed.or(route.spilled.then_some(key_time(id.key))) {
                self.wait((route.endpoint.0, due, id.key), 0, 0);
            } else {
                self.pendings.message.push(id.key);
                self.pendings.endpoint.push(route.endpoint.0);
                self.pendings.slot.push(slot_of(route.endpoint.0).0.into());
                self.pendings.version.push(version);
            }
        }
    }

    /// A delivery has a due time.
    pub(super) fn wait(&mut self, (endpoint, due, message): Place, attempts: u16, manual: i64) {
        let row = &mut self.waitings;
        row.endpoint.push(endpoint);
        row.due.push(due);
        row.message.push(message);
        row.attempts.push(i16::try_from(attempts).unwrap_or(i16::MAX));
        row.manual.push(manual as i16);
    }

    /// A delivery is set aside. Each once in a batch.
    pub(super) fn park(&mut self, endpoint: EndpointKey, message: i64, state: Parked, at: UnixMs) {
        let row = &mut self.parkeds;
        row.endpoint.push(endpoint.0);
        row.message.push(message);
        row.state.push(state.code() as i16);
        row.at.push(at);
    }

    /// A delivery has arrived; it is not cancelled any more.
    pub(super) fn uncancel(&mut self, settle: &Settle) {
        self.uncancelled.0.push(settle.endpoint.0);
        self.uncancelled.1.push(settle.message.0);
    }

    /// An attempt, and when its delivery is tried again.
    pub(super) fn attempt(&mut self, id: Id, settle: &Settle, record: &'b AttemptRecord, next_due: Option<UnixMs>) {
        let (outcome, row) = (&record.outcome, &mut self.attempts);
        row.key.push(id.key);
        row.nonce.push(id.nonce.to_vec());
        row.message.push(settle.message.0);
        row.endpoint.push(settle.endpoint.0);
        row.url.push(record.url_id);
        row.kind.push(outcome.kind.code().into());
        row.status.push(i16::try_from(outcome.status).unwrap_or(i16::MAX));
        row.manual.push(settle.trigger.code() as i16);
        row.started_at.push(outcome.started_at);
        row.duration_ms.push(outcome.duration_ms.into());
        row.response.push((!outcome.body.is_empty()).then_some(&outcome.body[..]));
        row.next_due.push(next_due);
        row.trace.push(trace::encode(&outcome.timings, &outcome.headers));
    }

    /// Writes all, and ends the transaction where `commit` says so, in one round trip. Says which places in
    /// the order of due times were taken already.
    pub(super) fn write(&self, session: &Session, commit: bool) -> Result<Vec<Place>, SessionError> {
        let cancelled = Parked::Cancelled.code() as i16;
        let tables: [(bool, &str, Vec<&(dyn ToSql + Sync)>); 8] = [
            (self.messages.key.is_empty(), MESSAGE, self.messages.values()),
            (self.payloads.id.is_empty(), PAYLOAD, self.payloads.values()),
            (self.pendings.message.is_empty(), PENDING, self.pendings.values()),
            (self.parkeds.message.is_empty(), PARKED, self.parkeds.values()),
            (self.uncancelled.0.is_empty(), UNCANCELLED, vec![&self.uncancelled.0, &self.uncancelled.1, &cancelled]),
            (self.attempts.key.is_empty(), ATTEMPT, self.attempts.values()),
            (self.forgotten.0.is_empty(), FORGOTTEN, vec![&self.forgotten.0, &self.forgotten.1]),
            (self.waitings.message.is_empty(), WAITING, self.waitings.values()),
        ];
        let mut statements = Vec::with_capacity(tables.len() + 1);
        for (is_empty, sql, values) in tables {
            if !is_empty {
                statements.push((session.prepare(sql)?, values));
            }
        }
        // Where a place was taken the transaction is not over yet.
        let waits = !self.waitings.message.is_empty();
        if commit && !waits {
            statements.push((session.prepare(COMMIT)?, Vec::new()));
        }
        let calls: Vec<Call<'_>> = statements.iter().map(|(statement, values)| (statement, values.clone())).collect();
        let answers = session.pipeline(&calls)?;
        if !waits {
            return Ok(Vec::new());
        }
        let mut written = rustc_hash::FxHashSet::default();
        for row in answers.last().into_iter().flatten() {
            written.insert((row.integer(0)?, row.integer(1)?, row.integer(2)?));
        }
        let row = &self.waitings;
        let all = row.endpoint.iter().zip(&row.due).zip(&row.message).map(|((e, d), m)| (*e, *d, *m));
        Ok(all.filter(|place| !written.contains(place)).collect())
    }

    /// Whether something waits for its due time: then [`Self::write`] does not end the transaction.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waitings.message.is_empty()
    }
}

fn json_list(list: &[String]) -> Option<String> {
    if list.is_empty() { None } else { serde_json::to_string(list).ok() }
}
