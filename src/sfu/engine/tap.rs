//! Taps of publications: which encoding they get, and which items they receive.

use std::collections::VecDeque;

use crate::domain::id::TrackId;
use crate::domain::media::MediaKind;
use crate::domain::time::Timestamp;
use crate::formats::rtp::Header;
use crate::sfu::plane::Gate;
use crate::sfu::rtcp::SenderReport;
use crate::sfu::tap::{BatchPool, Note, SENDER_REPORT_BYTES, TapBatch, TapItem, TapKind, TapSink};

use super::Forwarder;
use super::encoding::Encoding;
use super::publication::{PayloadMeaning, Publication};
use super::stats::Totals;
use super::transport::Source;

/// Taps that one publication may have.
const TAPS_PER_PUBLICATION_MAX: usize = 4;
/// Sinks that one worker fills batches for at most: of recorder and transcribers, of sessions that
/// are watched and of devices that publish. Raising it uses more memory: a batch for each.
const SINKS_MAX: usize = 64;
/// Full batches that wait to be taken; a worker takes them after every read. At the limit further
/// items count as lost.
const READY_MAX: usize = 64;

/// A tap of one publication.
#[derive(Debug)]
pub(super) struct Tap {
    sink: TapSink,
    /// The encoding that it should get.
    target: u8,
    /// The encoding that it gets.
    current: Option<Current>,
    /// Packets that passed the gate and were lost since its last item.
    lost: u32,
    /// When it last got a key frame, or when one was requested because the last was long ago.
    key_frame_at_us: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Current {
    encoding: u8,
    /// Identifies the clock of the source; changes only when the source does.
    clock: u64,
    payload_type: u8,
}

/// A packet that has passed the gate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Passed<'packet> {
    pub(super) source: Source,
    pub(super) meaning: PayloadMeaning,
    pub(super) header: &'packet Header,
    /// The whole packet, decrypted.
    pub(super) packet: &'packet [u8],
    pub(super) payload: &'packet [u8],
    pub(super) sequence: u16,
    pub(super) key_frame_start: bool,
}

#[derive(Debug)]
struct Sink {
    to: TapSink,
    filling: TapBatch,
    /// Number of taps that fill it.
    taps: usize,
    /// `Ended` items for which the sink had no room yet, each with the packets lost before it.
    owed: Vec<(TrackId, u32)>,
}

/// All sinks of a worker.
#[derive(Debug)]
pub(super) struct Taps {
    sinks: Vec<Sink>,
    ready: VecDeque<(TapSink, TapBatch)>,
    pool: BatchPool,
    /// Microseconds from engine time to wall-clock time since 1970.
    wall_ahead_us: u64,
}

impl Taps {
    pub(super) fn new() -> Self {
        Self {
            sinks: Vec::new(),
            ready: VecDeque::with_capacity(READY_MAX),
            pool: BatchPool::new(),
            wall_ahead_us: 0,
        }
    }

    /// Whether an item waits for room in a sink.
    pub(super) fn is_owing(&self) -> bool {
        self.sinks.iter().any(|sink| !sink.owed.is_empty())
    }

    fn open(&mut self, sink: &TapSink) -> bool {
        if let Some(known) = self.sinks.iter_mut().find(|it| it.to == *sink) {
            known.taps += 1;
            return true;
        }
        if self.sinks.len() >= SINKS_MAX {
            return false;
        }
        let filling = self.pool.batch();
        self.sinks.push(Sink { to: sink.clone(), filling, taps: 1, owed: Vec::new() });
        true
    }

    /// The state of a sink. It is made again if it was removed in the meantime, so that `Ended`
    /// items that it was not given yet are kept.
    fn sink_of(&mut self, sink: &TapSink) -> &mut Sink {
        let known = self.sinks.iter().position(|it| it.to == *sink);
        let at = known.unwrap_or_else(|| {
            let filling = self.pool.batch();
            self.sinks.push(Sink { to: sink.clone(), filling, taps: 0, owed: Vec::new() });
            self.sinks.len() - 1
        });
        &mut self.sinks[at]
    }

    /// Removes sinks that have no tap, no unsent items and no `Ended` items to deliver.
    fn close_idle(&mut self) {
        self.sinks.retain(|it| it.taps > 0 || !it.owed.is_empty() || !it.filling.is_empty());
    }

