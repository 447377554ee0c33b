//! File descriptors: how many this process may have, and how they are divided, so that connections
//! of unknown clients take none that a running meeting needs.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A lower limit is reported at start. Enough for 2,000 people at once, with recordings.
const ADVISED: u64 = 8_192;
/// Used when the system has no limit.
const UNLIMITED: u64 = 1_048_576;

/// Most connections of the public listener, however high the limit is.
const PUBLIC_MAX: u64 = 20_000;
/// Most connections of the internal listener.
const INTERNAL_MAX: u64 = 1_000;
/// Most connections of the metrics listener.
const METRICS_MAX: u64 = 64;

/// How many connections each listener may have. The public listener gets half of the descriptors,
/// the others a sixteenth each; the rest is for recordings, the database, the vault and the media
/// plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// For the public listener.
    pub public: usize,
    /// For the internal listener.
    pub internal: usize,
    /// For the metrics listener.
    pub metrics: usize,
}

impl Shares {
    fn of(descriptors: u64) -> Self {
        let share = |part: u64, max: u64| {
            usize::try_from((descriptors / part).clamp(1, max)).unwrap_or(usize::MAX)
        };
        Self {
            public: share(2, PUBLIC_MAX),
            internal: share(16, INTERNAL_MAX),
            metrics: share(16, METRICS_MAX),
        }
    }
}

/// Raises the soft limit of this process to the hard limit, and divides it.
#[must_use]
pub fn raise_limit() -> Shares {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    let descriptors = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of file descriptors can't be raised");
            current
        }
    };
    let descriptors = descriptors.unwrap_or(UNLIMITED);
    let shares = Shares::of(descriptors);
    if descriptors < ADVISED {
        tracing::warn!(
            descriptors,
            advised = ADVISED,
            public_connections = shares.public,
            "the limit of file descriptors is low: raise the hard limit (ulimit -Hn, LimitNOFILE=)"
        );
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_leave_descriptors_to_the_meeting() {
        for descriptors in [64, 256, 1_024, 65_536, UNLIMITED] {
            let Shares { public, internal, metrics } = Shares::of(descriptors);
            let taken = u64::try_from(public + internal + metrics).expect("small");
            assert!(taken <= descriptors * 5 / 8, "{taken} of {descriptors}");
        }
        let few = Shares { public: 512, internal: 64, metrics: 64 };
        assert_eq!(Shares::of(1_024), few);
        let many = Shares { public: 20_000, internal: 1_000, metrics: 64 };
        assert_eq!(Shares::of(UNLIMITED), many);
    }
}
