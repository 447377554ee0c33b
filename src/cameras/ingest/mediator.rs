//! Stands between the RTSP client and a camera. The client knows only connections and speaks
//! without credentials; this has the camera's login, its way of sending, and its goodbye.

use bytes::Bytes;
use http_auth::{PasswordClient, PasswordClientBuilder, PasswordParams};

use crate::cameras::engine::rtsp::{Item, Message, frame};
use crate::cameras::engine::source::Source;
use crate::cameras::ingest::proof::proof;
use crate::domain::camera::{CameraTransport, StreamFault};
use crate::domain::secret::Secret;
use crate::formats::order::{InOrder, Order};

/// How often a request is sent: again with the credentials, or with them anew when a proof of
/// them was too old. Raising it tries a wrong password more often; cameras lock out who does.
const SENT_MAX: u8 = 2;
/// Streams of a camera that are set up: pictures and sound.
const STREAMS_MAX: usize = 2;
/// Bytes of the fixed header of RTP, and its version (RFC 3550 §5.1).
const RTP_HEAD: usize = 12;
const RTP_VERSION: u8 = 2;
/// Answers of RTSP (RFC 2326 §7.1.1).
const UNAUTHORIZED: u16 = 401;
const TRANSPORT_UNSUPPORTED: u16 = 461;

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Bytes for the client.
    ToClient(Vec<u8>),
    /// Bytes for the camera.
    ToCamera(Vec<u8>),
    /// Two ports are to be opened; then [`Mediator::handle_ports`].
    OpenPorts,
    /// The first of them takes what comes from this port of the camera.
    Receive {
        /// The port of the camera.
        from: u16,
    },
}

/// A request that the camera has not answered.
#[derive(Debug)]
struct Asked {
    request: Message,
    /// How the client counts it; nothing when it is not the client's.
    client_cseq: Option<String>,
    cseq: u32,
    sent: u8,
    is_udp: bool,
}

/// A stream that was set up: what the client calls its channel, and how it comes.
#[derive(Debug)]
struct Channel {
    client: u8,
    comes: Comes,
}

#[derive(Debug)]
enum Comes {
    /// On this channel of the connection.
    Interleaved(u8),
    /// By UDP.
    Datagrams(Order<Bytes>),
}

/// One connection to a camera.
pub(super) struct Mediator {
    /// The camera's address without credentials.
    place: Secret<String>,
    /// The address that the client was given.
    client_address: String,
    credentials: Option<(String, Secret<String>)>,
    login: Option<PasswordClient>,
    transport: CameraTransport,
    /// What the whole of the camera's streams is called.
    base: String,
    session: Option<String>,
    /// Whether the client has asked for what it was given. Nobody else on this machine is let
    /// through to the camera.
    is_known: bool,
    is_playing: bool,
    /// Whether the camera says that it takes `GET_PARAMETER`.
    takes_get: bool,
    cseq: u32,
    asked: Option<Asked>,
    keepalive: Option<Asked>,
    channels: Vec<Channel>,
    acts: Vec<Act>,
}

impl Mediator {
    pub(super) fn new(
        source: &Source,
        place: Secret<String>,
        client_address: String,
        transport: CameraTransport,
    ) -> Self {
        let credentials = source.credentials();
        Self {
            base: place.expose().clone(),
            place,
            client_address,
            credentials: credentials.map(|(user, password)| (user.to_owned(), password.clone())),
            login: None,
            transport,
            session: None,
            is_known: false,
            is_playing: false,
            takes_get: false,
            cseq: 0,
            asked: None,
            keepalive: None,
            channels: Vec::new(),
            acts: Vec::new(),
        }
    }

    /// What is to be done.
    pub(super) fn poll(&mut self) -> Vec<Act> {
        std::mem::take(&mut self.acts)
    }

    /// Something that the client sent.
    ///
    /// # Errors
    /// When it is none of its requests.
    pub(super) fn handle_client(&mut self, item: Item) -> Result<(), StreamFault> {
        // The client reports nothing about what it receives.
        let Item::Message(mut request) = item else { return Ok(()) };
        let client_cseq = request.header("cseq").map(str::to_owned);
        let (method, uri) = request.request().ok_or(StreamFault::ProtocolViolated)?;
        let (method, uri) = (method.to_owned(), uri.to_owned());
        if self.is_playing {
            self.keep_alive(&uri, client_cseq);
            return Ok(());
        }
        if method == "DESCRIBE" {
            self.is_known = uri == self.client_address;
            request.first = format!("DESCRIBE {} RTSP/1.0", self.place.expose());
        }
        if !self.is_known {
            return Err(StreamFault::ProtocolViolated);
        }
        let is_udp = method == "SETUP" && self.transport == CameraTransport::Udp;
        self.asked = Some(Asked { request, client_cseq, cseq: 0, sent: 0, is_udp });
        self.send_or_open();
        Ok(())
    }

