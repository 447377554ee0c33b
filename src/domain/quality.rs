//! How good the connection of a person is, and what it is due to.

use crate::domain::id::UserId;
use crate::domain::named_values::named_values;
use crate::domain::time::Timestamp;

named_values!(
    /// How good a connection is, the best first.
    QualityLevel {
        /// Nothing is noticed of it.
        Good => "good",
        /// It is heard or seen now and then.
        Fair => "fair",
        /// It is hard to follow.
        Poor => "poor",
        /// Nothing passes.
        Lost => "lost",
    }
);
named_values!(
    /// What a connection that is not good is due to. Of those that are equally bad, the first one is
    /// told: what a person sends reaches everybody.
    QualityCause {
        /// Nothing comes over the path any more.
        NoMedia => "no_media",
        /// Percent of what the person sends is missing, after what could be sent again.
        UplinkLoss => "uplink_loss",
        /// Percent of what is sent to the person is lost on the way.
        DownlinkLoss => "downlink_loss",
        /// Kilobits per second that the path to the person carries: they get smaller pictures, or not
        /// all of them.
        DownlinkBandwidth => "downlink_bandwidth",
        /// Milliseconds that packets take to the person and back.
        Delay => "delay",
        /// Milliseconds by which the sound that the person sends is unevenly late.
        UplinkJitter => "uplink_jitter",
        /// The same of the sound that is sent to the person.
        DownlinkJitter => "downlink_jitter",
        /// The network of the person carries media only by TCP, where a lost packet holds up those
        /// behind it.
        RelayedByTcp => "relayed_by_tcp",
    }
);

impl QualityLevel {
    /// Whether something is wrong.
    #[must_use]
    pub fn is_bad(self) -> bool {
        self != Self::Good
    }
}

/// What is said of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quality {
    /// How good it is.
    pub level: QualityLevel,
    /// What that is due to; `None` when it is good.
    pub cause: Option<QualityCause>,
    /// The number of the cause, in its unit; `None` of causes without one.
    pub value: Option<u32>,
}

impl Quality {
    /// Nothing is known to be wrong.
    pub const GOOD: Self = Self { level: QualityLevel::Good, cause: None, value: None };
}

/// What is said of the connection of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersonQuality {
    /// The person.
    pub user: UserId,
    /// How good it is, and why.
    pub quality: Quality,
    /// Since when it has this level.
    pub since: Timestamp,
}

/// A time in which the connection of a person was not good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadSpell {
    /// The person.
    pub user: UserId,
    /// The worst that was said of it.
    pub worst: Quality,
    /// When it began.
    pub from: Timestamp,
    /// When it was good again, or the person or the room was gone.
    pub until: Timestamp,
}
