//! WHIP and WHEP: what the door promises its clients (RFC 9725), with real
//! rooms and offers. Media that flows goes through `tests/live/*.test.mjs`.

use std::time::{Instant, SystemTime};

use cabildo::api::RESOURCES_PER_USER_MAX;
use cabildo::domain::id::TenantId;
use cabildo::domain::media::MediaKind;
use cabildo::domain::role::{Action, Role};
use cabildo::load::client::{ClientOptions, Identity, MediaClient, Profile, TrackOptions};
use cabildo::room::engine::CONNECTIONS_PER_USER_MAX;
use reqwest::Method;

use crate::api::person::Person;
use crate::api::server::{Answer, Server, send};

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

pub(crate) fn client_options() -> ClientOptions {
    let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let identity = Identity::generate(&[Profile::AeadAes128Gcm]).expect("an identity");
    ClientOptions { identity, seed: 1, epoch: Instant::now(), epoch_unix: unix }
}

/// An offer that the endpoint of this kind takes.
pub(crate) fn offer(kind: &str) -> String {
    let mut client = match kind {
        "whip" => MediaClient::publisher(client_options(), &[TrackOptions::camera()]),
        _ => MediaClient::viewer(client_options(), &[MediaKind::Audio, MediaKind::Video]),
    };
    client.offer()
}

/// The same offer with one section more, of a codec that is not forwarded.
pub(crate) fn with_a_section_too_many(offer: &str) -> String {
    let mut lines: Vec<String> = offer.lines().map(str::to_owned).collect();
    let group = lines.iter_mut().find(|line| line.starts_with("a=group:BUNDLE"));
    group.expect("a bundle").push_str(" odd");
    lines.extend(
        [
            "m=video 9 UDP/TLS/RTP/SAVPF 98",
            "c=IN IP4 0.0.0.0",
            "a=mid:odd",
            "a=sendrecv",
            "a=rtcp-mux",
            "a=rtpmap:98 H265/90000",
        ]
        .map(str::to_owned),
    );
    lines.join("\r\n") + "\r\n"
}

async fn post(server: &Server, person: &Person, path: &str, kind: &str, body: String) -> Answer {
    let request = person.prove(server.request(Method::POST, path));
    send(request.header("content-type", kind).body(body)).await
}

/// Opens a resource of this kind in a session.
async fn open(server: &Server, person: &Person, session: &str, kind: &str) -> Answer {
    post(server, person, &format!("/api/v1/sessions/{session}/{kind}"), SDP, offer(kind)).await
}

async fn patch(server: &Server, person: &Person, at: &str, tag: &str, body: &str) -> Answer {
    let request = person.prove(server.request(Method::PATCH, at));
    let request = request.header("content-type", FRAGMENT).header("if-match", tag);
    send(request.body(body.to_owned())).await
}

async fn delete(server: &Server, person: &Person, at: &str) -> Answer {
    send(person.prove(server.request(Method::DELETE, at))).await
}

#[tokio::test]
async fn clients_trickle_restart_and_leave() {
    let server = Server::start().await;
    let session = server.create_active().await;
    for (kind, role) in [("whip", "hall"), ("whep", "participant")] {
        let person = Person::with_role(&server, role).await;
        let opened = open(&server, &person, &session, kind).await;
        assert_eq!(opened.status, 201, "{opened:?}");
        assert_eq!(opened.header("content-type"), SDP);
        assert!(opened.text.starts_with("v=0"), "{opened:?}");
        let (location, tag) = (opened.header("location"), opened.header("etag"));
        let prefix = format!("/api/v1/sessions/{session}/{kind}/");
        assert!(location.starts_with(&prefix), "{location}");

        let candidate = "a=mid:0\r\na=candidate:1 1 udp 2130706431 192.0.2.1 4000 typ host\r\n";
        let trickled = patch(&server, &person, location, tag, candidate).await;
        assert_eq!(trickled.status, 204, "{trickled:?}");
        let restart = "a=ice-ufrag:mine\r\na=ice-pwd:aPasswordOf22LettersOrMore\r\n";
        let restarted = patch(&server, &person, location, "\"*\"", restart).await;
        assert_eq!(restarted.status, 200, "{restarted:?}");
        assert!(restarted.text.contains("a=ice-ufrag:"), "{restarted:?}");
        assert!(restarted.text.contains("a=ice-pwd:"), "{restarted:?}");
        assert_ne!(restarted.header("etag"), tag);
        let stale = patch(&server, &person, location, tag, candidate).await;
        assert_eq!(stale.status, 412, "{stale:?}");

        assert_eq!(delete(&server, &person, location).await.status, 200);
        let twice = delete(&server, &person, location).await;
        assert_eq!((twice.status, twice.code().as_str()), (404, "MEDIA_RESOURCE_NOT_FOUND"));
    }
    server.app.stop().await;
}