    /// The ports that were opened: the first of two.
    pub(super) fn handle_ports(&mut self, port: u16) {
        if let Some(asked) = &mut self.asked {
            let ports = format!("RTP/AVP;unicast;client_port={port}-{}", port.saturating_add(1));
            asked.request.set("transport", Some(ports));
        }
        self.send();
    }

    /// Something that the camera sent over the connection.
    ///
    /// # Errors
    /// When it can't be made use of.
    pub(super) fn handle_camera(&mut self, item: Item) -> Result<(), StreamFault> {
        match item {
            Item::Frame { channel, payload } => {
                let comes =
                    |it: &&Channel| matches!(it.comes, Comes::Interleaved(own) if own == channel);
                // What comes on other channels is reports, or what is left of an earlier session.
                if let Some(client) = self.channels.iter().find(comes).map(|it| it.client) {
                    self.pass(client, &payload);
                }
                Ok(())
            }
            Item::Message(message) => match message.status() {
                Some(status) => self.handle_answer(status, message),
                // A camera has nothing to ask for.
                None => Ok(()),
            },
        }
    }

    /// A datagram that came at `at_us` from the camera, for the stream that was set up as
    /// number `stream` of those by UDP.
    pub(super) fn handle_datagram(&mut self, stream: usize, datagram: &[u8], at_us: u64) {
        let by_udp = self.channels.iter_mut().filter_map(|it| match &mut it.comes {
            Comes::Datagrams(order) => Some((it.client, order)),
            Comes::Interleaved(_) => None,
        });
        let Some((client, order)) = by_udp.into_iter().nth(stream) else { return };
        let Some([_, _, high, low]) = datagram.first_chunk() else { return };
        if is_rtp(datagram) {
            let sequence = u16::from_be_bytes([*high, *low]);
            order.handle_packet(at_us, sequence, Bytes::copy_from_slice(datagram));
        }
        // The client sees by their numbers that packets are missing.
        for item in order.poll() {
            if let InOrder::Packet(packet) = item {
                self.pass(client, &packet);
            }
        }
    }

    /// What the camera is told at the end; nothing when it has nothing to forget.
    pub(super) fn goodbye(&mut self) -> Option<Vec<u8>> {
        let session = self.session.take()?;
        let mut request = self.request("TEARDOWN", &self.base);
        request.set("session", Some(session));
        self.cseq = self.cseq.wrapping_add(1);
        request.set("cseq", Some(self.cseq.to_string()));
        self.authorise(&mut request);
        Some(request.bytes())
    }

    /// Whether the camera's message answers the goodbye, which was the last request: an answer to
    /// one before may come first. One without a number is taken for it.
    pub(super) fn is_goodbye(&self, answer: &Message) -> bool {
        let is_last = |number: &str| number.parse() == Ok(self.cseq);
        answer.status().is_some() && answer.header("cseq").is_none_or(is_last)
    }

    fn request(&self, method: &str, uri: &str) -> Message {
        let mut headers = vec![("user-agent".to_owned(), "cabildo".to_owned())];
        headers.extend(self.session.clone().map(|session| ("session".to_owned(), session)));
        Message { first: format!("{method} {uri} RTSP/1.0"), headers, body: Bytes::new() }
    }

    /// The client takes a camera for dead that does not answer this. Some never do while they
    /// send, so the client is answered here.
    fn keep_alive(&mut self, uri: &str, client_cseq: Option<String>) {
        let first = "RTSP/1.0 200 OK".to_owned();
        let mut answer = Message { first, headers: Vec::new(), body: Bytes::new() };
        answer.set("cseq", client_cseq);
        self.acts.push(Act::ToClient(answer.bytes()));
        let method = if self.takes_get { "GET_PARAMETER" } else { "OPTIONS" };
        let request = self.request(method, uri);
        let asked = Asked { request, client_cseq: None, cseq: 0, sent: 0, is_udp: false };
        self.keepalive = Some(asked);
        self.send_keepalive();
    }

