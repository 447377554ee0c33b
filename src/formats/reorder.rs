//! When pictures are decoded that are sent in another order than they are shown in (B-frames). RTP
//! tells only when a picture is shown, and pictures are sent in the order in which they are decoded.
//! So the first picture is decoded at the earliest time at which any is shown, the second at the next
//! one, and so on. A file is not written while somebody waits for it, so pictures may wait here;
//! cameras, which are shown at once, have `cameras::engine::timeline`.

use std::collections::{BTreeSet, VecDeque};

use crate::formats::sample::Sample;

/// Pictures that may be decoded before one that is shown earlier: H.264 keeps at most 16 (§A.3.1).
/// Raising it makes more pictures wait.
const DEPTH: usize = 16;
/// Time between two pictures whose times are equal or run backwards, in microseconds.
const STEP_US: u64 = 1_000;

/// The pictures whose time of decoding is not known yet.
#[derive(Debug, Default)]
pub(super) struct Reorder {
    waiting: VecDeque<(u64, Sample)>,
    /// When the waiting pictures are shown.
    times: BTreeSet<u64>,
    /// When the last picture that left is decoded.
    last_us: Option<u64>,
    out: VecDeque<Sample>,
}

impl Reorder {
    /// Takes the next picture, whose `at_us` is when it is shown. No picture is shown before a key
    /// frame that was sent before it.
    pub(super) fn handle(&mut self, picture: Sample) {
        if picture.key {
            self.flush();
        }
        let earliest = self.last_us.map_or(0, |last| last + STEP_US);
        let mut shown_us = picture.at_us.max(earliest);
        while !self.times.insert(shown_us) {
            shown_us += STEP_US;
        }
        self.waiting.push_back((shown_us, picture));
        if self.waiting.len() > DEPTH {
            self.release();
        }
    }

    /// The next picture; its `at_us` is when it is decoded.
    pub(super) fn poll(&mut self) -> Option<Sample> {
        self.out.pop_front()
    }

    /// Ends the waiting of all pictures.
    pub(super) fn flush(&mut self) {
        while !self.waiting.is_empty() {
            self.release();
        }
    }

    fn release(&mut self) {
        let (Some((shown_us, mut picture)), Some(at_us)) =
            (self.waiting.pop_front(), self.times.pop_first())
        else {
            return;
        };
        self.last_us = Some(at_us);
        picture.at_us = at_us;
        picture.shown_after_us = shown_us.cast_signed().saturating_sub(at_us.cast_signed());
        self.out.push_back(picture);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What becomes of pictures that are shown at these milliseconds: when each is decoded and shown.
    fn times(shown_ms: &[(u64, bool)]) -> Vec<(u64, u64)> {
        let mut reorder = Reorder::default();
        for &(ms, key) in shown_ms {
            reorder.handle(Sample { at_us: ms * 1_000, key, ..Sample::default() });
        }
        reorder.flush();
        std::iter::from_fn(|| reorder.poll())
            .map(|it| (it.at_us / 1_000, it.at_us.saturating_add_signed(it.shown_after_us) / 1_000))
            .collect()
    }

    #[test]
    fn pictures_with_b_frames_are_shown_when_their_sender_says() {
        let sent = [0, 120, 40, 80, 240, 160, 200].map(|ms| (ms, ms == 0));
        let expected = [0, 40, 80, 120, 160, 200, 240];
        let (decoded, shown): (Vec<_>, Vec<_>) = times(&sent).into_iter().unzip();
        assert_eq!(decoded, expected);
        assert_eq!(shown, sent.map(|(ms, _)| ms));
    }

    #[test]
    fn pictures_in_order_are_decoded_when_they_are_shown() {
        let sent: Vec<_> = (0..40).map(|n| (n * 40, n % 20 == 0)).collect();
        assert!(times(&sent).iter().all(|(decoded, shown)| decoded == shown));
    }

    #[test]
    fn a_time_that_runs_backwards_beyond_the_order_of_h264_does_not() {
        let mut sent: Vec<_> = (0..40).map(|n| (n * 40, n == 0)).collect();
        sent.push((0, false));
        let last = *times(&sent).last().expect("all of them");
        assert!(last.1 > 20 * 40 && last.0 >= 39 * 40, "{last:?}");
    }

    proptest! {
        #[test]
        fn decoding_never_runs_backwards_and_no_picture_is_lost(
            sent in prop::collection::vec((0_u64..5_000, any::<bool>()), 0..80),
        ) {
            let times = times(&sent);
            prop_assert_eq!(times.len(), sent.len());
            prop_assert!(times.is_sorted_by(|a, b| a.0 < b.0));
        }
    }
}
