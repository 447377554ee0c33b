//! Claims in memory. Leases run until they are given back or a test ends them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use cabildo::claims::repository::ClaimRepository;
use cabildo::claims::{Claims, ClaimsParts, LeaseTimes};
use cabildo::clock::BootClock;
use cabildo::domain::claim::{Fence, Work};
use cabildo::domain::id::{InstanceId, SessionId, SessionKey};
use cabildo::domain::store_error::StoreError;

/// The instance that owns one piece of work.
struct Owner {
    instance: InstanceId,
    epoch: u64,
    leased: bool,
}

#[derive(Default)]
pub(crate) struct MemoryClaims(Mutex<BTreeMap<(SessionId, Work), Owner>>);

impl MemoryClaims {
    fn owners(&self) -> std::sync::MutexGuard<'_, BTreeMap<(SessionId, Work), Owner>> {
        self.0.lock().expect("no test has failed with it")
    }
}

/// The claims of a process that starts now.
pub(crate) fn of_a_new_process(repository: Arc<dyn ClaimRepository>) -> Claims {
    Claims::start(ClaimsParts {
        repository,
        instance: InstanceId::generate(),
        clock: BootClock::system(),
        times: LeaseTimes::default(),
    })
}

#[async_trait]
impl ClaimRepository for MemoryClaims {
    async fn take(
        &self,
        SessionKey { session, .. }: SessionKey,
        work: Work,
        instance: InstanceId,
        _: Duration,
    ) -> Result<Option<u64>, StoreError> {
        let mut owners = self.owners();
        let epoch = match owners.get(&(session, work)) {
            Some(owner) if owner.leased && owner.instance != instance => return Ok(None),
            Some(owner) => owner.epoch + 1,
            None => 1,
        };
        owners.insert((session, work), Owner { instance, epoch, leased: true });
        Ok(Some(epoch))
    }

    async fn seize(
        &self,
        SessionKey { session, .. }: SessionKey,
        work: Work,
        instance: InstanceId,
        _: Duration,
    ) -> Result<u64, StoreError> {
        let mut owners = self.owners();
        let epoch = owners.get(&(session, work)).map_or(1, |owner| owner.epoch + 1);
        owners.insert((session, work), Owner { instance, epoch, leased: true });
        Ok(epoch)
    }

    async fn holder(&self, key: SessionKey, work: Work) -> Result<Option<InstanceId>, StoreError> {
        let owners = self.owners();
        let owner = owners.get(&(key.session, work)).filter(|owner| owner.leased);
        Ok(owner.map(|owner| owner.instance))
    }

    async fn renew(
        &self,
        instance: InstanceId,
        claims: &[Fence],
        _: Duration,
    ) -> Result<Vec<Fence>, StoreError> {
        let owners = self.owners();
        let has = |claim: &&Fence| {
            owners.get(&(claim.session, claim.work)).is_some_and(|owner| {
                owner.leased && owner.instance == instance && owner.epoch == claim.epoch
            })
        };
        Ok(claims.iter().filter(has).copied().collect())
    }

    async fn release(&self, claim: Fence) -> Result<(), StoreError> {
        let mut owners = self.owners();
        let owner = owners.get_mut(&(claim.session, claim.work));
        if let Some(owner) = owner.filter(|owner| owner.epoch == claim.epoch) {
            owner.leased = false;
        }
        Ok(())
    }

    async fn end_instance(&self, instance: InstanceId) -> Result<(), StoreError> {
        for owner in self.owners().values_mut().filter(|owner| owner.instance == instance) {
            owner.leased = false;
        }
        Ok(())
    }

    async fn taken_by_others(
        &self,
        work: Work,
        instance: InstanceId,
    ) -> Result<BTreeSet<SessionId>, StoreError> {
        let owners = self.owners();
        let others = owners
            .iter()
            .filter(|((_, of), owner)| *of == work && owner.leased && owner.instance != instance);
        Ok(others.map(|((session, _), _)| *session).collect())
    }
}
