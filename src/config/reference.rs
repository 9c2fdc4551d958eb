//! What is generated from the keys: `docs/configuration.md`, `docs/configuration.schema.json`, and
//! what `posthouse config show` prints.

use std::fmt::Write as _;

use serde_json::Value as Json;

use super::keys::{self, Key, Kind};
use super::layers::shown;
use super::{Config, Origin, Resolved};

/// The reference of all keys, as Markdown.
pub fn reference() -> String {
    let mut page = String::from(INTRODUCTION);
    for section in keys::sections() {
        let _ = write!(page, "\n## `[{}]`\n\n{}\n", section.name, section.description);
        for key in &section.keys {
            let _ = write!(page, "\n### `{}`\n\n{}\n\n", key.path(), key.description);
            page.push_str(&facts(key));
        }
    }
    page
}

/// The JSON Schema of the configuration file.
pub fn schema_json() -> String {
    let schema = schemars::schema_for!(Config);
    format!("{:#}\n", schema.as_value())
}

impl Resolved {
    /// The configuration in force as a file that could be given again, with where each value comes
    /// from. Passwords are masked.
    pub fn show(&self) -> String {
        let values = toml::Table::try_from(&self.config).unwrap_or_default();
        let mut page = String::new();
        for section in keys::sections() {
            let gap = if page.is_empty() { "" } else { "\n" };
            let _ = writeln!(page, "{gap}[{}]", section.name);
            for key in &section.keys {
                let value = values.get(&key.section).and_then(|section| section.get(&key.name));
                let _ = match (value, self.origins.get(&key.path())) {
                    (None, _) => writeln!(page, "# {} is not given", key.name),
                    (Some(value), origin) => {
                        writeln!(page, "{} = {} # {}", key.name, shown(key, value), origin.unwrap_or(&Origin::Default))
                    }
                };
            }
        }
        page
    }
}

const INTRODUCTION: &str = "\
# Configuration

<!-- Generated from src/config. To change it, change the fields there and run `make generated`. -->

Posthouse runs without any configuration. What is given counts in this order, the later over the
earlier:

1. the defaults below;
2. the file `posthouse.toml` of the working directory, or the one named by `--config`;
3. environment variables: `POSTHOUSE__`, the section, two underscores, the key. Lists are separated
   by commas. An empty variable takes back a key that need not be given;
4. flags.

An unknown key is an error, wherever it stands, and so is a value of another type or out of its
bounds. `posthouse config check` reads the configuration and says what is wrong with it,
`posthouse config show` prints the one in force and where each value comes from, and
`posthouse config schema` prints the JSON Schema (`docs/configuration.schema.json`), which editors
use when the file begins with `#:schema` and its path.
";

/// What holds for a key, as a list.
fn facts(key: &Key) -> String {
    let mut list = format!("- value: {}\n", key.kind.expected());
    if let Kind::Choice(choices) = &key.kind {
        for choice in choices {
            let _ = writeln!(list, "  - `{}`: {}", choice.word, choice.meaning);
        }
    }
    let _ = match &key.default {
        Json::Null => writeln!(list, "- default: not given"),
        value => writeln!(list, "- default: `{}`{}", plain(value), in_words(key, value)),
    };
    if let Some(example) = &key.example {
        let _ = writeln!(list, "- example: `{}`", plain(example));
    }
    let _ = writeln!(list, "- environment: `{}`", key.variable());
    if let Some(flag) = key.flag() {
        let _ = writeln!(list, "- flag: `{flag}`");
    }
    list
}

/// JSON as TOML spells it, which for the values that we have differs only in the blanks.
fn plain(value: &Json) -> String {
    match value {
        Json::Array(items) => {
            let items: Vec<_> = items.iter().map(Json::to_string).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    }
}

/// A number of bytes in the unit in which people think of it.
fn in_words(key: &Key, value: &Json) -> String {
    let Some(bytes) = value.as_u64().filter(|_| key.name.contains("bytes")) else {
        return String::new();
    };
    match bytes {
        0 => String::new(),
        n if n.is_multiple_of(1 << 20) => format!(" ({} MiB)", n >> 20),
        n if n.is_multiple_of(1 << 10) => format!(" ({} KiB)", n >> 10),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::read_capped;

    /// A generated file that is committed says what the code says. `UPDATE_GENERATED=1` writes it.
    fn check_fresh(path: &str, generated: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            std::fs::write(&path, generated).expect("the file can be written");
        }
        let committed = read_capped(&path, 1 << 20).unwrap_or_default();
        assert!(committed == generated, "{} is not fresh: run make generated", path.display());
    }

    #[test]
    fn the_reference_is_fresh() {
        check_fresh("docs/configuration.md", &reference());
    }

    #[test]
    fn the_schema_is_fresh() {
        check_fresh("docs/configuration.schema.json", &schema_json());
    }
}
