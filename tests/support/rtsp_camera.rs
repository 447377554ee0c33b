//! A camera for tests: a small RTSP server (RFC 2326) in this process. It sends a
//! short film again and again over the connection, and behaves as badly as it is
//! told to.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Pictures per second of the film.
pub(crate) const FRAMES_PER_S: u32 = 15;
/// Pictures from one key picture to the next.
pub(crate) const GOP: u32 = 15;
/// Payload bytes of a packet.
const PACKET_BYTES: usize = 1_200;
/// The type of a part of a large unit, FU-A (RFC 6184 §5.8).
const FRAGMENT: u8 = 0x1C;
const REALM: &str = "camera";

/// What a camera asks for before it plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Login {
    #[default]
    Nothing,
    Basic,
    Digest,
}

/// How a camera behaves. Everything may be changed while it plays.
#[expect(clippy::struct_excessive_bools, reason = "each is a habit that cameras have or not")]
#[derive(Debug, Clone)]
pub(crate) struct Behaviour {
    pub(crate) login: Login,
    /// Requests that it takes and never answers.
    pub(crate) silent_at: Option<&'static str>,
    /// A request, by its method or also by what it is about, as in `SETUP sound`, and
    /// the status that it answers that one with.
    pub(crate) refuses: Option<(&'static str, u16)>,
    /// Whether it announces its parameter sets, or only sends them.
    pub(crate) announces_sets: bool,
    /// Whether it sends its parameter sets, or only announces them.
    pub(crate) sends_sets: bool,
    /// Whether every packet says that it is the last one of its picture.
    pub(crate) marks_everything: bool,
    /// What is added to the stamps.
    pub(crate) stamp_offset: u32,
    /// By which time the stamps go on, in thousandths of that which goes by.
    pub(crate) clock_permille: u32,
    /// Whether it sends anything.
    pub(crate) plays: bool,
    /// The name of its codec.
    pub(crate) encoding: &'static str,
    /// Which of the films is shown.
    pub(crate) film: usize,
    /// What it describes instead of itself.
    pub(crate) description: Option<String>,
    /// A request that it answers with the first text, and then with the second one without end.
    pub(crate) lies_at: Option<(&'static str, &'static str, &'static str)>,
    /// How long a session lives without a request, in seconds.
    pub(crate) session_s: u32,
    /// Whether the first request after it plays is refused, because the proof of the password is
    /// too old.
    pub(crate) renews_nonce: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            login: Login::Nothing,
            silent_at: None,
            refuses: None,
            announces_sets: true,
            sends_sets: true,
            marks_everything: false,
            stamp_offset: 0xFFFF_0000,
            clock_permille: 1_000,
            plays: true,
            encoding: "H264/90000",
            film: 0,
            description: None,
            lies_at: None,
            session_s: 60,
            renews_nonce: false,
        }
    }
}

/// The pictures of a film: the units of each.
type Film = Vec<Vec<Vec<u8>>>;

struct Shared {
    behaviour: Mutex<Behaviour>,
    films: Vec<Film>,
    requests: watch::Sender<Vec<String>>,
    lied_bytes: AtomicU64,
    hang_up: Mutex<CancellationToken>,
}

/// A camera that listens on loopback.
pub(crate) struct RtspCamera {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

/// A film of four seconds, made by ffmpeg.
fn film(size: &str, extra: &[&str]) -> Film {
    let source = format!("testsrc2=size={size}:rate={FRAMES_PER_S}");
    let gop = GOP.to_string();
    let made = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", &source, "-t", "4"])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"])
        .args(["-g", &gop, "-keyint_min", &gop, "-sc_threshold", "0"])
        .args(extra)
        .args(["-f", "h264", "pipe:1"])
        .output()
        .expect("ffmpeg");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    pictures(&made.stdout)
}

