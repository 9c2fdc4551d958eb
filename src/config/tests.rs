//! The layers, and what is said about what is wrong in them.

use super::*;

/// What a file, environment variables and flags come to, in a folder of their own.
fn loaded(file: &str, env: &[(&str, &str)], flags: Overrides) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("posthouse.toml"), file).expect("the file is written");
    let pair = |(name, word): &(&str, &str)| ((*name).to_owned(), (*word).to_owned());
    let sources = Sources { env: env.iter().map(pair).collect(), flags, ..Sources::default() };
    layers::resolve(folder.path(), sources).map(|resolved| resolved.config)
}

fn from_file(file: &str) -> Result<Config, ConfigError> {
    loaded(file, &[], Overrides::default())
}

fn from_env(name: &str, word: &str) -> Result<Config, ConfigError> {
    loaded("", &[(name, word)], Overrides::default())
}

/// The error's text, with the folder of the test taken out.
fn error(result: Result<Config, ConfigError>) -> String {
    let text = result.expect_err("an error").to_string();
    let line = |line: &str| match line.find("posthouse.toml") {
        Some(at) => line[at..].to_owned(),
        None => line.to_owned(),
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn nothing_given_means_the_defaults() {
    let folder = tempfile::tempdir().expect("a folder");
    let resolved = layers::resolve(folder.path(), Sources::default()).expect("valid");
    assert_eq!(resolved.config, Config::default());
    assert_eq!(resolved.file, None);
}

#[test]
fn the_later_layer_wins() {
    let file = "[server]\nlisten = '127.0.0.1:1'\nconnections_max = 7\n";
    let env = [("POSTHOUSE__SERVER__LISTEN", "127.0.0.1:2"), ("POSTHOUSE_DEV_KEY", "1"), ("PATH", "/bin")];
    let flags = Overrides { listen: Some("127.0.0.1:3".to_owned()), ..Overrides::default() };
    let port = |config: Config| config.server.listen.port();
    let none = Overrides::default;
    assert_eq!(loaded(file, &[], none()).map(port).ok(), Some(1));
    assert_eq!(loaded(file, &env, none()).map(port).ok(), Some(2));
    let all = loaded(file, &env, flags).expect("valid");
    assert_eq!(all.server.listen.port(), 3);
    assert_eq!(all.server.connections_max, 7);
    assert_eq!(all.server.head_timeout_ms, 5_000);
}

#[test]
fn a_named_file_must_be_there() {
    let sources = Sources { file: Some("/nowhere/posthouse.toml".into()), ..Sources::default() };
    let text = load(sources).expect_err("an error").to_string();
    assert!(text.starts_with("cannot read the configuration file /nowhere/posthouse.toml: "), "{text}");
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let text = error(from_file(&"#".repeat((1 << 20) + 1)));
    assert!(text.contains("larger than 1048576 bytes"), "{text}");
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_the_closest_known_one() {
    let check = |result, expected: &str| assert_eq!(error(result), expected);
    check(
        from_file("\n[server]\nlissen = 1\n"),
        "posthouse.toml:3: unknown key `server.lissen`, the closest is `server.listen`",
    );
    check(
        from_file("[server]\ndata_dir = '/x'\n"),
        "posthouse.toml:2: unknown key `server.data_dir`, the closest is `storage.data_dir`",
    );
    check(from_file("[sever]\nlisten = 1\n"), "posthouse.toml:1: unknown key `sever`, the closest is `server`");
    check(from_file("listen = 1\n"), "posthouse.toml:1: unknown key `listen`, the closest is `server.listen`");
    check(
        from_env("POSTHOUSE__EGRESS__ALLOW_NETWORK", "::1/128"),
        "environment variable POSTHOUSE__EGRESS__ALLOW_NETWORK: unknown key \
         `egress.allow_network`, the closest is `POSTHOUSE__EGRESS__ALLOW_NETWORKS`",
    );
    check(
        from_env("POSTHOUSE__LOG__LEVEL__X", "info"),
        "environment variable POSTHOUSE__LOG__LEVEL__X: unknown key `log.level__x`, the closest \
         is `POSTHOUSE__LOG__LEVEL`",
    );
}

#[test]
fn a_wrong_value_is_named_with_what_was_expected() {
    let check = |result, expected: &str| assert_eq!(error(result), expected);
    check(
        from_file("[server]\nconnections_max = 'many'\n"),
        "posthouse.toml:2: `server.connections_max` is \"many\", expected a whole number from 1 \
         to 1000000",
    );
    check(
        from_file("server = { connections_max = 0 }\n"),
        "posthouse.toml:1: `server.connections_max` is 0, expected a whole number from 1 to \
         1000000",
    );
    check(
        from_env("POSTHOUSE__EGRESS__HTTPS_ONLY", "yes"),
        "environment variable POSTHOUSE__EGRESS__HTTPS_ONLY: `egress.https_only` is \"yes\", \
         expected true or false",
    );
    check(
        from_file("[log]\nformat = 'xml'\n"),
        "posthouse.toml:2: `log.format` is \"xml\", expected one of `text`, `json`",
    );
    check(
        from_env("POSTHOUSE__DELIVERY__RETRY_SCHEDULE", "5,soon"),
        "environment variable POSTHOUSE__DELIVERY__RETRY_SCHEDULE: `delivery.retry_schedule` is \
         [5, \"soon\"], expected a list of at most 50, each a whole number from 1 to 2592000",
    );
    let flags = Overrides { listen: Some("8080".to_owned()), ..Overrides::default() };
    check(
        loaded("", &[], flags),
        "flag --listen: `server.listen` is \"8080\", expected a text, such as \"0.0.0.0:8080\" \
         (invalid socket address syntax)",
    );
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let text = error(from_file("[log]\nlevel = 'inof'\nfoo = 1\n[server]\nlisten = 1\n"));
    assert_eq!(text.lines().count(), 3, "{text}");
}

#[test]
fn what_is_not_toml_is_named_with_its_line_and_not_quoted() {
    let text = error(from_file("[storage]\nurl = postgres://u:hidden@h/d\n"));
    assert!(text.starts_with("posthouse.toml:2 is not TOML: "), "{text}");
    assert!(!text.contains("hidden"), "{text}");
}

#[test]
fn lists_come_separated_by_commas() {
    let networks = |config: Config| config.egress.allow_networks.len();
    let name = "POSTHOUSE__EGRESS__ALLOW_NETWORKS";
    assert_eq!(from_env(name, "127.0.0.0/8, ::1/128").map(networks).ok(), Some(2));
    assert_eq!(from_env(name, "").map(networks).ok(), Some(0));
    assert!(from_env(name, "127.0.0.1").is_err());
    assert!(from_env(name, "127.0.0.0/8,").is_err());

    let schedule = from_env("POSTHOUSE__DELIVERY__RETRY_SCHEDULE", "1,2,3").expect("valid");
    assert_eq!(schedule.delivery.retry_schedule, [1, 2, 3]);
    let none = from_env("POSTHOUSE__DELIVERY__RETRY_SCHEDULE", "").expect("valid");
    assert_eq!(none.delivery.retry_schedule, [0_u32; 0]);

    let servers = from_env("POSTHOUSE__EGRESS__DNS_SERVERS", "192.0.2.1").expect("valid");
    assert_eq!(servers.egress.dns_servers[0].to_string(), "192.0.2.1:53");
}

#[test]
fn bounds_hold_at_both_ends() {
    let check = |key: &str, value: &str, valid: bool| {
        let read = from_file(&format!("delivery.{key} = {value}\n"));
        assert_eq!(read.is_ok(), valid, "{key} = {value}");
    };
    check("attempt_timeout_ms", "49", false);
    check("attempt_timeout_ms", "50", true);
    check("attempt_timeout_ms", "60000", true);
    check("attempt_timeout_ms", "60001", false);
    check("attempt_timeout_ms", "1e3", false);
    check("attempt_timeout_ms", "-1", false);
    check("retry_schedule", "[]", true);
    check("retry_schedule", "[0]", false);
    check("retry_schedule", "[2592000]", true);
    check("retry_schedule", "[2592001]", false);
    check("retry_schedule", &format!("{:?}", [1; 50]), true);
    check("retry_schedule", &format!("{:?}", [1; 51]), false);
}

#[test]
fn every_default_is_within_its_bounds_and_every_key_is_described() {
    let defaults = toml::Table::try_from(Config::default()).expect("serialises");
    let mut seen = 0;
    for key in keys::sections().iter().flat_map(|section| &section.keys) {
        seen += 1;
        assert!(!key.description.is_empty(), "{}", key.path());
        match defaults[&key.section].get(&key.name) {
            Some(value) => assert!(key.kind.admits(value), "{} = {value}", key.path()),
            None => assert!(key.optional, "{}", key.path()),
        }
        if let keys::Kind::Integer { min, max } = key.kind {
            assert!(min >= 0 && max < i64::MAX, "{} has no bounds", key.path());
        }
    }
    assert!(seen > 30, "{seen} keys");
    for (flagged, _) in keys::FLAGS {
        let known = keys::sections();
        let mut known = known.iter().flat_map(|section| &section.keys);
        assert!(known.any(|key| key.path() == flagged), "{flagged}");
    }
}

#[test]
fn an_empty_variable_takes_an_optional_key_back() {
    let name = "POSTHOUSE__SERVER__PUBLIC_URL";
    let file = "[server]\npublic_url = 'https://hooks.example.com/in/'\n";
    let url = |result: Result<Config, ConfigError>| result.expect("valid").server.public_url;
    assert_eq!(url(from_file(file)).as_deref(), Some("https://hooks.example.com/in"));
    assert_eq!(url(loaded(file, &[(name, "")], Overrides::default())), None);
}

#[test]
fn a_public_url_is_one_that_a_path_can_be_put_behind() {
    let check = |url: &str, valid: bool| {
        let read = from_env("POSTHOUSE__SERVER__PUBLIC_URL", url);
        assert_eq!(read.is_ok(), valid, "{url}");
    };
    check("https://hooks.example.com", true);
    check("http://127.0.0.1:8080/posthouse", true);
    check("hooks.example.com", false);
    check("ftp://hooks.example.com", false);
    check("https://user:word@hooks.example.com", false);
    check("https://hooks.example.com/?a=b", false);
    check("https://hooks.example.com/#a", false);
}

#[test]
fn a_level_that_would_silence_everything_by_a_slip_is_refused() {
    let check = |level: &str, valid: bool| {
        let read = from_env("POSTHOUSE__LOG__LEVEL", level);
        assert_eq!(read.is_ok(), valid, "{level}");
    };
    check("info", true);
    check("warn,posthouse::deliver=debug", true);
    check("inof", false);
    check("info,posthouse::deliver=loud", false);
    check("", false);
}

#[test]
fn a_database_is_named_by_its_url() {
    let url = |result: Result<Config, ConfigError>| result.expect("valid").storage.url;
    let name = "POSTHOUSE__STORAGE__URL";
    let flags = || Overrides { database: Some("postgresql://flag@db/x".to_owned()), ..Overrides::default() };
    let revealed = |found: Option<PostgresUrl>| found.map(|url| url.reveal().to_owned());
    assert_eq!(url(from_file("")), None);
    assert_eq!(revealed(url(from_env(name, "postgres://u:word@db/x"))).as_deref(), Some("postgres://u:word@db/x"));
    let both = loaded("", &[(name, "postgres://u:word@db/x")], flags());
    assert_eq!(revealed(url(both)).as_deref(), Some("postgresql://flag@db/x"));
    assert_eq!(url(loaded("[storage]\nurl = 'postgres://file/x'", &[(name, "")], Overrides::default())), None);
}

#[test]
fn the_password_of_a_database_is_repeated_nowhere() {
    let check = |word: &str, shown: &str| {
        for (key, variable) in [("url", "POSTHOUSE__STORAGE__URL"), ("listen_url", "POSTHOUSE__STORAGE__LISTEN_URL")] {
            for result in [from_file(&format!("[storage]\n{key} = '{word}'\n")), from_env(variable, word)] {
                let text = error(result);
                assert!(!text.contains("hidden"), "{text}");
                assert!(text.contains(&format!("`storage.{key}` is \"{shown}\", expected a text")), "{text}");
            }
        }
    };
    check("mysql://u:hidden@db/x", "mysql://***");
    check("u:hidden@db/x", "***");
    check("postgres://u:hid/hidden@db/x", "postgres://***");
    let number = error(from_file("[storage]\nurl = 5\n"));
    assert!(number.contains("`storage.url` is 5, expected a text"), "{number}");

    let folder = tempfile::tempdir().expect("a folder");
    let word = "postgres://u:hidden@db/x?sslpassword=hidden";
    let env = [("POSTHOUSE__STORAGE__URL", word), ("POSTHOUSE__STORAGE__LISTEN_URL", word)];
    let env = env.map(|(name, word)| (name.to_owned(), word.to_owned())).to_vec();
    let resolved = layers::resolve(folder.path(), Sources { env, ..Sources::default() }).expect("valid");
    let shown = resolved.show();
    assert!(!shown.contains("hidden"), "{shown}");
    let line = "\nurl = \"postgres://u:***@db/x?sslpassword=***\" # environment variable POSTHOUSE__STORAGE__URL\n";
    assert!(shown.contains(line), "{shown}");
    let debug = format!("{resolved:?}");
    assert!(!debug.contains("hidden"), "{debug}");
    assert_eq!(resolved.config.storage.url.as_ref().map(PostgresUrl::reveal), Some(word));
}

#[test]
fn where_to_be_notified_needs_a_database() {
    let file = "[storage]\nlisten_url = 'postgres://u:hidden@db/x'\n";
    assert_eq!(
        error(from_file(file)),
        "posthouse.toml:2: `storage.listen_url` is given, expected nothing, because storage.url is not given"
    );
    assert!(loaded(file, &[("POSTHOUSE__STORAGE__URL", "postgres://pooler/x")], Overrides::default()).is_ok());
}

#[test]
fn a_node_has_a_plain_name_a_bounded_lease_and_a_bounded_pool() {
    let check = |key: &str, value: &str, valid: bool| {
        let read = from_file(&format!("{key} = {value}\n"));
        assert_eq!(read.is_ok(), valid, "{key} = {value}");
    };
    check("cluster.node_name", "'node-1.rack_2'", true);
    check("cluster.node_name", &format!("'{}'", "n".repeat(63)), true);
    check("cluster.node_name", &format!("'{}'", "n".repeat(64)), false);
    check("cluster.node_name", "''", false);
    check("cluster.node_name", "'node 1'", false);
    check("cluster.node_name", "'knoten-ä'", false);
    check("cluster.lease_s", "2", false);
    check("cluster.lease_s", "3", true);
    check("cluster.lease_s", "60", true);
    check("cluster.lease_s", "61", false);
    check("storage.pool_max", "6", false);
    check("storage.pool_max", "7", true);
    check("storage.pool_max", "1001", false);
    check("storage.migrate", "false", true);
    check("storage.migrate", "'no'", false);
}

#[test]
fn a_body_must_find_room_in_what_bodies_share() {
    let text = error(from_file("[limits]\nbody_bytes_in_memory_max = 1024\n"));
    assert_eq!(
        text,
        "posthouse.toml:2: `limits.body_bytes_in_memory_max` is 1024, expected at least \
         limits.body_bytes_max, which is 1048576"
    );
}
