//! A store in memory that several processes share, and that fails, hangs or
//! lets a process die at any call.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use cabildo::domain::claim::Fence;
use cabildo::domain::id::{SessionId, SessionKey, TenantId};
use cabildo::domain::secret::Secret;
use cabildo::domain::store_error::StoreError;
use cabildo::evidence::repository::{
    Append, EvidenceRepository, Hash, LogRecord, StoredEntry, StoredEvent, StoredHead,
};
use cabildo::evidence::{EventKind, RoomEvent, RoomEventSource};
use cabildo::vault::{KeyPurpose, KeyVault, KeyVaultError};

/// What is stored of one log.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) record: LogRecord,
    pub(crate) entries: Vec<StoredEntry>,
    pub(crate) events: Vec<StoredEvent>,
    pub(crate) heads: Vec<StoredHead>,
}

/// Everything that is on the disk.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    pub(crate) logs: BTreeMap<SessionKey, Log>,
    pub(crate) leaves: Vec<(SessionId, Vec<u8>)>,
    pub(crate) room: Vec<RoomEvent>,
    pub(crate) keys: BTreeMap<Vec<u8>, (TenantId, String, [u8; 32])>,
}

/// A store that several processes share.
#[derive(Clone, Default)]
pub(crate) struct Store(pub(crate) Arc<Mutex<Disk>>);

impl Store {
    pub(crate) fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().expect("no test panics within")
    }

    pub(crate) fn log(&self, key: SessionKey) -> Log {
        self.disk().logs.get(&key).expect("there is a log").clone()
    }
}

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Refused, nothing was done.
    Refuse,
    /// It was done, and no answer comes.
    DoAndHang,
    /// Nothing was done, and no answer comes.
    Hang,
    /// It was done, but the answer is that it was not.
    DoAndRefuse,
}

/// What one process sees of the store.
pub(crate) struct Process {
    pub(crate) store: Store,
    /// Calls it still makes before it dies; none are left of a dead one.
    lives: AtomicI64,
    /// Whether the last call is still carried out.
    last_is_done: bool,
    faults: Mutex<Vec<Fault>>,
    /// Appends with an event that contains this text are refused.
    refused_text: Mutex<Option<&'static str>>,
    pub(crate) writes: AtomicU32,
}

impl Process {
    pub(crate) fn new(store: &Store) -> Arc<Self> {
        Self::dying(store, i64::MAX, false)
    }

    /// A process that dies at its call number `calls`.
    pub(crate) fn dying(store: &Store, calls: i64, last_is_done: bool) -> Arc<Self> {
        Arc::new(Self {
            store: store.clone(),
            lives: AtomicI64::new(calls),
            last_is_done,
            faults: Mutex::default(),
            refused_text: Mutex::default(),
            writes: AtomicU32::new(0),
        })
    }

    /// Calls it has made, if it does not die.
    pub(crate) fn calls(&self) -> i64 {
        i64::MAX - self.lives.load(Ordering::SeqCst)
    }

    pub(crate) fn kill(&self) {
        self.lives.store(0, Ordering::SeqCst);
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.lives.load(Ordering::SeqCst) <= 0
    }

    /// The next writes go wrong, the first as `faults[0]` says.
    pub(crate) fn fail_writes(&self, faults: &[Fault]) {
        let mut planned = self.faults.lock().expect("no test panics within");
        planned.clear();
        planned.extend(faults.iter().rev());
    }

    /// The store refuses for good what contains this text.
    pub(crate) fn refuse_text(&self, text: Option<&'static str>) {
        *self.refused_text.lock().expect("no test panics within") = text;
    }

    async fn read<T>(&self, look: impl FnOnce(&Disk) -> T) -> T {
        if self.lives.fetch_sub(1, Ordering::SeqCst) <= 1 {
            std::future::pending::<()>().await;
        }
        tokio::task::yield_now().await;
        look(&self.store.disk())
    }

