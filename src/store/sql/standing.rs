//! How the store stands at this moment: what waits in an environment, how large it is, who shares it.

use super::db::{Db, NONE, Result, params};
use crate::model::{AppKey, EnvKey};
use crate::store::query::{NodeRow, Standing, StoreSize, TableSize};

/// Pending deliveries, and waiting ones, that are looked at.
const LOOKED_AT: i64 = Standing::WAITING_MAX as i64 / 2;
/// Tables that are told of.
const TABLES_MAX: i64 = 50;
/// Nodes that are told of: as many as have numbers.
const NODES_MAX: i64 = 512;

/// How an environment stands.
pub(in crate::store) fn of_env(db: Db<'_>, env: EnvKey) -> Result<Standing> {
    let mut standing = Standing { is_alone: true, ..Standing::default() };
    for table in ["pending", "waiting"] {
        // Put together by endpoint before anything else: endpoints are few where deliveries are many.
        let sql = format!(
            "SELECT CAST(coalesce(sum(number), 0) AS BIGINT),
                    CAST(coalesce(sum(CASE WHEN application.env = ? THEN number ELSE 0 END), 0) AS BIGINT)
             FROM (SELECT endpoint, count(*) AS number
                   FROM (SELECT endpoint FROM {table} LIMIT ?) AS taken GROUP BY endpoint) AS counted
               LEFT JOIN endpoint ON endpoint.key = counted.endpoint
               LEFT JOIN application ON application.key = endpoint.app"
        );
        let (looked_at, found): (i64, i64) =
            db.prepare_cached(&sql)?.query_row([env.0, LOOKED_AT], |row| Ok((row.get(0)?, row.get(1)?)))?;
        standing.waiting += found as u64;
        standing.has_more_waiting |= looked_at >= LOOKED_AT;
        standing.is_alone &= found == looked_at;
    }
    let failing: i64 = db
        .prepare_cached(
            "SELECT count(*) FROM endpoint JOIN application ON application.key = endpoint.app
             WHERE failing_since IS NOT NULL AND application.env = ?",
        )?
        .query_row([env.0], |row| row.get(0))?;
    Ok(Standing { failing: failing as u64, ..standing })
}

/// The applications of an environment among these.
pub(in crate::store) fn apps_of_env(db: Db<'_>, env: EnvKey, apps: &[AppKey]) -> Result<Vec<AppKey>> {
    if let Db::Postgres(_) = db {
        let keys: Vec<i64> = apps.iter().map(|app| app.0).collect();
        let sql = format!("SELECT key FROM application WHERE key = ANY($1::bigint[]) AND env = {}", env.0);
        return db.with_numbers(&sql, &keys, |row| row.get(0).map(AppKey));
    }
    let mut is_of_env = db.prepare_cached("SELECT 1 FROM application WHERE key = ? AND env = ?")?;
    let mut found = Vec::new();
    for app in apps {
        if is_of_env.exists([app.0, env.0])? {
            found.push(*app);
        }
    }
    Ok(found)
}

/// Whether an endpoint is of an environment.
pub(in crate::store) fn is_endpoint_of_env(db: Db<'_>, env: EnvKey, endpoint: i64) -> Result<bool> {
    db.prepare_cached(
        "SELECT 1 FROM endpoint JOIN application ON application.key = endpoint.app
         WHERE endpoint.key = ? AND application.env = ?",
    )?
    .exists([endpoint, env.0])
}

