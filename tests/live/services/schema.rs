//! As much of JSON Schema as the contracts use. An unknown keyword fails, so that
//! no rule of a contract is skipped.

use cabildo::domain::time::Timestamp;
use serde_json::{Map, Value};
use uuid::Uuid;

/// Everything in which `value` differs from `schema`.
pub(crate) fn problems(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, value, "", &mut found);
    found
}

fn check(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
    let schema = schema.as_object().expect("a schema is an object");
    for (keyword, rule) in schema {
        let holds = match keyword.as_str() {
            "type" => types(rule).any(|name| is_of(name, value)),
            "enum" => rule.as_array().expect("a list").contains(value),
            "format" => value.as_str().is_none_or(|text| has_format(rule, text)),
            "minLength" => value.as_str().is_none_or(|it| length(rule) <= it.chars().count()),
            "maxLength" => value.as_str().is_none_or(|it| length(rule) >= it.chars().count()),
            "minimum" => value.as_f64().is_none_or(|it| it >= number(rule)),
            "maximum" => value.as_f64().is_none_or(|it| it <= number(rule)),
            "required" => value.as_object().is_none_or(|it| {
                let mut names = rule.as_array().expect("a list").iter();
                names.all(|name| it.contains_key(name.as_str().expect("a name")))
            }),
            "additionalProperties" => value.as_object().is_none_or(|it| {
                let known = schema.get("properties").and_then(Value::as_object);
                rule == &Value::Bool(true)
                    || it.keys().all(|name| known.is_some_and(|known| known.contains_key(name)))
            }),
            "properties" => {
                check_members(rule.as_object().expect("an object"), value, path, found);
                true
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(rule, item, &format!("{path}/{index}"), found);
                }
                true
            }
            unknown => panic!("the contract uses `{unknown}`, which is not checked"),
        };
        if !holds {
            found.push(format!("{path}: {keyword}"));
        }
    }
}

fn check_members(rules: &Map<String, Value>, value: &Value, path: &str, found: &mut Vec<String>) {
    for (name, rule) in rules {
        if let Some(member) = value.get(name) {
            check(rule, member, &format!("{path}/{name}"), found);
        }
    }
}

fn types(rule: &Value) -> impl Iterator<Item = &str> {
    let many = rule.as_array().into_iter().flatten().filter_map(Value::as_str);
    rule.as_str().into_iter().chain(many)
}

fn is_of(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        unknown => panic!("the contract uses the type `{unknown}`"),
    }
}

fn has_format(rule: &Value, text: &str) -> bool {
    match rule.as_str().expect("a name") {
        "uuid" => text.len() == 36 && Uuid::try_parse(text).is_ok(),
        "date-time" => Timestamp::parse_rfc3339(text).is_some(),
        unknown => panic!("the contract uses the format `{unknown}`"),
    }
}

fn length(rule: &Value) -> usize {
    rule.as_u64().and_then(|length| usize::try_from(length).ok()).expect("a length")
}

fn number(rule: &Value) -> f64 {
    rule.as_f64().expect("a number")
}

#[test]
fn what_breaks_a_rule_is_named() {
    let schema = serde_json::json!({
        "type": "object", "required": ["id"], "additionalProperties": false,
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "counts": {"type": "array", "items": {"type": "integer", "minimum": 0}},
        },
    });
    let id = Uuid::nil().to_string();
    let found = |value| problems(&schema, &value);
    assert!(found(serde_json::json!({"id": id, "counts": [0, 1]})).is_empty());
    assert_eq!(found(serde_json::json!({})), [": required"]);
    assert_eq!(found(serde_json::json!({"id": "x"})), ["/id: format"]);
    assert_eq!(found(serde_json::json!({"id": id, "a": 1})), [": additionalProperties"]);
    assert_eq!(found(serde_json::json!({"id": id, "counts": [-1]})), ["/counts/0: minimum"]);
}
