//! A throw-away PostgreSQL from the installed programs, never one that happens to run.
//!
//! Each [`Server`] is run by a small shell, the supervisor, which takes its orders from a pipe that
//! this process holds. The pipe closes when the server is dropped and also when this process is
//! killed: the supervisor then stops PostgreSQL and removes its folder. PostgreSQL refuses to run
//! as root, so there the supervisor is the user `postgres`.
//!
//! This file stands alone: the library's own tests include it as well.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use url::Url;

/// The URL of a server that is there for the tests, with a superuser: [`shared`] takes it then
/// instead of starting one.
const GIVEN: &str = "POSTHOUSE_TEST_POSTGRES";
const VERSION_MIN: u32 = 15;
const READY_WITHIN: Duration = Duration::from_secs(30);
/// What the supervisor is asked for takes seconds at most: a new cluster, a stop.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(10);
/// Below the ports that Linux gives to outgoing connections: one of these could otherwise take the
/// port of a server between its stop and its next start.
const PORTS: std::ops::Range<u16> = 15_000..32_000;
const PORTS_TRIED_MAX: u32 = 20;
const READ_BYTES_MAX: u64 = 1 << 20;

/// Reads an order a line and answers each with a line. At the end of the orders it stops PostgreSQL
/// as at a crash, because nothing of it is kept, and removes the folder. Signals from a terminal or
/// a closed pipe do not end it before that.
const SUPERVISOR: &str = r#"
trap '' HUP INT TERM PIPE
folder=$(mktemp -d "$PARENT/posthouse-postgres-XXXXXX") || exit 1
log=$folder/log
pid=
halt() {
    [ -n "$pid" ] && kill -s "$1" "$pid" && wait "$pid"
    pid=
}
echo "$folder"
while read -r order argument; do
    answer=done
    case $order in
    init)
        "$PROGRAMS/initdb" -D "$folder/data" -U postgres --auth=trust --encoding=UTF8 --locale=C --no-sync \
            </dev/null >>"$log" 2>&1 || answer=failed ;;
    copy)
        "$PROGRAMS/pg_basebackup" -d "$argument" -D "$folder/data" -R -X stream -c fast --no-sync \
            </dev/null >>"$log" 2>&1 || answer=failed ;;
    start)
        "$PROGRAMS/postgres" -D "$folder/data" </dev/null >>"$log" 2>&1 &
        pid=$!
        answer=$pid ;;
    stop)
        halt "$argument" ;;
    esac
    echo "$answer"
done 2>/dev/null
halt QUIT
rm -rf "$folder"
"#;

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Connections are cut, and all is written before the end.
    Fast,
    /// As at a crash: the next start recovers from the log.
    Immediate,
}

/// When a standby's primary confirms a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replication {
    /// As soon as the primary itself has it.
    Asynchronous,
    /// When the standby has written it as well.
    Synchronous,
}

/// A PostgreSQL server for tests. Dropping it removes it with everything in it, unless it was given
/// by `POSTHOUSE_TEST_POSTGRES`.
#[derive(Debug)]
pub(crate) struct Server {
    /// With the superuser and no database.
    base: Url,
    /// `None` for a server that was given.
    own: Option<Mutex<Own>>,
}

/// A server that this process runs.
#[derive(Debug)]
struct Own {
    supervisor: Child,
    answers: Receiver<String>,
    folder: PathBuf,
    /// Of PostgreSQL's first process, while it runs.
    pid: Option<u32>,
}

/// The server that all tests of this process share: the one that is given, or one that is started
/// at the first call and goes with the process.
pub(crate) fn shared() -> &'static Server {
    static SHARED: OnceLock<Server> = OnceLock::new();
    SHARED.get_or_init(|| match std::env::var(GIVEN) {
        Ok(url) => Server::given(&url),
        Err(_) => Server::start(&[]),
    })
}

