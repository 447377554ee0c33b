//! What is said in the meeting that a camera takes part in, or in a session that is watched, for
//! whoever watches that: kept while it takes part or is watched, and no longer.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::cameras::engine::subtitles::Caption;
use crate::cameras::ingest::Stream;
use crate::domain::id::TenantId;
use crate::domain::time::Timestamp;
use crate::domain::watched::Watched;

/// Texts that are kept of one meeting; at the limit the oldest goes. Players fetch a text within
/// seconds, and segments that are listed have no more of them.
const KEPT_MAX: usize = 128;
/// Longest text that is shown, in characters. Pieces of speech have a few hundred.
const CHARS_MAX: usize = 1_000;
/// How long a text stays after it was known: players learn of it a segment later. Raising it has
/// more texts shown at once.
const SHOWN_FOR: Duration = Duration::from_secs(4);

/// What the meeting said of one of its texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Words {
    /// Somebody said this, from then until then.
    Said {
        /// The number of the text.
        seq: u64,
        /// When it was begun to be said.
        from: Timestamp,
        /// When it was said.
        to: Timestamp,
        /// The words.
        text: String,
    },
    /// A text was put right.
    Corrected {
        /// The number of the text.
        seq: u64,
        /// The words.
        text: String,
    },
}

#[derive(Debug, Default)]
struct Meeting {
    language: Option<String>,
    /// The texts, each with the number of the segment that grew when it was known.
    said: Mutex<VecDeque<(u64, Caption)>>,
}

impl Meeting {
    fn said(&self) -> MutexGuard<'_, VecDeque<(u64, Caption)>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Captions that a viewer may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offered {
    /// Their language, a BCP 47 tag, if it is known.
    pub(super) language: Option<String>,
}

type Meetings = BTreeMap<(TenantId, Watched), Vec<Arc<Meeting>>>;

/// The captions of all cameras and sessions. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Captions(Arc<Mutex<Meetings>>);

impl Captions {
    /// A camera takes part in a meeting whose words may be shown, or is such a meeting's own stream,
    /// until what is returned is dropped. The language is that of the meeting, when it has one.
    #[must_use]
    pub fn begin(&self, watched: (TenantId, Watched), language: Option<String>) -> Captioning {
        let meeting = Arc::new(Meeting { language, said: Mutex::default() });
        self.meetings().entry(watched.clone()).or_default().push(Arc::clone(&meeting));
        Captioning { captions: self.clone(), watched, meeting }
    }

    /// The captions of what is watched, if there are any now.
    pub(super) fn offered(&self, watched: (TenantId, &Watched)) -> Option<Offered> {
        Some(Offered { language: self.meeting(watched)?.language.clone() })
    }

    /// The texts that became known while a segment grew.
    pub(super) fn of_segment(&self, watched: (TenantId, &Watched), segment: u64) -> Vec<Caption> {
        let Some(meeting) = self.meeting(watched) else { return Vec::new() };
        let said = meeting.said();
        let of_it = said.iter().filter(|(number, _)| *number == segment);
        of_it.map(|(_, caption)| caption.clone()).collect()
    }

    /// The one meeting. What is said in several of a camera is shown to nobody, as it would be mixed.
    fn meeting(&self, (tenant, watched): (TenantId, &Watched)) -> Option<Arc<Meeting>> {
        let meetings = self.meetings();
        match meetings.get(&(tenant, watched.clone()))?.as_slice() {
            [only] => Some(Arc::clone(only)),
            _ => None,
        }
    }

    fn meetings(&self) -> MutexGuard<'_, Meetings> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A camera that takes part in a meeting, or a session that is watched.
#[derive(Debug)]
pub struct Captioning {
    captions: Captions,
    watched: (TenantId, Watched),
    meeting: Arc<Meeting>,
}

impl Captioning {
    /// Whose captions they are.
    #[must_use]
    pub const fn watched(&self) -> &(TenantId, Watched) {
        &self.watched
    }

