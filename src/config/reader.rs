//! Reads values from a source and collects all errors instead of stopping at the first.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use serde_yaml_ng::Value;

use super::Problem;
use super::source::{Given, Source};
use crate::domain::secret::Secret;

/// Reads each key once and remembers which keys were requested.
pub(super) struct Reader {
    values: BTreeMap<String, Given>,
    problems: Vec<Problem>,
    asked: BTreeSet<String>,
}

impl Reader {
    pub(super) fn new(source: Source) -> Self {
        let (values, problems) = source.into_parts();
        Self { values, problems, asked: BTreeSet::new() }
    }

    /// Adds an error about `key`.
    pub(super) fn problem(&mut self, key: &str, message: impl Display) {
        self.problems.push(Problem { key: key.to_owned(), message: message.to_string() });
    }

    /// Whether there is an error about a key with this prefix.
    pub(super) fn has_problem(&self, start: &str) -> bool {
        self.problems.iter().any(|problem| problem.key.starts_with(start))
    }

    /// Whether a key has a value. It counts as requested.
    pub(super) fn is_given(&mut self, key: &str) -> bool {
        self.asked.insert(key.to_owned());
        self.values.contains_key(key)
    }

    /// Every key that was requested.
    #[cfg(test)]
    pub(super) fn asked(&self) -> impl Iterator<Item = &str> {
        self.asked.iter().map(String::as_str)
    }

    /// All errors; a key that was given but not requested is one too.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        for key in self.values.keys() {
            let key = key.clone();
            self.problems.push(Problem { key, message: "unknown key".to_owned() });
        }
        self.problems.sort();
        self.problems.dedup();
        self.problems
    }

    /// The value of a key as text, if it is given and a scalar.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        self.asked.insert(key.to_owned());
        let text = match self.values.remove(key)? {
            Given::Text(text) | Given::Yaml(Value::String(text)) => text,
            Given::Yaml(Value::Number(number)) => number.to_string(),
            Given::Yaml(Value::Bool(flag)) => flag.to_string(),
            Given::Yaml(_) => {
                self.problem(key, "expected one value, not a list");
                return None;
            }
        };
        if text.trim().is_empty() {
            self.problem(key, "is empty");
            return None;
        }
        Some(text)
    }

    /// The value of a key that must be given.
    pub(super) fn required(&mut self, key: &str, default: Option<&str>) -> String {
        let text = self.text(key).or_else(|| default.map(str::to_owned));
        if text.is_none() && !self.has_problem(key) {
            self.problem(key, "must be given");
        }
        text.unwrap_or_default()
    }

    /// The value of a key, parsed as `T`.
    pub(super) fn parsed<T: FromStr>(&mut self, key: &str, expected: &str) -> Option<T> {
        let text = self.text(key)?;
        let parsed = text.trim().parse().ok();
        if parsed.is_none() {
            self.problem(key, format_args!("expected {expected}"));
        }
        parsed
    }

    /// A whole number in `range`.
    pub(super) fn number(&mut self, key: &str, default: u64, range: RangeInclusive<u64>) -> u64 {
        let (low, high) = (*range.start(), *range.end());
        let expected = format!("a whole number from {low} to {high}");
        let value = self.parsed(key, &expected).unwrap_or(default);
        if !range.contains(&value) {
            self.problem(key, format_args!("expected {expected}"));
        }
        value.clamp(low, high)
    }

    /// A number in `range`, as 32 bits.
    pub(super) fn number_u32(
        &mut self,
        key: &str,
        default: u32,
        range: RangeInclusive<u32>,
    ) -> u32 {
        let range = u64::from(*range.start())..=u64::from(*range.end());
        // The range fits 32 bits, so its numbers do.
        u32::try_from(self.number(key, default.into(), range)).unwrap_or(default)
    }

    /// A list; in environment variables its elements are separated by commas.
    pub(super) fn list<T: FromStr>(&mut self, key: &str, expected: &str) -> Vec<T> {
        self.asked.insert(key.to_owned());
        let texts: Vec<String> = match self.values.remove(key) {
            None => return Vec::new(),
            Some(Given::Text(text)) => text.split(',').map(|part| part.trim().to_owned()).collect(),
            Some(Given::Yaml(Value::Sequence(items))) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned).unwrap_or_default())
                .collect(),
            Some(Given::Yaml(Value::String(text))) => vec![text],
            Some(Given::Yaml(_)) => {
                self.problem(key, "expected a list");
                return Vec::new();
            }
        };
        let mut list = Vec::with_capacity(texts.len());
        for text in texts {
            match text.parse() {
                Ok(value) if !text.is_empty() => list.push(value),
                _ => self.problem(key, format_args!("expected a list of {expected}")),
            }
        }
        list
    }

    /// A secret, from the key or from the file in the key with `_file` appended.
    pub(super) fn secret(&mut self, key: &str) -> Option<Secret<String>> {
        let key_file = format!("{key}_file");
        let path = self.text(&key_file);
        match (self.text(key), path) {
            (Some(_), Some(_)) => {
                self.problem(key, "is given twice: as a value and as a file");
                None
            }
            (Some(value), None) => Some(Secret::new(value)),
            (None, Some(path)) => self.secret_in(&key_file, &path),
            (None, None) => None,
        }
    }

    /// The secret in a file, without the end of its line.
    fn secret_in(&mut self, key_file: &str, path: &str) -> Option<Secret<String>> {
        match std::fs::read_to_string(path).map(Secret::new) {
            // A file that whoever deploys it left empty is no secret.
            Ok(text) if text.expose().trim().is_empty() => {
                self.problem(key_file, format_args!("names {path}, which is empty"));
                None
            }
            Ok(text) => Some(Secret::new(text.expose().trim_end_matches(['\r', '\n']).to_owned())),
            Err(error) => {
                self.problem(key_file, format_args!("names {path}, which can't be read: {error}"));
                None
            }
        }
    }

    /// A path that must be given unless there is a default.
    pub(super) fn path(&mut self, key: &str, default: Option<PathBuf>) -> PathBuf {
        if let Some(text) = self.text(key) {
            return PathBuf::from(text);
        }
        default.unwrap_or_else(|| {
            self.problem(key, "must be given");
            PathBuf::new()
        })
    }

    /// The names directly below `prefix` that were given.
    pub(super) fn names_below(&self, prefix: &str) -> BTreeSet<String> {
        let start = format!("{prefix}.");
        self.values
            .keys()
            .filter_map(|key| key.strip_prefix(&start))
            .map(|rest| rest.split('.').next().unwrap_or(rest).to_owned())
            .collect()
    }
}
