//! One track of a room, and how it is recorded.

use std::collections::BTreeMap;

use super::segment::Segment;
use super::{
    CLOSINGS_MAX, Disk, Effects, FIRST_EPOCH, FLAG_LAST, FLAG_STOPPED, GapReason, Opened, Output,
    Randomness, RoomTrack, SEGMENT_GRACE_MS, SEGMENT_MS_MAX, SEGMENT_MS_MIN, SILENCE_MS_MIN,
};
use crate::domain::id::{RecordedTrackId, SessionId, SessionKey};
use crate::domain::media::{Codec, MediaKind};
use crate::domain::recording::RecordingState;
use crate::evidence::media::Rest;
use crate::formats::rtp::{extend_sequence, wire_sequence};
use crate::recorder::journal::SideEvent;
use crate::sealing::{Context, Sealer, TrackKey};
use crate::sfu::tap::{TapItem, TapKind};

/// Simulcast encodings of one track.
const LAYERS_MAX: usize = 4;
/// Side events that wait for the next segment. Further ones are dropped: they
/// repeat what the earlier ones say.
const WAITING_MAX: usize = 8;

/// A track of a room.
pub(super) struct Track {
    key: SessionKey,
    room: RoomTrack,
    state: RecordingState,
    source: Option<(u32, u8)>,
    codec: Option<(u8, Codec)>,
    /// Latest source of each encoding.
    sources: [Option<u32>; LAYERS_MAX],
    waiting: Vec<SideEvent>,
    /// Taps that were removed for a pause and have not ended yet.
    ends_expected: u32,
    /// It was removed, and ends at this time at the latest.
    leaves_ms: Option<u64>,
    over: bool,
    /// The latest decision of the room when its gate was closed.
    decision: Option<u64>,
    taken: Option<Taken>,
}

/// What is recorded of a track under one identity.
struct Taken {
    recorded: RecordedTrackId,
    key: TrackKey,
    codec: Codec,
    segments: u64,
    items: u64,
    segment: Option<Segment>,
    /// Highest extended sequence number.
    extended: Option<u64>,
    /// The source has changed: the next sequence number begins a new cycle.
    cycle_ended: bool,
    last_ms: u64,
    /// Until when each moment is in a segment, a gap or a rest.
    told_ms: u64,
    /// When its gate was closed since.
    closings: Vec<Closing>,
    /// Decision that had closed its gate before a pause.
    closed_before: Option<u64>,
    /// The reason and the beginning of a gap that has not ended.
    gap: Option<(GapReason, u64)>,
    /// From when until when packets were lost.
    lost: Option<(u64, u64)>,
}

/// A time in which a gate was closed.
#[derive(Debug, Clone, Copy)]
struct Closing {
    from_ms: u64,
    /// `None` while it is closed.
    to_ms: Option<u64>,
    decision: Option<u64>,
}

impl Track {
    pub(super) fn new(key: SessionKey, room: RoomTrack, state: RecordingState) -> Self {
        Self {
            key,
            room,
            state,
            source: None,
            codec: None,
            sources: [None; LAYERS_MAX],
            waiting: Vec::new(),
            ends_expected: 0,
            leaves_ms: None,
            over: false,
            decision: None,
            taken: None,
        }
    }

    pub(super) fn is_of(&self, key: SessionKey) -> bool {
        self.key == key
    }

    /// Its gate is closed by the latest of these decisions.
    pub(super) fn set_decision(&mut self, decisions: &BTreeMap<SessionKey, u64>) {
        self.decision = decisions.get(&self.key).copied();
    }

    pub(super) const fn is_recorded(&self) -> bool {
        self.taken.is_some()
    }

    pub(super) fn is_recorded_as(&self, recorded: RecordedTrackId) -> bool {
        self.taken.as_ref().is_some_and(|taken| taken.recorded == recorded)
    }

    pub(super) const fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn leave(&mut self, until_ms: u64) {
        self.leaves_ms.get_or_insert(until_ms);
        if self.state != RecordingState::Recording {
            // Without a tap nothing is left to wait for.
            self.leaves_ms = Some(0);
        }
    }

