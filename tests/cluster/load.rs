//! Producers at a steady pace, which go to another node with the same idempotency key when one does not answer,
//! and the receiving end.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::cluster::Cluster;
use crate::ledger::{Acknowledged, Ledger, Marker};
use crate::support::app::TestApp;
use crate::support::http::{Connection, Request, Response};
use crate::support::receiver::Receiver;
use crate::support::reply::Reply;

const PRODUCERS: usize = 32;
/// Messages a second.
const RATE: u32 = 500;
/// A receiver that takes its time: something is in flight at every moment.
const ANSWERS_AFTER: Duration = Duration::from_millis(20);
/// How long a node may take; then another is asked.
const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(10);

/// Where each node is, and the end of the load.
struct Targets {
    nodes: Mutex<Vec<Option<SocketAddr>>>,
    key: String,
    is_over: AtomicBool,
}

impl Targets {
    /// The node whose turn it is, of those that are there.
    fn pick(&self, turn: usize) -> Option<(usize, SocketAddr)> {
        let nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        (0..nodes.len()).map(|i| (turn + i) % nodes.len()).find_map(|node| Some((node, nodes[node]?)))
    }
}

/// The producers, and the receiver of all endpoints: one of each application `load-0`, `load-1` …
pub(crate) struct Load {
    pub(crate) ledger: Arc<Ledger>,
    _sink: Receiver,
    targets: Arc<Targets>,
    producers: JoinSet<()>,
    pub(crate) began: Instant,
}

impl Load {
    /// Makes the endpoints, a part at each node, and starts.
    pub(crate) async fn start(cluster: &Cluster<'_>, endpoints: usize) -> Self {
        let ledger = Arc::new(Ledger::new(endpoints));
        let noting = Arc::clone(&ledger);
        let sink = Receiver::start_with(move |received| {
            let endpoint: usize = received.path.trim_start_matches('/').parse().expect("an endpoint's number");
            noting.arrive(endpoint, &received);
            Reply::ok().after(ANSWERS_AFTER)
        })
        .await;
        for endpoint in 0..endpoints {
            let node = &cluster.nodes[endpoint % cluster.nodes.len()];
            let uid = format!("load-{endpoint}");
            node.client.post("/api/v1/app", json!({ "name": uid, "uid": uid })).await.expect(201);
            node.endpoint(&uid, &sink.url(&format!("/{endpoint}"))).await;
        }
        let addresses = cluster.nodes.iter().map(|node| Some(node.address())).collect();
        let targets = Arc::new(Targets {
            nodes: Mutex::new(addresses),
            key: cluster.nodes[0].key.clone(),
            is_over: AtomicBool::new(false),
        });
        let mut producers = JoinSet::new();
        for number in 0..PRODUCERS {
            let producer = Producer {
                number,
                targets: Arc::clone(&targets),
                ledger: Arc::clone(&ledger),
                connections: cluster.nodes.iter().map(|_| None).collect(),
            };
            producers.spawn(producer.run());
        }
        Self { ledger, _sink: sink, targets, producers, began: Instant::now() }
    }

    /// Lets the load run. The only pause here that waits for nothing but time.
    pub(crate) async fn run_for(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// A node gets nothing more.
    pub(crate) fn without(&self, node: usize) {
        self.targets.nodes.lock().unwrap_or_else(PoisonError::into_inner)[node] = None;
    }

    /// A node gets its part again, at the address where it is now.
    pub(crate) fn with(&self, node: usize, app: &TestApp) {
        self.targets.nodes.lock().unwrap_or_else(PoisonError::into_inner)[node] = Some(app.address());
    }

    /// Ends the load; each producer waits for its last answer.
    pub(crate) async fn stop(&mut self) {
        self.targets.is_over.store(true, SeqCst);
        while let Some(ended) = self.producers.join_next().await {
            ended.expect("a producer");
        }
    }
}

struct Producer {
    number: usize,
    targets: Arc<Targets>,
    ledger: Arc<Ledger>,
    connections: Vec<Option<(SocketAddr, Connection)>>,
}

impl Producer {
    async fn run(mut self) {
        let mut pace = interval(Duration::from_secs(1) * PRODUCERS as u32 / RATE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut turn = self.number;
        while !self.targets.is_over.load(SeqCst) {
            pace.tick().await;
            let endpoint = turn % self.ledger.endpoints();
            let (marker, payload) = self.ledger.issue(endpoint, &"x".repeat(100 + (turn * 31) % 600));
            self.publish(turn, marker, endpoint, &payload).await;
            turn += PRODUCERS;
        }
    }

    /// Asks one node after another until one has acknowledged it, or the load is over.
    async fn publish(&mut self, turn: usize, marker: Marker, endpoint: usize, payload: &str) {
        let path = format!("/api/v1/app/load-{endpoint}/msg?with_content=false");
        let body = format!(r#"{{"eventType":"load.event","payload":{payload}}}"#);
        let request = Request::new("POST", path).raw_json(body).header("idempotency-key", &format!("auto_{marker}"));
        let bytes = request.to_bytes(Some(&self.targets.key));
        for attempt in 0_usize.. {
            let sent_at = Instant::now();
            if let Some((node, address)) = self.targets.pick(turn / PRODUCERS + attempt)
                && let Some(answer) = self.exchange(node, address, &bytes).await
                && self.judge(marker, node, sent_at, &answer)
            {
                return;
            }
            if self.targets.is_over.load(SeqCst) {
                return;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn exchange(&mut self, node: usize, address: SocketAddr, bytes: &[u8]) -> Option<Response> {
        let kept = self.connections[node].take().filter(|(known, _)| *known == address);
        let mut connection = match kept {
            Some((_, connection)) => connection,
            None => Connection::open(address).await.ok()?,
        };
        let answer = timeout(PATIENCE, connection.exchange(bytes)).await.ok()?.ok()?;
        let closes = answer.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
        self.connections[node] = (!closes).then_some((address, connection));
        Some(answer)
    }

    /// Whether this is the end of it.
    fn judge(&self, marker: Marker, node: usize, sent_at: Instant, answer: &Response) -> bool {
        match answer.status {
            202 => {
                let id = answer.json()["id"].as_str().expect("an id").to_owned();
                self.ledger.acknowledge(marker, Acknowledged { id, node, sent_at, at: Instant::now() });
                true
            }
            503 => {
                if answer.header("retry-after").is_none() {
                    self.ledger.problem(format!("{marker}: 503 without Retry-After: {}", answer.text()));
                }
                self.ledger.refuse();
                false
            }
            status => {
                self.ledger.problem(format!("{marker}: node {node} answers {status}: {}", answer.text()));
                true
            }
        }
    }
}
