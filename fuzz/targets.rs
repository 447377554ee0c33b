//! One function per parser of untrusted input. Each takes any bytes and must return: a
//! panic or an endless loop is a finding. Shared by
//! `tests/scenario/fuzz_seeds.rs`, which runs in every test run, and by the targets of
//! cargo-fuzz, which search for longer.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cabildo::auth::{
    AuthOptions, Authenticator, DpopRequest, Freshness, InMemoryReplayCache, KeySet, KeySource,
    KeySourceError, NonceKey,
};
use cabildo::cameras::PlaybackSecret;
use cabildo::cameras::engine::late::Late;
use cabildo::cameras::engine::publishing::{Act, Publishing};
use cabildo::cameras::engine::reload::{self, Directives};
use cabildo::cameras::engine::rtsp::{BODY_BYTES_MAX, Item, Reader};
use cabildo::cameras::engine::segments::Segments;
use cabildo::cameras::engine::source::Source;
use cabildo::domain::media::Codec;
use cabildo::domain::secret::Secret;
use cabildo::domain::time::Timestamp;
use cabildo::formats::codec::{Vp8Descriptor, is_key_frame_start};
use cabildo::formats::rtp::{self, Header};
use cabildo::moderation::parse;
use cabildo::sfu::rtcp::{self, Message};
use cabildo::sfu::sdp::{self, ANSWER_LIMITS, OFFER_LIMITS};
use cabildo::sfu::tcp::StreamReader;
use cabildo::sfu::transport::{Credentials, Identity, Transport, peek_ufrag};
use cabildo::sfu::turn::{AccessKey, Quotas, RelayTable, ServerOptions, TurnServer};
use cabildo::verify::checkpoint::Checkpoint;
use cabildo::verify::cose::{Head, Receipt};
use cabildo::verify::disclosure::Disclosures;
use cabildo::verify::entry::Entry;
use cabildo::verify::files::Opened;
use cabildo::verify::journal::JournalReader;
use cabildo::verify::{self, Files, Verdict, cbor};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A text frame of the moderation channel.
pub(crate) fn moderation_frame(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        drop(parse::parse(text));
    }
}

/// A decrypted RTP packet: header, extensions, padding, payload descriptors.
pub(crate) fn rtp_packet(data: &[u8]) {
    let _kind = rtp::classify(data);
    let Some(header) = Header::parse(data) else { return };
    assert!(header.length <= data.len());
    let elements: usize = header.extensions(data).map(|(_, value)| 1 + value.len()).sum();
    assert!(elements <= header.length, "elements beyond their block");
    let Some(payload) = header.payload(data) else { return };
    for codec in [Codec::Opus, Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Av1] {
        let _starts = is_key_frame_start(codec, payload);
    }
    let _original = rtp::undo_retransmission(payload);
    if let Some(descriptor) = Vp8Descriptor::parse(payload) {
        let mut copy = payload.to_vec();
        descriptor.shift(&mut copy, 1, 1);
        assert!(Vp8Descriptor::parse(&copy).is_some(), "a shifted descriptor is one");
    }
}

/// A decrypted RTCP compound.
pub(crate) fn rtcp_compound(data: &[u8]) {
    let mut named = 0_usize;
    rtcp::read(data, |message| {
        named += match message {
            Message::Nack { lost, .. } => lost.count(),
            Message::Arrivals(arrivals) => {
                let covered = arrivals.packets().count();
                assert!(covered <= 4096, "{covered} packets in one feedback");
                1
            }
            Message::SenderReport(_)
            | Message::KeyFrameRequest { .. }
            | Message::Report(_)
            | Message::ArrivalsUnreadable
            | Message::ReceiverEstimate { .. } => 1,
        };
    });
    // Seventeen packets for every four bytes of a NACK.
    assert!(named <= data.len().saturating_mul(17), "{named} from {} bytes", data.len());
}

/// A session description, as an offer and as an answer.
pub(crate) fn session_description(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for limits in [OFFER_LIMITS, ANSWER_LIMITS] {
        if let Ok(description) = sdp::parse(text, limits) {
            assert!(description.sections.len() <= limits.sections);
        }
    }
}

