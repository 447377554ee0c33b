//! Objects that a reader has found missing or changed, for operators: what a vault has lost is not
//! noticed before somebody reads it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::vault::ObjectName;

const DAMAGED: &str = "cabildo_vault_damaged_objects_total";
/// Most damaged objects that are remembered. At the limit further ones are neither logged nor
/// counted. Raising it costs some 150 bytes for each.
const NOTED_MAX: usize = 10_000;

/// Describes the metric of damaged objects.
pub(super) fn describe_metrics() {
    metrics::describe_counter!(
        DAMAGED,
        "Objects of the vault that were found missing or changed when they were read, each once."
    );
}

/// What is wrong with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// The vault does not have it.
    Missing,
    /// It is shorter than it was, or has other contents.
    Changed,
}

impl Damage {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Changed => "changed",
        }
    }
}

/// The objects that are known to be damaged. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct DamagedObjects(Arc<Mutex<BTreeSet<ObjectName>>>);

impl DamagedObjects {
    /// An object is damaged: logged and counted when it was not known.
    pub fn note(&self, name: &ObjectName, damage: Damage) {
        {
            let mut noted = self.lock();
            if noted.len() >= NOTED_MAX || !noted.insert(name.clone()) {
                return;
            }
        }
        let (object, damage) = (name.as_str(), damage.as_str());
        metrics::counter!(DAMAGED, "damage" => damage).increment(1);
        tracing::error!(%object, damage, "an object of the vault is damaged");
    }

    /// Whether an object is known to be damaged.
    #[must_use]
    pub fn is_noted(&self, name: &ObjectName) -> bool {
        self.lock().contains(name)
    }

    /// An object was stored again, found whole, or deleted on purpose.
    pub fn forget(&self, name: &ObjectName) {
        if self.lock().remove(name) {
            tracing::info!(object = name.as_str(), "an object of the vault is damaged no more");
        }
    }

    /// What is wrong, in words for operators; `None` when no object is known to be damaged.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        let damaged = self.lock().len();
        (damaged > 0).then(|| format!("{damaged} objects are missing or were changed; see the log"))
    }

    /// No code that holds the lock panics.
    fn lock(&self) -> MutexGuard<'_, BTreeSet<ObjectName>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{RecordedTrackId, SessionId, SessionKey, TenantId};

    #[test]
    fn a_problem_lasts_until_every_object_is_whole() {
        let key = SessionKey::new(TenantId::generate(), SessionId::generate());
        let track = RecordedTrackId::random();
        let [first, second] = [0, 1].map(|index| ObjectName::segment(key, track, index));
        let damaged = DamagedObjects::default();
        assert_eq!(damaged.problem(), None);
        damaged.note(&first, Damage::Missing);
        damaged.note(&first, Damage::Changed);
        let told = damaged.problem().expect("a problem");
        assert!(told.starts_with("1 objects") && !told.contains(first.as_str()), "{told}");
        damaged.note(&second, Damage::Changed);
        damaged.forget(&first);
        assert!(damaged.is_noted(&second) && !damaged.is_noted(&first));
        assert!(damaged.problem().is_some());
        damaged.forget(&second);
        assert_eq!(damaged.problem(), None);
    }
}
