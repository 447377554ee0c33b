//! Media tokens: what an encoder or player without a key of its own is given, to
//! publish or play in one session for one person. Opaque; only the hash is kept.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::auth::error::AuthError;
use crate::auth::jws::{decode_exactly, encode};
use crate::domain::id::{SessionId, SessionKey, TenantId, UserId};
use crate::domain::media::TrackSource;
use crate::domain::named_values::named_values;
use crate::domain::participant::Principal;
use crate::domain::role::{Action, Role, Roles};
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;

/// How every media token begins, so that it is recognised where it leaks.
const PREFIX: &str = "cbm_";
/// Random bytes of a token.
const TOKEN_BYTES: usize = 32;
/// Shortest life of a token.
pub const LIFETIME_MIN: Duration = Duration::from_secs(1);
/// Longest life of a token: one long meeting. Raising it raises how long a token
/// that leaked serves.
pub const LIFETIME_MAX: Duration = Duration::from_hours(24);
/// Most tokens of one person in one session that are in force: a few devices.
pub const TOKENS_PER_PERSON_MAX: u32 = 16;
/// What callers are told to wait when tokens can't be looked up.
const RETRY_AFTER_S: u32 = 5;

named_values!(
    /// Which direction a media token is for.
    MediaTokenKind {
        /// To publish (RFC 9725).
        Whip => "whip",
        /// To play.
        Whep => "whep",
    }
);

impl MediaTokenKind {
    /// What a person has to be allowed.
    #[must_use]
    pub const fn action(self) -> Action {
        match self {
            Self::Whip => Action::PublishMedia,
            Self::Whep => Action::JoinRoom,
        }
    }
}

/// Names a media token; says nothing of its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediaTokenId(Uuid);

impl MediaTokenId {
    /// The id that is this UUID.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The UUID.
    #[must_use]
    pub const fn as_uuid(&self) -> Uuid {
        self.0
    }
}

impl std::fmt::Display for MediaTokenId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// A media token as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaToken {
    /// Its name.
    pub id: MediaTokenId,
    /// Whose session.
    pub tenant: TenantId,
    /// The session.
    pub session: SessionId,
    /// Whose media it carries.
    pub user: UserId,
    /// Their name when it was made.
    pub name: String,
    /// What its connections may do: their roles when it was made, without what
    /// was not asked for.
    pub roles: Roles,
    /// Which direction.
    pub kind: MediaTokenKind,
    /// What it publishes, if that was said.
    pub source: Option<TrackSource>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

impl MediaToken {
    /// Whether it is taken now.
    #[must_use]
    pub(crate) fn is_in_force(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }

    /// Who its connections are that begin now.
    #[must_use]
    pub fn principal(&self, now: Timestamp) -> Principal {
        Principal {
            tenant_id: self.tenant,
            user_id: self.user.clone(),
            roles: self.roles,
            name: self.name.clone(),
            locale: None,
            session_id: Some(self.session),
            key_thumbprint: None,
            expires_at: self.expires_at,
            judged_at: now,
        }
    }
}

/// The tokens could not be read or written; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the media tokens are unavailable: {0}")]
pub struct MediaTokensUnavailable(pub String);

/// Where media tokens are kept.
#[async_trait]
pub trait MediaTokenRepository: Send + Sync {
    /// Adds a token with the SHA-256 of its text, unless its person has `in_force_max`
    /// of this session in force at `token.created_at`; whether it did.
    async fn insert(
        &self,
        token: &MediaToken,
        hash: [u8; 32],
        in_force_max: u32,
    ) -> Result<bool, MediaTokensUnavailable>;

    /// The token of this session with this hash, ended and revoked ones too.
    async fn find(
        &self,
        key: SessionKey,
        hash: [u8; 32],
    ) -> Result<Option<MediaToken>, MediaTokensUnavailable>;

