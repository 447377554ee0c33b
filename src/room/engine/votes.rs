#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! Votes of the assembly, as governance tells of them. A vote that is told again is announced
//! again only if something else is said of it.

use serde::{Deserialize, Serialize};

use crate::domain::shown_text::ShownText;
use crate::domain::time::Timestamp;
use crate::room::action::Vote;
use crate::room::engine::RoomEngine;
use crate::room::error::RoomError;
use crate::room::event::{Event, VoteView};

/// Most votes that are remembered. A vote beyond them is announced as often as it is told under
/// another event id. Raising it costs memory and storage for each.
const VOTES_MAX: usize = 1_000;
/// Most votes that whoever enters is told of, the newest. Raising it makes `welcome` larger for
/// everybody.
const SHOWN_MAX: usize = 50;

/// What was announced of a vote. It is stored in this form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnnouncedVote {
    title: String,
    started_at: String,
    ends_at: Option<String>,
}

impl AnnouncedVote {
    fn is_open(&self, now: Timestamp) -> bool {
        let ends_at = self.ends_at.as_deref().and_then(Timestamp::parse_rfc3339);
        ends_at.is_none_or(|ends_at| ends_at > now)
    }

    fn view(self, vote_id: String) -> VoteView {
        let Self { title, started_at, ends_at } = self;
        VoteView { vote_id, title, started_at, ends_at }
    }
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
        self.tell(Event::VoteAnnounced(announced.view(vote.id)), now);
        self.apply_decisions(now);
        Ok(())
    }

    /// Votes that were announced and are not over, in the order in which they started.
    pub(super) fn open_votes(&self, now: Timestamp) -> Vec<VoteView> {
        let open = self.votes.iter().filter(|(_, vote)| vote.is_open(now));
        let mut open: Vec<VoteView> =
            open.map(|(id, vote)| vote.clone().view(id.clone())).collect();
        open.sort_by(|one, other| one.started_at.cmp(&other.started_at));
        open.split_off(open.len().saturating_sub(SHOWN_MAX))
    }
}
