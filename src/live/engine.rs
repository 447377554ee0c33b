#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Decides what viewers of a session are shown: the pictures of whoever is chosen, from a key picture
//! on, or a card while nobody can be seen. Input is what is chosen and what taps tell; output is
//! packets of pictures and of sound. No clock, no I/O.

mod card;
pub mod taps;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use bytes::Bytes;

use self::card::Card;
use crate::cameras::DevicePacket;
use crate::cameras::engine::pictures::VideoPacket;
use crate::domain::camera::Unseen;
use crate::domain::id::TrackId;
use crate::domain::media::{Codec, MediaKind};
use crate::formats::codec::is_key_frame_start;
use crate::sfu::tap::{TapBatch, TapKind};
use crate::uplinks::Packets;

/// How long the first key picture is waited for, and that of whoever is chosen next while nothing
/// comes of whoever is shown. Raising it shows the card later.
pub const KEY_PICTURE_MAX: Duration = Duration::from_millis(1_500);
/// After so long without a packet whoever is shown is seen no more. A screen on which nothing moves
/// is sent once a second. Raising it shows a picture that stands still for longer.
pub const SILENT_MAX: Duration = Duration::from_secs(3);
/// Pictures of the card that are caught up with at once; more are left out, as the time of those who
/// watch went on without them.
const CARDS_AT_ONCE: u32 = 20;

/// What a receiver of one picture and one sound is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chosen {
    /// Whose sound.
    pub sound: Option<TrackId>,
    /// Whose pictures, and in which codec they are said to be.
    pub pictures: Option<(TrackId, Codec)>,
}

/// What follows, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// Pictures come from somewhere else from here on, beginning with a key picture.
    OtherPictures,
    /// Why nobody is seen from here on; nothing when somebody is.
    Unseen(Option<Unseen>),
    /// A packet of pictures.
    Pictures(VideoPacket),
    /// Sound comes from somewhere else from here on.
    OtherSound,
    /// A packet of sound.
    Sound {
        /// Its stamp, extended by the wraps.
        ticks: i64,
        /// How many packets before it did not come.
        lost: u64,
        /// Its payload.
        payload: Bytes,
    },
}

/// A track that is listened to.
#[derive(Debug)]
struct Heard {
    track: TrackId,
    packets: Packets,
}

impl Heard {
    fn new(track: TrackId, kind: MediaKind) -> Self {
        Self { track, packets: Packets::of(&[(track, kind)]) }
    }
}

/// What is on the screen.
#[derive(Debug)]
enum Screen {
    /// Nothing yet; the card from this time on.
    Empty(Instant),
    /// The card.
    Card(Card),
    /// Somebody, of whom the last packet came then.
    Somebody(Heard, Instant),
}

/// What viewers of one session are shown.
#[derive(Debug)]
pub struct Stage {
    chosen: Chosen,
    screen: Screen,
    unseen: Option<Unseen>,
    /// Whoever is shown next, once a key picture comes.
    next: Option<Heard>,
    sound: Option<Heard>,
    out: Vec<Shown>,
}

impl Stage {
    /// What is shown when these are chosen.
    #[must_use]
    pub fn new(chosen: Chosen, now: Instant) -> Self {
        let mut stage = Self {
            chosen,
            screen: Screen::Empty(now),
            unseen: None,
            next: None,
            sound: chosen.sound.map(|track| Heard::new(track, MediaKind::Audio)),
            out: Vec::new(),
        };
        if let Some((track, Codec::H264)) = chosen.pictures {
            stage.next = Some(Heard::new(track, MediaKind::Video));
            stage.screen = Screen::Empty(now + KEY_PICTURE_MAX);
        }
        stage
    }

    /// The tracks that are to be tapped.
    #[must_use]
    pub fn taps(&self) -> BTreeSet<TrackId> {
        let others = self.next.iter().chain(&self.sound).map(|it| it.track);
        others.chain(self.shown()).collect()
    }

    /// Takes what follows.
    pub fn poll(&mut self) -> Vec<Shown> {
        std::mem::take(&mut self.out)
    }

    /// Others are chosen.
    pub fn handle_chosen(&mut self, chosen: Chosen, now: Instant) {
        let before = std::mem::replace(&mut self.chosen, chosen);
        if before.sound != chosen.sound {
            self.sound = chosen.sound.map(|track| Heard::new(track, MediaKind::Audio));
            self.out.push(Shown::OtherSound);
        }
        if before.pictures == chosen.pictures {
            return;
        }
        self.next = None;
        match chosen.pictures {
            Some((track, Codec::H264)) if self.shown() == Some(track) => {}
            Some((track, Codec::H264)) => {
                self.next = Some(Heard::new(track, MediaKind::Video));
                if let Screen::Card(_) = self.screen {
                    self.tell_unseen(Some(Unseen::PicturesStopped));
                }
            }
            // Nobody comes next, so whoever was shown is not to be seen any more.
            _ => self.show_card(now),
        }
    }

