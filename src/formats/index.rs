//! Reads the index of a file in order to cut a playable piece out of it: the header that every
//! piece must begin with, and the offsets at which pieces may begin. Understands only files written
//! by [`webm`](super::webm) and [`mp4`](super::mp4).

use std::ops::Range;

use mp4_atom::{Atom as _, Sidx};

use crate::domain::recording::Container;
use crate::formats::ContainerError;

/// Bytes of the size and type of an MP4 box.
const BOX_HEAD_BYTES: usize = 8;

/// The header of a file, and where pieces of it may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The bytes that every piece must begin with.
    pub head: Vec<u8>,
    /// Milliseconds after the beginning of the file, and offset in the file.
    points: Vec<(u64, u64)>,
    size: u64,
}

impl Index {
    /// Reads the header of a file of `size` bytes.
    pub fn of(container: Container, header: &[u8], size: u64) -> Result<Self, ContainerError> {
        let found = match container {
            Container::Webm => of_webm(header),
            Container::Mp4 => of_mp4(header),
        };
        let (head, points) = found.ok_or(ContainerError::NoIndex)?;
        let head = header.get(..head).ok_or(ContainerError::NoIndex)?.to_vec();
        Ok(Self { head, points, size })
    }

    /// The bytes that are needed to show this time, in milliseconds after the beginning: from the
    /// last seek point before it. A time before the first seek point yields what follows that
    /// point, since a piece without media can't be decoded.
    #[must_use]
    pub fn piece(&self, ms: Range<u64>) -> Range<u64> {
        let before = self.points.partition_point(|point| point.0 <= ms.start);
        let first = self.points.get(before.saturating_sub(1));
        let after = self.points.partition_point(|point| point.0 < ms.end).max(1);
        let end = self.points.get(after).map_or(self.size, |point| point.1);
        first.map_or(self.size, |point| point.1)..end
    }
}

/// Offset of the cues in a WebM header, and their contents.
fn of_webm(header: &[u8]) -> Option<(usize, Vec<(u64, u64)>)> {
    let (_, ebml) = element(header, 0)?;
    let (segment, body) = element(header, ebml.end)?;
    (segment == 0x1853_8067).then_some(())?;
    let mut at = body.start;
    loop {
        let (id, inside) = element(header, at)?;
        if id != 0x1C53_BB6B {
            at = inside.end;
            continue;
        }
        let mut points = Vec::new();
        let mut next = inside.start;
        while next < inside.end {
            let (_, point) = element(header, next)?;
            let (_, time) = element(header, point.start)?;
            let (_, positions) = element(header, time.end)?;
            let (_, track) = element(header, positions.start)?;
            let (_, cluster) = element(header, track.end)?;
            let place = number(header.get(cluster)?) + body.start as u64;
            points.push((number(header.get(time)?), place));
            next = point.end;
        }
        return Some((at, points));
    }
}

/// Identifier and body of the EBML element at this offset.
fn element(bytes: &[u8], at: usize) -> Option<(u64, Range<usize>)> {
    let id_bytes = bytes.get(at)?.leading_zeros() as usize + 1;
    let id = number(bytes.get(at..at.checked_add(id_bytes)?)?);
    let size_at = at + id_bytes;
    let size_bytes = bytes.get(size_at)?.leading_zeros() as usize + 1;
    let raw = number(bytes.get(size_at..size_at.checked_add(size_bytes)?)?);
    let marker = 1_u64.checked_shl(u32::try_from(7 * size_bytes).ok()?)?;
    let start = size_at + size_bytes;
    let size = usize::try_from(raw & (marker - 1)).ok()?;
    Some((id, start..start.checked_add(size)?))
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Offset of the `sidx` box in an MP4 header, and its contents.
fn of_mp4(header: &[u8]) -> Option<(usize, Vec<(u64, u64)>)> {
    let mut at = 0;
    loop {
        let rest = header.get(at..)?;
        let size: &[u8; 4] = rest.first_chunk()?;
        let size = usize::try_from(u32::from_be_bytes(*size)).ok()?;
        if rest.get(4..BOX_HEAD_BYTES)? != b"sidx" {
            at = at.checked_add(size.max(BOX_HEAD_BYTES))?;
            continue;
        }
        let mut body = rest.get(BOX_HEAD_BYTES..size)?;
        let sidx = Sidx::decode_body(&mut body).ok()?;
        let (mut ticks, mut place) = (0_u64, header.len() as u64);
        let mut points = Vec::new();
        for reference in &sidx.references {
            points.push((ticks * 1_000 / u64::from(sidx.timescale.max(1)), place));
            ticks += u64::from(reference.subsegment_duration);
            place += u64::from(reference.referenced_size);
        }
        return Some((at, points));
    }
}