    /// The meeting told this at `now`, while `stream` is what is watched.
    pub fn handle(&self, words: &Words, stream: &Stream, now: Timestamp) {
        match words {
            Words::Said { seq, from, to, text } => {
                let caption = Caption {
                    seq: *seq,
                    from: *from,
                    until: (*to).max(now).after(SHOWN_FOR),
                    text: text.chars().take(CHARS_MAX).collect(),
                };
                // The segment must not end in between: a file that players have gets no more texts.
                let noted = stream.find(|segments| {
                    self.add(segments.growth().number, caption.clone());
                    Some(())
                });
                debug_assert!(noted.is_some(), "there is always a segment that grows");
            }
            Words::Corrected { seq, text } => self.correct(*seq, text),
        }
    }

    fn add(&self, segment: u64, caption: Caption) {
        let mut said = self.meeting.said();
        if said.len() >= KEPT_MAX {
            said.pop_front();
        }
        said.push_back((segment, caption));
    }

    /// Players that have fetched the text keep it as it was.
    fn correct(&self, seq: u64, text: &str) {
        let mut said = self.meeting.said();
        let found = said.iter_mut().find(|(_, caption)| caption.seq == seq);
        if let Some((_, caption)) = found {
            caption.text = text.chars().take(CHARS_MAX).collect();
        }
    }
}

impl Drop for Captioning {
    fn drop(&mut self) {
        let mut meetings = self.captions.meetings();
        if let Some(of_it) = meetings.get_mut(&self.watched) {
            of_it.retain(|meeting| !Arc::ptr_eq(meeting, &self.meeting));
            if of_it.is_empty() {
                meetings.remove(&self.watched);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caption(seq: u64, text: &str) -> Caption {
        let at = Timestamp::from_unix_us(1_700_000_000_000_000);
        Caption { seq, from: at, until: at.after(SHOWN_FOR), text: text.to_owned() }
    }

    fn texts(captions: &Captions, camera: (TenantId, &Watched), segment: u64) -> Vec<String> {
        let of_segment = captions.of_segment(camera, segment);
        of_segment.into_iter().map(|caption| caption.text).collect()
    }

    #[test]
    fn words_are_those_of_the_one_meeting_of_the_camera_while_it_takes_part() {
        let captions = Captions::default();
        let (tenant, hall): (_, Watched) = (TenantId::generate(), "hall".parse().expect("an id"));
        let camera = (tenant, &hall);
        assert_eq!(captions.offered(camera), None);
        let taking_part = captions.begin((tenant, hall.clone()), Some("es".to_owned()));
        assert_eq!(captions.offered(camera), Some(Offered { language: Some("es".to_owned()) }));
        taking_part.add(7, caption(1, "hay quórum"));
        taking_part.add(8, caption(2, "pido la palabra"));
        assert_eq!(texts(&captions, camera, 7), ["hay quórum"]);
        taking_part.correct(2, "pide la palabra");
        taking_part.correct(3, "nobody said this");
        assert_eq!(texts(&captions, camera, 8), ["pide la palabra"]);
        assert_eq!(texts(&captions, camera, 9), Vec::<String>::new());
        // The same name at another tenant is another camera.
        let other = TenantId::generate();
        assert_eq!(captions.offered((other, &hall)), None);
        assert_eq!(texts(&captions, (other, &hall), 7), Vec::<String>::new());
        let elsewhere = captions.begin((tenant, hall.clone()), None);
        assert_eq!(captions.offered(camera), None, "two meetings are not mixed");
        assert_eq!(texts(&captions, camera, 7), Vec::<String>::new());
        drop(elsewhere);
        assert_eq!(texts(&captions, camera, 7), ["hay quórum"]);
        drop(taking_part);
        assert_eq!(captions.offered(camera), None);
        assert!(captions.meetings().is_empty());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let captions = Captions::default();
        let (tenant, hall): (_, Watched) = (TenantId::generate(), "hall".parse().expect("an id"));
        let taking_part = captions.begin((tenant, hall.clone()), None);
        for seq in 0..KEPT_MAX as u64 + 5 {
            taking_part.add(1, caption(seq, "sí"));
        }
        let kept = captions.of_segment((tenant, &hall), 1);
        assert_eq!((kept.len(), kept[0].seq), (KEPT_MAX, 5));
        taking_part.correct(9, &"ñ".repeat(100_000));
        let kept = captions.of_segment((tenant, &hall), 1);
        assert_eq!(kept[4].text.chars().count(), CHARS_MAX);
    }
}