/// Datagrams from a stranger to a fresh transport: STUN, DTLS and the rest. Each
/// is preceded by two bytes of length; a transport never fails on any.
pub(crate) fn transport_datagrams(data: &[u8]) {
    static IDENTITY: LazyLock<Arc<Identity>> =
        LazyLock::new(|| Arc::new(Identity::generate().expect("a certificate can be made")));
    let stranger = SocketAddr::from(([192, 0, 2, 7], 40_000));
    let start = Instant::now();
    let mut transport =
        Transport::new(Arc::clone(&IDENTITY), Credentials::from_random([7; 32]), start);
    let mut rest = data;
    for step in 0..16_u32 {
        let Some((length, after)) = rest.split_first_chunk() else { break };
        let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
        let (datagram, after) = after.split_at(length);
        rest = after;
        let now = start + Duration::from_millis(10) * step;
        let _user = peek_ufrag(datagram);
        transport.handle_datagram(stranger, datagram, now);
        transport.handle_timeout(now);
        while transport.poll_transmit().is_some() {}
        while transport.poll_event().is_some() {}
    }
    assert!(!transport.is_connected(), "a stranger connected");
}

/// An item of deterministic CBOR; there is one way to write each.
pub(crate) fn cbor_item(data: &[u8]) {
    let Ok((value, length)) = cbor::read_first(data) else { return };
    let mut written = Vec::new();
    write_cbor(&value, &mut written);
    assert_eq!(written, data[..length], "two forms of one item were taken");
}

fn write_cbor(value: &cbor::Value<'_>, out: &mut Vec<u8>) {
    let mut head = |major: u8, number: u64| {
        let wide = number.to_be_bytes();
        let (low, width) = match number {
            0..=23 => (wide[7], 0),
            24..=0xFF => (24, 1),
            0x100..=0xFFFF => (25, 2),
            0x1_0000..=0xFFFF_FFFF => (26, 4),
            _ => (27, 8),
        };
        out.push(major << 5 | low);
        out.extend(&wide[8 - width..]);
    };
    match value {
        cbor::Value::Uint(number) => head(0, *number),
        cbor::Value::Nint(number) => head(1, *number),
        cbor::Value::Bytes(bytes) => {
            head(2, bytes.len() as u64);
            out.extend_from_slice(bytes);
        }
        cbor::Value::Text(text) => {
            head(3, text.len() as u64);
            out.extend_from_slice(text.as_bytes());
        }
        cbor::Value::Array(items) => {
            head(4, items.len() as u64);
            for item in items {
                write_cbor(item, out);
            }
        }
        cbor::Value::Map(pairs) => {
            head(5, pairs.len() as u64);
            for (key, value) in pairs {
                write_cbor(key, out);
                write_cbor(value, out);
            }
        }
        cbor::Value::Sign1(inner) => {
            head(6, 18);
            write_cbor(inner, out);
        }
        cbor::Value::Null => out.push(0xF6),
    }
}

/// A tree head in COSE.
pub(crate) fn evidence_head(data: &[u8]) {
    if let Ok(head) = Head::parse(data) {
        assert!(head.size >= 2 && head.previous_size < head.size);
    }
}

/// A receipt in COSE.
pub(crate) fn evidence_receipt(data: &[u8]) {
    if let Ok(receipt) = Receipt::parse(data) {
        assert!(receipt.size > 0);
    }
}

/// An entry of a log.
pub(crate) fn evidence_entry(data: &[u8]) {
    drop(Entry::parse(data));
}

/// A public proof, as JSON, with nothing to trust but itself.
pub(crate) fn audit_proof(data: &[u8]) {
    drop(verify::verify_proof(data, &verify::Options::default()).to_string());
}

/// No bundle at all.
struct NoFiles;

impl Files for NoFiles {
    fn open(&self, _name: &str) -> io::Result<Option<Opened<'_>>> {
        Ok(None)
    }

    fn visit_objects(&self, _visit: &mut dyn FnMut(&str)) -> io::Result<()> {
        Ok(())
    }
}

/// A list of attendance as somebody hands it in to be verified: as it is; as objects of a document
/// whose table is right; and as the data of a document that is right otherwise.
pub(crate) fn attendance_list(data: &[u8]) {
    let names = b"<</Names<</EmbeddedFiles<</Names[(attendance.json)2 0 R]>>>>>>";
    let stream = [b"<</Length 4 0 R>>stream\n", data, b"\nendstream"].concat();
    let length = data.len().to_string();
    let around: [&[u8]; 4] = [names, b"<</EF<</F 3 0 R>>>>", &stream, length.as_bytes()];
    let objects: Vec<&[u8]> = data.split(|byte| *byte == b'\x1e').collect();
    for document in [data.to_vec(), laid_out(&objects), laid_out(&around)] {
        let report = verify::verify_attendance(&document, &NoFiles, &verify::Options::default());
        assert!(report.verdict != Verdict::Valid, "valid without a bundle");
        drop(report.to_string());
    }
}

