//! The event stream: who may read it, from where, and that nothing is missed or
//! told to others.

use std::process::Child;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cabildo::domain::id::TenantId;
use cabildo::domain::role::Role;
use futures_util::StreamExt as _;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::api::binary;
use crate::api::person::{Person, ending_token, token};
use crate::api::server::{Answer, Server, send};

const EVENTS: &str = "/api/v1/events";
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_mins(1);

/// What ends an event in the stream.
const FRAME_END: &str = "\n\n";

/// A stream that is being read.
struct Reader {
    chunks: futures_util::stream::BoxStream<'static, String>,
    rest: String,
}

impl Reader {
    async fn open(request: RequestBuilder) -> Self {
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self::of(response)
    }

    fn of(response: Response) -> Self {
        let text = |chunk: Result<bytes::Bytes, reqwest::Error>| {
            String::from_utf8(chunk.expect("a chunk").to_vec()).expect("text")
        };
        Self { chunks: response.bytes_stream().map(text).boxed(), rest: String::new() }
    }

    /// The next event with its cursor, past heartbeats.
    async fn next(&mut self) -> (String, Value) {
        tokio::time::timeout(PATIENCE, self.read()).await.expect("an event in time")
    }

    async fn read(&mut self) -> (String, Value) {
        loop {
            while let Some((frame, _)) = self.rest.split_once(FRAME_END) {
                let field = |name: &str| {
                    let mut lines = frame.lines();
                    lines.find_map(|line| line.strip_prefix(name)).map(str::to_owned)
                };
                let (id, data) = (field("id: ").expect("a cursor"), field("data: "));
                let read = frame.len() + FRAME_END.len();
                self.rest.drain(..read);
                if let Some(data) = data {
                    return (id, serde_json::from_str(&data).expect("JSON"));
                }
            }
            self.rest += &self.chunks.next().await.expect("the stream goes on");
        }
    }
}

fn service(server: &Server, query: &str) -> RequestBuilder {
    server.govern(Method::GET, &format!("{EVENTS}?tenant_id={}{query}", server.tenant))
}

#[tokio::test]
async fn a_service_reads_what_happens_and_goes_on_where_it_was() {
    let server = Server::start().await;
    let session = server.create_active().await;
    let mut reader = Reader::open(service(&server, "")).await;
    let (first, created) = reader.next().await;
    assert_eq!(created["specversion"], "1.0");
    assert_eq!(created["type"], "session.created.v1");
    assert_eq!(created["subject"], session);
    assert_eq!(created["tenantid"], server.tenant.to_string());
    assert_eq!(created["datacontenttype"], "application/json");
    assert_eq!(created["data"]["title"], "Ordinary general assembly");
    let (second, started) = reader.next().await;
    assert_eq!(started["type"], "session.started.v1");
    // What happens while it reads comes without asking again.
    server.step(&session, "end").await;
    let (_, ended) = reader.next().await;
    assert_eq!(
        (&ended["type"], &ended["data"]["status"]),
        (&json!("session.ended.v1"), &json!("completed"))
    );
    drop(reader);

    let mut again = Reader::open(service(&server, &format!("&after={first}"))).await;
    assert_eq!(again.next().await.1["id"], started["id"]);
    assert_eq!(again.next().await.1["id"], ended["id"]);
    let resumed = service(&server, "&after=0").header("last-event-id", &second);
    assert_eq!(Reader::open(resumed).await.next().await.1["id"], ended["id"]);
    // From now on: only the next one.
    let mut now = Reader::open(service(&server, "&after=now")).await;
    let next = server.create().await;
    assert_eq!(now.next().await.1["subject"], next);
}