impl Server {
    /// A new server with these settings of `postgresql.conf` besides ours. `fsync` is on.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        let mut own = Own::supervised();
        own.order("init");
        let folder = own.folder.to_str().expect("UTF-8").to_owned();
        own.configure(&[
            ("listen_addresses", "127.0.0.1"),
            ("unix_socket_directories", &folder),
            ("max_connections", "200"),
        ]);
        own.configure(settings);
        Self::run_on_free_port(own)
    }

    /// A server that is there, by the URL of its superuser. It is only for making databases.
    pub(crate) fn given(url: &str) -> Self {
        Self { base: Url::parse(url).unwrap_or_else(|e| panic!("{GIVEN}: {e}")), own: None }
    }

    /// A copy of this server that follows it. With [`Replication::Synchronous`] this server
    /// confirms no commit any more that the copy has not written.
    pub(crate) fn standby(&self, replication: Replication) -> Self {
        let mut own = Own::supervised();
        own.order(&format!("copy {}", self.base));
        let folder = own.folder.to_str().expect("UTF-8").to_owned();
        let name = format!("standby_{}", fresh());
        own.configure(&[
            ("unix_socket_directories", &folder),
            ("cluster_name", &name),
            ("synchronous_standby_names", ""),
        ]);
        let standby = Self::run_on_free_port(own);
        if replication == Replication::Synchronous {
            self.own().configure(&[("synchronous_standby_names", &name)]);
            self.psql("postgres", "select pg_reload_conf()");
        }
        let expected = match replication {
            Replication::Asynchronous => "streaming|async",
            Replication::Synchronous => "streaming|sync",
        };
        let question = format!("select state, sync_state from pg_stat_replication where application_name = '{name}'");
        let follows = poll(READY_WITHIN, || self.psql("postgres", &question) == expected);
        assert!(follows, "the standby does not follow: {}", standby.own().log_end());
        standby
    }

    /// Makes a standby a server that takes writes, and waits until it does.
    pub(crate) fn promote(&self) {
        let limit_s = READY_WITHIN.as_secs();
        let promoted = self.psql("postgres", &format!("select pg_promote(wait => true, wait_seconds => {limit_s})"));
        assert_eq!(promoted, "t", "not promoted: {}", self.own().log_end());
    }

    /// Stops the server and waits for its end. Its port and its data stay.
    pub(crate) fn stop(&self, mode: Mode) {
        let mut own = self.own();
        own.order(match mode {
            Mode::Fast => "stop INT",
            Mode::Immediate => "stop QUIT",
        });
        own.pid = None;
    }

    /// Starts a stopped server at the same port and waits until it answers.
    pub(crate) fn start_again(&self) {
        let mut own = self.own();
        assert!(own.pid.is_none(), "the server runs");
        assert!(own.run(), "the server does not start again: {}", own.log_end());
    }

    /// The URL of a database on this server, as its superuser.
    pub(crate) fn url(&self, database: &str) -> String {
        let mut url = self.base.clone();
        url.set_path(database);
        url.into()
    }

    /// Makes a database of its own for the caller; its URL.
    pub(crate) fn create_database(&self) -> String {
        let name = format!("test_{}", fresh());
        self.psql("postgres", &format!("create database {name}"));
        self.url(&name)
    }

    /// Removes a database that [`Server::create_database`] has made, with its connections.
    pub(crate) fn drop_database(&self, url: &str) {
        let url = Url::parse(url).expect("a URL");
        let name = url.path().trim_start_matches('/');
        self.psql("postgres", &format!("drop database if exists {name} with (force)"));
    }

    /// What `psql` prints for this statement: a line a row, values set apart by `|`. Fails the test
    /// when the statement fails.
    #[track_caller]
    pub(crate) fn psql(&self, database: &str, sql: &str) -> String {
        let mut command = Command::new(programs().join("psql"));
        without_settings(&mut command).env("PGCONNECT_TIMEOUT", "10");
        let flags = ["--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1"];
        command.args(flags).args(["--dbname", &self.url(database), "--command", sql]).stdin(Stdio::null());
        let output = command.output().unwrap_or_else(|e| panic!("cannot run psql: {e}"));
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`{sql}`: {errors}");
        String::from_utf8(output.stdout).expect("UTF-8").trim_end().to_owned()
    }

    /// The process that started all others of the server; `None` while it is stopped.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.own().pid
    }

    /// The folder that holds its data, its log and its socket, and goes with it.
    pub(crate) fn folder(&self) -> PathBuf {
        self.own().folder.clone()
    }

    #[track_caller]
    fn own(&self) -> MutexGuard<'_, Own> {
        let own = self.own.as_ref().unwrap_or_else(|| panic!("a server that was given is only for databases"));
        own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run_on_free_port(mut own: Own) -> Self {
        for _ in 0..PORTS_TRIED_MAX {
            let port = rand::random_range(PORTS);
            if TcpListener::bind(("127.0.0.1", port)).is_err() {
                continue;
            }
            own.configure(&[("port", &port.to_string())]);
            if own.run() {
                let base = Url::parse(&format!("postgres://postgres@127.0.0.1:{port}")).expect("a URL");
                return Self { base, own: Some(Mutex::new(own)) };
            }
        }
        panic!("PostgreSQL does not start: {}", own.log_end());
    }
}

