//! Verifies a clip: the entries whose inclusion its receipts prove, and their objects.

use std::collections::{BTreeMap, BTreeSet};

use super::cose::COSE_BYTES_MAX;
use super::entry::{Body, Entry, Segment, TrackId};
use super::examination::Examination;
use super::files::Files;
use super::log::{place_of, place_of_entry};
use super::proof::hyphenated;
use super::report::{Code, Finding, Place, TrackFacts};
use super::tree::Hash;

/// What a clip contains of its log.
#[derive(Default)]
struct Seen {
    tracks: BTreeMap<TrackId, TrackFacts>,
    /// The newest segment so far of each track.
    tails: BTreeMap<TrackId, (u64, Hash)>,
    objects: BTreeSet<(TrackId, u64)>,
    policy_hash: Option<Hash>,
    /// Track entries whose key was destroyed.
    erased: BTreeSet<u64>,
    track_seqs: BTreeMap<TrackId, u64>,
}

impl Examination {
    /// Verifies a clip.
    pub(super) fn check_clip(&mut self, files: &dyn Files) {
        self.check_head();
        self.check_only_head(files);
        let mut disclosures = self.read_disclosures(files);
        let mut items = self.proof.receipts.clone();
        items.sort_by_key(|item| item.seq);
        let mut entries = Vec::new();
        for item in &items {
            if !self.check_inclusion(item) {
                continue;
            }
            match Entry::parse(&item.entry) {
                Ok(entry) if entry.seq != item.seq => self.misplaced(item.seq),
                Ok(entry) => entries.push(entry),
                Err(finding) => self.finds(finding, Place::seq(item.seq)),
            }
        }
        let before = entries.len();
        entries.dedup_by_key(|entry| entry.seq);
        if entries.len() != before {
            let finding = Finding::new(Code::SequenceInvalid, "an entry appears twice");
            self.finds(finding, Place::default());
        }
        self.report.facts.entries = entries.len() as u64;
        self.report.count("entries", entries.len() as u64);
        let mut seen = Seen::default();
        // Erasures are read first, since they explain missing objects.
        for entry in &entries {
            if let Body::Erasure { target, .. } = entry.body {
                seen.erased.insert(target);
            }
        }
        for entry in &entries {
            self.handle_clip_entry(entry, &mut seen);
            self.check_disclosed(entry.seq, entry, seen.policy_hash, &mut disclosures);
            if let Body::Segment(segment) = &entry.body {
                let absent = self.check_object(files, entry.seq, segment, &mut disclosures);
                if let Err(finding) = absent {
                    self.handle_absent(entry.seq, segment, finding, &seen);
                }
            }
        }
        self.check_rest();
        self.check_unknown_objects(files, &|track, index| seen.objects.contains(&(*track, index)));
        self.check_leftovers(&disclosures);
        self.report.facts.tracks = seen.tracks.into_values().collect();
        self.report.leaves("the parts of the log outside this clip");
    }

    /// The only head of a clip must be the one in its proof.
    fn check_only_head(&mut self, files: &dyn Files) {
        let opened = self.open_part(files, "heads.cborseq", COSE_BYTES_MAX);
        let Some(mut items) = opened else { return };
        let is_proofs = match items.next() {
            Ok(Some(cose)) => cose == self.proof.head.cose,
            Ok(None) => false,
            Err(unread) => return self.does_not_read("heads.cborseq", unread),
        };
        match items.next() {
            Ok(None) if is_proofs => {}
            Ok(_) => {
                let text = "the head of a clip is not that of its proof";
                self.finds(Finding::new(Code::ChainBroken, text), Place::default());
            }
            Err(unread) => self.does_not_read("heads.cborseq", unread),
        }
    }

    fn handle_clip_entry(&mut self, entry: &Entry, seen: &mut Seen) {
        match &entry.body {
            Body::Genesis { log, policy_hash, .. } => {
                seen.policy_hash = Some(*policy_hash);
                if *log != self.proof.log {
                    let text = "the entries belong to another log than the proof names";
                    self.finds(Finding::new(Code::WrongSession, text), Place::seq(entry.seq));
                }
            }
            Body::Track { track, media, codec, .. } => {
                seen.track_seqs.insert(*track, entry.seq);
                let facts = seen.tracks.entry(*track).or_default();
                facts.track = hyphenated(track);
                facts.media.clone_from(media);
                facts.codec.clone_from(codec);
            }
            Body::Segment(segment) => {
                if let Some(finding) = seen.handle_segment(segment) {
                    self.finds(finding, place_of(entry.seq, segment));
                }
            }
            Body::Event { .. }
            | Body::Gap { .. }
            | Body::Rest { .. }
            | Body::Erasure { .. }
            | Body::Key { .. }
            | Body::Close { .. } => {}
        }
        if entry.seq >= self.proof.head.size {
            let finding = Finding::new(Code::SequenceInvalid, "the entry is beyond the head");
            self.finds(finding, place_of_entry(entry.seq, entry));
        }
    }

    fn handle_absent(&mut self, seq: u64, segment: &Segment, finding: Finding, seen: &Seen) {
        let track_seq = seen.track_seqs.get(&segment.track);
        if track_seq.is_some_and(|seq| seen.erased.contains(seq)) {
            let track = hyphenated(&segment.track);
            self.report.leaves(format!("objects of track {track}, whose key was destroyed"));
        } else {
            self.finds(finding, place_of(seq, segment));
        }
    }
}

impl Seen {
    fn handle_segment(&mut self, segment: &Segment) -> Option<Finding> {
        self.objects.insert((segment.track, segment.index));
        let facts = self.tracks.entry(segment.track).or_default();
        facts.track = hyphenated(&segment.track);
        facts.segments += 1;
        let [from_ms, to_ms] = segment.time_ms;
        facts.recorded_ms = facts.recorded_ms.saturating_add(to_ms - from_ms);
        facts.from_ms.get_or_insert(from_ms);
        facts.to_ms = Some(to_ms);
        let before = self.tails.insert(segment.track, (segment.index, segment.hash));
        let (index, hash) = before?;
        if segment.index <= index {
            let text = "a segment follows later ones";
            return Some(Finding::new(Code::SequenceInvalid, text));
        }
        if segment.index - index > 1 {
            let text = format!("the clip leaves out segments after {index}");
            return Some(Finding::new(Code::SegmentMissing, text));
        }
        let text = "it does not follow the segment before it";
        (segment.previous != Some(hash)).then(|| Finding::new(Code::ChainBroken, text))
    }
}
