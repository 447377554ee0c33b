//! What became of phrases: the texts and gaps that a listener was told are matched with what
//! speakers said, by speaker and time.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::load::driver::histogram;

/// Most microseconds between the end of a phrase and what the server says is its end. Phrases of
/// one speaker are further apart than twice this.
const APART_US_MAX: u64 = 900_000;

/// A phrase that somebody said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spoken {
    /// The user id of the speaker.
    pub(super) speaker: String,
    /// When its last sample was sent, in microseconds since 1970 by the clock of the clients.
    pub(super) ended_us: i64,
}

/// A text or a gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    /// The user id of the speaker.
    pub(super) speaker: String,
    /// When its speech ended as the server says, by the clock of the clients.
    pub(super) until_us: i64,
    /// When the listener was told.
    pub(super) came_us: i64,
    /// Why there is no text.
    pub(super) gap: Option<String>,
}

/// What became of the phrases.
#[derive(Debug)]
pub(super) struct Outcomes {
    /// Phrases with text.
    pub(super) texts: u64,
    /// Phrases of which the server said that they have no text.
    pub(super) gaps: u64,
    /// Phrases of which nothing was told.
    pub(super) lost: u64,
    /// Gaps by their cause.
    pub(super) causes: BTreeMap<String, u64>,
    /// Time from the last sample of a phrase to its last text, in microseconds.
    pub(super) latency_us: Histogram<u64>,
}

/// Matches what was told with what was said.
pub(super) fn outcomes(spoken: &[Spoken], told: &[Told]) -> Outcomes {
    let mut by_end: BTreeMap<&str, BTreeMap<i64, usize>> = BTreeMap::new();
    for (at, phrase) in spoken.iter().enumerate() {
        by_end.entry(&phrase.speaker).or_default().entry(phrase.ended_us).or_insert(at);
    }
    let mut of_phrase: BTreeMap<usize, Vec<&Told>> = BTreeMap::new();
    for one in told {
        let Some(ends) = by_end.get(one.speaker.as_str()) else { continue };
        let before = ends.range(..=one.until_us).next_back();
        let after = ends.range(one.until_us..).next();
        let apart = |(ended_us, at): (&i64, &usize)| (one.until_us.abs_diff(*ended_us), *at);
        let nearest = before.into_iter().chain(after).map(apart).min();
        if let Some((apart_us, at)) = nearest
            && apart_us <= APART_US_MAX
        {
            of_phrase.entry(at).or_default().push(one);
        }
    }
    let mut outcomes =
        Outcomes { texts: 0, gaps: 0, lost: 0, causes: BTreeMap::new(), latency_us: histogram() };
    for (at, phrase) in spoken.iter().enumerate() {
        let told = of_phrase.get(&at).map(Vec::as_slice).unwrap_or_default();
        for cause in told.iter().filter_map(|one| one.gap.as_ref()) {
            *outcomes.causes.entry(cause.clone()).or_default() += 1;
        }
        let last = told.iter().filter(|one| one.gap.is_none()).map(|one| one.came_us).max();
        match last {
            Some(came_us) => {
                outcomes.texts += 1;
                let late = u64::try_from(came_us - phrase.ended_us).unwrap_or(1);
                outcomes.latency_us.saturating_record(late.max(1));
            }
            None if told.is_empty() => outcomes.lost += 1,
            None => outcomes.gaps += 1,
        }
    }
    outcomes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(speaker: &str, ended_ms: i64) -> Spoken {
        Spoken { speaker: speaker.to_owned(), ended_us: ended_ms * 1_000 }
    }

    fn told(speaker: &str, until_ms: i64, came_ms: i64, gap: Option<&str>) -> Told {
        Told {
            speaker: speaker.to_owned(),
            until_us: until_ms * 1_000,
            came_us: came_ms * 1_000,
            gap: gap.map(str::to_owned),
        }
    }

    #[test]
    fn texts_gaps_and_lost_phrases_are_told_apart() {
        let spoken =
            [said("ana", 1_000), said("ana", 4_000), said("ana", 7_000), said("ben", 4_100)];
        let told = [
            told("ana", 1_100, 1_900, None),
            // The same phrase in two pieces: the last one counts.
            told("ana", 600, 1_700, None),
            told("ana", 3_900, 6_100, Some("overload")),
            told("ben", 4_000, 5_100, None),
            // Said by nobody whose phrases count.
            told("ana", 9_500, 9_900, None),
            told("carla", 1_000, 1_500, None),
        ];
        let found = outcomes(&spoken, &told);
        assert_eq!((found.texts, found.gaps, found.lost), (2, 1, 1));
        assert_eq!(found.causes, BTreeMap::from([("overload".to_owned(), 1)]));
        assert_eq!(found.latency_us.len(), 2);
        assert!(found.latency_us.max() >= 1_000_000 && found.latency_us.min() <= 900_000);
    }
}