impl Own {
    /// A supervisor with a folder, and nothing in it yet.
    fn supervised() -> Self {
        let mut command = as_server_user();
        command.env("PROGRAMS", programs()).env("PARENT", parent_folder()).env("LC_ALL", "C");
        command.current_dir("/").process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut supervisor = command.spawn().unwrap_or_else(|e| panic!("cannot start PostgreSQL's supervisor: {e}"));
        let mut lines = BufReader::new(supervisor.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let (sender, answers) = sync_channel(1);
        std::thread::spawn(move || lines.all(|line| sender.send(line).is_ok()));
        let mut own = Self { supervisor, answers, folder: PathBuf::new(), pid: None };
        own.folder = PathBuf::from(own.answer("a folder"));
        own
    }

    /// Has the supervisor do something; its answer.
    #[track_caller]
    fn order(&mut self, order: &str) -> String {
        let orders = self.supervisor.stdin.as_mut().expect("open until the drop");
        writeln!(orders, "{order}").unwrap_or_else(|e| panic!("PostgreSQL's supervisor has ended: {e}"));
        self.answer(order)
    }

    #[track_caller]
    fn answer(&self, order: &str) -> String {
        let answer = self.answers.recv_timeout(ANSWER_WITHIN);
        let answer = answer.unwrap_or_else(|e| panic!("no answer to `{order}`: {e}: {}", self.log_end()));
        assert_ne!(answer, "failed", "`{order}`: {}", self.log_end());
        answer
    }

    /// Adds to `postgresql.conf`, of which the last line of a name counts.
    fn configure(&self, settings: &[(&str, &str)]) {
        let path = self.folder.join("data/postgresql.conf");
        let file = File::options().append(true).open(&path);
        let mut file = file.unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        for (name, value) in settings {
            writeln!(file, "{name} = '{}'", value.replace('\'', "''")).expect("written");
        }
    }

    /// Starts PostgreSQL. Whether it takes connections; if not, it has ended by itself.
    fn run(&mut self) -> bool {
        let pid: u32 = self.order("start").parse().expect("a process id");
        let mut ended = false;
        let came = poll(READY_WITHIN, || {
            ended = has_ended(pid);
            ended || self.is_ready(pid)
        });
        assert!(came, "PostgreSQL is not ready within {READY_WITHIN:?}: {}", self.log_end());
        self.pid = (!ended).then_some(pid);
        !ended
    }

    /// Whether this process has written that it takes connections: the first and the eighth line of
    /// `postmaster.pid`, as `pg_ctl` reads them.
    fn is_ready(&self, pid: u32) -> bool {
        let Some(text) = read_end(&self.folder.join("data/postmaster.pid")) else { return false };
        let mut lines = text.lines().map(str::trim);
        let is_its = lines.next() == Some(&pid.to_string());
        is_its && matches!(lines.nth(6), Some("ready" | "standby"))
    }

    fn log_end(&self) -> String {
        let text = read_end(&self.folder.join("log")).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        drop(self.supervisor.stdin.take());
        let ended = poll(ANSWER_WITHIN, || matches!(self.supervisor.try_wait(), Ok(Some(_)) | Err(_)));
        assert!(ended || std::thread::panicking(), "PostgreSQL's supervisor does not end");
    }
}

/// The folder of the programs: of the newest version that is installed, else the one in `PATH`.
fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let installed = versions.filter_map(|entry| {
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            let folder = entry.path().join("bin");
            (version >= VERSION_MIN && has_programs(&folder)).then_some((version, folder))
        });
        let in_path = || {
            let path = std::env::var_os("PATH")?;
            std::env::split_paths(&path).find(|folder| has_programs(folder))
        };
        let newest = installed.max().map(|(_, folder)| folder).or_else(in_path);
        newest.expect("PostgreSQL's programs, 15 or newer: install the package `postgresql`")
    })
}

fn has_programs(folder: &Path) -> bool {
    ["initdb", "postgres", "pg_basebackup", "psql"].iter().all(|name| folder.join(name).is_file())
}

/// The supervisor's shell, as the user `postgres` where we are root.
fn as_server_user() -> Command {
    let root = rustix::process::geteuid().is_root();
    let ways: [&[&str]; 3] = [
        &["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "sh", "-c"],
        &["runuser", "-u", "postgres", "--", "sh", "-c"],
        &["su", "-s", "/bin/sh", "postgres", "-c"],
    ];
    let words = if root {
        let there = ways.into_iter().find(|words| in_path(words[0]));
        there.expect("one of setpriv, runuser and su, to run PostgreSQL as another user than root")
    } else {
        &["sh", "-c"]
    };
    let mut command = Command::new(words[0]);
    without_settings(&mut command).args(&words[1..]).arg(SUPERVISOR);
    command
}

/// Where the folders are made: where another user may write, if PostgreSQL runs as another.
fn parent_folder() -> PathBuf {
    if rustix::process::geteuid().is_root() { PathBuf::from("/tmp") } else { std::env::temp_dir() }
}

fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Takes away what PostgreSQL's programs would read from the environment.
fn without_settings(command: &mut Command) -> &mut Command {
    let names = std::env::vars_os().map(|(name, _)| name);
    for name in names.filter(|name| name.to_string_lossy().starts_with("PG")) {
        command.env_remove(name);
    }
    command
}

/// A part of a name that nobody else uses, in this process or beside it.
fn fresh() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{}_{:08x}_{count}", std::process::id(), rand::random::<u32>())
}

/// Whether a process has ended, waited for or not.
fn has_ended(pid: u32) -> bool {
    let Some(state) = read_end(Path::new(&format!("/proc/{pid}/stat"))) else { return true };
    state.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z'))
}

/// The last part of a text file, up to [`READ_BYTES_MAX`]; `None` where there is none.
fn read_end(path: &Path) -> Option<String> {
    let mut file = File::open(path).ok()?;
    let length_bytes = file.metadata().ok()?.len();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(length_bytes.saturating_sub(READ_BYTES_MAX))).ok()?;
    let mut bytes = Vec::new();
    file.take(READ_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Polls a condition; whether it came true in time.
fn poll(within: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + within;
    while !condition() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::park_timeout(POLL);
    }
    true
}
