//! New messages, and what becomes of them, as they come: a stream of server-sent events.
//!
//! Publishing knows nothing of it. A stream reads the newest page from the store at most twice a second,
//! from the newest message that it has seen, and where the deliveries of the rows shown last stand; so it
//! sees what other nodes take, and costs nothing where nobody listens. It rests twenty times as long as a
//! read took, and the longer the more streams there are: all together they take a twentieth of a core at
//! most. A client that reads too slowly misses what was new meanwhile, and is told so.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::header::HeaderValue;
use http::{Response, StatusCode};
use http_body::Frame;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::answer;
use super::auth::{self, Caller};
use super::call::Call;
use super::error::{ApiError, Code};
use super::searched::{self, Asked};
use crate::model::{Key, MessageKey};
use crate::store::ReadError;
use crate::store::query::{Order, Page, Rows};
use crate::store::search::{Search, SearchRow, Tally};

/// Streams of a process.
pub(crate) const STREAMS_MAX: usize = 50;
/// Of these, streams that are kept for keys: however many customers look, their operator can.
const STREAMS_OF_KEYS: usize = 25;
/// Rows of an event, and rows whose deliveries are followed.
const ROWS_MAX: usize = 50;
/// Bytes of their contents; of what is longer than that by itself there is one.
const CONTENT_BYTES_MAX: usize = 1 << 20;
/// Events that wait for their client.
const EVENTS_MAX: usize = 2;
/// Between two looks.
const TICK: Duration = Duration::from_millis(500);
/// How many times as long as a read took it rests, for each stream.
const REST: u32 = 20;
/// Between two comments that keep the connection, and between two looks at the credential.
const PING: Duration = Duration::from_secs(15);
/// Between two looks at deliveries that nothing follows of by itself: they can be sent again by hand.
const REFRESH: Duration = Duration::from_secs(5);
/// How long a client may take nothing.
const STALLED: Duration = Duration::from_mins(1);

/// `GET /message/live` and `GET /app/{app_id}/message/live`.
pub(super) async fn live(call: Call, _: Body) -> Result<Response<Body>, ApiError> {
    call.param("app_id")?;
    let mut query = call.query();
    let asked = Asked::read(&mut query, !call.names_application());
    query.finish()?;
    let search = asked.search(&call).await?;
    let streams = &call.gateway.streams;
    let is_full = call.portal.is_some() && streams.available_permits() <= STREAMS_OF_KEYS;
    let place = Arc::clone(streams).try_acquire_owned().ok().filter(|_| !is_full);
    let place = place.ok_or_else(|| {
        let detail = "too many streams are open; close one, or read the list";
        ApiError::Coded(Code::RateLimited, detail.into())
    })?;
    let (events, read) = mpsc::channel(EVENTS_MAX);
    let now = Instant::now();
    let stream = Stream {
        is_portal: call.portal.is_some(),
        call,
        search,
        events,
        shown: Vec::new(),
        newest: None,
        is_first: true,
        refreshed_at: now,
        _place: place,
    };
    tokio::spawn(stream.run());
    let mut answer = answer::bytes(StatusCode::OK, "text/event-stream", Bytes::new());
    *answer.body_mut() = Body::new(Events(read));
    // A proxy that gathers answers would hold it back.
    answer.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(answer)
}

/// The body: what the stream has written.
struct Events(mpsc::Receiver<Bytes>);

impl http_body::Body for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// One open stream. It ends when its client goes or stalls, its credential opens nothing any more, or the
/// server stops.
struct Stream {
    call: Call,
    search: Search,
    is_portal: bool,
    events: mpsc::Sender<Bytes>,
    /// The rows that were shown last, newest first.
    shown: Vec<SearchRow>,
    /// The newest message that was there when it looked last.
    newest: Option<Key>,
    is_first: bool,
    refreshed_at: Instant,
    _place: OwnedSemaphorePermit,
}

impl Stream {
    async fn run(mut self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let began = Instant::now();
        let (mut read_at, mut pinged_at, mut took_at) = (began, began, began);
        loop {
            tokio::select! {
                () = self.events.closed() => return,
                _ = ticks.tick() => {}
            }
            let now = Instant::now();
            if self.call.gateway.admission.is_draining() || now >= took_at + STALLED {
                return;
            }
            if self.events.capacity() == 0 {
                continue;
            }
            took_at = now;
            if now >= pinged_at + PING {
                if !self.is_still_open().await || self.events.try_send(Bytes::from_static(b": ping\n\n")).is_err() {
                    return;
                }
                pinged_at = now;
            }
            if now < read_at || self.events.capacity() == 0 {
                continue;
            }
            match self.look().await {
                Ok(None) => {}
                Ok(Some(event)) => {
                    if self.events.try_send(event).is_err() {
                        return;
                    }
                }
                // Its client asks again.
                Err(error) => {
                    tracing::warn!(%error, "a live list ended: the store could not be read");
                    return;
                }
            }
            let streams = STREAMS_MAX.saturating_sub(self.call.gateway.streams.available_permits()).max(1) as u32;
            read_at = Instant::now() + now.elapsed() * REST * streams;
        }
    }

    /// Whether the credential that it was opened with still opens it. One whose scopes were changed has to
    /// ask again.
    async fn is_still_open(&self) -> bool {
        match auth::caller(&self.call.gateway, &self.call.parts).await {
            Ok(Caller::Holder(now)) => self.call.holder.as_ref().is_some_and(|then| then.scopes == now.scopes),
            Err(ApiError::Coded(Code::AuthenticationFailed | Code::PermissionDenied, _)) => false,
            Ok(Caller::Portal(_)) | Err(_) => true,
        }
    }

