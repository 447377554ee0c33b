//! Plays captures, while their devices publish and afterwards (HLS, RFC 8216): from what is kept,
//! so every instance plays all of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use crate::cameras::archive::{Archive, CLOSING};
use crate::cameras::captures::CaptureStore;
use crate::cameras::engine::recorded::{self, Listed};
use crate::cameras::error::CameraError;
use crate::cameras::ingest::TARGET_S;
use crate::cameras::metrics::{self, Asset};
use crate::cameras::playback::PlaybackError;
use crate::cameras::repository::{CaptureSegment, FilmsOf};
use crate::clock::Clock;
use crate::domain::id::{CaptureId, TenantId};
use crate::domain::time::Timestamp;

/// Segments that are listed while a capture is open: an hour and more. Raising it makes playlists
/// larger, which players read again and again.
const LISTED_OPEN: u32 = 1_000;
/// Segments that are listed once it is closed: 55 hours and more. What is older is left out.
const LISTED_CLOSED: u32 = 50_000;
/// How long a playlist answers further requests. Raising it shows new segments later.
const FRESH_FOR: Duration = Duration::from_millis(500);
/// Playlists that are remembered for that; at the limit others are made for each request.
const REMEMBERED_MAX: usize = 256;

type Remembered = BTreeMap<(TenantId, CaptureId), (Timestamp, Bytes)>;

struct Inner {
    archive: Archive,
    captures: CaptureStore,
    clock: Clock,
    remembered: Mutex<Remembered>,
}

/// Plays captures. Cheap to clone.
#[derive(Clone)]
pub struct Replay(Arc<Inner>);

impl Replay {
    /// Plays what is in `archive` of `captures`.
    #[must_use]
    pub fn new(archive: Archive, captures: CaptureStore, clock: Clock) -> Self {
        Self(Arc::new(Inner { archive, captures, clock, remembered: Mutex::default() }))
    }

    /// The playlist of a capture. It ends once the capture is closed.
    ///
    /// # Errors
    /// Why nothing is played.
    pub async fn playlist(
        &self,
        (tenant, capture): (TenantId, &CaptureId),
        session: &str,
    ) -> Result<Bytes, PlaybackError> {
        let answer = async {
            self.check((tenant, capture), session)?;
            let now = self.0.clock.now();
            if let Some(text) = self.remembered((tenant, capture), now) {
                return Ok(text);
            }
            let text = self.written((tenant, capture)).await?;
            self.remember((tenant, capture), now, &text);
            Ok(text)
        };
        let answer = answer.await;
        metrics::requested(None, Asset::Playlist, answer.as_ref().err().map(PlaybackError::code));
        answer
    }

    /// A segment, or the header of some.
    ///
    /// # Errors
    /// Why nothing is played.
    pub async fn file(
        &self,
        (tenant, capture): (TenantId, &CaptureId),
        session: &str,
        name: &str,
    ) -> Result<Bytes, PlaybackError> {
        let answer = async {
            self.check((tenant, capture), session)?;
            let file = recorded::parsed(name).ok_or(PlaybackError::SegmentNotFound)?;
            let found =
                self.0.archive.file(tenant, &FilmsOf::Capture(capture.clone()), file).await?;
            found.ok_or(PlaybackError::SegmentNotFound)
        };
        let answer = answer.await;
        metrics::requested(None, Asset::Segment, answer.as_ref().err().map(PlaybackError::code));
        answer
    }

    fn check(
        &self,
        (tenant, capture): (TenantId, &CaptureId),
        session: &str,
    ) -> Result<(), PlaybackError> {
        let grant = self.0.captures.granted(session)?;
        let is_for_it = grant.tenant == tenant && grant.capture == *capture;
        if is_for_it { Ok(()) } else { Err(PlaybackError::ScopeMismatch) }
    }

