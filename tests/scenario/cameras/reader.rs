//! Reads playlists as RFC 8216bis describes them, and shares nothing with what writes them.
//! What a playlist must not have fails the test.

use std::collections::BTreeMap;

/// The attributes of a tag (§4.2).
fn attributes(list: &str) -> BTreeMap<String, String> {
    let mut attributes = BTreeMap::new();
    let mut rest = list;
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').expect("an attribute has a value");
        let (value, after) = if let Some(quoted) = after.strip_prefix('"') {
            let (value, after) = quoted.split_once('"').expect("a closing quote");
            (value, after.strip_prefix(',').unwrap_or(after))
        } else {
            after.split_once(',').unwrap_or((after, ""))
        };
        assert!(attributes.insert(name.to_owned(), value.to_owned()).is_none(), "{name} twice");
        rest = after;
    }
    attributes
}

/// Decimal seconds as microseconds.
fn micros(text: &str) -> u64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = format!("{fraction:0<6}");
    assert_eq!(fraction.len(), 6, "{text}");
    whole.parse::<u64>().expect("seconds") * 1_000_000 + fraction.parse::<u64>().expect("micros")
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) us: u64,
    pub(crate) uri: String,
    pub(crate) independent: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) us: Option<u64>,
    pub(crate) uri: Option<String>,
    pub(crate) map: String,
    pub(crate) is_break: bool,
    pub(crate) has_date: bool,
    pub(crate) parts: Vec<Part>,
}

