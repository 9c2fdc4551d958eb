//! Nodes on a database of their own.

use std::cell::RefCell;
use std::time::Duration;

use crate::lease;
use crate::support::app::{Builder, TestApp};
use crate::support::postgres::{Server, shared};
use crate::support::wait::{eventually, join_all, when};

/// Attempts in flight on one node: small, so that the bound on duplicates says something.
pub(crate) const IN_FLIGHT_MAX: u64 = 64;
const SHARED_WITHIN: Duration = Duration::from_secs(30);
/// All slots are somebody's, and nobody is to have another's.
const IS_SETTLED: &str = "select string_agg(share::text, ',' order by share) from
    (select count(*) as share from slot where wanted is null group by node having node is not null) as shares";

/// Nodes, and the database that they share.
pub(crate) struct Cluster<'s> {
    pub(crate) nodes: Vec<TestApp>,
    server: &'s Server,
    /// Other tests use that server as well.
    pub(crate) is_shared: bool,
    pub(crate) url: String,
}

/// How each node is started unless a test says otherwise.
pub(crate) fn node() -> Builder {
    let how = TestApp::builder().set("cluster.lease_s", lease().as_secs());
    how.set("delivery.attempts_in_flight_max", IN_FLIGHT_MAX).set("delivery.retry_schedule", ["2"; 50].join(","))
}

impl Cluster<'static> {
    /// Three nodes on the server that the tests share.
    pub(crate) async fn three() -> Self {
        let mut cluster = Self::start(shared(), 3, node()).await;
        cluster.is_shared = true;
        cluster
    }
}

impl<'s> Cluster<'s> {
    /// Starts nodes on a new database, all at the same moment, and waits until each has its share.
    pub(crate) async fn start(server: &'s Server, count: usize, how: Builder) -> Self {
        let url = tokio::task::block_in_place(|| server.create_database());
        Self::start_at(server, url.clone(), &url, count, how).await
    }

    /// As [`Self::start`], on a database that the nodes reach by a URL of their own.
    pub(crate) async fn start_at(server: &'s Server, url: String, seen_as: &str, count: usize, how: Builder) -> Self {
        let started = RefCell::new(Vec::new());
        let starting = (0..count).map(async |number| {
            let how = how.clone().set("storage.url", seen_as).set("cluster.node_name", format!("node-{number}"));
            let node = how.start().await;
            started.borrow_mut().push((number, node));
        });
        join_all(starting).await;
        let mut started = started.into_inner();
        started.sort_unstable_by_key(|(number, _)| *number);
        let nodes = started.into_iter().map(|(_, node)| node).collect();
        let cluster = Self { nodes, server, is_shared: false, url };
        cluster.shared_evenly_by(count).await;
        cluster
    }

    /// What `psql` prints for a statement on the database of the nodes.
    #[track_caller]
    pub(crate) fn psql(&self, sql: &str) -> String {
        let name = self.url.rsplit('/').next().expect("a name");
        tokio::task::block_in_place(|| self.server.psql(name, sql))
    }

    /// How many slots each node that holds any has, from the fewest; none that waits to be handed over.
    pub(crate) fn shares(&self) -> Vec<usize> {
        self.psql(IS_SETTLED).split(',').filter_map(|share| share.parse().ok()).collect()
    }

    /// Waits until so many nodes have all slots, none more than one above any other.
    pub(crate) async fn shared_evenly_by(&self, count: usize) {
        eventually(&format!("{count} nodes share the slots"), SHARED_WITHIN, async || {
            let shares = self.shares();
            let is_even = shares.iter().max().zip(shares.iter().min()).is_some_and(|(most, least)| most - least <= 1);
            when(shares.len() == count && shares.iter().sum::<usize>() == 256 && is_even)
        })
        .await;
    }
}

impl Drop for Cluster<'_> {
    fn drop(&mut self) {
        self.nodes.clear();
        // After a failure it is left to be looked at, until the server goes; and one of its own goes with it.
        if self.is_shared && !std::thread::panicking() {
            self.server.drop_database(&self.url);
        }
    }
}
