//! WHIP and WHEP resources by name. Names can't be guessed, and a resource
//! exists only for whoever made it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::api::Api;
use crate::api::error::ApiError;
use crate::auth::{MediaToken, MediaTokenId};
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{SessionId, TenantId, UserId};
use crate::domain::participant::Principal;
use crate::domain::time::Timestamp;
use crate::room::MemberHandle;

/// Most resources at once; beyond them clients are refused as when a session
/// is full.
pub const RESOURCES_MAX: usize = 20_000;
/// Most resources of one person at once: a few devices that publish and play.
pub const RESOURCES_PER_USER_MAX: usize = 8;

/// Which of both protocols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Kind {
    Whip,
    Whep,
}

impl Kind {
    /// The protocol that a segment of a path names.
    pub(super) fn of_path(segment: &str) -> Option<Self> {
        [Self::Whip, Self::Whep].into_iter().find(|kind| kind.as_str() == segment)
    }

    /// Its segment of the path.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Whip => "whip",
            Self::Whep => "whep",
        }
    }
}

/// What a client was let in with.
#[derive(Clone)]
pub(super) enum Ticket {
    /// A media token.
    Media(MediaToken),
    /// An access token, which ends then.
    Access(Timestamp),
}

impl Ticket {
    /// When it ends by the clock of meetings, unless it is revoked before. Whoever was let in stays
    /// for the rest of the token, however the machine's clock is set meanwhile.
    pub(super) fn ends_at(&self, api: &Api) -> Timestamp {
        let expires_at = match self {
            Self::Media(token) => token.expires_at,
            Self::Access(expires_at) => *expires_at,
        };
        api.clock.now().after(expires_at.since(api.wall.now()))
    }

    /// Whether a client with this one may go on with `next`: one of the same kind that allows the
    /// same.
    fn may_become(&self, next: &Self) -> bool {
        match (self, next) {
            (Self::Media(held), Self::Media(next)) => held.roles == next.roles,
            (Self::Access(held), Self::Access(next)) => held < next,
            (Self::Media(_), Self::Access(_)) | (Self::Access(_), Self::Media(_)) => false,
        }
    }
}

/// One client.
pub(super) struct Resource {
    tenant: TenantId,
    user: UserId,
    session: SessionId,
    kind: Kind,
    member: Arc<MemberHandle>,
    /// What it was opened with, or was given meanwhile; it ends with that.
    ticket: Ticket,
    /// When that ends, by the clock of meetings.
    ends_at: Timestamp,
    /// Names its ICE session, quotes included.
    pub(super) entity_tag: String,
}

impl Resource {
    pub(super) fn new(
        principal: &Principal,
        session: SessionId,
        kind: Kind,
        member: Arc<MemberHandle>,
        (ticket, ends_at): (Ticket, Timestamp),
    ) -> Self {
        Self {
            tenant: principal.tenant_id,
            user: principal.user_id.clone(),
            session,
            kind,
            member,
            ticket,
            ends_at,
            entity_tag: fresh_tag(),
        }
    }

    fn is_of(&self, principal: &Principal) -> bool {
        self.tenant == principal.tenant_id && self.user == principal.user_id
    }
}

fn fresh_tag() -> String {
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 9]>()))
}

pub(super) fn not_found() -> ApiError {
    ApiError::new(ErrorCode::MediaResourceNotFound, "no such resource")
}

/// Every resource of this instance.
#[derive(Default)]
pub(in crate::api) struct Resources(Mutex<BTreeMap<String, Resource>>);

impl Resources {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Resource>> {
        // Nothing that holds the lock can leave the table half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses whoever has as many resources as it may, those aside whose
    /// client is gone.
    pub(super) async fn expect_space(&self, principal: &Principal) -> Result<(), ApiError> {
        let (tenant, user) = (principal.tenant_id, &principal.user_id);
        if expect_space(&self.lock(), tenant, user).is_ok() {
            return Ok(());
        }
        for (name, member) in self.candidates_to_forget(principal) {
            if member.is_gone().await {
                self.remove(&name);
            }
        }
        expect_space(&self.lock(), tenant, user)
    }

