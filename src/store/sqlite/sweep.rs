//! Rows that go, with their places in lists: gathered, sorted, and removed in sorted steps, so that
//! a page of an index is touched once for all that goes from it. What rows are gathered by goes last,
//! so that after a crash on the way they are gathered again: by age from the table itself, with lists
//! that no longer show them; of what was deleted from the index that leads with it.

use rusqlite::{CachedStatement, Connection};

/// Rows that are gathered before their removal begins.
const GATHERED_MAX: usize = 16_384;
/// Bytes of a body that cost as much as a row.
const BYTES_PER_ROW: i64 = 4_096;

/// What the removal of a body of this length costs, in rows.
pub(super) fn cost_of(bytes: i64) -> usize {
    1 + usize::try_from(bytes / BYTES_PER_ROW).unwrap_or(0)
}

/// A row that goes: its key, and what two indexes lead with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) key: i64,
    pub(super) leading: [i64; 2],
}

/// How rows of a table are removed: statements in this order, each for all rows.
pub(super) struct Plan {
    /// Takes `?1`, what [`Removal`] says, and `?2`, the key.
    pub(super) removals: &'static [Removal],
}

/// One statement of a plan.
pub(super) struct Removal {
    /// What goes, by `?1` and `?2`.
    pub(super) sql: &'static str,
    /// The length of the body that goes with it.
    pub(super) length: Option<&'static str>,
    /// What `?1` is: one of the candidate's leading values, by which the rows are sorted; `None`: nothing.
    pub(super) leading: Option<usize>,
}

const ATTEMPT_BY_MESSAGE: Removal = Removal {
    sql: "DELETE FROM attempt_by_message WHERE message = ?1 AND attempt = ?2",
    length: None,
    leading: Some(0),
};
const ATTEMPT_BY_ENDPOINT: Removal = Removal {
    sql: "DELETE FROM attempt_by_endpoint WHERE endpoint = ?1 AND attempt = ?2",
    length: None,
    leading: Some(1),
};
const ATTEMPT: Removal = Removal {
    sql: "DELETE FROM attempt WHERE ?1 = 0 AND key = ?2",
    length: Some("SELECT coalesce(length(response), 0) FROM attempt WHERE ?1 = 0 AND key = ?2"),
    leading: None,
};
const MESSAGE_BY_APP: Removal =
    Removal { sql: "DELETE FROM message_by_app WHERE app = ?1 AND message = ?2", length: None, leading: Some(0) };
const PAYLOAD: Removal = Removal {
    sql: "DELETE FROM payload WHERE id = ?1 AND ?2 <> 0",
    length: Some("SELECT length(body) FROM payload WHERE id = ?1 AND ?2 <> 0"),
    leading: Some(1),
};
const PENDING: Removal =
    Removal { sql: "DELETE FROM pending WHERE ?1 = 0 AND message = ?2", length: None, leading: None };
const MESSAGE: Removal = Removal { sql: "DELETE FROM message WHERE ?1 = 0 AND key = ?2", length: None, leading: None };

/// Attempts that are too old; led by message and endpoint.
pub(super) const ATTEMPTS: Plan = Plan { removals: &[ATTEMPT_BY_MESSAGE, ATTEMPT_BY_ENDPOINT, ATTEMPT] };
/// Attempts of an endpoint that was deleted.
pub(super) const ATTEMPTS_OF_DELETED: Plan = Plan { removals: &[ATTEMPT_BY_MESSAGE, ATTEMPT, ATTEMPT_BY_ENDPOINT] };
/// Messages that are too old; led by application and payload.
pub(super) const MESSAGES: Plan = Plan { removals: &[MESSAGE_BY_APP, PAYLOAD, PENDING, MESSAGE] };
/// Messages of an application that was deleted.
pub(super) const MESSAGES_OF_DELETED: Plan = Plan { removals: &[PAYLOAD, PENDING, MESSAGE, MESSAGE_BY_APP] };

/// A removal under way.
#[derive(Default)]
pub(super) struct Sweep {
    rows: Vec<Candidate>,
    /// Nothing more is gathered; the statement that is at work and how many rows it has done.
    at: Option<(usize, usize)>,
}

impl Sweep {
    /// How many more may be gathered before the removal begins.
    pub(super) fn room(&self) -> usize {
        if self.at.is_some() { 0 } else { GATHERED_MAX - self.rows.len() }
    }

    /// The last row that was gathered.
    pub(super) fn last(&self) -> Option<i64> {
        self.rows.last().map(|row| row.key)
    }

    /// Adds a row; keys rise.
    pub(super) fn add(&mut self, row: Candidate) {
        self.rows.push(row);
    }

    /// Nothing more is to be gathered: the removal begins.
    pub(super) fn close(&mut self) {
        if self.at.is_none() && !self.rows.is_empty() {
            self.at = Some((0, 0));
        }
    }

    /// Whether nothing is gathered and nothing under way.
    pub(super) fn is_idle(&self) -> bool {
        self.rows.is_empty()
    }

    /// Removes as much as `budget` allows; says how many rows are gone altogether.
    pub(super) fn remove(
        &mut self,
        connection: &Connection,
        plan: &Plan,
        mut budget: usize,
    ) -> rusqlite::Result<usize> {
        let mut removed = 0;
        while budget > 0
            && let Some((step, done)) = self.at
        {
            let removal = &plan.removals[step];
            if done == 0 {
                self.rows.sort_unstable_by_key(|row| (removal.leading.map_or(0, |i| row.leading[i]), row.key));
            }
            let mut statement = connection.prepare_cached(removal.sql)?;
            let mut length = removal.length.map(|sql| connection.prepare_cached(sql)).transpose()?;
            let is_last = step + 1 == plan.removals.len();
            let mut next = done;
            while budget > 0 && next < self.rows.len() {
                let row = self.rows[next];
                let values = [removal.leading.map_or(0, |i| row.leading[i]), row.key];
                let cost = length.as_mut().map_or(Ok(1), |sql| cost(sql, values))?;
                let gone = statement.execute(values)?;
                removed += usize::from(is_last) * gone;
                budget = budget.saturating_sub(cost);
                next += 1;
            }
            self.at = match (next == self.rows.len(), is_last) {
                (false, _) => Some((step, next)),
                (true, false) => Some((step + 1, 0)),
                (true, true) => None,
            };
            if self.at.is_none() {
                self.rows = Vec::new();
            }
        }
        Ok(removed)
    }
}

fn cost(length: &mut CachedStatement<'_>, values: [i64; 2]) -> rusqlite::Result<usize> {
    use rusqlite::OptionalExtension;
    Ok(cost_of(length.query_row(values, |row| row.get(0)).optional()?.unwrap_or(0)))
}
