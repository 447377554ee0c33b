//! Bundles that were begun: how many are sent at once, and those that are kept for a while so that
//! a download that was cut off is continued.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::AbortHandle;
use uuid::Uuid;

use crate::api::error::ApiError;
use crate::clock::Clock;
use crate::custody::{Archive, BundleWanted};
use crate::domain::error_code::ErrorCode;
use crate::domain::id::{SessionKey, TenantId, UserId};
use crate::domain::time::Timestamp;

/// Most archives that are made at once for one tenant, so that no tenant takes all places.
const TENANT_BUNDLES_MAX: usize = 2;
/// Most archives that are made at once. Each reads from the vault as fast as its reader takes, and
/// keeps a few segments in memory.
const BUNDLES_MAX: usize = 8;
/// When somebody should ask again while there are as many archives as there may be.
const RETRY_AFTER_S: u32 = 5;
/// How long a bundle can be continued after it was last sent. Nothing of its objects is kept, only
/// what was decided and signed when it was prepared. Raising it keeps that in memory for longer.
const KEPT_FOR_MS: i64 = 30 * 60 * 1_000;
/// Most bundles kept for one tenant; the one that was not sent for the longest goes. More than can
/// be sent at once, so there is always one to go.
const TENANT_KEPT_MAX: usize = 4;
/// Most bundles kept in all, likewise.
const KEPT_MAX: usize = 16;
/// Most memory for the documents of those that are not being sent, likewise. The documents of a
/// bundle with ten thousand receipts take about 20 MB.
const KEPT_BYTES_MAX: usize = 64 << 20;

/// Who asked for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) key: SessionKey,
    pub(super) user: UserId,
    pub(super) wanted: BundleWanted,
}

/// The bundles of this process. In tests something else stands for the archives.
pub(in crate::api) struct Bundles<A = Archive>(Mutex<State<A>>);

impl<A> Default for Bundles<A> {
    fn default() -> Self {
        Self(Mutex::new(State { preparing: BTreeMap::new(), kept: Vec::new() }))
    }
}

struct State<A> {
    /// Bundles that are being prepared, for each tenant.
    preparing: BTreeMap<TenantId, usize>,
    kept: Vec<Kept<A>>,
}

struct Kept<A> {
    tag: Uuid,
    asked: Asked,
    archive: Arc<A>,
    /// What its documents take of memory.
    bytes: usize,
    /// How many take it now: one, and those that were replaced and have not ended yet.
    sendings: usize,
    /// Ends the newest sending.
    work: Option<AbortHandle>,
    last_sent_at: Timestamp,
}

/// The right to prepare one bundle; it ends when this is dropped.
pub(super) struct Place<A = Archive> {
    bundles: Arc<Bundles<A>>,
    tenant: TenantId,
}

/// A bundle that is being sent. It can be continued for a while after this was dropped.
pub(super) struct Sending<A = Archive> {
    bundles: Arc<Bundles<A>>,
    tag: Uuid,
    clock: Clock,
}

/// A bundle that can be continued.
pub(super) struct Found<A = Archive> {
    pub(super) tag: Uuid,
    pub(super) archive: Arc<A>,
}

impl<A> Bundles<A> {
    /// The right to prepare a bundle.
    pub(super) fn take(self: &Arc<Self>, tenant: TenantId) -> Result<Place<A>, ApiError> {
        let mut state = self.state();
        state.admit(tenant)?;
        *state.preparing.entry(tenant).or_default() += 1;
        drop(state);
        Ok(Place { bundles: Arc::clone(self), tenant })
    }

    /// Begins to send a bundle that was prepared, and keeps it.
    pub(super) fn begin(
        self: &Arc<Self>,
        place: Place<A>,
        asked: Asked,
        (archive, bytes): (Arc<A>, usize),
        clock: &Clock,
    ) -> Sending<A> {
        let tag = Uuid::new_v4();
        let now = clock.now();
        let mut state = self.state();
        state.forget(now);
        state.make_room(asked.key.tenant, bytes);
        let (sendings, work) = (1, None);
        state.kept.push(Kept { tag, asked, archive, bytes, sendings, work, last_sent_at: now });
        drop(state);
        // Only now, so that nobody else takes its place.
        drop(place);
        Sending { bundles: Arc::clone(self), tag, clock: clock.clone() }
    }

