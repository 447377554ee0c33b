//! Events from outside that lead to changes.

/// Names an event from outside by what is unique of it: its `source` and its `id`,
/// as `CloudEvents` has them. What it leads to in a session is done once, however
/// often it arrives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival {
    /// Who tells it.
    pub source: String,
    /// Which of theirs it is.
    pub id: String,
}
