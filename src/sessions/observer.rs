//! Who is told in this process what becomes of sessions.

use async_trait::async_trait;

use crate::domain::session::Session;
use crate::sessions::event::{SessionEvent, SessionEventKind};

/// What was to be done about a change could not be done; the observers are told
/// of the change again later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotTold(pub String);

/// Somebody who has to know what becomes of sessions. Called after the change is
/// stored and before its caller is answered, whoever caused it; one change of a
/// session after the other.
///
/// A change can be told more than once: when a server dies, or an observer
/// fails, before everybody was told. Observers do each thing once all the same.
#[async_trait]
pub trait SessionObserver: Send + Sync {
    /// A session became active.
    async fn session_started(&self, session: &Session) -> Result<(), NotTold>;

    /// Members of a session changed, and not its state.
    async fn session_changed(&self, session: &Session) -> Result<(), NotTold>;

    /// A session was completed or cancelled.
    async fn session_ended(&self, session: &Session) -> Result<(), NotTold>;
}

/// Tells one observer.
pub(super) async fn tell(
    observer: &dyn SessionObserver,
    event: &SessionEvent,
) -> Result<(), NotTold> {
    let session = &event.session;
    match event.kind {
        // A session that was created concerns nobody here before it starts.
        SessionEventKind::Created => Ok(()),
        SessionEventKind::Started => observer.session_started(session).await,
        SessionEventKind::Changed => observer.session_changed(session).await,
        SessionEventKind::Ended | SessionEventKind::Cancelled => {
            observer.session_ended(session).await
        }
    }
}
