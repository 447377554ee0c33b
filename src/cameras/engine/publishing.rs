//! One connection on which a device publishes by RTSP (RFC 2326, `ANNOUNCE` and `RECORD`), and the
//! RTSP client that takes it from here as if the device were a camera: so what devices send is
//! judged by what has judged cameras. The device proves a key by Digest (RFC 2617) and sends over
//! its connection; it is told that it may send once the client is ready.

use bytes::Bytes;
use http_auth::parser::ChallengeParser;
use md5::{Digest as _, Md5};
use subtle::ConstantTimeEq as _;

use crate::cameras::engine::rtsp::{Item, Message, frame};
use crate::domain::camera::StreamFault;
use crate::domain::id::CaptureId;
use crate::domain::secret::Secret;

/// What proofs are made for.
const REALM: &str = "cabildo";
/// Proofs of one connection that may be wrong, the missing first one among them. Raising it lets
/// more be tried for each connection.
const PROOFS_MAX: u8 = 3;
/// Streams that a device may set up: its pictures and sound. Raising it lets devices send what
/// nobody takes.
const STREAMS_MAX: usize = 2;
/// Longest user name and path that are looked at, in bytes.
const NAME_BYTES_MAX: usize = 256;
/// What a device may ask for.
const METHODS: &str = "OPTIONS, ANNOUNCE, SETUP, RECORD, GET_PARAMETER, TEARDOWN";
/// What paths begin with.
const PREFIX: &str = "sess-";
/// What the client is told of its session, which only this connection has.
const CLIENT_SESSION: &str = "1;timeout=60";

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub enum Act {
    /// Bytes for the device.
    ToDevice(Vec<u8>),
    /// Bytes for the client.
    ToClient(Vec<u8>),
    /// The keys of the captures that [`Publishing::captures`] names are wanted; then
    /// [`Publishing::handle_keys`].
    FindKeys,
    /// The client is to be started. It asks for the address that it is given.
    Begin,
    /// The device is to be let go, once it has what is for it.
    End,
}

/// Why a device may not publish now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// It publishes on another connection.
    Busy,
    /// The server has no place for it now.
    NoRoom,
    /// What it announced can't be used.
    Unusable(StreamFault),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    /// Its proof is being looked at.
    Proving,
    Announced,
    /// The client is being started.
    Beginning,
    Sending,
    Ended,
}

/// A proof, as it was sent.
#[derive(Debug)]
struct Proof {
    user: String,
    uri: String,
    response: String,
}

/// What was announced and is not taken yet.
#[derive(Debug)]
struct Announced {
    cseq: String,
    uri: String,
    description: Bytes,
    proof: Proof,
}

#[derive(Debug)]
struct Channel {
    /// The rest of its address behind that of the whole.
    name: String,
    device: u8,
    client: Option<u8>,
}

/// One connection of a device.
#[derive(Debug)]
pub struct Publishing {
    state: State,
    nonce: String,
    session: String,
    client_address: String,
    proofs: u8,
    announced: Option<Announced>,
    capture: Option<CaptureId>,
    base: String,
    description: Bytes,
    channels: Vec<Channel>,
    record_cseq: String,
    /// Whether the client has asked for what it was given. Nobody else on this machine gets
    /// anything.
    is_known: bool,
    acts: Vec<Act>,
}

impl Publishing {
    /// A connection with a `nonce` and a `session` that nobody can guess. `client_address` is what
    /// the client asks for.
    #[must_use]
    pub const fn new(nonce: String, session: String, client_address: String) -> Self {
        Self {
            state: State::New,
            nonce,
            session,
            client_address,
            proofs: 0,
            announced: None,
            capture: None,
            base: String::new(),
            description: Bytes::new(),
            channels: Vec::new(),
            record_cseq: String::new(),
            is_known: false,
            acts: Vec::new(),
        }
    }

    /// What is to be done.
    pub fn poll(&mut self) -> Vec<Act> {
        std::mem::take(&mut self.acts)
    }

    /// User name and the captures that the device may mean: a path is `sess-` and an id, and ids
    /// may begin so themselves.
    #[must_use]
    pub fn captures(&self) -> Option<(&str, Vec<CaptureId>)> {
        let announced = self.announced.as_ref()?;
        let path = path_of(&announced.uri).unwrap_or_default();
        let ids = [Some(path), path.strip_prefix(PREFIX)].into_iter().flatten();
        let is_named = path.starts_with(PREFIX);
        let ids = ids.filter(|_| is_named).filter_map(|id| id.parse().ok());
        Some((&announced.proof.user, ids.collect()))
    }

