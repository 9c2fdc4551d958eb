//! Query parameters. Unknown ones are ignored; what is read once must be there once.

use std::borrow::Cow;

use super::error::{ApiError, Kind, Problem};
use super::time;
use super::validate::Rule;
use crate::model::UnixMs;

/// The parameters of a request, with what was found wrong so far.
pub(super) struct Query<'a> {
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    problems: Vec<Problem>,
}

impl<'a> Query<'a> {
    /// Takes the query apart. Percent-encoded bytes that are no UTF-8 become U+FFFD, which no
    /// rule lets through.
    pub(super) fn parse(query: Option<&'a str>) -> Self {
        let pairs = query.map(|query| url::form_urlencoded::parse(query.as_bytes()).collect()).unwrap_or_default();
        Self { pairs, problems: Vec::new() }
    }

    /// Something is wrong with a parameter.
    pub(super) fn problem(&mut self, name: &'static str, msg: impl Into<Cow<'static, str>>, kind: Kind) {
        self.problems.push(Problem { loc: vec!["query".into(), name.into()], msg: msg.into(), kind });
    }

    /// A parameter that may be there once.
    pub(super) fn text(&mut self, name: &'static str) -> Option<Cow<'a, str>> {
        #[cfg(test)]
        asked::note(name);
        let mut all = self.pairs.iter().filter(|(key, _)| key == name);
        let value = all.next().map(|(_, value)| value.clone());
        if all.next().is_some() {
            self.problem(name, "given more than once", Kind::Duplicate);
            return None;
        }
        value
    }

    /// A parameter with a rule.
    pub(super) fn ruled(&mut self, name: &'static str, rule: &Rule) -> Option<String> {
        let text = self.text(name)?;
        match rule.check(&text) {
            Ok(()) => Some(text.into_owned()),
            Err(msg) => {
                self.problem(name, msg, Kind::Value);
                None
            }
        }
    }

    /// A list, repeated or with commas.
    pub(super) fn list(&mut self, name: &'static str, items_max: usize, rule: &Rule) -> Vec<String> {
        #[cfg(test)]
        asked::note(name);
        let mut found: Vec<String> = Vec::new();
        let mut wrong = None;
        for (_, value) in self.pairs.iter().filter(|(key, _)| key == name) {
            for item in value.split(',') {
                if let Err(msg) = rule.check(item) {
                    wrong = Some(msg);
                } else if found.len() >= items_max {
                    wrong = Some("too many items");
                } else if !found.iter().any(|other| other == item) {
                    found.push(item.to_owned());
                }
                if wrong.is_some() {
                    break;
                }
            }
        }
        if let Some(msg) = wrong {
            self.problem(name, msg, Kind::Value);
        }
        found
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, name: &'static str, default: bool) -> bool {
        match self.text(name).as_deref() {
            None => default,
            Some("true") => true,
            Some("false") => false,
            Some(_) => {
                self.problem(name, "must be true or false", Kind::Type);
                default
            }
        }
    }

    /// A moment.
    pub(super) fn time(&mut self, name: &'static str) -> Option<UnixMs> {
        let text = self.text(name)?;
        let found = time::parse(&text);
        if found.is_none() {
            self.problem(name, "must be a time of RFC 3339 such as 2030-01-31T08:00:00Z", Kind::Type);
        }
        found
    }

    /// A moment that must be there.
    pub(super) fn required_time(&mut self, name: &'static str) -> Option<UnixMs> {
        let before = self.problems.len();
        let found = self.time(name);
        if found.is_none() && self.problems.len() == before {
            self.problem(name, "is required", Kind::Missing);
        }
        found
    }

    /// A number of `allowed`.
    pub(super) fn one_of(&mut self, name: &'static str, allowed: &[u16]) -> Option<u16> {
        let text = self.text(name)?;
        let found = text.parse().ok().filter(|number| allowed.contains(number) && *text == number.to_string());
        if found.is_none() {
            self.problem(name, format!("must be one of {allowed:?}"), Kind::Value);
        }
        found
    }

    /// All that was wrong.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        if self.problems.is_empty() { Ok(()) } else { Err(ApiError::Invalid(self.problems)) }
    }
}

/// Which parameters handlers asked for, so that tests can compare them with the description.
#[cfg(test)]
pub(super) mod asked {
    use std::cell::RefCell;

    thread_local! {
        static NAMES: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
    }

    /// One was asked for.
    pub(super) fn note(name: &'static str) {
        NAMES.with_borrow_mut(|names| names.push(name));
    }

    /// Those that were asked for on this thread since this was called last.
    pub(in crate::api) fn take() -> Vec<&'static str> {
        NAMES.take()
    }
}
