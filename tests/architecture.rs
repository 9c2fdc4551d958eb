//! The shape of the code, read from its text: which way dependencies run, which rooms are pure,
//! where sockets are opened, and what is not left lying about. See ARCHITECTURE.md.

use std::path::{Path, PathBuf};

use posthouse::config::read_capped;

/// The floors of the house, from the ground up. A file uses its own floor and those below it.
const FLOORS: [&[&str]; 6] = [
    &["model"],
    &["config", "metrics"],
    &["store"],
    &["api", "accept", "dashboard", "deliver", "dispatch", "maintain", "record"],
    &["app"],
    &["cli"],
];

/// What decides here, and does nothing else: time, randomness and what was read are arguments.
const PURE: [&str; 5] =
    ["src/model/", "src/record/transition", "src/dispatch/lane", "src/dispatch/scheduler", "crates/signature/src/"];

/// What a pure file may not mention.
const IMPURE: [&str; 8] =
    ["tokio::net", "tokio::fs", "std::fs", "SystemTime", "Instant::now", "rand::rng", "rand::random", "thread_rng"];

/// The one file of a pure room that reads the wall clock, for all others to be handed.
const CLOCK: &str = "src/model/time.rs";

/// How an outbound socket comes about, and where it may: behind the guard, and in the load
/// generator.
const SOCKETS: [&str; 4] = ["TcpStream::connect", "TcpSocket::new", "UdpSocket::bind", "HttpConnector::new"];
const SOCKETS_ALLOWED: [&str; 2] = ["src/deliver/", "src/cli/bench"];

/// What is not committed, and why.
const LITTER: [(&str, &str); 6] = [
    (concat!("todo", "!("), "finish it, or open an issue"),
    (concat!("unimplemented", "!("), "finish it, or open an issue"),
    (concat!("FIX", "ME"), "fix it, or open an issue"),
    (concat!("#[ig", "nore"), "a test that is not run proves nothing"),
    (concat!("#[al", "low("), "use #[expect(…, reason = \"…\")]"),
    (concat!("#![al", "low("), "use #![expect(…, reason = \"…\")]"),
];

const LINES_MAX: usize = 700;

/// A source file: its path from the root of the repository, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The text without comments and without the tests beside the code.
    fn code(&self) -> String {
        let before_tests = self.text.split("#[cfg(test)]\nmod tests {").next();
        let lines = before_tests.unwrap_or_default().lines();
        let code = lines.filter(|line| !line.trim_start().starts_with("//"));
        code.collect::<Vec<_>>().join("\n")
    }

    /// The module of the crate that it belongs to; `None` for `lib.rs` and `main.rs`.
    fn module(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        let first = inside.split('/').next()?.trim_end_matches(".rs");
        (!matches!(first, "lib" | "main")).then_some(first)
    }
}

/// All Rust files of the package and its library crates.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> = vec![root.join("src"), root.join("crates")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).expect("a folder of the repository");
        for entry in entries.map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                // What is installed or built there is not ours.
                let is_others = entry.ends_with("node_modules") || entry.ends_with("target");
                folders.extend((!is_others).then_some(entry));
            } else if entry.extension().is_some_and(|extension| extension == "rs") {
                let path = entry.strip_prefix(root).expect("inside the repository");
                found.push(Source {
                    path: path.to_string_lossy().replace('\\', "/"),
                    text: read_capped(&entry, 1 << 20).expect("a source file"),
                });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The modules of this crate that a text names by `crate::module` or `crate::{module…, …}`.
fn modules_named(code: &str) -> Vec<String> {
    let word = |text: &str| -> String {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
        text[..end.unwrap_or(text.len())].to_owned()
    };
    let mut named = Vec::new();
    for (at, found) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + found.len()..];
        match rest.strip_prefix('{') {
            None => named.push(word(rest)),
            Some(group) => named.extend(heads(group).iter().map(|item| word(item))),
        }
    }
    named
}

/// The items of a `{…}` of a `use`, without what stands in braces inside them.
fn heads(group: &str) -> Vec<String> {
    let mut depth = 1;
    let mut items = vec![String::new()];
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => items.push(String::new()),
            c if depth == 1 && !c.is_whitespace() => items.last_mut().expect("one").push(c),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    items.retain(|item| !item.is_empty());
    items
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

fn assert_none(found: &[String]) {
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn dependencies_run_one_way() {
    let mut found = Vec::new();
    for source in sources() {
        let Some(module) = source.module() else {
            continue;
        };
        let path = &source.path;
        let Some(own) = floor(module) else {
            found.push(format!("{path}: `{module}` has no floor in FLOORS of this test"));
            continue;
        };
        for used in modules_named(&source.code()) {
            if floor(&used).is_some_and(|other| other > own) {
                found.push(format!("{path}: `{module}` uses `{used}`, which is above it"));
            }
        }
    }
    assert_none(&found);
}

#[test]
fn pure_rooms_do_no_io_and_read_no_clock() {
    let mut found = Vec::new();
    for source in sources() {
        let pure = PURE.iter().any(|room| source.path.starts_with(room));
        if !pure || source.path == CLOCK {
            continue;
        }
        let code = source.code();
        for word in IMPURE.iter().filter(|word| code.contains(**word)) {
            found.push(format!("{}: mentions `{word}`", source.path));
        }
    }
    assert_none(&found);
}

#[test]
fn outbound_sockets_are_opened_behind_the_guard() {
    let mut found = Vec::new();
    for source in sources() {
        let allowed = SOCKETS_ALLOWED.iter().any(|place| source.path.starts_with(place));
        if allowed || source.path.ends_with("tests.rs") {
            continue;
        }
        let code = source.code();
        for word in SOCKETS.iter().filter(|word| code.contains(**word)) {
            found.push(format!("{}: mentions `{word}`", source.path));
        }
    }
    assert_none(&found);
}

#[test]
fn nothing_is_left_lying_about() {
    let mut found = Vec::new();
    for Source { path, text } in sources() {
        for (number, line) in text.lines().enumerate() {
            for (word, instead) in LITTER.iter().filter(|(word, _)| line.contains(word)) {
                found.push(format!("{path}:{}: `{word}`: {instead}", number + 1));
            }
        }
        let lines = text.lines().count();
        if lines >= LINES_MAX {
            found.push(format!("{path}: {lines} lines, fewer than {LINES_MAX} are read with ease"));
        }
    }
    assert_none(&found);
}

#[test]
fn the_modules_a_text_names_are_found() {
    let check = |code: &str, expected: &[&str]| assert_eq!(modules_named(code), expected, "{code}");
    check("use crate::model::UnixMs;", &["model"]);
    check("let x = crate::store::open(crate::config::load());", &["store", "config"]);
    check(
        "use crate::{\n    api,\n    model::{Outcome, UnixMs},\n    store::Store,\n};\nfn f() {}",
        &["api", "model", "store"],
    );
    check("pub(crate) fn f() {} use somecrate::model;", &[]);
}
