//! `posthouse migrate status` and `up`, and a database that a newer Posthouse has brought up to date.

use std::path::Path;
use std::process::Output;

use crate::support::app::cli;
use crate::support::{engine, postgres};
use crate::world::{assert_done, assert_refused};

fn run(folder: &Path, url: &str, words: &[&str]) -> Output {
    cli(folder, words, &[("POSTHOUSE__STORAGE__URL".to_owned(), url.to_owned())])
}

#[test]
fn the_tables_are_brought_up_to_date_and_newer_ones_are_refused() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let url = engine::database_of(folder.path()).unwrap_or_else(|| postgres::shared().create_database());
    let run = |words: &[&str]| run(folder.path(), &url, words);
    let status = run(&["migrate", "status", "--json"]);
    let told: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
    let known = told["known"].as_u64().expect("a number");
    assert_eq!((status.status.code(), &told["applied"]), (Some(1), &serde_json::json!(0)));
    assert!(known >= 1);
    // Told not to, a server brings nothing up to date.
    let settings = [
        ("POSTHOUSE__STORAGE__URL".to_owned(), url.clone()),
        ("POSTHOUSE__STORAGE__MIGRATE".to_owned(), "false".to_owned()),
    ];
    assert_refused(&cli(folder.path(), &["serve"], &settings), "`posthouse migrate up` brings it up to date");
    assert!(assert_done(&run(&["migrate", "up"])).starts_with(&format!("{known} migrations applied")));
    assert!(assert_done(&run(&["migrate", "up"])).starts_with("0 migrations applied"));
    assert_eq!(assert_done(&run(&["migrate", "status"])).trim(), format!("applied {known}, known {known}"));

    let database = url.rsplit('/').next().expect("a name");
    postgres::shared().psql(database, &format!("INSERT INTO migration (number) VALUES ({})", known + 1));
    assert_eq!(run(&["migrate", "status"]).status.code(), Some(1));
    for words in [&["serve"][..], &["migrate", "up"], &["key", "create"]] {
        assert_refused(&run(words), "start the newer Posthouse");
    }
    postgres::shared().drop_database(&url);
}

#[test]
fn the_embedded_store_needs_no_command() {
    if engine::is_about_the_embedded_store("it is about having no database") {
        return;
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    for word in ["status", "up"] {
        assert!(assert_done(&cli(folder.path(), &["migrate", word], &[])).contains("`posthouse serve` at its start"));
    }
}
