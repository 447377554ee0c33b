//! Lists that many people are sent alike.

use std::sync::{Arc, OnceLock};

use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

/// A list that is made and serialised once for all who are sent it. Clones share it.
#[derive(Debug, Clone)]
pub struct Listed<T>(Arc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    items: Vec<T>,
    /// The items as JSON, once somebody was sent them.
    json: OnceLock<Option<Box<RawValue>>>,
}

impl<T> std::ops::Deref for Listed<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0.items
    }
}

impl<T> FromIterator<T> for Listed<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Self(Arc::new(Inner { items: items.into_iter().collect(), json: OnceLock::new() }))
    }
}

impl<T: PartialEq> PartialEq for Listed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.items == other.0.items
    }
}

impl<T: Serialize> Serialize for Listed<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Inner { items, json } = &*self.0;
        match json.get_or_init(|| to_raw_value(items).ok()) {
            Some(json) => json.serialize(serializer),
            // Names the fault.
            None => items.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    #[serde(tag = "type", rename_all = "snake_case")]
    enum Message {
        Shown { list: Listed<String> },
    }

    #[test]
    fn a_list_is_sent_as_json_like_any_other_and_shared_by_its_clones() {
        let list: Listed<String> = ["Ana", "\"Bea\""].into_iter().map(str::to_owned).collect();
        let text = serde_json::to_string(&Message::Shown { list: list.clone() }).unwrap();
        assert_eq!(text, r#"{"type":"shown","list":["Ana","\"Bea\""]}"#);
        assert!(list.0.json.get().is_some_and(Option::is_some), "the clone was serialised");
        assert_eq!(list.len(), 2);
    }
}
