//! File descriptors: how many this process may have, and how they are shared
//! out, so that connections of strangers take none that a running meeting needs.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Fewer descriptors than this are reported at start: enough for 2,000 people at
/// once, with recordings.
const ADVISED: u64 = 8_192;
/// Taken when the system names no limit.
const UNLIMITED: u64 = 1_048_576;

/// Most connections of the public listener, however many descriptors there are.
const PUBLIC_MAX: u64 = 20_000;
/// Most connections of the listener for services.
const INTERNAL_MAX: u64 = 1_000;
/// Most connections of the listener for metrics.
const METRICS_MAX: u64 = 64;

/// How many connections each listener may hold. The public listener gets half
/// of the descriptors, the others a sixteenth each; the rest is left to
/// recordings, the database, the vault and the media plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shares {
    /// Of the public listener.
    pub public: usize,
    /// Of the listener for services.
    pub internal: usize,
    /// Of the listener for metrics.
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

/// Raises the soft limit of this process to the hard one, and shares it out.
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
            "few file descriptors: raise the hard limit (ulimit -Hn, LimitNOFILE=)"
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