    /// The bundle that a person goes on with: the one of this tag, or the only one that is kept of
    /// what they ask for. Of two they could hold the beginning of the other one.
    pub(super) fn find(
        &self,
        asked: &Asked,
        tag: Option<Uuid>,
        now: Timestamp,
    ) -> Option<Found<A>> {
        let mut state = self.state();
        state.forget(now);
        let mut fitting = state.kept.iter().filter(|kept| kept.asked == *asked);
        let found = if let Some(tag) = tag {
            fitting.find(|kept| kept.tag == tag)?
        } else {
            let only = fitting.next()?;
            if fitting.next().is_some() {
                return None;
            }
            only
        };
        Some(Found { tag: found.tag, archive: Arc::clone(&found.archive) })
    }

    /// Sends a bundle again. Whoever takes it at this moment is cut off: it is the connection that
    /// broke. `None` when it is not kept any more.
    pub(super) fn resume(
        self: &Arc<Self>,
        tag: Uuid,
        clock: &Clock,
    ) -> Result<Option<Sending<A>>, ApiError> {
        let mut state = self.state();
        let Some(kept) = state.kept.iter().find(|kept| kept.tag == tag) else { return Ok(None) };
        if kept.sendings == 0 {
            let tenant = kept.asked.key.tenant;
            state.admit(tenant)?;
        }
        if let Some(kept) = state.of(tag) {
            kept.sendings += 1;
            if let Some(work) = kept.work.take() {
                work.abort();
            }
        }
        drop(state);
        Ok(Some(Sending { bundles: Arc::clone(self), tag, clock: clock.clone() }))
    }

    /// What ends the work of a sending, for when it is replaced by another one.
    pub(super) fn sent_by(&self, tag: Uuid, work: AbortHandle) {
        if let Some(kept) = self.state().of(tag) {
            kept.work = Some(work);
        }
    }

    fn state(&self) -> MutexGuard<'_, State<A>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A> State<A> {
    fn of(&mut self, tag: Uuid) -> Option<&mut Kept<A>> {
        self.kept.iter_mut().find(|kept| kept.tag == tag)
    }

    /// Refuses when there are as many as there may be at once.
    fn admit(&self, tenant: TenantId) -> Result<(), ApiError> {
        let sent = || self.kept.iter().filter(|kept| kept.sendings > 0);
        let of_tenant = sent().filter(|kept| kept.asked.key.tenant == tenant).count()
            + self.preparing.get(&tenant).copied().unwrap_or_default();
        let all = sent().count() + self.preparing.values().sum::<usize>();
        if of_tenant < TENANT_BUNDLES_MAX && all < BUNDLES_MAX {
            return Ok(());
        }
        let message = "as many bundles are being made as there may be at once";
        let refusal = ApiError::new(ErrorCode::BundleLimitReached, message);
        Err(refusal.retry_after_s(RETRY_AFTER_S))
    }

    fn forget(&mut self, now: Timestamp) {
        self.kept.retain(|kept| {
            kept.sendings > 0 || now.unix_ms() - kept.last_sent_at.unix_ms() < KEPT_FOR_MS
        });
    }

    /// Lets go of bundles that are not being sent until there is room for another one.
    fn make_room(&mut self, tenant: TenantId, bytes: usize) {
        while self.kept.iter().filter(|kept| kept.asked.key.tenant == tenant).count()
            >= TENANT_KEPT_MAX
        {
            if !self.let_go(|kept| kept.asked.key.tenant == tenant) {
                break;
            }
        }
        while self.kept.len() >= KEPT_MAX
            || self.idle_bytes().saturating_add(bytes) > KEPT_BYTES_MAX
        {
            if !self.let_go(|_| true) {
                break;
            }
        }
    }

    /// Lets go of bundles that are too much once another one is not being sent any more; one of any
    /// size stays, so that it can be continued.
    fn trim(&mut self, now: Timestamp) {
        self.forget(now);
        let is_idle = |kept: &&Kept<A>| kept.sendings == 0;
        while self.idle_bytes() > KEPT_BYTES_MAX && self.kept.iter().filter(is_idle).count() > 1 {
            self.let_go(|_| true);
        }
    }

    fn idle_bytes(&self) -> usize {
        let idle = self.kept.iter().filter(|kept| kept.sendings == 0);
        idle.map(|kept| kept.bytes).sum()
    }

    /// Lets go of the one that was not sent for the longest; `false` when all are being sent.
    fn let_go(&mut self, fits: impl Fn(&Kept<A>) -> bool) -> bool {
        let idle = self.kept.iter().enumerate();
        let idle = idle.filter(|(_, kept)| kept.sendings == 0 && fits(kept));
        let Some((oldest, _)) = idle.min_by_key(|(_, kept)| kept.last_sent_at) else {
            return false;
        };
        self.kept.remove(oldest);
        true
    }
}

