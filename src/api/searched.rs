//! Messages as pages for people list them: of a whole environment or of one application, each with
//! where its deliveries stand, and the search for a text.

use axum::body::Body;
use http::Response;
use schemars::JsonSchema;
use serde::Serialize;

use super::call::Call;
use super::error::{ApiError, Kind};
use super::json::{Fields, Null};
use super::message::{self, EVENT_TYPES_MAX};
use super::page::{self, PageQuery};
use super::query::Query;
use super::time::{self, Time};
use super::validate::{self, Rule};
use crate::model::id::key_time;
use crate::model::{Id, IdKind, Key};
use crate::store::query::{MessageFilter, Order, Rows};
use crate::store::search::{Search, SearchIn, SearchRow, Standing, Tally};

type Answer = Result<Response<Body>, ApiError>;

/// Longest text that is searched for.
pub(super) const TEXT_BYTES_MAX: usize = 256;
const TEXT: &str = "must have 1 to 256 bytes of UTF-8";
const TIME: &str = "must be a time of RFC 3339 such as 2030-01-31T08:00:00Z";

/// How the deliveries of a message stand, counted.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DeliveryCounts")]
struct CountsOut {
    /// All of them.
    total: u32,
    /// Delivered.
    success: u32,
    /// In line for their first attempt.
    pending: u32,
    /// Their next attempt has its time.
    sending: u32,
    /// Given up: no other attempt follows by itself.
    fail: u32,
    /// Their content was gone before they were delivered.
    canceled: u32,
    /// Their endpoint is disabled.
    held: u32,
    /// Whether counting was cut short.
    approximated: bool,
}

impl CountsOut {
    fn of(tally: &Tally) -> Self {
        Self {
            total: tally.total(),
            success: tally.success,
            pending: tally.pending,
            sending: tally.sending,
            fail: tally.fail,
            canceled: tally.cancelled,
            held: tally.held,
            approximated: tally.approximated,
        }
    }
}

/// What a row of a search has behind the message.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "MessageStanding")]
#[serde(rename_all = "camelCase")]
pub(super) struct StandingOut<'a> {
    /// The application.
    #[schemars(regex(pattern = r"^app_[A-Za-z0-9]{27}$"))]
    app_id: String,
    /// What people call it.
    app_name: &'a str,
    /// The source that it came in by.
    source_id: Option<String>,
    /// What people call that.
    source_name: Option<&'a str>,
    /// Its deliveries; null where the page's time did not suffice to count them.
    deliveries: Option<CountsOut>,
    /// When the first of them is tried again.
    next_attempt: Option<Time>,
}

impl<'a> StandingOut<'a> {
    /// Sources are the environment's: a portal does not show them.
    fn of(row: &'a SearchRow, is_portal: bool) -> Self {
        let source = row.source.as_ref().filter(|_| !is_portal);
        Self {
            app_id: row.app.id.format(IdKind::Application),
            app_name: &row.app.name,
            source_id: source.map(|source| source.id.format(IdKind::Source)),
            source_name: source.map(|source| &*source.name),
            deliveries: row.tally.as_ref().map(CountsOut::of),
            next_attempt: row.tally.and_then(|tally| tally.next_attempt).map(Time),
        }
    }
}

/// `GET /message`, newest first.
pub(super) async fn list(call: Call, _: Body) -> Answer {
    let mut query = call.query();
    let page = PageQuery::by_id(&mut query, IdKind::Message, Order::Descending, false);
    let asked = Asked::read(&mut query, true);
    query.finish()?;
    let search = asked.search(&call).await?;
    page_of(&call, &page, search).await
}

/// `GET /app/{app_id}/message`, newest first.
pub(super) async fn list_of_app(call: Call, _: Body) -> Answer {
    call.param("app_id")?;
    let mut query = call.query();
    let page = PageQuery::by_id(&mut query, IdKind::Message, Order::Descending, false);
    let asked = Asked::read(&mut query, false);
    query.finish()?;
    let search = asked.search(&call).await?;
    page_of(&call, &page, search).await
}

async fn page_of(call: &Call, page: &PageQuery<Key>, search: Search) -> Answer {
    let (with_content, is_portal) = (search.filter.with_content, call.portal.is_some());
    let rows = call.gateway.queries.search(page.page(), search).await?;
    let searched_to = searched_to(&rows);
    let (iterator, resume) = iterators();
    Ok(page.answer_with(rows, iterator, resume, |out, row| push(out, row, with_content, is_portal), &searched_to))
}

/// Names rows, and places between them.
fn iterators() -> (impl Fn(&SearchRow) -> String, impl Fn(Key) -> String) {
    (|row: &SearchRow| row.message.id.format(IdKind::Message), |key| Id::first_of(key).format(IdKind::Message))
}

/// How far a search has looked that was cut short: the end of its answer.
fn searched_to(rows: &Rows<SearchRow>) -> Vec<u8> {
    let mut out = b",\"searchedTo\":".to_vec();
    page::push_json(&mut out, &rows.resume.map(|key| Time(key_time(key))));
    out
}

/// Writes a row: the message, and behind it, in the same object, where it stands.
pub(super) fn push(out: &mut Vec<u8>, row: &SearchRow, with_content: bool, is_portal: bool) {
    message::push(out, &row.message, with_content);
    out.pop();
    let brace = out.len();
    page::push_json(out, &StandingOut::of(row, is_portal));
    out[brace] = b',';
}

