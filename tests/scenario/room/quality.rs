//! What is said of people's connections: by what is measured, once it has held, and of nobody twice.

use std::collections::BTreeMap;
use std::time::Duration;

use cabildo::domain::id::{ConnectionId, UserId};
use cabildo::domain::quality::{BadSpell, PersonQuality, Quality};
use cabildo::domain::quality::{QualityCause as Cause, QualityLevel as Level};
use cabildo::domain::time::Timestamp;
use cabildo::room::quality::{
    BETTER_AFTER, LOST_AFTER, MEASUREMENTS, Monitor, NUMBER_AFTER, PACKETS_MIN, SPELLS_MAX,
    WORSE_AFTER,
};
use cabildo::sfu::plane::{PathConditions, Shortage, Tally};
use cabildo::sfu::{LostReason, PathReport, TransportSide};

use super::user;

const SECOND: Duration = Duration::from_secs(1);
/// Long enough for anything to have held.
const SETTLED_S: u64 = 20;

struct Scene {
    monitor: Monitor,
    now: Timestamp,
    holders: BTreeMap<ConnectionId, UserId>,
}

/// What was said: of whom, and what.
type Said = Vec<(String, Level, Option<Cause>, Option<u32>)>;

impl Scene {
    fn new() -> Self {
        let now = Timestamp::from_unix_us(1_800_000_000_000_000);
        Self { monitor: Monitor::default(), now, holders: BTreeMap::new() }
    }

    fn connect(&mut self, name: &str) -> ConnectionId {
        let connection = ConnectionId::generate();
        self.holders.insert(connection, user(name));
        connection
    }

    /// A second passes, in which this was measured.
    fn second(&mut self, reports: &[PathReport]) -> Said {
        self.now = self.now.after(SECOND);
        let holders = &self.holders;
        let holder = |connection| holders.get(&connection).cloned();
        let changes = self.monitor.handle_paths(reports, holder, self.now);
        said(changes)
    }

    fn seconds(&mut self, seconds: u64, reports: &[PathReport]) -> Said {
        (0..seconds).flat_map(|_| self.second(reports)).collect()
    }

    fn lose(&mut self, connection: ConnectionId, reason: LostReason) -> Said {
        let path = (connection, TransportSide::Publish);
        let user = self.holders.get(&connection);
        said(self.monitor.handle_transport_lost(path, reason, user, self.now))
    }
}

fn said(changes: Vec<PersonQuality>) -> Said {
    let one = |it: PersonQuality| {
        let Quality { level, cause, value } = it.quality;
        (it.user.as_str().to_owned(), level, cause, value)
    };
    changes.into_iter().map(one).collect()
}

fn path(peer: ConnectionId, conditions: PathConditions) -> PathReport {
    let (side, silent_for, is_by_tcp) = (TransportSide::Publish, Duration::ZERO, false);
    PathReport { peer, side, conditions, silent_for, is_by_tcp }
}

/// A thousand packets a second, of which so many in a thousand are lost.
const fn losing(per_mille: u32) -> Tally {
    Tally { expected: 1_000, arrived: 1_000 - per_mille }
}

const fn sound(per_mille: u32) -> PathConditions {
    PathConditions { sound_from_peer: losing(per_mille), ..NONE }
}

const NONE: PathConditions = PathConditions {
    sound_from_peer: Tally { expected: 0, arrived: 0 },
    pictures_from_peer: Tally { expected: 0, arrived: 0 },
    from_peer_jitter_ms: None,
    to_peer: Tally { expected: 0, arrived: 0 },
    to_peer_jitter_ms: None,
    round_trip_ms: None,
    estimate_kbps: None,
    shortage: Shortage::Nothing,
};

/// Too few packets to say anything, of which none arrive.
const ALL_OF_FEW: Tally = Tally { expected: PACKETS_MIN / 6 - 1, arrived: 0 };

const fn short(shortage: Shortage, kbps: u32) -> PathConditions {
    PathConditions { shortage, estimate_kbps: Some(kbps), ..NONE }
}