    pub(super) fn end_if_left(&mut self, now_ms: u64, effects: &mut Effects) {
        if self.leaves_ms.is_some_and(|until_ms| until_ms <= now_ms) {
            self.over = true;
            self.end(now_ms, effects);
        }
    }

    pub(super) fn set_state(&mut self, state: RecordingState, now_ms: u64, effects: &mut Effects) {
        let before = std::mem::replace(&mut self.state, state);
        if before == RecordingState::Recording && state != RecordingState::Recording {
            self.ends_expected += 1;
            self.source = None;
        }
        match state {
            RecordingState::Recording => {
                if let Some(taken) = &mut self.taken {
                    taken.close_gap(now_ms, effects);
                    taken.forget_gate();
                }
            }
            RecordingState::Paused => self.close_for(GapReason::Paused, now_ms, effects),
            RecordingState::Stopped => self.end(now_ms, effects),
        }
    }

    /// Ends the open segment and begins a gap.
    pub(super) fn close_for(&mut self, reason: GapReason, now_ms: u64, effects: &mut Effects) {
        let Some(taken) = &mut self.taken else { return };
        taken.close_segment(0, effects);
        if taken.gap.is_none() {
            if reason == GapReason::Paused {
                taken.account(now_ms, effects);
            }
            // A full disk is noticed while packets wait: nobody knows what came
            // since the last record.
            taken.gap = Some((reason, taken.told_ms.min(now_ms)));
        }
    }

    /// Drops a packet, since the disk is full. A track that begins now begins with
    /// a gap, so that the log has it all the same.
    fn miss(&mut self, now_ms: u64, random: &mut dyn Randomness, effects: &mut Effects) {
        if let (None, Some(_), Some((_, codec))) = (&self.taken, self.source, self.codec) {
            self.taken = Some(self.open(codec, now_ms, random, effects));
        }
        self.close_for(GapReason::DiskFull, now_ms, effects);
    }

    /// Gives up the open segment if it is this item. The gap begins where the
    /// segment began, or where packets were lost before.
    pub(super) fn abandon(&mut self, item: u64, now_ms: u64, effects: &mut Effects) {
        let Some(taken) = &mut self.taken else { return };
        let Some(segment) = taken.segment.take_if(|segment| segment.item() == item) else { return };
        effects.outputs.push_back(Output::Abandoned { recorded: taken.recorded });
        let lost_ms = taken.lost.take().map_or(u64::MAX, |(from_ms, _)| from_ms);
        let from_ms = segment.began_ms().min(lost_ms).min(now_ms);
        taken.gap.get_or_insert((GapReason::DiskFull, from_ms));
    }

    pub(super) fn stop(&mut self, now_ms: u64, effects: &mut Effects) {
        if let Some(taken) = &mut self.taken {
            taken.close_segment(FLAG_STOPPED, effects);
            taken.close_gap(now_ms, effects);
            taken.account(now_ms, effects);
        }
    }

    pub(super) fn handle_timeout(&mut self, now_ms: u64, effects: &mut Effects) {
        let Some(taken) = &mut self.taken else { return };
        let over = |segment: &Segment| {
            now_ms.saturating_sub(segment.began_ms()) >= SEGMENT_MS_MAX + SEGMENT_GRACE_MS
        };
        if taken.segment.as_ref().is_some_and(over) {
            taken.close_segment(0, effects);
        }
    }