#[tokio::test]
async fn events_are_for_operators_and_services_and_of_their_own_tenant_only() {
    let server = Server::start().await;
    let session = server.create().await;
    for role in ["participant", "moderator", "observer", "hall", "auditor"] {
        let token = token(&server, server.tenant, ("somebody", role), None, None).await;
        let answer = send(server.request(Method::GET, EVENTS).bearer_auth(token)).await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "FORBIDDEN"), "{role}");
    }
    let nobody = send(server.request(Method::GET, EVENTS)).await;
    assert_eq!((nobody.status, nobody.code().as_str()), (401, "CREDENTIALS_MISSING"));
    let stranger = format!("{}{EVENTS}?tenant_id={}", server.internal, server.tenant);
    let stranger = send(server.stranger.get(stranger)).await;
    assert_eq!((stranger.status, stranger.code().as_str()), (403, "FORBIDDEN"));
    let bound = token(&server, server.tenant, ("one", "operator"), Some(&session), None).await;
    let bound = send(server.request(Method::GET, EVENTS).bearer_auth(bound)).await;
    assert_eq!((bound.status, bound.code().as_str()), (403, "FORBIDDEN"));

    let operator = token(&server, server.tenant, ("op", "operator"), None, None).await;
    let mut reader = Reader::open(server.request(Method::GET, EVENTS).bearer_auth(&operator)).await;
    assert_eq!(reader.next().await.1["subject"], session);
    let person = Person::with_role(&server, "operator").await;
    let proven = person.prove(server.request(Method::GET, EVENTS));
    assert_eq!(Reader::open(proven).await.next().await.1["subject"], session);

    // An operator of another tenant sees nothing of it, whatever they ask for.
    let other = TenantId::generate();
    let foreign = token(&server, other, ("op", "operator"), None, None).await;
    let asked = format!("{EVENTS}?tenant_id={}", server.tenant);
    let refused = send(server.request(Method::GET, &asked).bearer_auth(&foreign)).await;
    assert_eq!((refused.status, refused.code().as_str()), (422, "UNPROCESSABLE_REQUEST"));
    let mut silent = Reader::open(server.request(Method::GET, EVENTS).bearer_auth(&foreign)).await;
    server.step(&session, "start").await;
    assert_eq!(reader.next().await.1["type"], "session.started.v1");
    let own = json!({"tenant_id": other.to_string(), "assembly_id": other.to_string(), "title": "Theirs", "modality": "mixed"});
    let own = send(server.govern(Method::POST, "/api/v1/sessions").json(&own)).await;
    assert_eq!(silent.next().await.1["subject"], own.json()["id"]);
}

#[tokio::test]
async fn a_stream_ends_with_the_token_it_was_opened_with() {
    let server = Server::start().await;
    let open = async |left: Duration| {
        let token = ending_token(&server, ("reader", Role::Operator), left).await;
        let request = server.request(Method::GET, "/api/v1/events?after=now").bearer_auth(token);
        let stream = request.send().await.expect("an answer");
        assert_eq!(stream.status(), 200);
        stream
    };
    // How long a token has to live for that on this machine, as busy as it is now.
    let begun = Instant::now();
    drop(open(Duration::from_hours(1)).await);
    let stream = open(Duration::from_secs(2) + 5 * begun.elapsed()).await;
    // Without an end this waits for ever.
    tokio::time::timeout(PATIENCE, stream.bytes()).await.expect("it ends").expect("wholly");
    server.app.stop().await;
}