/// What is measured all the time, and what is said of it.
type Row = (&'static str, PathConditions, Level, Option<Cause>, Option<u32>);

const TABLE: &[Row] = &[
    ("nothing measured", NONE, Level::Good, None, None),
    ("1 % of sound", sound(10), Level::Good, None, None),
    ("5 % of sound", sound(50), Level::Fair, Some(Cause::UplinkLoss), Some(5)),
    ("12 % of sound", sound(120), Level::Poor, Some(Cause::UplinkLoss), Some(12)),
    (
        "12 % of pictures, all sound",
        PathConditions { pictures_from_peer: losing(120), ..sound(0) },
        Level::Poor,
        Some(Cause::UplinkLoss),
        Some(12),
    ),
    (
        "too few packets to say",
        PathConditions { sound_from_peer: ALL_OF_FEW, ..NONE },
        Level::Good,
        None,
        None,
    ),
    (
        "12 % on the way to them",
        PathConditions { to_peer: losing(120), ..NONE },
        Level::Poor,
        Some(Cause::DownlinkLoss),
        Some(12),
    ),
    (
        "as much both ways",
        PathConditions { to_peer: losing(120), ..sound(120) },
        Level::Poor,
        Some(Cause::UplinkLoss),
        Some(12),
    ),
    (
        "more on the way to them",
        PathConditions { to_peer: losing(120), ..sound(50) },
        Level::Poor,
        Some(Cause::DownlinkLoss),
        Some(12),
    ),
    (
        "300 ms",
        PathConditions { round_trip_ms: Some(300), ..NONE },
        Level::Fair,
        Some(Cause::Delay),
        Some(300),
    ),
    (
        "700 ms",
        PathConditions { round_trip_ms: Some(700), ..NONE },
        Level::Poor,
        Some(Cause::Delay),
        Some(700),
    ),
    (
        "uneven from them",
        PathConditions { from_peer_jitter_ms: Some(80), ..NONE },
        Level::Fair,
        Some(Cause::UplinkJitter),
        Some(80),
    ),
    (
        "uneven to them",
        PathConditions { to_peer_jitter_ms: Some(200), ..NONE },
        Level::Poor,
        Some(Cause::DownlinkJitter),
        Some(200),
    ),
    (
        "smaller pictures",
        short(Shortage::Size, 600),
        Level::Fair,
        Some(Cause::DownlinkBandwidth),
        Some(600),
    ),
    (
        "no pictures",
        short(Shortage::Pictures, 150),
        Level::Poor,
        Some(Cause::DownlinkBandwidth),
        Some(150),
    ),
    ("a narrow path with room", short(Shortage::Nothing, 150), Level::Good, None, None),
];

#[test]
fn each_measure_has_its_level_and_cause() {
    assert_eq!(MEASUREMENTS, 6, "as the table has it");
    for (what, conditions, level, cause, value) in TABLE {
        let mut scene = Scene::new();
        let ana = scene.connect("ana");
        let last = scene.seconds(SETTLED_S, &[path(ana, *conditions)]).pop();
        let expected = level.is_bad().then(|| ("ana".to_owned(), *level, *cause, *value));
        assert_eq!(last, expected, "{what}");
        assert_eq!(scene.monitor.counts(), BTreeMap::from([((*level, *cause), 1)]), "{what}");
    }
}

#[test]
fn what_only_the_server_sees_of_a_path_is_said() {
    let mut scene = Scene::new();
    let ana = scene.connect("ana");
    let by_tcp = PathReport { is_by_tcp: true, ..path(ana, sound(0)) };
    let fair = ("ana".to_owned(), Level::Fair, Some(Cause::RelayedByTcp), None);
    assert_eq!(scene.seconds(SETTLED_S, &[by_tcp]), [fair]);
    let worse = PathReport { is_by_tcp: true, ..path(ana, sound(200)) };
    let last = scene.seconds(SETTLED_S, &[worse]).pop();
    assert_eq!(last, Some(("ana".to_owned(), Level::Poor, Some(Cause::UplinkLoss), Some(20))));

    let silent = |for_| PathReport { silent_for: for_, ..path(ana, PathConditions::default()) };
    scene.seconds(SETTLED_S, &[path(ana, sound(0))]);
    assert_eq!(scene.second(&[silent(LOST_AFTER.saturating_sub(SECOND))]), []);
    let lost = ("ana".to_owned(), Level::Lost, Some(Cause::NoMedia), None);
    assert_eq!(scene.second(&[silent(LOST_AFTER)]), [lost], "at once");
    assert_eq!(scene.seconds(SETTLED_S, &[silent(LOST_AFTER)]), [], "once");
    let good = ("ana".to_owned(), Level::Good, None, None);
    assert_eq!(scene.seconds(SETTLED_S, &[path(ana, sound(0))]), [good]);
}

#[test]
fn a_level_is_said_once_it_has_held() {
    let mut scene = Scene::new();
    let ana = scene.connect("ana");
    let slow = |ms| path(ana, PathConditions { round_trip_ms: Some(ms), ..sound(0) });
    assert_eq!(scene.seconds(SETTLED_S, &[slow(40)]), []);
    // The median of the measurements follows when more than half are worse.
    let until_median = u64::try_from(MEASUREMENTS / 2).expect("few");
    let held = WORSE_AFTER.as_secs();
    assert_eq!(scene.seconds(until_median + held - 1, &[slow(900)]), [], "not yet");
    let poor = ("ana".to_owned(), Level::Poor, Some(Cause::Delay), Some(900));
    assert_eq!(scene.second(&[slow(900)]), [poor]);
    let began = scene.monitor.not_good_of(&user("ana")).expect("not good").since;
    assert_eq!(scene.now.since(began), WORSE_AFTER, "since it began, not since it was said");
    let until_median = u64::try_from(MEASUREMENTS / 2 + 1).expect("few");
    assert_eq!(scene.seconds(until_median + BETTER_AFTER.as_secs() - 1, &[slow(40)]), []);
    assert_eq!(scene.second(&[slow(40)]), [("ana".to_owned(), Level::Good, None, None)]);
}

#[test]
fn what_goes_to_and_fro_is_said_once() {
    for (what, [one, other]) in [
        ("around the limit of fair", [19, 22]),
        ("around the limit of poor", [75, 85]),
        ("a second of each", [0, 60]),
    ] {
        let mut scene = Scene::new();
        let ana = scene.connect("ana");
        let mut said = Vec::new();
        for _ in 0..120 {
            said.extend(scene.second(&[path(ana, sound(one))]));
            said.extend(scene.second(&[path(ana, sound(other))]));
        }
        assert!(said.len() <= 2, "{what}: {said:?}");
    }
    // Long enough to be noticed, never long enough to be said.
    let mut scene = Scene::new();
    let ana = scene.connect("ana");
    let left_out = |shortage| path(ana, PathConditions { shortage, ..sound(0) });
    for _ in 0..60 {
        assert_eq!(scene.seconds(2, &[left_out(Shortage::Pictures)]), []);
        assert_eq!(scene.second(&[left_out(Shortage::Nothing)]), []);
    }
}

#[test]
fn another_number_is_said_when_it_is_clearly_another() {
    let mut scene = Scene::new();
    let ana = scene.connect("ana");
    scene.seconds(SETTLED_S, &[path(ana, sound(120))]);
    assert_eq!(scene.seconds(SETTLED_S, &[path(ana, sound(140))]), [], "12 and 14 are alike");
    let said = scene.seconds(SETTLED_S, &[path(ana, sound(300))]);
    let last = said.last().and_then(|(.., value)| *value);
    assert_eq!(last, Some(30));
    let most = SETTLED_S / NUMBER_AFTER.as_secs();
    assert!(u64::try_from(said.len()).expect("few") <= most, "{said:?}");
}

#[test]
fn another_cause_of_the_same_level_is_said_once_it_has_held() {
    let mut scene = Scene::new();
    let ana = scene.connect("ana");
    scene.seconds(SETTLED_S, &[path(ana, sound(120))]);
    let delay = PathConditions { round_trip_ms: Some(900), ..sound(0) };
    let said = scene.seconds(SETTLED_S, &[path(ana, delay)]);
    let causes: Vec<Option<Cause>> = said.iter().map(|(_, _, cause, _)| *cause).collect();
    let turns = causes.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(turns <= 1, "{said:?}");
    let poor = ("ana".to_owned(), Level::Poor, Some(Cause::Delay), Some(900));
    assert_eq!(said.last(), Some(&poor));
}

#[test]
fn nobody_is_lost_who_is_here_by_another_connection() {
    let mut scene = Scene::new();
    let (page, phone) = (scene.connect("ana"), scene.connect("ana"));
    let silent = PathReport { silent_for: LOST_AFTER, ..path(page, PathConditions::default()) };
    let lost = ("ana".to_owned(), Level::Lost, Some(Cause::NoMedia), None);
    assert_eq!(scene.second(&[silent]), [lost], "by the only one");
    let good = ("ana".to_owned(), Level::Good, None, None);
    let both = [silent, path(phone, sound(0))];
    assert_eq!(scene.seconds(SETTLED_S, &both), [good]);
    let both = [silent, path(phone, sound(120))];
    let last = scene.seconds(SETTLED_S, &both).pop().map(|(_, level, cause, _)| (level, cause));
    assert_eq!(last, Some((Level::Poor, Some(Cause::UplinkLoss))), "as that one is");
    scene.monitor.forget(phone, scene.now);
    let lost = ("ana".to_owned(), Level::Lost, Some(Cause::NoMedia), None);
    assert_eq!(scene.second(&[silent]), [lost]);
    scene.monitor.forget(page, scene.now);
    assert!(scene.monitor.counts().is_empty(), "and nothing is left of her");
}

#[test]
fn a_transport_that_is_lost_is_said_until_another_works() {
    for (reason, is_said) in [
        (LostReason::NeverConnected, true),
        (LostReason::ConsentExpired, true),
        (LostReason::HandshakeFailed, true),
        (LostReason::ServerFault, true),
        (LostReason::ClosedByPeer, false),
    ] {
        let mut scene = Scene::new();
        let (ana, luis) = (scene.connect("ana"), scene.connect("luis"));
        scene.second(&[path(luis, sound(0))]);
        let lost = ("ana".to_owned(), Level::Lost, Some(Cause::NoMedia), None);
        let expected = if is_said { vec![lost] } else { vec![] };
        assert_eq!(scene.lose(ana, reason), expected, "{reason:?}");
        assert_eq!(scene.seconds(SETTLED_S, &[path(luis, sound(0))]), [], "{reason:?}");
        let good = ("ana".to_owned(), Level::Good, None, None);
        let expected = if is_said { vec![good] } else { vec![] };
        let both = [path(luis, sound(0)), path(ana, sound(0))];
        assert_eq!(scene.seconds(SETTLED_S, &both), expected, "{reason:?}");
    }
}

#[test]
fn a_transport_that_is_closed_takes_what_was_said_of_it_along() {
    let mut scene = Scene::new();
    let (ana, luis) = (scene.connect("ana"), scene.connect("luis"));
    scene.seconds(SETTLED_S, &[path(ana, sound(120)), path(luis, sound(0))]);
    assert_eq!(scene.monitor.not_good().count(), 1);
    scene.lose(ana, LostReason::ClosedByPeer);
    let good = ("ana".to_owned(), Level::Good, None, None);
    assert_eq!(scene.seconds(SETTLED_S, &[path(luis, sound(0))]), [good]);
}

#[test]
fn of_five_hundred_people_only_the_changes_are_said() {
    let mut scene = Scene::new();
    let all: Vec<ConnectionId> =
        (0..500).map(|number| scene.connect(&format!("person-{number}"))).collect();
    let reports = |bad: usize| -> Vec<PathReport> {
        let lossy = |at: usize| if at < bad { sound(120) } else { sound(0) };
        all.iter().enumerate().map(|(at, peer)| path(*peer, lossy(at))).collect()
    };
    assert_eq!(scene.seconds(SETTLED_S, &reports(0)), []);
    let said = scene.seconds(SETTLED_S, &reports(3));
    let people: std::collections::BTreeSet<&str> = said.iter().map(|it| it.0.as_str()).collect();
    assert_eq!(people.len(), 3);
    assert!(said.len() <= 9, "{said:?}");
    assert_eq!(scene.seconds(SETTLED_S, &reports(3)), []);
    assert_eq!(scene.monitor.not_good().count(), 3);
    let stranger = ConnectionId::generate();
    assert_eq!(scene.seconds(SETTLED_S, &[path(stranger, sound(500))]).len(), 3, "they have left");
}

#[test]
fn a_bad_spell_is_kept_with_the_worst_of_it() {
    let mut scene = Scene::new();
    let (ana, luis) = (scene.connect("ana"), scene.connect("luis"));
    let with = |of_ana| [path(ana, sound(of_ana)), path(luis, sound(0))];
    scene.seconds(SETTLED_S, &with(0));
    let began = scene.now;
    scene.seconds(SETTLED_S, &with(50));
    scene.seconds(SETTLED_S, &with(300));
    scene.seconds(SETTLED_S, &with(50));
    assert_eq!(scene.monitor.take_spells(), [], "it is not over");
    scene.seconds(SETTLED_S, &with(0));
    let spells = scene.monitor.take_spells();
    assert_eq!(spells.len(), 1, "{spells:?}");
    let BadSpell { user: whose, worst, from, until } = &spells[0];
    assert_eq!(*whose, user("ana"));
    assert_eq!((worst.level, worst.cause), (Level::Poor, Some(Cause::UplinkLoss)));
    assert_eq!(worst.value, Some(30), "the worst that held, and not what was said first");
    assert!(from.since(began) <= 5 * SECOND && until.since(*from) >= 55 * SECOND);
    assert_eq!(scene.monitor.take_spells(), [], "it is taken once");
}

#[test]
fn what_is_bad_when_somebody_leaves_or_the_room_ends_is_a_spell_too() {
    let mut scene = Scene::new();
    let (ana, luis) = (scene.connect("ana"), scene.connect("luis"));
    let bad = [path(ana, sound(120)), path(luis, sound(120))];
    scene.seconds(SETTLED_S, &bad);
    scene.monitor.forget(ana, scene.now);
    let spells = scene.monitor.take_spells();
    let whose: Vec<&str> = spells.iter().map(|it| it.user.as_str()).collect();
    assert_eq!(whose, ["ana"]);
    assert_eq!(spells[0].until, scene.now);
    scene.monitor.end_spells(scene.now);
    let whose: Vec<UserId> = scene.monitor.take_spells().into_iter().map(|it| it.user).collect();
    assert_eq!(whose, [user("luis")]);
    scene.monitor.end_spells(scene.now);
    assert_eq!(scene.monitor.take_spells(), []);
}

#[test]
fn somebody_whose_connection_comes_and_goes_without_end_fills_no_log() {
    let mut scene = Scene::new();
    let (ana, luis) = (scene.connect("ana"), scene.connect("luis"));
    let mut spells = 0;
    for _ in 0..SPELLS_MAX + 20 {
        scene.lose(ana, LostReason::NeverConnected);
        scene.seconds(SETTLED_S, &[path(ana, sound(0)), path(luis, sound(0))]);
        spells += scene.monitor.take_spells().len();
    }
    assert_eq!(spells, usize::try_from(SPELLS_MAX).expect("few"));
}