/// What a request asks for, apart from its page.
pub(super) struct Asked {
    filter: MessageFilter,
    application: Option<String>,
    source: Option<String>,
    status: Option<Standing>,
    text: Option<String>,
}

impl Asked {
    /// Reads the filters; those by application and source where it is about an environment.
    pub(super) fn read(query: &mut Query<'_>, of_environment: bool) -> Self {
        let mut named = |name| of_environment.then(|| query.ruled(name, &validate::UID)).flatten();
        let (application, source) = (named("application"), named("source"));
        let status = query.text("status").and_then(|text| {
            let found = Standing::ALL.into_iter().find(|standing| standing.as_str() == text);
            if found.is_none() {
                let all = Standing::ALL.map(Standing::as_str).join(", ");
                query.problem("status", format!("must be one of {all}"), Kind::Value);
            }
            found
        });
        let text = query.text("text").map(std::borrow::Cow::into_owned);
        // What is no UTF-8 has become this character: it would find nothing, and not say why.
        let is_wrong = |text: &str| check_text(text).is_err() || text.contains(char::REPLACEMENT_CHARACTER);
        if text.as_deref().is_some_and(is_wrong) {
            query.problem("text", TEXT, Kind::Value);
        }
        Self { filter: message::filter(query), application, source, status, text }
    }

    /// The search: what it names is looked up.
    pub(super) async fn search(self, call: &Call) -> Result<Search, ApiError> {
        let unknown = |name: &'static str, msg: &'static str| ApiError::invalid("query", name, msg, Kind::Value);
        let mut filter = self.filter;
        let mut within = SearchIn::Environment(call.env);
        if call.names_application() {
            within = SearchIn::Application(call.app().await?.app.key());
        } else if let Some(name) = self.application {
            let app = call.gateway.snapshots.app_named(call.env, &name).await?;
            let app = app.ok_or_else(|| unknown("application", "names no application"))?;
            within = SearchIn::Application(app.app.key());
        }
        if let Some(name) = self.source {
            let source = call.gateway.queries.source_named(call.env, &name).await?;
            let source = source.ok_or_else(|| unknown("source", "names no source"))?;
            let of_source = SearchIn::Application(source.app);
            if matches!(within, SearchIn::Application(_)) && within != of_source {
                return Err(unknown("source", "is a source of another application"));
            }
            within = of_source;
            filter.source = Some(source.key());
        }
        let (status, text, in_requests) = (self.status, self.text, shows_requests(call));
        Ok(Search { status, text, in_requests, with_deliveries: true, ..Search::of(within, filter) })
    }
}

/// Requests that came in are the operator's to see: who searches them piece by piece learns what they hold, such
/// as the credentials of a provider.
fn shows_requests(call: &Call) -> bool {
    call.portal.is_none()
}

fn check_text(text: &str) -> Result<(), &'static str> {
    if (1..=TEXT_BYTES_MAX).contains(&text.len()) { Ok(()) } else { Err(TEXT) }
}

/// The fields of a search's body.
pub(super) const FIELDS: [&str; 9] =
    ["limit", "iterator", "channel", "before", "after", "with_content", "tag", "event_types", "text"];
type Reader<'a> = Fields<'a, { FIELDS.len() }>;

/// `POST /app/{app_id}/msg/search`, newest first: the list of an application's messages with its filters in
/// the body, and a text.
pub(super) async fn search(call: Call, body: Body) -> Answer {
    call.param("app_id")?;
    call.idempotency_key()?;
    let body = call.read(body).await?;
    let mut fields: Reader<'_> = Fields::parse(&body, &FIELDS, call.gateway.limits.json_depth_max)?;
    let limit = fields.number("limit", Null::Taken, (1, page::LIMIT_MAX as u16), "must be a number from 1 to 250");
    let iterator = fields.text("iterator", Null::Taken, page::check_message_iterator);
    let text = fields.text("text", Null::Taken, check_text).value();
    let filter = filter(&mut fields);
    fields.finish()?;
    let page = PageQuery::of_messages(limit.value(), iterator.value().as_deref());
    let with_content = filter.with_content;
    let within = SearchIn::Application(call.app().await?.app.key());
    let search = Search { text, in_requests: shows_requests(&call), ..Search::of(within, filter) };
    let rows = call.gateway.queries.search(page.page(), search).await?;
    let (iterator, resume) = iterators();
    let searched_to = searched_to(&rows);
    let push = |out: &mut Vec<u8>, row: &SearchRow| message::push(out, &row.message, with_content);
    Ok(page.answer_with(rows, iterator, resume, push, &searched_to))
}

fn filter(fields: &mut Reader<'_>) -> MessageFilter {
    let ruled = |rule: &'static Rule| move |text: &str| rule.check(text);
    let is_time = |text: &str| time::parse(text).map(drop).ok_or(TIME);
    let channel = fields.text("channel", Null::Taken, ruled(&validate::CHANNEL)).value();
    let tag = fields.text("tag", Null::Taken, ruled(&validate::TAG)).value();
    let before = fields.text("before", Null::Taken, is_time).value();
    let after = fields.text("after", Null::Taken, is_time).value();
    let event_types = fields.texts("event_types", (0, EVENT_TYPES_MAX), Null::Taken, &validate::EVENT_TYPE);
    let with_content = fields.boolean("with_content").value().unwrap_or(false);
    MessageFilter {
        channel,
        tag,
        event_types: event_types.value().unwrap_or_default(),
        before: before.as_deref().and_then(time::parse),
        after: after.as_deref().and_then(time::parse),
        with_content,
        ..MessageFilter::default()
    }
}
