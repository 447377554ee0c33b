//! What tests of these engines share.

use std::time::{Duration, Instant};

/// Parameter sets of H.264 for 1280 × 720 pictures of the high profile.
pub(in crate::cameras) const SPS: &[u8] = &[
    103, 100, 0, 31, 172, 217, 128, 80, 5, 187, 1, 106, 2, 2, 2, 128, 0, 0, 3, 0, 128, 0, 0, 30, 7,
    140, 24, 205,
];
pub(in crate::cameras) const PPS: &[u8] = &[104, 233, 123, 44, 139];

/// The moment at which a test begins, and moments so many milliseconds after it.
pub(super) fn clock() -> impl Fn(u64) -> Instant {
    #[expect(clippy::disallowed_methods, reason = "any moment will do; time is counted from it")]
    let start = Instant::now();
    move |ms| start + Duration::from_millis(ms)
}
