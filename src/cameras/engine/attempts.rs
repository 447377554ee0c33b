//! When a camera is called, how long it is waited for, and when it is called
//! again.

use std::time::{Duration, Instant};

use crate::domain::backoff::Backoff;
use crate::domain::camera::{StreamFault, StreamStatus};

/// How long a camera may take from the connection to its first packet. Raising it
/// lets one that never answers look as if it were starting for longer.
pub const START_TIME_MAX: Duration = Duration::from_secs(10);
/// How long a camera may be silent. Raising it notices a dead one later.
pub const SILENCE_MAX: Duration = Duration::from_secs(8);
/// How long packets must come before a later fault counts as the first one again.
const STABLE_AFTER: Duration = Duration::from_secs(20);
/// Wait after the first fault, and the longest one.
const WAIT_FIRST: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_mins(1);
/// Least wait after a fault that only somebody's help ends. Cameras lock out who
/// comes with a wrong password again and again.
const WAIT_HELPLESS: Duration = Duration::from_secs(30);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Stopped,
    Calling { since: Instant },
    Playing { since: Instant, packet_at: Instant },
    Waiting { until: Instant },
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// The camera is to be called.
    Call,
    /// The call is to be given up; then [`Attempts::handle_fault`].
    GiveUp(StreamFault),
}

/// The calls of one camera.
#[derive(Debug)]
pub struct Attempts {
    state: State,
    backoff: Backoff,
    fault: Option<StreamFault>,
}

impl Default for Attempts {
    fn default() -> Self {
        let backoff = Backoff::new(WAIT_FIRST, WAIT_MAX);
        Self { state: State::Stopped, backoff, fault: None }
    }
}

impl Attempts {
    /// The camera is called now.
    pub const fn handle_call(&mut self, now: Instant) {
        self.state = State::Calling { since: now };
    }

    /// A packet of it came.
    pub fn handle_packet(&mut self, now: Instant) {
        match &mut self.state {
            State::Calling { .. } => self.state = State::Playing { since: now, packet_at: now },
            State::Playing { since, packet_at } => {
                *packet_at = now;
                if self.backoff.failures() > 0 && now.duration_since(*since) >= STABLE_AFTER {
                    self.backoff.reset();
                }
            }
            State::Stopped | State::Waiting { .. } => {}
        }
    }

    /// The call ended, or did not succeed. `drawn` is a uniform random byte.
    pub fn handle_fault(&mut self, fault: StreamFault, now: Instant, drawn: u8) {
        if self.state == State::Stopped {
            return;
        }
        let wait = self.backoff.next(drawn);
        let wait = if needs_help(fault) { wait.max(WAIT_HELPLESS) } else { wait };
        self.fault = Some(fault);
        self.state = State::Waiting { until: now + wait };
    }

    /// Nobody wants it any more.
    pub const fn handle_stop(&mut self) {
        self.state = State::Stopped;
        self.fault = None;
        self.backoff.reset();
    }

    /// What is due at `now`.
    #[must_use]
    pub fn handle_timeout(&self, now: Instant) -> Option<Due> {
        let due = self.poll_timeout().is_some_and(|at| at <= now);
        match self.state {
            _ if !due => None,
            State::Stopped => None,
            State::Calling { .. } => Some(Due::GiveUp(StreamFault::AnswerTimedOut)),
            State::Playing { .. } => Some(Due::GiveUp(StreamFault::PacketsStopped)),
            State::Waiting { .. } => Some(Due::Call),
        }
    }

    /// When something is due next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Stopped => None,
            State::Calling { since } => Some(since + START_TIME_MAX),
            State::Playing { packet_at, .. } => Some(packet_at + SILENCE_MAX),
            State::Waiting { until } => Some(until),
        }
    }

    /// Where the stream stands. A camera that failed is in error until its packets
    /// come again.
    #[must_use]
    pub const fn status(&self) -> StreamStatus {
        match self.state {
            State::Stopped => StreamStatus::Stopped,
            State::Playing { .. } => StreamStatus::Running,
            State::Calling { .. } if self.fault.is_none() => StreamStatus::Starting,
            State::Calling { .. } | State::Waiting { .. } => StreamStatus::Error,
        }
    }

    /// Whether the last call did not succeed, and the next one has not begun.
    #[must_use]
    pub const fn has_failed(&self) -> bool {
        matches!(self.state, State::Waiting { .. })
    }

    /// Why the last call ended; nothing while packets come.
    #[must_use]
    pub const fn fault(&self) -> Option<StreamFault> {
        match self.state {
            State::Playing { .. } => None,
            State::Stopped | State::Calling { .. } | State::Waiting { .. } => self.fault,
        }
    }
}

