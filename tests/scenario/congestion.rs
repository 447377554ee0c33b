//! Stories of the bandwidth estimate in virtual time: paths with a capacity, a queue, delay, jitter
//! and loss, all from a seed, and receivers that tell of arrivals as browsers do.

mod path;

use cabildo::sfu::congestion::Congestion;
use path::{Flow, LIMITS, Path, Seconds};

const KBPS: f64 = 1_000.0;

/// Runs one flow over a path and returns what it was like in the last `seconds`.
fn alone(path: &mut Path, wanted_kbps: f64, length: u64, last: u64) -> Seconds {
    let mut flows = [Flow::new(wanted_kbps * KBPS)];
    path.run(&mut flows, length - last);
    flows[0].forget();
    path.run(&mut flows, last);
    flows[0].seen()
}

#[test]
fn the_capacity_is_found_and_no_queue_stands() {
    for capacity_kbps in [300.0, 1_000.0, 2_000.0] {
        for delay_ms in [10, 50, 150] {
            let mut path = Path::new(capacity_kbps * KBPS, delay_ms);
            let seen = alone(&mut path, 4_000.0, 60, 20);
            let told = format!("{capacity_kbps} kbit/s, {delay_ms} ms: {seen:?}");
            assert!(seen.estimate_bps < 1.1 * capacity_kbps * KBPS, "{told}");
            assert!(seen.arrived_bps > 0.65 * capacity_kbps * KBPS, "{told}");
            assert!(seen.queue_ms_mean < 60.0 && seen.queue_ms_p95 < 160.0, "{told}");
        }
    }
}

#[test]
fn a_wide_path_is_used_within_seconds_of_the_start() {
    let mut path = Path::new(10_000.0 * KBPS, 25);
    let seen = alone(&mut path, 2_500.0, 8, 2);
    assert!(seen.arrived_bps > 2_200.0 * KBPS, "{seen:?}");
    assert!(seen.queue_ms_mean < 10.0, "{seen:?}");
}

#[test]
fn a_path_that_narrows_is_noticed_and_its_return_too() {
    let mut path = Path::new(2_500.0 * KBPS, 40);
    let mut flows = [Flow::new(2_000.0 * KBPS)];
    path.run(&mut flows, 20);
    path.capacity_bps = 400.0 * KBPS;
    path.run(&mut flows, 6);
    flows[0].forget();
    path.run(&mut flows, 15);
    let narrow = flows[0].seen();
    assert!(narrow.estimate_bps < 450.0 * KBPS, "{narrow:?}");
    assert!(narrow.queue_ms_mean < 80.0, "{narrow:?}");
    path.capacity_bps = 2_500.0 * KBPS;
    path.run(&mut flows, 12);
    flows[0].forget();
    path.run(&mut flows, 5);
    let again = flows[0].seen();
    assert!(again.arrived_bps > 1_500.0 * KBPS, "{again:?}");
}

#[test]
fn loss_by_chance_does_not_stop_the_flow() {
    for (loss, least) in [(0.02, 0.8), (0.05, 0.55), (0.1, 0.3), (0.2, 0.15)] {
        let mut path = Path::new(5_000.0 * KBPS, 40);
        path.loss = loss;
        let seen = alone(&mut path, 2_000.0, 40, 15);
        assert!(seen.estimate_bps > least * 2_000.0 * KBPS, "{loss}: {seen:?}");
    }
}

#[test]
fn jitter_is_not_taken_for_a_queue() {
    let mut path = Path::new(5_000.0 * KBPS, 60);
    path.jitter_ms = 30;
    let seen = alone(&mut path, 1_500.0, 40, 15);
    assert!(seen.estimate_bps > 1_200.0 * KBPS, "{seen:?}");
}

#[test]
fn two_flows_share_a_path_and_leave_no_queue() {
    let mut path = Path::new(2_000.0 * KBPS, 40);
    let mut flows = [Flow::new(2_500.0 * KBPS), Flow::new(2_500.0 * KBPS)];
    path.run(&mut flows, 60);
    flows.iter_mut().for_each(Flow::forget);
    path.run(&mut flows, 60);
    let [one, other] = flows.each_ref().map(Flow::seen);
    assert!(one.arrived_bps.min(other.arrived_bps) > 300.0 * KBPS, "{one:?} {other:?}");
    assert!(one.arrived_bps + other.arrived_bps > 1_200.0 * KBPS, "{one:?} {other:?}");
    assert!(one.queue_ms_mean < 100.0, "{one:?} {other:?}");
}

#[test]
fn when_nothing_more_is_told_the_estimate_falls_to_the_floor() {
    let mut path = Path::new(5_000.0 * KBPS, 40);
    let mut flows = [Flow::new(2_000.0 * KBPS)];
    path.run(&mut flows, 15);
    path.loss = 1.0;
    path.run(&mut flows, 15);
    let floor = LIMITS.floor_bps;
    assert_eq!(flows[0].estimate_bps(path.now_us), Some(floor));
    path.loss = 0.0;
    path.run(&mut flows, 25);
    assert!(flows[0].estimate_bps(path.now_us) > Some(1_000_000), "it recovers");
}

#[test]
fn lies_about_arrivals_gain_nothing_beyond_what_is_sent() {
    // A receiver behind a path of 400 kbit/s tells that all has arrived, and ever sooner.
    let mut path = Path::new(400.0 * KBPS, 40);
    let mut flows = [Flow::new(1_000.0 * KBPS)];
    flows[0].lies = true;
    path.run(&mut flows, 20);
    let estimate = flows[0].estimate_bps(path.now_us);
    assert!(estimate.is_some_and(|bps| bps <= 1_600_000), "{estimate:?}");
    let counted = *flows[0].congestion.counted();
    assert!(counted.implausible > 0, "{counted:?}");
}

#[test]
fn a_receiver_that_reports_rarely_gets_its_pictures_back_as_soon_as_others() {
    for every_us in [500_000, 1_000_000, 5_000_000] {
        let mut congestion = Congestion::new(LIMITS, 0);
        let mut now_us = 0;
        congestion.handle_loss(0, 2_000_000, now_us);
        for _ in 0..10 {
            now_us += every_us;
            congestion.handle_loss(128, 100_000, now_us);
        }
        let estimate =
            |congestion: &Congestion, now_us| congestion.estimate_bps(now_us).expect("told");
        assert!(estimate(&congestion, now_us) < 100_000, "{every_us}");
        let began_us = now_us;
        while estimate(&congestion, now_us) < 1_000_000 {
            now_us += every_us;
            congestion.handle_loss(0, 40_000, now_us);
            assert!(now_us - began_us <= 40_000_000, "{every_us}: still too little");
        }
    }
}
