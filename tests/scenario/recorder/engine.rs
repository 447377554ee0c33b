//! The engine alone, in virtual time: how segments are cut and numbered.

use cabildo::domain::id::{RecordedTrackId, SessionId, SessionKey, TenantId, TrackId};
use cabildo::domain::media::{Codec, TrackSource};
use cabildo::domain::recording::RecordingState;
use cabildo::domain::secret::Secret;
use cabildo::evidence::media::Rest;
use cabildo::recorder::RoomTrack;
use cabildo::recorder::engine::{Disk, Engine, GapReason, Output, Randomness, SegmentMeta};
use cabildo::sealing::{SALT_BYTES, TrackKey};
use cabildo::sfu::tap::{TapItem, TapKind};
use proptest::prelude::*;

/// Draws in order, so that every run is the same.
#[derive(Default)]
struct Counting(u8);

impl Randomness for Counting {
    fn track_id(&mut self) -> RecordedTrackId {
        self.0 += 1;
        RecordedTrackId::from_uuid(uuid::Uuid::from_bytes([self.0; 16]))
    }

    fn key(&mut self) -> TrackKey {
        self.0 += 1;
        TrackKey::new(Secret::new([self.0; 32]))
    }

    fn salt(&mut self) -> [u8; SALT_BYTES] {
        self.0 = self.0.wrapping_add(1);
        [self.0; SALT_BYTES]
    }
}

struct Scene {
    engine: Engine,
    random: Counting,
    track: TrackId,
    tenant: TenantId,
    session: SessionId,
    sequence: u16,
    segments: Vec<SegmentMeta>,
    gaps: Vec<(u64, u64, GapReason)>,
    rests: Vec<(u64, u64, Rest)>,
    ends: Vec<(u64, u64)>,
    sealed_bytes: usize,
    largest_output: usize,
    items: Vec<u64>,
}

impl Scene {
    fn new(codec: Codec) -> Self {
        let (tenant, session) = (TenantId::generate(), SessionId::generate());
        let track = TrackId::generate();
        let mut scene = Self {
            engine: Engine::new(),
            random: Counting::default(),
            track,
            tenant,
            session,
            sequence: 0,
            segments: Vec::new(),
            gaps: Vec::new(),
            rests: Vec::new(),
            ends: Vec::new(),
            sealed_bytes: 0,
            largest_output: 0,
            items: Vec::new(),
        };
        scene.engine.set_state(SessionKey::new(tenant, session), RecordingState::Recording, 0);
        let room = RoomTrack {
            track,
            user: "u".parse().expect("valid"),
            name: "U".to_owned(),
            source: TrackSource::Camera,
            codec,
        };
        assert!(scene.engine.add_track(SessionKey::new(tenant, session), room));
        scene.give(0, TapKind::Source { ssrc: 1, layer: 0 });
        scene.give(0, TapKind::Codec { payload_type: 96, codec });
        scene
    }

    fn give(&mut self, at_ms: u64, kind: TapKind<'_>) {
        let item = TapItem { track: self.track, at_us: at_ms * 1_000, kind };
        self.engine.handle_item(&item, &mut self.random);
        self.drain();
    }

    fn packet(&mut self, at_ms: u64, key_frame_start: bool, bytes: usize) {
        let [high, low] = self.sequence.to_be_bytes();
        let mut packet = vec![0x80, 96, high, low, 0, 0, 0, 0, 0, 0, 0, 1];
        packet.resize(12 + bytes, low);
        self.sequence = self.sequence.wrapping_add(1);
        self.give(at_ms, TapKind::Packet { bytes: &packet, key_frame_start });
    }

