//! Cameras that are to be in rooms, on the database: names of the directory, and until when an
//! instance keeps each.

use async_trait::async_trait;

use super::directory::{self, BRIDGE};
use crate::cameras::repository::{BridgeKey, BridgeRepository};
use crate::domain::id::{CameraId, SessionId};
use crate::domain::store_error::StoreError;
use crate::domain::time::Timestamp;
use crate::store::connect::Store;
use crate::store::tenant_tx::TenantTx;

/// A camera and the session in whose room it is to be, as one name.
struct Name(SessionId, CameraId);

impl std::str::FromStr for Name {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (session, camera) = text.split_once('/').ok_or(())?;
        Ok(Self(session.parse().map_err(|_| ())?, camera.parse().map_err(|_| ())?))
    }
}

fn name(bridge: &BridgeKey) -> String {
    format!("{}/{}", bridge.session, bridge.camera)
}

/// Forgets in which rooms a camera is to be.
pub(super) async fn forget_all(tx: &TenantTx, camera: &CameraId) -> Result<(), StoreError> {
    for name in directory::names(tx, BRIDGE).await? {
        if name.parse::<Name>().is_ok_and(|it| it.1 == *camera) {
            directory::leave(tx, BRIDGE, &name).await?;
        }
    }
    Ok(())
}

#[async_trait]
impl BridgeRepository for Store {
    async fn put_bridge(
        &self,
        bridge: &BridgeKey,
        kept_until: Timestamp,
    ) -> Result<(), StoreError> {
        let tx = TenantTx::write(self, bridge.tenant).await?;
        directory::enter(&tx, BRIDGE, &name(bridge), Some(kept_until)).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn remove_bridge(&self, bridge: &BridgeKey) -> Result<bool, StoreError> {
        let tx = TenantTx::write_from_reserve(self, bridge.tenant).await?;
        let removed = directory::leave(&tx, BRIDGE, &name(bridge)).await?;
        tx.commit().await?;
        Ok(removed)
    }

    async fn unkept_bridges(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<BridgeKey>, StoreError> {
        let due = directory::due(self, BRIDGE, None, (now, limit)).await?;
        let key = |(tenant, Name(session, camera))| BridgeKey { tenant, session, camera };
        Ok(due.into_iter().map(key).collect())
    }

    async fn take_bridge(
        &self,
        bridge: &BridgeKey,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let named = (bridge.tenant, name(bridge));
        Ok(directory::postpone(self, BRIDGE, (named.0, &named.1), (now, until)).await?)
    }

    async fn keep_bridge(
        &self,
        bridge: &BridgeKey,
        kept: (Timestamp, Timestamp),
    ) -> Result<bool, StoreError> {
        let tx = TenantTx::write(self, bridge.tenant).await?;
        let renewed = directory::renew(&tx, BRIDGE, &name(bridge), kept).await?;
        tx.commit().await?;
        Ok(renewed)
    }
}
