//! A copy that is killed leaves a database that is not served and a server that is, and is finished by the next.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::app::{BINARY, cli};
use crate::support::engine;
use crate::support::wait::{SOON, eventually, when};
use crate::world::{World, all_of, assert_done, assert_refused};

fn start_copy(world: &World) -> Child {
    Command::new(BINARY)
        .args(["migrate", "copy", "--to", &world.url, "--data-dir"])
        .arg(&world.app.data_dir)
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts")
}

fn kill(mut copying: Child) {
    copying.kill().expect("a signal");
    let status = copying.wait().expect("a status");
    assert!(status.code().is_none(), "it was not done yet: {status:?}");
}

/// Starts a copy and kills it when it has copied a part.
fn kill_in_between(world: &World) {
    let mut copying = start_copy(world);
    let said = BufReader::new(copying.stderr.take().expect("a pipe"));
    assert!(said.lines().map_while(Result::ok).any(|line| line.starts_with("message: ")));
    kill(copying);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_finished_by_the_next_and_nothing_is_served_before() {
    if engine::is_about_the_embedded_store("the store that is left is the embedded one") {
        return;
    }
    let mut world = World::make().await;
    world.start();
    world.goes_on(200).await;
    tokio::task::block_in_place(|| kill_in_between(&world));
    let settings = [("POSTHOUSE__STORAGE__URL".to_owned(), world.url.clone())];
    assert_refused(&cli(world.app.folder.path(), &["serve"], &settings), "not all of it is there");
    assert_refused(&cli(world.app.folder.path(), &["key", "create"], &settings), "not all of it is there");
    // Attempts under way let the server take its time to stand still.
    world.set_stuck(true);
    world.goes_on(50).await;
    let copying = start_copy(&world);
    eventually("the server stands still", SOON, async || when(world.app.log_text().contains("standing still"))).await;
    kill(copying);
    world.set_stuck(false);
    eventually("the server goes on", SOON, async || when(world.app.log_text().contains("this server goes on"))).await;
    world.goes_on(200).await;
    world.stop().await;

    // What goes meanwhile is not left in the database.
    let (client, app) = (&world.app.client, format!("/api/v1/app/{}", world.app_id));
    let sent = world.acknowledged();
    client.delete(format!("{app}/msg/{}/content", sent[0].id)).await.expect(204);
    let attempts = world.app.wait_for_attempts(&world.app_id, &sent[1].id, 4, Duration::from_mins(1)).await;
    let failed = attempts.iter().find(|attempt| attempt["response"] == "no").expect("one that failed");
    let content = format!("{app}/msg/{}/attempt/{}/content", sent[1].id, failed["id"].as_str().expect("an id"));
    client.delete(content).await.expect(204);
    assert_done(&world.copy(&[]));
    let new = world.start_new().await;
    let client = new.client.clone().with_key(Some(&world.app.key));
    assert_eq!(world.says(&world.app.client).await, world.says(&client).await);
    let path = format!("{app}/attempt/msg/{}", sent[1].id);
    let (there, here) = (all_of(&client, &path).await, all_of(&world.app.client, &path).await);
    assert_eq!(there, here);
    world.all_arrive().await;
    world.end();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_begun_anew_only_where_it_was_not_finished() {
    if engine::is_about_the_embedded_store("the store that is left is the embedded one") {
        return;
    }
    let mut world = World::make().await;
    tokio::task::block_in_place(|| kill_in_between(&world));
    let other = World::make().await;
    let to = ["migrate", "copy", "--to", &world.url];
    let copy_other = |more: &[&str]| {
        let words: Vec<&str> = to.iter().chain(more).copied().collect();
        tokio::task::block_in_place(|| other.app.cli(&words))
    };
    assert_refused(&copy_other(&[]), "a part of another installation");
    assert_done(&copy_other(&["--anew"]));
    let count = world.sql("SELECT count(*) FROM message");
    assert_refused(&world.copy(&["--anew"]), "the database is not empty");
    assert_eq!(world.sql("SELECT count(*) FROM message"), count);
    // The first was not moved, and goes on.
    world.start();
    world.goes_on(20).await;
    world.stop().await;
    other.end();
    world.end();
}