    /// The capture that the device publishes into.
    #[must_use]
    pub const fn capture(&self) -> Option<&CaptureId> {
        self.capture.as_ref()
    }

    /// Whether what the device sends is taken.
    #[must_use]
    pub fn is_sending(&self) -> bool {
        self.state == State::Sending
    }

    /// Something that the device sent: `true` when it was a packet that is taken.
    pub fn handle_device(&mut self, item: Item) -> bool {
        match item {
            Item::Frame { channel, payload } => self.handle_frame(channel, &payload),
            Item::Message(message) => {
                if let Some((method, uri)) = message.request() {
                    let (method, uri) = (method.to_owned(), uri.to_owned());
                    self.handle_request(&method, &uri, &message);
                }
                false
            }
        }
    }

    /// The keys of captures that are open: those that the device may mean.
    pub fn handle_keys(&mut self, keys: &[(CaptureId, Secret<String>)]) {
        let Some(announced) = self.announced.take() else { return };
        let proved = keys.iter().find(|(_, key)| announced.is_proved(key, &self.nonce));
        let Some((capture, _)) = proved else {
            self.state = State::New;
            self.challenge(&announced.cseq);
            return;
        };
        self.capture = Some(capture.clone());
        self.base = announced.uri;
        self.description = announced.description;
        self.state = State::Announced;
        self.answer_in_session(&announced.cseq, Vec::new());
    }

    /// Something that the client sent.
    ///
    /// # Errors
    /// When it is none of its requests.
    pub fn handle_client(&mut self, item: Item) -> Result<(), StreamFault> {
        // The client reports nothing about what it receives.
        let Item::Message(message) = item else { return Ok(()) };
        let (method, uri) = message.request().ok_or(StreamFault::ProtocolViolated)?;
        self.is_known |= method == "DESCRIBE" && uri == self.client_address;
        if !self.is_known {
            return Err(StreamFault::ProtocolViolated);
        }
        let mut answer = message_of("RTSP/1.0 200 OK");
        match method {
            "DESCRIBE" => {
                answer.set("content-type", Some("application/sdp".to_owned()));
                answer.set("content-base", Some(format!("{}/", self.client_address)));
                answer.body = self.description.clone();
            }
            "SETUP" => self.set_up_client(uri, &message, &mut answer)?,
            "PLAY" if self.state == State::Beginning => {
                self.state = State::Sending;
                let cseq = std::mem::take(&mut self.record_cseq);
                self.answer_in_session(&cseq, Vec::new());
            }
            _ => {}
        }
        answer.set("cseq", message.header("cseq").map(str::to_owned));
        answer.set("session", Some(CLIENT_SESSION.to_owned()));
        self.acts.push(Act::ToClient(answer.bytes()));
        Ok(())
    }

    /// What the device publishes is not taken, or not any more.
    pub fn handle_not_taken(&mut self, why: NotTaken) {
        if self.state == State::Beginning {
            let cseq = std::mem::take(&mut self.record_cseq);
            let status = match why {
                NotTaken::Busy => "455 Method Not Valid in This State",
                NotTaken::NoRoom => "453 Not Enough Bandwidth",
                NotTaken::Unusable(
                    StreamFault::CodecUnsupported | StreamFault::PicturesMissing,
                ) => "415 Unsupported Media Type",
                NotTaken::Unusable(_) => "400 Bad Request",
            };
            self.refuse(&cseq, status);
        }
        self.end();
    }

    fn handle_frame(&mut self, channel: u8, payload: &[u8]) -> bool {
        let is_taken = self.state == State::Sending;
        let of = |it: &&Channel| it.device == channel;
        let client = self.channels.iter().find(of).and_then(|it| it.client);
        // What comes on other channels is reports, which nobody reads.
        let Some(bytes) = client.filter(|_| is_taken).and_then(|it| frame(it, payload)) else {
            return false;
        };
        self.acts.push(Act::ToClient(bytes));
        true
    }

