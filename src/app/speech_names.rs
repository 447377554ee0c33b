//! Names of the eligible list as words that engines for speech are told, for tenants that allow it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::task::JoinSet;

use super::base::Base;
use super::services::Services;
use crate::domain::id::TenantId;
use crate::domain::session::Session;
use crate::domain::shown_text::ShownText;
use crate::services::UserProfilesClient;
use crate::transcriber::Transcriber;

/// Longest name that is told, in bytes, as in a glossary.
const NAME_BYTES_MAX: usize = 100;
/// Most names of a list: more than any engine takes.
const NAMES_MAX: usize = 100;

/// Tells names of eligible lists. Cheap to clone.
#[derive(Clone)]
pub(super) struct Names(Option<Arc<Inner>>);

struct Inner {
    profiles: Arc<UserProfilesClient>,
    tenants: BTreeSet<TenantId>,
    asking: Mutex<JoinSet<()>>,
}

impl Names {
    /// Tells the names of the tenants that the configuration names, when the service with the lists
    /// is configured.
    pub(super) fn new(base: &Base, services: &Services) -> Self {
        let tenants = base.config.transcription.eligible_names.clone();
        let profiles = services.user_profiles.clone().filter(|_| !tenants.is_empty());
        Self(
            profiles
                .map(|profiles| Arc::new(Inner { profiles, tenants, asking: Mutex::default() })),
        )
    }

    /// A session that this transcriber hears is told. Its room does not wait for the names; each
    /// time that it is told they are asked for again, of a list that is kept for a minute.
    pub(super) fn tell(&self, session: &Session, transcriber: &Transcriber) {
        let Some(inner) = &self.0 else { return };
        let key = session.key();
        if !session.transcription.enabled || !inner.tenants.contains(&key.tenant) {
            return;
        }
        let (profiles, transcriber) = (Arc::clone(&inner.profiles), transcriber.clone());
        let assembly = session.assembly_id;
        let mut asking = inner.asking();
        // Those that have ended are forgotten.
        while asking.try_join_next().is_some() {}
        asking.spawn(async move {
            match profiles.eligible(key.tenant, assembly).await {
                Ok(list) => {
                    let names = names_of(list.members.iter().map(|member| member.name.as_str()));
                    transcriber.set_names(key, names).await;
                }
                Err(error) => {
                    tracing::warn!(session = %key.session, %error, "an engine for speech is told no names");
                }
            }
        });
    }

    /// Asks for no more names.
    pub(super) fn shutdown(&self) {
        if let Some(inner) = &self.0 {
            inner.asking().abort_all();
        }
    }
}

impl Inner {
    fn asking(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The names as they may be told: cleaned, none twice, and without those that are too long. A comma
/// would make two of one.
fn names_of<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for name in names {
        let Some(name) = ShownText::Name.cleaned(&name.replace(',', " ")) else { continue };
        if name.len() <= NAME_BYTES_MAX && !kept.contains(&name) {
            kept.push(name);
        }
        if kept.len() >= NAMES_MAX {
            break;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::names_of;

    #[test]
    fn names_are_cleaned_bounded_and_told_once() {
        let long = "Ñ".repeat(51);
        let names = ["Ana  Benítez", "", "\u{202e}Ana Benítez", "Ocampos, Beatriz", &long, "\n"];
        assert_eq!(names_of(names.into_iter()), ["Ana Benítez", "Ocampos Beatriz"]);
        let many: Vec<String> = (0..5_000).map(|number| format!("Owner {number}")).collect();
        let kept = names_of(many.iter().map(String::as_str));
        assert_eq!((kept.len(), kept[99].as_str()), (100, "Owner 99"));
    }
}
