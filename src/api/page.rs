//! Pages of lists: `limit`, `iterator`, `order` in; `data`, `iterator`, `prevIterator`, `done` out.
//!
//! An iterator is the id of a row (for event types its name); the page holds what stands strictly
//! behind it, or, with a leading `-`, what stands before it. Being ids and not counts, iterators
//! neither repeat nor hide rows when others arrive. Where a scan was cut short, the iterator is
//! made from the place where it goes on.

use axum::body::Body;
use http::{Response, StatusCode};

use super::answer;
use super::error::Kind;
use super::query::Query;
use super::validate::{self, has_form_of};
use crate::model::{Id, IdKind, Key};
use crate::store::query::{Order, Page, Rows};

/// Rows of a page where none are asked for, and most that can be.
pub(super) const LIMIT_DEFAULT: usize = 50;
pub(super) const LIMIT_MAX: usize = 250;

/// A page as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PageQuery<C> {
    limit: usize,
    cursor: Option<C>,
    /// The iterator as it was written, without its `-`.
    written: Option<String>,
    back: bool,
    order: Order,
}

impl PageQuery<Key> {
    /// Of a list whose iterators are ids. A list without `order` runs one way only.
    pub(super) fn by_id(query: &mut Query<'_>, kind: IdKind, order: Order, can_order: bool) -> Self {
        Self::read(query, order, can_order, |text| key_of(kind, text))
    }
}

impl PageQuery<Key> {
    /// A page of messages, newest first, as a body asks for it; what it says was found right.
    pub(super) fn of_messages(limit: Option<u16>, iterator: Option<&str>) -> Self {
        let (back, written) = iterator.map_or((false, None), |text| match text.strip_prefix('-') {
            Some(rest) => (true, Some(rest)),
            None => (false, Some(text)),
        });
        Self {
            limit: limit.map_or(LIMIT_DEFAULT, usize::from),
            cursor: written.and_then(|text| key_of(IdKind::Message, text)),
            written: written.map(str::to_owned),
            back,
            order: Order::Descending,
        }
    }

    /// Of a list that runs on and on, oldest first, and never back.
    pub(super) fn forward(query: &mut Query<'_>, kind: IdKind) -> Self {
        let page = Self::by_id(query, kind, Order::Ascending, false);
        if page.back {
            query.problem("iterator", "must be an iterator of this list", Kind::Value);
        }
        page
    }

    /// The answer to who reads on and on: where to go on is said even where nothing is. `from` is where the
    /// list begins.
    pub(super) fn answer_forward<T>(
        &self,
        rows: &Rows<T>,
        key_of: impl Fn(&T) -> Id,
        from: Key,
        (kind, mut push): (IdKind, impl FnMut(&mut Vec<u8>, &T)),
    ) -> Response<Body> {
        let end = rows.resume.map(Id::first_of).or_else(|| rows.rows.last().map(key_of));
        let iterator = end.map(|id| id.format(kind)).or_else(|| self.written.clone());
        let iterator = iterator.unwrap_or_else(|| Id::first_of(from).format(kind));
        let mut out = Vec::with_capacity(256 + rows.rows.len() * 512);
        out.extend_from_slice(b"{\"data\":[");
        for (i, row) in rows.rows.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            push(&mut out, row);
        }
        out.extend_from_slice(b"],\"iterator\":");
        answer::push_str(&mut out, &iterator);
        out.extend_from_slice(if rows.done { b",\"done\":true}" } else { b",\"done\":false}" });
        answer::bytes(StatusCode::OK, "application/json", out)
    }
}

/// The place that an iterator names. An id that cannot exist (its number is too great) stands behind all others.
fn key_of(kind: IdKind, text: &str) -> Option<Key> {
    Id::parse(kind, text).map(|id| id.key).or_else(|| has_form_of(kind, text).then_some(Key::MAX))
}

