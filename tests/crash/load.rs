//! Producers in a closed loop, and the receiving end of 200 endpoints.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::ledger::Ledger;
use crate::support::app::TestApp;
use crate::support::http::{Connection, Request, Response};
use crate::support::receiver::Receiver;

/// Applications with one endpoint, and with five: 200 endpoints.
const SINGLE: usize = 100;
const FANNED: usize = 20;
const FAN_OUT: usize = 5;
/// One endpoint in ten fails.
const FAILING_EVERY: usize = 10;

/// Which endpoints belong to which application.
pub(crate) struct Topology {
    uids: Vec<String>,
    endpoints: Vec<String>,
}

impl Topology {
    /// Makes everything at the server.
    pub(crate) async fn make(app: &TestApp, sink: &Receiver) -> Self {
        let uids = (0..SINGLE + FANNED).map(|number| format!("crash-{number}")).collect();
        let mut topology = Self { uids, endpoints: Vec::new() };
        for (number, uid) in topology.uids.clone().iter().enumerate() {
            app.client.post("/api/v1/app", json!({ "name": uid, "uid": uid })).await.expect(201);
            for endpoint in Topology::endpoints_of(number) {
                topology.endpoints.push(app.endpoint(uid, &sink.url(&format!("/{endpoint}"))).await);
            }
        }
        topology
    }

    pub(crate) fn endpoints_of(application: usize) -> std::ops::Range<usize> {
        if application < SINGLE {
            return application..application + 1;
        }
        let first = SINGLE + (application - SINGLE) * FAN_OUT;
        first..first + FAN_OUT
    }

    pub(crate) fn applications(&self) -> impl Iterator<Item = &str> {
        self.uids.iter().map(String::as_str)
    }

    /// Every endpoint: its application's number and uid, and its own id.
    pub(crate) fn endpoints(&self) -> impl Iterator<Item = (usize, &str, &str)> {
        self.uids.iter().enumerate().flat_map(|(application, uid)| {
            let ids = &self.endpoints[Self::endpoints_of(application)];
            ids.iter().map(move |id| (application, uid.as_str(), id.as_str()))
        })
    }

    pub(crate) fn first_application(&self) -> &str {
        &self.uids[1]
    }
}

/// The receiver of all endpoints.
pub(crate) async fn start_sink(ledger: Arc<Ledger>) -> Receiver {
    Receiver::start_with(move |received| {
        let endpoint: usize = received.path.trim_start_matches('/').parse().expect("an endpoint's number");
        ledger.arrive(endpoint, endpoint.is_multiple_of(FAILING_EVERY), &received)
    })
    .await
}

/// Where the server is now, and its key; `None` tells the producers to end.
type Server = Option<(SocketAddr, String)>;

/// The producers.
pub(crate) struct Load {
    server: watch::Sender<Server>,
    producers: JoinSet<()>,
}

impl Load {
    pub(crate) fn start(count: usize, topology: &Arc<Topology>, ledger: &Arc<Ledger>, app: &TestApp) -> Self {
        let server = watch::Sender::new(Some((app.address(), app.key.clone())));
        let mut producers = JoinSet::new();
        for number in 0..count {
            let producer = Producer {
                number,
                topology: Arc::clone(topology),
                ledger: Arc::clone(ledger),
                server: server.subscribe(),
            };
            producers.spawn(producer.run());
        }
        Self { server, producers }
    }

    /// Lets the load run. The only pause here that waits for nothing but time: a moment is random.
    pub(crate) async fn run_for(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// The server is at another address now.
    pub(crate) fn go_on(&self, app: &TestApp) {
        self.server.send_replace(Some((app.address(), app.key.clone())));
    }

    /// Ends the load; each producer waits for its last answer.
    pub(crate) async fn stop(mut self) {
        self.server.send_replace(None);
        while let Some(ended) = self.producers.join_next().await {
            ended.expect("a producer");
        }
    }
}

struct Producer {
    number: usize,
    topology: Arc<Topology>,
    ledger: Arc<Ledger>,
    server: watch::Receiver<Server>,
}

impl Producer {
    async fn run(mut self) {
        let mut turn = self.number;
        loop {
            let server = self.server.borrow_and_update().clone();
            let Some((address, key)) = server else { return };
            if let Ok(mut connection) = Connection::open(address).await {
                while self.server.has_changed().is_ok_and(|changed| !changed) {
                    // A step that is prime to the number of applications visits all of them.
                    turn = (turn + 37) % self.topology.uids.len();
                    if self.publish(&mut connection, &key, turn).await.is_err() {
                        break;
                    }
                }
            }
            // The server is gone: until it is back there is nothing to do.
            if self.server.changed().await.is_err() {
                return;
            }
        }
    }

    async fn publish(&self, connection: &mut Connection, key: &str, application: usize) -> std::io::Result<()> {
        let filler = "x".repeat(100 + (application * 31) % 600);
        let (marker, payload) = self.ledger.issue(application, &filler);
        let path = format!("/api/v1/app/{}/msg?with_content=false", self.topology.uids[application]);
        let body = format!(r#"{{"eventType":"load.event","payload":{payload}}}"#);
        let request = Request::new("POST", path).raw_json(body).header("idempotency-key", &format!("auto_{marker}"));
        let answer: Response = connection.exchange(&request.to_bytes(Some(key))).await?;
        match answer.status {
            202 => self.ledger.acknowledge(marker, answer.json()["id"].as_str().expect("an id").to_owned()),
            503 => {
                self.ledger.refuse(marker);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            status => panic!("publishing answers {status}: {}", answer.text()),
        }
        Ok(())
    }
}