#[tokio::test]
async fn a_resource_exists_for_its_maker_only() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let one = Person::named(&server, "one", "participant").await;
    let opened = open(&server, &one, &session, "whep").await;
    let location = opened.header("location").to_owned();
    let elsewhere = Person::of(&server, TenantId::generate(), "participant", None).await;
    let another = Person::named(&server, "two", "moderator").await;
    let as_whip = location.replace("/whep/", "/whip/");
    for (path, person) in [(&location, &another), (&location, &elsewhere), (&as_whip, &one)] {
        let refused = delete(&server, person, path).await;
        assert_eq!(refused.status, 404, "{refused:?}");
    }
    assert_eq!(send(server.request(Method::DELETE, &location)).await.status, 401);
    let other_kind = delete(&server, &one, &location.replace("/whep/", "/whop/")).await;
    assert_eq!(other_kind.code(), "ROUTE_NOT_FOUND", "{other_kind:?}");
    assert_eq!(delete(&server, &one, &location).await.status, 200);
    server.app.stop().await;
}

#[tokio::test]
async fn roles_decide_who_publishes_and_who_plays() {
    let server = Server::start().await;
    let session = server.create_active().await;
    for role in Role::ALL {
        let person = Person::with_role(&server, role.as_str()).await;
        for (kind, action) in [("whip", Action::PublishMedia), ("whep", Action::JoinRoom)] {
            let answer = open(&server, &person, &session, kind).await;
            let expected = if role.may(action) { 201 } else { 403 };
            assert_eq!(answer.status, expected, "{role} {kind}: {answer:?}");
        }
    }
    let outsider = Person::of(&server, TenantId::generate(), "moderator", None).await;
    let answer = open(&server, &outsider, &session, "whip").await;
    assert_eq!(answer.status, 404, "{answer:?}");
    server.app.stop().await;
}

#[tokio::test]
async fn a_section_that_is_refused_beside_others_is_named() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let person = Person::with_role(&server, "participant").await;
    for kind in ["whip", "whep"] {
        let path = format!("/api/v1/sessions/{session}/{kind}");
        let whole = post(&server, &person, &path, SDP, offer(kind)).await;
        assert_eq!((whole.status, whole.header("cabildo-refused-section")), (201, ""), "{whole:?}");
        let mixed = with_a_section_too_many(&offer(kind));
        let answer = post(&server, &person, &path, SDP, mixed).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        assert!(answer.text.contains("m=video 0 UDP/TLS/RTP/SAVPF 98"), "{answer:?}");
        let told = answer.header("cabildo-refused-section");
        let expected =
            "\"odd\";media=\"video\";code=\"CODEC_UNSUPPORTED\";message=\"it names no codec";
        assert!(told.starts_with(expected), "{told}");
    }
    server.app.stop().await;
}

#[tokio::test]
async fn what_cannot_be_taken_leaves_nobody_behind() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let person = Person::with_role(&server, "participant").await;
    let path = format!("/api/v1/sessions/{session}/whip");
    for (kind, body, status, code) in [
        ("application/json", offer("whip"), 415, "UNSUPPORTED_MEDIA_TYPE"),
        (SDP, String::new(), 422, "SDP_INVALID"),
    ] {
        let answer = post(&server, &person, &path, kind, body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{answer:?}");
    }
    // Each would hold a connection, if refused clients stayed.
    for _ in 0..=CONNECTIONS_PER_USER_MAX {
        let answer = post(&server, &person, &path, SDP, "unusable".to_owned()).await;
        assert_eq!((answer.status, answer.code().as_str()), (422, "SDP_INVALID"), "{answer:?}");
    }
    assert_eq!(open(&server, &person, &session, "whip").await.status, 201);
    let scheduled = server.create().await;
    let early = open(&server, &person, &scheduled, "whip").await;
    assert_eq!((early.status, early.code().as_str()), (409, "SESSION_STATE_CONFLICT"));
    server.step(&scheduled, "cancel").await;
    let late = open(&server, &person, &scheduled, "whip").await;
    assert_eq!((late.status, late.code().as_str()), (410, "SESSION_OVER"));
    server.app.stop().await;
}