    /// What is new since it looked last.
    async fn look(&mut self) -> Result<Option<Bytes>, ReadError> {
        let queries = Arc::clone(&self.call.gateway.queries);
        let newest = queries.newest_message().await?;
        // A message comes to stand so some time after it came: its place is not among the newest then.
        let newer_than = self.newest.filter(|_| self.search.status.is_none());
        let page = Page { after: None, order: Order::Descending, limit: ROWS_MAX };
        let mut found = queries.search(page, Search { newer_than, ..self.search.clone() }).await?;
        let is_long = cut(&mut found.rows);
        let now_found: Vec<Key> = found.rows.iter().map(|row| row.message.id.key).collect();
        let mut changed = self.refresh().await?;
        self.newest = newest.max(self.newest);
        let (done, was_cut) = (found.done, found.resume.is_some());
        let fresh = self.fresh(found);
        let is_full = is_long || fresh.len() == ROWS_MAX && !done;
        changed.retain(|row| fresh.iter().all(|other| other.message.id != row.message.id));
        let is_first = std::mem::replace(&mut self.is_first, false);
        if fresh.is_empty() && changed.is_empty() && !is_first {
            return Ok(None);
        }
        let skipped = !is_first && (is_full || (was_cut && newer_than.is_some()));
        let event = self.event(fresh.iter().chain(&changed), skipped, is_first);
        self.show(fresh, &now_found);
        Ok(Some(event))
    }

    /// Of the rows that were found those that are new, or stand otherwise than they were shown.
    fn fresh(&self, found: Rows<SearchRow>) -> Vec<SearchRow> {
        let is_shown = |row: &SearchRow| {
            self.shown.iter().any(|shown| shown.message.id == row.message.id && shown.tally == row.tally)
        };
        found.rows.into_iter().filter(|row| !is_shown(row)).collect()
    }

    /// Looks again where the deliveries of the rows shown stand, of those that something follows of by
    /// itself more often; the rows that changed.
    async fn refresh(&mut self) -> Result<Vec<SearchRow>, ReadError> {
        let all = self.refreshed_at.elapsed() >= REFRESH;
        if all {
            self.refreshed_at = Instant::now();
        }
        let is_wanted = |row: &&SearchRow| all || row.tally.as_ref().is_none_or(Tally::is_open);
        let wanted: Vec<MessageKey> = self.shown.iter().filter(is_wanted).map(|row| row.message.key()).collect();
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let mut changed = Vec::new();
        for (key, tally) in self.call.gateway.queries.tallies(wanted).await? {
            let row = self.shown.iter_mut().find(|row| row.message.key() == key && row.tally != Some(tally));
            if let Some(row) = row {
                row.tally = Some(tally);
                changed.push(row.clone());
            }
        }
        Ok(changed)
    }

    /// Keeps what was found just now, which would be taken for new the next time, and then the newest of what
    /// is shown.
    fn show(&mut self, fresh: Vec<SearchRow>, found: &[Key]) {
        self.shown.retain(|row| fresh.iter().all(|other| other.message.id != row.message.id));
        self.shown.extend(fresh);
        self.shown.sort_unstable_by_key(|row| {
            let key = row.message.id.key;
            (!found.contains(&key), std::cmp::Reverse(key))
        });
        cut(&mut self.shown);
    }

    fn event<'r>(&self, rows: impl Iterator<Item = &'r SearchRow>, skipped: bool, is_first: bool) -> Bytes {
        let mut rows: Vec<&SearchRow> = rows.collect();
        rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.message.id.key));
        let mut json = b"{\"data\":[".to_vec();
        for (i, row) in rows.into_iter().enumerate() {
            if i > 0 {
                json.push(b',');
            }
            searched::push(&mut json, row, self.search.filter.with_content, self.is_portal);
        }
        json.push(b']');
        if !is_first {
            json.extend_from_slice(if skipped { b",\"skipped\":true" } else { b",\"skipped\":false" });
        }
        json.push(b'}');
        page_event(&json)
    }
}

/// Keeps the first rows, within the bounds of an event; says whether the bound in bytes has cut them.
fn cut(rows: &mut Vec<SearchRow>) -> bool {
    rows.truncate(ROWS_MAX);
    let mut bytes = 0;
    let kept = rows.iter().take_while(|row| {
        let length = row.message.payload.as_ref().map_or(0, Bytes::len);
        let is_first = bytes == 0;
        bytes += length;
        is_first || bytes <= CONTENT_BYTES_MAX
    });
    let kept = kept.count();
    let is_cut = kept < rows.len();
    rows.truncate(kept);
    is_cut
}

/// A JSON text as an event `page`. Payloads are shown as they came: where they have line breaks, which in
/// JSON stand between values only, the event has several lines, which its reader puts together again.
fn page_event(json: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(json.len() + 64);
    out.extend_from_slice(b"event: page\n");
    for line in json.split(|byte| matches!(byte, b'\n' | b'\r')) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.push(b'\n');
    out.into()
}

#[cfg(test)]
mod tests {
    use super::page_event;

    #[test]
    fn line_breaks_between_values_are_lines_of_the_event() {
        let event = page_event(b"{\"a\":\r\n1,\n\"b\":2}");
        assert_eq!(event, "event: page\ndata: {\"a\":\ndata: \ndata: 1,\ndata: \"b\":2}\n\n");
    }
}
