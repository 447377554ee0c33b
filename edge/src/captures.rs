//! The captures on the disk of the box, each in a directory of its own: what is kept of one, which
//! one goes on after a cut, and which ones are over and have to be brought to their end.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::buffer::{Buffer, times_of};
use crate::clock::{Anchor, EdgeClock, Reading};
use crate::files::{Files as _, Place, Root};

const STATE: &str = "capture.json";
/// How the names of directories begin with what a capture that was closed elsewhere did not take.
const ASIDE: &str = "unsent-";
/// A capture that a cut of power has ended goes on when the box is back within this time. Raising it
/// puts another meeting into the capture of the one before.
const GOES_ON_US_MAX: i64 = 5 * 60 * 1_000_000;
/// Digits of the time in the name of a directory, so that names have the order of times.
const DIGITS: usize = 20;

/// What is kept of a capture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) session: String,
    pub(crate) device: String,
    pub(crate) began_us: i64,
    /// When it ended, once it has.
    pub(crate) ended_us: Option<i64>,
    pub(crate) clock: Anchor,
    /// How long was to be captured, when that was said.
    #[serde(default)]
    pub(crate) wanted_us: Option<i64>,
    /// When so much is captured.
    #[serde(default)]
    pub(crate) until_us: Option<i64>,
    /// When the box is known to have captured last.
    #[serde(default)]
    pub(crate) seen_us: i64,
    /// For how long the camera gave no pictures.
    #[serde(default)]
    pub(crate) camera_missing_us: i64,
    /// How much of it was given up by processes before this one.
    #[serde(default)]
    pub(crate) given_up_before_us: i64,
    /// The same, with this one.
    #[serde(default)]
    pub(crate) given_up_us: i64,
}

/// A capture with what of it waits.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) state: State,
    pub(crate) clock: EdgeClock,
    pub(crate) store: Store,
    /// It goes on after a cut.
    pub(crate) is_resumed: bool,
}

/// What is kept of a capture that is made or brought to its end.
#[derive(Debug)]
pub(crate) struct Record {
    state: Mutex<State>,
    /// Held while it is written, so that what is written last is the newest.
    writing: Mutex<()>,
    store: Store,
}

impl Record {
    /// As it was found.
    pub(crate) const fn new(state: State, store: Store) -> Self {
        Self { state: Mutex::new(state), writing: Mutex::new(()), store }
    }

    /// What is kept.
    pub(crate) fn state(&self) -> State {
        lock(&self.state).clone()
    }

    /// Changes it.
    ///
    /// # Errors
    /// When it can't be written.
    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) -> io::Result<()> {
        tokio::task::block_in_place(|| {
            let _writing = lock(&self.writing);
            change(&mut lock(&self.state));
            let state = self.state();
            save(&self.store, &state)
        })
    }
}

/// What waits of a capture.
pub(crate) type Store = Arc<Mutex<Buffer<Place>>>;

/// What is to be captured.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// How the box names itself.
    pub(crate) device: String,
    /// How long, when that is said.
    pub(crate) whole_us: Option<i64>,
    /// Bytes of all that waits.
    pub(crate) buffer_limit: u64,
}

/// The capture that goes on or begins, and those that are over, the oldest first.
pub(crate) fn find(root: &mut Root, wanted: &Wanted) -> (Stored, Vec<Stored>) {
    if let Err(error) = take_over(root, &wanted.device) {
        tracing::warn!(%error, "a capture of an earlier version can't be taken over now");
    }
    let names = root.places().unwrap_or_else(|error| {
        tracing::warn!(%error, "what is left of earlier captures can't be read now");
        Vec::new()
    });
    let aside =
        names.iter().filter(|it| it.starts_with(ASIDE)).map(|it| tell_aside(root.place(it)));
    let aside: u64 = aside.sum();
    let mut over = Vec::new();
    for name in names {
        match stored(root.place(&name), &name, wanted) {
            Ok(found) => over.extend(found),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                tracing::info!(name, "another process brings this capture to its end");
            }
            Err(error) => tracing::warn!(name, %error, "an earlier capture can't be read now"),
        }
    }
    let goes_on = over.last().and_then(|it| going_on(it, wanted));
    let current = match goes_on.and_then(|state| Some((state, over.pop()?))) {
        Some((state, stored)) => {
            tracing::info!(capture = %state.session, "a capture goes on");
            Stored { state, is_resumed: true, ..stored }
        }
        None => begin(root, wanted),
    };
    for Stored { state, store, .. } in &mut over {
        let last_us = lock(store).last_us().unwrap_or(0);
        state.ended_us.get_or_insert(state.seen_us.max(last_us).max(state.began_us));
    }
    let before = over.iter().map(|it| Arc::clone(&it.store)).collect();
    lock(&current.store).come_after(before, aside);
    (current, over)
}

