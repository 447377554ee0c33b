//! What the record does when something becomes of a session or its log.

use async_trait::async_trait;
use tokio::sync::broadcast::error::RecvError;

use super::base64_text;
use crate::custody::Settlement;
use crate::domain::session::Session;
use crate::evidence::Evidence;
use crate::room::Rooms;
use crate::room::ports::EvidenceHead;
use crate::sessions::{NotTold, SessionObserver};

/// Tells rooms of every head that is signed, until evidence ends.
pub(super) async fn tell_heads(evidence: Evidence, rooms: Rooms) {
    let mut heads = evidence.heads();
    // No handle is kept that would keep the channel open.
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
            // A later head covers what the missed ones did.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

/// Tells the record what becomes of sessions.
pub(in crate::app) struct RecordsObserver {
    settlement: Settlement,
}

impl RecordsObserver {
    pub(in crate::app) const fn new(settlement: Settlement) -> Self {
        Self { settlement }
    }
}

#[async_trait]
impl SessionObserver for RecordsObserver {
    async fn session_started(&self, session: &Session) -> Result<(), NotTold> {
        self.settlement.session_started(session).await
    }

    async fn session_changed(&self, session: &Session) -> Result<(), NotTold> {
        self.settlement.session_changed(session).await
    }

    async fn session_ended(&self, session: &Session) -> Result<(), NotTold> {
        self.settlement.session_ended(session).await
    }
}
