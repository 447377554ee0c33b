#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! How good the connections of the people in a room are, by what the media plane measures. Told what
//! was measured and the time; yields of whom something else is to be said. A level is said once it has
//! held for some seconds, so that it does not change to and fro.

mod judging;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::id::{ConnectionId, UserId};
use crate::domain::quality::{BadSpell, PersonQuality, Quality, QualityCause, QualityLevel};
use crate::domain::time::Timestamp;
use crate::sfu::{LostReason, PathReport, TransportSide};
use judging::Path;
pub use judging::{LOST_AFTER, MEASUREMENTS, PACKETS_MIN};

/// How long a connection must have been worse until that is said. That nothing passes is said at once.
pub const WORSE_AFTER: Duration = Duration::from_secs(3);
/// How long it must have been better, or bad for another reason, until that is said.
pub const BETTER_AFTER: Duration = Duration::from_secs(6);
/// Least time between two messages that differ by the number of the cause only.
pub const NUMBER_AFTER: Duration = Duration::from_secs(5);
/// After how long a path of which nothing was measured is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(3);
/// Bad spells of one stay of a person that are yielded; of further ones nothing is kept. Each takes at
/// least six seconds.
pub const SPELLS_MAX: u32 = 100;
/// By how many hundredths of itself a number must have changed for it to be said.
const NUMBER_PERCENT: u32 = 30;

/// How many people have each level, with its cause.
pub type QualityCounts = BTreeMap<(QualityLevel, Option<QualityCause>), u32>;

/// The connections of a room.
#[derive(Debug, Default)]
pub struct Monitor {
    connections: BTreeMap<ConnectionId, Connection>,
    people: BTreeMap<UserId, Standing>,
    /// Bad spells that are over.
    spells: Vec<BadSpell>,
}

#[derive(Debug)]
struct Connection {
    user: UserId,
    publish: Option<Path>,
    subscribe: Option<Path>,
    /// Whether a transport was lost, and nothing has come over any since.
    is_cut: bool,
}

/// What is said of a person, and what is about to be.
#[derive(Debug)]
struct Standing {
    said: Quality,
    since: Timestamp,
    said_at: Timestamp,
    worse_since: Option<Timestamp>,
    /// Since when it has been better, or bad for another reason.
    differs_since: Option<Timestamp>,
    /// The worst that was said since it was good, and when that began.
    spell: Option<(Quality, Timestamp)>,
    /// How many spells are over.
    spells: u32,
}

impl Monitor {
    /// Takes what was measured of paths in about a second; `holder` knows whose connections are.
    /// Yields what is to be said.
    pub fn handle_paths(
        &mut self,
        paths: &[PathReport],
        holder: impl Fn(ConnectionId) -> Option<UserId>,
        now: Timestamp,
    ) -> Vec<PersonQuality> {
        for report in paths {
            if !self.connections.contains_key(&report.peer) {
                // It may have ended since it was measured.
                let Some(user) = holder(report.peer) else { continue };
                self.add(report.peer, user, now);
            }
            if let Some(connection) = self.connections.get_mut(&report.peer) {
                connection.is_cut &= report.silent_for >= LOST_AFTER;
                connection
                    .path_mut(report.side)
                    .get_or_insert_with(|| Path::new(now))
                    .take(report, now);
            }
        }
        for connection in self.connections.values_mut() {
            for side in [TransportSide::Publish, TransportSide::Subscribe] {
                let is_gone = |path: &mut Path| now.since(path.seen_at) > FORGOTTEN_AFTER;
                connection.path_mut(side).take_if(is_gone);
            }
        }
        self.judge(None, now)
    }

    /// A transport has ended. Yields what is to be said.
    pub fn handle_transport_lost(
        &mut self,
        (connection, side): (ConnectionId, TransportSide),
        reason: LostReason,
        user: Option<&UserId>,
        now: Timestamp,
    ) -> Vec<PersonQuality> {
        let was_cut = match reason {
            LostReason::NeverConnected
            | LostReason::ConsentExpired
            | LostReason::HandshakeFailed
            | LostReason::ServerFault => true,
            LostReason::ClosedByPeer => false,
        };
        if was_cut && let Some(user) = user {
            self.add(connection, user.clone(), now);
        }
        let Some(found) = self.connections.get_mut(&connection) else { return Vec::new() };
        *found.path_mut(side) = None;
        found.is_cut |= was_cut;
        self.judge(user, now)
    }

