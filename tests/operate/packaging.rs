//! The image and the unit name files, commands and times that are there. Neither can be built here.

use std::path::Path;
use std::process::Command;

use posthouse::config::{Config, read_capped};

use crate::support::app::{BINARY, TestApp, cli};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn file(name: &str) -> String {
    read_capped(&repository().join(name), 64 * 1024).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The instructions of the Dockerfile, each on one line.
fn instructions() -> Vec<String> {
    let text = file("Dockerfile").replace("\\\n", " ");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

/// What is copied from the repository into the image that builds.
fn copied() -> Vec<String> {
    let instructions = instructions();
    let copies =
        instructions.iter().filter_map(|line| line.strip_prefix("COPY ")).filter(|rest| !rest.contains("--from="));
    copies
        .flat_map(|rest| {
            let words: Vec<&str> = rest.split_whitespace().filter(|word| !word.starts_with("--")).collect();
            words[..words.len() - 1].iter().map(|word| word.trim_end_matches('/').to_owned()).collect::<Vec<_>>()
        })
        .collect()
}

/// The words of an instruction in its exec form.
fn words(instruction: &str) -> Vec<String> {
    let instructions = instructions();
    let line =
        instructions.iter().find(|line| line.starts_with(instruction)).unwrap_or_else(|| panic!("{instruction}"));
    let list = &line[line.find('[').expect("the exec form")..];
    serde_json::from_str(list).expect("a list of words")
}

#[track_caller]
fn assert_is_a_command(words: &[&str]) {
    let mut words = words.to_vec();
    words.push("--help");
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let output = cli(folder.path(), &words, &[]);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_image_is_built_from_files_that_are_there() {
    let copied = copied();
    assert!(copied.iter().any(|name| name == "src"), "{copied:?}");
    for name in &copied {
        assert!(repository().join(name).exists(), "COPY {name}");
    }
    let ignore = file(".dockerignore");
    assert_eq!(ignore.lines().find(|line| !line.starts_with('#')), Some("*"));
    for name in &copied {
        assert!(is_kept(&ignore, name), ".dockerignore keeps {name} out");
    }
    for name in ["target", "dashboard/node_modules", "dashboard/dist", "data/key"] {
        assert!(!is_kept(&ignore, name), ".dockerignore lets {name} in");
    }
}

/// Whether what `.dockerignore` says leaves a path in: of the lines that name it, or a folder that it is in,
/// the last counts.
fn is_kept(ignore: &str, path: &str) -> bool {
    let names = |pattern: &str| {
        let below = path.strip_prefix(pattern);
        pattern == "*" || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let said = ignore.lines().rfind(|line| names(line.trim_start_matches('!')));
    said.is_none_or(|line| line.starts_with('!'))
}

#[test]
fn what_the_sources_include_is_copied_into_the_image() {
    let copied = copied();
    let mut folders = vec![repository().join("src"), repository().join("crates")];
    let mut included = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = read_capped(&path, 1 << 20).expect("a source");
            for call in ["include_str!(\"", "include_bytes!(\""] {
                for (_, rest) in text.match_indices(call).map(|(at, call)| text.split_at(at + call.len())) {
                    let name = &rest[..rest.find('"').expect("a name")];
                    let target = path.parent().expect("a folder").join(name).canonicalize();
                    let target = target.unwrap_or_else(|error| panic!("{name} in {}: {error}", path.display()));
                    let inside = target.strip_prefix(repository().canonicalize().expect("here")).expect("in here");
                    assert!(copied.iter().any(|root| inside.starts_with(root)), "{} is not copied", inside.display());
                    included += 1;
                }
            }
        }
    }
    assert!(included > 0, "the sources include something");
}

#[test]
fn the_image_runs_commands_that_are_there() {
    let binary = "/usr/local/bin/posthouse";
    assert_eq!(words("ENTRYPOINT"), [binary]);
    let command = words("CMD");
    assert_is_a_command(&command.iter().map(String::as_str).collect::<Vec<_>>());
    let health = words("HEALTHCHECK");
    assert_eq!(health[0], binary);
    assert_is_a_command(&health[1..].iter().map(String::as_str).collect::<Vec<_>>());
    let instructions = instructions();
    assert!(instructions.iter().any(|line| line == "STOPSIGNAL SIGTERM"));
    assert!(instructions.iter().any(|line| line.starts_with("USER ") && !line.contains("root")), "not as root");
    let version = env!("CARGO_PKG_RUST_VERSION");
    assert!(instructions.iter().any(|line| line == &format!("ARG RUST_VERSION={version}")), "Rust {version}");
}

/// The units that are shipped: of one node on its own store, and of one of several.
const UNITS: [&str; 2] = ["packaging/posthouse.service", "examples/cluster/posthouse-node@.service"];

#[test]
fn the_units_run_the_server_and_wait_for_its_drain() {
    for name in UNITS {
        let unit = file(name);
        let value = |name: &str| {
            let line = unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            line.unwrap_or_else(|| panic!("{name} in the unit"))
        };
        let start: Vec<&str> = value("ExecStart").split_whitespace().collect();
        assert_eq!(start[0], "/usr/local/bin/posthouse");
        assert_is_a_command(&start[1..]);
        let config = Config::default();
        let stop_s: u64 = value("TimeoutStopSec").parse().expect("seconds");
        assert!(stop_s * 1000 > config.server.shutdown_timeout_ms + 5_000, "{stop_s} s are too few to drain");
        let files: u64 = value("LimitNOFILE").parse().expect("a number");
        assert!(files >= config.limits.open_files_warn_below);
        // Wrong configuration is told by this code, and is not mended by starting again.
        assert_eq!(value("RestartPreventExitStatus"), "2");
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let nonsense = [("POSTHOUSE__SERVER__LISTEN".to_owned(), "nonsense".to_owned())];
    assert_eq!(cli(folder.path(), &["serve"], &nonsense).status.code(), Some(2));
}

/// Both units are as closed to the rest of the machine.
#[test]
fn the_units_forbid_the_same() {
    let closed = |name: &str| -> Vec<String> {
        let text = file(name);
        let from = text.find("ProtectSystem=").expect("what is forbidden");
        text[from..].lines().map(str::to_owned).collect()
    };
    assert_eq!(closed(UNITS[0]), closed(UNITS[1]));
}

/// The server itself writes a backup: the folders that the documentation names are those it may write to.
#[test]
fn the_documented_folder_of_backups_can_be_written_to() {
    let (unit, deploying) = (file("packaging/posthouse.service"), file("docs/deploying.md"));
    let folders = unit.lines().find_map(|line| line.strip_prefix("StateDirectory=")).expect("folders");
    let mut writable: Vec<String> = folders.split_whitespace().map(|name| format!("/var/lib/{name}/")).collect();
    let volumes = instructions().into_iter().find_map(|line| line.strip_prefix("VOLUME ").map(str::to_owned));
    writable.extend(volumes.expect("volumes").split_whitespace().map(|name| format!("{name}/")));
    let commands: Vec<&str> = deploying.lines().filter(|line| line.contains("posthouse backup /")).collect();
    assert!(commands.len() >= 3, "{commands:?}");
    for command in commands {
        let (_, target) = command.split_once("posthouse backup ").expect("a command");
        let target = target.split_whitespace().next().expect("a file");
        assert!(writable.iter().any(|folder| target.starts_with(folder)), "{command}: {writable:?}");
        let by_docker = command.starts_with("docker exec ");
        assert!(by_docker || command.starts_with("sudo -u posthouse ") && command.contains("--data-dir "), "{command}");
        assert_eq!(by_docker, target.starts_with("/backups/"), "{command}");
    }
    let restores: Vec<&str> = deploying.lines().filter(|line| line.contains("posthouse restore /")).collect();
    assert!(restores.len() >= 2, "{restores:?}");
    for command in restores {
        assert!(command.starts_with("docker run ") || command.starts_with("sudo -u posthouse "), "{command}");
    }
}

/// As systemd reads it, where systemd is installed.
#[test]
fn the_unit_is_understood_by_systemd() {
    let installed =
        Command::new("systemd-analyze").arg("--version").output().is_ok_and(|output| output.status.success());
    if !installed {
        println!("NOT checked: systemd-analyze is not installed");
        return;
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    for name in UNITS {
        let base = name.rsplit('/').next().expect("a name").replace('@', "@node-1");
        let unit = folder.path().join(&base);
        // It wants the binary to be there.
        std::fs::write(&unit, file(name).replace("/usr/local/bin/posthouse", BINARY)).expect("written");
        let verified = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output().expect("runs");
        let said = String::from_utf8_lossy(&verified.stderr);
        assert!(verified.status.success() && !said.contains(&base), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_tells_by_its_exit_code() {
    let mut app = TestApp::start().await;
    assert!(app.cli(&["health"]).status.success());
    app.kill9();
    let output = app.cli(&["health"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no server runs"), "{output:?}");
}
