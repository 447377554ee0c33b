//! One allocation.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rtc_stun::message::TransactionId;

use crate::sfu::turn::PEERS_MAX;
use crate::sfu::turn::access::Holder;
use crate::sfu::turn::table::Route;

/// How long a permission lasts (RFC 8656 §9).
pub(super) const PERMISSION_LIFETIME: Duration = Duration::from_mins(5);
/// How long a channel lasts (RFC 8656 §12).
pub(super) const CHANNEL_LIFETIME: Duration = Duration::from_mins(10);

/// One allocation: a client, the relayed port that it was told, and what it may reach.
#[derive(Debug)]
pub(super) struct Allocation {
    pub(super) number: u32,
    /// Stands for the 5-tuple: UDP has one port here, and a connection of TCP an address of its own.
    pub(super) client: SocketAddr,
    pub(super) holder: Holder,
    pub(super) username: String,
    /// Of the request that made it, which may come again.
    pub(super) transaction: TransactionId,
    pub(super) port: u16,
    pub(super) is_v4: bool,
    pub(super) ends_at: Instant,
    /// The deadline under which the timer table lists it.
    pub(super) due_at: Instant,
    /// Until when packets may pass, for each announced address.
    pub(super) permissions: [Option<Instant>; PEERS_MAX],
    /// The channel for each announced address, and until when.
    pub(super) channels: [Option<(u16, Instant)>; PEERS_MAX],
}

impl Allocation {
    /// When something of it ends next.
    pub(super) fn next_end(&self) -> Instant {
        let permissions = self.permissions.iter().flatten().copied();
        let channels = self.channels.iter().flatten().map(|(_, until)| *until);
        permissions.chain(channels).fold(self.ends_at, Instant::min)
    }

    /// Forgets permissions and channels that have ended.
    pub(super) fn forget_ended(&mut self, now: Instant) {
        for permission in &mut self.permissions {
            permission.take_if(|until| *until <= now);
        }
        for channel in &mut self.channels {
            channel.take_if(|(_, until)| *until <= now);
        }
    }

    /// What those that carry packets know of it.
    pub(super) fn route(&self) -> Route {
        Route {
            number: self.number,
            client: self.client,
            port: self.port,
            permitted: self.permissions.map(|until| until.is_some()),
            channels: self.channels.map(|channel| channel.map(|(number, _)| number)),
        }
    }
}
