//! What was said, read and corrected, and the minutes made of it.

use std::time::Duration;

use cabildo::domain::id::{SessionId, SessionKey, TenantId, TrackId};
use cabildo::domain::time::Timestamp;
use cabildo::domain::transcript::{GapCause, Transcribed, TranscriptChunk, TranscriptGap};
use cabildo::verify::pdf::embedded_file;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use sha2::Digest as _;

use crate::api::channel_client::Channel;
use crate::api::person::{Person, token};
use crate::api::server::{Answer, Server, send};

/// How long the log may take to have what was told.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// An active session that is transcribed.
async fn transcribed(server: &Server) -> String {
    let mut wanted = server.new_session();
    // Everybody is heard, so that everybody can be written down.
    wanted["moderation"] = json!("open");
    wanted["transcription"] = json!({"enabled": true, "language": "es"});
    let answer = send(server.govern(Method::POST, "/api/v1/sessions").json(&wanted)).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let session = answer.json()["id"].as_str().expect("an id").to_owned();
    server.step(&session, "start").await;
    session
}

fn now() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
    Timestamp::from_unix_us(i64::try_from(since.as_micros()).expect("in range"))
}

/// Says something as an engine would: heard just now on somebody's microphone.
async fn say(server: &Server, session: &str, user: &str, text: &str) {
    let (from, to) = (now().before(Duration::from_millis(1)), now());
    let (user, track) = (user.parse().expect("a user"), TrackId::generate());
    let said = if text.is_empty() {
        Transcribed::Gap(TranscriptGap { user, track, from, to, cause: GapCause::Overload })
    } else {
        Transcribed::Chunk(TranscriptChunk {
            user,
            track,
            text: text.to_owned(),
            confidence: 0.875,
            from,
            to,
            is_final: true,
            engine: "whisper".to_owned(),
            language: "es".to_owned(),
        })
    };
    let session: SessionId = session.parse().expect("an id");
    server
        .app
        .rooms()
        .transcribed(SessionKey::new(server.tenant, session), said)
        .await
        .expect("taken");
}

fn path_of(session: &str) -> String {
    format!("/api/v1/sessions/{session}/transcript")
}

/// Reads until the log has so many pieces.
async fn until(server: &Server, reader: &Person, session: &str, pieces: usize) -> Value {
    let has = |page: &Value| page["items"].as_array().is_some_and(|items| items.len() >= pieces);
    until_so(server, reader, session, has).await
}