    fn drain(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Sealed { bytes, .. } => {
                    self.sealed_bytes += bytes.len();
                    self.largest_output = self.largest_output.max(bytes.len());
                }
                Output::Finished { segment, .. } => self.segments.push(segment),
                Output::Gap { ms, reason, item, .. } => {
                    self.gaps.push((ms.0, ms.1, reason));
                    self.items.push(item);
                }
                Output::Rest { ms, rest, item, .. } => {
                    self.rests.push((ms.0, ms.1, rest));
                    self.items.push(item);
                }
                Output::Begun { item, .. } => self.items.push(item),
                Output::Ended { at_ms, segments, item, .. } => {
                    self.ends.push((at_ms, segments));
                    self.items.push(item);
                }
                Output::Opened(_) | Output::Abandoned { .. } => {}
            }
        }
    }

    fn spans(&self) -> Vec<(u64, u64)> {
        self.segments.iter().map(|segment| segment.ms).collect()
    }
}

#[test]
fn a_track_that_begins_on_a_full_disk_is_a_gap_until_there_is_room() {
    let mut scene = Scene::new(Codec::Vp8);
    scene.engine.handle_disk(Disk::Full, 0);
    scene.packet(1_000, true, 100);
    scene.packet(2_000, false, 100);
    assert_eq!((scene.spans(), scene.gaps.len()), (vec![], 0));
    scene.engine.handle_disk(Disk::Open, 2_500);
    scene.packet(3_000, true, 100);
    assert_eq!(scene.gaps, [(1_000, 3_000, GapReason::DiskFull)]);
    scene.engine.handle_disk(Disk::Full, 4_000);
    scene.drain();
    scene.packet(5_000, true, 100);
    scene.give(6_000, TapKind::Ended);
    assert_eq!(scene.spans(), [(3_000, 3_000)]);
    assert_eq!(scene.gaps[1..], [(3_000, 6_000, GapReason::DiskFull)]);
    assert_eq!(scene.rests, []);
    assert_eq!(scene.ends, [(3_000, 1)]);
}

#[test]
fn pictures_are_cut_before_a_key_frame_after_two_seconds_and_after_four_at_the_latest() {
    let mut scene = Scene::new(Codec::Vp8);
    for step in 0..100_u64 {
        // Key frames after 1, 3, 3.1 and 9 seconds.
        scene.packet(step * 100, [10, 30, 31, 90].contains(&step), 1_000);
    }
    scene.give(10_000, TapKind::Ended);
    let expected = [(0, 2_900), (3_000, 6_900), (7_000, 8_900), (9_000, 9_900)];
    assert_eq!(scene.spans(), expected);
    let flags: Vec<u32> = scene.segments.iter().map(|segment| segment.flags).collect();
    assert_eq!(flags, [0, 1, 0, 1 | 2]);
    let numbers: Vec<_> = scene.segments.iter().map(|segment| segment.rtp).collect();
    assert_eq!(numbers, [(0, 29), (30, 69), (70, 89), (90, 99)]);
    assert_eq!(scene.ends, [(9_900, 4)]);
    assert_eq!(scene.items, [0, 1, 2, 3, 4]);
}

#[test]
fn what_is_held_in_memory_is_one_chunk() {
    let mut scene = Scene::new(Codec::Vp8);
    let mut raw = 0;
    for step in 0..800 {
        scene.packet(step * 5, false, 1_188);
        raw += 1_200;
        assert!(raw - scene.sealed_bytes.min(raw) < 18_000, "more than a chunk is held");
    }
    assert!(scene.largest_output < 17_000);
}

#[test]
fn time_ends_a_segment_that_nothing_more_comes_for() {
    let mut scene = Scene::new(Codec::Opus);
    scene.packet(0, true, 100);
    scene.packet(1_000, true, 100);
    scene.engine.handle_timeout(4_499);
    scene.drain();
    assert_eq!(scene.segments.len(), 0, "something may be on its way");
    scene.engine.handle_timeout(4_500);
    scene.drain();
    assert_eq!(scene.spans(), [(0, 1_000)]);
    scene.engine.remove_track(scene.track, 5_000);
    scene.engine.handle_timeout(5_999);
    assert!(scene.engine.is_busy(SessionKey::new(scene.tenant, scene.session)));
    scene.engine.handle_timeout(6_000);
    scene.drain();
    assert_eq!(scene.ends, [(1_000, 1)]);
    assert!(!scene.engine.is_busy(SessionKey::new(scene.tenant, scene.session)));
}

