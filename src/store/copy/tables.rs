//! What is copied, table by table. What is not named here is filled anew (indexes that PostgreSQL keeps by
//! itself, unique keys, counts behind the watermark), or is about the process that had the store.

use super::columns::Column;
use super::columns::Type::{self, Bool, Bytes, Int2, Int8, Text};
use crate::model::slot::slot_of;

/// A table that both engines have.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// In PostgreSQL; those of the key first.
    pub(super) columns: &'static [(&'static str, Type)],
    /// How many of these are the key.
    pub(super) key: usize,
    /// What the embedded store says for a column of another name or meaning.
    renamed: &'static [(&'static str, &'static str)],
    /// Columns that only the embedded store has, and from which something else is made.
    pub(super) only_in_source: &'static [(&'static str, Type)],
    /// Which rows; both engines have others beside them.
    pub(super) filter: Option<&'static str>,
    /// What is computed.
    pub(super) fill: Option<fn(&mut [Column])>,
}

impl Table {
    const fn new(name: &'static str, key: usize, columns: &'static [(&'static str, Type)]) -> Self {
        Self { name, columns, key, renamed: &[], only_in_source: &[], filter: None, fill: None }
    }

    /// The columns as PostgreSQL names them.
    pub(super) fn names(&self) -> String {
        self.columns.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    /// What the embedded store says for a column.
    pub(super) fn in_source<'t>(&self, column: &'t str) -> &'t str
    where
        'static: 't,
    {
        self.renamed.iter().find(|(name, _)| *name == column).map_or(column, |(_, said)| said)
    }
}

/// Those that only grow at their end, and shrink: copied while the store is served. Messages before their
/// bytes: a message without bytes is one whose bytes have expired.
pub(super) const GROWING: [Table; 3] = [
    Table {
        only_in_source: &[("idempotency", Bytes), ("dedupe", Bytes)],
        ..Table::new(
            "message",
            1,
            &[
                ("key", Int8),
                ("nonce", Bytes),
                ("app", Int8),
                ("event_type", Text),
                ("payload", Int8),
                ("content_type", Text),
                ("channels", Text),
                ("tags", Text),
                ("event_id", Text),
                ("deliver_at", Int8),
                ("source", Int8),
            ],
        )
    },
    Table::new(
        "attempt",
        1,
        &[
            ("key", Int8),
            ("nonce", Bytes),
            ("message", Int8),
            ("endpoint", Int8),
            ("url", Int8),
            ("kind", Int2),
            ("status", Int2),
            ("manual", Int2),
            ("started_at", Int8),
            ("duration_ms", Int8),
            ("response", Bytes),
            ("next_due", Int8),
            ("trace", Bytes),
        ],
    ),
    Table::new("payload", 1, &[("id", Int8), ("body", Bytes), ("head", Bytes)]),
];

/// Columns of `message` that unique keys are made of.
pub(super) const MESSAGE_APP: usize = 2;
pub(super) const MESSAGE_EVENT_ID: usize = 8;

/// All others: copied at the end, in one transaction.
pub(super) const SMALL: [Table; 19] = [
    Table {
        filter: Some("name IN ('mac_key', 'seal_check')"),
        ..Table::new("meta", 1, &[("name", Text), ("value", Bytes)])
    },
    Table::new(
        "environment",
        1,
        &[
            ("key", Int8),
            ("nonce", Bytes),
            ("name", Text),
            ("settings", Text),
            ("created_at", Int8),
            ("kind", Int2),
            ("updated_at", Int8),
        ],
    ),
    Table::new(
        "api_key",
        1,
        &[
            ("key", Int8),
            ("nonce", Bytes),
            ("env", Int8),
            ("name", Text),
            ("hash", Bytes),
            ("created_at", Int8),
            ("revoked_at", Int8),
            ("scopes", Int2),
            ("hint", Text),
            ("last_used_at", Int8),
        ],
    ),
    Table::new(
        "session",
        1,
        &[
            ("key", Int8),
            ("nonce", Bytes),
            ("kind", Int2),
            ("env", Int8),
            ("api_key", Int8),
            ("hash", Bytes),
            ("expires_at", Int8),
        ],
    ),
    Table::new(
        "portal_token",
        1,
        &[
            ("key", Int8),
            ("nonce", Bytes),
            ("env", Int8),
            ("app", Int8),
            ("hash", Bytes),
            ("capabilities", Text),
            ("feature_flags", Text),
            ("created_at", Int8),
            ("expires_at", Int8),
            ("session_id", Text),
        ],
    ),
    Table::new(
        "application",
        1,
        &[
            ("key", Int8),
            ("nonce", Bytes),
            ("env", Int8),
            ("kind", Int2),
            ("uid", Text),
            ("version", Int8),
            ("spec", Text),
            ("created_at", Int8),
            ("updated_at", Int8),
        ],
    ),
    Table::new(
        "endpoint",
        1,
        &[
            ("key", Int8),
            ("nonce", Bytes),
            ("app", Int8),
            ("uid", Text),
            ("url_id", Int8),
            ("spec", Text),
            ("secret", Bytes),
            ("failing_since", Int8),
            ("failing_warned", Int2),
            ("created_at", Int8),
            ("updated_at", Int8),
        ],
    ),
    Table::new("endpoint_url", 1, &[("id", Int8), ("nonce", Bytes), ("url", Text)]),
    Table::new(
        "event_type",
        2,
        &[("env", Int8), ("name", Text), ("spec", Text), ("created_at", Int8), ("updated_at", Int8)],
    ),
    Table {
        renamed: &[
            ("slot", "endpoint"),
            (
                "version",
                "coalesce((SELECT application.version FROM endpoint JOIN application ON application.key = endpoint.app
                            WHERE endpoint.key = pending.endpoint), 0)",
            ),
        ],
        fill: Some(fill_slots),
        ..Table::new("pending", 2, &[("message", Int8), ("endpoint", Int8), ("slot", Int8), ("version", Int8)])
    },
    Table::new(
        "waiting",
        3,
        &[("endpoint", Int8), ("due", Int8), ("message", Int8), ("attempts", Int2), ("manual", Int2)],
    ),
    Table::new("parked", 2, &[("endpoint", Int8), ("message", Int8), ("state", Int2), ("at", Int8)]),
    Table::new(
        "remembered_change",
        1,
        &[
            ("row", Int8),
            ("hash", Bytes),
            ("fingerprint", Bytes),
            ("status", Int2),
            ("body", Bytes),
            ("expires_at", Int8),
        ],
    ),
    Table::new("purge", 1, &[("target", Int8), ("kind", Int2), ("url", Int8), ("deleted_at", Int8), ("next_at", Int8)]),
    Table::new(
        "background_task",
        1,
        &[
            ("key", Int8),
            ("nonce", Bytes),
            ("env", Int8),
            ("app", Int8),
            ("endpoint", Int8),
            ("status", Int2),
            ("before", Int8),
            ("done_to", Int8),
            ("moved", Int8),
            ("updated_at", Int8),
            ("kind", Int2),
            ("ask", Text),
            ("total", Int8),
            ("stage", Int2),
            ("place", Int8),
        ],
    ),
    Table::new("task_result", 2, &[("task", Int8), ("name", Text), ("count", Int8), ("body", Text)]),
    Table::new(
        "source",
        1,
        &[
            ("key", Int8),
            ("nonce", Bytes),
            ("env", Int8),
            ("app", Int8),
            ("owns_app", Bool),
            ("uid", Text),
            ("spec", Text),
            ("secret", Bytes),
            ("created_at", Int8),
            ("updated_at", Int8),
            ("last_tick", Int8),
        ],
    ),
    Table::new("source_token", 1, &[("hash", Bytes), ("source", Int8), ("expires_at", Int8)]),
    Table::new(
        "source_log",
        1,
        &[
            ("key", Int8),
            ("nonce", Bytes),
            ("source", Int8),
            ("kind", Int2),
            ("status", Int2),
            ("cause", Text),
            ("hint", Text),
            ("head", Bytes),
            ("body", Bytes),
            ("message", Int8),
        ],
    ),
];

