#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! What another eligible list changes for people who attend or attended: everybody who was told
//! their name and weight is told the new ones.

use std::collections::BTreeMap;

use crate::attendance::engine::Attendance;
use crate::attendance::event::AttendanceEvent;
use crate::attendance::presence::Person;
use crate::domain::attendance::Weight;
use crate::domain::id::UserId;

/// What the list says of somebody: their name and the weight of their units. Nothing of whoever is
/// not on it.
type Listed = (String, Weight);

impl Attendance {
    /// What the list says of each person of whom something was told.
    pub(super) fn listed_people(&self) -> BTreeMap<UserId, Listed> {
        let was_told = |person: &Person| {
            !person.intervals.is_empty() || person.hall.is_some() || person.remote.is_some()
        };
        let told = self.people.iter().filter(|(_, person)| was_told(person));
        told.map(|(user, _)| (user.clone(), self.listed(user))).collect()
    }

    fn listed(&self, user: &UserId) -> Listed {
        let Some(member) = self.roll().and_then(|roll| roll.member(user)) else {
            return Listed::default();
        };
        let weight = member.units.values().fold(Weight::ZERO, |sum, weight| sum.plus(*weight));
        (member.name.clone(), weight)
    }

    /// Tells of each of them who is listed with something else now. Whoever is on the list no more
    /// keeps their name.
    pub(super) fn tell_corrections(&mut self, before: BTreeMap<UserId, Listed>) {
        for (user_id, listed) in before {
            if self.listed(&user_id) == listed {
                continue;
            }
            let (name, _) = listed;
            let is_nameless = |person: &Person| person.name.is_empty() && !name.is_empty();
            if self.people.get(&user_id).is_some_and(is_nameless)
                && let Some(person) = self.people.get_mut(&user_id)
            {
                person.name = name;
            }
            self.events.push_back(AttendanceEvent::Corrected { user_id });
        }
    }
}
