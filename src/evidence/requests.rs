//! What a scribe is asked, and by what it is reached.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use tokio::sync::{Notify, mpsc, oneshot};

use crate::domain::claim::Fence;
use crate::evidence::EventKind;
use crate::evidence::error::EvidenceError;
use crate::evidence::media::{MediaEntry, Rest, TrackTail};
use crate::evidence::repository::Hash;

/// Most requests that wait for one log; a further one is refused as unavailable.
/// Raising it raises the memory that a store which does not answer costs.
pub const WAITING_MAX: usize = 1_024;
/// How a request is answered: with the `seq` of its entry.
pub(super) type Answer = oneshot::Sender<Result<u64, EvidenceError>>;

/// What a log is asked to take.
#[derive(Debug, Clone)]
pub(super) enum Request {
    Open { policy: String },
    Note { kind: EventKind, text: String },
    Media(MediaEntry),
    Erase { target_seq: u64, reason: u32, wrapped_key_hash: Hash },
    Close { tails: Vec<TrackTail>, reason: u32 },
}

impl Request {
    /// Whether the room's decisions have to be in the log first, of which it has
    /// those up to `known`.
    pub(super) fn needs_decisions(&self, known: u64) -> bool {
        match self {
            Self::Close { .. } => true,
            Self::Media(MediaEntry::Rest { rest, .. }) => {
                matches!(rest, Rest::Gated { decision: Some(decision) } if *decision > known)
            }
            _ => false,
        }
    }
}

/// A request and who waits for it.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) request: Request,
    /// What the write of its entry names.
    pub(super) fence: Option<Fence>,
    pub(super) answer: Answer,
}

/// The sending side of a scribe.
#[derive(Debug, Clone)]
pub(super) struct ScribeHandle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) signals: Arc<Signals>,
}

/// State that a scribe shares without a queue.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// The room's journal has grown.
    pub(super) nudged: AtomicBool,
    pub(super) nudge: Notify,
    /// When the oldest entry without a head was stored, microseconds since
    /// 1970; 0 when all are covered.
    pub(super) uncovered_since_us: AtomicI64,
}

impl Signals {
    /// Tells the scribe that the room's journal has grown.
    pub(super) fn nudge(&self) {
        self.nudged.store(true, Ordering::Release);
        self.nudge.notify_one();
    }

    /// Whether the room's journal has grown since the scribe last looked.
    pub(super) fn is_nudged(&self) -> bool {
        self.nudged.load(Ordering::Acquire)
    }

    pub(super) fn uncovered_since_us(&self) -> i64 {
        self.uncovered_since_us.load(Ordering::Relaxed)
    }
}
