//! What is missing of a capture: times in which the camera gave no pictures, as an engine, and what was
//! given up.

use crate::media::Made;

/// Pictures that are further apart have a gap between them. Raising it tells of fewer.
const GAP_US: i64 = 1_000_000;

/// Finds the times without pictures.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    /// When the last picture was made.
    last_us: Option<i64>,
}

impl Gaps {
    /// What the camera made next: how long there was no picture before it, when that is a gap.
    pub(crate) fn handle(&mut self, made: &Made) -> Option<i64> {
        if !matches!(made, Made::Picture { .. }) {
            return None;
        }
        let last_us = self.last_us.replace(made.at_us())?;
        Some(made.at_us() - last_us).filter(|it| *it > GAP_US)
    }

    /// Nothing more is captured: how long there was no picture then, when that is a gap.
    pub(crate) fn handle_end(&self, ended_us: i64) -> Option<i64> {
        self.last_us.map(|last_us| ended_us - last_us).filter(|it| *it > GAP_US)
    }

    /// Whether there was a picture.
    pub(crate) const fn has_begun(&self) -> bool {
        self.last_us.is_some()
    }
}

/// What is missing, in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Missing {
    /// The camera gave no pictures for so long.
    pub(crate) camera_us: i64,
    /// So much did not fit into the buffer, or could not be kept by the server.
    pub(crate) given_up_us: i64,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seconds = |us: i64| format!("{}.{} s", us / 1_000_000, us / 100_000 % 10);
        write!(f, "{} of it are missing", seconds(self.camera_us + self.given_up_us))?;
        if self.camera_us > 0 {
            write!(f, "; the camera gave no pictures for {}", seconds(self.camera_us))?;
        }
        if self.given_up_us > 0 {
            write!(f, "; {} were captured and given up", seconds(self.given_up_us))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::tests::picture;

    #[test]
    fn a_second_without_pictures_is_a_gap_although_there_is_sound() {
        let mut gaps = Gaps::default();
        let mut found = Vec::new();
        for at_us in [5_000_000, 5_040_000, 6_040_000, 8_000_000, 8_040_000] {
            let [picture, sound] = picture(at_us, true);
            found.extend(gaps.handle(&picture));
            for later in 1..4 {
                let Made::Sound { data, .. } = &sound else { panic!("{sound:?}") };
                let sound = Made::Sound { at_us: at_us + later * 300_000, data: data.clone() };
                assert_eq!(gaps.handle(&sound), None);
            }
        }
        assert_eq!(found, [1_960_000], "what is before the first picture is none");
        assert_eq!(gaps.handle_end(9_000_000), None);
        assert_eq!(gaps.handle_end(11_040_000), Some(3_000_000));
    }

    #[test]
    fn what_is_missing_is_said_in_seconds() {
        let text = |camera_us, given_up_us| Missing { camera_us, given_up_us }.to_string();
        assert_eq!(
            text(12_340_000, 2_000_000),
            "14.3 s of it are missing; the camera gave no pictures for 12.3 s; 2.0 s were captured \
             and given up"
        );
        assert_eq!(text(0, 2_000_000), "2.0 s of it are missing; 2.0 s were captured and given up");
    }
}