    fn send_or_open(&mut self) {
        if self.asked.as_ref().is_some_and(|it| it.is_udp) {
            self.acts.push(Act::OpenPorts);
        } else {
            self.send();
        }
    }

    fn send(&mut self) {
        let asked = self.asked.take();
        self.asked = asked.map(|asked| self.sent(asked));
    }

    fn send_keepalive(&mut self) {
        let asked = self.keepalive.take();
        self.keepalive = asked.map(|asked| self.sent(asked));
    }

    fn sent(&mut self, mut asked: Asked) -> Asked {
        self.cseq = self.cseq.wrapping_add(1);
        asked.cseq = self.cseq;
        asked.sent = asked.sent.saturating_add(1);
        asked.request.set("cseq", Some(asked.cseq.to_string()));
        self.authorise(&mut asked.request);
        self.acts.push(Act::ToCamera(asked.request.bytes()));
        asked
    }

    fn authorise(&mut self, request: &mut Message) {
        let authorization = match (&mut self.login, &self.credentials, request.request()) {
            (Some(login), Some((username, password)), Some((method, uri))) => {
                let password = password.expose();
                // A challenge that can't be met is not met; the camera then refuses.
                let params = PasswordParams { username, password, uri, method, body: Some(&[]) };
                proof(login, &params)
            }
            _ => None,
        };
        request.set("authorization", authorization);
    }

    fn handle_answer(&mut self, status: u16, answer: Message) -> Result<(), StreamFault> {
        if answer.all("public").any(|methods| methods.contains("GET_PARAMETER")) {
            self.takes_get = true;
        }
        let is_answered = |asked: &mut Asked| match answer.header("cseq") {
            Some(cseq) => cseq.parse() == Ok(asked.cseq),
            // Some cameras don't count.
            None => true,
        };
        if let Some(asked) = self.asked.take_if(is_answered) {
            return self.handle_answered(asked, status, answer);
        }
        if let Some(asked) = self.keepalive.take_if(is_answered)
            && self.is_to_be_proved(&asked, status, &answer)
        {
            self.keepalive = Some(asked);
            self.send_keepalive();
        }
        Ok(())
    }

    fn handle_answered(
        &mut self,
        mut asked: Asked,
        status: u16,
        mut answer: Message,
    ) -> Result<(), StreamFault> {
        if self.is_to_be_proved(&asked, status, &answer) {
            self.asked = Some(asked);
            self.send();
            return Ok(());
        }
        let method = asked.request.request().map_or("", |(method, _)| method).to_owned();
        let is_setup = method == "SETUP";
        if is_setup && status == TRANSPORT_UNSUPPORTED && self.transport == CameraTransport::Auto {
            self.transport = CameraTransport::Udp;
            asked.is_udp = true;
            asked.sent = 0;
            self.asked = Some(asked);
            self.send_or_open();
            return Ok(());
        }
        let is_done = (200..300).contains(&status);
        if is_done && method == "DESCRIBE" {
            self.handle_described(&mut answer);
        }
        if is_done && is_setup {
            self.handle_set_up(&asked, &mut answer)?;
        }
        self.is_playing |= is_done && method == "PLAY";
        answer.set("cseq", asked.client_cseq);
        answer.set("www-authenticate", None);
        self.acts.push(Act::ToClient(answer.bytes()));
        Ok(())
    }

    /// Whether a request is to be sent again with a proof of the credentials.
    fn is_to_be_proved(&mut self, asked: &Asked, status: u16, answer: &Message) -> bool {
        if status != UNAUTHORIZED || asked.sent >= SENT_MAX || self.credentials.is_none() {
            return false;
        }
        let challenges = answer.all("www-authenticate");
        let built =
            challenges.fold(PasswordClient::builder(), PasswordClientBuilder::challenges).build();
        self.login = built.ok();
        self.login.is_some()
    }

    /// Addresses of streams are relative to the description's own, which the client would take
    /// for the one that it was given.
    fn handle_described(&mut self, answer: &mut Message) {
        let given = answer.header("content-base").or_else(|| answer.header("content-location"));
        match given {
            Some(base) => base.clone_into(&mut self.base),
            None => answer.set("content-base", Some(self.base.clone())),
        }
    }