/// How large the store is.
pub(in crate::store) fn size(db: Db<'_>) -> Result<StoreSize> {
    match db {
        Db::Sqlite(connection) => {
            let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
            let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
            let log = connection.path().map(|file| format!("{file}-wal"));
            let wal_bytes = log.and_then(|log| std::fs::metadata(log).ok()).map(|log| log.len());
            // How many of the pages are a table's is known only to who reads all of them.
            Ok(StoreSize { engine: "sqlite", bytes: (pages * page) as u64, wal_bytes, tables: Vec::new() })
        }
        Db::Postgres(_) => {
            let bytes: i64 =
                db.prepare_cached("SELECT pg_database_size(current_database())")?.query_row(NONE, |row| row.get(0))?;
            let tables = db
                .prepare_cached(
                    "SELECT coalesce(parent.relname, own.relname)::text, sum(greatest(own.reltuples, 0))::bigint,
                       sum(pg_total_relation_size(own.oid))::bigint
                     FROM pg_class AS own
                       LEFT JOIN pg_inherits ON inhrelid = own.oid LEFT JOIN pg_class AS parent ON parent.oid = inhparent
                     WHERE own.relkind = 'r' AND own.relnamespace = current_schema()::regnamespace
                     GROUP BY 1 ORDER BY 3 DESC, 1 LIMIT ?",
                )?
                .query_map([TABLES_MAX], |row| {
                    let (rows, bytes): (i64, i64) = (row.get(1)?, row.get(2)?);
                    Ok(TableSize { name: row.get(0)?, rows: Some(rows as u64), bytes: Some(bytes as u64) })
                })?
                .collect::<Result<_>>()?;
            Ok(StoreSize { engine: "postgres", bytes: bytes as u64, wal_bytes: None, tables })
        }
    }
}

/// The nodes that share the store.
pub(in crate::store) fn nodes(db: Db<'_>) -> Result<Vec<NodeRow>> {
    if let Db::Sqlite(_) = db {
        return Ok(Vec::new());
    }
    db.prepare_cached(
        "SELECT node.number, name, expires_at > now(), leaving,
           (extract(epoch FROM least(expires_at, now() + interval '1 year')) * 1000)::bigint,
           (SELECT count(*) FROM slot WHERE slot.node = node.number), lease.version
         FROM node JOIN lease ON lease.number = node.number ORDER BY node.number LIMIT ?",
    )?
    .query_map([NODES_MAX], |row| {
        Ok(NodeRow {
            number: row.get(0)?,
            name: row.get(1)?,
            lives: row.get(2)?,
            is_leaving: row.get(3)?,
            lease_until: row.get(4)?,
            slots: row.get(5)?,
            version: row.get(6)?,
        })
    })?
    .collect()
}

/// Where an application stands among those of its environment: whether an endpoint of it is enabled.
pub(in crate::store) fn endpoint_counts(db: Db<'_>, env: EnvKey, without: Option<&str>) -> Result<(u64, u64)> {
    let (disabled, url) = (db.json_field("endpoint.spec", "disabled"), db.json_field("endpoint.spec", "url"));
    let sql = format!(
        "SELECT count(*), count({disabled}) FROM application JOIN endpoint ON endpoint.app = application.key
         WHERE application.env = ? AND application.kind = 0 AND {url} NOT LIKE ?"
    );
    let (all, disabled): (i64, i64) = db
        .prepare_cached(&sql)?
        .query_row(params![env.0, without.unwrap_or("")], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(((all - disabled) as u64, disabled as u64))
}

/// Applications of an environment that have endpoints, or enabled ones, of other URLs than these.
pub(in crate::store) fn active_apps(db: Db<'_>, env: EnvKey, enabled: bool, without: Option<&str>) -> Result<u64> {
    let (disabled, url) = (db.json_field("endpoint.spec", "disabled"), db.json_field("endpoint.spec", "url"));
    let enabled = if enabled { format!("AND {disabled} IS NULL") } else { String::new() };
    let sql = format!(
        "SELECT count(*) FROM application WHERE env = ? AND kind = 0
           AND EXISTS (SELECT 1 FROM endpoint WHERE endpoint.app = application.key AND {url} NOT LIKE ? {enabled})"
    );
    let count: i64 = db.prepare_cached(&sql)?.query_row(params![env.0, without.unwrap_or("")], |row| row.get(0))?;
    Ok(count as u64)
}
