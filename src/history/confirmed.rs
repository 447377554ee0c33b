//! The versions of the minutes that moderators confirmed. Their text is kept where the texts of the
//! log are, in parts, so that it is separated by tenant, erased with the recording and committed to
//! like any other text of the log.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::domain::hex::hex;
use crate::domain::time::Timestamp;

/// Longest text of minutes, bytes. Raising it makes more entries of the log for one version.
pub const MINUTES_BYTES_MAX: usize = 1024 * 1024;
/// Most versions of one session. Raising it makes reading the newest dearer.
pub const MINUTES_VERSIONS_MAX: u32 = 50;
/// Bytes of one part: the text of an entry holds twice as many, and JSON needs two for some.
const PART_BYTES: usize = 24 * 1024;

/// A confirmed version of the minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfirmedMinutes {
    /// Counts from 1.
    pub version: u32,
    /// The language, a BCP 47 tag.
    pub language: String,
    /// SHA-256 of the text in UTF-8, hexadecimal.
    pub sha256: String,
    /// When it was confirmed.
    pub at: Timestamp,
    /// The moderator who did.
    pub by: String,
    /// The text, Markdown.
    pub text: String,
}

/// That a version of the minutes was confirmed, without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MinutesVersion {
    /// Counts from 1.
    pub version: u32,
    /// The language, a BCP 47 tag.
    pub language: String,
    /// SHA-256 of the text in UTF-8, hexadecimal.
    pub sha256: String,
    /// When it was confirmed.
    pub at: Timestamp,
    /// The moderator who did.
    pub by: String,
}

/// What the log has of a version: its parts, and then that it was confirmed.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Note {
    MinutesPart {
        at: String,
        sha256: String,
        part: u32,
        text: String,
    },
    MinutesConfirmed {
        at: String,
        user_id: String,
        language: String,
        sha256: String,
        parts: u32,
        bytes: u64,
        /// The newest version that whoever confirmed had seen; absent when it may be any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<u32>,
    },
}

impl ConfirmedMinutes {
    /// A version that is confirmed now.
    #[must_use]
    pub fn new(version: u32, language: String, by: String, text: String, at: Timestamp) -> Self {
        let sha256 = hex(&Sha256::digest(&text));
        Self { version, language, sha256, at, by, text }
    }

    /// Whether both are the same text in the same language, confirmed by the same person.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        (&self.sha256, &self.language, &self.by) == (&other.sha256, &other.language, &other.by)
    }

    /// The texts that are entered in the log, in this order. The version counts once the last one
    /// is there, and only if no version came behind `after` meanwhile.
    #[must_use]
    pub fn notes(&self, after: Option<u32>) -> Vec<String> {
        let at = self.at.to_string();
        let parts = parts_of(&self.text);
        let count = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let numbered = (0..).zip(parts).map(|(part, text)| Note::MinutesPart {
            at: at.clone(),
            sha256: self.sha256.clone(),
            part,
            text: text.to_owned(),
        });
        let confirmed = Note::MinutesConfirmed {
            at: at.clone(),
            user_id: self.by.clone(),
            language: self.language.clone(),
            sha256: self.sha256.clone(),
            parts: count,
            bytes: self.text.len() as u64,
            after,
        };
        let notes = numbered.chain([confirmed]);
        notes.filter_map(|note| serde_json::to_string(&note).ok()).collect()
    }
}

/// Reads the versions, text by text in the order of the log. It holds the newest one, and the parts
/// of what is not confirmed yet.
#[derive(Debug, Default)]
pub(super) struct Versions {
    /// Each part with how often it came and belongs to no version yet.
    parts: BTreeMap<(String, u32), (String, usize)>,
    /// The newest complete version. One whose text is not what was confirmed is left out.
    pub(super) newest: Option<ConfirmedMinutes>,
    /// How many were confirmed. A version is the place in the log, so two that are confirmed at the
    /// same moment are different ones.
    pub(super) count: u32,
    /// All that were confirmed, the oldest first.
    pub(super) all: Vec<MinutesVersion>,
    /// Whether the text that came last made a version.
    pub(super) last_counts: bool,
}

impl Versions {
    pub(super) fn add(&mut self, note: &str) {
        self.last_counts = false;
        match serde_json::from_str(note) {
            Ok(Note::MinutesPart { sha256, part, text, .. }) => {
                let (kept, times) = self.parts.entry((sha256, part)).or_default();
                *kept = text;
                *times += 1;
            }
            Ok(Note::MinutesConfirmed { at, user_id, language, sha256, parts, after, .. }) => {
                let text: Option<String> =
                    (0..parts).map(|part| self.take_part(&sha256, part)).collect();
                if after.is_some_and(|after| after != self.count) {
                    return;
                }
                self.last_counts = true;
                self.count = self.count.saturating_add(1);
                let version = self.count;
                let at = Timestamp::parse_rfc3339(&at);
                self.all.extend(at.map(|at| MinutesVersion {
                    version,
                    language: language.clone(),
                    sha256: sha256.clone(),
                    at,
                    by: user_id.clone(),
                }));
                let whole = text.zip(at);
                let whole = whole.filter(|(text, _)| hex(&Sha256::digest(text)) == sha256);
                let Some((text, at)) = whole else { return };
                let newest = ConfirmedMinutes { version, language, sha256, at, by: user_id, text };
                self.newest = Some(newest);
            }
            Err(_) => {}
        }
    }