    /// The client sees its own channels, whatever the camera calls them.
    fn handle_set_up(&mut self, asked: &Asked, answer: &mut Message) -> Result<(), StreamFault> {
        if self.channels.len() >= STREAMS_MAX {
            return Err(StreamFault::ProtocolViolated);
        }
        let session = answer.header("session").and_then(|it| it.split(';').next());
        self.session = self.session.take().or_else(|| session.map(|it| it.trim().to_owned()));
        let client = u8::try_from(self.channels.len() * 2).unwrap_or(0);
        let given = answer.header("transport").unwrap_or_default().to_ascii_lowercase();
        let comes = if asked.is_udp {
            // `source` is not followed: what comes is taken from the camera's address alone.
            let from = number(&given, "server_port").ok_or(StreamFault::ProtocolViolated)?;
            let from = u16::try_from(from).ok().filter(|port| *port > 0);
            self.acts.push(Act::Receive { from: from.ok_or(StreamFault::ProtocolViolated)? });
            Comes::Datagrams(Order::live())
        } else if given.is_empty() || given.contains("tcp") || given.contains("interleaved") {
            let own = number(&given, "interleaved").unwrap_or(client.into());
            Comes::Interleaved(u8::try_from(own).map_err(|_| StreamFault::ProtocolViolated)?)
        } else {
            return Err(StreamFault::TransportRefused);
        };
        self.channels.push(Channel { client, comes });
        let transport = format!("RTP/AVP/TCP;unicast;interleaved={client}-{}", client + 1);
        answer.set("transport", Some(transport));
        Ok(())
    }

    fn pass(&mut self, client: u8, packet: &[u8]) {
        if is_rtp(packet) {
            self.acts.extend(frame(client, packet).map(Act::ToClient));
        }
    }
}

fn is_rtp(packet: &[u8]) -> bool {
    packet.len() >= RTP_HEAD && packet.first().is_some_and(|it| it >> 6 == RTP_VERSION)
}