    async fn write<T>(
        &self,
        change: impl FnOnce(&mut Disk) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        let lives = self.lives.fetch_sub(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        let fault = if lives > 1 {
            self.faults.lock().expect("no test panics within").pop()
        } else if lives == 1 && self.last_is_done {
            Some(Fault::DoAndHang)
        } else {
            Some(Fault::Hang)
        };
        let refused = || StoreError::Unavailable("as planned".to_owned());
        match fault {
            None => change(&mut self.store.disk()),
            Some(Fault::Refuse) => Err(refused()),
            Some(Fault::DoAndRefuse) => {
                drop(change(&mut self.store.disk()));
                Err(refused())
            }
            Some(fault) => {
                if fault == Fault::DoAndHang {
                    drop(change(&mut self.store.disk()));
                }
                std::future::pending().await
            }
        }
    }
}

fn check(log: &Log, append: &Append) -> Result<(), StoreError> {
    if log.record.size != append.expected_size {
        return Err(StoreError::Conflict);
    }
    for (seq, entry) in (append.expected_size..).zip(&append.entries) {
        assert_eq!(entry.seq, seq, "a hole");
    }
    assert!(!append.entries.is_empty(), "nothing to append");
    Ok(())
}

fn apply(log: &mut Log, append: Append) {
    log.record.size += append.entries.len() as u64;
    log.record.room_seq = append.room_seq;
    log.record.last_event_seq = append.last_event_seq;
    log.record.closed_seq = append.closed_seq;
    log.entries.extend(append.entries);
    log.events.extend(append.events);
}

fn index(seq: u64) -> usize {
    usize::try_from(seq).expect("small")
}

#[async_trait]
impl EvidenceRepository for Process {
    fn fenced(self: Arc<Self>, _: Fence) -> Arc<dyn EvidenceRepository> {
        self
    }

    async fn log(&self, key: SessionKey) -> Result<Option<LogRecord>, StoreError> {
        Ok(self.read(|disk| Some(disk.logs.get(&key)?.record.clone())).await)
    }

    async fn create(
        &self,
        key: SessionKey,
        log_id: [u8; 16],
        events_key: Vec<u8>,
        append: Append,
    ) -> Result<(), StoreError> {
        self.write(|disk| {
            if disk.logs.contains_key(&key) {
                return Err(StoreError::Conflict);
            }
            let record = LogRecord {
                log_id,
                size: 0,
                room_seq: 0,
                last_event_seq: 0,
                closed_seq: None,
                events_key: Some(events_key),
            };
            let mut log =
                Log { record, entries: Vec::new(), events: Vec::new(), heads: Vec::new() };
            check(&log, &append)?;
            apply(&mut log, append);
            disk.logs.insert(key, log);
            Ok(())
        })
        .await
    }

    async fn append(&self, key: SessionKey, append: Append) -> Result<(), StoreError> {
        self.write(|disk| {
            let log = disk.logs.get_mut(&key).ok_or(StoreError::Conflict)?;
            let refused = *self.refused_text.lock().expect("no test panics within");
            let is_refused =
                |event: &StoredEvent| refused.is_some_and(|it| event.text.contains(it));
            if append.events.iter().any(is_refused) {
                return Err(StoreError::Refused("as planned".to_owned()));
            }
            check(log, &append)?;
            apply(log, append);
            Ok(())
        })
        .await
    }

    async fn put_events_key(
        &self,
        key: SessionKey,
        wrapped: Option<Vec<u8>>,
    ) -> Result<(), StoreError> {
        self.write(|disk| {
            let log = disk.logs.get_mut(&key).expect("there is a log");
            if wrapped.is_none() {
                log.events.clear();
            }
            log.record.events_key = wrapped;
            Ok(())
        })
        .await
    }

    async fn put_head(
        &self,
        key: SessionKey,
        previous_size: u64,
        head: &StoredHead,
    ) -> Result<(), StoreError> {
        let head = head.clone();
        self.write(|disk| {
            let log = disk.logs.get_mut(&key).expect("there is a log");
            if let Some(same) = log.heads.iter().find(|it| it.tree_size == head.tree_size) {
                return if same.root == head.root { Ok(()) } else { Err(StoreError::Conflict) };
            }
            if log.heads.last().map_or(0, |last| last.tree_size) != previous_size {
                return Err(StoreError::Conflict);
            }
            log.heads.push(head);
            Ok(())
        })
        .await
    }

    async fn leaves(&self, key: SessionKey, from: u64) -> Result<Vec<Hash>, StoreError> {
        Ok(self
            .read(|disk| {
                let entries = &disk.logs[&key].entries;
                entries.iter().skip(index(from)).map(|entry| entry.leaf).collect()
            })
            .await)
    }

    async fn entries(
        &self,
        key: SessionKey,
        from: u64,
        limit: u32,
    ) -> Result<Vec<StoredEntry>, StoreError> {
        Ok(self
            .read(|disk| {
                let entries = &disk.logs[&key].entries;
                entries.iter().skip(index(from)).take(limit as usize).cloned().collect()
            })
            .await)
    }

