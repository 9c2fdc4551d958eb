//! Messages for who reads on and on: oldest first, from where the last answer ended.

use axum::body::Body;
use http::Response;

use super::call::Call;
use super::error::ApiError;
use super::message::{self, EVENT_TYPES_MAX};
use super::page::PageQuery;
use super::validate;
use crate::model::IdKind;
use crate::model::id::first_key_at;
use crate::store::query::MessageFilter;
use crate::store::search::{Search, SearchIn, SearchRow};

/// Channels that can be read of.
pub(super) const CHANNELS_MAX: usize = 100;

/// `GET /events` and `GET /app/{app_id}/events`.
pub(super) async fn list(call: Call, _: Body) -> Result<Response<Body>, ApiError> {
    call.param("app_id")?;
    let mut query = call.query();
    let page = PageQuery::forward(&mut query, IdKind::Message);
    let filter = MessageFilter {
        event_types: query.list("event_types", EVENT_TYPES_MAX, &validate::EVENT_TYPE),
        channels: query.list("channels", CHANNELS_MAX, &validate::CHANNEL),
        after: query.time("after"),
        with_content: true,
        ..MessageFilter::default()
    };
    query.finish()?;
    let within = if call.names_application() {
        SearchIn::Application(call.app().await?.app.key())
    } else {
        SearchIn::Environment(call.env)
    };
    let from = filter.after.map_or(0, |after| first_key_at(after.saturating_add(1)).saturating_sub(1));
    let search = Search { settled: true, ..Search::of(within, filter) };
    let rows = call.gateway.queries.search(page.page(), search).await?;
    let push = |out: &mut Vec<u8>, row: &SearchRow| message::push(out, &row.message, true);
    Ok(page.answer_forward(&rows, |row| row.message.id, from, (IdKind::Message, push)))
}