/// The first number of a parameter of a `Transport` header (RFC 2326 §12.39).
fn number(transport: &str, name: &str) -> Option<u32> {
    let named = |parameter: &str| {
        let (it, value) = parameter.split_once('=')?;
        (it.trim() == name).then(|| value.trim().to_owned())
    };
    let value = transport.split([';', ',']).find_map(named)?;
    value.split('-').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cameras::engine::rtsp::Reader;

    const DOOR: &str = "rtsp://127.0.0.1:9/secret";

    fn mediator(transport: CameraTransport) -> Mediator {
        let source = Source::parse("rtsp://viewer:secret@cam.example/live").expect("an address");
        let place = Secret::new("rtsp://192.0.2.7:554/live".to_owned());
        Mediator::new(&source, place, DOOR.to_owned(), transport)
    }

    fn item(text: &str) -> Item {
        let mut reader = Reader::default();
        reader.push(text.as_bytes());
        reader.poll().expect("well formed").expect("whole")
    }

    fn client(mediator: &mut Mediator, text: &str) -> Vec<Act> {
        mediator.handle_client(item(text)).expect("a request");
        mediator.poll()
    }

    fn camera(mediator: &mut Mediator, text: &str) -> Vec<Act> {
        mediator.handle_camera(item(text)).expect("an answer");
        mediator.poll()
    }

    fn text(act: &Act) -> String {
        match act {
            Act::ToClient(bytes) | Act::ToCamera(bytes) => {
                String::from_utf8_lossy(bytes).into_owned()
            }
            Act::OpenPorts | Act::Receive { .. } => String::new(),
        }
    }

    fn described(transport: CameraTransport) -> Mediator {
        let mut mediator = mediator(transport);
        let asked = client(&mut mediator, &format!("DESCRIBE {DOOR} RTSP/1.0\r\nCSeq: 1\r\n\r\n"));
        assert!(text(&asked[0]).starts_with("DESCRIBE rtsp://192.0.2.7:554/live RTSP/1.0"));
        let answered = camera(&mut mediator, "RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n");
        assert!(text(&answered[0]).contains("content-base: rtsp://192.0.2.7:554/live\r\n"));
        mediator
    }

    const SETUP: &str = "SETUP rtsp://192.0.2.7:554/live/picture RTSP/1.0\r\nCSeq: 2\r\n\
                         Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n";

    fn packet(sequence: u16) -> Vec<u8> {
        let mut packet = vec![0x80, 96];
        packet.extend(sequence.to_be_bytes());
        packet.extend([0; 9]);
        packet
    }

    #[test]
    fn nobody_comes_to_a_camera_who_was_not_told_where() {
        for uri in ["rtsp://127.0.0.1:9/other", "rtsp://192.0.2.7:554/live"] {
            let mut mediator = mediator(CameraTransport::Auto);
            let asked = item(&format!("DESCRIBE {uri} RTSP/1.0\r\nCSeq: 1\r\n\r\n"));
            assert_eq!(mediator.handle_client(asked), Err(StreamFault::ProtocolViolated));
            assert_eq!(mediator.handle_client(item(SETUP)), Err(StreamFault::ProtocolViolated));
            assert_eq!(mediator.poll(), []);
        }
    }

    #[test]
    fn a_camera_that_refuses_tcp_is_asked_for_udp_and_no_other_place_is_followed() {
        let mut mediator = described(CameraTransport::Auto);
        assert!(text(&client(&mut mediator, SETUP)[0]).contains("RTP/AVP/TCP"));
        let refused = "RTSP/1.0 461 Unsupported\r\nCSeq: 2\r\n\r\n";
        assert_eq!(camera(&mut mediator, refused), [Act::OpenPorts]);
        mediator.handle_ports(5_000);
        assert!(
            text(&mediator.poll()[0])
                .contains("transport: RTP/AVP;unicast;client_port=5000-5001\r\n")
        );
        let answered = camera(
            &mut mediator,
            "RTSP/1.0 200 OK\r\nCSeq: 3\r\nSession: 7;timeout=60\r\nTransport: RTP/AVP;unicast;\
             source=203.0.113.1;client_port=5000-5001;server_port=6000-6001\r\n\r\n",
        );
        assert_eq!(answered[0], Act::Receive { from: 6_000 });
        assert!(text(&answered[1]).contains("transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"));
        for (sequence, at_us) in [(1, 0), (3, 10), (2, 20), (2, 30)] {
            mediator.handle_datagram(0, &packet(sequence), at_us);
        }
        mediator.handle_datagram(0, b"no packet", 40);
        mediator.handle_datagram(7, &packet(4), 50);
        let passed: Vec<Act> = [1, 2, 3]
            .iter()
            .map(|it| Act::ToClient(frame(0, &packet(*it)).expect("short")))
            .collect();
        assert_eq!(mediator.poll(), passed);
    }

    #[test]
    fn a_camera_that_is_to_use_tcp_and_does_not_is_refused() {
        let mut mediator = described(CameraTransport::Tcp);
        client(&mut mediator, SETUP);
        let refused = camera(&mut mediator, "RTSP/1.0 461 Unsupported\r\nCSeq: 2\r\n\r\n");
        assert!(text(&refused[0]).starts_with("RTSP/1.0 461"));
        client(&mut mediator, SETUP);
        let other =
            item("RTSP/1.0 200 OK\r\nCSeq: 3\r\nTransport: RTP/AVP;server_port=1-2\r\n\r\n");
        assert_eq!(mediator.handle_camera(other), Err(StreamFault::TransportRefused));
        for port in ["0", "65536", "x", ""] {
            let mut mediator = described(CameraTransport::Udp);
            assert_eq!(client(&mut mediator, SETUP), [Act::OpenPorts]);
            mediator.handle_ports(5_000);
            let answer = format!(
                "RTSP/1.0 200 OK\r\nCSeq: 2\r\nTransport: RTP/AVP;server_port={port}\r\n\r\n"
            );
            assert_eq!(mediator.handle_camera(item(&answer)), Err(StreamFault::ProtocolViolated));
        }
    }

    #[test]
    fn channels_are_those_of_the_camera_and_others_are_left_out() {
        for (given, own) in [("interleaved=5-6", 5), ("unicast", 0), ("interleaved=4", 4)] {
            let mut mediator = described(CameraTransport::Auto);
            client(&mut mediator, SETUP);
            let answer =
                format!("RTSP/1.0 200 OK\r\nSession: 7\r\nTransport: RTP/AVP/TCP;{given}\r\n\r\n");
            assert!(text(&camera(&mut mediator, &answer)[0]).contains("cseq: 2\r\n"));
            for (channel, payload) in [(own, packet(1)), (own + 1, packet(2)), (own, vec![0; 9])] {
                let payload = Bytes::from(payload);
                mediator.handle_camera(Item::Frame { channel, payload }).expect("a frame");
            }
            let passed = frame(0, &packet(1)).expect("short");
            assert_eq!(mediator.poll(), [Act::ToClient(passed)], "{given}");
        }
    }

    #[test]
    fn a_password_is_proved_anew_once_and_not_again_and_again() {
        let mut mediator = mediator(CameraTransport::Auto);
        client(&mut mediator, &format!("DESCRIBE {DOOR} RTSP/1.0\r\nCSeq: 1\r\n\r\n"));
        let challenge = |cseq: u32, nonce: &str| {
            format!(
                "RTSP/1.0 401 Unauthorized\r\nCSeq: {cseq}\r\nWWW-Authenticate: Basic realm=\"a\"\r\n\
                 WWW-Authenticate: Digest realm=\"a\", nonce=\"{nonce}\"\r\n\r\n"
            )
        };
        let proved = camera(&mut mediator, &challenge(1, "one"));
        assert!(text(&proved[0]).contains("authorization: Digest"), "{}", text(&proved[0]));
        assert!(text(&proved[0]).contains("uri=\"rtsp://192.0.2.7:554/live\""));
        let refused = camera(&mut mediator, &challenge(2, "two"));
        assert!(matches!(&refused[..], [Act::ToClient(_)]));
        let told = text(&refused[0]);
        assert!(told.starts_with("RTSP/1.0 401") && !told.contains("authenticate"), "{told}");
    }

    #[test]
    fn keepalives_are_answered_here_and_the_camera_is_told_goodbye_with_a_new_proof() {
        let mut mediator = described(CameraTransport::Auto);
        assert_eq!(mediator.goodbye(), None);
        client(&mut mediator, SETUP);
        camera(&mut mediator, "RTSP/1.0 200 OK\r\nCSeq: 2\r\nSession: 7;timeout=60\r\n\r\n");
        client(&mut mediator, "PLAY rtsp://192.0.2.7:554/live RTSP/1.0\r\nCSeq: 3\r\n\r\n");
        camera(&mut mediator, "RTSP/1.0 200 OK\r\nCSeq: 3\r\n\r\n");
        let keepalive = "OPTIONS rtsp://192.0.2.7:554/live RTSP/1.0\r\nCSeq: 4\r\n\r\n";
        let acts = client(&mut mediator, keepalive);
        assert_eq!(text(&acts[0]), "RTSP/1.0 200 OK\r\ncseq: 4\r\n\r\n");
        assert!(text(&acts[1]).starts_with("OPTIONS") && text(&acts[1]).contains("session: 7\r\n"));
        let again = camera(
            &mut mediator,
            "RTSP/1.0 401 No\r\nCSeq: 4\r\nPublic: OPTIONS, GET_PARAMETER\r\n\
             WWW-Authenticate: Basic realm=\"a\"\r\n\r\n",
        );
        assert!(text(&again[0]).contains("authorization: Basic"), "{again:?}");
        // That one is never answered; the client does not hear of it.
        let next = client(&mut mediator, keepalive);
        assert!(text(&next[1]).starts_with("GET_PARAMETER"), "{next:?}");
        assert_eq!(camera(&mut mediator, "RTSP/1.0 200 OK\r\nCSeq: 6\r\n\r\n"), []);
        let goodbye = String::from_utf8(mediator.goodbye().expect("a session")).expect("text");
        assert!(
            goodbye.starts_with("TEARDOWN rtsp://192.0.2.7:554/live RTSP/1.0\r\n"),
            "{goodbye}"
        );
        assert!(goodbye.contains("authorization: Basic"), "{goodbye}");
        assert_eq!(mediator.goodbye(), None);
        let is_goodbye = |head: &str| {
            let mut reader = Reader::default();
            reader.push(format!("{head}\r\n\r\n").as_bytes());
            let Ok(Some(Item::Message(answer))) = reader.poll() else { panic!("{head}") };
            mediator.is_goodbye(&answer)
        };
        assert!(is_goodbye(&format!("RTSP/1.0 454 No\r\nCSeq: {}", mediator.cseq)));
        assert!(is_goodbye("RTSP/1.0 200 OK"), "some cameras give no number");
        assert!(!is_goodbye("RTSP/1.0 200 OK\r\nCSeq: 6"), "of an earlier request");
        assert!(!is_goodbye(&format!("OPTIONS * RTSP/1.0\r\nCSeq: {}", mediator.cseq)));
    }
}