/// The capture as it goes on now, if it does.
fn going_on(stored: &Stored, wanted: &Wanted) -> Option<State> {
    let last_us = lock(&stored.store).last_us().unwrap_or(0);
    let is_known = stored.clock.follows(&stored.state.clock, &Reading::now());
    let now_us = stored.clock.now_us();
    let state = resumed(&stored.state, wanted, (last_us, now_us)).filter(|_| is_known)?;
    Some(State { clock: stored.clock.anchor().clone(), ..state })
}

fn resumed(state: &State, wanted: &Wanted, (last_us, now_us): (i64, i64)) -> Option<State> {
    let seen_us = state.seen_us.max(last_us).max(state.began_us);
    let away_us = now_us.saturating_sub(seen_us).max(0);
    let is_over = state.ended_us.is_some() || state.until_us.is_some_and(|it| it <= now_us);
    if state.device != wanted.device || is_over || away_us > GOES_ON_US_MAX {
        return None;
    }
    let until_us = if state.wanted_us == wanted.whole_us {
        // What was not captured meanwhile is captured afterwards.
        state.until_us.map(|it| it.saturating_add(away_us))
    } else {
        wanted.whole_us.map(|it| now_us.saturating_add(it))
    };
    Some(State {
        wanted_us: wanted.whole_us,
        until_us,
        seen_us: now_us,
        given_up_before_us: state.given_up_us,
        ..state.clone()
    })
}

fn begin(root: &Root, wanted: &Wanted) -> Stored {
    let clock = EdgeClock::begin(Reading::now());
    let began_us = clock.now_us();
    let state = State {
        session: named(&wanted.device),
        device: wanted.device.clone(),
        began_us,
        ended_us: None,
        clock: clock.anchor().clone(),
        wanted_us: wanted.whole_us,
        until_us: wanted.whole_us.map(|it| began_us.saturating_add(it)),
        seen_us: began_us,
        camera_missing_us: 0,
        given_up_before_us: 0,
        given_up_us: 0,
    };
    let files = root.place(&place_of(&state));
    let store = Arc::new(Mutex::new(Buffer::new(files, wanted.buffer_limit)));
    Stored { state, clock, store, is_resumed: false }
}

/// A name for a new capture.
pub(crate) fn named(device: &str) -> String {
    format!("{device}-{}", uuid::Uuid::new_v4().simple())
}

fn place_of(state: &State) -> String {
    format!("{:0DIGITS$}-{}", state.began_us, state.session)
}