/// A document of these objects.
fn laid_out(objects: &[&[u8]]) -> Vec<u8> {
    let mut pdf = b"%PDF-1.7\n".to_vec();
    let mut table = format!("xref\n1 {}\n", objects.len());
    for (number, object) in (1..).zip(objects) {
        table.extend([format!("{:010} 00000 n \n", pdf.len())]);
        pdf.extend(format!("{number} 0 obj\n").bytes());
        pdf.extend(*object);
        pdf.extend(b"\nendobj\n");
    }
    let start = pdf.len();
    pdf.extend(format!("{table}trailer\n<</Root 1 0 R>>\nstartxref\n{start}\n%%EOF").bytes());
    pdf
}

/// What a bundle reveals, as JSON.
pub(crate) fn disclosures(data: &[u8]) {
    drop(Disclosures::parse(data));
}

/// A checkpoint of the operator's log.
pub(crate) fn checkpoint(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    drop(Checkpoint::parse(text));
}

/// The plaintext of a segment: read whole and in pieces, it is the same.
pub(crate) fn segment_journal(data: &[u8]) {
    let read = |step: usize| {
        let mut reader = JournalReader::default();
        for piece in data.chunks(step) {
            reader.handle_bytes(piece)?;
        }
        reader.finish()
    };
    let whole = read(data.len().max(1));
    assert_eq!(whole, read(7));
}

/// A JWK set as an issuer might serve it.
pub(crate) fn key_set(data: &[u8]) {
    drop(KeySet::parse(data));
}

/// An `Authorization` header.
pub(crate) fn access_token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    with_issuer(|issuer| {
        let header = format!("Bearer {text}");
        let answer = issuer.runtime.block_on(issuer.authenticator.bearer(Some(&header), NOW));
        assert!(answer.is_err(), "a token that the issuer did not sign was taken");
    });
}

/// The claims of a token that the issuer did sign: a line with its header and a
/// line with its claims, as JSON.
pub(crate) fn signed_token(data: &[u8]) {
    let Some(message) = signing_input(data) else { return };
    with_issuer(|issuer| {
        let header = format!("Bearer {}", sign(&message, &issuer.key));
        drop(issuer.runtime.block_on(issuer.authenticator.bearer(Some(&header), NOW)));
    });
}

/// A proof of possession signed by whom it names, beside a right token: a line
/// with its header and a line with its claims, as JSON.
pub(crate) fn dpop_proof(data: &[u8]) {
    let Some(message) = signing_input(data) else { return };
    with_issuer(|issuer| {
        let proof = sign(&message, &issuer.person);
        let authorization = format!("DPoP {}", issuer.token);
        let request = DpopRequest {
            authorization: Some(&authorization),
            proof: Some(&proof),
            method: "POST",
            url: "https://cabildo.example/api/v1/sessions",
        };
        let proving = issuer.authenticator.dpop(request, Freshness::Nonce, NOW);
        let answer = issuer.runtime.block_on(proving);
        assert!(answer.is_err(), "a proof without a nonce of ours was taken");
    });
}

const NOW: Timestamp = Timestamp::from_unix_us(1_700_000_000_000_000);

/// An identity service without a network, and somebody it knows.
struct Issuer {
    runtime: tokio::runtime::Runtime,
    authenticator: Authenticator,
    key: SigningKey,
    person: SigningKey,
    token: String,
}

struct FixedKeys(Vec<u8>);

#[async_trait::async_trait]
impl KeySource for FixedKeys {
    async fn fetch(&self) -> Result<KeySet, KeySourceError> {
        Ok(KeySet::parse(&self.0)?)
    }
}

/// One issuer a thread: its runtime cannot be shared.
fn with_issuer(act: impl FnOnce(&Issuer)) {
    thread_local!(static ISSUER: RefCell<Option<Issuer>> = const { RefCell::new(None) });
    ISSUER.with_borrow_mut(|issuer| act(issuer.get_or_insert_with(Issuer::new)));
}

