//! The encryption key in the store: the value that checks it, the key of the hashes, and the list of
//! all that is sealed, so that it can be sealed anew when the key is replaced.

use super::db::{Db, NONE, Optional, Result, params};
use anyhow::bail;

use crate::store::command::{ResealPlace, Resealed};
use crate::store::key_file;
use crate::store::seal::Sealer;

/// A column of sealed values. Each is bound to its table's name and its row.
struct Sealed {
    table: &'static str,
    /// Column of the integer that names the row.
    row: &'static str,
    column: &'static str,
}

/// All of them. A column that is missing here becomes unreadable when the key is replaced; a test
/// compares this list with what the store holds.
const SEALED: [Sealed; 3] = [
    Sealed { table: "endpoint", row: "key", column: "secret" },
    Sealed { table: "remembered_change", row: "row", column: "body" },
    Sealed { table: "source", row: "key", column: "secret" },
];

/// Values looked at in one slice: some milliseconds of a commit.
const SLICE: i64 = 256;

const META: &str = "meta";
/// Sealed values in `meta`, by name, with the row that they are bound to.
const SEALED_META: [(&str, i64); 2] = [(CHECK, CHECK_ROW), (MAC_KEY, MAC_KEY_ROW)];
const CHECK: &str = "seal_check";
const CHECK_ROW: i64 = 0;
const MAC_KEY: &str = "mac_key";
const MAC_KEY_ROW: i64 = 1;
/// What is sealed for the check.
const CHECK_PLAIN: &[u8] = b"posthouse";

/// The store keeps a sealed value of known content: a wrong key file is noticed at start, not at
/// the first delivery. With it comes the key of the hashes, drawn when the store is made. In a transaction.
pub(in crate::store) fn check_key(db: Db<'_>, sealer: &Sealer) -> anyhow::Result<()> {
    let checked = meta(db, CHECK)?.is_some();
    if checked && !opens(db, sealer)? {
        bail!("the key file does not open this store: it belongs to another one");
    }
    match meta(db, MAC_KEY)? {
        Some(stored) => {
            let plain = sealer.open(META, MAC_KEY_ROW, &stored)?;
            let Ok(mac_key) = plain.try_into() else { bail!("the store's hash key is damaged") };
            sealer.set_mac_key(mac_key);
        }
        None if checked => bail!("the store's hash key is missing: the store is damaged"),
        None => {
            sealer.set_mac_key(key_file::draw());
            put_meta(db, MAC_KEY, &sealer.seal(META, MAC_KEY_ROW, &sealer.mac_key()))?;
        }
    }
    if !checked {
        put_meta(db, CHECK, &sealer.seal(META, CHECK_ROW, CHECK_PLAIN))?;
    }
    Ok(())
}

/// Whether the sealer opens the store's check value.
pub(in crate::store) fn opens(db: Db<'_>, sealer: &Sealer) -> Result<bool> {
    let stored = meta(db, CHECK)?;
    Ok(stored.and_then(|stored| sealer.open(META, CHECK_ROW, &stored).ok()).as_deref() == Some(CHECK_PLAIN))
}

/// Seals the values of one slice with the newest key, where they are not yet.
pub(in crate::store) fn slice(db: Db<'_>, sealer: &Sealer, from: ResealPlace) -> Result<Resealed> {
    let mut done = Resealed::default();
    if from == ResealPlace::START {
        for (name, row) in SEALED_META {
            let Some(value) = meta(db, name)? else { continue };
            if let Some(sealed) = again(sealer, META, row, &value, &mut done) {
                put_meta(db, name, &sealed)?;
            }
        }
    }
    let Some(Sealed { table, row, column }) = SEALED.get(from.column) else { return Ok(done) };
    let select =
        format!("SELECT {row}, {column} FROM {table} WHERE {row} > ? AND {column} IS NOT NULL ORDER BY {row} LIMIT ?");
    let mut select = db.prepare_cached(&select)?;
    let values = select.query_map(params![from.after, SLICE], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let values: Vec<(i64, Vec<u8>)> = values.collect::<Result<_, _>>()?;
    let mut update = db.prepare_cached(&format!("UPDATE {table} SET {column} = ? WHERE {row} = ?"))?;
    for (key, value) in &values {
        if let Some(sealed) = again(sealer, table, *key, value, &mut done) {
            update.execute(params![sealed, key])?;
        }
    }
    done.next = match values.last() {
        Some((last, _)) if values.len() as i64 == SLICE => Some(ResealPlace { column: from.column, after: *last }),
        _ if from.column + 1 < SEALED.len() => Some(ResealPlace { column: from.column + 1, after: i64::MIN }),
        _ => None,
    };
    Ok(done)
}

fn again(sealer: &Sealer, table: &str, row: i64, value: &[u8], done: &mut Resealed) -> Option<Vec<u8>> {
    match sealer.reseal(table, row, value) {
        Ok(anew) => {
            done.resealed += u64::from(anew.is_some());
            anew
        }
        Err(error) => {
            tracing::error!(%error, table, row, "a sealed value cannot be opened");
            done.unreadable += 1;
            None
        }
    }
}

/// Sealed values whose key the sealer does not have.
pub(in crate::store) fn sealed_by_others(db: Db<'_>, sealer: &Sealer) -> Result<i64> {
    let mut count = 0;
    for Sealed { table, column, .. } in &SEALED {
        // Version and key id are the first five bytes; the rest is not read.
        let sql = format!(
            "SELECT min(substr({column}, 1, 17)), count(*) FROM {table} WHERE {column} IS NOT NULL
              GROUP BY substr({column}, 1, 5)"
        );
        let mut statement = db.prepare_cached(&sql)?;
        let heads = statement.query_map(NONE, |row| Ok((row.get::<Vec<u8>>(0)?, row.get::<i64>(1)?)))?;
        for head in heads {
            let (head, values) = head?;
            count += if sealer.has_key_of(&head) { 0 } else { values };
        }
    }
    Ok(count)
}

fn meta(db: Db<'_>, name: &str) -> Result<Option<Vec<u8>>> {
    db.prepare_cached("SELECT value FROM meta WHERE name = ?")?.query_row([name], |row| row.get(0)).optional()
}

fn put_meta(db: Db<'_>, name: &str, value: &[u8]) -> Result<()> {
    db.prepare_cached(
        "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )?
    .execute(params![name, value])?;
    Ok(())
}