impl<A> Sending<A> {
    /// The strong entity tag of the archive, without quotes.
    pub(super) fn tag(&self) -> Uuid {
        self.tag
    }
}

impl<A> Drop for Place<A> {
    fn drop(&mut self) {
        let mut state = self.bundles.state();
        match state.preparing.get_mut(&self.tenant) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                state.preparing.remove(&self.tenant);
            }
        }
    }
}

impl<A> Drop for Sending<A> {
    fn drop(&mut self) {
        let now = self.clock.now();
        let mut state = self.bundles.state();
        if let Some(kept) = state.of(self.tag) {
            kept.sendings -= 1;
            kept.last_sent_at = now;
        }
        state.trim(now);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::domain::id::SessionId;

    const MB: usize = 1 << 20;

    /// Bundles whose archives are names, and a clock in minutes.
    struct Desk {
        bundles: Arc<Bundles<&'static str>>,
        minutes: Arc<AtomicI64>,
        clock: Clock,
    }

    impl Desk {
        fn new() -> Self {
            let minutes = Arc::new(AtomicI64::new(0));
            let read = Arc::clone(&minutes);
            let clock = Clock::from_fn(move || {
                Timestamp::from_unix_us(read.load(Ordering::SeqCst) * 60_000_000)
            });
            Self { bundles: Arc::default(), minutes, clock }
        }

        fn pass(&self, minutes: i64) {
            self.minutes.fetch_add(minutes, Ordering::SeqCst);
        }

        fn begin(
            &self,
            asked: &Asked,
            (name, bytes): (&'static str, usize),
        ) -> Result<Sending<&'static str>, ApiError> {
            let place = self.bundles.take(asked.key.tenant)?;
            Ok(self.bundles.begin(place, asked.clone(), (Arc::new(name), bytes), &self.clock))
        }

        fn found(&self, asked: &Asked, tag: Option<Uuid>) -> Option<&'static str> {
            self.bundles.find(asked, tag, self.clock.now()).map(|found| *found.archive)
        }
    }

    fn asked(tenant: TenantId) -> Asked {
        let key = SessionKey::new(tenant, SessionId::generate());
        let user = "secretary".parse().expect("a user");
        Asked { key, user, wanted: BundleWanted::Full(None) }
    }

    fn code<T>(outcome: Result<T, ApiError>) -> Option<ErrorCode> {
        outcome.err().map(|refusal| refusal.code())
    }

    #[test]
    fn no_tenant_takes_every_place() {
        let desk = Desk::new();
        let full = Some(ErrorCode::BundleLimitReached);
        let one = TenantId::generate();
        let preparing = desk.bundles.take(one).expect("a place");
        let first = desk.begin(&asked(one), ("first", 1)).expect("another place");
        assert_eq!(code(desk.begin(&asked(one), ("second", 1))), full);
        drop(preparing);
        let second = desk.begin(&asked(one), ("second", 1)).expect("the place that was left");
        assert_eq!(code(desk.begin(&asked(one), ("third", 1))), full);
        let mut held = vec![first, second];
        while held.len() < BUNDLES_MAX {
            held.push(desk.begin(&asked(TenantId::generate()), ("other", 1)).expect("a place"));
        }
        assert_eq!(code(desk.begin(&asked(TenantId::generate()), ("ninth", 1))), full);
        held.remove(0);
        desk.begin(&asked(one), ("third", 1)).expect("a place that was left");
        assert!(desk.bundles.state().preparing.is_empty(), "nothing is kept of who has left");
    }

    #[test]
    fn only_who_asked_for_it_goes_on_with_a_bundle_and_only_for_a_while() {
        let desk = Desk::new();
        let mine = asked(TenantId::generate());
        let sending = desk.begin(&mine, ("mine", 1)).expect("begun");
        let tag = sending.tag();
        assert_eq!(desk.found(&mine, Some(tag)), Some("mine"));
        assert_eq!(desk.found(&mine, None), Some("mine"));
        assert_eq!(desk.found(&mine, Some(Uuid::new_v4())), None);
        let other_user = Asked { user: "stranger".parse().expect("a user"), ..mine.clone() };
        let other_part = Asked { wanted: BundleWanted::Entries(vec![1]), ..mine.clone() };
        let other_tenant =
            Asked { key: SessionKey::new(TenantId::generate(), mine.key.session), ..mine.clone() };
        for other in [other_user, other_part, other_tenant] {
            assert_eq!(desk.found(&other, Some(tag)), None, "{other:?}");
            assert_eq!(desk.found(&other, None), None, "{other:?}");
        }
        // It is kept from when it was last sent, however long that took.
        desk.pass(300);
        assert_eq!(desk.found(&mine, Some(tag)), Some("mine"));
        drop(sending);
        desk.pass(29);
        let again = desk.bundles.resume(tag, &desk.clock).expect("a place").expect("kept");
        drop(again);
        desk.pass(29);
        assert_eq!(desk.found(&mine, Some(tag)), Some("mine"));
        desk.pass(1);
        assert_eq!(desk.found(&mine, Some(tag)), None);
        assert!(desk.bundles.resume(tag, &desk.clock).expect("no refusal").is_none());
    }

