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
/// How long packets may come of which no picture can be made. Raising it says later what is wrong; lowering
/// it finds fault with a camera that begins with a picture that can't be decoded.
const PICTURELESS_MAX: Duration = Duration::from_secs(8);
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
    Playing { since: Instant, packet_at: Instant, picture_at: Option<Instant> },
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
    /// What was wrong when the camera was left before these calls, until it sends a picture.
    before: Option<StreamFault>,
}

impl Default for Attempts {
    fn default() -> Self {
        let backoff = Backoff::new(WAIT_FIRST, WAIT_MAX);
        Self { state: State::Stopped, backoff, fault: None, before: None }
    }
}

impl Attempts {
    /// The calls of a camera of which that was wrong when it was left.
    #[must_use]
    pub fn after(before: Option<StreamFault>) -> Self {
        Self { before, ..Self::default() }
    }

    /// The camera is called now.
    pub const fn handle_call(&mut self, now: Instant) {
        self.state = State::Calling { since: now };
    }

    /// A packet of it came.
    pub fn handle_packet(&mut self, now: Instant) {
        match &mut self.state {
            State::Calling { .. } => {
                self.state = State::Playing { since: now, packet_at: now, picture_at: None };
            }
            State::Playing { since, packet_at, .. } => {
                *packet_at = now;
                if self.backoff.failures() > 0 && now.duration_since(*since) >= STABLE_AFTER {
                    self.backoff.reset();
                }
            }
            State::Stopped | State::Waiting { .. } => {}
        }
    }

    /// A picture was made of its packets.
    pub const fn handle_picture(&mut self, now: Instant) {
        if let State::Playing { picture_at, .. } = &mut self.state {
            *picture_at = Some(now);
            self.before = None;
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
        self.before = None;
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

    /// Why the last call ended, or what was wrong before the first one; while packets come, whether
    /// pictures can be made of them.
    #[must_use]
    pub fn fault(&self, now: Instant) -> Option<StreamFault> {
        match self.state {
            State::Playing { since, picture_at, .. } => {
                let silent = now.saturating_duration_since(picture_at.unwrap_or(since));
                let missing = StreamFault::PicturesMissing;
                (silent >= PICTURELESS_MAX || self.before == Some(missing)).then_some(missing)
            }
            State::Stopped | State::Calling { .. } | State::Waiting { .. } => {
                self.fault.or(self.before)
            }
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
            | StreamFault::PicturesMissing
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
        assert_eq!((attempts.status(), attempts.fault(at(now))), (StreamStatus::Running, None));
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
        assert_eq!(attempts.fault(at(23_000)), Some(StreamFault::PacketsStopped));
        attempts.handle_call(at(23_500));
        assert_eq!(attempts.status(), StreamStatus::Error, "it is not there yet");
        assert_eq!(attempts.fault(at(23_500)), Some(StreamFault::PacketsStopped));
    }

    #[test]
    fn a_stop_ends_everything_and_what_comes_late_is_ignored() {
        let at = clock();
        let mut attempts = Attempts::default();
        attempts.handle_call(at(0));
        attempts.handle_stop();
        attempts.handle_packet(at(1));
        attempts.handle_fault(StreamFault::ConnectionClosed, at(2), 0);
        assert_eq!((attempts.status(), attempts.fault(at(2))), (StreamStatus::Stopped, None));
        assert_eq!((attempts.poll_timeout(), attempts.handle_timeout(at(99_999))), (None, None));
    }

    #[test]
    fn what_was_wrong_before_stays_until_the_camera_is_there() {
        let at = clock();
        let mut attempts = Attempts::after(Some(StreamFault::Unreachable));
        attempts.handle_call(at(0));
        let (starting, unreachable) = (StreamStatus::Starting, Some(StreamFault::Unreachable));
        assert_eq!((attempts.status(), attempts.fault(at(0))), (starting, unreachable));
        attempts.handle_fault(StreamFault::HostNotFound, at(1), 0);
        attempts.handle_call(at(1_000));
        assert_eq!(attempts.fault(at(1_000)), Some(StreamFault::HostNotFound), "the newer one");
        attempts.handle_packet(at(1_001));
        assert_eq!(attempts.fault(at(1_001)), None);
    }

    #[test]
    fn a_camera_of_whose_packets_no_picture_is_made_says_so() {
        let at = clock();
        let missing = Some(StreamFault::PicturesMissing);
        let mut attempts = Attempts::default();
        attempts.handle_call(at(0));
        for now in (500..8_500).step_by(100) {
            attempts.handle_packet(at(now));
            assert_eq!(attempts.fault(at(now)), None, "{now}");
        }
        assert_eq!(
            (attempts.status(), attempts.fault(at(8_500))),
            (StreamStatus::Running, missing)
        );
        attempts.handle_picture(at(8_600));
        assert_eq!(attempts.fault(at(16_599)), None);
        assert_eq!(attempts.fault(at(16_600)), missing, "pictures stopped, and packets go on");
        // Whoever looks after it again is told so at once, until there is a picture.
        let mut attempts = Attempts::after(missing);
        attempts.handle_call(at(0));
        assert_eq!(attempts.fault(at(0)), missing);
        attempts.handle_packet(at(100));
        assert_eq!(attempts.fault(at(100)), missing);
        attempts.handle_picture(at(200));
        assert_eq!(attempts.fault(at(200)), None);
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
