//! The policy of stream sessions: which state leads to which, how many may be
//! active, and when one has run out. The stores carry out what is decided here.

use std::time::Duration;

use crate::domain::camera::StreamSessionStatus as Status;
use crate::domain::time::Timestamp;

/// What is done to a stream session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Hand out its token.
    Issue,
    /// Begin watching.
    Activate,
    /// End it.
    End,
    /// End it because its time is over.
    Expire,
}

impl Step {
    /// Every step.
    pub const ALL: [Self; 4] = [Self::Issue, Self::Activate, Self::End, Self::Expire];

    /// The state that it leads to.
    #[must_use]
    pub const fn target(self) -> Status {
        match self {
            Self::Issue => Status::Issued,
            Self::Activate => Status::Active,
            Self::End => Status::Ended,
            Self::Expire => Status::Expired,
        }
    }

    /// The states that it leads on from.
    #[must_use]
    pub const fn sources(self) -> &'static [Status] {
        match self {
            Self::Issue => &[Status::Requested],
            Self::Activate => &[Status::Issued],
            Self::End | Self::Expire => &[Status::Requested, Status::Issued, Status::Active],
        }
    }
}

/// What comes of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The session goes on to the step's target.
    Go,
    /// It is there already: nothing is done, and nothing is wrong.
    Already,
    /// The step does not lead on from here.
    Refuse,
}

/// Whether `step` leads on from `status`.
#[must_use]
pub fn decide(status: Status, step: Step) -> Decision {
    if status == step.target() {
        Decision::Already
    } else if step.sources().contains(&status) {
        Decision::Go
    } else {
        Decision::Refuse
    }
}

/// Why a tenant may have no further active stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// It may have none at all.
    NotEntitled,
    /// It has as many as it may.
    LimitReached,
}

/// Whether a tenant that has `active` streams may have one more of `max`.
pub const fn admit(active: u64, max: u32) -> Result<(), Denied> {
    if max == 0 {
        Err(Denied::NotEntitled)
    } else if active >= max as u64 {
        Err(Denied::LimitReached)
    } else {
        Ok(())
    }
}

/// How long stream sessions live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// How long a token may be exchanged after it was handed out.
    pub token: Duration,
    /// How long an active session lives without a request.
    pub idle: Duration,
    /// How long it lives at most.
    pub absolute: Duration,
}

impl Lifetimes {
    /// When a session whose token was handed out at `at` runs out.
    #[must_use]
    pub fn issued_until(&self, at: Timestamp) -> Timestamp {
        at.after(self.token)
    }

    /// How long a session lives at most of which nothing is heard.
    #[must_use]
    pub fn unused_max(&self) -> Duration {
        self.token.max(self.idle)
    }

    /// When a session that became active at `activated` and was last used at
    /// `seen` runs out.
    #[must_use]
    pub fn active_until(&self, activated: Timestamp, seen: Timestamp) -> Timestamp {
        seen.after(self.idle).min(activated.after(self.absolute))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table as people read it: a row a state, a column a step.
    const TABLE: &[(Status, &str)] = &[
        //                    issue activate end expire
        (Status::Requested, "go refuse go go"),
        (Status::Issued, "already go go go"),
        (Status::Active, "refuse already go go"),
        (Status::Ended, "refuse refuse already refuse"),
        (Status::Expired, "refuse refuse refuse already"),
    ];

    #[test]
    fn every_cell_of_the_stream_table_holds() {
        assert_eq!(TABLE.len(), Status::ALL.len(), "a state is missing from the table");
        for (status, row) in TABLE {
            for (step, cell) in Step::ALL.into_iter().zip(row.split(' ')) {
                let wanted = match cell {
                    "go" => Decision::Go,
                    "already" => Decision::Already,
                    _ => Decision::Refuse,
                };
                assert_eq!(decide(*status, step), wanted, "{status} and {step:?}");
            }
            assert_eq!(status.is_over(), !row.contains("go"), "{status}");
        }
    }

    #[test]
    fn a_tenant_has_as_many_streams_as_it_may() {
        for (active, max, wanted) in [
            (0, 0, Err(Denied::NotEntitled)),
            (7, 0, Err(Denied::NotEntitled)),
            (0, 1, Ok(())),
            (1, 1, Err(Denied::LimitReached)),
            (2, 1, Err(Denied::LimitReached)),
            (1, 2, Ok(())),
        ] {
            assert_eq!(admit(active, max), wanted, "{active} of {max}");
        }
    }

    #[test]
    fn a_session_ends_idle_or_at_its_absolute_end() {
        let times = Lifetimes {
            token: Duration::from_secs(5),
            idle: Duration::from_secs(10),
            absolute: Duration::from_secs(100),
        };
        let at = |s: i64| Timestamp::from_unix_us(s * 1_000_000);
        assert_eq!(times.issued_until(at(1)), at(6));
        assert_eq!(times.active_until(at(0), at(3)), at(13));
        assert_eq!(times.active_until(at(0), at(95)), at(100));
    }
}
