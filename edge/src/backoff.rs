//! Waits between two tries, which become longer and are never the same for two boxes.

use std::time::Duration;

use rand::Rng as _;

/// Waits from a shortest to a longest one.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    shortest: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    /// From `shortest` to `longest`.
    #[must_use]
    pub(crate) const fn new(shortest: Duration, longest: Duration) -> Self {
        Self { shortest, longest, next: shortest }
    }

    /// It went well: the next wait is short again.
    pub(crate) const fn reset(&mut self) {
        self.next = self.shortest;
    }

    /// The next wait: from half of it to the whole.
    pub(crate) fn next(&mut self) -> Duration {
        let wait = self.next;
        self.next = (wait * 2).min(self.longest);
        wait.mul_f64(rand::rng().random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_become_longer_up_to_the_longest() {
        let (shortest, longest) = (Duration::from_secs(1), Duration::from_secs(30));
        let mut backoff = Backoff::new(shortest, longest);
        for most in [1, 2, 4, 8, 16, 30, 30] {
            let wait = backoff.next();
            let most = Duration::from_secs(most);
            assert!(wait >= most / 2 && wait <= most, "{wait:?} of {most:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= shortest);
    }
}
