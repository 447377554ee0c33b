//! What viewers with a token watch.

use std::fmt;
use std::str::FromStr;

use crate::domain::id::{CameraId, InvalidId, SessionId};

/// What a viewer watches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Watched {
    /// A camera.
    Camera(CameraId),
    /// The picture and the sound of a session.
    Session(SessionId),
}

impl Watched {
    /// What stands before the id of a session. Whatever else can't be read is no camera's id either.
    const SESSION_PREFIX: &str = "session:";

    /// The camera, if it is one.
    #[must_use]
    pub const fn camera(&self) -> Option<&CameraId> {
        match self {
            Self::Camera(camera) => Some(camera),
            Self::Session(_) => None,
        }
    }

    /// The session, if it is one.
    #[must_use]
    pub const fn session(&self) -> Option<SessionId> {
        match self {
            Self::Camera(_) => None,
            Self::Session(session) => Some(*session),
        }
    }
}

impl From<CameraId> for Watched {
    fn from(camera: CameraId) -> Self {
        Self::Camera(camera)
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Camera(camera) => camera.fmt(f),
            Self::Session(session) => write!(f, "{}{session}", Self::SESSION_PREFIX),
        }
    }
}

impl FromStr for Watched {
    type Err = InvalidId;

    /// The id of a camera, or `session:` and that of a session. A camera that has the name of a
    /// session is none.
    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let session = text.strip_prefix(Self::SESSION_PREFIX).and_then(|id| id.parse().ok());
        session.map_or_else(|| text.parse().map(Self::Camera), |id| Ok(Self::Session(id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_watched_reads_back_as_it_is_written() {
        let session = Watched::Session(SessionId::generate());
        let text = session.to_string();
        assert_eq!(text.parse(), Ok(session.clone()));
        assert!(session.camera().is_none() && session.session().is_some());
        // Older versions read it as the id of a camera that they don't know.
        assert!(text.parse::<CameraId>().is_ok());
        for name in ["hall-1", "session:1", "session:"] {
            let camera: Watched = name.parse().expect("the id of a camera");
            assert_eq!(camera.camera().map(CameraId::as_str), Some(name));
            assert_eq!((camera.session(), camera.to_string()), (None, name.to_owned()));
        }
        assert!("a/b".parse::<Watched>().is_err());
    }
}
