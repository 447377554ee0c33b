//! The segment of a camera's stream that grows: pictures that become parts of it.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::cameras::engine::pictures::Picture;
use crate::cameras::engine::sound::SoundTrack;
use crate::cameras::engine::timeline::TICKS_PER_S;
use crate::domain::time::Timestamp;
use crate::formats::mp4::{self, Run, RunSample};

/// How far apart pictures are taken to be of which only one came, in ticks.
const APART_FIRST: i64 = TICKS_PER_S / 25;
/// Least time for which a picture is shown, in ticks.
const PICTURE_TICKS_MIN: i64 = 1;

/// A part of a segment (RFC 8216bis §4.4.4.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// How long it plays, in ticks.
    pub ticks: u64,
    /// Whether there is a key picture in it.
    pub has_key: bool,
    /// Its bytes.
    pub data: Bytes,
}

/// The segment that grows.
#[derive(Debug)]
pub(super) struct Growing {
    /// Fragments that were written before it.
    fragments: u32,
    begin: i64,
    began: Timestamp,
    begins_with_key: bool,
    last: i64,
    pictures: usize,
    bytes: usize,
    /// Pictures of the part that grows.
    part: Vec<Arc<Picture>>,
    parts: Vec<Part>,
}

impl Growing {
    /// A segment without a picture.
    pub(super) const fn new(fragments: u32) -> Self {
        Self {
            fragments,
            begin: 0,
            began: Timestamp::from_unix_us(0),
            begins_with_key: false,
            last: 0,
            pictures: 0,
            bytes: 0,
            part: Vec::new(),
            parts: Vec::new(),
        }
    }

    /// Ends it; the next one grows.
    pub(super) fn take(&mut self) -> Self {
        let next = Self::new(self.fragments);
        std::mem::replace(self, next)
    }

    /// The next picture, which came at `at`.
    pub(super) fn push(&mut self, picture: Arc<Picture>, at: Timestamp) {
        if self.pictures == 0 {
            (self.begin, self.began) = (picture.moment.decode, at);
            self.begins_with_key = picture.key;
        }
        self.last = picture.moment.decode;
        self.pictures += 1;
        self.bytes += picture.data.len();
        self.part.push(picture);
    }

    /// When its first and its last picture are decoded.
    pub(super) const fn ends(&self) -> Option<(i64, i64)> {
        if self.pictures == 0 { None } else { Some((self.begin, self.last)) }
    }

    /// How far apart its pictures are, when it lasts until `end`.
    pub(super) fn apart(&self, end: i64) -> i64 {
        let pictures = i64::try_from(self.pictures).unwrap_or(i64::MAX).max(1);
        ((end - self.begin) / pictures).max(PICTURE_TICKS_MIN)
    }

    /// For how long its last picture is taken to be shown, when none follows it.
    pub(super) fn last_ticks(&self) -> i64 {
        let between = i64::try_from(self.pictures).unwrap_or(i64::MAX) - 1;
        if between < 1 { APART_FIRST } else { ((self.last - self.begin) / between).max(1) }
    }

    /// How many pictures it has.
    pub(super) const fn pictures(&self) -> usize {
        self.pictures
    }

    /// The bytes of its pictures.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// When its first picture came.
    pub(super) const fn began(&self) -> Timestamp {
        self.began
    }

    /// Whether its first picture is a key picture.
    pub(super) const fn begins_with_key(&self) -> bool {
        self.begins_with_key
    }

    /// Its parts so far.
    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// A picture follows that is decoded at `at`: ends the part that grows if it would last
    /// for longer than `target` with it.
    pub(super) fn handle_next(&mut self, at: i64, target: i64, mut sound: Option<&mut SoundTrack>) {
        self.fit(at, target, sound.as_deref_mut());
        let Some(first) = self.part.first() else { return };
        // The picture after the next one is expected as much later as the next one is.
        if at + (at - self.last) - first.moment.decode > target {
            self.end_part(self.part.len(), at, sound);
        }
    }

    /// Ends the last part where the next picture is decoded.
    pub(super) fn handle_end(
        &mut self,
        end: i64,
        target: Option<i64>,
        mut sound: Option<&mut SoundTrack>,
    ) {
        if let Some(target) = target {
            self.fit(end, target, sound.as_deref_mut());
        }
        self.end_part(self.part.len(), end, sound);
    }

    /// Its parts, and the file that is made of all of them.
    pub(super) fn into_files(mut self) -> (Vec<Part>, Bytes) {
        let length = self.parts.iter().map(|part| part.data.len()).sum();
        let mut whole = BytesMut::with_capacity(length);
        for part in &self.parts {
            whole.extend_from_slice(&part.data);
        }
        let whole = whole.freeze();
        let mut at = 0;
        for part in &mut self.parts {
            let end = at + part.data.len();
            part.data = whole.slice(at..end);
            at = end;
        }
        (self.parts, whole)
    }

    /// A part that would be too long until `end` ends before its last picture, which came
    /// later than was expected.
    fn fit(&mut self, end: i64, target: i64, sound: Option<&mut SoundTrack>) {
        let Some(first) = self.part.first() else { return };
        if self.part.len() > 1 && end - first.moment.decode > target {
            self.end_part(self.part.len() - 1, self.last, sound);
        }
    }

    /// Makes a part of the first pictures and the sound beside them, which ends at `end`.
    fn end_part(&mut self, pictures: usize, end: i64, sound: Option<&mut SoundTrack>) {
        let pictures: Vec<Arc<Picture>> = self.part.drain(..pictures).collect();
        let Some(begin) = pictures.first().map(|picture| picture.moment.decode) else { return };
        let ends: Vec<i64> =
            pictures.iter().skip(1).map(|picture| picture.moment.decode).chain([end]).collect();
        let has_key = pictures.iter().any(|picture| picture.key);
        let samples = pictures.into_iter().zip(&ends).map(|(picture, end)| RunSample {
            ticks: ticks((*end - picture.moment.decode).max(PICTURE_TICKS_MIN)),
            offset: picture.moment.show - picture.moment.decode,
            key: picture.key,
            data: Arc::unwrap_or_clone(picture).data,
        });
        let pictures = Run { track: 1, at: begin.unsigned_abs(), samples: samples.collect() };
        let sound = sound.and_then(|sound| sound.take(end));
        let runs: Vec<Run> = [pictures].into_iter().chain(sound).collect();
        self.fragments = self.fragments.wrapping_add(1);
        let mut data = Vec::new();
        // Only a fragment beyond 2 GiB can't be written, and segments are cut long before.
        if mp4::fragment(self.fragments, &runs, &mut data).is_ok() {
            let ticks = (end - begin).max(PICTURE_TICKS_MIN).unsigned_abs();
            self.parts.push(Part { ticks, has_key, data: data.into() });
        }
    }
}

fn ticks(value: i64) -> u32 {
    u32::try_from(value.max(0)).unwrap_or(u32::MAX)
}
