//! The sources of values, flattened to `section.key`; later sources take precedence.

use std::collections::BTreeMap;
use std::ffi::OsString;

use serde_yaml_ng::Value;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::Problem;

/// Prefix of the environment variables that are read.
const PREFIX: &str = "CABILDO_";

/// What a part of the name of a variable is in a key. Names can't contain the hyphens of a UUID.
fn segment_of(part: &str) -> String {
    let part = part.to_ascii_lowercase();
    let hyphenated = part.replace('_', "-");
    let is_uuid = hyphenated.len() == Hyphenated::LENGTH && Uuid::parse_str(&hyphenated).is_ok();
    if is_uuid { hyphenated } else { part }
}

/// A value as it was given.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Given {
    /// From YAML.
    Yaml(Value),
    /// From the environment or the command line; lists are separated by commas.
    Text(String),
}

/// Values by key, not validated yet.
#[derive(Debug, Clone, Default)]
pub struct Source {
    values: BTreeMap<String, Given>,
    problems: Vec<Problem>,
    /// Whether a file could not be read, so that keys that are missing may be in it.
    is_incomplete: bool,
}

impl Source {
    /// Adds the keys of a YAML document.
    pub fn add_yaml(&mut self, yaml: &str) {
        match serde_yaml_ng::from_str::<Value>(yaml) {
            Ok(Value::Null) => {}
            Ok(Value::Mapping(map)) => self.flatten("", map),
            Ok(_) => self.unreadable("the file is not a mapping of sections"),
            Err(error) => self.unreadable(&format!("the file is not valid YAML: {error}")),
        }
    }

    fn unreadable(&mut self, message: &str) {
        self.problem("", message);
        self.is_incomplete = true;
    }

    /// The problems, when a file could not be read: what else is wrong nobody can know.
    pub(super) fn unread(&self) -> Option<&[Problem]> {
        self.is_incomplete.then_some(&self.problems)
    }

    /// Adds variables named `CABILDO_SECTION__KEY`; those without a double underscore are not
    /// options.
    pub fn add_environment(&mut self, variables: impl Iterator<Item = (OsString, OsString)>) {
        for (name, value) in variables {
            let Some(name) = name.to_str() else { continue };
            let Some(path) = name.strip_prefix(PREFIX).filter(|path| path.contains("__")) else {
                continue;
            };
            let segments: Vec<String> = path.split("__").map(segment_of).collect();
            let key = segments.join(".");
            match value.into_string() {
                Ok(value) => self.set(&key, value),
                Err(_) => self.problem(&key, "is not text in UTF-8"),
            }
        }
    }

    /// Sets one key, for the command line.
    pub fn set(&mut self, key: &str, value: String) {
        // The new value replaces a whole list or map.
        self.values.insert(key.to_owned(), Given::Text(value));
    }

    /// Removes one key, so that it counts as absent.
    #[cfg(test)]
    pub(super) fn remove(&mut self, key: &str) {
        self.values.remove(key);
    }

    /// Every key that was given.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.values.keys().cloned().collect()
    }

    pub(super) fn into_parts(self) -> (BTreeMap<String, Given>, Vec<Problem>) {
        (self.values, self.problems)
    }

    fn flatten(&mut self, prefix: &str, map: serde_yaml_ng::Mapping) {
        for (key, value) in map {
            let Value::String(name) = key else {
                self.problem(prefix, "a key is not text");
                continue;
            };
            let path = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
            match value {
                Value::Mapping(inner) => self.flatten(&path, inner),
                // An empty section or key counts as absent.
                Value::Null => {}
                other => {
                    self.values.insert(path, Given::Yaml(other));
                }
            }
        }
    }

    fn problem(&mut self, key: &str, message: &str) {
        self.problems.push(Problem { key: key.to_owned(), message: message.to_owned() });
    }
}