/// The pictures in an elementary stream: each begins with the units before its
/// first slice.
fn pictures(stream: &[u8]) -> Film {
    let mut starts = Vec::new();
    for at in 0..stream.len().saturating_sub(3) {
        if stream[at..at + 3] == [0, 0, 1] {
            starts.push(at);
        }
    }
    let mut film: Film = Vec::new();
    let mut picture = Vec::new();
    for (n, start) in starts.iter().enumerate() {
        let end = starts.get(n + 1).copied().unwrap_or(stream.len());
        let unit = &stream[start + 3..end];
        let unit = unit.strip_suffix(&[0]).unwrap_or(unit);
        let is_slice = matches!(unit[0] & 0x1F, 1 | 5);
        picture.push(unit.to_vec());
        // Every picture of the film has one slice.
        if is_slice {
            film.push(std::mem::take(&mut picture));
        }
    }
    film
}

impl RtspCamera {
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        let plain = ["-profile:v", "baseline", "-tune", "zerolatency"];
        let films = vec![
            film("320x180", &[&plain[..], &["-slices", "1", "-threads", "1"]].concat()),
            film("160x120", &[&plain[..], &["-slices", "1", "-threads", "1"]].concat()),
            film(
                "320x180",
                &[
                    "-profile:v",
                    "main",
                    "-bf",
                    "3",
                    "-x264-params",
                    "b-pyramid=none",
                    "-slices",
                    "1",
                    "-threads",
                    "1",
                ],
            ),
        ];
        let shared = Arc::new(Shared {
            behaviour: Mutex::new(behaviour),
            films,
            requests: watch::Sender::new(Vec::new()),
            lied_bytes: AtomicU64::new(0),
            hang_up: Mutex::new(CancellationToken::new()),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let stop = CancellationToken::new();
        let (served, until) = (shared.clone(), stop.clone());
        tokio::spawn(until.run_until_cancelled_owned(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (shared, hang_up) = (served.clone(), lock(&served.hang_up).child_token());
                tokio::spawn(async move {
                    let serving = Connection::new(shared, socket).serve();
                    // A client that goes away is no failure of the test.
                    drop(hang_up.run_until_cancelled(serving).await);
                });
            }
        }));
        Self { address, shared, stop }
    }

    /// The address with a user and a password.
    pub(crate) fn url(&self) -> String {
        format!("rtsp://viewer:secret%2Fword@{}/live?profile=1", self.address)
    }

    pub(crate) fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut lock(&self.shared.behaviour));
    }

    /// Closes all connections without a word.
    pub(crate) fn hang_up(&self) {
        let mut hang_up = lock(&self.shared.hang_up);
        hang_up.cancel();
        *hang_up = CancellationToken::new();
    }

    /// Waits until `method` was requested `times` times, and fails after a while.
    pub(crate) async fn asked(&self, method: &str, times: usize) {
        let mut requests = self.shared.requests.subscribe();
        let enough =
            requests.wait_for(|all| all.iter().filter(|it| *it == method).count() >= times);
        let came = tokio::time::timeout(Duration::from_mins(1), enough).await;
        assert!(came.is_ok(), "{method} did not come {times} times: {:?}", self.requests());
    }

    /// How many bytes of endless answers it got rid of.
    pub(crate) fn lied_bytes(&self) -> u64 {
        self.shared.lied_bytes.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.requests.borrow().clone()
    }
}

