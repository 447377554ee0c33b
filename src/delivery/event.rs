//! An event as it leaves the server: attributes of `CloudEvents` 1.0 and a payload.

use std::sync::Arc;

use serde::Serialize;

use super::mapping::Payload;
use crate::domain::id::{SessionId, TenantId};
use crate::domain::time::Timestamp;
use crate::events::OutboxEvent;

/// The `source` of every event: the origin by which this installation is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(Arc<str>);

impl Origin {
    /// The origin of this text.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An event as it leaves the server.
#[derive(Debug, Clone, PartialEq)]
pub struct PublicEvent {
    /// Names it within its source: the same whenever and however it is told.
    pub id: String,
    /// Which installation tells it.
    pub origin: Origin,
    /// Whose it is.
    pub tenant: TenantId,
    /// The session. Events of one session are told in order.
    pub session: SessionId,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub payload: Payload,
}

/// The structured mode of `CloudEvents` in JSON.
#[derive(Serialize)]
struct Structured<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    r#type: &'static str,
    subject: String,
    time: String,
    datacontenttype: &'static str,
    partitionkey: String,
    tenantid: String,
    data: serde_json::Value,
}

impl PublicEvent {
    /// The public form of an event; `None` for one that is not told outside.
    #[must_use]
    pub fn of(event: &OutboxEvent, origin: &Origin) -> Option<Self> {
        let OutboxEvent { tenant, session, source, seq, at, .. } = event;
        Some(Self {
            id: format!("{session}.{source}.{seq}"),
            origin: origin.clone(),
            tenant: *tenant,
            session: *session,
            at: *at,
            payload: Payload::of(event)?,
        })
    }

    /// Its type, such as `session.created.v1`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        self.payload.kind()
    }

    /// The structured mode of `CloudEvents` 1.0 in JSON, on one line.
    #[must_use]
    pub fn to_json(&self) -> String {
        let structured = Structured {
            specversion: "1.0",
            id: &self.id,
            source: self.origin.as_str(),
            r#type: self.kind(),
            subject: self.session.to_string(),
            time: self.at.to_string(),
            datacontenttype: "application/json",
            partitionkey: self.session.to_string(),
            tenantid: self.tenant.to_string(),
            data: self.payload.to_json(),
        };
        serde_json::to_string(&structured).unwrap_or_default()
    }
}