/// Whether a text is an iterator of a list of messages.
pub(super) fn check_message_iterator(text: &str) -> Result<(), &'static str> {
    let written = text.strip_prefix('-').unwrap_or(text);
    key_of(IdKind::Message, written).map(drop).ok_or("must be an iterator of this list")
}

impl PageQuery<String> {
    /// Of a list whose iterators are names.
    pub(super) fn by_name(query: &mut Query<'_>) -> Self {
        Self::read(query, Order::Ascending, true, |text| {
            let name = text.strip_prefix("./").filter(|name| name.starts_with('-')).unwrap_or(text);
            validate::EVENT_TYPE.check(name).ok().map(|()| name.to_owned())
        })
    }
}

/// A name as an iterator.
pub(super) fn name_iterator(name: &str) -> String {
    if name.starts_with('-') { format!("./{name}") } else { name.to_owned() }
}

impl<C: Clone> PageQuery<C> {
    fn read(query: &mut Query<'_>, order: Order, can_order: bool, parse: impl FnOnce(&str) -> Option<C>) -> Self {
        let mut page = Self { limit: LIMIT_DEFAULT, cursor: None, written: None, back: false, order };
        if let Some(text) = query.text("limit") {
            let digits = (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
            match text.parse().ok().filter(|limit| digits && (1..=LIMIT_MAX).contains(limit)) {
                Some(limit) => page.limit = limit,
                None => query.problem("limit", "must be a number from 1 to 250", Kind::Value),
            }
        }
        if let Some(text) = query.text("iterator") {
            let (back, written) = text.strip_prefix('-').map_or((false, &*text), |rest| (true, rest));
            page.cursor = parse(written);
            page.back = back;
            page.written = Some(written.to_owned());
            if page.cursor.is_none() {
                query.problem("iterator", "must be an iterator of this list", Kind::Value);
            }
        }
        if can_order && let Some(text) = query.text("order") {
            match &*text {
                "ascending" => page.order = Order::Ascending,
                "descending" => page.order = Order::Descending,
                _ => query.problem("order", "must be ascending or descending", Kind::Value),
            }
        }
        page
    }

    /// What to ask the store for.
    pub(super) fn page(&self) -> Page<C> {
        let order = if self.back { self.order.reversed() } else { self.order };
        Page { after: self.cursor.clone(), order, limit: self.limit }
    }

    /// The answer: `iterator_of` names a row, `resume` names a place in the list, `push` writes a row.
    pub(super) fn answer<T>(
        &self,
        rows: Rows<T>,
        iterator_of: impl Fn(&T) -> String,
        resume: impl Fn(Key) -> String,
        push: impl FnMut(&mut Vec<u8>, &T),
    ) -> Response<Body> {
        self.answer_with(rows, iterator_of, resume, push, b"")
    }

    /// The same with further fields, each with a comma before it.
    pub(super) fn answer_with<T>(
        &self,
        mut rows: Rows<T>,
        iterator_of: impl Fn(&T) -> String,
        resume: impl Fn(Key) -> String,
        mut push: impl FnMut(&mut Vec<u8>, &T),
        further: &[u8],
    ) -> Response<Body> {
        if self.back {
            rows.rows.reverse();
        }
        let resumed = rows.resume.map(resume);
        let (mut next, mut prev) = (rows.rows.last().map(&iterator_of), rows.rows.first().map(&iterator_of));
        // The end towards which the list runs: where it goes on, or where it was asked for.
        let end = if self.back { &mut prev } else { &mut next };
        if let Some(resumed) = resumed {
            *end = Some(resumed);
        } else if end.is_none() {
            end.clone_from(&self.written);
        }
        let mut out = Vec::with_capacity(256 + rows.rows.len() * 512);
        out.extend_from_slice(b"{\"data\":[");
        for (i, row) in rows.rows.iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            push(&mut out, row);
        }
        out.extend_from_slice(b"],\"iterator\":");
        push_iterator(&mut out, next);
        out.extend_from_slice(b",\"prevIterator\":");
        push_iterator(&mut out, prev.map(|prev| format!("-{prev}")));
        out.extend_from_slice(if rows.done { b",\"done\":true" } else { b",\"done\":false" });
        out.extend_from_slice(further);
        out.push(b'}');
        answer::bytes(StatusCode::OK, "application/json", out)
    }
}

