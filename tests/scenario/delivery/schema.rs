//! The payloads of events in `proto/` may only change so that whoever reads an
//! older version reads every newer one. `proto/baseline.txt` is what was
//! published, a line for each field; `make proto-baseline` writes it.

use std::collections::{BTreeMap, BTreeSet};

use cabildo::delivery::{Payload, payloads};
use prost::Message as _;

use crate::package_root::package_root;

const SCHEMA: &str = "proto/cabildo/events/v1/events.proto";
const MESSAGES: &str = "src/delivery/payloads.rs";
const BASELINE: &str = "proto/baseline.txt";
/// What governance tells this server.
const INCOMING_SCHEMA: &str = "proto/governance/events/v1/events.proto";
const INCOMING_MESSAGES: &str = "src/governance/payloads.rs";
const INCOMING_BASELINE: &str = "proto/governance_baseline.txt";

/// What readers rely on of a field, by message and number.
type Fields = BTreeMap<(String, u32), Field>;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    name: String,
    kind: String,
    is_optional: bool,
}

fn read(path: &str) -> String {
    std::fs::read_to_string(package_root().join(path)).unwrap_or_default()
}

/// The fields of a schema: flat messages of scalar fields, one a line.
fn fields_of_schema(text: &str) -> Fields {
    let mut fields = Fields::new();
    let mut message = None;
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
        if let Some(name) = line.strip_prefix("message ") {
            message = Some(name.trim_end_matches(" {").to_owned());
        } else if line == "}" {
            message = None;
        } else if let Some(message) = &message
            && !line.is_empty()
        {
            let (declared, number) = line.trim_end_matches(';').split_once(" = ").expect("a field");
            let (is_optional, declared) = match declared.strip_prefix("optional ") {
                Some(declared) => (true, declared),
                None => (false, declared),
            };
            let (kind, name) = declared.split_once(' ').expect("a type and a name");
            let kinds = ["string", "uint32", "uint64", "bool", "float"];
            assert!(kinds.contains(&kind), "{line}");
            let field = Field { name: name.to_owned(), kind: kind.to_owned(), is_optional };
            let number = number.parse().expect("a number");
            let other = fields.insert((message.clone(), number), field);
            assert_eq!(other, None, "{message} has two fields {number}");
        }
    }
    fields
}

/// The fields of the Rust types, from their attributes.
fn fields_of_types(text: &str) -> Fields {
    let mut fields = Fields::new();
    let (mut message, mut attribute) = (String::new(), None);
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("pub struct ") {
            name.trim_end_matches(" {").clone_into(&mut message);
        } else if let Some(prost) = line.strip_prefix("#[prost(") {
            attribute = Some(prost.trim_end_matches(")]").to_owned());
        } else if let Some(field) = line.strip_prefix("pub ")
            && let Some(attribute) = attribute.take()
        {
            let (name, _) = field.split_once(':').expect("a field");
            let name = name.trim_start_matches("r#");
            let parts: Vec<&str> = attribute.split(", ").collect();
            let number = parts.last().and_then(|tag| tag.strip_prefix("tag = \""));
            let number = number.expect("a tag").trim_end_matches('"').parse().expect("a number");
            let is_optional = parts.contains(&"optional");
            let field = Field { name: name.to_owned(), kind: parts[0].to_owned(), is_optional };
            fields.insert((message.clone(), number), field);
        }
    }
    fields
}

fn baseline_of(fields: &Fields) -> String {
    let line = |((message, number), field): (&(String, u32), &Field)| {
        let label = if field.is_optional { "optional " } else { "" };
        format!("{message} {number} {label}{} {}\n", field.kind, field.name)
    };
    fields.iter().map(line).collect()
}

fn fields_of_baseline(text: &str) -> Fields {
    let field = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let (is_optional, rest) = match words[2..] {
            ["optional", ref rest @ ..] => (true, rest.to_vec()),
            ref rest => (false, rest.to_vec()),
        };
        let field = Field { kind: rest[0].to_owned(), name: rest[1].to_owned(), is_optional };
        ((words[0].to_owned(), words[1].parse().expect("a number")), field)
    };
    text.lines().map(field).collect()
}