/// What is in a directory, if it is one of a capture.
fn stored(mut files: Place, name: &str, wanted: &Wanted) -> io::Result<Option<Stored>> {
    let Some((began, session)) = name.split_at_checked(DIGITS) else { return Ok(None) };
    let (Ok(began_us), Some(session)) = (began.parse(), session.strip_prefix('-')) else {
        return Ok(None);
    };
    let state = match files.read(STATE) {
        // One that is damaged is as if there were none.
        Ok(bytes) => serde_json::from_slice(&bytes).ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let mut buffer = Buffer::open(files, wanted.buffer_limit)?;
    let last_us = buffer.last_us();
    if state.is_none() && last_us.is_none() {
        return buffer.files().leave().map(|()| None);
    }
    let last_us = last_us.unwrap_or(0);
    let state = state.unwrap_or_else(|| recovered(session, began_us, last_us));
    let clock = EdgeClock::resume(state.clock.clone(), last_us, Reading::now());
    let store = Arc::new(Mutex::new(buffer));
    Ok(Some(Stored { state, clock, store, is_resumed: false }))
}

/// A capture of which there are groups only, as the disk was full when it began.
fn recovered(session: &str, began_us: i64, last_us: i64) -> State {
    let device = session.rsplit_once('-').map_or(session, |(device, _)| device);
    State {
        session: session.to_owned(),
        device: device.to_owned(),
        began_us,
        ended_us: Some(last_us),
        clock: Anchor { boot: String::new(), since_boot_us: 0, shown_us: last_us },
        wanted_us: None,
        until_us: None,
        seen_us: last_us,
        camera_missing_us: 0,
        given_up_before_us: 0,
        given_up_us: 0,
    }
}

/// Earlier versions kept one capture, in the directory of the box itself.
fn take_over(root: &mut Root, device: &str) -> io::Result<()> {
    let Some(files) = root.files() else { return Ok(()) };
    let names: Vec<String> = files.list()?.into_iter().map(|(name, _)| name).collect();
    let groups = names.iter().filter_map(|name| Some((times_of(name)?, name.clone())));
    let mut groups: Vec<_> = groups.collect();
    groups.sort();
    let state = names.iter().any(|it| it == STATE).then(|| files.read(STATE)).transpose()?;
    let state: Option<State> = state.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let first_us = groups.first().map(|((begins_us, _), _)| *begins_us);
    let place = match (&state, first_us) {
        (Some(state), _) => place_of(state),
        (None, Some(began_us)) => format!("{began_us:0DIGITS$}-{}", named(device)),
        (None, None) => return Ok(()),
    };
    let mut all: Vec<String> = groups.into_iter().map(|(_, name)| name).collect();
    // What says whose they are comes last: until then the rest is taken over at the next start.
    all.extend(state.map(|_| STATE.to_owned()));
    root.take_in(&all, &place)
}

/// Keeps what is known of a capture.
///
/// # Errors
/// When it can't be written.
fn save(store: &Store, state: &State) -> io::Result<()> {
    let text = serde_json::to_vec(state).map_err(io::Error::other)?;
    lock(store).files().write(STATE, &text)
}

/// Deletes what is kept of a capture.
///
/// # Errors
/// When something can't be deleted now: the next start does it.
pub(crate) fn forget(store: &Store) -> io::Result<()> {
    let mut buffer = lock(store);
    let forgotten = buffer.forget_until(i64::MAX);
    buffer.files().remove(STATE)?;
    forgotten?;
    buffer.files().leave()
}

/// Keeps what waits of a capture that takes nothing more under another name, where no start sends or
/// deletes it; where, and how many bytes.
pub(crate) fn set_aside(store: &Store) -> (PathBuf, u64) {
    let mut buffer = lock(store);
    if let Err(error) = buffer.write_memory() {
        tracing::warn!(%error, "the disk does not take what is in memory, which is lost");
    }
    let name = buffer.files().path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    if let Err(error) = buffer.files().rename(&[ASIDE, &name].concat()) {
        // The next start finds it, and tries again.
        tracing::warn!(%error, "what was not sent can't be renamed now, and stays as it is");
    }
    let bytes = buffer.set_aside();
    (buffer.files().path().to_owned(), bytes)
}

/// Says what is kept of a capture that was closed elsewhere; how many bytes.
fn tell_aside(mut files: Place) -> u64 {
    let path = files.path().display().to_string();
    match files.list() {
        Ok(all) => {
            let groups = all.iter().filter(|(name, _)| times_of(name).is_some());
            let bytes = groups.map(|(_, bytes)| bytes).sum();
            tracing::warn!(path, bytes, "a capture that was closed elsewhere did not take this");
            bytes
        }
        Err(error) => {
            tracing::warn!(path, %error, "what a capture did not take can't be read now");
            0
        }
    }
}

pub(crate) fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::Portion;
    use crate::media::container;
    use crate::media::tests::group;

    const S: i64 = 1_000_000;

    fn wanted(seconds: Option<i64>) -> Wanted {
        let whole_us = seconds.map(|it| it * S);
        Wanted { device: "box".to_owned(), whole_us, buffer_limit: 1 << 30 }
    }

    fn state(seconds: Option<i64>) -> State {
        State {
            session: "box-1".to_owned(),
            device: "box".to_owned(),
            began_us: 1_000 * S,
            ended_us: None,
            clock: EdgeClock::begin(Reading::now()).anchor().clone(),
            wanted_us: seconds.map(|it| it * S),
            until_us: seconds.map(|it| (1_000 + it) * S),
            seen_us: 1_100 * S,
            camera_missing_us: 0,
            given_up_before_us: 0,
            given_up_us: 0,
        }
    }

    #[test]
    fn a_capture_goes_on_while_it_has_time_and_was_cut_a_short_time_ago() {
        let until = |state: &State, seconds, now: i64| {
            let found = resumed(state, &wanted(seconds), (1_110 * S, now * S));
            found.map(|it| it.until_us.map(|it| it / S))
        };
        let hour = state(Some(3_600));
        assert_eq!(until(&hour, Some(3_600), 1_170), Some(Some(4_660)), "the cut is added");
        assert_eq!(until(&hour, Some(60), 1_170), Some(Some(1_230)), "another time is wanted");
        assert_eq!(until(&hour, None, 1_170), Some(None));
        assert_eq!(until(&hour, Some(3_600), 1_410), Some(Some(4_900)));
        assert_eq!(until(&hour, Some(3_600), 1_411), None, "it is another meeting");
        assert_eq!(until(&state(None), None, 90_000), None, "it is another day");
        assert_eq!(until(&state(Some(150)), Some(150), 1_150), None, "its time is over");
        assert_eq!(until(&State { ended_us: Some(1), ..state(None) }, None, 1_120), None);
        assert_eq!(until(&State { device: "b".to_owned(), ..state(None) }, None, 1_120), None);
    }

    #[test]
    fn what_an_earlier_version_kept_is_taken_over() {
        for has_state in [true, false] {
            let place = tempfile::tempdir().expect("a directory");
            let mut root = Root::open(place.path()).expect("opened");
            let files = root.files().expect("a directory");
            let (one, other) = (group(1_000 * S), group(1_002 * S));
            for it in [&one, &other] {
                let name = format!("{:020}-{:020}.group", it.begins_us(), it.ends_us);
                files.write(&name, &container(it)).expect("written");
            }
            if has_state {
                let anchor = serde_json::to_value(state(None).clock).expect("JSON");
                let old = serde_json::json!({
                    "session": "box-1", "device": "box", "began_us": 1_000 * S,
                    "ended_us": null, "clock": anchor,
                });
                files.write(STATE, old.to_string().as_bytes()).expect("written");
            }
            let (current, over) = find(&mut root, &wanted(None));
            let [old] = over.as_slice() else { panic!("{over:?}") };
            assert_eq!((old.state.began_us, old.state.ended_us), (1_000 * S, Some(1_004 * S)));
            assert_eq!(old.state.session == "box-1", has_state);
            let part = lock(&old.store).next(&Portion::default()).expect("read").expect("groups");
            assert_eq!(part.ends_us, 1_004 * S);
            assert_ne!(current.state.session, old.state.session);
            assert_eq!(root.files().expect("one").list().expect("listed"), []);
            forget(&old.store).expect("deleted");
            assert_eq!(root.places().expect("listed"), [] as [String; 0]);
        }
    }

    #[test]
    fn a_capture_of_which_only_groups_could_be_written_is_found() {
        let place = tempfile::tempdir().expect("a directory");
        let mut root = Root::open(place.path()).expect("opened");
        let (current, _) = find(&mut root, &wanted(None));
        let (session, began_us) = (current.state.session.clone(), current.state.began_us);
        lock(&current.store).push(&group(began_us)).expect("written");
        drop(current);
        let (_, over) = find(&mut root, &wanted(None));
        let [old] = over.as_slice() else { panic!("{over:?}") };
        assert_eq!((&old.state.session, old.state.began_us), (&session, began_us));
        assert_eq!(old.state.device, "box");
    }
}
