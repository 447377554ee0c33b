//! Which encodings of a track no receiver wants, so that its publisher need not send them. What counts
//! is what receivers ask for, not what their paths carry now: who has room again needs the higher ones.

use crate::sfu::plane::{MediaEvent, PublicationOrigin};

use super::Forwarder;
use super::publication::Publication;

/// How long nobody must have wanted an encoding until its publisher is told. What is wanted again is
/// told at once.
const UNWANTED_US: u64 = 5_000_000;

/// What the publisher of a track was told about its encodings.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Unseen {
    /// How many of them, from the best one down.
    told: usize,
    /// How many nobody wants now, and since when it is at least as many as that.
    unwanted: usize,
    since_us: u64,
}

impl Unseen {
    /// Takes how many nobody wants; returns how many the publisher is to be told of, if that changes.
    fn note(&mut self, unwanted: usize, now_us: u64) -> Option<usize> {
        if unwanted != self.unwanted {
            *self = Self { unwanted, since_us: now_us, ..*self };
        }
        let is_lasting = now_us >= self.since_us + UNWANTED_US;
        let is_news = unwanted < self.told || (unwanted > self.told && is_lasting);
        is_news.then(|| {
            self.told = unwanted;
            unwanted
        })
    }
}

impl Forwarder {
    /// Reports the encodings that nobody wants, where that has changed.
    pub(super) fn look_for_unseen(&mut self, now_us: u64) {
        for at in 0..self.publications.reach() {
            let Some(publication) = self.publications.at(at) else { continue };
            let PublicationOrigin::Transport(transport) = publication.origin else { continue };
            if publication.encodings.len() < 2 {
                continue;
            }
            let unwanted = self.unwanted(publication);
            let Some(publication) = self.publications.at_mut(at) else { continue };
            if let Some(unwanted) = publication.unseen.note(unwanted, now_us) {
                let rids = publication.rids_from_the_best(unwanted);
                let event = MediaEvent::Unseen { transport, track: publication.track, rids };
                self.tell(event);
            }
        }
    }

    /// How many encodings, from the best one down, nobody wants. The lowest one is always wanted:
    /// whoever begins to look sees it at once.
    fn unwanted(&self, publication: &Publication) -> usize {
        let highest = publication.encodings.len() - 1;
        if !publication.taps.is_empty() {
            return 0;
        }
        let subscriptions =
            publication.subscribers.iter().filter_map(|&it| self.subscriptions.at(it));
        let wanted = subscriptions
            .filter(|subscription| !subscription.demand.paused)
            .map(|subscription| usize::from(subscription.demand.layer_max))
            .max();
        highest - wanted.unwrap_or(0).min(highest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unwanted_is_told_once_it_lasts_and_what_is_wanted_at_once() {
        let mut unseen = Unseen::default();
        assert_eq!(unseen.note(0, 0), None);
        assert_eq!(unseen.note(2, 1_000), None);
        assert_eq!(unseen.note(2, 1_000 + UNWANTED_US - 1), None);
        assert_eq!(unseen.note(2, 1_000 + UNWANTED_US), Some(2));
        assert_eq!(unseen.note(2, 9_000_000), None);
        assert_eq!(unseen.note(1, 9_000_001), Some(1));
        assert_eq!(unseen.note(2, 9_000_002), None);
        assert_eq!(unseen.note(0, 9_000_003), Some(0));
        assert_eq!(unseen.note(1, 9_000_004), None, "the time begins anew");
        assert_eq!(unseen.note(1, 9_000_004 + UNWANTED_US), Some(1));
    }
}