#[tokio::test]
async fn a_place_that_is_no_place_is_refused_and_a_deleted_one_is_gone() {
    let server = Server::start().await;
    server.create().await;
    let refusal = async |query: &str| {
        let answer = send(service(&server, query)).await;
        (answer.status, answer.code())
    };
    for bad in ["x", "-1", "1.2.3", "99999999999999999999"] {
        let (status, code) = refusal(&format!("&after={bad}")).await;
        assert_eq!((status, code.as_str()), (400, "MALFORMED_REQUEST"), "{bad}");
    }
    let (status, code) = refusal("&after=1000000").await;
    assert_eq!((status, code.as_str()), (422, "UNPROCESSABLE_REQUEST"));
    let (status, code) = refusal("&unknown=1").await;
    assert_eq!((status, code.as_str()), (400, "MALFORMED_REQUEST"));
    let nameless = send(server.govern(Method::GET, EVENTS)).await;
    assert_eq!((nameless.status, nameless.code().as_str()), (422, "UNPROCESSABLE_REQUEST"));

    // Eight days later, after a start, what is older than seven is deleted.
    let days = Duration::from_hours(8 * 24);
    server.ahead_us.fetch_add(i64::try_from(days.as_micros()).expect("fits"), Ordering::SeqCst);
    let server = Box::pin(server.restart()).await;
    let gone: Answer = tokio::time::timeout(PATIENCE, async {
        loop {
            let response = service(&server, "&after=0").send().await.expect("an answer");
            if response.status() != 200 {
                let answer = Answer::of(response).await;
                // Those that were opened before end a moment later than they are dropped.
                if answer.code() != "EVENT_STREAM_LIMIT_REACHED" {
                    return answer;
                }
            }
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("deleted in time");
    assert_eq!((gone.status, gone.code().as_str()), (410, "EVENTS_EXPIRED"));
    let oldest = gone.json()["details"]["oldest"].as_str().expect("a cursor").to_owned();
    let session = server.create().await;
    let mut reader = Reader::open(service(&server, &format!("&after={oldest}"))).await;
    assert_eq!(reader.next().await.1["subject"], session);
}

#[tokio::test]
async fn an_endpoint_from_the_configuration_is_sent_what_happens() {
    let (sender, mut received) = tokio::sync::mpsc::channel(16);
    let take = move |headers: http::HeaderMap, body: String| async move {
        let signature = headers["webhook-signature"].to_str().expect("text").to_owned();
        sender.send((signature, body)).await.expect("wanted");
        http::StatusCode::NO_CONTENT
    };
    let routes = axum::Router::new().route("/hook", axum::routing::post(take));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, routes).await.expect("serves") });
    let tenant = TenantId::generate();
    let server = Server::start_with(&[
        ("events.webhooks.ledger.tenant_id", &tenant.to_string()),
        ("events.webhooks.ledger.url", &url),
        ("events.webhooks.ledger.secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        ("events.webhooks.ledger.types", "session.created.v1"),
        ("events.webhooks.ledger.allow_private_network", "true"),
    ])
    .await;
    // Another tenant's is not sent.
    server.create().await;
    let own = json!({"tenant_id": tenant.to_string(), "assembly_id": tenant.to_string(), "title": "Theirs", "modality": "mixed"});
    let own = send(server.govern(Method::POST, "/api/v1/sessions").json(&own)).await;
    let (signature, body) =
        tokio::time::timeout(PATIENCE, received.recv()).await.expect("in time").expect("one");
    assert!(signature.starts_with("v1,"), "{signature}");
    let event: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(
        (&event["type"], &event["subject"]),
        (&json!("session.created.v1"), &own.json()["id"])
    );
    server.app.stop().await;
}

/// The binary on `data`, and the origin of its public listener.
fn serve(data: &std::path::Path) -> (Child, String) {
    let (server, http) = binary::serve(data, "http=");
    (server, format!("http://{http}"))
}

#[tokio::test]
async fn what_was_committed_before_the_server_was_killed_is_told_by_the_next_one() {
    drop(rustls::crypto::ring::default_provider().install_default());
    let data = tempfile::tempdir().expect("a directory");
    let client = reqwest::Client::new();
    let tenant = TenantId::generate().to_string();
    let (mut server, mut http) = serve(data.path());
    let who = json!({"tenant_id": tenant, "user_id": "op", "name": "Op", "roles": ["operator"]});
    let mut created = Vec::new();
    let mut heard = Vec::new();
    let mut cursor = None;
    for round in 0..4 {
        let issued = client.post(format!("{http}/dev/token")).json(&who).send().await;
        let issued: Value = issued.expect("answered").json().await.expect("JSON");
        let token = issued["access_token"].as_str().expect("a token");
        let after = cursor.as_ref().map(|cursor| format!("?after={cursor}")).unwrap_or_default();
        let stream = client.get(format!("{http}{EVENTS}{after}")).bearer_auth(token);
        let mut reader = Reader::open(stream).await;
        for _ in 0..3 {
            let wanted = json!({"tenant_id": tenant, "assembly_id": tenant, "title": "Killed", "modality": "mixed"});
            let answer = client.post(format!("{http}/dev/sessions")).json(&wanted).send().await;
            let answer: Value = answer.expect("answered").json().await.expect("JSON");
            created.push(answer["id"].as_str().expect("an id").to_owned());
        }
        // It hears some of them, and the server is killed before it tells the rest.
        let enough = if round == 3 { created.len() } else { created.len() - 2 };
        while heard.len() < enough {
            let (id, event) = reader.next().await;
            heard.push(event["subject"].as_str().expect("a session").to_owned());
            cursor = Some(id);
        }
        server.kill().expect("killed");
        server.wait().expect("ended");
        if round < 3 {
            (server, http) = serve(data.path());
        }
    }
    assert_eq!(heard, created, "none missing, none twice, in order");
}