    /// Appends an item to the batch of a sink; returns `false` when there is no room.
    fn push(
        &mut self,
        sink: &TapSink,
        track: TrackId,
        now_us: u64,
        note: Note,
        bytes: &[&[u8]],
    ) -> bool {
        let at_us = now_us.wrapping_add(self.wall_ahead_us);
        let length = bytes.iter().map(|part| part.len()).sum();
        let Some(at) = self.sinks.iter().position(|it| it.to == *sink) else { return false };
        if !self.sinks[at].filling.fits(length) {
            self.flush(at);
            if !self.sinks[at].filling.fits(length) {
                return false;
            }
        }
        self.sinks[at].filling.push(track, at_us, note, |into| {
            for part in bytes {
                into.extend_from_slice(part);
            }
        });
        true
    }

    /// Moves the batch of a sink to the list of batches ready to be taken.
    fn flush(&mut self, at: usize) {
        let Some(sink) = self.sinks.get_mut(at) else { return };
        if self.ready.len() < READY_MAX && !sink.filling.is_empty() {
            let full = std::mem::replace(&mut sink.filling, self.pool.batch());
            self.ready.push_back((sink.to.clone(), full));
        }
    }

    /// Tells a sink that a track ended, now or once there is room.
    fn push_end(&mut self, sink: &TapSink, track: TrackId, now_us: u64, lost: u32) {
        let told = lost == 0 || self.push(sink, track, now_us, Note::Lost(lost), &[]);
        let lost = if told { 0 } else { lost };
        if told && self.push(sink, track, now_us, Note::Ended, &[]) {
            return;
        }
        if let Some(sink) = self.sinks.iter_mut().find(|it| it.to == *sink) {
            sink.owed.push((track, lost));
        }
    }

    /// Tells a sink that it gets no tap, as of one that has ended. It has a place among the sinks
    /// only until it has been told.
    fn tell_refused(&mut self, sink: &TapSink, track: TrackId, now_us: u64) {
        self.sink_of(sink);
        self.push_end(sink, track, now_us, 0);
        if let Some(at) = self.sinks.iter().position(|it| it.to == *sink) {
            self.flush(at);
        }
        self.close_idle();
    }
}

impl Forwarder {
    /// Stores which wall-clock time `now` is; the items of taps carry wall-clock times.
    pub fn handle_wall_clock(&mut self, wall: Timestamp, now: std::time::Instant) {
        let wall_us = u64::try_from(wall.unix_us()).unwrap_or(0);
        self.taps.wall_ahead_us = wall_us.wrapping_sub(self.elapsed_us(now));
    }

    /// The next batch for a sink. A batch that the sink has no room for must be returned with
    /// [`Self::handle_tap_refused`].
    pub fn poll_tap(&mut self) -> Option<(TapSink, TapBatch)> {
        self.taps.ready.pop_front()
    }

    /// Takes back a batch that a sink had no room for: its packets are counted as lost, and the
    /// next item of each track says so.
    pub fn handle_tap_refused(&mut self, sink: &TapSink, batch: &TapBatch) {
        for TapItem { track, kind, .. } in batch.items() {
            let lost = match kind {
                TapKind::Packet { .. } => 1,
                TapKind::Lost(packets) => packets,
                _ => 0,
            };
            self.totals.tap_packets_lost += u64::from(matches!(kind, TapKind::Packet { .. }));
            let ended = kind == TapKind::Ended;
            let publication = self.publication_slots.get(&track).copied();
            let publication = publication.and_then(|at| self.publications.at_mut(at));
            let tap = publication.filter(|_| !ended).and_then(|it| it.restart_tap(sink));
            if let Some(tap) = tap {
                tap.lost = tap.lost.saturating_add(lost);
                continue;
            }
            let sink = self.taps.sink_of(sink);
            match sink.owed.iter_mut().find(|(of, _)| *of == track) {
                Some((_, before)) => *before = before.saturating_add(lost),
                None if lost > 0 || ended => sink.owed.push((track, lost)),
                None => {}
            }
        }
    }

    pub(super) fn add_tap(&mut self, track: TrackId, sink: &TapSink, now_us: u64) {
        let Some(&at) = self.publication_slots.get(&track) else { return };
        let Some(publication) = self.publications.at_mut(at) else { return };
        let known = publication.taps.iter().any(|tap| tap.sink == *sink);
        let full = publication.taps.len() >= TAPS_PER_PUBLICATION_MAX;
        if known {
            self.totals.commands_refused += 1;
            return;
        }
        if full || !self.taps.open(sink) {
            self.totals.commands_refused += 1;
            self.taps.tell_refused(sink, track, now_us);
            return;
        }
        publication.taps.push(Tap {
            sink: sink.clone(),
            target: 0,
            current: None,
            lost: 0,
            key_frame_at_us: now_us,
        });
        if publication.gate == Gate::Closed {
            self.taps.push(sink, track, now_us, Note::GateClosed, &[]);
        }
        self.retarget_taps(at, now_us);
    }