#[test]
fn the_same_comes_of_the_same() {
    let run = || {
        let mut scene = Scene::new(Codec::Opus);
        let (tenant, session) = (scene.tenant, scene.session);
        for step in 0..400 {
            scene.packet(step * 20, true, 100);
            let state = match step {
                100 => RecordingState::Paused,
                150 => RecordingState::Recording,
                _ => continue,
            };
            scene.engine.set_state(SessionKey::new(tenant, session), state, step * 20);
            scene.give(step * 20, TapKind::Source { ssrc: 1, layer: 0 });
            scene.drain();
        }
        scene.give(9_000, TapKind::Lost(3));
        scene.engine.stop(9_000);
        scene.drain();
        (scene.spans(), scene.gaps, scene.items, scene.sealed_bytes)
    };
    let first = run();
    assert_eq!(first, run());
    assert_eq!(first.1[0], (2_000, 3_000, GapReason::Paused));
    assert_eq!(first.1[1], (7_980, 9_000, GapReason::Overload));
}

#[derive(Debug, Clone)]
enum Act {
    Packet { key: bool, jump: u16 },
    Source { ssrc: u32, layer: u8 },
    Codec(Codec),
    Gate(bool),
    Lost(u32),
    Ended,
    State(RecordingState),
    Disk(bool),
    Timeout,
    WriteFailed,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        12 => (any::<bool>(), 0_u16..3).prop_map(|(key, jump)| Act::Packet { key, jump }),
        1 => (1_u32..4, 0_u8..6).prop_map(|(ssrc, layer)| Act::Source { ssrc, layer }),
        1 => proptest::sample::select(Codec::ALL.to_vec()).prop_map(Act::Codec),
        1 => any::<bool>().prop_map(Act::Gate),
        1 => any::<u32>().prop_map(Act::Lost),
        1 => Just(Act::Ended),
        1 => proptest::sample::select(RecordingState::ALL.to_vec()).prop_map(Act::State),
        1 => any::<bool>().prop_map(Act::Disk),
        1 => Just(Act::Timeout),
        1 => Just(Act::WriteFailed),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_indexes_have_no_holes_and_segments_stay_short(
        acts in proptest::collection::vec((act(), 0_u64..1_500), 0..200),
    ) {
        let mut engine = Engine::new();
        let mut random = Counting::default();
        let (tenant, session) = (TenantId::generate(), SessionId::generate());
        let track = TrackId::generate();
        let room = RoomTrack {
            track,
            user: "u".parse().expect("valid"),
            name: String::new(),
            source: TrackSource::Camera,
            codec: Codec::Vp8,
        };
        engine.add_track(SessionKey::new(tenant, session), room);
        engine.set_state(SessionKey::new(tenant, session), RecordingState::Recording, 0);
        let (mut now_ms, mut sequence) = (1_000, 0_u16);
        let mut spans: std::collections::BTreeMap<RecordedTrackId, Vec<(u64, u64)>> =
            std::collections::BTreeMap::new();
        let mut tracks: std::collections::BTreeMap<RecordedTrackId, (u64, u64, bool)> =
            std::collections::BTreeMap::new();
        let mut open: Option<(RecordedTrackId, u64)> = None;
        for (act, pass_ms) in acts.into_iter().chain([(Act::Ended, 0)]) {
            now_ms += pass_ms;
            let packet;
            let mut gives_up = false;
            let kind = match act {
                Act::Packet { key, jump } => {
                    sequence = sequence.wrapping_add(jump);
                    let [high, low] = sequence.to_be_bytes();
                    packet = [0x80, 96, high, low, 0, 0, 0, 0, 0, 0, 0, 1];
                    Some(TapKind::Packet { bytes: &packet, key_frame_start: key })
                }
                Act::Source { ssrc, layer } => Some(TapKind::Source { ssrc, layer }),
                Act::Codec(codec) => Some(TapKind::Codec { payload_type: 96, codec }),
                Act::Gate(true) => Some(TapKind::GateOpened),
                Act::Gate(false) => Some(TapKind::GateClosed),
                Act::Lost(packets) => Some(TapKind::Lost(packets)),
                Act::Ended => Some(TapKind::Ended),
                Act::State(state) => {
                    engine.set_state(SessionKey::new(tenant, session), state, now_ms);
                    None
                }
                Act::Disk(full) => {
                    engine.handle_disk(if full { Disk::Full } else { Disk::Open }, now_ms);
                    None
                }
                Act::Timeout => {
                    engine.handle_timeout(now_ms);
                    None
                }
                Act::WriteFailed => {
                    if let Some((recorded, item)) = open {
                        engine.handle_write_failed(recorded, item, now_ms);
                        gives_up = true;
                    }
                    None
                }
            };
            if let Some(kind) = kind {
                engine.handle_item(&TapItem { track, at_us: now_ms * 1_000, kind }, &mut random);
            }
            while let Some(output) = engine.poll_output() {
                match output {
                    Output::Opened(opened) => {
                        prop_assert!(tracks.insert(opened.recorded, (0, 0, false)).is_none());
                    }
                    Output::Begun { recorded, item } => {
                        let (_, items, ended) = tracks.get_mut(&recorded).expect("opened");
                        prop_assert!(open.replace((recorded, item)).is_none() && !*ended);
                        prop_assert_eq!(item, *items);
                        *items += 1;
                    }
                    Output::Sealed { .. } => prop_assert!(open.is_some()),
                    Output::Abandoned { .. } => prop_assert!(open.take().is_some()),
                    Output::Finished { recorded, segment } => {
                        prop_assert_eq!(open.take().map(|it| it.0), Some(recorded));
                        let (segments, _, _) = tracks.get_mut(&recorded).expect("opened");
                        prop_assert_eq!(segment.index, *segments);
                        prop_assert!(segment.ms.1 - segment.ms.0 < 4_000);
                        prop_assert!(segment.rtp.0 <= segment.rtp.1);
                        *segments += 1;
                        spans.entry(recorded).or_default().push(segment.ms);
                    }
                    Output::Gap { recorded, item, ms, .. } => {
                        let (_, items, ended) = tracks.get_mut(&recorded).expect("opened");
                        prop_assert_eq!((item, *ended), (*items, false));
                        prop_assert!(ms.0 <= ms.1);
                        *items += 1;
                        spans.entry(recorded).or_default().push(ms);
                    }
                    Output::Rest { recorded, item, ms, .. } => {
                        let (_, items, ended) = tracks.get_mut(&recorded).expect("opened");
                        prop_assert_eq!((item, *ended), (*items, false));
                        prop_assert!(ms.0 < ms.1);
                        *items += 1;
                        spans.entry(recorded).or_default().push(ms);
                    }
                    Output::Ended { recorded, item, segments: told, .. } => {
                        let (segments, items, ended) = tracks.get_mut(&recorded).expect("opened");
                        prop_assert_eq!((item, told), (*items, *segments));
                        prop_assert!(!std::mem::replace(ended, true));
                    }
                }
            }
            prop_assert!(!gives_up || open.is_none(), "an open segment is given up");
        }
        for spans in spans.values() {
            let mut told_ms = spans[0].0;
            for (from_ms, to_ms) in spans {
                prop_assert!(*from_ms < told_ms + 1_000, "{told_ms}..{from_ms} of {spans:?}");
                told_ms = told_ms.max(*to_ms);
            }
        }
    }
}

