//! How JSON that others wrote is read: without duplicate keys where it decides about rights, since
//! parsers differ in which of two values they use (RFC 8259 §4); with half characters replaced; and
//! structures from objects only.

mod objects;

pub use objects::{Objects, objects, read_objects};

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Parses one JSON value.
///
/// # Errors
/// The error, as a text for people.
pub fn parse(text: &str) -> Result<Value, String> {
    match serde_json::from_str::<Strict>(text) {
        Ok(Strict(value)) => Ok(value),
        Err(error) if error.is_data() => Err(error.to_string()),
        Err(_) => Err("not JSON".to_owned()),
    }
}

/// A JSON text whose broken characters are replaced by U+FFFD: bytes that are not UTF-8, and escapes
/// of half a character (RFC 8259 §8.2), as when a program cuts a text in the middle of an emoji.
#[must_use]
pub fn mended(text: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(text);
    // Only escapes of halves begin like this.
    if !["\\ud", "\\uD"].iter().any(|half| text.contains(half)) {
        return text;
    }
    let mut mended = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        mended.push_str(before);
        let (kept, length) = match escaped_unit(escape) {
            Some(0xD800..=0xDBFF)
                if matches!(escaped_unit(&escape[6..]), Some(0xDC00..=0xDFFF)) =>
            {
                (&escape[..12], 12)
            }
            Some(0xD800..=0xDFFF) => ("\\ufffd", 6),
            Some(_) => (&escape[..6], 6),
            None => {
                let length = escape.chars().take(2).map(char::len_utf8).sum();
                (&escape[..length], length)
            }
        };
        mended.push_str(kept);
        rest = &escape[length..];
    }
    Cow::Owned(mended + rest)
}

/// The UTF-16 unit of the escape with which a text begins (RFC 8259 §7), if it begins with one.
fn escaped_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    are_digits.then(|| u16::from_str_radix(digits, 16).ok()).flatten()
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((key, Strict(value))) = entries.next_entry::<String, Strict>()? {
            if object.contains_key(&key) {
                return Err(A::Error::custom("a key is named twice in one object"));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_named_twice_is_refused_at_any_depth() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"b":2,"a":null}"#,
            r#"{"a":{"b":1,"b":2}}"#,
            r#"[{"a":1},{"b":1,"b":1}]"#,
            r#"{"a":1,"\u0061":2}"#,
        ] {
            let problem = parse(text).expect_err(text);
            assert!(problem.contains("named twice"), "{text}: {problem}");
        }
        for text in ["", "{", r#"{"a":}"#, "{'a':1}", r#"{"a":1} {}"#] {
            assert_eq!(parse(text), Err("not JSON".to_owned()), "{text}");
        }
    }

    #[test]
    fn broken_characters_are_replaced_and_nothing_else() {
        for (broken, expected) in [
            (&br#"{"name":"Ana \ud83d"}"#[..], r#"{"name":"Ana \ufffd"}"#),
            (br#""\udca9\ud83d\ud83d\udca9""#, r#""\ufffd\ufffd\ud83d\udca9""#),
            (b"\"Jos\xe9\"", "\"Jos\u{fffd}\""),
            (br#""\\ud83d \"\u00e9\n""#, r#""\\ud83d \"\u00e9\n""#),
            (br#""\ud8"#, r#""\ud8"#),
            (b"\\", "\\"),
        ] {
            assert_eq!(mended(broken), expected);
        }
    }

    #[test]
    fn everything_else_is_read_as_serde_json_reads_it() {
        let text = r#"{"a":[1,-2,2.5,18446744073709551615,"é",true,null,{}],"b":{"a":1}}"#;
        assert_eq!(parse(text).expect("JSON"), serde_json::from_str::<Value>(text).expect("JSON"));
    }
}