fn push_iterator(out: &mut Vec<u8>, iterator: Option<String>) {
    match iterator {
        None => out.extend_from_slice(b"null"),
        Some(iterator) => answer::push_str(out, &iterator),
    }
}

/// Writes a row that is serialised.
pub(super) fn push_json(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    // Writing structs of strings and numbers to memory cannot fail.
    let _ = serde_json::to_writer(out, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_id(query: &str) -> Option<PageQuery<Key>> {
        let mut parsed = Query::parse(Some(query));
        let page = PageQuery::by_id(&mut parsed, IdKind::Message, Order::Descending, false);
        parsed.finish().ok().map(|()| page)
    }

    fn text(answer: Response<Body>) -> Vec<u8> {
        use http_body::Body as _;
        let mut body = std::pin::pin!(answer.into_body());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match body.as_mut().poll_frame(&mut context) {
            std::task::Poll::Ready(Some(Ok(frame))) => frame.into_data().map(|data| data.to_vec()).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn iterators_are_ids_of_the_lists_kind() {
        let id = Id { key: 77, nonce: [9; 12] }.format(IdKind::Message);
        let page = by_id(&format!("iterator={id}&limit=3")).expect("a page").page();
        assert_eq!((page.after, page.order, page.limit), (Some(77), Order::Descending, 3));
        let page = by_id(&format!("iterator=-{id}&order=nonsense")).expect("a page").page();
        assert_eq!((page.after, page.order, page.limit), (Some(77), Order::Ascending, 50));
        for wrong in ["--", "ep_", "0", "-0", "msg_", "%2D"] {
            assert_eq!(by_id(&format!("iterator={wrong}")), None, "{wrong}");
        }
    }

    #[test]
    fn a_scan_cut_short_goes_on_where_it_stopped() {
        let page = by_id("").expect("a page");
        let rows = Rows { rows: Vec::<Key>::new(), done: false, resume: Some(5) };
        let answer = text(page.answer(rows, Key::to_string, |key| format!("k{key}"), |_, _| {}));
        assert_eq!(answer, br#"{"data":[],"iterator":"k5","prevIterator":null,"done":false}"#);
        let id = Id::first_of(9).format(IdKind::Message);
        let page = by_id(&format!("iterator=-{id}")).expect("a page");
        let rows = Rows { rows: vec![10, 11], done: false, resume: Some(50) };
        let push = |out: &mut Vec<u8>, key: &Key| out.extend_from_slice(key.to_string().as_bytes());
        let answer = text(page.answer(rows, Key::to_string, |key| format!("k{key}"), push));
        assert_eq!(answer, br#"{"data":[11,10],"iterator":"10","prevIterator":"-k50","done":false}"#);
    }

    #[test]
    fn names_that_begin_with_a_hyphen_are_written_with_a_dot() {
        let read = |text: &str| {
            let query = format!("iterator={text}");
            let mut parsed = Query::parse(Some(&query));
            let page = PageQuery::by_name(&mut parsed);
            parsed.finish().ok().and_then(|()| page.cursor.clone().map(|name| (name, page.back)))
        };
        for name in ["a", "-a", "--", "-", "./a"] {
            let iterator = name_iterator(name);
            let expected = (name != "./a").then(|| name.to_owned());
            assert_eq!(read(&iterator), expected.clone().map(|name| (name, false)));
            assert_eq!(read(&format!("-{iterator}")), expected.map(|name| (name, true)));
        }
        assert_eq!(read("-a"), Some(("a".into(), true)));
    }
}