    async fn written(
        &self,
        (tenant, capture): (TenantId, &CaptureId),
    ) -> Result<Bytes, PlaybackError> {
        let found = self.0.captures.find(tenant, capture).await;
        // The last segments are filed after the capture is closed.
        let now = self.0.clock.now();
        let is_whole = |closed_at: Timestamp| now.since(closed_at) >= CLOSING;
        let is_closed = match found {
            Ok(found) => found.closed_at.is_some_and(is_whole),
            Err(CameraError::CaptureNotFound) => return Err(PlaybackError::StreamNotFound),
            Err(error) => return Err(error.into()),
        };
        let limit = if is_closed { LISTED_CLOSED } else { LISTED_OPEN };
        let segments = self.0.archive.segments(tenant, capture, limit).await?;
        match (segments.as_slice(), is_closed) {
            ([], true) => Err(PlaybackError::StreamNotFound),
            ([], false) => Err(PlaybackError::StreamNotReady),
            (segments, is_closed) => Ok(text_of(segments, is_closed).into()),
        }
    }

    fn remembered(&self, of: (TenantId, &CaptureId), now: Timestamp) -> Option<Bytes> {
        let remembered = self.0.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, text) = remembered.get(&(of.0, of.1.clone()))?;
        (*at <= now && now.since(*at) < FRESH_FOR).then(|| text.clone())
    }

    fn remember(&self, of: (TenantId, &CaptureId), now: Timestamp, text: &Bytes) {
        let mut remembered = self.0.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.retain(|_, (at, _)| now.since(*at) < FRESH_FOR);
        if remembered.len() < REMEMBERED_MAX {
            remembered.insert((of.0, of.1.clone()), (now, text.clone()));
        }
    }
}

/// The playlist of these segments (RFC 8216 §4.3.3), of which there is one at least.
fn text_of(segments: &[CaptureSegment], is_closed: bool) -> String {
    let (first, mut breaks) = segments.first().map_or((0, 0), |it| (it.sequence, it.breaks));
    let mut text = recorded::head(TARGET_S, first);
    if breaks > 0 {
        // Writing to a string does not fail.
        writeln!(text, "#EXT-X-DISCONTINUITY-SEQUENCE:{breaks}").ok();
    }
    if is_closed && first == 0 {
        text.push_str("#EXT-X-PLAYLIST-TYPE:VOD\n");
    }
    let listed = segments.iter().map(|it| Listed {
        is_break: std::mem::replace(&mut breaks, it.breaks) != it.breaks,
        publication: it.publication,
        number: it.number,
        header: it.header,
        ticks: it.ticks,
        at: it.at,
    });
    recorded::list(&mut text, listed, "");
    if is_closed {
        text.push_str("#EXT-X-ENDLIST\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cameras::engine::recorded::parsed;
    use crate::domain::id::PublicationId;

    fn segment(publication: PublicationId, sequence: u64, breaks: u64) -> CaptureSegment {
        CaptureSegment {
            publication,
            number: sequence + 1,
            header: 0,
            sequence,
            breaks,
            ticks: 180_000,
            at: Timestamp::from_unix_us(1_700_000_000_000_000),
        }
    }

    #[test]
    fn a_new_publication_is_a_break_and_has_a_header_of_its_own() {
        let (one, two) = (PublicationId::generate(), PublicationId::generate());
        let all = [segment(one, 7, 1), segment(one, 8, 1), segment(two, 9, 2)];
        let open = text_of(&all, false);
        assert!(
            open.contains("#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n"),
            "{open}"
        );
        assert_eq!(open.matches("#EXT-X-DISCONTINUITY\n").count(), 1);
        let of_two = format!("#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"{two}.0.mp4\"\n");
        assert!(open.contains(&of_two), "{open}");
        assert!(open.contains("#EXTINF:2.000000,\n"), "{open}");
        assert!(!open.contains("ENDLIST") && text_of(&all, true).ends_with("#EXT-X-ENDLIST\n"));
    }

    #[test]
    fn names_of_files_are_read_as_they_are_written_and_in_no_other_way() {
        let publication = PublicationId::generate();
        assert_eq!(parsed(&format!("{publication}.12.m4s")), Some((publication, 12)));
        for wrong in ["012.m4s", "+1.m4s", "1.ts", "1", "1.m4s/../2.m4s", "-1.m4s"] {
            assert_eq!(parsed(&format!("{publication}.{wrong}")), None, "{wrong}");
        }
        assert_eq!(parsed("../index.m3u8"), None);
    }
}
