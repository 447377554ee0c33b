//! The newest whole picture of a camera, as a film of one picture: browsers decode it, so that
//! this server need not.

use crate::cameras::engine::pictures::Picture;
use crate::formats::mp4::{Carries, Reference, Run, RunSample, fragment, header};

/// Largest picture of which a preview is made, in bytes. Raising it makes lists of cameras load
/// more slowly.
pub(in crate::cameras) const PICTURE_BYTES_MAX: usize = 1 << 20;
/// For how long the picture is shown, in ticks and in microseconds.
const TICKS: u32 = 90_000;
const DURATION_US: u64 = 1_000_000;

/// A file with this key picture; nothing when it is none, or too large.
#[must_use]
pub fn preview(picture: &Picture) -> Option<Vec<u8>> {
    let setup = picture.setup.clone().filter(|_| picture.data.len() <= PICTURE_BYTES_MAX)?;
    let carries = if setup.vps.is_empty() {
        Carries::Avc { setup, in_band: false }
    } else {
        Carries::Hevc(setup)
    };
    let sample = RunSample { ticks: TICKS, offset: 0, key: true, data: picture.data.clone() };
    let mut film = Vec::new();
    fragment(1, &[Run { track: 1, at: 0, samples: vec![sample] }], &mut film).ok()?;
    let whole = Reference { bytes: film.len() as u64, ticks: TICKS.into() };
    let mut file = header(&[carries], DURATION_US, &[whole]).ok()?;
    file.extend(film);
    Some(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cameras::engine::timeline::Moment;

    #[test]
    fn of_what_is_no_key_picture_or_too_large_there_is_no_preview() {
        let moment = Moment { decode: 0, show: 0 };
        let of =
            |setup, bytes| preview(&Picture { moment, key: true, data: vec![0; bytes], setup });
        assert_eq!(of(None, 9), None);
        let setup = crate::formats::codec::Setup {
            sps: vec![vec![0x67, 66, 0, 31]],
            pps: vec![vec![0x68]],
            size: (320, 180),
            ..crate::formats::codec::Setup::default()
        };
        assert_eq!(of(Some(setup.clone()), PICTURE_BYTES_MAX + 1), None);
        let film = of(Some(setup), 9).expect("a film");
        assert!(film.windows(4).any(|it| it == b"moof") && film.ends_with(&[0; 9]));
    }
}
