//! What is shipped for several nodes names settings, files, services and commands that are there. It cannot be
//! run here.

use std::path::Path;
use std::process::Command;

use posthouse::config::read_capped;

use crate::support::app::cli;

const FOLDER: &str = "examples/cluster";

fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER).join(name);
    read_capped(&path, 64 * 1024).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// `name: value` lines of the Compose file, without what is before and behind.
fn entries(compose: &str) -> impl Iterator<Item = (&str, &str)> {
    compose.lines().filter_map(|line| line.trim().trim_start_matches("- ").split_once(": "))
}

/// The names on the level of services.
fn services(compose: &str) -> Vec<&str> {
    let (_, services) = compose.split_once("\nservices:\n").expect("services");
    let (services, _) = services.split_once("\nvolumes:\n").expect("volumes");
    let names = services.lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.map(|line| line.trim().trim_end_matches(':')).filter(|name| !name.is_empty()).collect()
}

#[test]
fn the_settings_are_understood() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let compose = file("compose.yaml");
    let settings: Vec<(String, String)> = entries(&compose)
        .filter(|(name, _)| name.starts_with("POSTHOUSE__"))
        .map(|(name, value)| (name.to_owned(), value.replace("${POSTGRES_PASSWORD}", "word")))
        .collect();
    assert!(settings.len() >= 7, "{settings:?}");
    let checked = cli(folder.path(), &["config", "check"], &settings);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let toml = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER).join("posthouse.toml");
    let toml = toml.to_str().expect("a path in UTF-8");
    let checked = cli(folder.path(), &["config", "check", "--config", toml], &[]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    let unit = file("posthouse-node@.service").replace("%i", "node-1");
    let settings: Vec<(String, String)> = unit
        .lines()
        .filter_map(|line| line.strip_prefix("Environment=")?.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert_eq!(settings.len(), 2);
    assert!(cli(folder.path(), &["config", "check"], &settings).status.success());
}

#[test]
fn the_compose_file_names_what_is_there() {
    let compose = file("compose.yaml");
    let services = services(&compose);
    assert_eq!(services, ["node-1", "node-2", "node-3", "proxy", "primary", "standby"]);
    for mounted in compose.lines().filter_map(|line| line.trim().strip_prefix("- ./")) {
        let name = mounted.split(':').next().expect("a name");
        // The key is made by whoever runs it.
        assert!(name == "key" || !file(name).is_empty(), "{name}");
    }
    let proxy = file("Caddyfile");
    let to: Vec<&str> = proxy
        .lines()
        .find_map(|line| line.trim().strip_prefix("reverse_proxy "))
        .expect("a proxy")
        .split_whitespace()
        .filter_map(|upstream| upstream.strip_suffix(":8080"))
        .collect();
    assert_eq!(to, services[..3]);
    assert!(compose.contains("@primary,standby/posthouse") && proxy.contains("health_uri /api/v1/health/ready"));
    // A drain has time.
    let grace = entries(&compose).find(|(name, _)| *name == "stop_grace_period").expect("one").1;
    let grace_s: u64 = grace.trim_end_matches('s').parse().expect("seconds");
    assert!(grace_s * 1_000 > posthouse::config::Config::default().server.shutdown_timeout_ms + 5_000);
}

#[test]
fn the_scripts_are_understood_by_the_shell() {
    for name in ["primary.sh", "standby.sh"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER).join(name);
        let checked = Command::new("bash").arg("-n").arg(&path).output().expect("bash runs");
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
    }
    // The name that commits wait for is the one that the standby gives itself.
    assert!(file("primary.sh").contains("synchronous_standby_names = 'standby'"));
    assert!(file("standby.sh").contains("cluster_name=standby"));
}