impl Issuer {
    fn new() -> Self {
        let key = SigningKey::from_slice(&[1; 32]).expect("below the order");
        let person = SigningKey::from_slice(&[2; 32]).expect("below the order");
        let mut jwk = public_jwk(&key);
        jwk["kid"] = json!("fuzz");
        let keys = FixedKeys(json!({ "keys": [jwk] }).to_string().into_bytes());
        let options = AuthOptions {
            issuer: "https://identity.example".into(),
            audience: "cabildo".into(),
            nonce_key: NonceKey::random(),
        };
        let replay = Arc::new(InMemoryReplayCache::default());
        let authenticator = Authenticator::new(options, Arc::new(keys), replay);
        let header = json!({"typ": "at+jwt", "alg": "ES256", "kid": "fuzz"});
        let mut claims = json!({
            "iss": "https://identity.example", "aud": "cabildo", "sub": "maria",
            "iat": 1_699_999_940, "exp": 1_700_040_000, "jti": "token-1",
            "tenant_id": "0190a1b2-0000-7000-8000-000000000001", "roles": ["moderator"],
        });
        let unbound = sign(&message(&header.to_string(), &claims.to_string()), &key);
        claims["cnf"] = json!({"jkt": thumbprint(&person)});
        let token = sign(&message(&header.to_string(), &claims.to_string()), &key);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let issuer =
            Self { runtime: runtime.expect("a runtime"), authenticator, key, person, token };
        let bearer = format!("Bearer {unbound}");
        let known = issuer.runtime.block_on(issuer.authenticator.bearer(Some(&bearer), NOW));
        assert!(known.is_ok(), "the issuer's own token is taken: {known:?}");
        issuer
    }
}

/// What is signed of a header and claims on two lines.
fn signing_input(data: &[u8]) -> Option<String> {
    let (header, claims) = std::str::from_utf8(data).ok()?.split_once('\n')?;
    Some(message(header, claims))
}

fn message(header: &str, claims: &str) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
}

fn sign(message: &str, key: &SigningKey) -> String {
    let signature: Signature = key.sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
}

fn public_jwk(key: &SigningKey) -> Value {
    let point = key.verifying_key().to_sec1_point(false);
    let coordinate = |range| URL_SAFE_NO_PAD.encode(&point.as_bytes()[range]);
    json!({"kty": "EC", "crv": "P-256", "x": coordinate(1..33), "y": coordinate(33..65)})
}

/// RFC 7638.
fn thumbprint(key: &SigningKey) -> String {
    let jwk = public_jwk(key);
    let text = format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]);
    URL_SAFE_NO_PAD.encode(Sha256::digest(text))
}

/// A playback token, changed or made by whoever has none of ours.
pub(crate) fn playback_token(data: &[u8]) {
    static SECRET: LazyLock<PlaybackSecret> =
        LazyLock::new(|| PlaybackSecret::new(Secret::new(vec![7; 32])));
    let text = String::from_utf8_lossy(data);
    let opened = SECRET.open(&text, Timestamp::from_unix_us(0));
    assert!(opened.is_err(), "a token that nobody signed was taken");
}

/// The address of a camera. What may be shown of one is shown in the same way
/// however often it is masked.
pub(crate) fn camera_address(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(source) = Source::parse(&text) {
        let masked = source.masked();
        // One that masking made longer than an address may be is none.
        if masked.len() <= 2_048 {
            let again = Source::parse(&masked).map(|source| source.masked());
            assert_eq!(again, Ok(masked));
        }
    }
}

/// What a device that publishes sends, whose proof is right when `password` made it. Nothing is
/// taken before that, and nothing is done once the connection is over.
pub(crate) fn rtsp_publishing(data: &[u8]) {
    let address = "rtsp://127.0.0.1:1/a".to_owned();
    let mut publishing = Publishing::new("nonce".to_owned(), "session".to_owned(), address);
    let (mut reader, mut client) = (Reader::default(), Reader::default());
    reader.push(data);
    client.push(
        b"DESCRIBE rtsp://127.0.0.1:1/a RTSP/1.0\r\nCSeq: 1\r\n\r\n\
          SETUP rtsp://127.0.0.1:1/a/streamid=0 RTSP/1.0\r\nCSeq: 2\r\n\
          Transport: RTP/AVP/TCP;interleaved=0-1\r\n\r\n\
          PLAY rtsp://127.0.0.1:1/a RTSP/1.0\r\nCSeq: 3\r\n\r\n",
    );
    let mut is_over = false;
    while let Ok(Some(item)) = reader.poll() {
        let is_taken = publishing.handle_device(item);
        assert!(!is_taken || (publishing.is_sending() && publishing.capture().is_some()));
        for act in publishing.poll() {
            assert!(!is_over, "{act:?} after the end");
            match act {
                Act::FindKeys => {
                    let (_, captures) = publishing.captures().expect("something was announced");
                    let key = || Secret::new("password".to_owned());
                    let keys: Vec<_> = captures.into_iter().map(|it| (it, key())).collect();
                    publishing.handle_keys(&keys);
                }
                Act::Begin => {
                    while let Ok(Some(item)) = client.poll() {
                        publishing.handle_client(item).expect("the client does as it should");
                    }
                }
                Act::ToDevice(bytes) => {
                    let mut answer = Reader::default();
                    answer.push(&bytes);
                    assert!(
                        matches!(answer.poll(), Ok(Some(Item::Message(it))) if it.status().is_some())
                    );
                }
                Act::ToClient(_) => assert!(publishing.capture().is_some()),
                Act::End => is_over = true,
            }
        }
    }
}