#[test]
fn time_without_packets_is_told_as_closed_by_a_decision_or_as_silent() {
    let mut scene = Scene::new(Codec::Opus);
    let (tenant, session) = (scene.tenant, scene.session);
    scene.packet(0, true, 100);
    scene.packet(500, true, 100);
    scene.engine.set_decision(SessionKey::new(tenant, session), 7);
    scene.give(1_000, TapKind::GateClosed);
    assert_eq!(scene.spans(), [(0, 1_000)], "what follows is not recorded");
    scene.engine.set_decision(SessionKey::new(tenant, session), 8);
    scene.give(9_000, TapKind::GateOpened);
    scene.packet(12_000, true, 100);
    scene.packet(12_900, true, 100);
    let gated = Rest::Gated { decision: Some(7) };
    assert_eq!(scene.rests, [(1_000, 9_000, gated), (9_000, 12_000, Rest::Silent)]);
    // Nobody closed it, and nobody spoke.
    scene.engine.handle_timeout(17_000);
    scene.packet(40_000, true, 100);
    assert_eq!(scene.rests[2..], [(12_900, 40_000, Rest::Silent)]);
    assert_eq!(scene.gaps, []);
}

#[test]
fn a_gate_that_is_closed_over_a_pause_is_told_on_both_sides() {
    let mut scene = Scene::new(Codec::Opus);
    let (tenant, session) = (scene.tenant, scene.session);
    scene.packet(0, true, 100);
    scene.engine.set_decision(SessionKey::new(tenant, session), 3);
    scene.give(100, TapKind::GateClosed);
    scene.engine.set_state(SessionKey::new(tenant, session), RecordingState::Paused, 5_000);
    scene.give(5_000, TapKind::Ended);
    scene.engine.set_decision(SessionKey::new(tenant, session), 4);
    scene.engine.set_state(SessionKey::new(tenant, session), RecordingState::Recording, 8_000);
    scene.give(8_000, TapKind::Source { ssrc: 1, layer: 0 });
    scene.give(8_000, TapKind::GateClosed);
    scene.give(9_000, TapKind::GateOpened);
    scene.packet(9_100, true, 100);
    let gated = Rest::Gated { decision: Some(3) };
    assert_eq!(scene.rests, [(100, 5_000, gated), (8_000, 9_000, gated)]);
    assert_eq!(scene.gaps, [(5_000, 8_000, GapReason::Paused)]);
}

