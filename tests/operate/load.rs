//! Producers that publish with idempotency keys, and a book of what was acknowledged and what arrived.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::support::app::{TestApp, id_of};
use crate::support::http::{Client, Request};
use crate::support::receiver::Receiver;
use crate::support::reply::Reply;
use crate::support::wait::{SOON, eventually, when};

const PRODUCERS: usize = 8;
const DELIVERED_WITHIN: Duration = Duration::from_secs(30);

/// A publish that was acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) key: String,
    pub(crate) body: Value,
    pub(crate) id: String,
}

#[derive(Default)]
struct Book {
    acknowledged: Mutex<Vec<Sent>>,
    arrived: Mutex<HashMap<String, usize>>,
    ill: AtomicBool,
    stop: AtomicBool,
}

/// Messages of one application to one endpoint.
pub(crate) struct Load {
    book: Arc<Book>,
    pub(crate) app_id: String,
    pub(crate) endpoint_id: String,
    _receiver: Receiver,
    producers: Vec<JoinHandle<()>>,
}

impl Load {
    /// An application and its endpoint; nothing is published yet.
    pub(crate) async fn prepare(app: &TestApp) -> Self {
        let book = Arc::<Book>::default();
        let noting = Arc::clone(&book);
        let receiver = Receiver::start_with(move |arrived| {
            if noting.ill.load(SeqCst) {
                return Reply::status(500);
            }
            *lock(&noting.arrived).entry(arrived.message_id().to_owned()).or_default() += 1;
            Reply::ok()
        });
        let receiver = receiver.await;
        let app_id = app.application("Load").await;
        let endpoint_id = app.endpoint(&app_id, &receiver.url("/load")).await;
        Self { book, app_id, endpoint_id, _receiver: receiver, producers: Vec::new() }
    }

    /// Publishes from now on.
    pub(crate) fn start(&mut self, app: &TestApp) {
        self.book.stop.store(false, SeqCst);
        let turn = Arc::new(AtomicUsize::new(0));
        let produce = |number| {
            tokio::spawn(produce(
                app.client.clone(),
                self.app_id.clone(),
                number,
                Arc::clone(&turn),
                Arc::clone(&self.book),
            ))
        };
        self.producers = (0..PRODUCERS).map(produce).collect();
    }

    /// Publishes no more.
    pub(crate) async fn stop(&mut self) {
        self.book.stop.store(true, SeqCst);
        for producer in self.producers.drain(..) {
            producer.await.expect("a producer");
        }
    }

    /// Whether the receiver answers 500 from now on.
    pub(crate) fn set_ill(&self, ill: bool) {
        self.book.ill.store(ill, SeqCst);
    }

    pub(crate) fn acknowledged(&self) -> Vec<Sent> {
        lock(&self.book.acknowledged).clone()
    }

    /// Waits until so many more were acknowledged.
    pub(crate) async fn goes_on(&self, more: usize) {
        let before = self.acknowledged().len();
        eventually("the load goes on", SOON, async || when(self.acknowledged().len() >= before + more)).await;
    }

    /// Waits until all of these have arrived.
    pub(crate) async fn arrive(&self, sent: &[Sent]) {
        eventually("all that was acknowledged arrives", DELIVERED_WITHIN, async || {
            let arrived = lock(&self.book.arrived);
            when(sent.iter().all(|sent| arrived.contains_key(&sent.id)))
        })
        .await;
    }

    /// Each key is still known: the same body is the same message, another body is refused.
    pub(crate) async fn assert_known(&self, app: &TestApp, sent: &[Sent]) {
        for sent in sent {
            let again = app.client.send(request(&self.app_id, &sent.key, &sent.body)).await.expect(202);
            assert_eq!(id_of(&again.json()), sent.id, "{} is known", sent.key);
            let other = json!({ "eventType": "e", "payload": { "other": true } });
            app.client.send(request(&self.app_id, &sent.key, &other)).await.error(409);
        }
    }
}

fn request(app_id: &str, key: &str, body: &Value) -> Request {
    Request::new("POST", format!("/api/v1/app/{app_id}/msg")).header("idempotency-key", key).json(body)
}

async fn produce(client: Client, app_id: String, number: usize, turn: Arc<AtomicUsize>, book: Arc<Book>) {
    while !book.stop.load(SeqCst) {
        let key = format!("{number}-{}", turn.fetch_add(1, SeqCst));
        let body = json!({ "eventType": "e", "payload": { "key": key } });
        // What has no answer was not acknowledged: the server may have been killed.
        let Ok(answer) = client.try_send(&request(&app_id, &key, &body)).await else { return };
        assert_eq!(answer.status, 202, "{}", answer.text());
        lock(&book.acknowledged).push(Sent { key, body, id: id_of(&answer.json()) });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
