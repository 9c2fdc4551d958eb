//! Defaults, then the file, then the environment, then flags: each layer is read into single
//! values, each value is judged alone (so that an error is about it and names where it stands), and
//! the later one wins.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::keys::{self, Key, Section};
use super::postgres_url::masked;
use super::problem::{ConfigError, Fault, Origin, Problem};
use super::{Config, Sources};

/// The file that is read when it is there and no other is named.
pub(super) const FILE_DEFAULT: &str = "posthouse.toml";

/// A configuration file larger than this is a mistake.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What the names of our environment variables begin with.
const VARIABLE_PREFIX: &str = "POSTHOUSE__";

/// The configuration in force, and where each value comes from.
#[derive(Debug)]
pub struct Resolved {
    /// The configuration in force.
    pub config: Config,
    /// The file that was read, if any.
    pub file: Option<PathBuf>,
    /// Where the values come from that were given, by `section.key`.
    pub origins: BTreeMap<String, Origin>,
}

/// Loads the configuration: `posthouse.toml` of the folder if no file is named.
pub(super) fn resolve(folder: &Path, sources: Sources) -> Result<Resolved, ConfigError> {
    let mut layers = Layers::new();
    let file = match sources.file {
        Some(path) => Some((read(&path)?, path)),
        None => read_if_there(&folder.join(FILE_DEFAULT))?,
    };
    if let Some((text, path)) = &file {
        layers.add_file(path, text)?;
    }
    for (name, word) in sources.env {
        if name.starts_with(VARIABLE_PREFIX) {
            layers.add_variable(name, &word);
        }
    }
    for (path, flag, word) in sources.flags.given() {
        layers.add_flag(path, flag, word);
    }
    layers.finish(file.map(|(_, path)| path))
}

