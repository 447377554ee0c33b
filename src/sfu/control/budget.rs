//! How much media the rooms of a tenant receive together, and what happens when it is more than the
//! tenant is allowed: new video tracks are refused, and video with several layers continues in its
//! lowest layer. Audio is never limited.

use std::collections::BTreeMap;

use crate::domain::id::{SessionId, TenantId};
use crate::domain::media::MediaKind;
use crate::sfu::control::{Control, Output};
use crate::sfu::interface::{BitrateBudget, SfuError};
use crate::sfu::plane::Command;

/// The only layer of simulcast that is forwarded while its tenant is over its limit.
const HELD_LAYER: u8 = 0;

/// The bitrates of one tenant.
#[derive(Debug)]
struct Account {
    max_kbps: u32,
    /// The last measurement of each open room.
    rooms: BTreeMap<SessionId, u32>,
    is_exceeded: bool,
}

impl Account {
    fn measured_kbps(&self) -> u32 {
        self.rooms.values().fold(0, |sum, kbps| sum.saturating_add(*kbps))
    }

    /// Adds the rooms up again and returns whether the tenant went over its limit or back below it.
    /// The state ends only a tenth below the limit, so that a sum near the limit does not switch
    /// layers every second.
    fn update(&mut self) -> bool {
        let measured = self.measured_kbps();
        let is_exceeded = if self.is_exceeded {
            measured > self.max_kbps - self.max_kbps / 10
        } else {
            measured > self.max_kbps
        };
        std::mem::replace(&mut self.is_exceeded, is_exceeded) != is_exceeded
    }
}

/// The accounts of all tenants with an open room.
#[derive(Debug, Default)]
pub(super) struct Budgets(BTreeMap<TenantId, Account>);

impl Budgets {
    fn is_exceeded(&self, tenant: TenantId) -> bool {
        self.0.get(&tenant).is_some_and(|account| account.is_exceeded)
    }
}

impl Control {
    /// Counts a room that was opened for its tenant. The tenant's limit is the one given with the
    /// room opened last.
    pub(super) fn open_budget(&mut self, room: SessionId, budget: BitrateBudget) {
        let BitrateBudget { tenant, max_kbps } = budget;
        let account = self.budgets.0.entry(tenant).or_insert_with(|| Account {
            max_kbps,
            rooms: BTreeMap::new(),
            is_exceeded: false,
        });
        account.max_kbps = max_kbps;
        account.rooms.insert(room, 0);
        if account.is_exceeded {
            self.hold_layers(room);
        }
    }

    /// Stops counting a room that was closed.
    pub(super) fn close_budget(&mut self, room: SessionId, worker: usize, tenant: TenantId) {
        let Some(account) = self.budgets.0.get_mut(&tenant) else { return };
        account.rooms.remove(&room);
        if account.is_exceeded {
            let command = Command::SetLayerMax { room, layer_max: u8::MAX };
            self.outputs.push_back(Output::Command { worker, command });
        }
        self.update_budget(tenant);
        self.budgets.0.retain(|_, account| !account.rooms.is_empty());
    }

    /// Takes the bitrates that workers measured.
    pub(super) fn handle_incoming(&mut self, measured: &[(SessionId, u32)]) {
        let mut tenants = Vec::new();
        for (room, kbps) in measured {
            // The room may have been closed since the measurement.
            let Some(tenant) = self.rooms.get(room).map(|room| room.tenant) else { continue };
            if let Some(account) = self.budgets.0.get_mut(&tenant) {
                account.rooms.insert(*room, *kbps);
                tenants.push(tenant);
            }
        }
        tenants.sort_unstable();
        tenants.dedup();
        for tenant in tenants {
            self.update_budget(tenant);
        }
    }

    /// Sets the bitrate of a room without tracks to zero; its worker does not report it.
    pub(super) fn note_silence(&mut self, room: SessionId) {
        if self.publishers.values().any(|(of, _)| *of == room) {
            return;
        }
        self.handle_incoming(&[(room, 0)]);
    }

    /// Refuses a new video track while the tenant of the room is over its limit.
    pub(super) fn check_budget(&self, room: SessionId, kind: MediaKind) -> Result<(), SfuError> {
        let tenant = self.rooms.get(&room).ok_or(SfuError::RoomNotFound)?.tenant;
        if kind == MediaKind::Audio || !self.budgets.is_exceeded(tenant) {
            return Ok(());
        }
        Err(SfuError::BitrateLimit)
    }

    /// Tells the new worker of a room about the layer limit, since it knows nothing of it.
    pub(super) fn move_budget(&mut self, room: SessionId) {
        let tenant = self.rooms.get(&room).map(|room| room.tenant);
        if tenant.is_some_and(|tenant| self.budgets.is_exceeded(tenant)) {
            self.hold_layers(room);
        }
    }

    fn hold_layers(&mut self, room: SessionId) {
        self.command(room, Command::SetLayerMax { room, layer_max: HELD_LAYER });
    }

    fn update_budget(&mut self, tenant: TenantId) {
        let Some(account) = self.budgets.0.get_mut(&tenant) else { return };
        let crossed = account.update();
        let (kbps, is_exceeded) = (account.measured_kbps(), account.is_exceeded);
        self.outputs.push_back(Output::TenantBitrate { tenant, kbps });
        if !crossed {
            return;
        }
        let layer_max = if is_exceeded { HELD_LAYER } else { u8::MAX };
        for room in account.rooms.keys().copied().collect::<Vec<_>>() {
            self.command(room, Command::SetLayerMax { room, layer_max });
        }
    }
}
