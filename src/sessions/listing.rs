//! Listing sessions page by page.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::id::{AssemblyId, SessionId};
use crate::domain::session::{Modality, Session, SessionStatus};
use crate::domain::time::Timestamp;

/// Sessions of a page when the caller names no limit.
pub const LIST_LIMIT_DEFAULT: u32 = 50;
/// Most sessions of a page. Raising it makes single answers larger and slower.
pub const LIST_LIMIT_MAX: u32 = 200;

/// Which sessions are wanted; what is `None` is not asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SessionFilter {
    /// In this state.
    pub status: Option<SessionStatus>,
    /// Of this modality.
    pub modality: Option<Modality>,
    /// Of this assembly.
    pub assembly_id: Option<AssemblyId>,
    /// Scheduled to start, or without a schedule created, at this moment or later.
    pub from: Option<Timestamp>,
    /// Scheduled to start, or without a schedule created, before this moment.
    pub to: Option<Timestamp>,
    /// Only this one, for callers whose token is bound to one session.
    pub only: Option<SessionId>,
}

/// What a caller asks of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// Which sessions.
    pub filter: SessionFilter,
    /// How many, 1 to [`LIST_LIMIT_MAX`]; [`LIST_LIMIT_DEFAULT`] when `None`.
    pub limit: Option<u32>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// A page of sessions, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionPage {
    /// The sessions.
    pub sessions: Vec<Session>,
    /// What to ask the next page with; `None` on the last.
    pub next_cursor: Option<String>,
}

/// A place in the list: after the session with these. Sessions never change
/// either, so a page is the same whatever is created meanwhile.
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

    /// The text callers pass back: 24 bytes as base64url (RFC 4648 §5).
    pub(crate) fn to_cursor(self) -> String {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.created_at.unix_us().to_be_bytes());
        bytes[8..].copy_from_slice(self.id.as_uuid().as_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cursor; `None` unless this server made it.
    pub(crate) fn from_cursor(text: &str) -> Option<Self> {
        // 24 bytes are 32 characters; what is longer is not even decoded.
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
