//! Times of which there is no sound, joined: a loss is told once, not for every packet.

use crate::domain::transcript::GapCause;

/// Losses that are nearer to each other than this, in microseconds, are one. Raising it tells
/// fewer, longer losses, later.
const JOIN_US: u64 = 1_000_000;
/// A loss that lasts longer than this, in microseconds, is told in parts, so that people learn of
/// it while it goes on.
const PART_US: u64 = 60_000_000;

/// A time of which there is no sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Gap {
    pub(super) cause: GapCause,
    pub(super) from_us: u64,
    pub(super) to_us: u64,
}

/// The losses of a track.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    open: Option<Gap>,
}

impl Gaps {
    /// There is no sound from one moment to another. The gap before, when this is not a part of it.
    pub(super) fn note(&mut self, gap: Gap) -> Option<Gap> {
        let gap = Gap { to_us: gap.to_us.max(gap.from_us), ..gap };
        match &mut self.open {
            Some(open) if open.cause == gap.cause && gap.from_us <= open.to_us + JOIN_US => {
                open.to_us = open.to_us.max(gap.to_us);
                let is_long = open.to_us.saturating_sub(open.from_us) >= PART_US;
                if is_long { self.open.take() } else { None }
            }
            _ => self.open.replace(gap),
        }
    }

    /// The gap that has ended by now.
    pub(super) fn handle_timeout(&mut self, now_us: u64) -> Option<Gap> {
        self.open.take_if(|open| now_us.saturating_sub(open.to_us) > JOIN_US)
    }

    /// The gap that has not been given out.
    pub(super) fn flush(&mut self) -> Option<Gap> {
        self.open.take()
    }

    /// Whether there is one.
    pub(super) const fn is_open(&self) -> bool {
        self.open.is_some()
    }
}
