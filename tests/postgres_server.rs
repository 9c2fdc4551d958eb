//! The throw-away PostgreSQL of the tests: it starts, stops as at a crash, is followed by a standby,
//! and leaves nothing behind, whatever becomes of the test.

#[path = "support/postgres.rs"]
mod postgres;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use postgres::{Mode, Replication, Server, shared};
use url::Url;

/// In a process with this variable the test of that process's end only starts a server and says
/// where it is.
const STARTS_ONLY: &str = "POSTHOUSE_TEST_STARTS_ONLY";

fn database_of(url: &str) -> String {
    let url = Url::parse(url).expect("a URL");
    url.path().trim_start_matches('/').to_owned()
}

/// Waits until the folder and the process of a server are gone.
fn assert_gone(folder: &Path, pid: u32) {
    let process = PathBuf::from(format!("/proc/{pid}"));
    let deadline = Instant::now() + Duration::from_secs(30);
    while folder.exists() || process.exists() {
        assert!(Instant::now() < deadline, "left behind: {} or {}", folder.display(), process.display());
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn keeps_what_is_committed_over_an_immediate_stop_and_is_gone_after_its_drop() {
    let server = Server::start(&[("max_connections", "37"), ("application_name", "it's")]);
    let database = database_of(&server.create_database());
    assert_ne!(database, database_of(&server.create_database()));
    assert_eq!(server.psql(&database, "select 1"), "1");
    let settings = "select current_setting('max_connections'), current_setting('fsync'),
        current_setting('server_encoding'), current_setting('lc_collate')";
    assert_eq!(server.psql(&database, settings), "37|on|UTF8|C");

    server.psql(&database, "create table kept as select 42 as number");
    let (url, pid) = (server.url(&database), server.pid());
    server.stop(Mode::Immediate);
    assert_eq!(server.pid(), None);
    server.start_again();
    assert_ne!(server.pid(), pid);
    assert_eq!(server.url(&database), url);
    assert_eq!(server.psql(&database, "select number from kept"), "42");
    server.stop(Mode::Fast);
    server.start_again();
    assert_eq!(server.psql(&database, "select number from kept"), "42");

    let (folder, pid) = (server.folder(), server.pid().expect("it runs"));
    assert!(folder.join("data").is_dir());
    drop(server);
    assert_gone(&folder, pid);
}

#[test]
fn a_promoted_standby_has_what_its_lost_primary_confirmed() {
    for replication in [Replication::Asynchronous, Replication::Synchronous] {
        let primary = Server::start(&[]);
        let standby = primary.standby(replication);
        primary.psql("postgres", "create table kept as select 42 as number");
        if replication == Replication::Asynchronous {
            // A fast stop sends what is left to the standby.
            primary.stop(Mode::Fast);
        } else {
            primary.stop(Mode::Immediate);
        }
        standby.promote();
        assert_eq!(standby.psql("postgres", "select number from kept"), "42", "{replication:?}");
        standby.psql("postgres", "update kept set number = 43");
        assert_eq!(standby.psql("postgres", "select number from kept"), "43", "{replication:?}");
    }
}

#[test]
fn databases_of_the_shared_server_come_and_go() {
    let url = shared().create_database();
    let name = database_of(&url);
    assert_eq!(shared().psql(&name, "select current_database()"), name);
    shared().drop_database(&url);
    let left = format!("select count(*) from pg_database where datname = '{name}'");
    assert_eq!(shared().psql("postgres", &left), "0");
}

#[test]
fn nothing_is_left_of_a_process_that_is_killed() {
    if std::env::var_os(STARTS_ONLY).is_some() {
        let server = Server::start(&[]);
        println!("\nserver {} {}", server.pid().expect("it runs"), server.folder().display());
        loop {
            std::thread::park();
        }
    }
    let mut starter = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "nothing_is_left_of_a_process_that_is_killed", "--nocapture"])
        .env(STARTS_ONLY, "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("a process");
    let lines = BufReader::new(starter.stdout.take().expect("piped")).lines();
    let line = lines.map_while(Result::ok).find(|line| line.starts_with("server "));
    let line = line.expect("it says where its server is");
    let [_, pid, folder] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
    let (pid, folder) = (pid.parse().expect("a process id"), PathBuf::from(folder));
    assert!(folder.is_dir());

    starter.kill().expect("killed");
    starter.wait().expect("its end");
    assert_gone(&folder, pid);
}

#[test]
fn nothing_is_left_of_the_script_that_starts_one_for_many_when_it_is_killed() {
    let mut script = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/with-postgres"))
        .args(["sh", "-c", "echo $POSTHOUSE_TEST_POSTGRES; read line"])
        .env_remove("POSTHOUSE_TEST_POSTGRES")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the script");
    let mut url = String::new();
    BufReader::new(script.stdout.take().expect("piped")).read_line(&mut url).expect("a line");
    let server = Server::given(url.trim());
    let name = database_of(&server.create_database());
    let data = PathBuf::from(server.psql(&name, "show data_directory"));
    let first_line = server.psql(&name, "select split_part(pg_read_file('postmaster.pid'), chr(10), 1)");
    let pid = first_line.parse().expect("a process id");

    script.kill().expect("killed");
    script.wait().expect("its end");
    assert_gone(data.parent().expect("its folder"), pid);
}