#[tokio::test]
async fn one_person_has_a_few_clients_and_gone_ones_do_not_count() {
    let server = Server::start().await;
    let person = Person::with_role(&server, "participant").await;
    let mut locations = Vec::new();
    let mut session = String::new();
    while locations.len() < RESOURCES_PER_USER_MAX {
        // A room takes fewer connections of a person than this door.
        if locations.len() % CONNECTIONS_PER_USER_MAX == 0 {
            session = server.create_active().await;
        }
        let answer = open(&server, &person, &session, "whip").await;
        assert_eq!(answer.status, 201, "{answer:?}");
        locations.push(answer.header("location").to_owned());
    }
    let session = server.create_active().await;
    let full = open(&server, &person, &session, "whip").await;
    assert_eq!((full.status, full.code().as_str()), (409, "PARTICIPANT_LIMIT_REACHED"));
    let other = Person::with_role(&server, "participant").await;
    assert_eq!(open(&server, &other, &session, "whip").await.status, 201);
    assert_eq!(delete(&server, &person, &locations[0]).await.status, 200);
    assert_eq!(open(&server, &person, &session, "whip").await.status, 201);
    server.app.stop().await;
}

#[tokio::test]
async fn pages_of_every_origin_may_use_them() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let person = Person::with_role(&server, "participant").await;
    let opened = open(&server, &person, &session, "whip").await;
    let endpoint = format!("/api/v1/sessions/{session}/whip");
    let preflight = |path: &str, method: &str| {
        server
            .request(Method::OPTIONS, path)
            .header("origin", "https://player.example")
            .header("access-control-request-method", method)
            .header("access-control-request-headers", "authorization, content-type, if-match")
    };
    // A preflight carries no token, and a resource answers it whether it exists.
    let gone = format!("{endpoint}/none");
    for (path, method, accepts) in [
        (endpoint.as_str(), "POST", ("accept-post", SDP)),
        (opened.header("location"), "PATCH", ("accept-patch", FRAGMENT)),
        (opened.header("location"), "DELETE", ("accept-patch", FRAGMENT)),
        (&gone, "PATCH", ("accept-patch", FRAGMENT)),
    ] {
        let answer = send(preflight(path, method)).await;
        assert_eq!(answer.status, 204, "{path}: {answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert!(answer.header("access-control-allow-methods").contains(method), "{answer:?}");
        for header in ["authorization", "content-type", "if-match", "dpop"] {
            let allowed = answer.header("access-control-allow-headers");
            assert!(allowed.split(", ").any(|name| name == header), "{header}: {answer:?}");
        }
        assert_eq!(answer.header(accepts.0), accepts.1, "{answer:?}");
    }
    let refused = delete(&server, &person, &gone).await;
    // Neither are methods that no route takes, bodies that are too long, and preflights of these.
    let wrong_method = send(server.request(Method::GET, &endpoint)).await;
    assert_eq!(wrong_method.code(), "METHOD_NOT_ALLOWED", "{wrong_method:?}");
    let long = person.prove(server.request(Method::POST, &endpoint));
    let long = send(long.header("content-type", SDP).body(vec![b'a'; 4 << 20])).await;
    assert_eq!(long.status, 413, "{long:?}");
    for answer in [&opened, &refused, &wrong_method, &long] {
        assert_eq!(answer.header("access-control-allow-origin"), "*", "{answer:?}");
        let exposed = answer.header("access-control-expose-headers");
        for header in ["location", "etag", "link", "accept-patch", "date", "dpop-nonce"] {
            assert!(exposed.split(", ").any(|name| name == header), "{header}: {answer:?}");
        }
    }
    let tag = opened.header("etag");
    for (tags, status) in
        [(format!("\"other\", {tag}"), 204), (format!("W/{tag}"), 412), ("other".to_owned(), 400)]
    {
        let location = opened.header("location");
        let answer = patch(&server, &person, location, &tags, "a=end-of-candidates\r\n").await;
        assert_eq!(answer.status, status, "{tags}: {answer:?}");
    }
    let elsewhere = send(server.request(Method::OPTIONS, &endpoint.replace("whip", "x/y"))).await;
    assert_eq!(elsewhere.code(), "ROUTE_NOT_FOUND", "{elsewhere:?}");
    server.app.stop().await;
}