    fn handle_request(&mut self, method: &str, uri: &str, message: &Message) {
        if self.state == State::Ended {
            return;
        }
        let cseq = message.header("cseq").filter(|it| !it.is_empty() && it.len() <= 16);
        let Some(cseq) = cseq.filter(|it| it.bytes().all(|byte| byte.is_ascii_digit())) else {
            self.refuse("0", "400 Bad Request");
            return self.end();
        };
        match (method, self.state) {
            // Nobody asks further before there is an answer.
            (_, State::Proving | State::Beginning | State::Ended) => self.end(),
            ("OPTIONS", _) => self.answer(cseq, vec![("public", METHODS.to_owned())]),
            ("ANNOUNCE", State::New) => self.announce(cseq, uri, message),
            ("SETUP", State::Announced) => self.set_up(cseq, uri, message),
            ("RECORD", State::Announced) if !self.channels.is_empty() => {
                cseq.clone_into(&mut self.record_cseq);
                self.state = State::Beginning;
                self.acts.push(Act::Begin);
            }
            ("GET_PARAMETER", State::Announced | State::Sending) => {
                self.answer_in_session(cseq, Vec::new());
            }
            ("TEARDOWN", _) => {
                self.answer(cseq, Vec::new());
                self.end();
            }
            ("ANNOUNCE" | "SETUP" | "RECORD" | "GET_PARAMETER", _) => {
                self.refuse(cseq, "455 Method Not Valid in This State");
            }
            _ => self.refuse(cseq, "501 Not Implemented"),
        }
    }

    fn announce(&mut self, cseq: &str, uri: &str, message: &Message) {
        let kind = message.header("content-type").map(|it| it.split(';').next().unwrap_or(it));
        let is_description =
            kind.is_some_and(|it| it.trim().eq_ignore_ascii_case("application/sdp"));
        let Some(proof) =
            message.header("authorization").and_then(|it| Proof::read(it, &self.nonce))
        else {
            return self.challenge(cseq);
        };
        // A proof for another address is none for this one.
        if proof.uri != uri {
            return self.challenge(cseq);
        }
        if !is_description || message.body.is_empty() {
            return self.refuse(cseq, "415 Unsupported Media Type");
        }
        self.announced = Some(Announced {
            cseq: cseq.to_owned(),
            uri: uri.to_owned(),
            description: message.body.clone(),
            proof,
        });
        self.state = State::Proving;
        self.acts.push(Act::FindKeys);
    }

    fn set_up(&mut self, cseq: &str, uri: &str, message: &Message) {
        let wanted = message.header("transport").unwrap_or_default();
        let Some(wanted) = wanted.split(',').find(|it| it.trim().starts_with("RTP/AVP/TCP")) else {
            // Publishers then try the next one, which is over their connection.
            return self.refuse(cseq, "461 Unsupported Transport");
        };
        let name = name_of(uri, &self.base).to_owned();
        let is_known = self.channels.iter().any(|it| it.name == name);
        if is_known || self.channels.len() == STREAMS_MAX || name.len() > NAME_BYTES_MAX {
            return self.refuse(cseq, "403 Forbidden");
        }
        let is_free = |wanted: &u8| {
            let taken = |it: &Channel| it.device.abs_diff(*wanted) < 2;
            *wanted < u8::MAX && !self.channels.iter().any(taken)
        };
        let own = u8::try_from(2 * self.channels.len()).unwrap_or(0);
        // The server chooses when what is wanted can't be.
        let device = [interleaved(wanted), Some(own), Some(own + 2), Some(own + 4)];
        let Some(device) = device.into_iter().flatten().find(is_free) else {
            return self.refuse(cseq, "400 Bad Request");
        };
        self.channels.push(Channel { name, device, client: None });
        let transport =
            format!("RTP/AVP/TCP;unicast;interleaved={device}-{};mode=record", device + 1);
        self.answer_in_session(cseq, vec![("transport", transport)]);
    }

    fn set_up_client(
        &mut self,
        uri: &str,
        message: &Message,
        answer: &mut Message,
    ) -> Result<(), StreamFault> {
        let name = name_of(name_of(uri, &self.client_address), &self.base);
        let channel = self.channels.iter_mut().find(|it| it.name == name);
        let wanted = message.header("transport").and_then(interleaved);
        match (channel, wanted) {
            (Some(channel), Some(client)) => {
                channel.client = Some(client);
                let after = client.checked_add(1).ok_or(StreamFault::ProtocolViolated)?;
                let transport = format!("RTP/AVP/TCP;unicast;interleaved={client}-{after}");
                answer.set("transport", Some(transport));
            }
            // The device described it and does not send it.
            _ => *answer = message_of("RTSP/1.0 404 Not Found"),
        }
        Ok(())
    }

    fn challenge(&mut self, cseq: &str) {
        self.proofs += 1;
        let challenge = format!("Digest realm=\"{REALM}\", nonce=\"{}\"", self.nonce);
        let mut answer = message_of("RTSP/1.0 401 Unauthorized");
        answer.set("cseq", Some(cseq.to_owned()));
        answer.set("www-authenticate", Some(challenge));
        self.acts.push(Act::ToDevice(answer.bytes()));
        if self.proofs >= PROOFS_MAX {
            self.end();
        }
    }

