//! The eligible list: members, their units, and what the units weigh.

use std::collections::BTreeMap;

use crate::domain::attendance::{UnitId, Weight};
use crate::domain::id::UserId;
use crate::domain::shown_text::ShownText;

/// Most members of a list. Raising it costs memory per session.
pub const MEMBERS_MAX: usize = 20_000;
/// Most units of a list, over all members.
pub const UNITS_MAX: usize = 50_000;

/// Somebody who may attend in their own right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who it is.
    pub user_id: UserId,
    /// Their name, for people.
    pub name: String,
    /// Their units and what each weighs. Without units they count as one head
    /// without weight.
    pub units: BTreeMap<UnitId, Weight>,
}

/// Why an eligible list can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RollInvalid {
    /// More than [`MEMBERS_MAX`] members or [`UNITS_MAX`] units.
    #[error("the list has more than {MEMBERS_MAX} members or {UNITS_MAX} units")]
    TooLong,
    /// A member is listed twice.
    #[error("a member is listed twice")]
    MemberTwice,
    /// A unit is listed twice, so that it would count twice.
    #[error("a unit is listed twice")]
    UnitTwice,
}

/// The eligible list of one session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roll {
    members: BTreeMap<UserId, Member>,
    owners: BTreeMap<UnitId, UserId>,
    weight: Weight,
}

impl Roll {
    /// The list of these members.
    ///
    /// # Errors
    /// [`RollInvalid`] when somebody or something would count twice.
    pub fn new(listed: impl IntoIterator<Item = Member>) -> Result<Self, RollInvalid> {
        let mut roll = Self::default();
        for mut member in listed {
            let shown = ShownText::Name.cleaned(&member.name);
            member.name = shown.unwrap_or_else(|| member.user_id.as_str().to_owned());
            for (unit, weight) in &member.units {
                if roll.owners.insert(unit.clone(), member.user_id.clone()).is_some() {
                    return Err(RollInvalid::UnitTwice);
                }
                roll.weight = roll.weight.plus(*weight);
            }
            if roll.members.insert(member.user_id.clone(), member).is_some() {
                return Err(RollInvalid::MemberTwice);
            }
            if roll.members.len() > MEMBERS_MAX || roll.owners.len() > UNITS_MAX {
                return Err(RollInvalid::TooLong);
            }
        }
        Ok(roll)
    }

    /// The members, by id.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// The member with this id.
    #[must_use]
    pub fn member(&self, user: &UserId) -> Option<&Member> {
        self.members.get(user)
    }

    /// Whose unit it is.
    #[must_use]
    pub fn owner(&self, unit: &UnitId) -> Option<&UserId> {
        self.owners.get(unit)
    }

    /// Number of members.
    #[must_use]
    pub fn heads(&self) -> u32 {
        u32::try_from(self.members.len()).unwrap_or(u32::MAX)
    }

    /// Weight of all units.
    #[must_use]
    pub const fn weight(&self) -> Weight {
        self.weight
    }
}
