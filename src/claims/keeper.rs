//! The claims of this process, and the task that renews them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::claims::ClaimError;
use crate::claims::lease::{Lease, LeaseTimes};
use crate::claims::repository::ClaimRepository;
use crate::clock::BootClock;
use crate::domain::claim::{Fence, Work};
use crate::domain::id::{InstanceId, SessionId, SessionKey, TenantId};
use crate::domain::store_error::StoreError;

/// Claims renewed by one statement.
const RENEWED_AT_ONCE: usize = 200;

/// The other parts that claims use.
#[derive(Clone)]
pub struct ClaimsParts {
    /// The store of claims.
    pub repository: Arc<dyn ClaimRepository>,
    /// Id under which this process takes claims; no other process ever has it.
    pub instance: InstanceId,
    /// The clock by which leases are measured in this process.
    pub clock: BootClock,
    /// Lengths of leases.
    pub times: LeaseTimes,
}

type Key = (SessionId, Work);

/// A claim of this process, which several tasks may share.
struct Held {
    fence: Fence,
    lease: Mutex<Lease>,
    /// Cancelled when another instance has taken the work.
    lost: CancellationToken,
}

/// One piece of work. Its lock is held while the claim is taken.
#[derive(Default)]
struct Slot {
    held: Option<Arc<Held>>,
    /// Can't be upgraded once the last [`Claim`] was dropped.
    users: Weak<()>,
}

struct Inner {
    parts: ClaimsParts,
    slots: Mutex<BTreeMap<Key, Arc<tokio::sync::Mutex<Slot>>>>,
    stop: CancellationToken,
    renewing: Mutex<Option<JoinHandle<()>>>,
}

/// The claims of this process. Cheap to clone.
#[derive(Clone)]
pub struct Claims(Arc<Inner>);

/// A claim on work that this process does. When it is dropped, its lease is no longer renewed, and
/// others may take the work once the lease has run out; after [`Claim::release`] they may take it
/// at once.
#[derive(Clone)]
pub struct Claim {
    claims: Claims,
    held: Arc<Held>,
    user: Arc<()>,
}

impl Claims {
    /// Starts the task that renews claims. Must be called within a runtime.
    #[must_use]
    pub fn start(parts: ClaimsParts) -> Self {
        let claims = Self(Arc::new(Inner {
            parts,
            slots: Mutex::default(),
            stop: CancellationToken::new(),
            renewing: Mutex::default(),
        }));
        // The task must not keep alive the value that stops it when dropped.
        let (inner, stop) = (Arc::downgrade(&claims.0), claims.0.stop.clone());
        let every = claims.0.parts.times.renew_every;
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(every);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while stop.run_until_cancelled(ticks.tick()).await.is_some() {
                let Some(inner) = inner.upgrade() else { return };
                inner.renew().await;
            }
        });
        *lock(&claims.0.renewing) = Some(task);
        claims
    }

    /// The id under which these claims are taken.
    #[must_use]
    pub fn instance(&self) -> InstanceId {
        self.0.parts.instance
    }

    /// Takes work that nobody else does, in this process or another.
    ///
    /// # Errors
    /// [`ClaimError::Taken`] and [`ClaimError::Store`].
    pub async fn take(
        &self,
        SessionKey { tenant, session }: SessionKey,
        work: Work,
    ) -> Result<Claim, ClaimError> {
        self.acquire((tenant, session, work), Sharing::Refused).await
    }

    /// Takes work, or shares the claim with others of this process that have it.
    ///
    /// # Errors
    /// [`ClaimError::Taken`] and [`ClaimError::Store`].
    pub async fn share(
        &self,
        SessionKey { tenant, session }: SessionKey,
        work: Work,
    ) -> Result<Claim, ClaimError> {
        self.acquire((tenant, session, work), Sharing::Allowed).await
    }

    /// Takes work from whoever has it, in this process or another.
    ///
    /// # Errors
    /// When the store of claims fails.
    pub async fn seize(&self, key: SessionKey, work: Work) -> Result<Claim, StoreError> {
        let slot = Arc::clone(lock(&self.0.slots).entry((key.session, work)).or_default());
        let mut slot = slot.lock().await;
        let ClaimsParts { repository, instance, clock, times } = &self.0.parts;
        let sent_at = clock.now();
        let epoch = repository.seize(key, work, *instance, times.length).await?;
        let fence = Fence { session: key.session, work, epoch };
        Ok(self.begin(&mut slot, fence, sent_at))
    }

    /// Which instance does `work` on a session now.
    ///
    /// # Errors
    /// When the store of claims fails.
    pub async fn holder(&self, key: SessionKey, work: Work) -> Result<Holder, StoreError> {
        let holder = self.0.parts.repository.holder(key, work).await?;
        Ok(match holder {
            None => Holder::Nobody,
            Some(holder) if holder == self.instance() => Holder::This,
            Some(_) => Holder::Another,
        })
    }

    /// Ends every lease of an earlier process that is known to have ended, so that its work can be
    /// taken at once.
    ///
    /// # Errors
    /// When the store of claims fails.
    pub async fn succeed(&self, ended: InstanceId) -> Result<(), StoreError> {
        self.0.parts.repository.end_instance(ended).await
    }

    /// Sessions whose `work` is claimed by other instances now.
    ///
    /// # Errors
    /// When the store of claims fails.
    pub async fn taken_by_others(&self, work: Work) -> Result<BTreeSet<SessionId>, StoreError> {
        self.0.parts.repository.taken_by_others(work, self.instance()).await
    }

    /// Stops renewing. Claims that were not released can be taken by others once their leases have
    /// run out.
    pub async fn shutdown(&self) {
        self.0.stop.cancel();
        let task = lock(&self.0.renewing).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the task that renews claims has failed");
        }
    }

    async fn acquire(
        &self,
        (tenant, session, work): (TenantId, SessionId, Work),
        sharing: Sharing,
    ) -> Result<Claim, ClaimError> {
        let slot = Arc::clone(lock(&self.0.slots).entry((session, work)).or_default());
        let mut slot = slot.lock().await;
        if let (Some(held), Some(user)) = (&slot.held, slot.users.upgrade())
            && !held.lost.is_cancelled()
        {
            return match sharing {
                Sharing::Allowed => {
                    Ok(Claim { claims: self.clone(), held: Arc::clone(held), user })
                }
                Sharing::Refused => Err(ClaimError::Taken),
            };
        }
        let ClaimsParts { repository, instance, clock, times } = &self.0.parts;
        let sent_at = clock.now();
        let epoch = repository
            .take(SessionKey::new(tenant, session), work, *instance, times.length)
            .await?;
        let fence = Fence { session, work, epoch: epoch.ok_or(ClaimError::Taken)? };
        Ok(self.begin(&mut slot, fence, sent_at))
    }

    /// A claim that the store has given for a request of `sent_at`.
    fn begin(&self, slot: &mut Slot, fence: Fence, sent_at: Duration) -> Claim {
        let lease = Mutex::new(Lease::begun(sent_at, &self.0.parts.times));
        let held = Arc::new(Held { fence, lease, lost: CancellationToken::new() });
        let user = Arc::new(());
        *slot = Slot { held: Some(Arc::clone(&held)), users: Arc::downgrade(&user) };
        Claim { claims: self.clone(), held, user }
    }
}

