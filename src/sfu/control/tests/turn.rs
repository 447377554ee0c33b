//! Requests of TURN as the control half takes them.

use super::*;
use crate::domain::secret::Secret;
use crate::domain::time::Timestamp;
use crate::sfu::turn::{AccessKey, Quotas, RelayTable, ServerOptions, TurnServer};

fn scene() -> Scene {
    let scene = Scene::new();
    let table = Arc::new(RelayTable::default());
    table.announce(&[SocketAddr::from(([192, 0, 2, 1], 3478))]);
    let quotas = Quotas { per_person: 4, per_network: 4, total: 4 };
    let key = AccessKey::new(Secret::new(vec![7; 32]));
    let options = ServerOptions { key, quotas, lifetime_max: Duration::from_mins(10) };
    let wall = (Timestamp::from_unix_us(1_700_000_000_000_000), scene.now);
    let server = TurnServer::new(options, table, [9; 32], wall).expect("a server");
    let control = scene.control.with_turn(server);
    Scene { control, ..scene }
}

/// An Allocate request without credentials.
fn allocate() -> Vec<u8> {
    let header = [0, 3, 0, 8, 0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    [&header[..], &[0, 0x19, 0, 4, 17, 0, 0, 0]].concat()
}

/// How many of these requests are answered.
fn answered(scene: &mut Scene, sources: impl Iterator<Item = SocketAddr>) -> usize {
    let mut answers = 0;
    for from in sources {
        scene.control.handle_datagram(0, from, allocate(), scene.now);
        answers += scene.poll_transport().len();
    }
    answers
}

#[test]
fn a_flood_of_requests_is_answered_at_a_rate() {
    let mut scene = scene();
    let victim = |port: u16| SocketAddr::from(([198, 51, 100, 7], port));
    assert_eq!(answered(&mut scene, (1..5_000).map(victim)), 100);
    assert_eq!(scene.control.stats().datagrams_limited, 4_899);
    // Others are answered, and so is that network after a while.
    let other = |host: u8| SocketAddr::from(([198, 51, 101, host], 4_000));
    assert_eq!(answered(&mut scene, (0..50).map(other)), 50);
    scene.pass(Duration::from_secs(1));
    assert_eq!(answered(&mut scene, (1..5_000).map(victim)), 100);
    // Forged addresses of many networks are answered no more often in all.
    scene.pass(Duration::from_secs(1));
    let anybody = |host: u32| SocketAddr::from((host.to_be_bytes(), 4_000));
    assert_eq!(answered(&mut scene, (0x0B00_0000..0x0B00_6000).map(anybody)), 10_000);
    assert_eq!(scene.control.turn_stats().allocations, 0);
}

#[test]
fn without_turn_its_requests_are_not_answered() {
    let mut scene = Scene::new();
    let from = SocketAddr::from(([198, 51, 100, 7], 4_000));
    assert_eq!(answered(&mut scene, [from].into_iter()), 0);
    assert_eq!(scene.control.stats().datagrams_unroutable, 1);
}