    async fn heads(
        &self,
        key: SessionKey,
        from: u64,
        limit: u32,
    ) -> Result<Vec<StoredHead>, StoreError> {
        Ok(self
            .read(|disk| {
                let heads = disk.logs[&key].heads.iter();
                let from = heads.filter(|head| head.tree_size >= from);
                from.take(limit as usize).cloned().collect()
            })
            .await)
    }

    async fn latest_head(&self, key: SessionKey) -> Result<Option<StoredHead>, StoreError> {
        Ok(self.read(|disk| disk.logs.get(&key)?.heads.last().cloned()).await)
    }

    async fn events(
        &self,
        key: SessionKey,
        kinds: &[EventKind],
        from: u64,
        limit: u32,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        let kinds = kinds.to_vec();
        Ok(self
            .read(|disk| {
                let events = disk.logs[&key].events.iter();
                let wanted = events.filter(|event| {
                    event.seq >= from && (kinds.is_empty() || kinds.contains(&event.kind))
                });
                wanted.take(limit as usize).cloned().collect()
            })
            .await)
    }

    async fn unclosed(&self) -> Result<Vec<SessionKey>, StoreError> {
        Ok(self
            .read(|disk| {
                let open = disk.logs.iter().filter(|(_, log)| log.record.closed_seq.is_none());
                open.map(|(key, _)| *key).collect()
            })
            .await)
    }

    async fn append_operator_leaf(
        &self,
        session: SessionId,
        _tree_size: u64,
        cose: &[u8],
    ) -> Result<u64, StoreError> {
        let cose = cose.to_vec();
        self.write(|disk| {
            let known = disk.leaves.iter().position(|(_, leaf)| *leaf == cose);
            Ok(known.unwrap_or_else(|| {
                disk.leaves.push((session, cose));
                disk.leaves.len() - 1
            }) as u64)
        })
        .await
    }

    async fn operator_size(&self) -> Result<u64, StoreError> {
        Ok(self.read(|disk| disk.leaves.len() as u64).await)
    }

    async fn operator_leaves(&self, from: u64, limit: u32) -> Result<Vec<Vec<u8>>, StoreError> {
        Ok(self
            .read(|disk| {
                let leaves = disk.leaves.iter().skip(index(from)).take(limit as usize);
                leaves.map(|(_, leaf)| leaf.clone()).collect()
            })
            .await)
    }

    async fn operator_leaf_of(
        &self,
        session: SessionId,
    ) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        Ok(self
            .read(|disk| {
                let newest = disk.leaves.iter().rposition(|(owner, _)| *owner == session)?;
                Some((newest as u64, disk.leaves[newest].1.clone()))
            })
            .await)
    }
}

#[async_trait]
impl RoomEventSource for Process {
    async fn room_events(
        &self,
        _key: SessionKey,
        after: u64,
        limit: u32,
    ) -> Result<Vec<RoomEvent>, String> {
        Ok(self
            .read(|disk| {
                let new = disk.room.iter().filter(|event| event.seq > after);
                new.take(limit as usize).cloned().collect()
            })
            .await)
    }
}

/// A key vault in memory: a wrapped key is a name for the key.
#[async_trait]
impl KeyVault for Process {
    async fn wrap(
        &self,
        tenant: TenantId,
        purpose: KeyPurpose,
        key: &Secret<[u8; 32]>,
    ) -> Result<Vec<u8>, KeyVaultError> {
        let name = rand::random::<[u8; 32]>().to_vec();
        let kept = (tenant, format!("{purpose:?}"), *key.expose());
        self.store.disk().keys.insert(name.clone(), kept);
        Ok(name)
    }

    async fn unwrap(
        &self,
        tenant: TenantId,
        purpose: KeyPurpose,
        wrapped: &[u8],
    ) -> Result<Secret<[u8; 32]>, KeyVaultError> {
        let disk = self.store.disk();
        let (owner, of, key) = disk.keys.get(wrapped).ok_or(KeyVaultError::NotAuthentic)?;
        if *owner == tenant && *of == format!("{purpose:?}") {
            Ok(Secret::new(*key))
        } else {
            Err(KeyVaultError::NotAuthentic)
        }
    }

    async fn rotate(&self, _tenant: TenantId) -> Result<u32, KeyVaultError> {
        Err(KeyVaultError::NoSuchKey)
    }

    async fn destroy(&self, _tenant: TenantId, _version: u32) -> Result<(), KeyVaultError> {
        Err(KeyVaultError::NoSuchKey)
    }
}