#[test]
fn a_packet_shows_that_the_gate_is_open_also_when_nobody_said_so() {
    let mut scene = Scene::new(Codec::Opus);
    let (tenant, session) = (scene.tenant, scene.session);
    scene.packet(0, true, 100);
    scene.engine.set_decision(SessionKey::new(tenant, session), 7);
    scene.give(100, TapKind::GateClosed);
    // The batch that said that it opened was refused.
    scene.packet(3_000, true, 100);
    scene.engine.handle_timeout(8_000);
    scene.packet(8_000, true, 100);
    let gated = Rest::Gated { decision: Some(7) };
    assert_eq!(scene.rests, [(100, 3_000, gated), (3_000, 8_000, Rest::Silent)]);
}

#[test]
fn a_loss_claims_no_time_that_is_explained_already() {
    let mut scene = Scene::new(Codec::Opus);
    let (tenant, session) = (scene.tenant, scene.session);
    scene.packet(0, true, 100);
    scene.engine.set_decision(SessionKey::new(tenant, session), 7);
    scene.give(100, TapKind::GateClosed);
    scene.give(10_000, TapKind::GateOpened);
    scene.give(10_400, TapKind::Lost(3));
    scene.packet(10_500, true, 100);
    assert_eq!(scene.rests, [(100, 10_000, Rest::Gated { decision: Some(7) })]);
    assert_eq!(scene.gaps, [(10_000, 10_400, GapReason::Overload)]);

    let mut scene = Scene::new(Codec::Opus);
    let (tenant, session) = (scene.tenant, scene.session);
    scene.packet(0, true, 100);
    scene.engine.set_state(SessionKey::new(tenant, session), RecordingState::Paused, 1_000);
    scene.give(1_000, TapKind::Ended);
    scene.engine.set_state(SessionKey::new(tenant, session), RecordingState::Recording, 3_600_000);
    scene.give(3_600_000, TapKind::Source { ssrc: 1, layer: 0 });
    scene.give(3_600_300, TapKind::Lost(3));
    scene.packet(3_600_400, true, 100);
    let lost = (3_600_000, 3_600_300, GapReason::Overload);
    assert_eq!(scene.gaps[1..], [lost], "the pause is told once");
}
