//! What the camera made, on its way: to the server at once, or into the buffer while that can't be.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::buffer::Buffer;
use crate::files::Files;
use crate::media::{Group, Grouping, Made};

/// Bytes of what was sent and is not known to be kept by the server. A server that keeps nothing for
/// so long is sent nothing live. Raising it uses more memory.
const SENT_BYTES_MAX: usize = 16 << 20;
/// Pictures and packets of sound that wait to be sent. A connection that can't keep up is given up.
const LIVE_MAX: usize = 4_096;

#[derive(Debug)]
enum Link {
    /// Nothing can be sent.
    Down,
    /// A connection is being made, and what comes meanwhile is sent over it.
    Opening,
    /// What comes is sent.
    Live(mpsc::Sender<Made>),
}

/// What the camera made and is not known to have come.
#[derive(Debug)]
pub(crate) struct Pool<F> {
    grouping: Grouping,
    sent: VecDeque<Group>,
    buffer: Arc<Mutex<Buffer<F>>>,
    link: Link,
    /// Until when everything that was sent has arrived.
    arrived_us: i64,
    /// It is said that the disk takes nothing.
    is_in_memory: bool,
}

impl<F: Files> Pool<F> {
    /// Over a buffer.
    #[must_use]
    pub(crate) fn new(buffer: Arc<Mutex<Buffer<F>>>) -> Self {
        Self {
            grouping: Grouping::default(),
            sent: VecDeque::new(),
            buffer,
            link: Link::Down,
            arrived_us: i64::MIN,
            is_in_memory: false,
        }
    }

    /// What waits to be sent later.
    pub(crate) fn buffer(&self) -> MutexGuard<'_, Buffer<F>> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the camera made next.
    pub(crate) fn handle(&mut self, made: Made) {
        if let Link::Live(live) = &self.link
            && live.try_send(made.clone()).is_err()
        {
            self.cut();
        }
        if let Some(group) = self.grouping.handle(made) {
            self.keep(group);
        }
    }

    /// The camera has ended, for now or for ever.
    pub(crate) fn handle_end(&mut self) {
        if let Some(group) = self.grouping.finish() {
            self.keep(group);
        }
    }

    /// Whether a connection may be made: nothing waits that has to be sent before.
    pub(crate) fn open(&mut self) -> bool {
        let may = self.buffer().is_empty();
        if may {
            self.link = Link::Opening;
            self.arrived_us = i64::MIN;
        }
        may
    }

    /// The connection is made: what was made since [`Self::open`], and what comes.
    pub(crate) fn live(&mut self) -> mpsc::Receiver<Made> {
        let waiting: Vec<Made> = self
            .sent
            .iter()
            .flat_map(|group| &group.made)
            .chain(self.grouping.growing())
            .cloned()
            .collect();
        let (sender, receiver) = mpsc::channel(LIVE_MAX + waiting.len());
        for made in waiting {
            // The channel has room for all of them.
            drop(sender.try_send(made));
        }
        self.link = Link::Live(sender);
        receiver
    }

    /// The connection is over: what was sent over it in the last time waits to be sent again.
    pub(crate) fn cut(&mut self) {
        self.link = Link::Down;
        for group in std::mem::take(&mut self.sent) {
            self.store(&group);
        }
    }

    /// Everything that was made before has arrived.
    pub(crate) const fn arrived(&mut self, until_us: i64) {
        self.arrived_us = until_us;
    }

    /// The server keeps what was made before: what has arrived of it as well is not sent again.
    pub(crate) fn kept(&mut self, until_us: i64) {
        let until_us = until_us.min(self.arrived_us);
        while self.sent.pop_front_if(|it| it.ends_us <= until_us).is_some() {}
    }

    fn keep(&mut self, group: Group) {
        if matches!(self.link, Link::Down) {
            return self.store(&group);
        }
        self.sent.push_back(group);
        if self.sent.iter().map(Group::bytes).sum::<usize>() > SENT_BYTES_MAX {
            self.cut();
        }
    }