    /// The token of this name.
    async fn read(
        &self,
        tenant: TenantId,
        id: MediaTokenId,
    ) -> Result<Option<MediaToken>, MediaTokensUnavailable>;

    /// Tokens of a session that are in force at `now`, oldest first; those of one
    /// person when one is named.
    async fn list(
        &self,
        key: SessionKey,
        user: Option<&UserId>,
        now: Timestamp,
    ) -> Result<Vec<MediaToken>, MediaTokensUnavailable>;

    /// Gives a token in force another text, by its SHA-256, and these roles; whether it was in force.
    async fn renew(
        &self,
        tenant: TenantId,
        id: MediaTokenId,
        (hash, roles): ([u8; 32], Roles),
        now: Timestamp,
    ) -> Result<bool, MediaTokensUnavailable>;

    /// Revokes a token; whether it was in force.
    async fn revoke(
        &self,
        tenant: TenantId,
        id: MediaTokenId,
        now: Timestamp,
    ) -> Result<bool, MediaTokensUnavailable>;
}

/// What a new media token is wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaTokenWanted {
    /// Its name. A token that has it already is given another text.
    pub id: MediaTokenId,
    /// In which session.
    pub session: SessionId,
    /// Which direction.
    pub kind: MediaTokenKind,
    /// What it publishes.
    pub source: Option<TrackSource>,
    /// How long it lives; brought between [`LIFETIME_MIN`] and [`LIFETIME_MAX`].
    pub lifetime: Duration,
    /// Whether a moderator's right to be heard without a turn goes with it.
    pub speak_without_turn: bool,
}

/// Why a media token was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MediaTokenRefused {
    /// The person may not do what the token would be for.
    #[error("the caller's roles do not allow this")]
    Forbidden,
    /// It was made before, and is revoked or has ended.
    #[error("the media token that this request made is revoked or has ended")]
    Over,
    /// The person has as many in force as they may.
    #[error("the caller already has {TOKENS_PER_PERSON_MAX} media tokens of this session")]
    TooMany,
    /// The tokens can't be written now.
    #[error(transparent)]
    Unavailable(#[from] MediaTokensUnavailable),
}

/// Makes and checks media tokens.
#[derive(Clone)]
pub struct MediaTokens {
    repository: Arc<dyn MediaTokenRepository>,
}

impl MediaTokens {
    /// Tokens kept in `repository`.
    #[must_use]
    pub fn new(repository: Arc<dyn MediaTokenRepository>) -> Self {
        Self { repository }
    }

    /// Whether a bearer token looks like a media token and not like an access token.
    #[must_use]
    pub(crate) fn is_one(text: &str) -> bool {
        is_media_token(text)
    }

    /// Where they are kept, for lists and revocation.
    #[must_use]
    pub fn repository(&self) -> &dyn MediaTokenRepository {
        &*self.repository
    }

    /// Makes a token for a person. Its text is returned here and never again. When the same is wanted
    /// again, because the answer was lost, the token gets another text and the one before ends; when
    /// it ends stays as it was.
    pub async fn issue(
        &self,
        person: &Principal,
        wanted: MediaTokenWanted,
        now: Timestamp,
    ) -> Result<(MediaToken, Secret<String>), MediaTokenRefused> {
        if !person.roles.may(wanted.kind.action()) {
            return Err(MediaTokenRefused::Forbidden);
        }
        let secret =
            Secret::new(format!("{PREFIX}{}", encode(&rand::random::<[u8; TOKEN_BYTES]>())));
        let (hash, roles) = (hash_of(secret.expose()), roles_for(person.roles, wanted));
        if let Some(made) = self.repository.read(person.tenant_id, wanted.id).await? {
            let renewed = self.repository.renew(made.tenant, made.id, (hash, roles), now).await?;
            let token = MediaToken { roles, ..made };
            return if renewed { Ok((token, secret)) } else { Err(MediaTokenRefused::Over) };
        }
        let token = MediaToken {
            id: wanted.id,
            tenant: person.tenant_id,
            session: wanted.session,
            user: person.user_id.clone(),
            name: person.name.clone(),
            roles,
            kind: wanted.kind,
            source: wanted.source,
            created_at: now,
            expires_at: now.after(wanted.lifetime.clamp(LIFETIME_MIN, LIFETIME_MAX)),
            revoked_at: None,
        };
        if self.repository.insert(&token, hash, TOKENS_PER_PERSON_MAX).await? {
            Ok((token, secret))
        } else {
            Err(MediaTokenRefused::TooMany)
        }
    }

