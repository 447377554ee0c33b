//! Whoever acts: people, devices and services.

use crate::domain::id::{SessionId, TenantId, UserId};
use crate::domain::role::Roles;
use crate::domain::time::Timestamp;

/// A person or device whose access token and proof of possession have been
/// checked. Only `auth` makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Whose data it may see.
    pub tenant_id: TenantId,
    /// Who it is.
    pub user_id: UserId,
    /// What it is.
    pub roles: Roles,
    /// Name for people; the user id when the token has none.
    pub name: String,
    /// BCP 47 language the person prefers.
    pub locale: Option<String>,
    /// The only session it may touch, when its token is bound to one.
    pub session_id: Option<SessionId>,
    /// RFC 7638 thumbprint of the key its token is bound to (`cnf.jkt`).
    pub key_thumbprint: Option<String>,
    /// When its token expires.
    pub expires_at: Timestamp,
}

/// A service that showed a client certificate on the internal listener.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceName(pub String);