/// Counts: copied with the others, and then what was not counted yet is added.
pub(super) const COUNTS: [Table; 2] = [
    Table::new("endpoint_hour", 2, &[("hour", Int8), ("endpoint", Int8), ("success", Int8), ("failure", Int8)]),
    Table::new(
        "traffic",
        3,
        &[
            ("env", Int8),
            ("width", Int2),
            ("bucket", Int8),
            ("accepted", Int8),
            ("delivered", Int8),
            ("failed", Int8),
            ("latencies", Bytes),
        ],
    ),
];

/// Endpoints become their slots.
fn fill_slots(columns: &mut [Column]) {
    if let Column::Int8(slots) = &mut columns[2] {
        for slot in slots.iter_mut().flatten() {
            *slot = i64::from(slot_of(*slot).0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SQLITE: &[&str] = &[
        include_str!("../../../migrations/sqlite/0001_initial.sql"),
        include_str!("../../../migrations/sqlite/0002_sources.sql"),
        include_str!("../../../migrations/sqlite/0003_access.sql"),
        include_str!("../../../migrations/sqlite/0004_insight.sql"),
        include_str!("../../../migrations/sqlite/0005_actions.sql"),
    ];
    /// Tables of the embedded store that PostgreSQL has as indexes, or as unique keys.
    const NOT_COPIED: [&str; 5] =
        ["message_by_app", "attempt_by_message", "attempt_by_endpoint", "idempotency_entry", "idempotency_run"];

    /// A table or a column that a later migration adds has to be copied, or named as one that is not.
    #[test]
    fn every_table_and_column_of_the_embedded_store_is_copied_or_known_not_to_be() {
        let store = rusqlite::Connection::open_in_memory().expect("a store");
        for sql in SQLITE {
            store.execute_batch(sql).expect("migrated");
        }
        let rows = |sql: &str| -> Vec<String> {
            let mut statement = store.prepare(sql).expect("sql");
            let rows = statement.query_map([], |row| row.get(0)).expect("read");
            rows.map(|row| row.expect("a name")).collect()
        };
        let known: Vec<&Table> = GROWING.iter().chain(&SMALL).chain(&COUNTS).collect();
        let tables = rows("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'");
        assert_eq!(tables.len(), known.len() + NOT_COPIED.len());
        for name in tables.iter().filter(|name| !NOT_COPIED.contains(&name.as_str())) {
            let table = known.iter().find(|table| table.name == *name).unwrap_or_else(|| panic!("{name} is copied"));
            for column in rows(&format!("SELECT name FROM pragma_table_info('{name}')")) {
                let is_copied = table.columns.iter().chain(table.only_in_source).any(|(known, _)| *known == column);
                assert!(is_copied, "{name}.{column} is copied");
            }
        }
    }
}