    pub(super) fn remove_tap(&mut self, track: TrackId, sink: &TapSink, now_us: u64) {
        let Some(&at) = self.publication_slots.get(&track) else { return };
        let Some(publication) = self.publications.at_mut(at) else { return };
        let Some(place) = publication.taps.iter().position(|tap| tap.sink == *sink) else { return };
        let tap = publication.taps.remove(place);
        self.end_tap(track, &tap, now_us);
    }

    /// Tells the sink of a removed tap that nothing more will come.
    pub(super) fn end_tap(&mut self, track: TrackId, tap: &Tap, now_us: u64) {
        self.taps.push_end(&tap.sink, track, now_us, tap.lost);
        if let Some(at) = self.taps.sinks.iter().position(|it| it.to == tap.sink) {
            self.taps.sinks[at].taps -= 1;
            self.taps.flush(at);
        }
        self.taps.close_idle();
    }

    /// Makes the gathered items and waiting `Ended` items ready to be taken.
    pub(super) fn flush_taps(&mut self, now_us: u64) {
        for at in 0..self.taps.sinks.len() {
            let owed = std::mem::take(&mut self.taps.sinks[at].owed);
            let sink = self.taps.sinks[at].to.clone();
            for (track, lost) in owed {
                let publication = self.publication_slots.get(&track).copied();
                let publication = publication.and_then(|at| self.publications.at_mut(at));
                // When the sink taps the track again, the `Ended` item of the first tap is not
                // needed.
                match publication.and_then(|it| it.restart_tap(&sink)) {
                    Some(tap) => tap.lost = tap.lost.saturating_add(lost),
                    None => self.taps.push_end(&sink, track, now_us, lost),
                }
            }
            self.taps.flush(at);
        }
        self.taps.close_idle();
    }

    /// Chooses the encoding that each tap of a publication gets, and requests the key frame at
    /// which it changes.
    pub(super) fn retarget_taps(&mut self, at: usize, now_us: u64) {
        let Some(publication) = self.publications.at_mut(at) else { return };
        if publication.taps.is_empty() {
            return;
        }
        let best = publication.best_layer(u8::MAX, 0);
        let kind = publication.kind;
        let mut waits = false;
        for tap in &mut publication.taps {
            tap.target = best;
            waits |= tap.current.is_none_or(|current| current.encoding != best);
        }
        if let Some(encoding) = publication.encodings.get_mut(usize::from(best))
            && waits
            && kind == MediaKind::Video
        {
            encoding.key_frames.want();
        }
        self.send_key_frame_requests(at, now_us);
    }

    pub(super) fn tap_gate(&mut self, at: usize, gate: Gate, now_us: u64) {
        let Some(publication) = self.publications.at_mut(at) else { return };
        if gate == Gate::Open && publication.kind == MediaKind::Video {
            for tap in &publication.taps {
                let encoding = publication.encodings.get_mut(usize::from(tap.target));
                if let Some(encoding) = encoding {
                    encoding.key_frames.want();
                }
            }
        }
        let note = match gate {
            Gate::Open => Note::GateOpened,
            Gate::Closed => Note::GateClosed,
        };
        for tap in &mut publication.taps {
            let told = self.taps.push(&tap.sink, publication.track, now_us, note, &[]);
            if !told && gate == Gate::Open {
                // The next packet names its source again, which says that the gate is open.
                tap.current = None;
            }
        }
    }
}

impl Publication {
    /// Lets the next item of a tap name its source again; video continues at a key frame.
    fn restart_tap(&mut self, sink: &TapSink) -> Option<&mut Tap> {
        let tap = self.taps.iter_mut().find(|tap| tap.sink == *sink)?;
        if let Some(current) = tap.current.take()
            && self.kind == MediaKind::Video
            && let Some(encoding) = self.encodings.get_mut(usize::from(current.encoding))
        {
            encoding.key_frames.want();
        }
        Some(tap)
    }

