//! The requests to a scribe, and the handle by which it is reached.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use tokio::sync::{Notify, mpsc, oneshot};

use crate::domain::claim::Fence;
use crate::evidence::EventKind;
use crate::evidence::error::EvidenceError;
use crate::evidence::media::{MediaEntry, Rest, TrackTail};
use crate::evidence::repository::Hash;

/// Most requests that wait for one log; further ones are refused as unavailable. Raising it raises
/// the memory used while the store does not answer.
pub const WAITING_MAX: usize = 1_024;
/// The channel for the answer to a request: the `seq` of its entry.
pub(super) type Answer = oneshot::Sender<Result<u64, EvidenceError>>;

/// A request to a log.
#[derive(Debug, Clone)]
pub(super) enum Request {
    Open { policy: String },
    Note { kind: EventKind, text: String },
    Media(MediaEntry),
    Erase { target_seq: u64, reason: u32, wrapped_key_hash: Hash },
    Close { tails: Vec<TrackTail>, reason: u32 },
}

impl Request {
    /// Whether the decisions of the room up to some number must be in the log before this request,
    /// and the log has them only up to `known`.
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

/// A request and the channel for its answer.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) request: Request,
    /// The claim that the write of its entry names.
    pub(super) fence: Option<Fence>,
    pub(super) answer: Answer,
}

/// The sending side of the queue of a scribe.
#[derive(Debug, Clone)]
pub(super) struct ScribeHandle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) signals: Arc<Signals>,
}

/// State that is shared with a scribe without a queue.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// Whether the room has stored new events.
    pub(super) nudged: AtomicBool,
    pub(super) nudge: Notify,
    /// When the oldest entry without a head was stored, in microseconds since 1970; 0 when a head
    /// covers all entries.
    pub(super) uncovered_since_us: AtomicI64,
}

impl Signals {
    /// Tells the scribe that the room has stored new events.
    pub(super) fn nudge(&self) {
        self.nudged.store(true, Ordering::Release);
        self.nudge.notify_one();
    }

    /// Whether the room has stored new events since this was last called.
    pub(super) fn is_nudged(&self) -> bool {
        self.nudged.load(Ordering::Acquire)
    }

    pub(super) fn uncovered_since_us(&self) -> i64 {
        self.uncovered_since_us.load(Ordering::Relaxed)
    }
}
