//! Observers in this process that are told of changes of sessions.

use async_trait::async_trait;

use crate::domain::session::Session;
use crate::sessions::event::{SessionEvent, SessionEventKind};

/// An observer failed to handle a change; the observers are told of the change again later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotTold(pub String);

/// An observer of changes of sessions. It is called after a change was stored and before its caller
/// gets an answer, whoever made the change; the changes of one session are told one after the
/// other.
///
/// A change can be told more than once, when a server dies or an observer fails before every
/// observer was told. Observers must handle a repeated change only once.
#[async_trait]
pub trait SessionObserver: Send + Sync {
    /// A session became active.
    async fn session_started(&self, session: &Session) -> Result<(), NotTold>;

    /// Members of a session changed, but not its state.
    async fn session_changed(&self, session: &Session) -> Result<(), NotTold>;

    /// A session was completed or cancelled.
    async fn session_ended(&self, session: &Session) -> Result<(), NotTold>;
}

/// Tells one observer of a change.
pub(super) async fn tell(
    observer: &dyn SessionObserver,
    event: &SessionEvent,
) -> Result<(), NotTold> {
    let session = &event.session;
    match event.kind {
        // No observer needs to know of a session that was created but not started.
        SessionEventKind::Created => Ok(()),
        SessionEventKind::Started => observer.session_started(session).await,
        SessionEventKind::Changed => observer.session_changed(session).await,
        SessionEventKind::Ended | SessionEventKind::Cancelled => {
            observer.session_ended(session).await
        }
    }
}

/// Tells one observer of a session whose change may be any.
pub(super) async fn tell_as_it_is(
    observer: &dyn SessionObserver,
    session: &Session,
) -> Result<(), NotTold> {
    if session.status.is_over() {
        observer.session_ended(session).await
    } else {
        observer.session_changed(session).await
    }
}