/// Who does a piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// This instance.
    This,
    /// Another one, whose lease has not run out.
    Another,
    /// None.
    Nobody,
}

/// Whether a claim may be shared with others of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Allowed,
    Refused,
}

impl Inner {
    /// Renews the claims in use, and removes the others.
    async fn renew(&self) {
        let mut held = Vec::new();
        lock(&self.slots).retain(|_, shared| {
            // A claim that is being taken now is renewed next time.
            let Ok(slot) = shared.try_lock() else { return true };
            let in_use = slot.users.strong_count() > 0;
            if let Some(claim) = slot.held.as_ref().filter(|_| in_use) {
                held.push(Arc::clone(claim));
            }
            // Kept if another task has a handle, since it may be about to lock it.
            in_use || Arc::strong_count(shared) > 1
        });
        held.retain(|claim| !claim.lost.is_cancelled());
        for claims in held.chunks(RENEWED_AT_ONCE) {
            self.renew_some(claims).await;
        }
    }

    async fn renew_some(&self, claims: &[Arc<Held>]) {
        let ClaimsParts { repository, instance, clock, times } = &self.parts;
        let fences: Vec<Fence> = claims.iter().map(|claim| claim.fence).collect();
        let sent_at = clock.now();
        let asked = repository.renew(*instance, &fences, times.length);
        // A later answer would be useless, since the leases would have run out.
        let renewed = match tokio::time::timeout(times.length, asked).await {
            Ok(Ok(renewed)) => renewed,
            Ok(Err(error)) => {
                tracing::warn!(%error, "claims were not renewed");
                return;
            }
            Err(_) => {
                tracing::warn!("claims were not renewed: the database did not answer in time");
                return;
            }
        };
        let lease = Lease::begun(sent_at, times);
        for claim in claims {
            if renewed.contains(&claim.fence) {
                let mut relied_on = lock(&claim.lease);
                *relied_on = relied_on.or_later(lease);
            } else {
                let Fence { session, work, .. } = claim.fence;
                tracing::warn!(%session, %work, "another instance took over the work");
                claim.lost.cancel();
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Claim {
    /// The fence that every write of this work must name.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.held.fence
    }

    /// Whether the lease is valid, so that nobody else does the work now. Must be checked before
    /// every step that the database can't fence, such as deleting an object.
    #[must_use]
    pub fn holds(&self) -> bool {
        let now = self.claims.0.parts.clock.now();
        !self.is_lost() && lock(&self.held.lease).holds_at(now)
    }

    /// As [`Self::holds`], but returns an error when it is not valid.
    ///
    /// # Errors
    /// [`ClaimError::Lost`].
    pub fn check(&self) -> Result<(), ClaimError> {
        if self.holds() { Ok(()) } else { Err(ClaimError::Lost) }
    }

    /// Whether another instance has taken the work. A lost claim never becomes valid again; the
    /// work can be taken again with a new one.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.held.lost.is_cancelled()
    }

    /// Reports that a write was refused because of its epoch, which means that the claim is lost.
    pub fn refused(&self) {
        self.held.lost.cancel();
    }

    /// Releases the work, once the last user in this process has done so. If that fails, the lease
    /// runs out by itself.
    pub async fn release(self) {
        let Self { claims, held, user } = self;
        if Arc::into_inner(user).is_none() || held.lost.is_cancelled() {
            return;
        }
        if let Err(error) = claims.0.parts.repository.release(held.fence).await {
            tracing::debug!(session = %held.fence.session, %error, "a claim was not released");
        }
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Claim").field(&self.held.fence).finish()
    }
}

impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Claims").field(&self.0.parts.instance).finish()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