/// Reads a file that is small by its nature, and says so when it is not: the bounded form of
/// `std::fs::read_to_string`.
pub fn read_capped(path: &Path, bytes_max: u64) -> io::Result<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    file.take(bytes_max + 1).read_to_string(&mut text)?;
    if text.len() as u64 > bytes_max {
        let message = format!("larger than {bytes_max} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(text)
}

fn read(path: &Path) -> Result<String, ConfigError> {
    read_capped(path, FILE_BYTES_MAX).map_err(|source| ConfigError::Read { path: path.to_owned(), source })
}

fn read_if_there(path: &Path) -> Result<Option<(String, PathBuf)>, ConfigError> {
    match read(path) {
        Ok(text) => Ok(Some((text, path.to_owned()))),
        Err(ConfigError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(other) => Err(other),
    }
}

/// What the layers so far come to.
struct Layers {
    sections: Vec<Section>,
    values: Table,
    origins: BTreeMap<String, Origin>,
    problems: Vec<Problem>,
}

impl Layers {
    fn new() -> Self {
        Self { sections: keys::sections(), values: Table::new(), origins: BTreeMap::new(), problems: Vec::new() }
    }

    fn add_file(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let at = |offset: usize| Origin::File {
            path: path.to_owned(),
            line: 1 + text.bytes().take(offset).filter(|b| *b == b'\n').count(),
        };
        let syntax = |error: toml::de::Error| ConfigError::Syntax {
            origin: at(error.span().map_or(0, |span| span.start)),
            message: error.message().to_owned(),
        };
        let places = toml::de::DeTable::parse(text).map_err(syntax)?;
        let mut values: Table = toml::from_str(text).map_err(syntax)?;
        for (section, inside) in places.get_ref() {
            let section_name = section.get_ref().as_ref();
            let Some(inside) = inside.get_ref().as_table() else {
                self.unknown(section_name.to_owned(), at(section.span().start));
                continue;
            };
            let Some(Value::Table(values)) = values.get_mut(section_name) else {
                continue;
            };
            if self.sections.iter().all(|known| known.name != section_name) {
                self.unknown(section_name.to_owned(), at(section.span().start));
                continue;
            }
            for name in inside.keys() {
                if let Some(value) = values.remove(name.get_ref().as_ref()) {
                    let origin = at(name.span().start);
                    self.add(section_name, name.get_ref(), value, origin);
                }
            }
        }
        Ok(())
    }

    fn add_variable(&mut self, name: String, word: &str) {
        let mut known = self.sections.iter().flat_map(|section| &section.keys);
        let Some(key) = known.find(|key| key.variable() == name) else {
            let path = name.trim_start_matches(VARIABLE_PREFIX).to_ascii_lowercase();
            self.unknown(path.replacen("__", ".", 1), Origin::Environment(name));
            return;
        };
        let (section, key_name) = (key.section.clone(), key.name.clone());
        if key.optional && word.is_empty() {
            self.remove(&section, &key_name);
            return;
        }
        let value = key.kind.value_of(word);
        self.add(&section, &key_name, value, Origin::Environment(name));
    }

    fn add_flag(&mut self, path: &str, flag: &'static str, word: &str) {
        let mut known = self.sections.iter().flat_map(|section| &section.keys);
        if let Some(key) = known.find(|key| key.path() == path) {
            let (section, name) = (key.section.clone(), key.name.clone());
            let value = key.kind.value_of(word);
            self.add(&section, &name, value, Origin::Flag(flag));
        }
    }

    /// One value of a layer: it takes the place of an earlier one, unless there is something wrong
    /// with it.
    fn add(&mut self, section: &str, name: &str, value: Value, origin: Origin) {
        let mut known = self.sections.iter().flat_map(|section| &section.keys);
        let key = known.find(|key| key.section == section && key.name == name);
        let Some(key) = key else {
            self.unknown(format!("{section}.{name}"), origin);
            return;
        };
        if let Err(expected) = judge(key, &value) {
            self.problems.push(Problem {
                key: key.path(),
                origin,
                fault: Fault::Value { given: shown(key, &value), expected },
            });
            return;
        }
        self.origins.insert(key.path(), origin);
        insert(&mut self.values, section, name, value);
    }

    /// An empty variable for a key that may be absent: as if an earlier layer had not given it.
    fn remove(&mut self, section: &str, name: &str) {
        if let Some(Value::Table(values)) = self.values.get_mut(section) {
            values.remove(name);
        }
        self.origins.remove(&format!("{section}.{name}"));
    }

    fn unknown(&mut self, key: String, origin: Origin) {
        let closest = closest(&self.sections, &key, &origin);
        self.problems.push(Problem { key, origin, fault: Fault::Unknown { closest } });
    }

    fn finish(mut self, file: Option<PathBuf>) -> Result<Resolved, ConfigError> {
        let config = match Value::Table(self.values).try_into::<Config>() {
            Ok(config) => config,
            // Each value was judged alone, and there is no key that another one requires.
            Err(error) => {
                return Err(ConfigError::Syntax { origin: Origin::Default, message: error.message().to_owned() });
            }
        };
        for (key, given, expected) in config.contradictions() {
            let origin = self.origins.get(key).cloned().unwrap_or(Origin::Default);
            self.problems.push(Problem { key: key.to_owned(), origin, fault: Fault::Value { given, expected } });
        }
        if !self.problems.is_empty() {
            return Err(ConfigError::Invalid(self.problems));
        }
        Ok(Resolved { config, file, origins: self.origins })
    }
}

/// Whether a key takes a value; what it expects if not.
fn judge(key: &Key, value: &Value) -> Result<(), String> {
    let such_as = || match &key.example {
        Some(example) => format!(", such as {example}"),
        None => String::new(),
    };
    if !key.kind.admits(value) {
        return Err(format!("{}{}", key.kind.expected(), such_as()));
    }
    let mut alone = Table::new();
    insert(&mut alone, &key.section, &key.name, value.clone());
    match Value::Table(alone).try_into::<Config>() {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{}{} ({})", key.kind.expected(), such_as(), error.message())),
    }
}

fn insert(table: &mut Table, section: &str, name: &str, value: Value) {
    let section = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(section) = section {
        section.insert(name.to_owned(), value);
    }
}

/// A value as it may be shown: the URL of a database without its password.
pub(super) fn shown(key: &Key, value: &Value) -> String {
    match value {
        Value::String(text) if key.secret => format!("\"{}\"", masked(text)),
        other => other.to_string(),
    }
}

/// The known key, or section, that is spelt most like one that is not known, in the spelling of
/// the place where it stands. A key of the same name in another section comes first.
fn closest(sections: &[Section], unknown: &str, origin: &Origin) -> String {
    let (section, name) = unknown.split_once('.').unwrap_or(("", unknown));
    let distance = |known: &str| strsim::damerau_levenshtein(known, unknown);
    let spelt = |key: &Key| match origin {
        Origin::Environment(_) => key.variable(),
        _ => key.path(),
    };
    let keys = sections.iter().flat_map(|section| &section.keys);
    let key = keys.min_by_key(|key| (key.name != name, distance(&key.path())));
    let whole = sections.iter().min_by_key(|known| distance(&known.name));
    match (key, whole) {
        (Some(key), Some(whole)) if section.is_empty() && key.name != name => {
            if distance(&whole.name) < distance(&key.name) { whole.name.clone() } else { spelt(key) }
        }
        (Some(key), _) => spelt(key),
        (None, _) => String::new(),
    }
}