    pub(super) fn handle(
        &mut self,
        item: &TapItem<'_>,
        disk: Disk,
        random: &mut dyn Randomness,
        effects: &mut Effects,
    ) {
        if item.kind == TapKind::Ended {
            self.handle_end(item.at_us / 1_000, effects);
            return;
        }
        if self.state != RecordingState::Recording {
            return;
        }
        match item.kind {
            TapKind::Packet { bytes, key_frame_start } => {
                effects.counts.packets += 1;
                if disk == Disk::Full {
                    self.miss(item.at_us / 1_000, random, effects);
                    return;
                }
                self.packet(item.at_us, bytes, key_frame_start, random, effects);
            }
            TapKind::SenderReport(bytes) => {
                if let Some(segment) = self.open_segment(item.at_us, effects) {
                    segment.report(item.at_us, bytes, effects);
                }
            }
            TapKind::Source { ssrc, layer } => self.source(item.at_us, ssrc, layer, effects),
            TapKind::Codec { payload_type, codec } => {
                self.codec(item.at_us, payload_type, codec, effects);
            }
            TapKind::GateClosed => {
                self.side(item.at_us, SideEvent::GateClosed, effects);
                if let Some(taken) = &mut self.taken {
                    taken.close_gate(item.at_us / 1_000, self.decision, effects);
                }
            }
            TapKind::GateOpened => {
                self.side(item.at_us, SideEvent::GateOpened, effects);
                if let Some(taken) = &mut self.taken {
                    taken.open_gate(item.at_us / 1_000);
                }
            }
            TapKind::KeyFrameRequested => {
                self.side(item.at_us, SideEvent::KeyFrameRequested, effects);
            }
            TapKind::Lost(packets) => self.lost(item.at_us, packets, effects),
            // The packets are written as they are, with their headers.
            TapKind::Levels { .. } | TapKind::Ended => {}
        }
    }

    fn handle_end(&mut self, at_ms: u64, effects: &mut Effects) {
        if self.leaves_ms.is_some() {
            self.over = true;
            self.end(at_ms, effects);
        } else if self.ends_expected > 0 {
            self.ends_expected -= 1;
        } else {
            // Its publication has ended; the room removes the track as well.
            self.end(at_ms, effects);
        }
    }

    /// The open segment, if a record may still go into it.
    fn open_segment(&mut self, at_us: u64, effects: &mut Effects) -> Option<&mut Segment> {
        let taken = self.taken.as_mut()?;
        taken.close_if_over(at_us / 1_000, effects);
        taken.segment.as_mut()
    }

    fn side(&mut self, at_us: u64, event: SideEvent, effects: &mut Effects) {
        if let Some(segment) = self.open_segment(at_us, effects) {
            segment.side(at_us, event, effects);
        } else if self.waiting.len() < WAITING_MAX && self.waiting.last() != Some(&event) {
            self.waiting.push(event);
        }
    }

    fn lost(&mut self, at_us: u64, packets: u32, effects: &mut Effects) {
        effects.counts.packets_lost += u64::from(packets);
        // A gap that has not ended covers the loss. An entry of its own would come before the
        // gap's and leave the time before it without an entry.
        if let Some(taken) = self.taken.as_mut().filter(|taken| taken.gap.is_none()) {
            if taken.segment.is_none() && taken.lost.is_none() {
                // Before the loss comes what is known of the time since the last segment.
                let opened_ms = taken.closings.last().and_then(|closing| closing.to_ms);
                taken.account(opened_ms.unwrap_or(0).max(taken.told_ms), effects);
            }
            let known_ms = taken.last_ms.max(taken.told_ms);
            let from_ms = taken.lost.map_or(known_ms, |(from_ms, _)| from_ms);
            taken.lost = Some((from_ms, from_ms.max(at_us / 1_000)));
        }
        self.side(at_us, SideEvent::Lost(packets), effects);
    }

    fn source(&mut self, at_us: u64, ssrc: u32, layer: u8, effects: &mut Effects) {
        let place = self.sources.get_mut(usize::from(layer));
        let before = place.and_then(|place| place.replace(ssrc));
        let same = self.source.replace((ssrc, layer)) == Some((ssrc, layer));
        let Some(taken) = &mut self.taken else { return };
        if before.is_some_and(|before| before != ssrc) {
            // Its publisher has restarted it.
            self.end(at_us / 1_000, effects);
        } else if !same {
            taken.close_segment(0, effects);
            taken.cycle_ended = true;
        }
    }

    fn codec(&mut self, at_us: u64, payload_type: u8, codec: Codec, effects: &mut Effects) {
        let before = self.codec.replace((payload_type, codec));
        if self.taken.as_ref().is_some_and(|taken| taken.codec != codec) {
            self.end(at_us / 1_000, effects);
        } else if before != self.codec
            && let Some(segment) = self.open_segment(at_us, effects)
        {
            segment.side(at_us, SideEvent::Codec { payload_type, codec }, effects);
        }
    }

