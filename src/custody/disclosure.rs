//! Discloses single items and nothing else: the salt of an event or of a track's subject, or the
//! key of a segment.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::custody::bundle::Part;
use crate::custody::entries::EVENT;
use crate::custody::output::Document;
use crate::custody::{Custody, CustodyError};
use crate::domain::id::{RecordedTrackId, SessionId, SessionKey, TenantId};
use crate::domain::named_values::named_values;
use crate::evidence::repository::StoredEvent;
use crate::evidence::{Body, EventKind, event_commitment, subject_commitment, subject_text};
use crate::recorder::repository::RecordedTrack;
use crate::sealing::{EventsKey, TrackKey};
use crate::vault::KeyPurpose;

named_values!(
    /// Which texts of its events a bundle discloses.
    Texts {
        /// Those that a list of attendance is made of: who came and went, the quorum, the end of the
        /// session, and that lists were issued.
        Attendance => "attendance",
        /// Every decision of the room, what was said included, and that lists were issued.
        Decisions => "decisions",
    }
);

/// Largest document with disclosures that a verifier reads, in bytes.
const DOCUMENT_BYTES_MAX: usize = 64 << 20;
/// Events read at once.
const EVENTS_PER_READ: u32 = 1_000;

/// Most entries that are disclosed at once.
pub const DISCLOSED_MAX: usize = 10_000;

/// The contents of the document `disclosures.json`.
#[derive(Debug, Serialize)]
pub(super) struct Disclosures {
    v: u32,
    pub(super) events: Vec<EventDisclosure>,
    pub(super) subjects: Vec<SubjectDisclosure>,
    pub(super) segments: Vec<SegmentDisclosure>,
}

#[derive(Debug, Serialize)]
pub(super) struct EventDisclosure {
    seq: u64,
    salt: String,
    event: String,
}

#[derive(Debug, Serialize)]
pub(super) struct SubjectDisclosure {
    seq: u64,
    salt: String,
    subject: String,
}

#[derive(Serialize)]
pub(super) struct SegmentDisclosure {
    track: String,
    index: u64,
    epoch: u32,
    key: String,
}

/// Leaves out the key.
impl std::fmt::Debug for SegmentDisclosure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SegmentDisclosure({}/{})", self.track, self.index)
    }
}

impl Default for Disclosures {
    fn default() -> Self {
        Self { v: 1, events: Vec::new(), subjects: Vec::new(), segments: Vec::new() }
    }
}

impl Disclosures {
    /// The text of the document.
    pub(super) fn to_json(&self) -> Result<Vec<u8>, CustodyError> {
        serde_json::to_vec_pretty(self).map_err(|error| CustodyError::Disagrees(error.to_string()))
    }
}

impl Custody {
    /// Discloses entries by `seq`: the text of an event, the subject of a track, the key of a
    /// segment. Returns the text of `disclosures.json`. The disclosure is entered in the log before
    /// this returns.
    pub async fn disclose(&self, key: SessionKey, seqs: &[u64]) -> Result<Vec<u8>, CustodyError> {
        let text = self.disclosed_part(key, seqs).await?.disclosures.to_json()?;
        self.note_disclosed(key, seqs).await?;
        Ok(text)
    }

    /// As [`Self::disclose`], to the file `out`, which must not exist. Nothing is entered in the log when it
    /// can't be written.
    pub async fn disclose_into(
        &self,
        key: SessionKey,
        seqs: &[u64],
        out: &Path,
    ) -> Result<(), CustodyError> {
        let text = self.disclosed_part(key, seqs).await?.disclosures.to_json()?;
        let document = Document::write(out, &text).await?;
        self.note_disclosed(key, seqs).await?;
        document.finish().await
    }

    async fn note_disclosed(&self, key: SessionKey, seqs: &[u64]) -> Result<(), CustodyError> {
        let seqs: BTreeSet<u64> = seqs.iter().copied().collect();
        self.note_handed_out(key, &json!({"what": "disclosure", "seqs": seqs})).await
    }

