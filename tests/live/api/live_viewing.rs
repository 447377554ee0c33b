//! Sessions that are watched live by people who are not in them: a real server, a camera in the
//! room as whoever is seen, and viewers with tokens.

use std::sync::atomic::Ordering;
use std::time::Duration;

use cabildo::domain::id::TenantId;
use reqwest::Method;
use serde_json::{Value, json};

use crate::api::channel_client::{Channel, event};
use crate::api::person::Person;
use crate::api::playback::{probe, text};
use crate::api::server::{Answer, Server, send};
use crate::rtsp_camera::{Behaviour, RtspCamera};

const PATIENCE: u32 = 600;

/// A session that may be watched, or not.
async fn created(server: &Server, live_viewing: bool) -> String {
    let mut body = server.new_session();
    body["live_viewing"] = json!(live_viewing);
    let answer = send(server.govern(Method::POST, "/api/v1/sessions").json(&body)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    text(&answer.json()["id"]).to_owned()
}

async fn issue(server: &Server, session: &str) -> Answer {
    let body = json!({"tenantId": server.tenant.to_string(), "sessionId": session});
    send(server.govern(Method::POST, "/gateway/sessions").json(&body)).await
}

async fn issued(server: &Server, session: &str) -> String {
    let answer = issue(server, session).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let body = answer.json();
    assert_eq!((&body["cameraId"], text(&body["sessionId"])), (&Value::Null, session));
    text(&body["token"]).to_owned()
}

fn path(server: &Server, session: &str, file: &str) -> String {
    format!("/gateway/playback/{}/session:{session}/{file}", server.tenant)
}

async fn get(server: &Server, path: &str) -> Answer {
    send(server.request(Method::GET, path)).await
}

/// Asks again until the answer is as wanted, and fails after a while.
async fn until(server: &Server, path: &str, is_so: impl Fn(&Answer) -> bool) -> Answer {
    let mut last = None;
    for _ in 0..PATIENCE {
        let answer = get(server, path).await;
        if is_so(&answer) {
            return answer;
        }
        last = Some(answer);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{path}: {last:?}")
}

/// Where the playlist with segments is, and what else can be said of the stream.
async fn watched(server: &Server, session: &str) -> (String, String) {
    let token = issued(server, session).await;
    let main = path(server, session, &format!("index.m3u8?token={token}"));
    let main = until(server, &main, |it| it.code() != "PLAYBACK_STREAM_NOT_READY").await;
    assert!(main.status == 200 && main.text.contains("avc1.") && main.text.contains("opus"));
    let media = path(server, session, main.text.lines().last().expect("an address"));
    let state = media.replace("media.m3u8", "state.json");
    (media, state)
}

fn is_seen(answer: &Answer) -> bool {
    answer.json()["unseen"] == Value::Null
}

#[tokio::test]
async fn a_session_is_watched_until_it_ends() {
    let server = Server::start_with(&[("cameras.probe_interval_s", "0")]).await;
    let chair = Person::with_role(&server, "moderator").await;
    let session = created(&server, true).await;
    let token = issued(&server, &session).await;
    let index = path(&server, &session, &format!("index.m3u8?token={token}"));
    let early = get(&server, &index).await;
    assert_eq!((early.status, early.code().as_str()), (503, "PLAYBACK_STREAM_NOT_READY"));
    server.step(&session, "start").await;

    let (media, state) = watched(&server, &session).await;
    assert_eq!(get(&server, &state).await.json(), json!({"unseen": "nobody", "ended": false}));
    let camera = RtspCamera::start(Behaviour::default()).await;
    let body =
        json!({"tenantId": server.tenant.to_string(), "cameraId": "hall", "rtspUrl": camera.url()});
    let provisioned = send(server.govern(Method::POST, "/gateway/provision").json(&body)).await;
    assert!(provisioned.status < 300, "{provisioned:?}");
    let cameras = format!("/api/v1/sessions/{session}/cameras");
    let added = json!({"camera_id": "hall"});
    let added = chair.write(&server, Method::POST, &cameras, |it| it.json(&added)).await;
    assert!(added.status < 300, "{added:?}");
    until(&server, &state, is_seen).await;
    let both = until(&server, &media, |it| it.text.matches("#EXT-X-MAP").count() > 1).await.text;
    // It changes once; a machine that stands still for a while breaks the stream off once more.
    assert_eq!(both.matches("#EXT-X-MAP").count(), 2, "{both}");
    assert!(both.contains("#EXT-X-DISCONTINUITY\n"), "{both}");
    let streams = probe(format!("{}{media}", server.http), 4).await["streams"].clone();
    let codecs = streams.as_array().expect("streams").iter().map(|it| text(&it["codec_name"]));
    let mut codecs: Vec<&str> = codecs.collect();
    codecs.sort_unstable();
    assert_eq!(codecs, ["h264", "opus"]);

    let one = format!("{cameras}/hall");
    let removed = chair.write(&server, Method::DELETE, &one, |it| it).await;
    assert!(removed.status < 300, "{removed:?}");
    let gone = until(&server, &state, |it| !is_seen(it)).await;
    assert_eq!(gone.json()["unseen"], "nobody");

    server.step(&session, "end").await;
    let ended = until(&server, &media, |it| it.text.ends_with("#EXT-X-ENDLIST\n")).await;
    assert_eq!(get(&server, &state).await.json()["ended"], true);
    // What is listed is there, and what nobody makes any more is not waited for.
    let last = ended.text.lines().rfind(|line| !line.starts_with('#')).expect("a segment");
    assert_eq!(get(&server, &media.replace("media.m3u8", last)).await.status, 200);
    let next = get(&server, &format!("{media}?_HLS_msn=99999999999")).await;
    assert!(next.status == 200 && next.text == ended.text, "{next:?}");
    let late = issue(&server, &session).await;
    assert_eq!((late.status, late.code().as_str()), (410, "SESSION_OVER"));
    server.app.stop().await;
}

#[tokio::test]
async fn whoever_watches_stays_when_the_clock_is_set() {
    let server = Server::start_with(&[("cameras.probe_interval_s", "0")]).await;
    let chair = Person::with_role(&server, "moderator").await;
    let session = created(&server, true).await;
    server.step(&session, "start").await;
    let (mut chair, _) = Channel::enter(&server, &session, &chair).await;
    let (_, state) = watched(&server, &session).await;
    // Longer than somebody may be away.
    server.set_us.store(150 * 1_000_000, Ordering::SeqCst);
    event(&mut chair, "clock_stepped").await;
    assert_eq!(get(&server, &state).await.status, 200);
    server.app.stop().await;
}

/// Whoever may switch it on may hand it out, and nothing else.
async fn moderators_hand_it_out(server: &Server, chair: &Person, (session, other): (&str, &str)) {
    let tenant = server.tenant.to_string();
    for (body, status, code) in [
        (json!({"tenantId": tenant, "sessionId": session}), 201, ""),
        (json!({"tenantId": tenant, "cameraId": "hall"}), 403, "FORBIDDEN"),
        (json!({"tenantId": other, "sessionId": session}), 404, "CAMERA_NOT_FOUND"),
    ] {
        let with = |it: reqwest::RequestBuilder| it.json(&body);
        let answer = chair.write(server, Method::POST, "/gateway/sessions", with).await;
        let found = answer.json()["code"].as_str().unwrap_or_default().to_owned();
        assert_eq!((answer.status, found.as_str()), (status, code), "{answer:?}");
    }
}

#[tokio::test]
async fn a_token_for_one_session_hands_out_no_other_one() {
    let server = Server::start().await;
    let (own, other) = (created(&server, true).await, created(&server, true).await);
    let tenant = server.tenant.to_string();
    for role in ["moderator", "operator"] {
        let bound = Person::of(&server, server.tenant, role, Some(&own)).await;
        for (watched, status, code) in [
            (json!({"tenantId": tenant, "sessionId": other}), 404, "SESSION_NOT_FOUND"),
            (json!({"tenantId": tenant, "cameraId": "hall"}), 403, "FORBIDDEN"),
            (json!({"tenantId": tenant, "cameraId": format!("session:{other}")}), 403, "FORBIDDEN"),
            (json!({"tenantId": tenant, "sessionId": own}), 201, ""),
        ] {
            let with = |it: reqwest::RequestBuilder| it.json(&watched);
            let answer = bound.write(&server, Method::POST, "/gateway/sessions", with).await;
            let found = answer.json()["code"].as_str().unwrap_or_default().to_owned();
            assert_eq!((answer.status, found.as_str()), (status, code), "{role}: {answer:?}");
        }
    }
    let list = format!("/gateway/sessions?sessionId={other}");
    let listed = send(server.govern(Method::GET, &list)).await;
    assert_eq!(listed.json()["sessions"], json!([]), "nothing was handed out: {listed:?}");
    server.app.stop().await;
}

#[tokio::test]
async fn a_session_is_watched_only_as_its_policy_and_its_tenant_allow() {
    let server = Server::start_with(&[("tenants.default.max_concurrent_streams", "1")]).await;
    let session = created(&server, false).await;
    server.step(&session, "start").await;
    let off = issue(&server, &session).await;
    assert_eq!((off.status, off.code().as_str()), (409, "LIVE_VIEWING_OFF"));
    let chair = Person::with_role(&server, "moderator").await;
    let patch = async |on: bool| {
        let at = format!("/api/v1/sessions/{session}");
        let version =
            text(&json!(chair.read(&server, Method::GET, &at).await.header("etag"))).to_owned();
        let body = json!({ "live_viewing": on });
        let with = |it: reqwest::RequestBuilder| it.header("if-match", &version).json(&body);
        let answer = chair.write(&server, Method::PATCH, &at, with).await;
        assert_eq!(
            (answer.status, &answer.json()["live_viewing"]),
            (200, &json!(on)),
            "{answer:?}"
        );
    };
    patch(true).await;
    let other = TenantId::generate().to_string();
    for (body, status, code) in [
        (json!({"tenantId": other, "sessionId": session}), 404, "SESSION_NOT_FOUND"),
        (json!({"tenantId": server.tenant.to_string()}), 400, "MALFORMED_REQUEST"),
        (
            json!({"tenantId": server.tenant.to_string(), "sessionId": session, "cameraId": "hall"}),
            400,
            "MALFORMED_REQUEST",
        ),
    ] {
        let refused = send(server.govern(Method::POST, "/gateway/sessions").json(&body)).await;
        assert_eq!((refused.status, refused.code().as_str()), (status, code), "{body}");
    }
    let named = format!("session:{session}");
    let body = json!({"tenantId": server.tenant.to_string(), "cameraId": named, "rtspUrl": "rtsp://192.0.2.1/a"});
    let refused = send(server.govern(Method::POST, "/gateway/provision").json(&body)).await;
    assert_eq!((refused.status, refused.code().as_str()), (422, "UNPROCESSABLE_REQUEST"));
    let stranger = Person::with_role(&server, "participant").await;
    let body = json!({"tenantId": server.tenant.to_string(), "sessionId": session});
    let with = |it: reqwest::RequestBuilder| it.json(&body);
    let refused = stranger.write(&server, Method::POST, "/gateway/sessions", with).await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "FORBIDDEN"));

    moderators_hand_it_out(&server, &chair, (&session, &other)).await;

    // A token is for one session of one tenant, and the tenant has one place.
    let second = issued(&server, &session).await;
    let (media, state) = watched(&server, &session).await;
    let token = |of: &str, token: &str| path(&server, of, &format!("index.m3u8?token={token}"));
    let full = get(&server, &token(&session, &second)).await;
    assert_eq!((full.status, full.code().as_str()), (409, "STREAM_LIMIT_REACHED"));
    let elsewhere = created(&server, true).await;
    let refused = get(&server, &token(&elsewhere, &second)).await;
    assert_eq!(refused.code(), "PLAYBACK_TOKEN_SCOPE_MISMATCH");
    let moved = media.replace(&server.tenant.to_string(), &other);
    assert_eq!(get(&server, &moved).await.code(), "PLAYBACK_TOKEN_SCOPE_MISMATCH");
    let recorded = format!("recorded.m3u8?token={second}&from=2027-01-15T08:00:00Z");
    let recorded = get(&server, &path(&server, &session, &recorded)).await;
    assert_eq!(recorded.code(), "STREAM_LIMIT_REACHED", "the place is taken");
    let viewers =
        format!("/gateway/sessions?tenantId={}&sessionId={session}&status=active", server.tenant);
    let viewers = send(server.govern(Method::GET, &viewers)).await.json();
    assert_eq!(viewers["sessions"].as_array().map(Vec::len), Some(1), "{viewers}");

    patch(false).await;
    until(&server, &state, |it| it.json()["ended"] == true).await;
    assert!(get(&server, &media).await.text.ends_with("#EXT-X-ENDLIST\n"));
    server.app.stop().await;
}
