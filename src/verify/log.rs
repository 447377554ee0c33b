//! The rules about the order of entries in a log, checked entry by entry.

use std::collections::BTreeMap;

use super::entry::{Body, Entry, Rest, Segment, TrackId, close_reason, erasure_reason};
use super::proof::hyphenated;
use super::report::{
    CloseFacts, Code, ErasureFacts, FACTS_MAX, Finding, PROBLEMS_MAX, Place, Problem, Report,
    TrackFacts,
};
use super::tree::Hash;

/// Most tracks of one log: a meeting of a thousand people, each joining many times.
pub(super) const TRACKS_MAX: usize = 200_000;
/// Event type of a decision of the room.
const DECISION: u64 = 3;
/// Time between two packets that needs no entry, in milliseconds.
const UNTOLD_MS: u64 = 1_000;

/// What was read of a track.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) facts: TrackFacts,
    next_index: u64,
    tail: Option<Hash>,
    is_over: bool,
    /// Until when entries account for its time, in milliseconds since 1970.
    told_ms: Option<u64>,
    /// Missing objects, which an erasure later in the log may explain.
    missing: Vec<Problem>,
    missing_more: u64,
}

impl Track {
    /// The finding when a close entry lists this last segment for the track, if it is wrong.
    fn ends_otherwise(&self, listed: Option<(u64, Hash)>) -> Option<Finding> {
        let name = &self.facts.track;
        match (self.tail, listed) {
            (Some(_), None) => Some(sequence(format!("it does not list track {name}"))),
            (_, Some((last, _))) if last >= self.next_index => {
                let text = format!("the log lacks segments of track {name} up to {last}");
                Some(Finding::new(Code::SegmentMissing, text))
            }
            (tail, Some((last, hash))) if last + 1 != self.next_index || tail != Some(hash) => {
                let text =
                    format!("it names another last segment of track {name} than the log has");
                Some(Finding::new(Code::ChainBroken, text))
            }
            _ => None,
        }
    }
}

/// What was read of a log.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) next_seq: u64,
    pub(super) id: Option<[u8; 16]>,
    pub(super) policy_hash: Option<Hash>,
    pub(super) tracks: BTreeMap<TrackId, Track>,
    /// Track entries by their index.
    track_seqs: BTreeMap<u64, TrackId>,
    /// The entries that name a key, beginning with the genesis entry.
    pub(super) keys: Vec<(u64, Hash)>,
    pub(super) close: Option<u64>,
    last_event: Option<u64>,
    /// Version in the first entry; logs of version 1 do not account for every moment.
    version: Option<u64>,
    /// Indices of the events that are decisions of the room, in order.
    decisions: Vec<u64>,
}

/// Findings about one entry.
type Found = Vec<Finding>;

fn sequence(why: impl Into<String>) -> Finding {
    Finding::new(Code::SequenceInvalid, why)
}

impl Log {
    /// Takes the next entry; returns what is wrong with it.
    pub(super) fn handle_entry(&mut self, entry: &Entry, report: &mut Report) -> Found {
        let mut found = Found::new();
        let expected = self.next_seq;
        self.next_seq += 1;
        if entry.seq != expected {
            let text = format!("it states the index {}", entry.seq);
            found.push(sequence(text));
        }
        self.handle_order(expected, entry, &mut found);
        if let Some((track, from_ms, to_ms)) = span(&entry.body) {
            self.account(expected, track, from_ms, to_ms, report);
        }
        let facts = &mut report.facts;
        facts.from_ms.get_or_insert(entry.at_ms);
        facts.to_ms = Some(entry.at_ms);
        match &entry.body {
            Body::Genesis { log, kid, policy_hash } => {
                self.id = Some(*log);
                self.policy_hash = Some(*policy_hash);
                self.keys.push((expected, *kid));
            }
            Body::Track { track, media, codec, .. } => {
                self.handle_track(expected, *track, media, codec, &mut found);
            }
            Body::Segment(segment) => self.handle_segment(segment, &mut found),
            Body::Event { etype, .. } => {
                if self.close.is_none() {
                    self.last_event = Some(expected);
                }
                if *etype == DECISION {
                    self.decisions.push(expected);
                }
            }
            Body::Gap { track, from_ms, to_ms } => {
                facts.gaps += 1;
                if let Some(track) = self.tracks.get_mut(track) {
                    track.facts.gaps += 1;
                    let sum = track.facts.gap_ms.saturating_add(to_ms - from_ms);
                    track.facts.gap_ms = sum;
                } else {
                    found.push(sequence("a gap of a track that has no track entry"));
                }
            }
            Body::Rest { track, from_ms, to_ms, state } => {
                self.handle_rest(*track, to_ms - from_ms, *state, &mut found);
            }
            Body::Erasure { target, reason } => {
                self.handle_erasure(expected, *target, *reason, report, &mut found);
            }
            Body::Key { kid } => self.keys.push((expected, *kid)),
            Body::Close { tails, last_event, reason } => {
                self.handle_close(expected, tails, *last_event, &mut found);
                let reason = close_reason(*reason);
                facts.closed = Some(CloseFacts { seq: expected, reason });
            }
        }
        found
    }