    /// A part of a version that was confirmed. It is kept for as long as the same text may be
    /// confirmed by somebody else whose parts have come already.
    fn take_part(&mut self, sha256: &str, part: u32) -> Option<String> {
        let Entry::Occupied(mut entry) = self.parts.entry((sha256.to_owned(), part)) else {
            return None;
        };
        let (text, times) = entry.get_mut();
        *times -= 1;
        if *times > 0 { Some(text.clone()) } else { Some(entry.remove().0) }
    }
}

/// The text in pieces of at most [`PART_BYTES`], cut between characters.
fn parts_of(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (part, after) = rest.split_at(rest.floor_char_boundary(PART_BYTES));
        parts.push(part);
        rest = after;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(number: u32, text: &str) -> ConfirmedMinutes {
        let at = Timestamp::from_unix_us(1_800_000_000_000_000);
        ConfirmedMinutes::new(number, "es".to_owned(), "chair".to_owned(), text.to_owned(), at)
    }

    #[test]
    fn the_newest_version_is_read_back_as_it_was_confirmed() {
        let long = "Acuerdo «ñandú» \"\\\n".repeat(5_000);
        let (first, second) = (version(1, "corto"), version(2, &long));
        let notes: Vec<String> = [first.notes(None), second.notes(Some(1))].concat();
        assert!(notes.len() > 4, "{} entries", notes.len());
        assert!(notes.iter().all(|note| note.len() <= crate::evidence::TEXT_BYTES_MAX));
        let read = |notes: &[String]| {
            let mut versions = Versions::default();
            for note in notes {
                versions.add(note);
            }
            (versions.newest, versions.count)
        };
        assert_eq!(read(&notes), (Some(second), 2));
        // Without its last entry the second one was not confirmed.
        assert_eq!(read(&notes[..notes.len() - 1]), (Some(first.clone()), 1));
        let mut changed = notes;
        changed[3] = changed[3].replace("Acuerdo", "Recuerdo");
        assert_eq!(read(&changed), (Some(first), 2), "what was changed is not what was confirmed");
        assert_eq!(read(&[]), (None, 0));
    }

    #[test]
    fn versions_that_were_confirmed_at_the_same_moment_count_as_the_log_has_them() {
        let (one, other) = (version(1, "una"), version(1, "otra"));
        let mixed = [one.notes(None), other.notes(None)];
        let mut versions = Versions::default();
        for place in 0..2 {
            for notes in &mixed {
                versions.add(&notes[place]);
            }
        }
        let newest = ConfirmedMinutes { version: 2, ..other.clone() };
        assert_eq!(versions.newest, Some(newest));
        assert_eq!(versions.count, 2);
        let told: Vec<(u32, &str)> =
            versions.all.iter().map(|it| (it.version, it.sha256.as_str())).collect();
        assert_eq!(told, [(1, one.sha256.as_str()), (2, other.sha256.as_str())]);
    }

    #[test]
    fn the_same_text_can_be_confirmed_again_while_another_is() {
        let (one, other) = (version(1, "una"), version(2, "otra"));
        let [again, mut beside] = [one.notes(None), other.notes(None)];
        let last = beside.split_off(1);
        let mut versions = Versions::default();
        // All of the first; then its parts once more, the second in whole, and the end of the first.
        for note in again.iter().chain(&again[..1]).chain(&beside).chain(&last).chain(&again[1..]) {
            versions.add(note);
        }
        assert_eq!(versions.newest, Some(ConfirmedMinutes { version: 3, ..one }));
        assert!(versions.parts.is_empty(), "nothing is kept that no version needs");
    }

    #[test]
    fn of_two_that_were_confirmed_after_the_same_version_the_first_in_the_log_counts() {
        let (one, other, late) = (version(1, "una"), version(1, "otra"), version(2, "tercera"));
        let mixed = [one.notes(Some(0)), other.notes(Some(0))];
        let mut versions = Versions::default();
        let mut counted = Vec::new();
        for place in 0..2 {
            for notes in &mixed {
                versions.add(&notes[place]);
                counted.push(versions.last_counts);
            }
        }
        assert_eq!(counted, [false, false, true, false]);
        assert_eq!((&versions.newest, versions.count), (&Some(one), 1));
        assert!(versions.parts.is_empty(), "what was refused is not kept");
        late.notes(Some(1)).iter().for_each(|note| versions.add(note));
        assert_eq!((&versions.newest, versions.count), (&Some(late), 2));
        assert!(versions.last_counts);
    }
}
