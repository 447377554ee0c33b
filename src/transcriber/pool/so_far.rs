//! Text of what whoever has the floor is still saying. A thread of its own makes it, with a lower
//! priority than the workers, and only begins while one of these has nothing to do and no piece
//! waits: so text that stays is never late because of text that does not. One is made at a time.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::{Laned, Pool, Shared, Worker, chunk_of};
use crate::domain::id::TrackId;
use crate::domain::transcript::TranscriptChunk;
use crate::transcriber::engine::Piece;

/// How much lower the priority is than that of the media (`nice`): the lowest there is.
const NICENESS: i32 = 19;

/// What the thread has to do.
#[derive(Default)]
pub(super) enum State {
    /// There is no such thread.
    #[default]
    Off,
    /// Nothing.
    Free,
    /// This waits for it.
    Waiting(Piece),
    /// It is at what was said on this track.
    At(TrackId),
    /// It is at something of which nothing is told any more.
    GivenUp,
}

impl State {
    /// A piece of this track is complete: what was known of it before is of no use.
    pub(super) fn give_up(&mut self, track: TrackId) {
        match self {
            Self::Waiting(piece) if piece.track == track => *self = Self::Free,
            Self::At(at) if *at == track => *self = Self::GivenUp,
            _ => {}
        }
    }
}

impl Pool {
    /// The tracks of which text may be made while something is said: those with the floor, while
    /// there is room for it.
    pub(in crate::transcriber) fn wanted_so_far(&self) -> Vec<TrackId> {
        let state = self.shared.state();
        let has_room = matches!(state.so_far, State::Free)
            && state.idle > 0
            && state.queue.is_empty()
            && !state.stopping;
        if !has_room {
            return Vec::new();
        }
        let mut floors = state.queue.floors();
        // The text of what was said before it comes first.
        floors.retain(|track| !state.queue.is_busy(*track));
        floors
    }

    /// Has text made of what was said so far of a piece.
    pub(in crate::transcriber) fn offer_so_far(&self, piece: Piece) {
        let mut state = self.shared.state();
        if matches!(state.so_far, State::Free) {
            state.so_far = State::Waiting(piece);
            self.shared.wake_so_far.notify_one();
        }
    }
}

impl Shared {
    fn next_so_far(&self) -> Option<Piece> {
        let mut state = self.state();
        loop {
            if state.stopping {
                return None;
            }
            match std::mem::replace(&mut state.so_far, State::Free) {
                State::Waiting(mut piece) => {
                    if piece.language.is_none() {
                        piece.language = state.languages.get(&piece.track).cloned();
                    }
                    state.so_far = State::At(piece.track);
                    return Some(piece);
                }
                State::Off => state.so_far = State::Off,
                State::Free | State::At(_) | State::GivenUp => {}
            }
            state = self.wake_so_far.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Tells a text unless its piece is complete by now, so that it is never told after that. A
    /// lane of which half is full has no room for it.
    fn tell_so_far(&self, piece: &Piece, chunk: Option<TranscriptChunk>) {
        let mut state = self.state();
        let is_wanted = matches!(&state.so_far, State::At(track) if *track == piece.track);
        state.so_far = State::Free;
        let Some(chunk) = chunk.filter(|_| is_wanted) else { return };
        let lane = self.lane(piece.key).filter(|lane| lane.capacity() * 2 > lane.max_capacity());
        if lane.is_some_and(|lane| lane.try_send(Laned::SoFar(piece.key, chunk)).is_ok()) {
            self.counters.so_far.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Worker {
    /// Makes text of what is still being said, until the pool stops.
    pub(super) fn run_so_far(mut self) {
        if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
            tracing::warn!(%error, "a thread of the transcriber keeps the priority of the media");
        }
        while let Some(piece) = self.shared.next_so_far() {
            // What an engine fails at now, it is asked again once the piece is complete.
            let heard = self.recognise(&piece).ok().filter(|heard| !heard.text.is_empty());
            let chunk =
                heard.map(|heard| TranscriptChunk { is_final: false, ..chunk_of(&piece, heard) });
            self.shared.tell_so_far(&piece, chunk);
        }
    }
}