    fn answer_in_session(&mut self, cseq: &str, mut headers: Vec<(&str, String)>) {
        headers.push(("session", self.session.clone()));
        self.answer(cseq, headers);
    }

    fn answer(&mut self, cseq: &str, headers: Vec<(&str, String)>) {
        let mut answer = message_of("RTSP/1.0 200 OK");
        answer.set("cseq", Some(cseq.to_owned()));
        for (name, value) in headers {
            answer.set(name, Some(value));
        }
        self.acts.push(Act::ToDevice(answer.bytes()));
    }

    fn refuse(&mut self, cseq: &str, status: &str) {
        let mut answer = message_of(&format!("RTSP/1.0 {status}"));
        answer.set("cseq", Some(cseq.to_owned()));
        self.acts.push(Act::ToDevice(answer.bytes()));
    }

    fn end(&mut self) {
        if self.state != State::Ended {
            self.state = State::Ended;
            self.acts.push(Act::End);
        }
    }
}

impl Announced {
    /// Whether it was made with this key (RFC 2617 §3.2.2.1, without `qop`).
    fn is_proved(&self, key: &Secret<String>, nonce: &str) -> bool {
        let Proof { user, uri, response } = &self.proof;
        let who = hashed(&[user.as_str(), REALM, key.expose().as_str()]);
        let what = hashed(&["ANNOUNCE", uri.as_str()]);
        let expected = hashed(&[who.as_str(), nonce, what.as_str()]);
        expected.as_bytes().ct_eq(response.to_ascii_lowercase().as_bytes()).into()
    }
}

impl Proof {
    /// Reads a proof that was made for this nonce.
    fn read(header: &str, nonce: &str) -> Option<Self> {
        // The grammar of a proof is that of a challenge.
        let proof = ChallengeParser::new(header).next()?.ok()?;
        if !proof.scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let value = |name: &str| {
            let named = |it: &&(&str, http_auth::ParamValue<'_>)| it.0.eq_ignore_ascii_case(name);
            proof.params.iter().find(named).map(|it| it.1.to_unescaped())
        };
        let is_ours = value("nonce")? == nonce
            && value("realm")? == REALM
            && value("algorithm").is_none_or(|it| it.eq_ignore_ascii_case("MD5"));
        let (user, uri, response) = (value("username")?, value("uri")?, value("response")?);
        (is_ours && user.len() <= NAME_BYTES_MAX).then_some(Self { user, uri, response })
    }
}

/// MD5 of these with colons between them, in hexadecimal digits: what RTSP's Digest is made of.
/// The key is random and longer than any that could be tried.
fn hashed(parts: &[&str]) -> String {
    let mut hash = Md5::new();
    for (number, part) in parts.iter().enumerate() {
        if number > 0 {
            hash.update(":");
        }
        hash.update(part);
    }
    format!("{:032x}", u128::from_be_bytes(hash.finalize().into()))
}

fn message_of(first: &str) -> Message {
    Message { first: first.to_owned(), headers: Vec::new(), body: Bytes::new() }
}

/// The path of an address, without the slashes and the query around it.
fn path_of(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let (_, path) = rest.split_once('/')?;
    let path = path.split('?').next().unwrap_or(path).trim_end_matches('/');
    (path.len() <= NAME_BYTES_MAX).then_some(path)
}

/// What stands in an address behind that of the whole.
fn name_of<'uri>(uri: &'uri str, base: &str) -> &'uri str {
    uri.strip_prefix(base.trim_end_matches('/')).unwrap_or(uri).trim_matches('/')
}