    /// Checks the position of an entry in the log.
    fn handle_order(&mut self, seq: u64, entry: &Entry, found: &mut Found) {
        let is_first = matches!(entry.body, Body::Genesis { .. });
        if is_first != (seq == 0) {
            found.push(sequence("the first entry, and only that, must be a genesis"));
        }
        if *self.version.get_or_insert(entry.version) != entry.version {
            found.push(sequence("the entry has another version than its log"));
        }
        if seq == 1 && !matches!(entry.body, Body::Event { etype: 1, .. }) {
            found.push(sequence("entry 1 is not the policy"));
        }
        let may_follow_close = match entry.body {
            Body::Erasure { .. } | Body::Key { .. } => true,
            Body::Event { etype, .. } => etype >= 64,
            _ => false,
        };
        if self.close.is_some() && !may_follow_close {
            found.push(sequence("it may not follow the close"));
        }
    }

    fn handle_track(
        &mut self,
        seq: u64,
        track: TrackId,
        media: &str,
        codec: &str,
        found: &mut Found,
    ) {
        if self.tracks.len() >= TRACKS_MAX {
            found.push(Finding::new(Code::TooLarge, "the log has too many tracks"));
            return;
        }
        if self.tracks.contains_key(&track) {
            found.push(sequence("a second entry for the same track"));
            return;
        }
        let facts = TrackFacts {
            track: hyphenated(&track),
            media: media.to_owned(),
            codec: codec.to_owned(),
            unaccounted_ms: self.tells_time().then_some(0),
            ..TrackFacts::default()
        };
        self.track_seqs.insert(seq, track);
        self.tracks.insert(
            track,
            Track {
                facts,
                next_index: 0,
                tail: None,
                is_over: false,
                told_ms: None,
                missing: Vec::new(),
                missing_more: 0,
            },
        );
    }

    fn handle_segment(&mut self, segment: &Segment, found: &mut Found) {
        let Some(track) = self.tracks.get_mut(&segment.track) else {
            found.push(sequence("a segment of a track that has no track entry"));
            return;
        };
        if track.is_over {
            found.push(sequence("a segment after the track's last"));
        }
        let expected = track.next_index;
        if segment.index > expected {
            let text = format!("the log has no segment {expected} of the track before this one");
            found.push(Finding::new(Code::SegmentMissing, text));
        } else if segment.index < expected {
            found.push(sequence(format!("segment {} follows later ones", segment.index)));
        } else if segment.previous != track.tail {
            let text = "it does not follow the segment before it";
            found.push(Finding::new(Code::ChainBroken, text));
        }
        track.next_index = segment.index.saturating_add(1);
        track.tail = Some(segment.hash);
        track.is_over = segment.flags & 2 != 0;
        let [from_ms, to_ms] = segment.time_ms;
        let facts = &mut track.facts;
        facts.segments += 1;
        facts.recorded_ms = facts.recorded_ms.saturating_add(to_ms - from_ms);
        facts.from_ms.get_or_insert(from_ms);
        facts.to_ms = Some(to_ms);
    }

    fn handle_rest(&mut self, id: TrackId, ms: u64, state: Rest, found: &mut Found) {
        let Some(track) = self.tracks.get_mut(&id) else {
            found.push(sequence("a rest of a track that has no track entry"));
            return;
        };
        let facts = &mut track.facts;
        match state {
            Rest::Silent => facts.silent_ms = facts.silent_ms.saturating_add(ms),
            Rest::Gated { event: Some(event) } if self.decisions.binary_search(&event).is_ok() => {
                facts.gated_ms = facts.gated_ms.saturating_add(ms);
            }
            Rest::Gated { .. } => {
                let before = facts.unaccounted_ms.unwrap_or(0);
                facts.unaccounted_ms = Some(before.saturating_add(ms));
                let text = "no decision before this entry closes the gate";
                found.push(Finding::new(Code::TimeUnaccounted, text));
            }
        }
    }

    /// Whether entries of this log account for every moment of a track.
    pub(super) fn tells_time(&self) -> bool {
        self.version.is_some_and(|version| version >= 2)
    }

    /// Takes a span of a track that an entry accounts for, and reports time before it for which no
    /// entry accounts.
    fn account(&mut self, seq: u64, id: TrackId, from_ms: u64, to_ms: u64, report: &mut Report) {
        let tells_time = self.tells_time();
        let Some(track) = self.tracks.get_mut(&id).filter(|_| tells_time) else { return };
        let told_ms = track.told_ms.unwrap_or(from_ms);
        let untold_ms = from_ms.saturating_sub(told_ms);
        if untold_ms > UNTOLD_MS {
            let facts = &mut track.facts;
            let before = facts.unaccounted_ms.unwrap_or(0);
            facts.unaccounted_ms = Some(before.saturating_add(untold_ms));
            let text = format!("no entry accounts for {untold_ms} ms of the track");
            let place = Place {
                seq: Some(seq),
                track: Some(facts.track.clone()),
                from_ms: Some(told_ms),
                to_ms: Some(from_ms),
                ..Place::default()
            };
            report.finds(Finding::new(Code::TimeUnaccounted, text).at(place));
        }
        track.told_ms = Some(told_ms.max(to_ms));
    }

