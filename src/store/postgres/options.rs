//! Where the database is, and how it is spoken to.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::config::{SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::session::SessionError;
use super::tls;
use crate::metrics::Metrics;
use crate::store::seal::Sealer;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long what was sent may stay without the other side having it: then the connection is given up.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(10);
/// Silence after which the other side is asked whether it is still there.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(3);
const KEEPALIVE_RETRIES: u32 = 3;

/// The mode in which the certificate is checked, which is not the library's.
const VERIFY_FULL: &str = "sslmode=verify-full";

/// Where the database is. Cheap to clone.
#[derive(Clone)]
pub struct PgOptions {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    /// Opens and seals secrets.
    pub sealer: Arc<Sealer>,
    /// Connections of the readers.
    pub readers: usize,
    /// What is measured.
    pub(super) metrics: Arc<Metrics>,
}

impl PgOptions {
    /// From a `postgres://` URL. TLS as its `sslmode` says: `disable`; `prefer` (the default) and `require`,
    /// which check no certificate; `verify-full`, which checks it against the public roots and
    /// `extra_roots_pem`.
    pub fn new(url: &str, extra_roots_pem: Option<&[u8]>, sealer: Arc<Sealer>, readers: usize) -> anyhow::Result<Self> {
        let verifies = url.contains(VERIFY_FULL);
        let url = url.replace(VERIFY_FULL, "sslmode=require");
        let mut config: Config = url.parse().map_err(|error| anyhow::anyhow!("storage.url: {error}"))?;
        config
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_user_timeout(UNACKNOWLEDGED_MAX)
            .keepalives(true)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES);
        // With several hosts: the one that takes changes, also after another was promoted.
        if config.get_hosts().len() > 1 {
            config.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        if config.get_application_name().is_none() {
            config.application_name("posthouse");
        }
        let has_tls = config.get_ssl_mode() != SslMode::Disable;
        let tls = has_tls.then(|| tls::config(verifies, extra_roots_pem)).transpose()?.map(MakeRustlsConnect::new);
        Ok(Self { config, tls, sealer, readers, metrics: Arc::new(Metrics::new()) })
    }

    /// Measured by these.
    #[must_use]
    pub fn with_metrics(self, metrics: Arc<Metrics>) -> Self {
        Self { metrics, ..self }
    }

    /// With another sealer.
    #[must_use]
    pub fn with_sealer(self, sealer: Arc<Sealer>) -> Self {
        Self { sealer, ..self }
    }

    /// Connects; the connection's wheels turn on the runtime of the caller.
    pub(super) async fn connect(&self) -> Result<Client, SessionError> {
        if let Some(tls) = &self.tls {
            let (client, connection) = self.config.connect(tls.clone()).await?;
            tokio::spawn(connection);
            return Ok(client);
        }
        let (client, connection) = self.config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    pub(super) fn tls(&self) -> Option<MakeRustlsConnect> {
        self.tls.clone()
    }

    pub(super) const fn config(&self) -> &Config {
        &self.config
    }
}
