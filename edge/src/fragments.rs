//! Reads what ffmpeg writes: fragmented MP4 with a track of H.264 and perhaps one of Opus.

use bytes::{Buf as _, Bytes, BytesMut};
use mp4_atom::{Codec, Decode as _, Moof, Moov, Traf};

/// Bytes of an atom. A larger one is no picture of a camera. Raising it lets ffmpeg use more memory.
const ATOM_BYTES_MAX: usize = 8 << 20;
/// The flag of a sample that is no key picture (ISO/IEC 14496-12 §8.8.3.1).
const NOT_SYNC: u32 = 0x0001_0000;

/// What is wrong with what ffmpeg wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what ffmpeg writes is not as expected: {0}")]
pub(crate) struct Strange(&'static str);

/// A sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sample {
    /// A picture.
    Picture {
        /// When it is shown, in microseconds after ffmpeg began.
        at_us: i64,
        /// Whether it can be decoded without others.
        key: bool,
        /// Its NAL units, with the parameter sets before a key picture.
        units: Vec<Bytes>,
    },
    /// A packet of Opus.
    Sound {
        /// When, likewise.
        at_us: i64,
        /// The packet.
        data: Bytes,
    },
}

#[derive(Debug, Clone)]
struct Track {
    id: u32,
    hz: i64,
    /// Parameter sets and the bytes of a length, of pictures.
    video: Option<(Vec<Bytes>, usize)>,
    default_duration: u32,
    default_size: u32,
    default_flags: u32,
}

/// Where a sample of a fragment is.
#[derive(Debug, Clone, Copy)]
struct Place {
    track: usize,
    time: i64,
    start: usize,
    size: usize,
    flags: u32,
}

/// Reads fragments as they come.
#[derive(Debug, Default)]
pub(crate) struct Fragments {
    buffer: BytesMut,
    tracks: Vec<Track>,
    /// The samples of the fragment whose data comes next, with the length of its `moof`.
    awaited: Vec<Place>,
}

impl Fragments {
    /// What ffmpeg wrote next.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The samples that are whole.
    ///
    /// # Errors
    /// What is wrong; nothing can be read any more then.
    pub(crate) fn poll(&mut self) -> Result<Vec<Sample>, Strange> {
        let mut samples = Vec::new();
        while let Some((kind, atom)) = self.atom()? {
            match &kind {
                b"moov" => self.tracks = tracks(&atom)?,
                b"moof" => self.awaited = self.places(&atom)?,
                b"mdat" => {
                    let data = atom.slice(8..);
                    for place in std::mem::take(&mut self.awaited) {
                        samples.extend(self.sample(place, &data)?);
                    }
                }
                _ => {}
            }
        }
        Ok(samples)
    }

    /// The next atom that is whole.
    fn atom(&mut self) -> Result<Option<([u8; 4], Bytes)>, Strange> {
        let Some((head, _)) = self.buffer.split_first_chunk::<8>() else { return Ok(None) };
        let [s0, s1, s2, s3, k0, k1, k2, k3] = *head;
        let size = usize::try_from(u32::from_be_bytes([s0, s1, s2, s3])).unwrap_or(usize::MAX);
        if !(8..=ATOM_BYTES_MAX).contains(&size) {
            return Err(Strange("an atom of an impossible size"));
        }
        if self.buffer.len() < size {
            return Ok(None);
        }
        Ok(Some(([k0, k1, k2, k3], self.buffer.split_to(size).freeze())))
    }

    fn places(&self, atom: &Bytes) -> Result<Vec<Place>, Strange> {
        let moof = Moof::decode(&mut atom.as_ref()).map_err(|_| Strange("a moof"))?;
        let mut places = Vec::new();
        for traf in &moof.traf {
            let found = self.tracks.iter().position(|it| it.id == traf.tfhd.track_id);
            let Some(track) = found else { return Err(Strange("an unknown track")) };
            // Data begins behind the head of the `mdat`, which follows the `moof`.
            self.places_of(track, traf, atom.len() + 8, &mut places)?;
        }
        Ok(places)
    }

    fn places_of(
        &self,
        number: usize,
        traf: &Traf,
        begins: usize,
        into: &mut Vec<Place>,
    ) -> Result<(), Strange> {
        let track = self.tracks.get(number).ok_or(Strange("an unknown track"))?;
        let decode = traf.tfdt.as_ref().map(|it| it.base_media_decode_time);
        let mut decode = decode.and_then(|it| i64::try_from(it).ok()).ok_or(Strange("no tfdt"))?;
        for run in &traf.trun {
            let offset = run.data_offset.and_then(|it| usize::try_from(it).ok());
            let start = offset.and_then(|it| it.checked_sub(begins));
            let mut start = start.ok_or(Strange("a run without a place"))?;
            for sample in &run.samples {
                let or = |own: Option<u32>, of_run: Option<u32>, default| {
                    own.or(of_run).unwrap_or(default)
                };
                let tfhd = &traf.tfhd;
                let size = or(sample.size, tfhd.default_sample_size, track.default_size);
                let flags = or(sample.flags, tfhd.default_sample_flags, track.default_flags);
                let duration =
                    or(sample.duration, tfhd.default_sample_duration, track.default_duration);
                let size = usize::try_from(size).unwrap_or(usize::MAX);
                let time = decode.saturating_add(sample.cts.unwrap_or(0));
                into.push(Place { track: number, time, start, size, flags });
                start = start.checked_add(size).ok_or(Strange("a run that is too long"))?;
                decode = decode.saturating_add(i64::from(duration));
            }
        }
        Ok(())
    }

