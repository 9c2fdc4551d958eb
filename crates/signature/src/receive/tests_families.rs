//! What the tests of the families make requests with. The vectors are run through the catalogue, by
//! `tests/receive/sample.rs`.

use std::collections::HashMap;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;

use super::{Cause, Failure, Fetched, Request, Settings};

/// What a test has fetched.
#[derive(Clone, Default)]
pub(super) struct Files(pub(super) HashMap<String, Vec<u8>>);

impl Fetched for Files {
    fn get(&self, url: &str) -> Option<&[u8]> {
        self.0.get(url).map(Vec::as_slice)
    }
}

/// The same, of which a later fetch may give another.
pub(super) struct Kept(pub(super) Files);

impl Fetched for Kept {
    fn get(&self, url: &str) -> Option<&[u8]> {
        self.0.get(url)
    }

    fn is_newest(&self, _url: &str) -> bool {
        false
    }
}

/// A request that owns its parts.
pub(super) struct Given {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Given {
    pub(super) fn new(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(HeaderName::try_from(*name).unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        Self { method: method.parse().unwrap(), url: url.to_owned(), headers: map, body: body.to_vec() }
    }

    pub(super) fn post(headers: &[(&str, &str)], body: &[u8]) -> Self {
        Self::new("POST", "https://hooks.posthouse.test/in/abc", headers, body)
    }

    pub(super) fn request(&self) -> Request<'_> {
        Request { method: &self.method, url: &self.url, headers: &self.headers, body: &self.body }
    }

    pub(super) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    pub(super) fn without(mut self, name: &'static str) -> Self {
        self.headers.remove(name);
        self
    }
}

pub(super) fn settings(value: Value) -> Settings {
    let Value::Object(values) = value else { panic!("settings are an object") };
    Settings::new(values)
}

pub(super) fn rejected(cause: Cause) -> Result<(), Failure> {
    Err(Failure::Rejected(cause))
}
