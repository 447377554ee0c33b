//! Starts rooms with what listens to them, and tells them of changes of sessions and of signed
//! heads.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use super::attendance;
use super::base::Base;
use super::foundation::Foundation;
use super::live::LiveViewing;
use super::media::Media;
use super::recording::Recording;
use super::services::Services;
use super::tenants;
use super::transcriber::Transcription;
use crate::api::MetricsSource;
use crate::attendance::CoarseLocation;
use crate::clock::Clock;
use crate::custody::policy_of;
use crate::domain::id::{SessionKey, UserId};
use crate::domain::quality::{BadSpell, QualityCause};
use crate::domain::session::Session;
use crate::domain::time::Timestamp;
use crate::evidence::{EventKind, Evidence};
use crate::room::ports::{
    AttendanceNote, EvidenceHead, LostConnection, Refusal, RoomLog, RoomPorts,
};
use crate::room::{Desk, Rooms};
use crate::sessions::{NotTold, SessionObserver};

/// The parts that listen to rooms and their sessions, and the services that they ask.
pub(super) struct Beside<'a> {
    pub(super) recording: &'a Recording,
    pub(super) transcription: &'a Transcription,
    pub(super) live: &'a LiveViewing,
    pub(super) services: &'a Services,
}

impl<'a> Beside<'a> {
    pub(super) const fn new(
        recording: &'a Recording,
        transcription: &'a Transcription,
        live: &'a LiveViewing,
        services: &'a Services,
    ) -> Self {
        Self { recording, transcription, live, services }
    }
}

/// The running rooms.
pub(super) struct LiveRooms {
    pub(super) rooms: Rooms,
    pub(super) desk: Desk,
    /// The task that tells rooms of every signed head.
    heads: JoinHandle<()>,
}

impl LiveRooms {
    pub(super) fn start(
        base: &Base,
        foundation: &Foundation,
        media: &Media,
        beside: &Beside<'_>,
    ) -> Self {
        let Beside { recording, transcription, live, services } = beside;
        let store = Arc::new(base.store.clone());
        let (evidence, clock) = (foundation.evidence.clone(), base.clock.clone());
        let ports = RoomPorts {
            listeners: [Some(recording.listener()), transcription.listener()]
                .into_iter()
                .flatten()
                .chain([live.listener()])
                .collect(),
            log: Some(Arc::new(EvidenceOfRooms {
                evidence: evidence.clone(),
                clock: clock.clone(),
            })),
            limits: Some(tenants::limits(base, services)),
            eligible: attendance::eligible(services),
            claims: base.store.serves_several().then(|| foundation.claims.clone()),
            transcription: transcription.state(),
        };
        let rooms = Rooms::new(store.clone(), store, media.sfu.clone(), clock.clone(), ports);
        // Before one is opened.
        rooms.clock_ahead(base.steady.ahead_us() / 1_000);
        let desk = Desk::new(rooms.clone(), attendance::verifier(services), clock);
        let heads = tokio::spawn(tell_heads(evidence, rooms.clone()));
        Self { rooms, desk, heads }
    }

    pub(super) fn observer(&self) -> Arc<dyn SessionObserver> {
        Arc::new(RoomObserver { rooms: self.rooms.clone() })
    }

    pub(super) fn readings(&self) -> Arc<dyn MetricsSource> {
        Arc::new(self.rooms.clone())
    }

    pub(super) async fn shutdown(self) {
        self.rooms.shutdown().await;
        self.heads.abort();
    }
}

#[async_trait]
impl MetricsSource for Rooms {
    async fn report(&self) {
        self.report_metrics();
    }
}

/// Passes changes of sessions to rooms.
struct RoomObserver {
    rooms: Rooms,
}

#[async_trait]
impl SessionObserver for RoomObserver {
    /// Does nothing: a room opens when the first member enters.
    async fn session_started(&self, _session: &Session) -> Result<(), NotTold> {
        Ok(())
    }

    async fn session_changed(&self, session: &Session) -> Result<(), NotTold> {
        self.rooms.session_changed(session).await;
        Ok(())
    }

    async fn session_ended(&self, session: &Session) -> Result<(), NotTold> {
        self.rooms.session_over(session).await.map_err(|error| NotTold(error.to_string()))
    }
}