    /// A connection has ended.
    pub fn forget(&mut self, connection: ConnectionId, now: Timestamp) {
        let Some(gone) = self.connections.remove(&connection) else { return };
        if !self.connections.values().any(|it| it.user == gone.user)
            && let Some(mut standing) = self.people.remove(&gone.user)
        {
            self.spells.extend(standing.end_spell(&gone.user, now));
        }
    }

    /// The room closes, or nobody in it is heard any more: what is bad now is taken to be over.
    pub fn end_spells(&mut self, now: Timestamp) {
        for (user, standing) in &mut self.people {
            self.spells.extend(standing.end_spell(user, now));
        }
    }

    /// The bad spells that are over and were not taken yet.
    pub fn take_spells(&mut self) -> Vec<BadSpell> {
        std::mem::take(&mut self.spells)
    }

    /// What is said of everybody whose connection is not good.
    pub fn not_good(&self) -> impl Iterator<Item = PersonQuality> {
        let bad = self.people.iter().filter(|(_, standing)| standing.said.level.is_bad());
        bad.map(|(user, standing)| standing.tell(user))
    }

    /// What is said of a person whose connection is not good.
    #[must_use]
    pub fn not_good_of(&self, user: &UserId) -> Option<PersonQuality> {
        let standing = self.people.get(user).filter(|it| it.said.level.is_bad());
        standing.map(|standing| standing.tell(user))
    }

    /// How many people have each level, with its cause.
    #[must_use]
    pub fn counts(&self) -> QualityCounts {
        let mut counts = QualityCounts::new();
        for standing in self.people.values() {
            *counts.entry((standing.said.level, standing.said.cause)).or_default() += 1;
        }
        counts
    }

    fn add(&mut self, connection: ConnectionId, user: UserId, now: Timestamp) {
        let standing = || Standing {
            said: Quality::GOOD,
            since: now,
            said_at: now,
            worse_since: None,
            differs_since: None,
            spell: None,
            spells: 0,
        };
        self.people.entry(user.clone()).or_insert_with(standing);
        let new = || Connection { user, publish: None, subscribe: None, is_cut: false };
        self.connections.entry(connection).or_insert_with(new);
    }

    /// Judges all connections, or those of one person.
    fn judge(&mut self, only: Option<&UserId>, now: Timestamp) -> Vec<PersonQuality> {
        let mut people: BTreeMap<UserId, Option<Quality>> = BTreeMap::new();
        for connection in self.connections.values_mut() {
            if only.is_none_or(|only| *only == connection.user) {
                let known = people.entry(connection.user.clone()).or_default();
                *known = together(*known, connection.judge());
            }
        }
        let mut changes = Vec::new();
        for (user, quality) in people {
            let Some(standing) = self.people.get_mut(&user) else { continue };
            let quality = quality.unwrap_or(Quality::GOOD);
            if standing.hear(quality, now) {
                changes.push(standing.tell(&user));
            }
            self.spells.extend(standing.follow_spell(&user, quality, now));
        }
        changes
    }
}

/// What is said of a person with two connections: the worse, except that whoever is here by one is not
/// lost.
fn together(one: Option<Quality>, other: Option<Quality>) -> Option<Quality> {
    let (Some(one), Some(other)) = (one, other) else { return one.or(other) };
    let [is_one_lost, is_other_lost] = [one, other].map(|it| it.level == QualityLevel::Lost);
    let is_other = match (is_one_lost, is_other_lost) {
        (true, false) => true,
        (false, true) => false,
        (true, true) | (false, false) => is_worse(&other, &one),
    };
    Some(if is_other { other } else { one })
}

/// Whether one is worse than another, or bad for a reason that is told before the other's.
fn is_worse(one: &Quality, other: &Quality) -> bool {
    (one.level, std::cmp::Reverse(one.cause)) > (other.level, std::cmp::Reverse(other.cause))
}