    fn handle_erasure(
        &mut self,
        seq: u64,
        target: u64,
        reason: u64,
        report: &mut Report,
        found: &mut Found,
    ) {
        if target != 0 {
            let track = self.track_seqs.get(&target).and_then(|id| self.tracks.get_mut(id));
            if let Some(track) = track {
                track.facts.erased_by.get_or_insert(seq);
            } else {
                let text = format!("it names entry {target}, which is not an earlier track entry");
                found.push(Finding::new(Code::ErasureInvalid, text));
            }
        }
        let facts = &mut report.facts;
        if facts.erasures.len() < FACTS_MAX {
            facts.erasures.push(ErasureFacts { seq, target, reason: erasure_reason(reason) });
        } else {
            facts.erasures_more += 1;
        }
        report.count("erasures", 1);
    }

    fn handle_close(
        &mut self,
        seq: u64,
        tails: &[(TrackId, u64, Hash)],
        last_event: u64,
        found: &mut Found,
    ) {
        self.close = Some(seq);
        if Some(last_event) != self.last_event {
            found.push(sequence("it names another last event than the log has"));
        }
        let mut listed = tails.iter().peekable();
        let unknown = |id: &TrackId| {
            let text = format!("it lists track {}, which has no segment here", hyphenated(id));
            Finding::new(Code::SegmentMissing, text)
        };
        for (id, track) in &self.tracks {
            while let Some((other, ..)) = listed.next_if(|(other, ..)| other < id) {
                found.push(unknown(other));
            }
            let tail = listed.next_if(|(other, ..)| other == id);
            found.extend(track.ends_otherwise(tail.map(|(_, last, hash)| (*last, *hash))));
        }
        found.extend(listed.map(|(other, ..)| unknown(other)));
    }

    /// Stores that an object is missing, until it is known whether its key was destroyed.
    pub(super) fn handle_missing(&mut self, track: &TrackId, problem: Problem) {
        let Some(track) = self.tracks.get_mut(track) else { return };
        if track.missing.len() < PROBLEMS_MAX {
            track.missing.push(problem);
        } else {
            track.missing_more += 1;
        }
    }

    /// Whether an entry of this log names this object.
    pub(super) fn names(&self, track: &TrackId, index: u64) -> bool {
        self.tracks.get(track).is_some_and(|track| index < track.next_index)
    }

    /// Adds what can be reported only at the end, and the facts about tracks.
    pub(super) fn finish(&mut self, report: &mut Report) {
        if !self.tells_time() && !self.tracks.is_empty() {
            report.leaves(
                "whether entries account for every moment, which logs of version 1 do not require",
            );
        }
        for track in self.tracks.values_mut() {
            let missing = std::mem::take(&mut track.missing);
            if track.facts.erased_by.is_some() && !missing.is_empty() {
                report.leaves(format!(
                    "{} objects of track {}, whose key was destroyed and which are not here",
                    missing.len() as u64 + track.missing_more,
                    track.facts.track
                ));
            } else {
                for problem in missing {
                    report.finds(problem);
                }
                report.problems_more += track.missing_more;
            }
            if report.facts.tracks.len() < FACTS_MAX {
                report.facts.tracks.push(track.facts.clone());
            } else {
                report.facts.tracks_more += 1;
            }
        }
    }
}

/// The span of a track's time that an entry accounts for.
fn span(body: &Body) -> Option<(TrackId, u64, u64)> {
    match body {
        Body::Segment(segment) => Some((segment.track, segment.time_ms[0], segment.time_ms[1])),
        Body::Gap { track, from_ms, to_ms } | Body::Rest { track, from_ms, to_ms, .. } => {
            Some((*track, *from_ms, *to_ms))
        }
        _ => None,
    }
}

/// The place of a segment, for a report.
pub(super) fn place_of(seq: u64, segment: &Segment) -> Place {
    Place {
        seq: Some(seq),
        track: Some(hyphenated(&segment.track)),
        segment: Some(segment.index),
        from_ms: Some(segment.time_ms[0]),
        to_ms: Some(segment.time_ms[1]),
        ..Place::default()
    }
}

/// The place of an entry, for a report.
pub(super) fn place_of_entry(seq: u64, entry: &Entry) -> Place {
    match &entry.body {
        Body::Segment(segment) => place_of(seq, segment),
        Body::Track { track, .. } => {
            Place { seq: Some(seq), track: Some(hyphenated(track)), ..Place::default() }
        }
        Body::Gap { track, from_ms, to_ms } | Body::Rest { track, from_ms, to_ms, .. } => Place {
            seq: Some(seq),
            track: Some(hyphenated(track)),
            from_ms: Some(*from_ms),
            to_ms: Some(*to_ms),
            ..Place::default()
        },
        _ => Place::seq(seq),
    }
}
