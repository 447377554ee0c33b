//! What connections asked for and got, so that a request that comes again is not
//! carried out twice.

use std::collections::{BTreeMap, VecDeque};

use crate::domain::id::ConnectionId;
use crate::room::action::{Action, Made};

/// Most requests of one connection that are remembered. A client that repeats an
/// older one has it carried out again.
const REMEMBERED_MAX: usize = 64;

/// A request that was carried out.
#[derive(Debug)]
pub(super) struct Done {
    id: String,
    action: Action,
    /// What it made.
    pub(super) made: Made,
}

/// See the module. A request that was refused is not remembered: it has changed
/// nothing, and may be tried again.
#[derive(Debug, Default)]
pub(super) struct Requests {
    done: BTreeMap<ConnectionId, VecDeque<Done>>,
}

impl Requests {
    /// The same request, if it was carried out before.
    pub(super) fn find(
        &self,
        connection: ConnectionId,
        id: Option<&str>,
        action: &Action,
    ) -> Option<&Done> {
        let id = id?;
        let done = self.done.get(&connection)?;
        done.iter().find(|done| done.id == id && done.action == *action)
    }

    pub(super) fn remember(
        &mut self,
        connection: ConnectionId,
        id: String,
        action: Action,
        made: Made,
    ) {
        let done = self.done.entry(connection).or_default();
        if done.len() >= REMEMBERED_MAX {
            done.pop_front();
        }
        done.push_back(Done { id, action, made });
    }

    pub(super) fn forget(&mut self, connection: ConnectionId) {
        self.done.remove(&connection);
    }
}
