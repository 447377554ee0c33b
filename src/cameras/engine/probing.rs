//! How often a camera is looked after.

use std::time::Duration;

use crate::domain::camera::CameraHealth;

/// How much later a camera that is never there is looked after: this often its
/// usual time doubles.
const DOUBLED_MAX: u32 = 4;

/// How many looks in a row found nothing, after one that found this.
#[must_use]
pub fn failures(before: u32, health: CameraHealth) -> u32 {
    match health {
        CameraHealth::Online | CameraHealth::Degraded => 0,
        CameraHealth::Offline => before.saturating_add(1),
    }
}

/// How long until a camera is looked after again that failed so often in a row.
/// `drawn` is a uniform random byte: it spreads cameras that were provisioned
/// together over a tenth of the time.
#[must_use]
pub fn next_after(every: Duration, failures: u32, drawn: u8) -> Duration {
    let doubled = every.saturating_mul(1 << failures.saturating_sub(1).min(DOUBLED_MAX));
    doubled.saturating_add((doubled / 10).saturating_mul(drawn.into()) / u32::from(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_that_is_never_there_is_looked_after_ever_more_rarely() {
        let every = Duration::from_mins(1);
        let mut failed = 0;
        let waits: Vec<u64> = (0..8)
            .map(|_| {
                failed = failures(failed, CameraHealth::Offline);
                next_after(every, failed, 0).as_secs()
            })
            .collect();
        assert_eq!(waits, [60, 120, 240, 480, 960, 960, 960, 960]);
        assert_eq!(failures(failed, CameraHealth::Degraded), 0);
        assert_eq!(failures(u32::MAX, CameraHealth::Offline), u32::MAX);
        assert_eq!(next_after(every, 0, 0).as_secs(), 60);
        assert_eq!(next_after(every, 0, u8::MAX).as_secs(), 66);
    }
}
