#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Votes of the assembly, as governance tells of them. A vote that is told again is announced
//! again only if something else is said of it.

use serde::{Deserialize, Serialize};

use crate::domain::shown_text::ShownText;
use crate::domain::time::Timestamp;
use crate::room::action::Vote;
use crate::room::engine::RoomEngine;
use crate::room::error::RoomError;
use crate::room::event::Event;

/// Most votes that are remembered. A vote beyond them is announced as often as it is told under
/// another event id. Raising it costs memory and storage for each.
const VOTES_MAX: usize = 1_000;

/// What was announced of a vote. It is stored in this form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnnouncedVote {
    title: String,
    started_at: String,
    ends_at: Option<String>,
}

impl RoomEngine {
    /// A vote of the assembly has started, or something else is said of one that has: everybody
    /// is told. Nobody is told the same again.
    ///
    /// # Errors
    /// [`RoomError::Unprocessable`] when nothing of its title can be shown.
    pub fn handle_vote(&mut self, vote: Vote, now: Timestamp) -> Result<(), RoomError> {
        let title = ShownText::Title.cleaned(&vote.title);
        let title = title.ok_or(RoomError::Unprocessable("the title of a vote shows nothing"))?;
        let known = self.votes.get(&vote.id);
        let started_at = match (vote.started_at, known) {
            (None, Some(known)) => known.started_at.clone(),
            (said, _) => said.unwrap_or(now).to_string(),
        };
        let ends_at = vote.ends_at.map(|at| at.to_string());
        let announced = AnnouncedVote { title, started_at, ends_at };
        if known == Some(&announced) {
            return Ok(());
        }
        if known.is_some() || self.votes.len() < VOTES_MAX {
            self.votes.insert(vote.id.clone(), announced.clone());
        }
        let AnnouncedVote { title, started_at, ends_at } = announced;
        self.tell(Event::VoteAnnounced { vote_id: vote.id, title, started_at, ends_at }, now);
        self.apply_decisions(now);
        Ok(())
    }
}
