//! The eligible list: members, their units, and what the units weigh.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

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
    /// A part of the server is listed, such as the recorder, which is in every session.
    #[error("a user id of a part of the server is listed")]
    NotAPerson,
}

/// The eligible list of one session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roll {
    members: BTreeMap<UserId, Member>,
    owners: BTreeMap<UnitId, UserId>,
    weight: Weight,
    /// Each member by what is searched for, in the order of names.
    by_name: Vec<(String, UserId)>,
    sha256: [u8; 32],
}

impl Roll {
    /// The list of these members.
    ///
    /// # Errors
    /// [`RollInvalid`] when somebody or something would count twice, or a part of the server is
    /// listed.
    pub fn new(listed: impl IntoIterator<Item = Member>) -> Result<Self, RollInvalid> {
        let listed: Vec<Member> = listed.into_iter().collect();
        if listed.iter().any(|member| member.user_id.is_reserved()) {
            return Err(RollInvalid::NotAPerson);
        }
        Self::stored(listed)
    }

    /// The list as a room stored it, perhaps before parts of the server were refused.
    ///
    /// # Errors
    /// [`RollInvalid`] when somebody or something would count twice.
    pub fn stored(listed: impl IntoIterator<Item = Member>) -> Result<Self, RollInvalid> {
        let mut roll = Self::default();
        for mut member in listed {
            let cleaned = |text| ShownText::Name.cleaned(text);
            let shown = cleaned(&member.name).or_else(|| cleaned(member.user_id.as_str()));
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
        roll.by_name = roll.members.values().map(searched).collect();
        roll.by_name.sort();
        roll.sha256 = sha256_of(&roll.members);
        Ok(roll)
    }

    /// SHA-256 of the lines of the list: user id, name, unit and weight, by user id and unit.
    #[must_use]
    pub const fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// Members by name from the place `after` on, whose name, id or units have
    /// every word of `query`, and the places behind them. Case and accents do not
    /// matter.
    pub fn search(&self, query: &str, after: usize) -> impl Iterator<Item = (usize, &Member)> {
        let words: Vec<String> = query.split_whitespace().map(folded).collect();
        let places = self.by_name.iter().enumerate().skip(after);
        places.filter_map(move |(place, (text, user))| {
            let hit = words.iter().all(|word| text.contains(word.as_str()));
            hit.then(|| self.members.get(user)).flatten().map(|member| (place + 1, member))
        })
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

fn sha256_of(members: &BTreeMap<UserId, Member>) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut line = String::new();
    for member in members.values() {
        let (user, name) = (member.user_id.as_str(), &member.name);
        let units = member.units.iter().map(|(unit, weight)| (unit.as_str(), *weight));
        let none = member.units.is_empty().then_some(("", Weight::ZERO));
        for (unit, weight) in units.chain(none) {
            line.clear();
            // Writing to a text can't fail.
            let _written = writeln!(line, "{user}\t{name}\t{unit}\t{weight}");
            hash.update(&line);
        }
    }
    hash.finalize().into()
}

/// What a member is found by.
fn searched(member: &Member) -> (String, UserId) {
    let mut text = folded(&member.name);
    for unit in member.units.keys() {
        text.push('\n');
        text.push_str(&folded(unit.as_str()));
    }
    text.push('\n');
    text.push_str(&folded(member.user_id.as_str()));
    (text, member.user_id.clone())
}

/// A text without case and accents.
fn folded(text: &str) -> String {
    let plain = text.nfd().filter(|it| !is_combining_mark(*it));
    plain.flat_map(char::to_lowercase).collect()
}

/// The list that holds now, and the one that is stored. Lists are replaced as a
/// whole, and few members differ from one to the next.
#[derive(Debug, Clone, Default)]
pub(super) struct KeptRoll {
    now: Option<Arc<Roll>>,
    /// What held before, when it was replaced since the last acceptance.
    before: Before,
    stored: Option<Arc<Roll>>,
}

#[derive(Debug, Clone, Default)]
enum Before {
    /// The list was not replaced.
    #[default]
    Same,
    /// This one held, or none.
    Other(Option<Arc<Roll>>),
}

/// What is held now is compared, not how it came about.
impl PartialEq for KeptRoll {
    fn eq(&self, other: &Self) -> bool {
        self.now == other.now
    }
}

impl Eq for KeptRoll {}

impl KeptRoll {
    /// A list that counts as stored.
    pub(super) fn stored_as(roll: Option<Arc<Roll>>) -> Self {
        Self { now: roll.clone(), before: Before::Same, stored: roll }
    }

    pub(super) const fn now(&self) -> Option<&Arc<Roll>> {
        self.now.as_ref()
    }

    pub(super) fn set(&mut self, roll: Roll) {
        let old = self.now.replace(Arc::new(roll));
        if matches!(self.before, Before::Same) {
            self.before = Before::Other(old);
        }
    }

    pub(super) fn undo(&mut self) {
        if let Before::Other(before) = std::mem::take(&mut self.before) {
            self.now = before;
        }
    }

    pub(super) fn accept(&mut self) {
        self.before = Before::Same;
    }

    pub(super) fn stored(&mut self) {
        self.before = Before::Same;
        self.stored.clone_from(&self.now);
    }

    /// Members that differ from what is stored, or are gone.
    pub(super) fn to_store(&self) -> Vec<(&UserId, Option<&Member>)> {
        let same = match (&self.now, &self.stored) {
            (Some(now), Some(stored)) => Arc::ptr_eq(now, stored),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        if same {
            return Vec::new();
        }
        let now = self.now.iter().flat_map(|roll| roll.members());
        let stored = self.stored.iter().flat_map(|roll| roll.members());
        let is_new = |it: &&Member| {
            self.stored.as_ref().and_then(|roll| roll.member(&it.user_id)) != Some(*it)
        };
        let is_gone =
            |it: &&Member| self.now.as_ref().is_none_or(|roll| roll.member(&it.user_id).is_none());
        let changed = now.filter(is_new).map(|it| (&it.user_id, Some(it)));
        changed.chain(stored.filter(is_gone).map(|it| (&it.user_id, None))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_found_by_any_part_of_name_unit_or_id() {
        let member = |id: &str, name: &str, unit: &str| Member {
            user_id: id.parse().expect("an id"),
            name: name.to_owned(),
            units: [(unit.parse().expect("a unit"), Weight::ZERO)].into(),
        };
        let roll = Roll::new([
            member("u1", "José Peña", "Torre A 101"),
            member("u2", "Ana Ruiz", "Torre B 102"),
            member("u3", "Ánna Lópes", "Torre B 103"),
        ])
        .expect("a list");
        let found = |query: &str, after: usize| -> Vec<(usize, &str)> {
            roll.search(query, after).map(|(at, it)| (at, it.user_id.as_str())).collect()
        };
        assert_eq!(found("", 0), [(1, "u2"), (2, "u3"), (3, "u1")], "by name");
        assert_eq!(found("jose PENA", 0), [(3, "u1")]);
        assert_eq!(found("torre b", 0), [(1, "u2"), (2, "u3")]);
        assert_eq!(found("torre b", 1), [(2, "u3")], "from a place on");
        assert_eq!(found("u3", 0), [(2, "u3")]);
        assert_eq!(found("nobody", 0), []);
    }

    #[test]
    fn no_part_of_the_server_is_a_member() {
        for id in ["cabildo:recorder", "cabildo:camera:door", "Cabildo:Recorder"] {
            let units = [("Torre A 101".parse().expect("a unit"), Weight::ZERO)].into();
            let user_id = id.parse().expect("an id");
            let roll = Roll::new([Member { user_id, name: "Ana".to_owned(), units }]);
            assert_eq!(roll, Err(RollInvalid::NotAPerson), "{id}");
        }
    }
}
