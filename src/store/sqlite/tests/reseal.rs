//! Replacing the encryption key: everything sealed is sealed anew, and nothing that was said is forgotten.

use rusqlite::types::ValueRef;

use super::*;
use crate::store::StoreReader;
use crate::store::command::{ResealPlace, Resealed};
use crate::store::seal::SealError;

const OLD: [u8; 32] = [7; 32];
const NEW: [u8; 32] = [9; 32];

/// Looks at all sealed values once.
fn pass(store: &mut Store) -> Resealed {
    let mut whole = Resealed { next: Some(ResealPlace::START), ..Resealed::default() };
    while let Some(from) = whole.next {
        let Changed::Resealed(slice) = store.change(Change::Reseal { from }) else { panic!("resealed nothing") };
        whole.resealed += slice.resealed;
        whole.unreadable += slice.unreadable;
        whole.next = slice.next;
    }
    whole
}

/// Blobs of the whole store that begin as a value does that this key sealed.
fn sealed_with(store: &Store, key: &[u8; 32]) -> Vec<String> {
    let head = Sealer::new(key).seal("any", 0, b"")[..5].to_vec();
    let connection = &store.writer.connection;
    let mut tables = connection.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").expect("a list");
    let tables: Vec<String> =
        tables.query_map([], |row| row.get(0)).expect("tables").collect::<Result<_, _>>().expect("names");
    let mut found = Vec::new();
    for table in tables {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).expect("a table");
        let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut rows = statement.query([]).expect("rows");
        while let Some(row) = rows.next().expect("a row") {
            for (at, column) in columns.iter().enumerate() {
                if let ValueRef::Blob(bytes) = row.get_ref(at).expect("a value")
                    && bytes.starts_with(&head)
                {
                    found.push(format!("{table}.{column}"));
                }
            }
        }
    }
    found
}

#[tokio::test]
async fn all_that_is_sealed_is_sealed_with_the_new_key() {
    let mut store = Store::new();
    let configs: Vec<_> = (0..300).map(|_| store.app()).collect();
    // 300 endpoints, the check and the key of the hashes: more than a slice.
    assert_eq!(sealed_with(&store, &OLD).len(), 302, "every table is looked at");
    assert_eq!(pass(&mut store), Resealed::default(), "there is one key, and it is the newest");
    store.options.sealer.replace_keys(&NEW, &[OLD]);
    // What is made meanwhile is sealed with the new key already.
    let late = store.app();
    assert_eq!(pass(&mut store), Resealed { resealed: 302, unreadable: 0, next: None });
    assert_eq!(pass(&mut store), Resealed::default());
    // A column that the list does not have would be found here.
    assert_eq!(sealed_with(&store, &OLD), Vec::<String>::new());
    assert_eq!(sealed_with(&store, &NEW).len(), 303);

    let only_new = SqliteOptions { sealer: Arc::new(Sealer::new(&NEW)), ..store.options.clone() };
    prepare(&only_new).expect("the new key opens the store alone");
    let reader = SqliteReader::open(only_new);
    for config in configs.iter().chain([&late]) {
        let read = reader.app_config(config.app.key()).await.expect("read").expect("there");
        assert_eq!(read.endpoints[0].secrets[0].key.expose(), SECRET);
    }
    let only_old = SqliteOptions { sealer: Arc::new(Sealer::new(&OLD)), ..store.options.clone() };
    assert!(prepare(&only_old).expect_err("refused").to_string().contains("key file"));
}

#[test]
fn a_slice_that_fails_changes_nothing() {
    let mut store = Store::new();
    store.app();
    store.options.sealer.replace_keys(&NEW, &[OLD]);
    let fail = "CREATE TEMP TRIGGER poison BEFORE UPDATE ON main.endpoint BEGIN SELECT raise(ABORT, 'poison'); END";
    store.writer.connection.execute_batch(fail).expect("a trigger");
    let change = Change::Reseal { from: ResealPlace::START };
    let command = Command::Change(Box::new(ChangeRequest { at: NOW, idempotency: None, change }));
    store.writer.commit(&[command]).expect_err("poisoned");
    assert_eq!(sealed_with(&store, &OLD).len(), 3);
    store.writer.connection.execute_batch("DROP TRIGGER poison").expect("dropped");
    assert_eq!(pass(&mut store).resealed, 3);
}

#[test]
fn what_no_key_opens_is_counted_and_left() {
    let mut store = Store::new();
    store.app();
    let lost = Sealer::new(&[1; 32]).seal("endpoint", 1, b"lost");
    store.writer.connection.execute("UPDATE endpoint SET secret = ?", [&lost]).expect("damaged");
    assert_eq!(store.options.sealer.open("endpoint", 1, &lost), Err(SealError::OtherKey));
    store.options.sealer.replace_keys(&NEW, &[OLD]);
    assert_eq!(pass(&mut store), Resealed { resealed: 2, unreadable: 1, next: None });
    let left: Vec<u8> =
        store.writer.connection.query_row("SELECT secret FROM endpoint", [], |row| row.get(0)).expect("a value");
    assert_eq!(left, lost);
}

#[test]
fn hashes_stay_the_same() {
    let hash = |sealer: &Sealer| sealer.keyed_hash(&[b"an idempotency key"]);
    let opened = |store: &Store, key: &[u8; 32]| {
        let sealer = Arc::new(Sealer::new(key));
        prepare(&SqliteOptions { sealer: Arc::clone(&sealer), ..store.options.clone() }).expect("opened");
        hash(&sealer)
    };
    let mut store = Store::new();
    let before = hash(&store.options.sealer);
    assert_ne!(before, hash(&Sealer::new(&OLD)), "a store draws a key for its hashes");
    assert_eq!(opened(&store, &OLD), before, "and keeps it");
    store.options.sealer.replace_keys(&NEW, &[OLD]);
    assert_eq!(pass(&mut store).resealed, 2);
    assert_eq!(opened(&store, &NEW), before, "whatever seals it");
}

#[test]
fn a_store_whose_hash_key_is_missing_is_refused() {
    let store = Store::new();
    store.writer.connection.execute("DELETE FROM meta WHERE name = 'mac_key'", []).expect("damaged");
    let error = prepare(&store.options).expect_err("refused").to_string();
    assert!(error.contains("hash key"), "{error}");
}
