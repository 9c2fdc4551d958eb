//! A few connections that publish and note what was acknowledged.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::support::app::TestApp;
use crate::support::http::{Connection, Request, Response};

/// What a test sees of its producers.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    acknowledged: Mutex<Vec<(Instant, String)>>,
    refused: Mutex<Vec<Response>>,
    stop: AtomicBool,
    /// Requests that got no answer.
    pub(crate) broken: AtomicUsize,
}

impl Notes {
    pub(crate) fn acknowledged(&self) -> Vec<String> {
        self.lock().iter().map(|(_, id)| id.clone()).collect()
    }

    /// Acknowledged by answers that came after this moment.
    pub(crate) fn acknowledged_after(&self, moment: Instant) -> usize {
        self.lock().iter().filter(|(at, _)| *at > moment).count()
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    pub(crate) fn refused(&self) -> Vec<Response> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(Instant, String)>> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Publishes from several connections until it is told to stop, or the server is gone.
pub(crate) struct Producers {
    pub(crate) notes: Arc<Notes>,
    tasks: JoinSet<()>,
}

impl Producers {
    /// `payload_bytes` of filler a message; `pause` after each refusal.
    pub(crate) fn start(app: &TestApp, app_id: &str, connections: usize, payload_bytes: usize) -> Self {
        let notes = Arc::new(Notes::default());
        let mut tasks = JoinSet::new();
        let filler = "x".repeat(payload_bytes);
        let body = format!(r#"{{"eventType":"e","payload":{{"filler":"{filler}"}}}}"#);
        let request = Request::new("POST", format!("/api/v1/app/{app_id}/msg?with_content=false")).raw_json(body);
        let bytes: Arc<[u8]> = request.to_bytes(Some(&app.key)).into();
        for _ in 0..connections {
            let (notes, bytes, address) = (Arc::clone(&notes), Arc::clone(&bytes), app.address());
            tasks.spawn(async move {
                let Ok(mut connection) = Connection::open(address).await else { return };
                while !notes.stop.load(SeqCst) {
                    let Ok(answer) = connection.exchange(&bytes).await else {
                        notes.broken.fetch_add(1, SeqCst);
                        return;
                    };
                    if answer.status == 202 {
                        let id = answer.json()["id"].as_str().expect("an id").to_owned();
                        notes.lock().push((Instant::now(), id));
                    } else {
                        notes.refused.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
            });
        }
        Self { notes, tasks }
    }

    /// Waits for the last answers.
    pub(crate) async fn stop(mut self) -> Arc<Notes> {
        self.notes.stop.store(true, SeqCst);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("a producer");
        }
        self.notes
    }
}

/// Every acknowledged message can be read.
pub(crate) async fn assert_all_there(app: &TestApp, app_id: &str, acknowledged: &[String]) {
    let mut listed = std::collections::HashSet::new();
    let mut iterator = String::new();
    loop {
        let path = format!("/api/v1/app/{app_id}/msg?limit=250&with_content=false{iterator}");
        let page = app.get(path).await.expect(200).json();
        listed.extend(page["data"].as_array().expect("data").iter().map(crate::support::app::id_of));
        if page["done"] == true {
            break;
        }
        iterator = format!("&iterator={}", page["iterator"].as_str().expect("an iterator"));
    }
    let missing: Vec<_> = acknowledged.iter().filter(|id| !listed.contains(*id)).collect();
    assert!(missing.is_empty(), "{} of {} acknowledged are missing: {missing:?}", missing.len(), acknowledged.len());
}