    fn packet(
        &mut self,
        at_us: u64,
        bytes: &[u8],
        starts: bool,
        random: &mut dyn Randomness,
        effects: &mut Effects,
    ) {
        let Some((source, codec)) = self.source.zip(self.codec) else { return };
        let Some(&[high, low]) = bytes.get(2..4).and_then(|it| it.first_chunk()) else { return };
        let sequence = u16::from_be_bytes([high, low]);
        let now_ms = at_us / 1_000;
        if self.taken.is_none() {
            self.taken = Some(self.open(codec.1, now_ms, random, effects));
        }
        let Some(taken) = &mut self.taken else { return };
        taken.close_gap(now_ms, effects);
        taken.close_if_over(now_ms, effects);
        let old_enough = |it: &Segment| now_ms.saturating_sub(it.began_ms()) >= SEGMENT_MS_MIN;
        let pictures = taken.codec.kind() == MediaKind::Video;
        if pictures && starts && taken.segment.as_ref().is_some_and(old_enough) {
            taken.close_segment(0, effects);
        }
        let extended = taken.extend(sequence);
        if taken.segment.is_none() {
            taken.account(now_ms, effects);
            // A packet has passed, so the gate is open, whether or not the tap could say so.
            taken.closings.clear();
            taken.closed_before = None;
            let mut segment = taken.begin(self.key.session, at_us, random, effects);
            let (ssrc, layer) = source;
            segment.side(at_us, SideEvent::Source { ssrc, layer }, effects);
            let (payload_type, codec) = codec;
            segment.side(at_us, SideEvent::Codec { payload_type, codec }, effects);
            for event in self.waiting.drain(..) {
                segment.side(at_us, event, effects);
            }
            taken.segment = Some(segment);
        }
        if let Some(segment) = &mut taken.segment {
            segment.packet(at_us, extended, starts, bytes, effects);
            taken.last_ms = segment.latest_ms().max(taken.last_ms);
        }
    }

    fn open(
        &self,
        codec: Codec,
        at_ms: u64,
        random: &mut dyn Randomness,
        effects: &mut Effects,
    ) -> Taken {
        let (recorded, key) = (random.track_id(), random.key());
        effects.outputs.push_back(Output::Opened(Box::new(Opened {
            tenant: self.key.tenant,
            session: self.key.session,
            track: self.room.clone(),
            codec,
            recorded,
            key: key.clone(),
            at_ms,
        })));
        Taken {
            recorded,
            key,
            codec,
            segments: 0,
            items: 0,
            segment: None,
            extended: None,
            cycle_ended: false,
            last_ms: at_ms,
            told_ms: at_ms,
            closings: Vec::new(),
            closed_before: None,
            gap: None,
            lost: None,
        }
    }

    /// Ends the recorded track.
    pub(super) fn end(&mut self, now_ms: u64, effects: &mut Effects) {
        self.waiting.clear();
        let Some(mut taken) = self.taken.take() else { return };
        taken.close_segment(FLAG_LAST, effects);
        taken.close_gap(now_ms, effects);
        let item = taken.next_item();
        let Taken { recorded, last_ms: at_ms, segments, .. } = taken;
        effects.outputs.push_back(Output::Ended { recorded, item, at_ms, segments });
    }
}

impl Taken {
    fn next_item(&mut self) -> u64 {
        self.items += 1;
        self.items - 1
    }

    /// Extends a sequence number to 64 bits. Another source begins a new cycle.
    fn extend(&mut self, sequence: u16) -> u64 {
        let extended = match self.extended {
            None => u64::from(sequence),
            Some(highest) if self.cycle_ended => ((highest >> 16) + 1) << 16 | u64::from(sequence),
            Some(highest) => extend_sequence(highest, sequence),
        };
        self.cycle_ended = false;
        self.extended = Some(self.extended.map_or(extended, |highest| highest.max(extended)));
        debug_assert!(extended == 0 || wire_sequence(extended) == sequence);
        extended
    }

    fn begin(
        &mut self,
        session: SessionId,
        at_us: u64,
        random: &mut dyn Randomness,
        effects: &mut Effects,
    ) -> Segment {
        let (recorded, index) = (self.recorded, self.segments);
        let item = self.next_item();
        effects.outputs.push_back(Output::Begun { recorded, item });
        let context = Context::Segment { session, track: recorded, index, epoch: FIRST_EPOCH };
        let (key, salt) = (self.key.segment_key(index), random.salt());
        Segment::begin(recorded, index, item, at_us, effects, |out| {
            Sealer::new(&key, &context, salt, out)
        })
    }