impl Drop for RtspCamera {
    fn drop(&mut self) {
        self.stop.cancel();
        self.hang_up();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Request {
    method: String,
    uri: String,
    headers: BTreeMap<String, String>,
}

struct Connection {
    shared: Arc<Shared>,
    socket: BufReader<TcpStream>,
    nonce: String,
    is_renewed: bool,
    sound: bool,
}

/// Where the film stands, for a connection.
struct Reel {
    sequence: u16,
    picture: u32,
    film: usize,
    /// The stamp of the next picture that is shown when it is sent.
    stamp: u32,
}

impl Connection {
    fn new(shared: Arc<Shared>, socket: TcpStream) -> Self {
        let nonce = format!("{:032x}", rand::random::<u128>());
        Self { shared, socket: BufReader::new(socket), nonce, is_renewed: false, sound: false }
    }

    fn behaviour(&self) -> Behaviour {
        lock(&self.shared.behaviour).clone()
    }

    async fn serve(mut self) -> io::Result<()> {
        let mut reel: Option<Reel> = None;
        let mut next = tokio::time::Instant::now();
        loop {
            let Some(playing) = &mut reel else {
                let request = self.request().await?;
                if self.answer(&request).await? {
                    reel = Some(Reel { sequence: 65_530, picture: 0, film: 0, stamp: 0 });
                    next = tokio::time::Instant::now();
                }
                continue;
            };
            tokio::select! {
                request = self.request() => {
                    let request = request?;
                    self.answer(&request).await?;
                    if request.method == "TEARDOWN" {
                        return Ok(());
                    }
                }
                () = tokio::time::sleep_until(next) => {
                    next += Duration::from_secs(1) / FRAMES_PER_S;
                    self.show(playing).await?;
                }
            }
        }
    }

    /// Reads a request. What was read is lost when this is dropped, so a client has
    /// to send each whole; the only one that does is the one under test.
    async fn request(&mut self) -> io::Result<Request> {
        loop {
            // Reports of the client come between its requests.
            let peeked = self.socket.fill_buf().await?;
            match peeked.first() {
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
                Some(b'$') => {
                    let mut head = [0; 4];
                    self.socket.read_exact(&mut head).await?;
                    let mut body = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
                    self.socket.read_exact(&mut body).await?;
                }
                Some(_) => break,
            }
        }
        let mut line = String::new();
        self.socket.read_line(&mut line).await?;
        let mut words = line.split_whitespace().map(str::to_owned);
        let (method, uri) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            self.socket.read_line(&mut line).await?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        self.shared.requests.send_modify(|all| all.push(method.clone()));
        Ok(Request { method, uri, headers })
    }

    /// Answers; `true` when the film is to begin.
    async fn answer(&mut self, request: &Request) -> io::Result<bool> {
        let behaviour = self.behaviour();
        if behaviour.silent_at == Some(request.method.as_str()) {
            return Ok(false);
        }
        if let Some((_, first, endless)) = behaviour.lies_at.filter(|it| it.0 == request.method) {
            self.lie(first, endless).await?;
        }
        if behaviour.renews_nonce && request.method == "OPTIONS" && !self.is_renewed {
            self.is_renewed = true;
            self.nonce = format!("{:032x}", rand::random::<u128>());
        }
        let mut status = 200;
        let (mut headers, mut body) = (Vec::new(), String::new());
        let place = request.uri.rsplit('/').next().unwrap_or_default();
        let named = format!("{} {place}", request.method);
        let is_refused = |refused: &(&str, u16)| refused.0 == request.method || refused.0 == named;
        if let Some((_, refused)) = behaviour.refuses.filter(is_refused) {
            status = refused;
            headers.push("Location: rtsp://169.254.169.254/latest".to_owned());
        } else if !self.is_known(behaviour.login, request) {
            status = 401;
            headers.push(match behaviour.login {
                Login::Digest => format!(
                    "WWW-Authenticate: Digest realm=\"{REALM}\", nonce=\"{}\", algorithm=SHA-256, qop=\"auth\"",
                    self.nonce
                ),
                Login::Basic | Login::Nothing => {
                    format!("WWW-Authenticate: Basic realm=\"{REALM}\"")
                }
            });
        } else {
            match request.method.as_str() {
                "DESCRIBE" => {
                    headers.push("Content-Type: application/sdp".to_owned());
                    headers.push(format!("Content-Base: {}/", request.uri));
                    body = self.description(&behaviour);
                }
                "SETUP" => {
                    let sound = request.uri.ends_with("sound");
                    self.sound |= sound;
                    let channels = if sound { "2-3" } else { "0-1" };
                    headers.push(format!("Transport: RTP/AVP/TCP;unicast;interleaved={channels}"));
                    headers.push(format!("Session: 4711;timeout={}", behaviour.session_s));
                }
                "OPTIONS" => headers.push("Public: DESCRIBE, SETUP, PLAY, TEARDOWN".to_owned()),
                _ => headers.push("Session: 4711".to_owned()),
            }
        }
        let sequence = request.headers.get("cseq").cloned().unwrap_or_default();
        let headers: String = headers.iter().flat_map(|line| [line, "\r\n"]).collect();
        let answer = format!(
            "RTSP/1.0 {status} Answer\r\nCSeq: {sequence}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.socket.get_mut().write_all(answer.as_bytes()).await?;
        Ok(request.method == "PLAY" && status == 200)
    }

    /// Until whoever listens hangs up.
    async fn lie(&mut self, first: &str, endless: &str) -> io::Result<()> {
        let socket = self.socket.get_mut();
        socket.write_all(first.as_bytes()).await?;
        let endless = endless.repeat(65_536 / endless.len());
        loop {
            socket.write_all(endless.as_bytes()).await?;
            let length = u64::try_from(endless.len()).expect("short");
            self.shared.lied_bytes.fetch_add(length, Ordering::SeqCst);
        }
    }

    fn description(&self, behaviour: &Behaviour) -> String {
        if let Some(description) = &behaviour.description {
            return description.clone();
        }
        let first = &self.shared.films[behaviour.film][0];
        let of = |kind: u8| {
            let unit = first.iter().find(|unit| unit[0] & 0x1F == kind).expect("a set");
            STANDARD.encode(unit)
        };
        let sets = format!(";sprop-parameter-sets={},{}", of(7), of(8));
        let sets = if behaviour.announces_sets { sets.as_str() } else { "" };
        format!(
            "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\na=control:*\r\n\
             m=video 0 RTP/AVP 96\r\na=rtpmap:96 {}\r\n\
             a=fmtp:96 packetization-mode=1{sets}\r\na=control:picture\r\n\
             m=audio 0 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=control:sound\r\n",
            behaviour.encoding
        )
    }

    fn is_known(&self, login: Login, request: &Request) -> bool {
        let given = request.headers.get("authorization").map_or("", String::as_str);
        match login {
            Login::Nothing => true,
            Login::Basic => given == format!("Basic {}", STANDARD.encode("viewer:secret/word")),
            Login::Digest => self.has_digest(given, request),
        }
    }

    /// RFC 7616 §3.4.1.
    fn has_digest(&self, given: &str, request: &Request) -> bool {
        let Some(fields) = given.strip_prefix("Digest ") else { return false };
        let fields: BTreeMap<&str, &str> = fields
            .split(',')
            .filter_map(|field| field.trim().split_once('='))
            .map(|(name, value)| (name, value.trim_matches('"')))
            .collect();
        let field = |name: &str| fields.get(name).copied().unwrap_or_default();
        let hash = |text: String| cabildo::domain::hex::hex(&Sha256::digest(text.as_bytes()));
        let who = hash(format!("viewer:{REALM}:secret/word"));
        let what = hash(format!("{}:{}", request.method, field("uri")));
        let (count, own, quality) = (field("nc"), field("cnonce"), field("qop"));
        let wanted = hash(format!("{who}:{}:{count}:{own}:{quality}:{what}", self.nonce));
        field("nonce") == self.nonce && field("response") == wanted
    }

    /// Sends the next picture.
    async fn show(&mut self, reel: &mut Reel) -> io::Result<()> {
        let behaviour = self.behaviour();
        if !behaviour.plays {
            return Ok(());
        }
        let film = &self.shared.films[behaviour.film];
        if reel.film != behaviour.film {
            // Another film begins where it begins.
            reel.film = behaviour.film;
            reel.picture = reel.picture.next_multiple_of(u32::try_from(film.len()).expect("short"));
        }
        let length = u32::try_from(film.len()).expect("short");
        let picture = &film[usize::try_from(reel.picture % length).expect("short")];
        let shown = shown_at(film, reel.picture);
        let step = 90 * behaviour.clock_permille / FRAMES_PER_S;
        // With B-frames before or after it.
        let later = shown.wrapping_sub(reel.picture).wrapping_mul(step);
        let stamp = reel.stamp.wrapping_add(later).wrapping_add(behaviour.stamp_offset);
        let is_set = |unit: &[u8]| matches!(unit[0] & 0x1F, 7 | 8);
        let units = picture.iter().filter(|unit| behaviour.sends_sets || !is_set(unit));
        let payloads: Vec<Vec<u8>> = units.flat_map(|unit| packets(unit)).collect();
        let mut bytes = Vec::new();
        for (n, payload) in payloads.iter().enumerate() {
            let marker = behaviour.marks_everything || n + 1 == payloads.len();
            push(&mut bytes, 0, (96, marker), (reel.sequence, stamp), payload);
            reel.sequence = reel.sequence.wrapping_add(1);
        }
        if self.sound {
            let sequence = u16::try_from(reel.picture & 0xFFFF).expect("16 bits");
            push(&mut bytes, 2, (0, false), (sequence, reel.stamp * 4 / 45), &[0xFF; 160]);
        }
        reel.picture += 1;
        reel.stamp += step;
        self.socket.get_mut().write_all(&bytes).await
    }
}

/// When the picture that is sent as number `sent` is shown: with B-frames not in the
/// order in which they are sent.
fn shown_at(film: &Film, sent: u32) -> u32 {
    let length = u32::try_from(film.len()).expect("short");
    let (round, within) = (sent / length, usize::try_from(sent % length).expect("short"));
    // A picture that others do not refer to (nal_ref_idc 0) is shown before the one
    // that was sent last and is referred to.
    let is_b = |n: usize| {
        film.get(n).is_some_and(|units| {
            units.last().is_some_and(|unit| unit[0] & 0x60 == 0 && unit[0] & 0x1F == 1)
        })
    };
    let following = (within + 1..film.len()).take_while(|n| is_b(*n)).count();
    let shown = if is_b(within) { within - 1 } else { within + following };
    round * length + u32::try_from(shown).expect("short")
}

/// The payloads of a unit (RFC 6184 §5.6 and §5.8).
fn packets(unit: &[u8]) -> Vec<Vec<u8>> {
    if unit.len() <= PACKET_BYTES {
        return vec![unit.to_vec()];
    }
    let parts: Vec<&[u8]> = unit[1..].chunks(PACKET_BYTES - 2).collect();
    let last = parts.len() - 1;
    let of = |(n, part): (usize, &&[u8])| {
        let (starts, ends) = (u8::from(n == 0) << 7, u8::from(n == last) << 6);
        [&[unit[0] & 0xE0 | FRAGMENT, starts | ends | unit[0] & 0x1F], *part].concat()
    };
    parts.iter().enumerate().map(of).collect()
}

/// A packet in the connection (RFC 2326 §10.12).
fn push(
    bytes: &mut Vec<u8>,
    channel: u8,
    (kind, marker): (u8, bool),
    (sequence, stamp): (u16, u32),
    payload: &[u8],
) {
    let length = u16::try_from(payload.len() + 12).expect("short");
    bytes.extend([b'$', channel]);
    bytes.extend(length.to_be_bytes());
    bytes.extend([0x80, u8::from(marker) << 7 | kind]);
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(stamp.to_be_bytes());
    bytes.extend([0, 0, 0, channel + 1]);
    bytes.extend(payload);
}
