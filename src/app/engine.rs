//! The store that the configuration names, opened: the embedded one or PostgreSQL.

use std::sync::Arc;

use anyhow::Context;

use super::CA_BYTES_MAX;
use super::folder::Folder;
use super::node::Node;
use crate::config::{Config, PostgresUrl};
use crate::dispatch::ownership::{BootClock, Ownership};
use crate::dispatch::runner::{Alone, Neighbours};
use crate::metrics::Metrics;
use crate::model::UnixMs;
use crate::store::postgres::{self, Cluster, PgOptions, PgReader, PgWriter, Standing};
use crate::store::query::StoreQueries;
use crate::store::seal::Sealer;
use crate::store::sqlite::{self, SqliteOptions, SqliteReader, SqliteWriter};
use crate::store::{StoreReader, StoreWriter};

/// Connections of a node that are not the readers': the writer's, two of the control loop, the one that listens.
const OTHER_CONNECTIONS: usize = 4;

/// Opens the writer, on the thread that is to own it.
pub(super) type OpenWriter = Box<dyn FnOnce() -> anyhow::Result<Box<dyn StoreWriter>> + Send>;

/// An opened store.
pub(super) struct Engine {
    pub(super) sealer: Arc<Sealer>,
    pub(super) reader: Arc<dyn StoreReader>,
    pub(super) queries: Arc<dyn StoreQueries>,
    pub(super) open_writer: OpenWriter,
    pub(super) ownership: Arc<Ownership>,
    pub(super) neighbours: Arc<dyn Neighbours>,
    /// This process among others, on PostgreSQL.
    pub(super) node: Option<Arc<Node>>,
}

impl Engine {
    /// Opens it.
    pub(super) async fn open(
        config: &Config,
        folder: &Folder,
        metrics: Arc<Metrics>,
        now: UnixMs,
    ) -> anyhow::Result<Self> {
        match &config.storage.url {
            None => Self::embedded(config, folder, now),
            Some(url) => Self::postgres(config, folder, url, metrics).await,
        }
    }

    fn embedded(config: &Config, folder: &Folder, now: UnixMs) -> anyhow::Result<Self> {
        folder.check_not_moved()?;
        let sealer = Arc::new(folder.sealer()?);
        let options = SqliteOptions {
            folder: folder.path().to_owned(),
            wal_bytes_max: config.storage.wal_bytes_max,
            sealer: Arc::clone(&sealer),
        };
        sqlite::prepare(&options)?;
        let reader = Arc::new(SqliteReader::open(options.clone()));
        let (endpoints_max, days) = (config.limits.endpoints_per_application, config.retention.payload_days);
        let open_writer = move || -> anyhow::Result<Box<dyn StoreWriter>> {
            Ok(Box::new(SqliteWriter::open(&options, endpoints_max, now)?.keeping_own_payloads(days)))
        };
        Ok(Self {
            sealer,
            reader: reader.clone(),
            queries: reader,
            open_writer: Box::new(open_writer),
            ownership: Ownership::all(),
            neighbours: Arc::new(Alone),
            node: None,
        })
    }

    async fn postgres(
        config: &Config,
        folder: &Folder,
        url: &PostgresUrl,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let readers = config.storage.pool_max.saturating_sub(OTHER_CONNECTIONS);
        let roots = match &config.egress.extra_ca_file {
            Some(file) => Some(crate::config::read_capped(file, CA_BYTES_MAX)?.into_bytes()),
            None => None,
        };
        let nobody = Arc::new(Sealer::new(&[0; 32]));
        let options = PgOptions::new(url.reveal(), roots.as_deref(), nobody, readers)?.with_metrics(metrics);
        let listening = match &config.storage.listen_url {
            Some(url) => PgOptions::new(url.reveal(), roots.as_deref(), Arc::clone(&options.sealer), readers)?,
            None => options.clone(),
        };
        let (may_migrate, key_file) = (config.storage.migrate, config.storage.key_file.is_some());
        let own_key = key_file.then(|| folder.sealer()).transpose()?;
        let opened = tokio::task::spawn_blocking(move || -> anyhow::Result<PgOptions> {
            postgres::migrate(&options, may_migrate).context("preparing the database")?;
            postgres::check_whole(&options)?;
            let sealer = if let Some(sealer) = own_key {
                sealer
            } else {
                let (key, is_first) = postgres::kept_key(&options)?;
                if is_first {
                    tracing::warn!(
                        "the encryption key is kept in the database, beside what it encrypts: \
                         storage.key_file keeps it apart"
                    );
                }
                Sealer::new(&key)
            };
            let options = options.with_sealer(Arc::new(sealer));
            postgres::check_key(&options)?;
            Ok(options)
        });
        let options = opened.await??;
        let reader = PgReader::new(&options);
        let (standing, ownership) = (Arc::new(Standing::default()), Ownership::none(BootClock));
        let node = Arc::new(Node::new(
            Cluster::new(options.clone()),
            listening,
            reader.clone(),
            Arc::clone(&standing),
            folder.node_name(config.cluster.node_name.as_deref())?,
            config.cluster.lease_s,
        ));
        let sealer = Arc::clone(&options.sealer);
        let (endpoints_max, days) = (config.limits.endpoints_per_application, config.retention.payload_days);
        let open_writer = move || -> anyhow::Result<Box<dyn StoreWriter>> {
            Ok(Box::new(PgWriter::new(options, standing, endpoints_max).keeping_own_payloads(days)))
        };
        let reader = Arc::new(reader);
        Ok(Self {
            sealer,
            reader: reader.clone(),
            queries: reader,
            open_writer: Box::new(open_writer),
            ownership,
            neighbours: node.teller(),
            node: Some(node),
        })
    }
}