/// Tells rooms of every signed head, until evidence stops.
async fn tell_heads(evidence: Evidence, rooms: Rooms) {
    let mut heads = evidence.heads();
    // Dropped, since a handle would keep the channel open.
    drop(evidence);
    loop {
        match heads.recv().await {
            Ok(notice) => {
                let head = EvidenceHead {
                    tree_size: notice.head.tree_size,
                    root: base64_text(&notice.head.root),
                    cose: base64_text(&notice.head.cose),
                    at: notice.head.at,
                };
                rooms.evidence_head(notice.session, head);
            }
            // A later head covers the entries of the missed ones.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// Encodes bytes as base64url without padding (RFC 4648 §5).
fn base64_text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Enters in the logs what happens in rooms.
struct EvidenceOfRooms {
    evidence: Evidence,
    clock: Clock,
}

#[async_trait]
impl RoomLog for EvidenceOfRooms {
    async fn room_opened(&self, session: &Session) {
        let opened = self.evidence.open(session.key(), &policy_of(session)).await;
        if let Err(error) = opened {
            tracing::error!(session = %session.id, %error, "the log of a session can't be opened");
        }
    }

    fn events_kept(&self, key: SessionKey) {
        self.evidence.room_events_kept(key);
    }

    async fn refused(&self, key: SessionKey, refusal: Refusal) {
        let event = json!({
            "type": "join_refused",
            "at": self.clock.now().to_string(),
            "user_id": refusal.user.as_ref().map(UserId::as_str),
            "code": refusal.code.as_str(),
        });
        note(&self.evidence, key, EventKind::JoinRefused, &event).await;
    }

    async fn attendance(&self, key: SessionKey, noted: AttendanceNote) {
        let event = attendance_event(noted, self.clock.now());
        note(&self.evidence, key, EventKind::Attendance, &event).await;
    }

    async fn bad_spells(&self, key: SessionKey, spells: Vec<BadSpell>) {
        for BadSpell { user, worst, from, until } in spells {
            let event = json!({
                "type": "connection_bad",
                "at": from.to_string(),
                "until": until.to_string(),
                "user_id": user.as_str(),
                "level": worst.level.as_str(),
                "cause": worst.cause.map(QualityCause::as_str),
                "value": worst.value,
            });
            note(&self.evidence, key, EventKind::ConnectionBad, &event).await;
        }
    }

    fn connection_lost(&self, key: SessionKey, lost: LostConnection) {
        let event = json!({
            "type": "connection_lost",
            "at": self.clock.now().to_string(),
            "user_id": lost.user.as_str(),
            "part": lost.part.as_str(),
            "reason": lost.reason.as_str(),
        });
        let evidence = self.evidence.clone();
        tokio::spawn(async move {
            note(&evidence, key, EventKind::ConnectionLost, &event).await;
        });
    }
}

/// What is written down of attendance, as `docs/EVIDENCE.md` describes it.
fn attendance_event(note: AttendanceNote, now: Timestamp) -> serde_json::Value {
    let at = now.to_string();
    match note {
        AttendanceNote::Validated { user, method, place, hash, by, location } => json!({
            "type": "attendance_validated",
            "at": at,
            "user_id": user.as_str(),
            "method": method.as_str(),
            "place": place.as_str(),
            "presented_sha256": hash.map(|hash| base64_text(hash.as_bytes())),
            "by": by.as_ref().map(UserId::as_str),
            "location_tenths": location.map(CoarseLocation::tenths),
        }),
        AttendanceNote::Refused { user, method, failure } => json!({
            "type": "validation_refused",
            "at": at,
            "user_id": user.as_str(),
            "method": method.as_str(),
            "reason": failure.as_str(),
            "code": failure.code().as_str(),
        }),
        AttendanceNote::ListTaken { members, weight, hash, left_out, left_out_total } => json!({
            "type": "eligible_list",
            "at": at,
            "members": members,
            "weight": weight.to_string(),
            "sha256": base64_text(&hash),
            "delegations_left_out": left_out.iter().map(|it| json!({
                "unit": it.unit.to_string(),
                "user_id": it.delegate.as_str(),
                "reason": it.reason.as_str(),
            })).collect::<Vec<_>>(),
            "delegations_left_out_total": left_out_total,
        }),
    }
}

async fn note(evidence: &Evidence, key: SessionKey, kind: EventKind, event: &serde_json::Value) {
    if let Err(error) = evidence.note(key, kind, event.to_string()).await {
        tracing::error!(session = %key.session, %kind, %error, "an event can't be entered in the log");
    }
}