    #[test]
    fn of_two_bundles_only_the_one_that_is_named_is_continued() {
        let desk = Desk::new();
        let mine = asked(TenantId::generate());
        let older = desk.begin(&mine, ("older", 1)).expect("begun").tag();
        let newer = desk.begin(&mine, ("newer", 1)).expect("begun").tag();
        assert_eq!(desk.found(&mine, None), None);
        assert_eq!(desk.found(&mine, Some(older)), Some("older"));
        assert_eq!(desk.found(&mine, Some(newer)), Some("newer"));
    }

    #[tokio::test]
    async fn whoever_goes_on_takes_the_place_of_the_connection_that_broke() {
        let desk = Desk::new();
        let mine = asked(TenantId::generate());
        let _other = desk.begin(&asked(mine.key.tenant), ("other", 1)).expect("begun");
        let broken = desk.begin(&mine, ("mine", 1)).expect("begun");
        let tag = broken.tag();
        // Its network is gone, and the server has not noticed.
        let work = tokio::spawn(async move {
            let _held = broken;
            std::future::pending::<()>().await;
        });
        desk.bundles.sent_by(tag, work.abort_handle());
        let resumed = desk.bundles.resume(tag, &desk.clock).expect("its own place").expect("kept");
        assert!(work.await.expect_err("ended").is_cancelled());
        assert_eq!(
            code(desk.begin(&mine, ("third", 1))),
            Some(ErrorCode::BundleLimitReached),
            "the one that goes on counts"
        );
        drop(resumed);
        let fresh = desk.begin(&mine, ("third", 1)).expect("its place is free");
        let refused = desk.bundles.resume(tag, &desk.clock);
        assert_eq!(code(refused), Some(ErrorCode::BundleLimitReached), "both places are taken");
        drop(fresh);
    }

    #[test]
    fn what_was_not_sent_for_the_longest_goes_first() {
        let desk = Desk::new();
        let tenant = TenantId::generate();
        let mut tags = Vec::new();
        for name in ["a", "b", "c", "d", "e"] {
            let asked = asked(tenant);
            tags.push((desk.begin(&asked, (name, 1)).expect("begun").tag(), asked));
            desk.pass(1);
        }
        let found: Vec<_> =
            tags.iter().filter_map(|(tag, it)| desk.found(it, Some(*tag))).collect();
        assert_eq!(found, ["b", "c", "d", "e"], "four of a tenant");
        for _ in 0..KEPT_MAX {
            desk.begin(&asked(TenantId::generate()), ("other", 1)).expect("begun");
        }
        assert_eq!(desk.bundles.state().kept.len(), KEPT_MAX);
        let (big, small) = (asked(TenantId::generate()), asked(TenantId::generate()));
        let big_tag = desk.begin(&big, ("big", KEPT_BYTES_MAX - MB)).expect("begun").tag();
        assert_eq!(desk.found(&big, Some(big_tag)), Some("big"));
        desk.begin(&small, ("small", 2 * MB)).expect("begun");
        assert_eq!(desk.found(&big, Some(big_tag)), None, "both are more than there is room for");
        assert_eq!(desk.found(&small, None), Some("small"));
    }

    #[test]
    fn bundles_that_were_sent_beside_each_other_are_not_all_kept_afterwards() {
        let desk = Desk::new();
        let people: Vec<_> = (0..3).map(|_| asked(TenantId::generate())).collect();
        let sent: Vec<_> = people
            .iter()
            .map(|asked| desk.begin(asked, ("big", KEPT_BYTES_MAX + MB)).expect("a place"))
            .collect();
        assert_eq!(desk.bundles.state().kept.len(), 3, "all are being sent");
        for sending in sent {
            desk.pass(1);
            drop(sending);
        }
        let found: Vec<_> = people.iter().map(|asked| desk.found(asked, None)).collect();
        assert_eq!(found, [None, None, Some("big")], "the newest, whatever its size");
    }
}
