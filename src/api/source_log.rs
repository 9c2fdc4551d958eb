//! What a source received: its log, and verifying again what was refused.

use axum::body::Body;
use http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::answer;
use super::call::Call;
use super::error::ApiError;
use super::page::{self, PageQuery};
use super::recover;
use super::source;
use super::time::Time;
use crate::accept::receive::VerifiedAgain;
use crate::model::id::key_time;
use crate::model::{Id, IdKind, LogKind, LoggedRequest, Message, SECRET_HEADERS, Source};
use crate::store::query::{MessageFilter, Order, Rows};

/// What stands for a value that is not shown.
const MASK: &str = "********";

type Answer = Result<Response<Body>, ApiError>;

/// A request in a source's log. Its names are those of the contract.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "IngestLogOut")]
pub(super) struct LogOut {
    /// Its id.
    #[schemars(regex(pattern = r"^log[A-Za-z0-9]{21,22}$"))]
    id: String,
    /// The source.
    source_id: String,
    /// What the sender was answered.
    status_code: u16,
    /// Why it was refused, with a hint; of others empty.
    error_text: String,
    /// What became of it: `accepted`, `duplicate`, `handshake` or `rejected`. An addition of this server.
    outcome: &'static str,
    /// Why it was refused, from a closed list. An addition of this server.
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<String>,
    /// The message that it became, or the first of a duplicate. An addition of this server.
    #[serde(rename = "messageId", skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    /// The method. An addition of this server.
    #[serde(skip_serializing_if = "String::is_empty")]
    method: String,
    /// The headers; of one that came more than once all values, separated by commas. Those that have a
    /// secret are masked.
    headers: std::collections::BTreeMap<String, String>,
    /// The body, as far as it is text.
    payload: String,
    /// When it came.
    created_at: Time,
    /// The same.
    updated_at: Time,
}

impl LogOut {
    fn of(logged: &LoggedRequest, source: &Source) -> Self {
        let mut headers = std::collections::BTreeMap::new();
        let head = logged.head.clone().unwrap_or_default();
        let secrets = source::secret_texts(source);
        for (name, value) in head.headers {
            let all: &mut String = headers.entry(name.clone()).or_default();
            if !all.is_empty() {
                all.push_str(", ");
            }
            let is_secret =
                SECRET_HEADERS.contains(&name.as_str()) || secrets.iter().any(|secret| value.contains(secret));
            all.push_str(if is_secret { MASK } else { &value });
        }
        let outcome = match logged.kind {
            LogKind::Accepted => "accepted",
            LogKind::Duplicate => "duplicate",
            LogKind::Handshake => "handshake",
            LogKind::Rejected => "rejected",
        };
        let error_text = match (&logged.cause, &logged.hint) {
            (Some(cause), Some(hint)) => format!("{cause}: {hint}"),
            (Some(cause), None) => cause.clone(),
            (None, _) => String::new(),
        };
        let at = Time(key_time(logged.id.key));
        Self {
            id: logged.id.short().format(IdKind::SourceLog),
            source_id: source.id.format(IdKind::Source),
            status_code: logged.status,
            error_text,
            outcome,
            cause: logged.cause.clone(),
            message_id: logged.message.map(|id| id.format(IdKind::Message)),
            method: head.method,
            headers,
            payload: String::from_utf8_lossy(logged.body.as_deref().unwrap_or_default()).into_owned(),
            created_at: at,
            updated_at: at,
        }
    }
}

/// `GET …/log`: every request, newest first. Of those that became messages what is kept of the messages.
pub(super) async fn log(call: Call, _: Body) -> Answer {
    let mut query = call.query();
    let page = PageQuery::by_id(&mut query, IdKind::SourceLog, Order::Descending, true);
    query.finish()?;
    let source = call.source().await?;
    let status = call.gateway.status_of(source.clone()).as_u16();
    let filter = MessageFilter { source: Some(source.key()), with_content: true, ..MessageFilter::default() };
    let queries = &call.gateway.queries;
    let messages = queries.messages_of(source.app, page.page(), filter).await?;
    let others = queries.source_log(source.key(), page.page()).await?;
    let rows = merge(messages, others, page.page(), |message| accepted(message, &source, status));
    let iterator = |logged: &LoggedRequest| logged.id.short().format(IdKind::SourceLog);
    let resume = |key| Id::first_of(key).format(IdKind::SourceLog);
    Ok(page.answer(rows, iterator, resume, |json, logged| page::push_json(json, &LogOut::of(logged, &source))))
}

fn accepted(message: Message, source: &Source, status: u16) -> LoggedRequest {
    LoggedRequest {
        id: message.id,
        source: source.key(),
        kind: LogKind::Accepted,
        status,
        cause: None,
        hint: None,
        head: message.received.map(|received| (*received).clone()),
        body: message.payload,
        message: Some(message.id),
    }
}

/// Two lists as one. Where either was cut short, nothing that lies behind its end is shown yet.
fn merge(
    messages: Rows<Message>,
    others: Rows<LoggedRequest>,
    page: crate::store::query::Page<i64>,
    as_logged: impl Fn(Message) -> LoggedRequest,
) -> Rows<LoggedRequest> {
    let place = |key: i64| if page.order == Order::Ascending { key } else { -key };
    let end_of = |done: bool, resume: Option<i64>, last: Option<i64>| match (done, resume, last) {
        (true, ..) => i64::MAX,
        (false, Some(resume), _) => place(resume),
        (false, None, last) => last.map_or(i64::MIN, place),
    };
    let message_end = end_of(messages.done, messages.resume, messages.rows.last().map(|row| row.id.key));
    let other_end = end_of(others.done, others.resume, others.rows.last().map(|row| row.id.key));
    let end = message_end.min(other_end);
    let mut done = messages.done && others.done;
    let mut rows: Vec<LoggedRequest> = messages.rows.into_iter().map(as_logged).chain(others.rows).collect();
    rows.retain(|row| place(row.id.key) <= end);
    rows.sort_by_key(|row| place(row.id.key));
    if rows.len() > page.limit {
        rows.truncate(page.limit);
        done = false;
    }
    // With nothing to show, the scan goes on where it was cut short.
    let resume = if rows.is_empty() { messages.resume } else { None };
    Rows { rows, done, resume }
}

/// What became of requests that were verified again. An addition of this server.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "VerifiedAgainOut")]
pub(super) struct AgainOut {
    /// Requests that are messages now.
    accepted: usize,
    /// Requests that were the same as a message.
    duplicates: usize,
    /// Requests that are still refused.
    rejected: usize,
}

/// `POST …/log/verify-again`: what was refused since a time is verified by the configuration as it is now.
pub(super) async fn verify_again(call: Call, body: Body) -> Answer {
    // Doing it again does no harm, but a key that is none is a mistake.
    call.idempotency_key()?;
    let body = call.read(body).await?;
    let (since, until) = recover::read(&body, call.gateway.limits.json_depth_max)?;
    let source = call.source().await?;
    let until = until.unwrap_or(call.gateway.clock.now_ms() + 1);
    let VerifiedAgain { accepted, duplicates, rejected } = call.gateway.verify_again(source, since, until).await?;
    Ok(answer::json(StatusCode::OK, &AgainOut { accepted, duplicates, rejected }))
}
