//! A camera that publishes by WHIP into a real room and then is no more.

use std::time::{Duration, Instant, SystemTime};

use cabildo::load::client::{
    ClientEvent, ClientOptions, Identity, MediaClient, Profile, TrackOptions,
};
use cabildo::load::driver::Driver;
use reqwest::Method;

use crate::api::person::Person;
use crate::api::server::{Answer, Server, send};

/// Long enough for any machine; nothing waits for it when all is well.
const PATIENCE: Duration = Duration::from_mins(1);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

fn camera() -> MediaClient {
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let identity = Identity::generate(&[Profile::AeadAes128Gcm]).expect("an identity");
    let options = ClientOptions { identity, seed: 1, epoch: Instant::now(), epoch_unix: unix };
    MediaClient::publisher(options, &[TrackOptions::camera()])
}

/// Trickles nothing.
async fn patch(server: &Server, person: &Person, location: &str, entity_tag: &str) -> Answer {
    let request = person
        .prove(server.request(Method::PATCH, location))
        .header("content-type", "application/trickle-ice-sdpfrag")
        .header("if-match", entity_tag)
        .body("a=end-of-candidates\r\n");
    send(request).await
}

#[tokio::test]
async fn the_resource_of_a_camera_that_has_gone_is_gone_too() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let person = Person::with_role(&server, "participant").await;
    let mut client = camera();
    let request = person
        .prove(server.request(Method::POST, &format!("/api/v1/sessions/{session}/whip")))
        .header("content-type", "application/sdp")
        .body(client.offer());
    let created = send(request).await;
    assert_eq!(created.status, 201, "{created:?}");
    let (location, entity_tag) = (created.header("location"), created.header("etag"));
    let location = location.strip_prefix(&server.http).unwrap_or(location);
    let driver = Driver::start(1, None).expect("started");
    let (client, mut events) = driver.add(client);
    let answer = created.text.clone();
    let taken = client.call(move |client, now| client.handle_answer(&answer, now)).await;
    taken.expect("it lives").expect("a usable answer");
    let (_, event) = events.recv().await.expect("it lives");
    assert!(matches!(event, ClientEvent::Connected { .. }), "{event:?}");
    let patched = patch(&server, &person, location, entity_tag).await;
    assert_eq!(patched.status, 204, "it lives: {patched:?}");

    client.call(MediaClient::close).await.expect("it lives");
    let gone = async {
        loop {
            let patched = patch(&server, &person, location, entity_tag).await;
            if patched.status != 204 {
                return patched;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let refused = tokio::time::timeout(PATIENCE, gone).await.expect("it is noticed");
    assert_eq!((refused.status, refused.code().as_str()), (404, "MEDIA_RESOURCE_NOT_FOUND"));
    server.app.stop().await;
}