const fn needs_help(fault: StreamFault) -> bool {
    matches!(
        fault,
        StreamFault::CredentialsRefused
            | StreamFault::SourceRefused
            | StreamFault::SecretLost
            | StreamFault::CodecUnsupported
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cameras::engine::testing::clock;

    #[test]
    fn a_camera_is_called_again_ever_later_until_it_was_there_for_a_while() {
        let at = clock();
        let mut attempts = Attempts::default();
        assert_eq!((attempts.status(), attempts.poll_timeout()), (StreamStatus::Stopped, None));
        let (mut now, mut waits) = (0, Vec::new());
        for _ in 0..10 {
            attempts.handle_call(at(now));
            attempts.handle_fault(StreamFault::Unreachable, at(now), 0);
            assert_eq!(attempts.status(), StreamStatus::Error);
            let due = attempts.poll_timeout().expect("it is called again");
            waits.push(due.duration_since(at(now)).as_millis());
            assert_eq!(attempts.handle_timeout(at(now)), None);
            assert_eq!(attempts.handle_timeout(due), Some(Due::Call));
            now += u64::try_from(due.duration_since(at(now)).as_millis()).expect("short");
        }
        assert_eq!(waits[..4], [500, 1_000, 2_000, 4_000]);
        assert_eq!(waits[8..], [60_000, 60_000]);
        // A packet alone is no success: a camera may die again and again right after its first.
        attempts.handle_call(at(now));
        attempts.handle_packet(at(now));
        assert_eq!((attempts.status(), attempts.fault()), (StreamStatus::Running, None));
        attempts.handle_fault(StreamFault::ConnectionClosed, at(now), 0);
        assert_eq!(attempts.poll_timeout(), Some(at(now + 60_000)));
        attempts.handle_call(at(now));
        attempts.handle_packet(at(now));
        attempts.handle_packet(at(now + 20_000));
        attempts.handle_fault(StreamFault::ConnectionClosed, at(now + 20_000), 0);
        assert_eq!(attempts.poll_timeout(), Some(at(now + 20_500)));
    }

    #[test]
    fn a_camera_that_never_answers_or_falls_silent_is_given_up() {
        let at = clock();
        let mut attempts = Attempts::default();
        attempts.handle_call(at(0));
        assert_eq!(attempts.status(), StreamStatus::Starting);
        assert_eq!(attempts.handle_timeout(at(9_999)), None);
        let late = Some(Due::GiveUp(StreamFault::AnswerTimedOut));
        assert_eq!(attempts.handle_timeout(at(10_000)), late);
        attempts.handle_packet(at(10_000));
        attempts.handle_packet(at(15_000));
        assert_eq!(
            attempts.handle_timeout(at(22_999)),
            None,
            "silence counts from the last packet"
        );
        let silent = Some(Due::GiveUp(StreamFault::PacketsStopped));
        assert_eq!(attempts.handle_timeout(at(23_000)), silent);
        attempts.handle_fault(StreamFault::PacketsStopped, at(23_000), 0);
        assert_eq!(attempts.fault(), Some(StreamFault::PacketsStopped));
        attempts.handle_call(at(23_500));
        assert_eq!(attempts.status(), StreamStatus::Error, "it is not there yet");
    }

    #[test]
    fn a_stop_ends_everything_and_what_comes_late_is_ignored() {
        let at = clock();
        let mut attempts = Attempts::default();
        attempts.handle_call(at(0));
        attempts.handle_stop();
        attempts.handle_packet(at(1));
        attempts.handle_fault(StreamFault::ConnectionClosed, at(2), 0);
        assert_eq!((attempts.status(), attempts.fault()), (StreamStatus::Stopped, None));
        assert_eq!((attempts.poll_timeout(), attempts.handle_timeout(at(99_999))), (None, None));
    }

    #[test]
    fn who_is_refused_does_not_knock_every_second() {
        let at = clock();
        let mut attempts = Attempts::default();
        attempts.handle_call(at(0));
        attempts.handle_fault(StreamFault::CredentialsRefused, at(0), u8::MAX);
        assert_eq!(attempts.poll_timeout(), Some(at(30_000)));
    }
}
