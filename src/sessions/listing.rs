//! Lists sessions page by page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::id::{AssemblyId, SessionId};
use crate::domain::session::{Modality, Session, SessionStatus};
use crate::domain::time::Timestamp;

/// Sessions per page when the caller gives no limit.
pub const LIST_LIMIT_DEFAULT: u32 = 50;
/// Most sessions per page. Raising it makes single answers larger and slower.
pub const LIST_LIMIT_MAX: u32 = 200;

/// Which sessions to list; `None` does not filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionFilter {
    /// In this state.
    pub status: Option<SessionStatus>,
    /// Of this modality.
    pub modality: Option<Modality>,
    /// Of this assembly.
    pub assembly_id: Option<AssemblyId>,
    /// Scheduled to start at this moment or later; sessions without a schedule by their creation.
    pub from: Option<Timestamp>,
    /// Scheduled to start before this moment; sessions without a schedule by their creation.
    pub to: Option<Timestamp>,
    /// Only this one, for callers whose token is bound to one session.
    pub only: Option<SessionId>,
}

/// A request for a page of sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// The filter.
    pub filter: SessionFilter,
    /// Sessions per page, 1 to [`LIST_LIMIT_MAX`]; [`LIST_LIMIT_DEFAULT`] when `None`.
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// A page of sessions, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionPage {
    /// The sessions.
    pub sessions: Vec<Session>,
    /// The cursor of the next page; `None` on the last one.
    pub next_cursor: Option<String>,
}

/// A position in the list: after the session with these values. They never change for a session, so
/// pages are stable while sessions are created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionPosition {
    /// When that session was created.
    pub created_at: Timestamp,
    /// Its id.
    pub id: SessionId,
}

impl SessionPosition {
    pub(crate) const fn of(session: &Session) -> Self {
        Self { created_at: session.created_at, id: session.id }
    }

    /// The text that callers pass back: 24 bytes as base64url (RFC 4648 §5).
    pub(crate) fn to_cursor(self) -> String {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.created_at.unix_us().to_be_bytes());
        bytes[8..].copy_from_slice(self.id.as_uuid().as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Parses a cursor; `None` unless this server made it.
    pub(crate) fn from_cursor(text: &str) -> Option<Self> {
        // 24 bytes are 32 characters; other lengths are not decoded.
        if text.len() != 32 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (created, id) = bytes.split_first_chunk::<8>()?;
        let id: [u8; 16] = id.try_into().ok()?;
        Some(Self {
            created_at: Timestamp::from_unix_us(i64::from_be_bytes(*created)),
            id: SessionId::from_uuid(uuid::Uuid::from_bytes(id)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_anything_else_does_not() {
        let position =
            SessionPosition { created_at: Timestamp::from_unix_us(-7), id: SessionId::generate() };
        let cursor = position.to_cursor();
        assert_eq!(SessionPosition::from_cursor(&cursor), Some(position));
        for bad in ["", "x", &"é".repeat(16), &format!("{cursor}A"), &"*".repeat(32)] {
            assert_eq!(SessionPosition::from_cursor(bad), None, "{bad:?} was taken");
        }
    }
}