/// Reads until the log has what is wanted.
async fn until_so(
    server: &Server,
    reader: &Person,
    session: &str,
    is_so: impl Fn(&Value) -> bool,
) -> Value {
    let asked = async {
        loop {
            let answer = reader.read(server, Method::GET, &path_of(session)).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let page = answer.json();
            if is_so(&page) {
                return page;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("the log has what was said")
}

/// Reads minutes until they name the head of the log, which is signed about a second later.
async fn until_signed(server: &Server, reader: &Person, path: &str) {
    let signed = async {
        while !reader.read(server, Method::GET, path).await.text.contains("/verify?session=") {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    tokio::time::timeout(PATIENCE, signed).await.expect("a head is signed");
}

async fn correct(server: &Server, by: &Person, session: &str, of: u64, text: &str) -> Answer {
    let path = format!("{}/corrections", path_of(session));
    let body = json!({"seq": of, "text": text});
    by.write(server, Method::POST, &path, |request| request.json(&body)).await
}

fn texts(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().expect("a list");
    items.iter().map(|item| item["text"].as_str().unwrap_or_default()).collect()
}

#[tokio::test]
async fn what_was_said_is_told_in_the_room_and_read_from_the_log_in_every_form() {
    let server = Server::start().await;
    let session = transcribed(&server).await;
    let ana = Person::named(&server, "ana", "participant").await;
    let auditor = Person::with_role(&server, "auditor").await;
    let (mut channel, welcome) = Channel::enter(&server, &session, &ana).await;
    let state = &welcome["transcription"];
    assert_eq!(state["language"], "es");
    assert!(["on", "unavailable"].contains(&state["state"].as_str().expect("a state")), "{state}");

    say(&server, &session, "ana", "Buenas <tardes> & noches").await;
    let told = channel.hear_type("transcript_chunk").await;
    assert_eq!((&told["participant"], &told["final"]), (&json!("ana"), &json!(true)));
    say(&server, &session, "ana", "").await;
    let gap = channel.hear_type("transcript_gap").await;
    assert_eq!(gap["cause"], "overload");

    let page = until(&server, &auditor, &session, 2).await;
    assert_eq!(page["next_cursor"], Value::Null);
    let piece = &page["items"][0];
    assert_eq!(piece["seq"], told["seq"]);
    assert_eq!((&piece["text"], &piece["original"]), (&told["text"], &told["text"]));
    assert_eq!((&piece["confidence"], &piece["gap"]), (&json!(0.875), &Value::Null));
    assert_eq!(page["items"][1]["gap"], "overload");

    let read = |query: &'static str| {
        let (server, auditor, path) = (&server, &auditor, path_of(&session));
        async move { auditor.read(server, Method::GET, &format!("{path}?{query}")).await }
    };
    let vtt = read("format=vtt").await;
    assert_eq!((vtt.status, vtt.header("content-type")), (200, "text/vtt; charset=utf-8"));
    assert!(vtt.text.starts_with("WEBVTT\n\n"), "{vtt:?}");
    let cue = vtt.text.lines().find(|line| line.contains("Buenas")).expect("a cue");
    assert!(cue.ends_with(">Buenas &lt;tardes&gt; &amp; noches"), "{cue}");
    assert_eq!(vtt.text.matches("-->").count(), 1, "a gap is no cue");
    let txt = read("format=txt").await;
    assert!(txt.text.contains("Buenas <tardes> & noches\n"), "{txt:?}");
    assert!(txt.text.contains("[… overload]"), "{txt:?}");
    let turns = read("by=turn").await.json();
    assert_eq!(turns["turns"][0]["text"], "Buenas <tardes> & noches […]");
    assert!(read("by=turn&format=txt").await.text.contains("noches […]"));

    // One after the other, each piece once.
    let first = read("limit=1").await.json();
    assert_eq!(texts(&first), [told["text"].as_str().expect("a text")]);
    let cursor = first["next_cursor"].as_str().expect("there is more");
    let path = format!("{}?limit=1&cursor={cursor}", path_of(&session));
    let second = auditor.read(&server, Method::GET, &path).await.json();
    assert_eq!(
        (&second["items"][0]["gap"], &second["next_cursor"]),
        (&json!("overload"), &Value::Null)
    );
    for (query, status, code) in [
        ("limit=0", 422, "UNPROCESSABLE_REQUEST"),
        ("limit=501", 422, "UNPROCESSABLE_REQUEST"),
        ("format=vtt&limit=5", 422, "UNPROCESSABLE_REQUEST"),
        ("cursor=next", 400, "MALFORMED_REQUEST"),
        ("format=docx", 400, "MALFORMED_REQUEST"),
        ("by=colour", 400, "MALFORMED_REQUEST"),
        ("language=es", 400, "MALFORMED_REQUEST"),
    ] {
        let answer = read(query).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{query}: {answer:?}");
    }
    server.app.stop().await;
}

#[tokio::test]
async fn words_so_far_are_shown_and_kept_nowhere() {
    let server = Server::start().await;
    let session = transcribed(&server).await;
    let ana = Person::named(&server, "ana", "participant").await;
    let chair = Person::named(&server, "chair", "moderator").await;
    let (mut channel, _) = Channel::enter(&server, &session, &ana).await;
    let (mut moderator, _) = Channel::enter(&server, &session, &chair).await;
    channel.done(json!({"type": "request_speech", "kind": "normal"})).await;
    let request = moderator.hear_type("speech_request_received").await["request_id"].clone();
    moderator.done(json!({"type": "approve_speech", "request_id": request})).await;
    moderator.done(json!({"type": "start_turn"})).await;
    let begun = now();
    let so_far = |text: &str| TranscriptChunk {
        user: "ana".parse().expect("a user"),
        track: TrackId::generate(),
        text: text.to_owned(),
        confidence: 0.875,
        from: begun,
        to: begun,
        is_final: false,
        engine: "whisper".to_owned(),
        language: "es".to_owned(),
    };
    let key = SessionKey::new(server.tenant, session.parse().expect("an id"));
    server.app.rooms().spoken_so_far(key, so_far("buenas"));
    let shown = moderator.hear_type("transcript_chunk").await;
    let turn = channel.hear_type("turn_started").await["turn_id"].clone();
    assert_eq!(shown["text"], "buenas");
    assert_eq!((&shown["participant"], &shown["turn"]), (&json!("ana"), &turn));
    assert_eq!((&shown["final"], &shown["seq"]), (&json!(false), &Value::Null));
    assert_eq!(shown["at"], Value::Null, "it is no event");
    moderator.done(json!({"type": "mute_user", "user_id": "ana"})).await;
    server.app.rooms().spoken_so_far(key, so_far("buenas tardes"));
    // Another room, and one that is not open, show nothing of it.
    let other = SessionKey::new(server.tenant, SessionId::generate());
    server.app.rooms().spoken_so_far(other, so_far("buenas tardes"));
    moderator.done(json!({"type": "unmute_user", "user_id": "ana"})).await;
    say(&server, &session, "ana", "Buenas noches.").await;
    let told = moderator.hear_type("transcript_chunk").await;
    assert_eq!((&told["text"], &told["final"]), (&json!("Buenas noches."), &json!(true)));
    assert_eq!(texts(&until(&server, &chair, &session, 1).await), ["Buenas noches."]);
    server.app.stop().await;
}

#[tokio::test]
async fn a_transcript_is_read_by_those_who_took_part_and_by_moderators_and_auditors() {
    let server = Server::start().await;
    let session = transcribed(&server).await;
    let ana = Person::named(&server, "ana", "participant").await;
    let (_channel, _) = Channel::enter(&server, &session, &ana).await;
    say(&server, &session, "ana", "solo para nosotros").await;
    let auditor = Person::with_role(&server, "auditor").await;
    until(&server, &auditor, &session, 1).await;
    let read = |person: Person, path: String| {
        let server = &server;
        async move {
            let answer = person.read(server, Method::GET, &path).await;
            (answer.status, answer.code())
        }
    };
    let minutes = format!("/api/v1/sessions/{session}/minutes");
    for path in [path_of(&session), format!("{minutes}/versions"), minutes] {
        for role in ["moderator", "auditor"] {
            let person = Person::with_role(&server, role).await;
            assert_eq!(read(person, path.clone()).await.0, 200, "{role}");
        }
        let again = Person::named(&server, "ana", "participant").await;
        assert_eq!(read(again, path.clone()).await.0, 200, "who took part");
        for role in ["participant", "observer", "hall", "operator"] {
            let person = Person::with_role(&server, role).await;
            let refused = read(person, path.clone()).await;
            assert_eq!(refused, (403, "FORBIDDEN".to_owned()), "{role} who was not there");
        }
        for tenant in [TenantId::generate()] {
            let stranger = Person::of(&server, tenant, "moderator", None).await;
            let refused = read(stranger, path.clone()).await;
            assert_eq!(refused, (404, "SESSION_NOT_FOUND".to_owned()), "another tenant");
        }
        let nobody = send(server.request(Method::GET, &path)).await;
        assert_eq!((nobody.status, nobody.code().as_str()), (401, "CREDENTIALS_MISSING"));
        let unbound = token(&server, server.tenant, ("reader", "auditor"), None, None).await;
        let bearer = server.request(Method::GET, &path).bearer_auth(unbound);
        assert_eq!(send(bearer).await.status, 200, "a token that only reads");
    }
    server.app.stop().await;
}

#[tokio::test]
async fn a_moderator_corrects_a_text_during_the_session_and_after_it() {
    let server = Server::start().await;
    let session = transcribed(&server).await;
    let ana = Person::named(&server, "ana", "participant").await;
    let chair = Person::named(&server, "chair", "moderator").await;
    let (mut channel, _) = Channel::enter(&server, &session, &ana).await;
    let (mut console, _) = Channel::enter(&server, &session, &chair).await;
    say(&server, &session, "ana", "boto a favor").await;
    let told = channel.hear_type("transcript_chunk").await;
    let of = told["seq"].as_u64().expect("a number");

    // By the channel, and by REST.
    let message =
        |seq: u64| json!({"type": "correct_transcript", "seq": seq, "text": "voto a favor"});
    assert_eq!(channel.refused(message(of)).await, "FORBIDDEN");
    assert_eq!(console.refused(message(of - 1)).await, "TRANSCRIPT_CHUNK_NOT_FOUND");
    assert_eq!(console.refused(message(of + 99)).await, "TRANSCRIPT_CHUNK_NOT_FOUND");
    console.done(message(of)).await;
    let corrected = channel.hear_type("transcript_corrected").await;
    assert_eq!((&corrected["of"], &corrected["by"]), (&json!(of), &json!("chair")));
    let answer = correct(&server, &chair, &session, of, "Voto a favor.").await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let seq = answer.json()["seq"].clone();
    let again = channel.hear_type("transcript_corrected").await;
    assert_eq!((&again["seq"], &again["text"]), (&seq, &json!("Voto a favor.")));
    for (by, of, text, status, code) in [
        (&ana, of, "no", 403, "FORBIDDEN"),
        (&chair, 0, "no", 404, "TRANSCRIPT_CHUNK_NOT_FOUND"),
        (&chair, of - 1, "no", 404, "TRANSCRIPT_CHUNK_NOT_FOUND"),
        (&chair, of, " ", 422, "UNPROCESSABLE_REQUEST"),
    ] {
        let refused = correct(&server, by, &session, of, text).await;
        assert_eq!((refused.status, refused.code().as_str()), (status, code), "{refused:?}");
    }

    server.step(&session, "end").await;
    let after = correct(&server, &chair, &session, of, "Voto a favor, sí.").await;
    assert_eq!((after.status, &after.json()["seq"]), (201, &Value::Null), "{after:?}");
    let nothing = correct(&server, &chair, &session, of + 1, "no").await;
    assert_eq!(nothing.code(), "TRANSCRIPT_CHUNK_NOT_FOUND");
    // What was corrected in the room comes to the log a moment later, too.
    let page = until_so(&server, &chair, &session, |page| {
        page["items"][0]["corrections"].as_array().is_some_and(|it| it.len() >= 3)
    });
    let page = page.await;
    let piece = &page["items"][0];
    assert_eq!(
        (&piece["original"], &piece["text"]),
        (&json!("boto a favor"), &json!("Voto a favor, sí."))
    );
    let corrections = piece["corrections"].as_array().expect("a list");
    let shown: Vec<&Value> = corrections.iter().map(|it| &it["text"]).collect();
    assert_eq!(shown, ["voto a favor", "Voto a favor.", "Voto a favor, sí."]);
    let txt = format!("{}?format=txt", path_of(&session));
    let txt = chair.read(&server, Method::GET, &txt).await.text;
    assert!(txt.contains("Voto a favor, sí.\n    original: boto a favor\n"), "{txt}");
    server.app.stop().await;
}

/// What the log says last of minutes.
async fn last_note_of_minutes(server: &Server, session: &str) -> Value {
    let store = server.store().await;
    let id: SessionId = session.parse().expect("an id");
    let kinds = [cabildo::evidence::EventKind::Minutes];
    let repository = &store as &dyn cabildo::evidence::repository::EvidenceRepository;
    let events =
        repository.events(SessionKey::new(server.tenant, id), &kinds, 0, 99).await.expect("read");
    serde_json::from_str(&events.last().expect("entered").text).expect("JSON")
}

/// Confirms minutes, as a change of the version that an entity tag names.
async fn confirm(server: &Server, by: &Person, path: &str, seen: &str, body: &Value) -> Answer {
    let adjust = |request: RequestBuilder| request.json(body).header("if-match", seen);
    by.write(server, Method::PUT, path, adjust).await
}

#[tokio::test]
async fn of_two_moderators_who_edited_the_same_minutes_the_second_is_refused() {
    let server = Server::start().await;
    let session = transcribed(&server).await;
    let path = format!("/api/v1/sessions/{session}/minutes");
    let one = Person::named(&server, "one", "moderator").await;
    let other = Person::named(&server, "other", "moderator").await;
    let text = |text: &str| json!({"language": "es", "text": text});
    // Both read the draft.
    let mut seen = Vec::new();
    for person in [&one, &other] {
        let draft = person.read(&server, Method::GET, &format!("{path}?version=draft")).await;
        seen.push(draft.header("etag").to_owned());
    }
    assert_eq!(seen, ["\"0\"", "\"0\""]);
    let blind = |request: RequestBuilder| request.json(&text("una"));
    let refused = one.write(&server, Method::PUT, &path, blind).await;
    assert_eq!((refused.status, refused.code().as_str()), (428, "PRECONDITION_REQUIRED"));

    let first = confirm(&server, &one, &path, &seen[0], &text("una")).await;
    assert_eq!((first.status, first.header("etag")), (200, "\"1\""), "{first:?}");
    let refused = confirm(&server, &other, &path, &seen[1], &text("otra")).await;
    assert_eq!((refused.status, refused.code().as_str()), (412, "VERSION_CONFLICT"));
    assert_eq!(refused.json()["details"], json!({"version": 1}));
    // Nor does the same text of somebody else count as theirs; the request that comes again does.
    let refused = confirm(&server, &other, &path, &seen[1], &text("una")).await;
    assert_eq!(refused.code(), "VERSION_CONFLICT");
    let again = confirm(&server, &one, &path, &seen[0], &text("una")).await;
    assert_eq!((again.status, again.json()), (200, first.json()));
    for unknown in ["\"2\"", "\"01\"", "W/\"1\""] {
        let refused = confirm(&server, &other, &path, unknown, &text("otra")).await;
        assert_eq!((refused.status, refused.code().as_str()), (412, "VERSION_CONFLICT"));
    }
    let read = other.read(&server, Method::GET, &path).await;
    assert_eq!((read.text.as_str(), read.header("etag")), ("una", "\"1\""));

    // Who has seen the newest version confirms the next one, from a draft too.
    let draft = other.read(&server, Method::GET, &format!("{path}?version=draft")).await;
    let second = confirm(&server, &other, &path, draft.header("etag"), &text("otra")).await;
    assert_eq!((second.status, &second.json()["version"]), (200, &json!(2)));
    let any = confirm(&server, &one, &path, "*", &text("tercera")).await;
    assert_eq!((any.status, any.header("etag")), (200, "\"3\""));
    server.app.stop().await;
}

#[tokio::test]
async fn of_minutes_that_are_confirmed_at_once_one_counts() {
    let server = Server::start().await;
    let session = transcribed(&server).await;
    let path = format!("/api/v1/sessions/{session}/minutes");
    let mut people = Vec::new();
    for user in ["a", "b", "c", "d"] {
        people.push(Person::named(&server, user, "moderator").await);
    }
    let bodies = ["a", "b", "c", "d"].map(|text| json!({"language": "es", "text": text}));
    let all = people.iter().zip(&bodies);
    let at_once = all.map(|(person, body)| confirm(&server, person, &path, "\"0\"", body));
    let mut answers = futures_util::future::join_all(at_once).await;
    answers.sort_by_key(|answer| answer.status);
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 412, 412, 412]);
    let listed = people[0].read(&server, Method::GET, &format!("{path}/versions")).await;
    assert_eq!(listed.json(), json!({"items": [answers[0].json()]}));
    server.app.stop().await;
}

#[tokio::test]
async fn minutes_are_given_as_documents_with_their_text() {
    let server = Server::start().await;
    let session = transcribed(&server).await;
    let path = format!("/api/v1/sessions/{session}/minutes");
    let chair = Person::named(&server, "chair", "moderator").await;
    let (_console, _) = Channel::enter(&server, &session, &chair).await;
    until_signed(&server, &chair, &path).await;
    for (language, title) in [("es", "Acta"), ("en", "Minutes"), ("pt", "Ata")] {
        let draft = format!("{path}?format=pdf&lang={language}");
        let draft = chair.read(&server, Method::GET, &draft).await;
        assert_eq!((draft.status, draft.header("content-type")), (200, "application/pdf"));
        assert_eq!(draft.header("cabildo-minutes"), "draft");
        let markdown = embedded_file(&draft.bytes, "minutes.md").expect("embedded");
        let hash = cabildo::domain::hex::hex(&sha2::Sha256::digest(&markdown));
        assert_eq!(draft.header("cabildo-sha256"), hash);
        let markdown = String::from_utf8(markdown).expect("text");
        assert!(markdown.starts_with(&format!("# {title}: Ordinary")), "{markdown}");
    }
    let text = "# Acta\n\n1. Se aprueba el presupuesto «2026».\n";
    let body = json!({"language": "es", "text": text});
    let confirmed = confirm(&server, &chair, &path, "\"0\"", &body).await;
    assert_eq!(confirmed.status, 200, "{confirmed:?}");
    let paper = chair.read(&server, Method::GET, &format!("{path}?format=pdf")).await;
    assert_eq!(paper.header("cabildo-minutes"), "confirmed; version=1");
    assert_eq!(embedded_file(&paper.bytes, "minutes.md").expect("embedded"), text.as_bytes());
    server.app.stop().await;
}

#[tokio::test]
async fn minutes_are_drafted_from_the_log_and_confirmed_by_a_moderator() {
    let server = Server::start().await;
    let session = transcribed(&server).await;
    let path = format!("/api/v1/sessions/{session}/minutes");
    let ana = Person::named(&server, "ana", "participant").await;
    let chair = Person::named(&server, "chair", "moderator").await;
    let (_channel, _) = Channel::enter(&server, &session, &ana).await;
    let (_console, _) = Channel::enter(&server, &session, &chair).await;
    say(&server, &session, "ana", "Se aprueba el *presupuesto*.").await;
    until(&server, &chair, &session, 1).await;
    until_signed(&server, &chair, &path).await;

    for (language, title, chairs) in [
        ("es", "# Acta: Ordinary general assembly", "Somebody preside."),
        ("en", "# Minutes: Ordinary general assembly", "Somebody presides."),
        ("pt", "# Ata: Ordinary general assembly", "Somebody preside."),
    ] {
        let draft = chair.read(&server, Method::GET, &format!("{path}?lang={language}")).await;
        assert_eq!((draft.status, draft.header("cabildo-minutes")), (200, "draft"), "{draft:?}");
        assert_eq!(draft.header("content-language"), language);
        assert!(draft.text.starts_with(title) && draft.text.contains(chairs), "{}", draft.text);
        assert!(draft.text.contains("Se aprueba el \\*presupuesto\\*."), "{}", draft.text);
        assert!(draft.text.contains(&format!("/verify?session={session}>")), "{}", draft.text);
    }
    for (query, status, code) in [
        ("format=docx", 400, "MALFORMED_REQUEST"),
        ("lang=fr", 400, "MALFORMED_REQUEST"),
        ("version=confirmed", 404, "MINUTES_NOT_FOUND"),
    ] {
        let refused = chair.read(&server, Method::GET, &format!("{path}?{query}")).await;
        assert_eq!((refused.status, refused.code().as_str()), (status, code), "{query}");
    }

    let put = |by: Person, body: Value| {
        let (server, path) = (&server, path.clone());
        async move { confirm(server, &by, &path, "\"0\"", &body).await }
    };
    let text = format!("# Acta\n\n{}", "Se aprueba el presupuesto «2026».\n".repeat(2_000));
    for (by, body, status, code) in [
        ("participant", json!({"language": "es", "text": "x"}), 403, "FORBIDDEN"),
        ("auditor", json!({"language": "es", "text": "x"}), 403, "FORBIDDEN"),
        ("moderator", json!({"language": "es", "text": " \n"}), 422, "UNPROCESSABLE_REQUEST"),
        ("moderator", json!({"language": "es", "text": "\u{7}"}), 422, "UNPROCESSABLE_REQUEST"),
        ("moderator", json!({"language": "fr", "text": "x"}), 400, "MALFORMED_REQUEST"),
        ("moderator", json!({"text": "x"}), 400, "MALFORMED_REQUEST"),
        (
            "moderator",
            json!({"language": "es", "text": "x".repeat(1024 * 1024 + 1)}),
            422,
            "UNPROCESSABLE_REQUEST",
        ),
    ] {
        let refused = put(Person::with_role(&server, by).await, body).await;
        assert_eq!((refused.status, refused.code().as_str()), (status, code), "{refused:?}");
    }
    server.step(&session, "end").await;
    let secretary = Person::named(&server, "chair", "moderator").await;
    let confirmed = put(secretary, json!({"language": "es", "text": text})).await;
    assert_eq!(confirmed.status, 200, "{confirmed:?}");
    let body = confirmed.json();
    assert_eq!((&body["version"], &body["confirmed_by"]), (&json!(1), &json!("chair")));
    let read = ana.read(&server, Method::GET, &path).await;
    assert_eq!((read.status, &read.text), (200, &text));
    assert_eq!(read.header("cabildo-minutes"), "confirmed; version=1");
    assert_eq!(json!(read.header("cabildo-sha256")), body["sha256"]);
    let draft = ana.read(&server, Method::GET, &format!("{path}?version=draft")).await;
    assert!(draft.text.starts_with("# Acta: Ordinary"), "{}", draft.text);

    // The log says which version was confirmed, and by whom.
    let last = last_note_of_minutes(&server, &session).await;
    assert_eq!((&last["type"], &last["sha256"]), (&json!("minutes_confirmed"), &body["sha256"]));
    server.app.stop().await;
}

#[tokio::test]
async fn every_version_of_the_minutes_is_listed_the_newest_first() {
    let server = Server::start().await;
    let session = transcribed(&server).await;
    let path = format!("/api/v1/sessions/{session}/minutes");
    let listed = || async {
        let auditor = Person::with_role(&server, "auditor").await;
        let answer = auditor.read(&server, Method::GET, &format!("{path}/versions")).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    assert_eq!(listed().await, json!({"items": []}));
    let mut versions = Vec::new();
    for (text, seen) in [("una", "\"0\""), ("otra", "\"1\"")] {
        let chair = Person::named(&server, "chair", "moderator").await;
        let body = json!({"language": "es", "text": text});
        let confirmed = confirm(&server, &chair, &path, seen, &body).await;
        assert_eq!(confirmed.status, 200, "{confirmed:?}");
        versions.insert(0, confirmed.json());
    }
    assert_eq!(listed().await, json!({"items": versions}));
    let strange = Person::of(&server, TenantId::generate(), "moderator", None).await;
    let refused = strange.read(&server, Method::GET, &format!("{path}/versions")).await;
    assert_eq!((refused.status, refused.code().as_str()), (404, "SESSION_NOT_FOUND"));
    server.app.stop().await;
}
