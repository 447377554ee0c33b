//! Tests over real sockets, databases and processes. The tests beside them in
//! `*.test.mjs` drive the server with browsers and independent clients.

mod api;
mod auth;
#[path = "../support/faulty_disk.rs"]
mod faulty_disk;
mod load;
#[expect(dead_code, reason = "the tests of transports use the rest of it")]
#[path = "../support/media_peer.rs"]
mod media_peer;
mod nobody;
#[path = "../support/package_root.rs"]
mod package_root;
mod plane;
#[path = "../support/platform.rs"]
mod platform;
mod rooms;
#[path = "../support/rtsp_camera.rs"]
mod rtsp_camera;
mod services;
#[path = "../support/small_disk.rs"]
mod small_disk;
#[expect(dead_code, reason = "the scenarios use the rest of it")]
#[path = "../support/speech.rs"]
mod speech;
mod store;
#[path = "../support/turn_client.rs"]
mod turn_client;
mod vault;
mod watched;
mod worker;