    /// The caller's own resources, and when the table is full a few of others.
    fn candidates_to_forget(&self, principal: &Principal) -> Vec<(String, Arc<MemberHandle>)> {
        /// Raising it lets one request ask more rooms.
        const OTHERS_MAX: usize = 32;
        let resources = self.lock();
        let others = if resources.len() < RESOURCES_MAX { 0 } else { OTHERS_MAX };
        // Names are random, so their order picks others at random.
        let others = resources.iter().take(others);
        let own = resources.iter().filter(|(_, resource)| resource.is_of(principal));
        own.chain(others)
            .map(|(name, resource)| (name.clone(), Arc::clone(&resource.member)))
            .collect()
    }

    /// Takes a resource in; its name.
    pub(super) fn insert(&self, resource: Resource) -> Result<String, ApiError> {
        let mut resources = self.lock();
        expect_space(&resources, resource.tenant, &resource.user)?;
        let name = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 24]>());
        resources.insert(name.clone(), resource);
        Ok(name)
    }

    /// Forgets the resources of a session that is over.
    pub(in crate::api) fn forget_session(&self, session: SessionId) {
        self.lock().retain(|_, resource| resource.session != session);
    }

    /// The member behind a resource and its entity tag.
    pub(super) fn find(
        &self,
        name: &str,
        principal: &Principal,
        session: SessionId,
        kind: Kind,
    ) -> Result<(Arc<MemberHandle>, String), ApiError> {
        let resources = self.lock();
        let resource = resources.get(name).ok_or_else(not_found)?;
        if resource.is_of(principal) && resource.session == session && resource.kind == kind {
            Ok((Arc::clone(&resource.member), resource.entity_tag.clone()))
        } else {
            Err(not_found())
        }
    }

    /// What a resource ends with, and when by the clock of meetings; `None` when it is gone.
    pub(super) fn ticket_of(&self, name: &str) -> Option<(Ticket, Timestamp)> {
        self.lock().get(name).map(|resource| (resource.ticket.clone(), resource.ends_at))
    }

    /// Lets a resource end with another ticket of its person, if it may.
    pub(super) fn renew_ticket(&self, name: &str, ticket: Ticket, ends_at: Timestamp) {
        let mut resources = self.lock();
        let held = resources.get_mut(name);
        if let Some(held) = held.filter(|held| held.ticket.may_become(&ticket)) {
            held.ticket = ticket;
            held.ends_at = ends_at;
        }
    }

    /// Ends a resource whose access token has ended and was not followed by another.
    pub(super) async fn end_if_over(&self, name: &str, now: Timestamp) {
        let ended = {
            let mut resources = self.lock();
            let is_over = resources.get(name).is_some_and(|it| it.ends_at <= now);
            if is_over { resources.remove(name) } else { None }
        };
        if let Some(resource) = ended {
            resource.member.leave().await;
        }
    }

    /// Ends the resources that have this media token.
    pub(in crate::api) async fn end_of_token(&self, token: MediaTokenId) {
        let ended: Vec<Arc<MemberHandle>> = {
            let mut resources = self.lock();
            let is_of = |_: &String, resource: &mut Resource| matches!(&resource.ticket, Ticket::Media(held) if held.id == token);
            let ended = resources.extract_if(.., is_of);
            ended.map(|(_, resource)| resource.member).collect()
        };
        for member in ended {
            member.leave().await;
        }
    }

    /// Gives a resource another entity tag, since its ICE session is another.
    pub(super) fn renew(&self, name: &str) -> Result<String, ApiError> {
        let mut resources = self.lock();
        let resource = resources.get_mut(name).ok_or_else(not_found)?;
        resource.entity_tag = fresh_tag();
        Ok(resource.entity_tag.clone())
    }

    /// Forgets a resource.
    pub(super) fn remove(&self, name: &str) {
        self.lock().remove(name);
    }
}

fn expect_space(
    resources: &BTreeMap<String, Resource>,
    tenant: TenantId,
    user: &UserId,
) -> Result<(), ApiError> {
    let own = resources
        .values()
        .filter(|resource| resource.tenant == tenant && resource.user == *user)
        .count();
    if resources.len() >= RESOURCES_MAX || own >= RESOURCES_PER_USER_MAX {
        let message = "there are as many media clients as there may be";
        return Err(ApiError::new(ErrorCode::ParticipantLimitReached, message));
    }
    Ok(())
}
