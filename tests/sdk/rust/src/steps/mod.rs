//! The steps, and what all of them use: saying what was proved, waiting, errors, pages, signatures.

use std::time::Duration;

use tokio::time::Instant;

pub(crate) use super::{names, prelude, sdk};
use crate::receiver::{Received, Receiver, WAIT_TIME};
use sdk::api::{Svix, SvixOptions};
use sdk::error::{Error, Result};

/// The page that a call answers.
macro_rules! page {
    ($call:expr) => {{
        let page = $call.await.expect("a page");
        let ids: Vec<String> = page.data.into_iter().map(|row| row.id).collect();
        PageOf { ids, next: page.iterator, back: page.prev_iterator, done: page.done }
    }};
}

mod configuration;
mod ingest;
mod operations;
mod traffic;

const PAGES_MAX: usize = 100;

/// What the steps work with: the server's environment, and the application and endpoints made in it.
pub(crate) struct Stage<'a> {
    svix: Svix,
    url: &'a str,
    receiver: &'a Receiver,
    app: String,
    endpoint: String,
    broken: String,
}

pub(crate) async fn all(url: &str, key: &str, receiver: &Receiver) {
    println!("svix {}", names::VERSION);
    let [app, endpoint, broken] = [const { String::new() }; 3];
    let mut stage = Stage { svix: client(url, key), url, receiver, app, endpoint, broken };
    operations::health(&stage).await;
    stage.app = configuration::applications(&stage.svix).await;
    configuration::event_types(&stage.svix).await;
    (stage.endpoint, stage.broken) = configuration::endpoints(&stage).await;
    configuration::headers(&stage).await;
    let message = traffic::messages(&stage).await;
    traffic::attempts(&stage, &message).await;
    traffic::attempted(&stage, &message).await;
    traffic::statistics(&stage).await;
    traffic::rotation(&stage).await;
    traffic::examples(&stage).await;
    traffic::recovery(&stage).await;
    traffic::contents(&stage, &message).await;
    operations::operational(&stage).await;
    ingest::ingest(&stage).await;
    operations::portal(&stage).await;
    operations::refusals(&stage).await;
    stage.svix.application().delete(stage.app).await.expect("deleted");
}

fn client(url: &str, key: &str) -> Svix {
    Svix::new(key.to_owned(), Some(SvixOptions { server_url: Some(url.to_owned()), ..SvixOptions::default() }))
}

fn s(text: &str) -> String {
    text.to_owned()
}

/// Says that an operation did what its step expects. `tests/sdk.rs` reads it.
fn proved(operation: &str) {
    println!("proved {operation}");
}

/// Waits until a condition has a value; the value.
async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + WAIT_TIME;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The call ended with an error of this status, of the SDK's kind for it, with all its fields; its code.
#[track_caller]
fn fails_with<T>(status: u16, result: Result<T>) -> String {
    match result {
        Err(Error::Http(error)) if error.status.as_u16() == status => {
            let payload = error.payload.expect("the fields of an error");
            assert!(!payload.code.is_empty() && !payload.detail.is_empty(), "{payload:?}");
            payload.code
        }
        Err(error) => panic!("expected {status}: {error}"),
        Ok(_) => panic!("expected {status}"),
    }
}

/// The call ended with a 422 that names this field, and no other.
#[track_caller]
fn field_refused<T>(field: &str, result: Result<T>) {
    let error = match result {
        Err(Error::Validation(error)) => error,
        Err(error) => panic!("expected 422: {error}"),
        Ok(_) => panic!("expected 422"),
    };
    let detail = error.payload.expect("the fields of an error").detail;
    assert!(detail.iter().all(|problem| !problem.msg.is_empty()), "{detail:?}");
    let named: Vec<&str> = detail.iter().filter_map(|problem| Some(problem.loc.last()?.as_str())).collect();
    assert_eq!(named, [field]);
}

/// One page of a list.
struct PageOf {
    ids: Vec<String>,
    next: Option<String>,
    back: Option<String>,
    done: bool,
}

/// All ids of a list, read forward page by page, and then read back the same.
async fn walk(mut read: impl AsyncFnMut(Option<String>) -> PageOf) -> Vec<String> {
    let mut page = read(None).await;
    let mut forward = vec![page.ids.clone()];
    while !page.done {
        assert!(forward.len() < PAGES_MAX, "the list does not end");
        page = read(page.next).await;
        forward.push(page.ids.clone());
    }
    let mut backward = vec![page.ids];
    while backward.len() < forward.len() {
        page = read(page.back).await;
        backward.insert(0, page.ids);
    }
    assert_eq!(backward, forward);
    forward.concat()
}

/// The body, found good with each of the secrets, and wrong when it is touched.
#[track_caller]
fn verified<'a>(received: &'a Received, secrets: &[&str]) -> &'a [u8] {
    for secret in secrets {
        let webhook = sdk::webhooks::Webhook::new(secret).expect("a secret");
        webhook.verify(&received.body, &received.headers).expect("a good signature");
        assert!(webhook.verify(&[&received.body, &b" "[..]].concat(), &received.headers).is_err());
    }
    &received.body
}

/// The body as JSON, verified.
#[track_caller]
fn json(received: &Received, secrets: &[&str]) -> serde_json::Value {
    serde_json::from_slice(verified(received, secrets)).expect("JSON")
}