    /// The token of a session whose text this is, if it was ever one, ended and
    /// revoked ones too.
    pub async fn recall(
        &self,
        key: SessionKey,
        text: &str,
    ) -> Result<Option<MediaToken>, AuthError> {
        if !is_media_token(text) {
            return Ok(None);
        }
        let found = self.repository.find(key, hash_of(text)).await;
        found.map_err(|_| AuthError::Unavailable { retry_after_s: RETRY_AFTER_S })
    }

    /// The token of a session whose text this is, in force and for this
    /// direction.
    pub async fn check(
        &self,
        session: SessionKey,
        kind: MediaTokenKind,
        text: &str,
        now: Timestamp,
    ) -> Result<MediaToken, AuthError> {
        let token = self.recall(session, text).await?.ok_or(AuthError::TokenInvalid)?;
        if token.kind != kind {
            return Err(AuthError::Forbidden);
        }
        if token.is_in_force(now) { Ok(token) } else { Err(AuthError::TokenExpired) }
    }
}

/// Whether a bearer token looks like a media token and not like an access token.
fn is_media_token(text: &str) -> bool {
    text.strip_prefix(PREFIX).is_some_and(|rest| decode_exactly::<TOKEN_BYTES>(rest).is_some())
}

/// Access to the hash only lets nobody make the token, so it needs no salt: the
/// token has 256 random bits.
fn hash_of(text: &str) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// What connections with the token may do. A moderator's rights do not go with
/// it: whoever copies the token from an encoder must not moderate. The one right
/// that media alone can use goes with it when it was asked for.
fn roles_for(roles: Roles, wanted: MediaTokenWanted) -> Roles {
    let keeps_moderator = wanted.speak_without_turn && roles.may(Action::SpeakWithoutTurn);
    let kept: Vec<Role> = roles
        .iter()
        .map(|role| match role {
            Role::Moderator if !keeps_moderator => Role::Participant,
            role => role,
        })
        .collect();
    Roles::of(&kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(speak_without_turn: bool) -> MediaTokenWanted {
        MediaTokenWanted {
            id: MediaTokenId::from_uuid(Uuid::nil()),
            session: SessionId::generate(),
            kind: MediaTokenKind::Whip,
            source: None,
            lifetime: Duration::from_hours(1),
            speak_without_turn,
        }
    }

    #[test]
    fn a_moderators_right_goes_with_it_only_when_asked_for() {
        let moderator = Roles::of(&[Role::Moderator]);
        assert_eq!(roles_for(moderator, wanted(false)), Roles::of(&[Role::Participant]));
        assert_eq!(roles_for(moderator, wanted(true)), moderator);
        let participant = Roles::of(&[Role::Participant]);
        assert_eq!(roles_for(participant, wanted(true)), participant);
        let hall = Roles::of(&[Role::Hall]);
        assert_eq!(roles_for(hall, wanted(true)), hall);
    }

    #[test]
    fn a_media_token_is_told_from_an_access_token() {
        assert!(is_media_token(&format!("{PREFIX}{}", encode(&[7; TOKEN_BYTES]))));
        for other in ["", "cbm_", "cbm_abc", "a.b.c", &encode(&[7; TOKEN_BYTES])] {
            assert!(!is_media_token(other), "{other:?}");
        }
    }
}