/// What a newer schema does to readers of an older one.
fn breaks(old: &Fields, new: &Fields) -> Vec<String> {
    let broken = old.iter().filter_map(|(place, field)| match new.get(place) {
        Some(now) if now == field => None,
        Some(now) => Some(format!("{place:?}: {field:?} has become {now:?}")),
        None => Some(format!("{place:?}: {field:?} is gone")),
    });
    broken.collect()
}

#[test]
fn readers_of_published_events_read_those_of_today() {
    let schemas = [(SCHEMA, BASELINE, 40), (INCOMING_SCHEMA, INCOMING_BASELINE, 10)];
    for (schema, baseline, fields_min) in schemas {
        let now = fields_of_schema(&read(schema));
        assert!(now.len() > fields_min, "{schema} was read wrongly");
        if std::env::var_os("CABILDO_WRITE_PROTO_BASELINE").is_some() {
            std::fs::write(package_root().join(baseline), baseline_of(&now)).expect("written");
        }
        let published = fields_of_baseline(&read(baseline));
        assert_eq!(breaks(&published, &now), Vec::<String>::new());
        assert_eq!(published, now, "what was added is published by `make proto-baseline`");
    }
}

#[test]
fn a_change_that_breaks_readers_is_noticed() {
    let schema = read(SCHEMA);
    let old = fields_of_schema(&schema);
    let changed = |from: &str, to: &str| {
        assert!(schema.contains(from), "{from}");
        breaks(&old, &fields_of_schema(&schema.replacen(from, to, 1))).len()
    };
    assert_eq!(changed("string title = 4;", "string title = 44;"), 1, "renumbered");
    assert_eq!(changed("string title = 4;", "string heading = 4;"), 1, "renamed");
    assert_eq!(changed("uint64 version", "string version"), 1, "retyped");
    assert_eq!(changed("optional string scheduled", "string scheduled"), 1, "not optional");
    assert_eq!(changed("  string title = 4;\n", ""), 1, "removed");
    assert_eq!(changed("message SpeechDenied", "message SpeechRefused"), 6, "message renamed");
    let added = "string title = 4;\n  string subtitle = 99;";
    assert_eq!(changed("string title = 4;", added), 0, "added");
}

#[test]
fn the_types_of_payloads_are_the_messages_of_the_schema() {
    for (messages, schema) in [(MESSAGES, SCHEMA), (INCOMING_MESSAGES, INCOMING_SCHEMA)] {
        assert_eq!(fields_of_types(&read(messages)), fields_of_schema(&read(schema)));
    }
}

/// `session.created.v1` is `SessionCreated`, and every message is of an event.
#[test]
fn every_message_is_the_payload_of_one_type_of_event() {
    let schema = fields_of_schema(&read(SCHEMA));
    let defined: BTreeSet<&str> = schema.keys().map(|(message, _)| message.as_str()).collect();
    let told: BTreeSet<&str> = Payload::KINDS.iter().map(|(_, name)| *name).collect();
    assert_eq!(defined, told);
    for (kind, name) in Payload::KINDS {
        let kind = kind.strip_suffix(".v1").expect("a version");
        assert_eq!(kind.replace('.', ""), name.to_lowercase(), "{kind}");
    }
}

/// Bytes as the specification of protobuf has them, not as this server reads
/// them back.
#[test]
fn a_payload_is_encoded_as_protobuf_has_it() {
    let denied = payloads::SpeechDenied {
        tenant_id: "t".to_owned(),
        session_id: String::new(),
        reason: Some(String::new()),
        ..payloads::SpeechDenied::default()
    };
    // Field 1 and 5, both length-delimited; what is empty is left out unless it is
    // optional and given.
    assert_eq!(denied.encode_to_vec(), [0x0a, 1, b't', 0x2a, 0]);
    let json = serde_json::to_value(&denied).expect("JSON");
    assert_eq!(json["reason"], "");
    let without = payloads::SpeechDenied { reason: None, ..denied };
    assert_eq!(serde_json::to_value(&without).expect("JSON").get("reason"), None);
}
