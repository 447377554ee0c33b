//! Whose speech is recognised first, and whose not at all.

use std::time::Duration;

use cabildo::domain::id::{SessionKey, TrackId};
use cabildo::domain::time::Timestamp;
use cabildo::transcriber::engine::Piece;
use cabildo::transcriber::engine::queue::{DEADLINE, PIECES_MAX, Queue};

use super::fixture::key;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_unix_us(1_800_000_000_000_000).after(Duration::from_millis(ms))
}

fn piece(key: SessionKey, track: TrackId, to_ms: u64) -> Piece {
    Piece {
        key,
        user: "ana".parse().expect("a user"),
        track,
        language: None,
        words: None,
        samples: vec![0.0; 16],
        from: at(0),
        to: at(to_ms),
    }
}

#[test]
fn of_two_hundred_who_speak_at_once_those_with_the_floor_are_recognised() {
    let key = key();
    let tracks: Vec<TrackId> = (0..200).map(|_| TrackId::generate()).collect();
    let (floor, loud) = (tracks[199], tracks[198]);
    let mut queue = Queue::default();
    queue.set_floor(key, Some(floor));
    queue.set_loudest(key, &[floor, loud]);
    let let_go: Vec<Piece> =
        tracks.iter().filter_map(|track| queue.push(piece(key, *track, 3_000))).collect();
    assert_eq!((queue.len(), let_go.len()), (PIECES_MAX, 200 - PIECES_MAX));
    assert!(let_go.iter().all(|piece| piece.track != floor && piece.track != loud));
    assert_eq!(queue.pop().expect("the first").track, floor);
    assert_eq!(queue.pop().expect("the second").track, loud);
    // Nobody else is recognised in time: all of it is told.
    assert!(queue.take_late(at(3_000).after(DEADLINE)).is_empty());
    let late = queue.take_late(at(3_001).after(DEADLINE));
    assert_eq!(late.len(), PIECES_MAX - 2);
    assert!(queue.is_empty());
}

#[test]
fn texts_of_a_track_come_in_the_order_in_which_they_were_said() {
    let (key, one, other) = (key(), TrackId::generate(), TrackId::generate());
    let mut queue = Queue::default();
    queue.set_floor(key, Some(one));
    assert_eq!(queue.push(piece(key, one, 100)), None);
    assert_eq!(queue.push(piece(key, one, 200)), None);
    assert_eq!(queue.push(piece(key, other, 50)), None);
    let first = queue.pop().expect("one");
    assert_eq!((first.track, first.to), (one, at(100)));
    // The second worker takes the other track, though it is less important.
    assert_eq!(queue.pop().expect("other").track, other);
    assert_eq!(queue.pop(), None);
    queue.done(one);
    assert_eq!(queue.pop().expect("one").to, at(200));
}

#[test]
fn who_has_the_floor_changes() {
    let (key, one, other) = (key(), TrackId::generate(), TrackId::generate());
    let mut queue = Queue::default();
    queue.set_floor(key, Some(one));
    queue.set_floor(key, Some(other));
    assert_eq!(queue.push(piece(key, one, 100)), None);
    assert_eq!(queue.push(piece(key, other, 200)), None);
    assert_eq!(queue.pop().expect("the floor").track, other);
    queue.forget(key);
    queue.done(other);
    assert_eq!(queue.push(piece(key, other, 200)), None);
    assert_eq!(queue.pop().expect("the first to be wanted").track, one);
}