/// The first of the channels that a transport names.
fn interleaved(transport: &str) -> Option<u8> {
    let value = transport.split(';').find_map(|it| it.trim().strip_prefix("interleaved="))?;
    value.split('-').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cameras::engine::rtsp::Reader;

    const ADDRESS: &str = "rtsp://127.0.0.1:1/known";
    const BASE: &str = "rtsp://h:8554/sess-7";
    const KEY: &str = "key";

    fn items(text: &str) -> Vec<Item> {
        let mut reader = Reader::default();
        reader.push(text.as_bytes());
        std::iter::from_fn(|| reader.poll().expect("well formed")).collect()
    }

    fn keys() -> Vec<(CaptureId, Secret<String>)> {
        vec![("7".parse().expect("an id"), Secret::new(KEY.to_owned()))]
    }

    /// A device that has announced and set up one stream, on channel 2.
    fn ready() -> Publishing {
        let mut publishing = Publishing::new("n".to_owned(), "s".to_owned(), ADDRESS.to_owned());
        let who = hashed(&["t", REALM, KEY]);
        let proof = hashed(&[&who, "n", &hashed(&["ANNOUNCE", BASE])]);
        let sent = format!(
            "ANNOUNCE {BASE} RTSP/1.0\r\nCSeq: 1\r\nContent-Type: application/sdp\r\n\
             Authorization: Digest username=\"t\", realm=\"cabildo\", nonce=\"n\", \
             uri=\"{BASE}\", response=\"{proof}\"\r\nContent-Length: 5\r\n\r\nv=0\r\n"
        );
        for item in items(&sent) {
            publishing.handle_device(item);
        }
        assert_eq!(publishing.poll(), [Act::FindKeys]);
        let (user, ids) = publishing.captures().expect("it was announced");
        let ids: Vec<&str> = ids.iter().map(CaptureId::as_str).collect();
        assert_eq!((user, ids.as_slice()), ("t", ["sess-7", "7"].as_slice()));
        publishing.handle_keys(&keys());
        let sent = format!(
            "SETUP {BASE}/streamid=0 RTSP/1.0\r\nCSeq: 2\r\n\
             Transport: RTP/AVP/TCP;unicast;interleaved=2-3;mode=record\r\n\r\n\
             RECORD {BASE} RTSP/1.0\r\nCSeq: 3\r\n\r\n"
        );
        for item in items(&sent) {
            publishing.handle_device(item);
        }
        assert_eq!(publishing.poll().last(), Some(&Act::Begin));
        publishing
    }

    fn packet() -> Item {
        Item::Frame { channel: 2, payload: Bytes::from_static(b"packet") }
    }

    #[test]
    fn packets_go_to_the_client_on_its_channel_once_it_plays() {
        let mut publishing = ready();
        assert!(!publishing.handle_device(packet()), "nobody was told to send");
        let asked = format!(
            "DESCRIBE {ADDRESS} RTSP/1.0\r\nCSeq: 1\r\n\r\n\
             SETUP {ADDRESS}/streamid=1 RTSP/1.0\r\nCSeq: 2\r\n\
             Transport: RTP/AVP/TCP;interleaved=4-5\r\n\r\n\
             SETUP {ADDRESS}/streamid=0 RTSP/1.0\r\nCSeq: 3\r\n\
             Transport: RTP/AVP/TCP;interleaved=4-5\r\n\r\n\
             PLAY {ADDRESS} RTSP/1.0\r\nCSeq: 4\r\n\r\n"
        );
        for item in items(&asked) {
            publishing.handle_client(item).expect("as it should be");
        }
        let told: Vec<String> = publishing
            .poll()
            .into_iter()
            .map(|act| match act {
                Act::ToClient(bytes) | Act::ToDevice(bytes) => {
                    String::from_utf8(bytes).expect("text")
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(told[0].ends_with("content-length: 5\r\n\r\nv=0\r\n"), "{told:?}");
        assert!(told[1].starts_with("RTSP/1.0 404"), "it is not set up: {told:?}");
        assert!(told[2].contains("interleaved=4-5\r\n"), "{told:?}");
        assert!(told[3].contains("cseq: 3\r\nsession: s\r\n"), "the device may send: {told:?}");
        assert!(publishing.handle_device(packet()));
        let expected = frame(4, b"packet").expect("short");
        assert_eq!(publishing.poll(), [Act::ToClient(expected)]);
        let elsewhere = Item::Frame { channel: 3, payload: Bytes::from_static(b"report") };
        assert!(!publishing.handle_device(elsewhere));
    }

    #[test]
    fn nobody_gets_what_a_device_sends_who_was_not_told_where() {
        for stranger in [
            format!("PLAY {ADDRESS} RTSP/1.0\r\nCSeq: 1\r\n\r\n"),
            "DESCRIBE rtsp://127.0.0.1:1/guessed RTSP/1.0\r\nCSeq: 1\r\n\r\n".to_owned(),
            format!(
                "SETUP {ADDRESS}/streamid=0 RTSP/1.0\r\nCSeq: 1\r\n\
                 Transport: RTP/AVP/TCP;interleaved=0-1\r\n\r\n"
            ),
        ] {
            let mut publishing = ready();
            for item in items(&stranger) {
                let refused = publishing.handle_client(item);
                assert_eq!(refused, Err(StreamFault::ProtocolViolated), "{stranger}");
            }
            assert_eq!(publishing.poll(), [], "{stranger}");
        }
    }
}