/// A stream at the media port, of ICE (RFC 4571) or of TURN, cut where its first byte says. What comes out is the
/// same as from the whole.
pub(crate) fn framed_stream(data: &[u8]) {
    let Some((cut, stream)) = data.split_first() else { return };
    let read = |parts: &[&[u8]]| {
        let (mut frames, mut taken) = (StreamReader::default(), Vec::new());
        let ended = parts
            .iter()
            .try_for_each(|part| frames.handle_bytes(part, |it| taken.push(it.to_vec())));
        (taken, ended, frames.is_partial())
    };
    let (before, after) = stream.split_at(usize::from(*cut).min(stream.len()));
    assert_eq!(read(&[before, after]), read(&[stream]));
}

/// Messages of TURN from a stranger, each with its length before it: requests, indications and
/// channel data. Nobody without credentials gets an allocation, or has a packet relayed.
pub(crate) fn turn_messages(data: &[u8]) {
    let table = Arc::new(RelayTable::default());
    table.announce(&[SocketAddr::from(([203, 0, 113, 7], 3478))]);
    let quotas = Quotas { per_person: 4, per_network: 4, total: 4 };
    let key = AccessKey::new(Secret::new(vec![7; 32]));
    let options = ServerOptions { key, quotas, lifetime_max: Duration::from_mins(10) };
    let now = Instant::now();
    let wall = (Timestamp::from_unix_us(1_700_000_000_000_000), now);
    let Ok(mut server) = TurnServer::new(options, Arc::clone(&table), [9; 32], wall) else {
        return;
    };
    let client = SocketAddr::from(([198, 51, 100, 7], 4_000));
    let mut rest = data;
    while let Some(([high, low], after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(after.len());
        let (message, later) = after.split_at(length);
        rest = later;
        assert_eq!(table.unwrap(client, message), None);
        let handled = server.handle_request(client, message, |_, _| true, now);
        assert!(!handled.is_authentic);
        let reply = handled.reply.map_or(0, |reply| reply.len());
        assert!(reply <= 3 * message.len() + 24, "{reply} bytes to {length}");
    }
    assert_eq!(server.stats().allocations, 0);
}

/// The query of a camera's playlist, and on a second line the name of a file of it.
pub(crate) fn playlist_query(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (query, name) = text.split_once('\n').unwrap_or((&text, ""));
    let segments = Segments::new("feed".to_owned(), 7);
    assert!(segments.file(name).is_none() && !segments.is_hinted(name), "nothing is there");
    if let Ok(Directives { until: Some(place), .. }) = Directives::parse(query) {
        // Segments before the first one are over; whatever else is waited for never came.
        let is_there = reload::is_there(&segments, place);
        assert!(place.segment < 7 || is_there != Ok(true));
    }
}

/// What a camera sends over its connection, in pieces of a length that the first byte says.
pub(crate) fn rtsp_messages(data: &[u8]) {
    let Some((length, sent)) = data.split_first() else { return };
    let mut reader = Reader::default();
    for piece in sent.chunks(usize::from(*length).max(1)) {
        reader.push(piece);
        loop {
            match reader.poll() {
                Ok(Some(Item::Message(message))) => {
                    assert!(message.body.len() <= BODY_BYTES_MAX);
                    if message.bytes().len() > 4_096 {
                        // What is no UTF-8 becomes longer, and may be too long by then.
                        continue;
                    }
                    // What is read can be sent and is read in the same way.
                    let mut again = Reader::default();
                    again.push(&message.bytes());
                    assert_eq!(again.poll(), Ok(Some(Item::Message(message))));
                }
                Ok(Some(Item::Frame { .. })) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

/// What a device sends later: whatever is read has a beginning and an end, and segments in order.
pub(crate) fn late_media(data: &[u8]) {
    let Ok(late) = Late::read(&data.to_vec().into()) else { return };
    let (begins, ends) = late.span();
    assert!(begins <= ends);
    let segments = late.segments(4, -1_000);
    assert!(segments.is_sorted_by(|(one, _), (next, _)| one.number < next.number));
    assert!(segments.iter().all(|(_, header)| !header.is_empty()));
}