impl Connection {
    const fn path_mut(&mut self, side: TransportSide) -> &mut Option<Path> {
        match side {
            TransportSide::Publish => &mut self.publish,
            TransportSide::Subscribe => &mut self.subscribe,
        }
    }

    /// What is said of it now; nothing when it has no media.
    fn judge(&mut self) -> Option<Quality> {
        if self.is_cut {
            let cause = Some(QualityCause::NoMedia);
            return Some(Quality { level: QualityLevel::Lost, cause, value: None });
        }
        let paths = [&mut self.publish, &mut self.subscribe];
        let found = paths.into_iter().flatten().map(Path::judge);
        found.reduce(|one, other| if is_worse(&other, &one) { other } else { one })
    }
}

impl Standing {
    fn tell(&self, user: &UserId) -> PersonQuality {
        PersonQuality { user: user.clone(), quality: self.said, since: self.since }
    }

    /// Begins, follows or ends a bad spell by what is said and what holds now; yields one that has ended.
    fn follow_spell(&mut self, user: &UserId, now_is: Quality, now: Timestamp) -> Option<BadSpell> {
        if !self.said.level.is_bad() {
            return self.end_spell(user, now);
        }
        match &mut self.spell {
            None => self.spell = Some((self.said, self.since)),
            Some((worst, _)) if self.said.level > worst.level => *worst = self.said,
            Some((worst, _)) if has_worse_number(&now_is, worst) => worst.value = now_is.value,
            Some(_) => {}
        }
        None
    }

    fn end_spell(&mut self, user: &UserId, now: Timestamp) -> Option<BadSpell> {
        let (worst, from) = self.spell.take()?;
        self.spells = self.spells.saturating_add(1);
        let spell = BadSpell { user: user.clone(), worst, from, until: now };
        (self.spells <= SPELLS_MAX).then_some(spell)
    }

    /// Takes what holds now; returns whether something else is to be said.
    fn hear(&mut self, now_is: Quality, now: Timestamp) -> bool {
        let is_worse = now_is.level > self.said.level;
        let differs =
            !is_worse && (now_is.level, now_is.cause) != (self.said.level, self.said.cause);
        self.worse_since = is_worse.then(|| self.worse_since.unwrap_or(now));
        self.differs_since = differs.then(|| self.differs_since.unwrap_or(now));
        let has_held = |since: Option<Timestamp>, long| since.filter(|it| now.since(*it) >= long);
        let is_lost = is_worse && now_is.level == QualityLevel::Lost;
        let held = has_held(self.worse_since, if is_lost { Duration::ZERO } else { WORSE_AFTER })
            .or_else(|| has_held(self.differs_since, BETTER_AFTER));
        let is_new_number = !is_worse
            && !differs
            && now.since(self.said_at) >= NUMBER_AFTER
            && is_another_number(self.said.value, now_is.value);
        if held.is_none() && !is_new_number {
            return false;
        }
        if let Some(held) = held.filter(|_| now_is.level != self.said.level) {
            self.since = held;
        }
        (self.said, self.said_at) = (now_is, now);
        (self.worse_since, self.differs_since) = (None, None);
        true
    }
}

/// Whether one is as bad as another for the same reason, with a worse number of it.
fn has_worse_number(one: &Quality, other: &Quality) -> bool {
    let is_worse = match other.cause {
        // It says how much there is, and not how much is wrong.
        Some(QualityCause::DownlinkBandwidth) => one.value < other.value,
        _ => one.value > other.value,
    };
    is_worse && (one.level, one.cause) == (other.level, other.cause)
}

/// Whether a number is so different that it is worth a message.
fn is_another_number(said: Option<u32>, now_is: Option<u32>) -> bool {
    match (said, now_is) {
        (Some(said), Some(now_is)) => {
            let change = u64::from(said.abs_diff(now_is)) * 100;
            change > u64::from(said.max(5)) * u64::from(NUMBER_PERCENT)
        }
        (said, now_is) => said != now_is,
    }
}