    /// These entries, what is disclosed of them, and what a verifier needs beside them.
    pub(super) async fn disclosed_part(
        &self,
        key: SessionKey,
        seqs: &[u64],
    ) -> Result<Part, CustodyError> {
        let seqs: BTreeSet<u64> = seqs.iter().copied().collect();
        if seqs.len() > DISCLOSED_MAX {
            return Err(CustodyError::TooMany { what: "entries", max: DISCLOSED_MAX });
        }
        let mut revealing = Revealing::open(self, key).await?;
        let mut part = Part::default();
        for seq in &seqs {
            let refused = |problem| CustodyError::NotDisclosable { seq: *seq, problem };
            match self.entry(key, *seq).await?.map(|entry| entry.body) {
                None => return Err(refused("there is no such entry")),
                Some(Body::Event { commitment, .. }) => {
                    part.disclosures.events.push(revealing.event(*seq, commitment).await?);
                }
                Some(Body::Track { track, .. }) => {
                    let track = revealing.track(track)?;
                    part.disclosures.subjects.push(revealing.subject(&track).await?);
                }
                Some(Body::Segment { track, index, .. }) => {
                    let track = revealing.track(track)?;
                    part.disclosures.segments.push(revealing.segment(&track, index).await?);
                    part.seqs.push(track.seq);
                    let recordings = &self.parts.recordings;
                    let found = recordings.segments(key, track.id, index, 1).await?;
                    part.segments.extend(found.into_iter().filter(|it| it.index == index));
                }
                Some(_) => return Err(refused("it contains nothing that could be disclosed")),
            }
        }
        part.seqs.extend(seqs);
        Ok(part)
    }

    /// Discloses the texts of many events among the first `size` entries.
    pub(super) async fn disclose_texts(
        &self,
        key: SessionKey,
        texts: Texts,
        size: u64,
    ) -> Result<Disclosures, CustodyError> {
        let mut revealing = Revealing::open(self, key).await?;
        let found = self.entries_of_kind(key, EVENT).await?;
        let commitments = found.into_iter().filter_map(|entry| match entry.body {
            Body::Event { commitment, .. } => Some((entry.seq, commitment)),
            _ => None,
        });
        let commitments: BTreeMap<u64, [u8; 32]> = commitments.collect();
        let mut disclosures = Disclosures::default();
        let (mut from, mut bytes) = (0, 0);
        while from < size {
            let kinds = [EventKind::RoomEvent, EventKind::Disclosure];
            let read = self.parts.evidence.events(key, &kinds, from, EVENTS_PER_READ).await?;
            let Some(last) = read.last() else { break };
            from = last.seq + 1;
            for event in read.into_iter().filter(|it| it.seq < size && texts.include(it)) {
                bytes += event.text.len();
                if bytes > DOCUMENT_BYTES_MAX {
                    break;
                }
                let commitment = commitments.get(&event.seq).copied().unwrap_or_default();
                disclosures.events.push(revealing.disclosed(event, commitment).await?);
            }
        }
        if bytes > DOCUMENT_BYTES_MAX || disclosures.to_json()?.len() > DOCUMENT_BYTES_MAX {
            let what = "bytes of disclosed texts";
            return Err(CustodyError::TooMany { what, max: DOCUMENT_BYTES_MAX });
        }
        Ok(disclosures)
    }

    /// Enters a disclosure in the log before it is handed out. A log whose events were erased
    /// accepts no further events; such a log has nothing to disclose but proofs.
    pub(super) async fn note_handed_out(
        &self,
        key: SessionKey,
        what: &serde_json::Value,
    ) -> Result<(), CustodyError> {
        let log = self.parts.evidence.log(key).await?.ok_or(CustodyError::NoLog)?;
        if log.events_key.is_some() {
            self.parts.log.note(key, EventKind::Disclosure, what.to_string()).await?;
        }
        Ok(())
    }
}

impl Texts {
    fn include(self, event: &StoredEvent) -> bool {
        let kind = serde_json::from_str::<Kind>(&event.text).map(|kind| kind.of);
        let kind = kind.unwrap_or_default();
        match (event.kind, self) {
            (EventKind::RoomEvent, Self::Decisions) => true,
            (EventKind::RoomEvent, Self::Attendance) => {
                matches!(kind.as_str(), "attendance_changed" | "quorum_changed" | "session_ended")
            }
            _ => kind == "attendance_exported",
        }
    }
}

/// The kind of an event, whatever else it says.
#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    of: String,
}

/// The keys of one session, unwrapped when they are needed.
pub(super) struct Revealing<'a> {
    custody: &'a Custody,
    tenant: TenantId,
    session: SessionId,
    wrapped_events: Option<Vec<u8>>,
    tracks: BTreeMap<RecordedTrackId, RecordedTrack>,
    events_key: Option<EventsKey>,
    track_keys: BTreeMap<RecordedTrackId, TrackKey>,
}