    fn close_if_over(&mut self, at_ms: u64, effects: &mut Effects) {
        let over = |it: &Segment| at_ms.saturating_sub(it.began_ms()) >= SEGMENT_MS_MAX;
        if self.segment.as_ref().is_some_and(over) {
            self.close_segment(0, effects);
        }
    }

    fn close_segment(&mut self, flags: u32, effects: &mut Effects) {
        if let Some(segment) = self.segment.take() {
            let segment = segment.finish(flags, self.extended.unwrap_or(0), effects);
            self.last_ms = self.last_ms.max(segment.ms.1);
            self.told_ms = self.told_ms.max(segment.ms.1);
            self.segments += 1;
        }
        self.tell_lost(effects);
    }

    fn tell_lost(&mut self, effects: &mut Effects) {
        if let Some((from_ms, to_ms)) = self.lost.take() {
            self.gap(GapReason::Overload, from_ms, to_ms, effects);
        }
    }

    fn close_gap(&mut self, to_ms: u64, effects: &mut Effects) {
        if let Some((reason, from_ms)) = self.gap.take() {
            self.gap(reason, from_ms, to_ms.max(from_ms), effects);
        }
    }

    fn gap(&mut self, reason: GapReason, from_ms: u64, to_ms: u64, effects: &mut Effects) {
        let (recorded, item) = (self.recorded, self.next_item());
        effects.counts.gaps += 1;
        effects.outputs.push_back(Output::Gap { recorded, item, ms: (from_ms, to_ms), reason });
        self.told_ms = self.told_ms.max(to_ms);
    }

    /// The gate is closed: what follows is not recorded, so the segment ends.
    fn close_gate(&mut self, at_ms: u64, decision: Option<u64>, effects: &mut Effects) {
        self.close_segment(0, effects);
        let is_closed = self.closings.last().is_some_and(|closing| closing.to_ms.is_none());
        if !is_closed && self.closings.len() < CLOSINGS_MAX {
            let decision = self.closed_before.take().or(decision);
            self.closings.push(Closing { from_ms: at_ms, to_ms: None, decision });
        }
    }

    fn open_gate(&mut self, at_ms: u64) {
        self.closed_before = None;
        if self.closings.len() < CLOSINGS_MAX
            && let Some(closing) = self.closings.last_mut()
        {
            closing.to_ms.get_or_insert(at_ms);
        }
    }

    /// The track is tapped again, and the tap says whether the gate is closed.
    fn forget_gate(&mut self) {
        let closed = self.closings.drain(..).next_back().filter(|it| it.to_ms.is_none());
        self.closed_before = closed.and_then(|closing| closing.decision);
    }

    /// Says why there is no segment of the time until now: packets were lost, the
    /// gate was closed, or nothing came.
    fn account(&mut self, now_ms: u64, effects: &mut Effects) {
        self.tell_lost(effects);
        for closing in std::mem::take(&mut self.closings) {
            let from_ms = closing.from_ms.max(self.told_ms);
            let to_ms = closing.to_ms.unwrap_or(now_ms);
            if from_ms < to_ms {
                self.silence(from_ms, effects);
                let rest = Rest::Gated { decision: closing.decision };
                self.rest((from_ms, to_ms), rest, effects);
            }
            if closing.to_ms.is_none() {
                self.closings.push(closing);
            }
        }
        self.silence(now_ms, effects);
    }

    fn silence(&mut self, until_ms: u64, effects: &mut Effects) {
        if until_ms.saturating_sub(self.told_ms) >= SILENCE_MS_MIN {
            self.rest((self.told_ms, until_ms), Rest::Silent, effects);
        }
    }

    fn rest(&mut self, ms: (u64, u64), rest: Rest, effects: &mut Effects) {
        let (recorded, item) = (self.recorded, self.next_item());
        effects.outputs.push_back(Output::Rest { recorded, item, ms, rest });
        self.told_ms = ms.1;
    }
}