    /// Copies a packet for every tap that should get it.
    pub(super) fn tap(
        &mut self,
        taps: &mut Taps,
        totals: &mut Totals,
        passed: &Passed<'_>,
        now_us: u64,
    ) {
        let Self { taps: own, encodings, track, kind, extensions, .. } = self;
        let mut overdue = false;
        let number = passed.source.encoding;
        let Some(encoding) = encodings.get(usize::from(number)) else { return };
        let payload_type = passed.meaning.primary;
        let current = Current { encoding: number, clock: encoding.clock, payload_type };
        let ssrc = encoding.ssrc.unwrap_or(passed.header.ssrc);
        for tap in own {
            if !tap.takes(current, passed.key_frame_start, encodings) {
                continue;
            }
            let mut say = |note| taps.push(&tap.sink, *track, now_us, note, &[]);
            if tap.lost > 0 && say(Note::Lost(tap.lost)) {
                tap.lost = 0;
            }
            let before = tap.current.replace(current);
            if before.is_none_or(|it| it.encoding != number || it.clock != current.clock) {
                say(Note::Source { ssrc, layer: number });
            }
            if before != Some(current) {
                say(Note::Codec { payload_type, codec: passed.meaning.codec });
                if let (MediaKind::Audio, Some(extension)) = (*kind, extensions.audio_level) {
                    say(Note::Levels { extension });
                }
            }
            let note = Note::Packet { key_frame_start: passed.key_frame_start };
            let fits = if passed.meaning.repair {
                let (fixed, rest) = passed.original_header(ssrc);
                taps.push(&tap.sink, *track, now_us, note, &[&fixed, rest, passed.payload])
            } else {
                taps.push(&tap.sink, *track, now_us, note, &[passed.packet])
            };
            if passed.key_frame_start {
                tap.key_frame_at_us = now_us;
            } else if *kind == MediaKind::Video
                && now_us.saturating_sub(tap.key_frame_at_us) >= tap.sink.key_frames_every_us()
            {
                tap.key_frame_at_us = now_us;
                overdue = true;
            }
            if fits {
                totals.packets_tapped += 1;
            } else {
                tap.lost = tap.lost.saturating_add(1);
                tap.current = None;
                totals.tap_packets_lost += 1;
            }
        }
        if overdue && let Some(encoding) = encodings.get_mut(usize::from(number)) {
            encoding.key_frames.want();
        }
    }

    /// Tells every tap that gets `encoding`, or waits for it, that the publisher was sent a
    /// key-frame request.
    pub(super) fn tap_key_frame_request(&self, taps: &mut Taps, number: usize, now_us: u64) {
        for tap in &self.taps {
            let encoding = u8::try_from(number).unwrap_or(u8::MAX);
            let gets = tap.current.is_some_and(|current| current.encoding == encoding);
            if gets || tap.target == encoding {
                taps.push(&tap.sink, self.track, now_us, Note::KeyFrameRequested, &[]);
            }
        }
    }

    /// Copies a sender report for every tap that gets its source.
    pub(super) fn tap_report(
        &self,
        taps: &mut Taps,
        encoding: u8,
        report: &SenderReport,
        now_us: u64,
    ) {
        if self.gate == Gate::Closed {
            return;
        }
        for tap in &self.taps {
            if tap.current.is_some_and(|current| current.encoding == encoding) {
                let bytes = report_bytes(report);
                taps.push(&tap.sink, self.track, now_us, Note::SenderReport, &[&bytes]);
            }
        }
    }
}

impl Tap {
    /// Whether the tap gets a packet of `offered`. It stays with its encoding, changes to a better
    /// one at a key frame, and to any other when its own has stopped.
    fn takes(&self, offered: Current, key_frame_start: bool, encodings: &[Encoding]) -> bool {
        let Some(current) = self.current else { return offered.encoding == self.target };
        if current.encoding == offered.encoding {
            return true;
        }
        let alive = encodings.get(usize::from(current.encoding)).is_some_and(|it| it.alive);
        offered.encoding == self.target && (key_frame_start || !alive)
    }
}

impl<'packet> Passed<'packet> {
    /// The header of the packet that a retransmission repairs: the retransmission's header with the
    /// numbers of the original, without padding.
    fn original_header(&self, ssrc: u32) -> ([u8; 12], &'packet [u8]) {
        let (mut fixed, rest) = match self.packet.split_first_chunk::<12>() {
            Some((fixed, rest)) => (*fixed, rest),
            None => ([0; 12], self.packet),
        };
        fixed[0] &= !0x20;
        fixed[1] = (fixed[1] & 0x80) | self.meaning.primary;
        fixed[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        fixed[8..].copy_from_slice(&ssrc.to_be_bytes());
        (fixed, rest.get(..self.header.length - 12).unwrap_or_default())
    }
}

fn report_bytes(report: &SenderReport) -> [u8; SENDER_REPORT_BYTES] {
    let mut bytes = [0; SENDER_REPORT_BYTES];
    bytes[..4].copy_from_slice(&[0x80, 200, 0, 6]);
    bytes[4..8].copy_from_slice(&report.ssrc.to_be_bytes());
    bytes[8..16].copy_from_slice(&report.ntp.to_be_bytes());
    bytes[16..20].copy_from_slice(&report.timestamp.to_be_bytes());
    bytes[20..24].copy_from_slice(&report.packets.to_be_bytes());
    bytes[24..].copy_from_slice(&report.payload_bytes.to_be_bytes());
    bytes
}