    /// What taps tell.
    pub fn handle_batch(&mut self, batch: &TapBatch, now: Instant) {
        self.handle_sound(batch);
        if !self.handle_next(batch, now) {
            self.handle_shown(batch, now);
        }
    }

    /// When something is due.
    #[must_use]
    pub fn poll_timeout(&self) -> Instant {
        // Whoever is chosen next is waited for no longer than for a first picture.
        let patience = if self.next.is_some() { KEY_PICTURE_MAX } else { SILENT_MAX };
        match &self.screen {
            Screen::Empty(until) => *until,
            Screen::Card(card) => card.due_at(),
            Screen::Somebody(_, heard_at) => *heard_at + patience,
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout() > now {
            return;
        }
        match &mut self.screen {
            Screen::Empty(_) | Screen::Somebody(..) => self.show_card(now),
            Screen::Card(card) => {
                self.out.extend(card.take(now, CARDS_AT_ONCE).into_iter().map(Shown::Pictures));
            }
        }
    }

    /// Whoever is on the screen.
    const fn shown(&self) -> Option<TrackId> {
        match &self.screen {
            Screen::Somebody(heard, _) => Some(heard.track),
            Screen::Empty(_) | Screen::Card(_) => None,
        }
    }

    /// Shows the card. Whoever is chosen comes back with a key picture.
    fn show_card(&mut self, now: Instant) {
        self.tell_unseen(Some(match self.chosen.pictures {
            None => Unseen::Nobody,
            Some((_, Codec::H264)) => Unseen::PicturesStopped,
            Some(_) => Unseen::CodecUnsupported,
        }));
        if matches!(self.screen, Screen::Card(_)) {
            return;
        }
        self.out.push(Shown::OtherPictures);
        let before = std::mem::replace(&mut self.screen, Screen::Card(Card::new(now)));
        // Its tap goes on, and does not tell again what it has told.
        if let (Screen::Somebody(heard, _), None) = (before, &self.next)
            && self.chosen.pictures == Some((heard.track, Codec::H264))
        {
            self.next = Some(heard);
        }
        self.handle_timeout(now);
    }

    fn tell_unseen(&mut self, unseen: Option<Unseen>) {
        if self.unseen != unseen {
            self.unseen = unseen;
            self.out.push(Shown::Unseen(unseen));
        }
    }

    fn handle_sound(&mut self, batch: &TapBatch) {
        let Some(heard) = &mut self.sound else { return };
        heard.packets.handle(batch);
        for packet in heard.packets.poll() {
            if let DevicePacket::Sound { ticks, lost, payload } = packet {
                self.out.push(Shown::Sound { ticks, lost, payload });
            }
        }
    }

    /// Whoever is chosen next is shown from a key picture on: whether that came.
    fn handle_next(&mut self, batch: &TapBatch, now: Instant) -> bool {
        let Some(mut heard) = self.next.take() else { return false };
        heard.packets.handle(batch);
        let packets = heard.packets.poll().into_iter().filter_map(pictures);
        let mut packets = packets.skip_while(|it| !is_key_frame_start(Codec::H264, &it.payload));
        let Some(first) = packets.next() else {
            self.next = Some(heard);
            return false;
        };
        self.tell_unseen(None);
        self.out.push(Shown::OtherPictures);
        // What was lost before was of no picture that is shown.
        self.out.push(Shown::Pictures(VideoPacket { lost: 0, ..first }));
        self.out.extend(packets.map(Shown::Pictures));
        self.screen = Screen::Somebody(heard, now);
        true
    }

    /// Whoever is shown goes on, or is to be seen no more.
    fn handle_shown(&mut self, batch: &TapBatch, now: Instant) {
        let Screen::Somebody(heard, heard_at) = &mut self.screen else { return };
        heard.packets.handle(batch);
        let mut is_over = false;
        for item in batch.items().filter(|item| item.track == heard.track) {
            match item.kind {
                TapKind::Packet { .. } => *heard_at = now,
                TapKind::GateClosed | TapKind::Ended => is_over = true,
                TapKind::GateOpened => is_over = false,
                _ => {}
            }
        }
        if is_over {
            heard.packets.flush();
        }
        let packets = heard.packets.poll().into_iter().filter_map(pictures);
        self.out.extend(packets.map(Shown::Pictures));
        if is_over {
            self.show_card(now);
        }
    }
}

fn pictures(packet: DevicePacket) -> Option<VideoPacket> {
    match packet {
        DevicePacket::Pictures(packet) => Some(packet),
        DevicePacket::Sound { .. } => None,
    }
}