    fn sample(&self, place: Place, data: &Bytes) -> Result<Option<Sample>, Strange> {
        let track = self.tracks.get(place.track).ok_or(Strange("an unknown track"))?;
        let end = place.start.checked_add(place.size).filter(|end| *end <= data.len());
        let end = end.ok_or(Strange("a sample beyond its data"))?;
        let data = data.slice(place.start..end);
        let us = i128::from(place.time) * 1_000_000 / i128::from(track.hz);
        let at_us = i64::try_from(us).unwrap_or(i64::MAX);
        let Some((sets, length_bytes)) = &track.video else {
            return Ok((!data.is_empty()).then_some(Sample::Sound { at_us, data }));
        };
        let key = place.flags & NOT_SYNC == 0;
        let mut units = if key { sets.clone() } else { Vec::new() };
        units.extend(units_of(data, *length_bytes)?);
        Ok(Some(Sample::Picture { at_us, key, units }))
    }
}

fn tracks(atom: &Bytes) -> Result<Vec<Track>, Strange> {
    let moov = Moov::decode(&mut atom.as_ref()).map_err(|_| Strange("a moov"))?;
    let mut tracks = Vec::new();
    for trak in &moov.trak {
        let id = trak.tkhd.track_id;
        let hz = i64::from(trak.mdia.mdhd.timescale);
        let video = match trak.mdia.minf.stbl.stsd.codecs.first() {
            Some(Codec::Avc1(avc)) => {
                let sets = [&avc.avcc.sequence_parameter_sets, &avc.avcc.picture_parameter_sets];
                let sets = sets.into_iter().flatten().map(|set| Bytes::from(set.clone()));
                Some((sets.collect(), usize::from(avc.avcc.length_size)))
            }
            Some(Codec::Opus(_)) => None,
            _ => return Err(Strange("a track in another codec")),
        };
        if hz <= 0 {
            return Err(Strange("a track without a clock"));
        }
        let trex = moov.mvex.iter().flat_map(|it| &it.trex).find(|it| it.track_id == id);
        tracks.push(Track {
            id,
            hz,
            video,
            default_duration: trex.map_or(0, |it| it.default_sample_duration),
            default_size: trex.map_or(0, |it| it.default_sample_size),
            default_flags: trex.map_or(0, |it| it.default_sample_flags),
        });
    }
    Ok(tracks)
}

/// The NAL units of a picture, each of which follows its length.
fn units_of(mut data: Bytes, length_bytes: usize) -> Result<Vec<Bytes>, Strange> {
    let mut units = Vec::new();
    while !data.is_empty() {
        let head = data.get(..length_bytes).ok_or(Strange("a picture that is cut off"))?;
        let length = head.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
        data.advance(length_bytes);
        if length > data.len() {
            return Err(Strange("a picture that is cut off"));
        }
        let unit = data.split_to(length);
        if !unit.is_empty() {
            units.push(unit);
        }
    }
    Ok(units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_that_lie_about_their_length_are_refused() {
        let good = Bytes::from_static(&[0, 0, 0, 2, 0x65, 1, 0, 0, 0, 1, 0x61]);
        let units = units_of(good.clone(), 4).expect("well formed");
        assert_eq!(units, [Bytes::from_static(&[0x65, 1]), Bytes::from_static(&[0x61])]);
        for end in [1, 3, 5, 7, 10] {
            assert!(units_of(good.slice(..end), 4).is_err(), "{end}");
        }
    }

    #[test]
    fn what_is_no_film_is_refused_and_what_is_cut_off_is_awaited() {
        let mut fragments = Fragments::default();
        fragments.push(&[0, 0, 0, 16, b'f', b't', b'y', b'p', 0, 0]);
        assert_eq!(fragments.poll(), Ok(Vec::new()));
        fragments.push(&[0, 0, 0, 0, 0, 0]);
        assert_eq!(fragments.poll(), Ok(Vec::new()));
        for nonsense in [
            b"\0\0\0\x01moof".as_slice(),
            b"\xFF\xFF\xFF\xFFmdat",
            b"\0\0\0\x0cmoof\0\0\0\0",
            b"HTTP/1.1 200 OK\r\n",
        ] {
            let mut fragments = Fragments::default();
            fragments.push(nonsense);
            assert!(fragments.poll().is_err(), "{nonsense:?}");
        }
    }
}