    fn store(&mut self, group: &Group) {
        let buffer = Arc::clone(&self.buffer);
        let mut buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner);
        let before = buffer.given_up();
        let pushed = buffer.push(group);
        if buffer.given_up() > before {
            tracing::warn!("the buffer is full: the oldest of what was not sent is given up");
        }
        drop(buffer);
        match pushed {
            Ok(()) => self.is_in_memory = false,
            Err(error) if !self.is_in_memory => {
                self.is_in_memory = true;
                tracing::warn!(%error, "the disk takes nothing: what can't be sent is kept in memory");
            }
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::Portion;
    use crate::files::Directory;
    use crate::media::tests::picture;

    fn pool(place: &tempfile::TempDir) -> Pool<Directory> {
        let files = Directory::open(place.path()).expect("a directory");
        Pool::new(Arc::new(Mutex::new(Buffer::open(files, 1 << 30).expect("opened"))))
    }

    fn film(pool: &mut Pool<Directory>, pictures: std::ops::Range<i64>) {
        for number in pictures {
            for made in picture(number * 40_000, number % 50 == 0) {
                pool.handle(made);
            }
        }
    }

    fn received(live: &mut mpsc::Receiver<Made>) -> Vec<i64> {
        let made = std::iter::from_fn(|| live.try_recv().ok());
        made.filter(|it| matches!(it, Made::Picture { .. })).map(|it| it.at_us() / 40_000).collect()
    }

    #[test]
    fn what_is_made_while_a_connection_is_made_is_sent_over_it_from_its_key_picture_on() {
        let place = tempfile::tempdir().expect("a directory");
        let mut pool = pool(&place);
        film(&mut pool, 0..60);
        assert!(!pool.open(), "two seconds wait in the buffer");
        let part = pool.buffer().next(&Portion::default()).expect("read").expect("a group");
        pool.buffer().sent(&part).expect("deleted");
        assert!(pool.open());
        film(&mut pool, 60..120);
        let mut live = pool.live();
        film(&mut pool, 120..125);
        assert_eq!(received(&mut live), (50..125).collect::<Vec<i64>>());
        assert!(pool.buffer().is_empty());
    }

    #[test]
    fn what_was_sent_before_a_cut_waits_again_and_the_camera_goes_on() {
        let place = tempfile::tempdir().expect("a directory");
        let mut pool = pool(&place);
        assert!(pool.open());
        let live = pool.live();
        film(&mut pool, 0..1_010);
        drop(live);
        film(&mut pool, 1_010..1_080);
        pool.handle_end();
        let part = pool.buffer().next(&Portion::default()).expect("read").expect("groups");
        let kept = crate::media::Kept::read(&part.bytes).expect("a container");
        assert_eq!(kept.base_us, 0, "nothing is known to be kept");
        assert_eq!(part.ends_us, 1_079 * 40_000);
    }

    #[test]
    fn only_what_has_arrived_and_is_kept_by_the_server_is_not_sent_again() {
        for (arrived_s, kept_s, first_s) in [(8, 20, 8), (20, 8, 8), (9, 9, 8), (0, 20, 0)] {
            let place = tempfile::tempdir().expect("a directory");
            let mut pool = pool(&place);
            assert!(pool.open());
            let live = pool.live();
            film(&mut pool, 0..1_000);
            pool.arrived(arrived_s * 1_000_000);
            pool.kept(kept_s * 1_000_000);
            drop(live);
            pool.cut();
            let part = pool.buffer().next(&Portion::default()).expect("read").expect("groups");
            let kept = crate::media::Kept::read(&part.bytes).expect("a container");
            assert_eq!(kept.base_us, first_s * 1_000_000, "{arrived_s} {kept_s}");
        }
    }

    #[test]
    fn what_the_server_does_not_keep_is_put_into_the_buffer_before_memory_is_full() {
        let place = tempfile::tempdir().expect("a directory");
        let mut pool = pool(&place);
        assert!(pool.open());
        let mut live = pool.live();
        for number in 0..20 {
            let units = vec![bytes::Bytes::from(vec![0x65; 1 << 20])];
            pool.handle(Made::Picture { at_us: number * 1_000_000, key: true, units });
        }
        assert!(pool.buffer().bytes() > 16 << 20, "nothing is lost");
        assert!(received(&mut live).len() < 20 && live.is_closed(), "it is not sent live any more");
    }
}
