//! Claims on the background work for a session.

use std::fmt;

use super::id::SessionId;

/// A kind of background work. At most one instance does each kind for a session at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Work {
    /// Having its room open, with the people in it.
    Room,
    /// Recording its tracks and closing its log.
    Recording,
    /// Making playable files.
    Playables,
    /// Erasing its recording, or rewrapping its keys.
    Custody,
    /// Telling governance of it, and asking what governance holds.
    Governance,
    /// Making and closing its meeting at another provider. The claim is taken before the
    /// session is stored.
    Meeting,
    /// Recording a camera outside sessions. It is of no session: the id that stands for
    /// one is made of the camera's name.
    CameraRecording,
    /// Handing events on to one place outside. It is of no session: the id that
    /// stands for one is made of the reader's name.
    Delivery,
}

impl Work {
    /// The stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Room => "room",
            Self::Recording => "recording",
            Self::Playables => "playables",
            Self::Custody => "custody",
            Self::Governance => "governance",
            Self::Meeting => "meeting",
            Self::CameraRecording => "camera_recording",
            Self::Delivery => "delivery",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [
            Self::Room,
            Self::Recording,
            Self::Playables,
            Self::Custody,
            Self::Governance,
            Self::Meeting,
            Self::CameraRecording,
            Self::Delivery,
        ]
        .into_iter()
        .find(|work| work.as_str() == name)
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Identifies the claim under which a write is made, by the epoch with which its writer was given
/// the work. The database hands out a larger epoch with every change of owner and refuses writes
/// that name an older one, so that an owner that was replaced without noticing can't change
/// anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fence {
    /// The session.
    pub session: SessionId,
    /// The kind of work.
    pub work: Work,
    /// The epoch, from 1.
    pub epoch: u64,
}