impl Segment {
    fn length(&self) -> u64 {
        self.us.unwrap_or_else(|| self.parts.iter().map(|part| part.us).sum())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Playlist {
    pub(crate) version: u64,
    pub(crate) target_s: u64,
    pub(crate) first: u64,
    pub(crate) breaks: u64,
    pub(crate) independent: bool,
    pub(crate) control: BTreeMap<String, String>,
    pub(crate) part_target_us: Option<u64>,
    pub(crate) skipped: usize,
    /// What is listed; the last one may have parts only.
    pub(crate) segments: Vec<Segment>,
    pub(crate) hint: Option<String>,
}

impl Playlist {
    pub(crate) fn read(text: &str) -> Self {
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some("#EXTM3U"));
        let mut playlist = Self::default();
        let (mut segment, mut map) = (Segment::default(), String::new());
        for line in lines {
            let (tag, value) = line.split_once(':').unwrap_or((line, ""));
            let number = || value.parse::<u64>().expect("a number");
            match tag {
                "#EXT-X-VERSION" => playlist.version = number(),
                "#EXT-X-TARGETDURATION" => playlist.target_s = number(),
                "#EXT-X-MEDIA-SEQUENCE" => playlist.first = number(),
                "#EXT-X-DISCONTINUITY-SEQUENCE" => playlist.breaks = number(),
                "#EXT-X-INDEPENDENT-SEGMENTS" => playlist.independent = true,
                "#EXT-X-SERVER-CONTROL" => playlist.control = attributes(value),
                "#EXT-X-PART-INF" => {
                    playlist.part_target_us = Some(micros(&attributes(value)["PART-TARGET"]));
                }
                "#EXT-X-SKIP" => {
                    let skipped = &attributes(value)["SKIPPED-SEGMENTS"];
                    playlist.skipped = skipped.parse().expect("a number");
                }
                "#EXT-X-DISCONTINUITY" => segment.is_break = true,
                "#EXT-X-MAP" => map.clone_from(&attributes(value)["URI"]),
                "#EXT-X-PROGRAM-DATE-TIME" => segment.has_date = true,
                "#EXT-X-PART" => {
                    let attributes = attributes(value);
                    segment.parts.push(Part {
                        us: micros(&attributes["DURATION"]),
                        uri: attributes["URI"].clone(),
                        independent: attributes.get("INDEPENDENT").is_some_and(|it| it == "YES"),
                    });
                }
                "#EXTINF" => segment.us = Some(micros(value.trim_end_matches(','))),
                "#EXT-X-PRELOAD-HINT" => {
                    let attributes = attributes(value);
                    assert_eq!(attributes["TYPE"], "PART");
                    playlist.hint = Some(attributes["URI"].clone());
                }
                _ => {
                    assert!(!line.starts_with('#'), "an unknown tag: {line}");
                    let whole = Segment {
                        uri: Some(line.to_owned()),
                        map: map.clone(),
                        ..std::mem::take(&mut segment)
                    };
                    playlist.segments.push(whole);
                }
            }
        }
        if segment != Segment::default() {
            playlist.segments.push(Segment { map, ..segment });
        }
        let first = playlist.first + playlist.skipped as u64;
        for (number, segment) in (first..).zip(&mut playlist.segments) {
            segment.number = number;
        }
        playlist.check();
        playlist
    }

    fn seconds(&self, attribute: &str) -> Option<u64> {
        self.control.get(attribute).map(|value| micros(value))
    }

    /// What every playlist has to keep to.
    fn check(&self) {
        let target_us = self.target_s * 1_000_000;
        assert_eq!(self.control["CAN-BLOCK-RELOAD"], "YES");
        assert!(self.seconds("HOLD-BACK").expect("a hold back") >= 3 * target_us);
        assert!(self.seconds("CAN-SKIP-UNTIL").expect("a boundary") >= 6 * target_us);
        assert!(self.version >= if self.skipped > 0 { 9 } else { 6 }, "{self:?}");
        let part_us = self.part_target_us;
        assert_eq!(part_us.is_some(), self.hint.is_some(), "{self:?}");
        let held = self.seconds("PART-HOLD-BACK");
        assert_eq!(held.is_some(), part_us.is_some());
        assert!(held.zip(part_us).is_none_or(|(held, part)| held >= 2 * part));
        for segment in &self.segments {
            assert!(segment.has_date && !segment.map.is_empty(), "{segment:?}");
            assert!(segment.us.is_none_or(|us| (us + 500_000) / 1_000_000 <= self.target_s));
            assert_eq!(segment.us.is_some(), segment.uri.is_some());
            for part in &segment.parts {
                assert!(part.us <= part_us.expect("a target"), "{part:?} in {self:?}");
            }
            let parts: u64 = segment.parts.iter().map(|part| part.us).sum();
            if let Some(us) = segment.us.filter(|_| !segment.parts.is_empty()) {
                assert!(us.abs_diff(parts) <= segment.parts.len() as u64, "{segment:?}");
            }
        }
        // Only the last one may be no more than parts.
        let whole = self.segments.iter().filter(|segment| segment.us.is_some()).count();
        assert!(
            whole + 1 >= self.segments.len()
                && self.segments[..whole].iter().all(|it| it.us.is_some())
        );
        self.check_end();
    }

    /// Near the end every segment has its parts (§6.2.2), and no more is left out than may be.
    fn check_end(&self) {
        let target_us = self.target_s * 1_000_000;
        if self.skipped > 0 {
            let listed: u64 = self.segments.iter().map(Segment::length).sum();
            assert!(listed >= 6 * target_us, "{self:?}");
        }
    }

    /// The segments whose ends are nearer to that of the playlist than three target durations.
    pub(crate) fn near_the_end(&self) -> impl Iterator<Item = &Segment> {
        let mut after = 0;
        self.segments.iter().rev().take_while(move |segment| {
            let is_near = after < 3 * self.target_s * 1_000_000;
            after += segment.length();
            is_near
        })
    }

    /// The number and part that is waited for after this playlist.
    pub(crate) fn next(&self) -> (u64, u64) {
        match self.segments.last() {
            Some(last) if last.us.is_none() => (last.number, last.parts.len() as u64),
            Some(last) => (last.number + 1, 0),
            None => (self.first, 0),
        }
    }
}

/// What a player has read of a playlist that it reloads.
#[derive(Debug, Default)]
pub(crate) struct Player {
    pub(crate) read: Option<Playlist>,
}

impl Player {
    /// Reads the playlist again; one with segments left out is completed with what was read
    /// before (§6.3.7).
    pub(crate) fn reload(&mut self, text: &str) -> &Playlist {
        let mut playlist = Playlist::read(text);
        if let Some(before) = &self.read {
            assert_eq!(before.target_s, playlist.target_s);
            let both = before.part_target_us.zip(playlist.part_target_us);
            assert!(both.is_none_or(|(before, now)| before == now), "the part target changed");
            assert!(playlist.first >= before.first && playlist.breaks >= before.breaks);
            assert!(playlist.next() >= before.next());
            for was in &before.segments {
                let is = playlist.segments.iter().find(|is| is.number == was.number);
                let Some(is) = is else { continue };
                assert_eq!((&is.map, is.is_break), (&was.map, was.is_break));
                assert!(was.uri.is_none() || was.uri == is.uri);
                let (grown, parts) = (is.parts.len() >= was.parts.len(), is.parts.is_empty());
                assert!(parts || grown && is.parts.starts_with(&was.parts), "{was:?} {is:?}");
            }
            let skipped = playlist.first..playlist.first + playlist.skipped as u64;
            let mut kept: Vec<Segment> = before
                .segments
                .iter()
                .filter(|segment| skipped.contains(&segment.number))
                .cloned()
                .collect();
            assert_eq!(kept.len(), playlist.skipped, "a segment was left out that nobody read");
            kept.append(&mut playlist.segments);
            playlist.segments = kept;
        }
        playlist.skipped = 0;
        self.read.insert(playlist)
    }
}
