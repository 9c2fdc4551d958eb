//! Bringing the tables up to date: forward only, under a lock, each migration in a transaction of its own.

use anyhow::{Context, bail};

use super::options::PgOptions;
use super::session::{Session, SessionError};
use super::standing::MIGRATION_LOCK;
use crate::store::key_file::{self, Key};
use crate::store::sql::db::{Db, Value};
use crate::store::sql::reseal;

const MIGRATIONS: &[&str] = &[
    include_str!("../../../migrations/postgres/0001_initial.sql"),
    include_str!("../../../migrations/postgres/0002_access.sql"),
    include_str!("../../../migrations/postgres/0003_queries.sql"),
    include_str!("../../../migrations/postgres/0004_insight.sql"),
    include_str!("../../../migrations/postgres/0005_actions.sql"),
];
/// The oldest PostgreSQL that may be used, as it numbers its versions.
const SERVER_VERSION_MIN: i64 = 150_000;

/// What `meta` has while an installation is copied: what tells it from others.
pub(in crate::store) const COPYING: &str = "copying";

/// How far the tables are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MigrationStatus {
    /// Migrations that were applied.
    pub applied: usize,
    /// Migrations that this version knows.
    pub known: usize,
}

/// How far the tables are; nothing is changed.
pub fn status(options: &PgOptions) -> anyhow::Result<MigrationStatus> {
    let session = super::connect(options)?;
    Ok(MigrationStatus { applied: applied(&session)?, known: MIGRATIONS.len() })
}

/// Brings the tables up to date; without `may_migrate` only says whether they are. Tables that a newer version
/// has made are refused.
pub fn migrate(options: &PgOptions, may_migrate: bool) -> anyhow::Result<()> {
    let session = super::connect(options)?;
    check_server(&session)?;
    let done = applied(&session)?;
    if done > MIGRATIONS.len() {
        bail!(
            "the database is at migration {done}, this Posthouse knows up to {}: start the newer Posthouse",
            MIGRATIONS.len()
        );
    }
    if done < MIGRATIONS.len() {
        if !may_migrate {
            bail!(
                "the database is at migration {done} of {}: `posthouse migrate up` brings it up to date",
                MIGRATIONS.len()
            );
        }
        up(&session)?;
    }
    Ok(())
}

/// Refuses a database into which an installation is being copied, or was not copied to the end.
pub fn check_whole(options: &PgOptions) -> anyhow::Result<()> {
    let session = super::connect(options)?;
    let copying = session.prepare("SELECT 1 FROM meta WHERE name = ?")?;
    if !session.query(&copying, &[Value::Text(COPYING.into())])?.is_empty() {
        bail!(
            "an installation is being copied into the database, and not all of it is there: \
             `posthouse migrate copy` finishes it"
        );
    }
    Ok(())
}

/// The encryption key that the database itself keeps; the first who asks puts it there. Says whether this was
/// the first.
pub fn kept_key(options: &PgOptions) -> anyhow::Result<(Key, bool)> {
    let session = super::connect(options)?;
    let put = session.prepare("INSERT INTO meta (name, value) VALUES ('key', ?) ON CONFLICT DO NOTHING")?;
    let is_first = session.execute(&put, &[Value::Blob(key_file::draw().to_vec().into())])? == 1;
    let kept = session.query(&session.prepare("SELECT value FROM meta WHERE name = 'key'")?, &[])?;
    let kept = kept.first().map_or(Ok(Vec::new()), |row| row.bytes(0))?;
    let Ok(key) = kept.try_into() else { bail!("the encryption key in the database is damaged") };
    Ok((key, is_first))
}

/// Checks that the sealer's key is the database's.
pub fn check_key(options: &PgOptions) -> anyhow::Result<()> {
    let session = super::connect(options)?;
    session.batch("BEGIN")?;
    session.batch(&format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))?;
    let checked = reseal::check_key(Db::Postgres(&session), &options.sealer);
    session.batch(if checked.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    checked
}

fn check_server(session: &Session) -> anyhow::Result<()> {
    let version = session.query(&session.prepare("SELECT current_setting('server_version_num')::bigint")?, &[])?;
    let version = version.first().map_or(Ok(0), |row| row.integer(0))?;
    if version < SERVER_VERSION_MIN {
        bail!("PostgreSQL {} is too old: at least 15 is needed", version / 10_000);
    }
    Ok(())
}

fn applied(session: &Session) -> Result<usize, SessionError> {
    let there = session.query(&session.prepare("SELECT to_regclass('migration') IS NOT NULL")?, &[])?;
    if there.first().map_or(Ok(0), |row| row.integer(0))? == 0 {
        return Ok(0);
    }
    let count = session.query(&session.prepare("SELECT coalesce(max(number), 0)::bigint FROM migration")?, &[])?;
    count.first().map_or(Ok(0), |row| row.integer(0)).map(|count| count as usize)
}

fn up(session: &Session) -> anyhow::Result<()> {
    session.batch(&format!(
        "BEGIN; SELECT pg_advisory_xact_lock({MIGRATION_LOCK});
         CREATE TABLE IF NOT EXISTS migration (number INTEGER PRIMARY KEY, applied_at TIMESTAMPTZ NOT NULL DEFAULT now());
         COMMIT"
    ))?;
    for (i, sql) in MIGRATIONS.iter().enumerate() {
        let number = i + 1;
        session.batch(&format!("BEGIN; SELECT pg_advisory_xact_lock({MIGRATION_LOCK})"))?;
        // Another node may have been quicker.
        let result = if applied(session)? < number {
            session
                .batch(sql)
                .and_then(|()| session.batch(&format!("INSERT INTO migration (number) VALUES ({number})")))
        } else {
            Ok(())
        };
        session.batch(if result.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
        result.with_context(|| format!("migration {number}"))?;
    }
    Ok(())
}