impl<'a> Revealing<'a> {
    pub(super) async fn open(custody: &'a Custody, key: SessionKey) -> Result<Self, CustodyError> {
        let SessionKey { tenant, session } = key;
        let parts = &custody.parts;
        let log = parts.evidence.log(key).await?.ok_or(CustodyError::NoLog)?;
        let tracks = parts.recordings.tracks(key).await?;
        Ok(Self {
            custody,
            tenant,
            session,
            wrapped_events: log.events_key,
            tracks: tracks.into_iter().map(|track| (track.id, track)).collect(),
            events_key: None,
            track_keys: BTreeMap::new(),
        })
    }

    /// A track of the session, from the repository.
    pub(super) fn track(&self, track: RecordedTrackId) -> Result<RecordedTrack, CustodyError> {
        self.tracks.get(&track).cloned().ok_or(CustodyError::NoSuchTrack(track))
    }

    /// Every track, in order of `seq`.
    pub(super) fn tracks(&self) -> Vec<RecordedTrack> {
        let mut tracks: Vec<_> = self.tracks.values().cloned().collect();
        tracks.sort_by_key(|track| track.seq);
        tracks
    }

    async fn event(
        &mut self,
        seq: u64,
        commitment: [u8; 32],
    ) -> Result<EventDisclosure, CustodyError> {
        let evidence = &self.custody.parts.evidence;
        let events =
            evidence.events(SessionKey::new(self.tenant, self.session), &[], seq, 1).await?;
        let event = events.into_iter().find(|event| event.seq == seq);
        self.disclosed(event.ok_or(CustodyError::Erased)?, commitment).await
    }

    /// A text of the log with its salt.
    async fn disclosed(
        &mut self,
        StoredEvent { seq, text: event, .. }: StoredEvent,
        commitment: [u8; 32],
    ) -> Result<EventDisclosure, CustodyError> {
        let salt = self.events_key().await?.event_salt(seq);
        // Disclosing a text that does not match the commitment would look like a forgery.
        if event_commitment(&salt, &event) != commitment {
            return Err(CustodyError::Disagrees(format!(
                "the text of event {seq} does not match its commitment"
            )));
        }
        Ok(EventDisclosure { seq, salt: URL_SAFE_NO_PAD.encode(salt), event })
    }

    pub(super) async fn subject(
        &mut self,
        track: &RecordedTrack,
    ) -> Result<SubjectDisclosure, CustodyError> {
        let salt = self.events_key().await?.subject_salt(&track.id);
        let subject = subject_text(&track.user, &track.name, track.source);
        let key = SessionKey::new(self.tenant, self.session);
        let entry = self.custody.entry(key, track.seq).await?.map(|entry| entry.body);
        let matches = matches!(entry, Some(Body::Track { subject_commitment: commitment, .. })
            if commitment == subject_commitment(&salt, &subject));
        if !matches {
            return Err(CustodyError::Disagrees(format!(
                "the subject of track {} does not match its commitment",
                track.id
            )));
        }
        Ok(SubjectDisclosure { seq: track.seq, salt: URL_SAFE_NO_PAD.encode(salt), subject })
    }

    pub(super) async fn segment(
        &mut self,
        track: &RecordedTrack,
        index: u64,
    ) -> Result<SegmentDisclosure, CustodyError> {
        if !self.track_keys.contains_key(&track.id) {
            let wrapped = track.wrapped_key.as_deref().ok_or(CustodyError::Erased)?;
            let purpose = KeyPurpose::Track(track.id, track.epoch);
            let key = self.custody.parts.keys.unwrap(self.tenant, purpose, wrapped).await?;
            self.track_keys.insert(track.id, TrackKey::new(key));
        }
        let key = self.track_keys.get(&track.id).ok_or(CustodyError::Erased)?.segment_key(index);
        Ok(SegmentDisclosure {
            track: track.id.to_string(),
            index,
            epoch: track.epoch,
            key: URL_SAFE_NO_PAD.encode(key.secret().expose()),
        })
    }

    async fn events_key(&mut self) -> Result<EventsKey, CustodyError> {
        if let Some(key) = &self.events_key {
            return Ok(key.clone());
        }
        let wrapped = self.wrapped_events.as_deref().ok_or(CustodyError::Erased)?;
        let purpose = KeyPurpose::Events(self.session);
        let key = self.custody.parts.keys.unwrap(self.tenant, purpose, wrapped).await?;
        let key = EventsKey::new(key);
        self.events_key = Some(key.clone());
        Ok(key)
    }
}
