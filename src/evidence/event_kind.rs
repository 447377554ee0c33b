//! Kinds of events in a log.

use std::fmt;

/// The first number of kinds that a closed log still accepts.
const AFTER_CLOSE_MIN: u32 = 64;

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $number:literal),+ $(,)?) => {
        /// The kind of an event entry, called `etype` in `docs/EVIDENCE.md` §Entries, which lists
        /// the numbers. A number is never reused for another kind.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum EventKind { $($(#[$doc])* $kind),+ }

        impl EventKind {
            /// Every kind, by number.
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// Its number in entries.
            #[must_use]
            pub const fn number(self) -> u32 {
                match self { $(Self::$kind => $number),+ }
            }

            /// The kind with this number; `None` when the number is unknown.
            #[must_use]
            pub const fn from_number(number: u32) -> Option<Self> {
                match number { $($number => Some(Self::$kind),)+ _ => None }
            }
        }
    };
}

kinds!(
    /// The session's policy, entry 1 of every log.
    Policy = 1,
    /// A session was started, changed, ended or cancelled.
    SessionState = 2,
    /// An event of the room, with the text that its members received.
    RoomEvent = 3,
    /// Somebody was refused entry to the room.
    JoinRefused = 4,
    /// A transport or connection of a participant was lost.
    ConnectionLost = 5,
    /// The recorder, the vault or a disk failed.
    Failure = 6,
    /// Somebody proved that they are present, or left.
    Attendance = 7,
    /// A piece of the transcript.
    Transcript = 8,
    /// A vote was announced.
    Vote = 9,
    /// The connection of a participant was not good for a while.
    ConnectionBad = 10,
    /// Somebody got the address of a recording or opened it.
    RecordingAccess = 64,
    /// Something was exported or disclosed.
    Disclosure = 65,
    /// Wrapped keys were wrapped again by a newer tenant key.
    KeysRewrapped = 66,
    /// What the governance service held about the assembly.
    GovernanceData = 67,
    /// A moderator confirmed a version of the minutes.
    Minutes = 68,
    /// A moderator corrected a text of the transcript after the session.
    Correction = 69,
);

impl EventKind {
    /// Whether a closed log still accepts events of this kind.
    #[must_use]
    pub const fn may_follow_close(self) -> bool {
        self.number() >= AFTER_CLOSE_MIN
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.number(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_number_of_its_own() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_number(kind.number()), Some(*kind));
        }
        assert!([0, 11, 63, 70].into_iter().all(|number| EventKind::from_number(number).is_none()));
    }

    #[test]
    fn the_document_lists_every_kind_and_no_other() {
        let document = include_str!("../../docs/EVIDENCE.md");
        let table = document.split("| etype | event |\n|---|---|\n").nth(1).expect("the table");
        let rows = table.lines().take_while(|line| line.starts_with("| "));
        let numbers: Vec<u32> = rows
            .map(|row| row.split('|').nth(1).expect("a cell").trim().parse().expect("a number"))
            .collect();
        assert_eq!(numbers, EventKind::ALL.iter().map(|it| it.number()).collect::<Vec<_>>());
    }
}
