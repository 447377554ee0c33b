//! Makes the AsyncAPI document of the channel from the message types.

use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use crate::moderation::wire::{ClientMessage, ServerMessage};
use crate::room::event::Told;

/// The description of the channel in AsyncAPI 3.0.
#[must_use]
pub fn asyncapi() -> Value {
    let mut schemas = Map::new();
    add::<ClientMessage>(&mut schemas);
    add::<ServerMessage>(&mut schemas);
    add::<Told>(&mut schemas);
    let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    let message = |name: &str| json!({ "$ref": format!("#/channels/moderation/messages/{name}") });
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Cabildo moderation channel",
            "version": "1",
            "description": "One JSON object in each text frame. The server says hello; the client \
                answers with authenticate or resume within five seconds and is welcomed. A message \
                with an id is answered by ack or error. Events carry seq, without holes, and at.",
        },
        "channels": { "moderation": {
            "address": "/moderation",
            "description": "Subprotocol cabildo.v1. Close codes: 1001 the server stops or is full, \
                come again; 1007 not UTF-8; 1009 message too large; 4401 token wrong or expired; 4403 not allowed; \
                4404 no such session; 4408 slow, silent or too loud; 4409 replaced by a newer \
                connection; 4410 session over.",
            "bindings": { "ws": { "method": "GET", "query": {
                "type": "object",
                "required": ["session_id"],
                "properties": { "session_id": { "type": "string", "format": "uuid" } },
            } } },
            "messages": {
                "client": { "payload": reference("ClientMessage"), "description":
                    "May also carry id, a string of 1 to 64 characters or an integer; and, when it \
                    decides something, seen, the seq of the newest event its sender had been shown." },
                "server": { "payload": reference("ServerMessage") },
                "event": { "payload": reference("Told") },
            },
        } },
        "operations": {
            "request": {
                "action": "receive",
                "channel": { "$ref": "#/channels/moderation" },
                "messages": [message("client")],
            },
            "answer": {
                "action": "send",
                "channel": { "$ref": "#/channels/moderation" },
                "messages": [message("server"), message("event")],
            },
        },
        "components": { "schemas": schemas },
    })
}

fn add<T: ToSchema + PartialSchema>(into: &mut Map<String, Value>) {
    let mut found = vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut found);
    for (name, schema) in found {
        into.insert(name, serde_json::to_value(schema).unwrap_or_default());
    }
}
