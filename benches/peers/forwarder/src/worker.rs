//! A thread with one UDP socket and the clients of its rooms. Datagrams are read and written in
//! batches (GRO and GSO), and the packets of one read are handed to a subscriber together, so that
//! the system calls are as few as the packets allow.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::error::Error;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use quinn_udp::{RecvMeta, UdpSockRef, UdpSocketState};
use str0m::change::SdpOffer;
use str0m::media::{KeyframeRequestKind, Mid};
use str0m::net::{Protocol, Receive};
use str0m::rtp::RtpPacket;
use str0m::{Candidate, Event, Input, Output, Rtc};

use crate::room::{Client, Source};
use crate::{Answer, Request, Role};

const WAKE: Token = Token(0);
const SOCKET: Token = Token(1);
const SLEEP_MAX: Duration = Duration::from_millis(500);
/// Bytes that one system call reads into each of `READ_SLICES`: the largest GRO batch.
const SLICE_BYTES: usize = 65_536;
const READ_SLICES: usize = 8;
/// Bytes written by one system call at most: the largest UDP datagram minus its headers.
const RUN_BYTES_MAX: usize = 60_000;
/// Size requested for the socket's buffers; the system may allow less.
const SOCKET_BUFFER_BYTES: usize = 1 << 23;

type Asked = (Request, mpsc::Sender<Answer>);

/// A running thread.
pub struct WorkerHandle {
    inbox: mpsc::Sender<Asked>,
    waker: Waker,
}

impl WorkerHandle {
    /// Has the thread answer a request.
    pub fn ask(&self, request: Request) -> Result<Answer, Box<dyn Error>> {
        let (sender, answer) = mpsc::channel();
        self.inbox.send((request, sender)).map_err(|_| "a thread has ended")?;
        self.waker.wake()?;
        Ok(answer.recv()?)
    }
}

/// Starts a thread that sends and receives media at this address.
pub fn start(address: IpAddr) -> io::Result<WorkerHandle> {
    let poll = Poll::new()?;
    let waker = Waker::new(poll.registry(), WAKE)?;
    let mut socket = UdpSocket::bind(SocketAddr::new(address, 0))?;
    poll.registry().register(&mut socket, SOCKET, Interest::READABLE)?;
    let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
    state.set_recv_buffer_size(UdpSockRef::from(&socket), SOCKET_BUFFER_BYTES)?;
    state.set_send_buffer_size(UdpSockRef::from(&socket), SOCKET_BUFFER_BYTES)?;
    let (sender, inbox) = mpsc::channel();
    let address = socket.local_addr()?;
    let mut worker = Worker {
        poll,
        inbox,
        address,
        outbox: Outbox { socket, state, run: Run::default() },
        clients: BTreeMap::new(),
        next: 0,
        by_address: HashMap::new(),
        timers: BTreeSet::new(),
        packets: Vec::new(),
        wanted: BTreeSet::new(),
    };
    std::thread::Builder::new().name("forwarder".to_owned()).spawn(move || worker.run())?;
    Ok(WorkerHandle { inbox: sender, waker })
}

struct Worker {
    poll: Poll,
    inbox: mpsc::Receiver<Asked>,
    address: SocketAddr,
    outbox: Outbox,
    clients: BTreeMap<usize, Client>,
    next: usize,
    by_address: HashMap<SocketAddr, usize>,
    timers: BTreeSet<(Instant, usize)>,
    /// Packets of publishers that are not forwarded yet.
    packets: Vec<(Source, RtpPacket)>,
    /// Publishers' sections of which a key frame is wanted.
    wanted: BTreeSet<(usize, Mid)>,
}

impl Worker {
    fn run(&mut self) {
        let mut events = Events::with_capacity(16);
        let mut buffer = vec![0; SLICE_BYTES * READ_SLICES];
        loop {
            let next = self.timers.first().map(|(due, _)| *due);
            let sleep = next.map_or(SLEEP_MAX, |due| due.saturating_duration_since(Instant::now()));
            if let Err(error) = self.poll.poll(&mut events, Some(sleep.min(SLEEP_MAX)))
                && error.kind() != io::ErrorKind::Interrupted
            {
                eprintln!("a thread ends: {error}");
                return;
            }
            while self.read(&mut buffer) {
                self.forward();
            }
            while let Ok((request, answer)) = self.inbox.try_recv() {
                let made = self.enter(&request);
                // A client that no longer waits needs no answer.
                drop(answer.send(made.unwrap_or_else(|error| Answer::Error(error.to_string()))));
            }
            let now = Instant::now();
            while let Some(&(due, number)) = self.timers.first()
                && due <= now
            {
                self.call(number, Input::Timeout(now));
            }
            self.forward();
        }
    }

    /// Answers the offer of a new client.
    fn enter(&mut self, request: &Request) -> Result<Answer, Box<dyn Error>> {
        let mut rtc = Rtc::builder()
            .set_rtp_mode(true)
            .set_ice_lite(true)
            .clear_codecs()
            .enable_opus(true, false)
            .enable_vp8(true)
            .build(Instant::now());
        rtc.add_local_candidate(Candidate::host(self.address, "udp")?);
        let answer = rtc.sdp_api().accept_offer(SdpOffer::from_sdp_string(&request.sdp)?)?;
        let answer = answer.to_sdp_string();
        // The events that tell of sections come only once the client is connected.
        let mids = answer.lines().filter_map(|line| line.strip_prefix("a=mid:")).map(Mid::from);
        let sections = mids.filter_map(|mid| Some((mid, rtc.media(mid)?.kind()))).collect();
        let due = loop {
            if let Output::Timeout(due) = rtc.poll_output()? {
                break due;
            }
        };
        let mut client = Client::new(rtc, request.room, request.role, sections);
        client.due = Some(due);
        if request.role == Role::Subscribe {
            let publishers = self
                .clients
                .iter()
                .filter(|(_, other)| other.room == request.room && other.role == Role::Publish);
            client.connect(publishers.flat_map(|(&publisher, other)| {
                other.sections.iter().map(move |&(mid, kind)| (Source { publisher, mid }, kind))
            }));
        }
        self.timers.insert((due, self.next));
        self.clients.insert(self.next, client);
        self.next += 1;
        Ok(Answer::Sdp(answer))
    }

    /// Takes the datagrams of one system call; returns whether there were any.
    fn read(&mut self, buffer: &mut [u8]) -> bool {
        let mut meta = [RecvMeta::default(); READ_SLICES];
        let mut chunks = buffer.chunks_mut(SLICE_BYTES);
        let mut slices: [IoSliceMut<'_>; READ_SLICES] =
            std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
        let socket = UdpSockRef::from(&self.outbox.socket);
        let Ok(count) = self.outbox.state.recv(socket, &mut slices, &mut meta) else {
            return false;
        };
        let now = Instant::now();
        for (slice, meta) in slices.iter().zip(&meta[..count]) {
            for datagram in slice[..meta.len].chunks(meta.stride.max(1)) {
                let receive = Receive::new(Protocol::Udp, meta.addr, self.address, datagram);
                let Ok(receive) = receive else { continue };
                let input = Input::Receive(now, receive);
                let known = self.by_address.get(&meta.addr).copied();
                let found = known.or_else(|| {
                    let accepting = self.clients.iter().find(|(_, c)| c.rtc.accepts(&input));
                    accepting.map(|(&number, _)| number)
                });
                if let Some(number) = found {
                    self.by_address.insert(meta.addr, number);
                    self.call(number, input);
                }
            }
        }
        true
    }

    /// Gives an input to a client's transport and takes what comes of it.
    fn call(&mut self, number: usize, input: Input<'_>) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        if let Err(error) = client.rtc.handle_input(input) {
            eprintln!("a client is dropped: {error}");
            client.rtc.disconnect();
        }
        self.drain(number);
    }

    /// Sends a client's datagrams, keeps what it published or asked for, and sets its timer.
    fn drain(&mut self, number: usize) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let due = loop {
            match client.rtc.poll_output() {
                Ok(Output::Transmit(transmit)) => {
                    self.outbox.send(transmit.destination, &transmit.contents);
                }
                Ok(Output::Event(Event::RtpPacket(packet))) => {
                    let mid = client
                        .rtc
                        .direct_api()
                        .stream_rx(&packet.header.ssrc)
                        .map(|stream| stream.mid());
                    if let Some(mid) = mid {
                        self.packets.push((Source { publisher: number, mid }, packet));
                    }
                }
                Ok(Output::Event(Event::KeyframeRequest(request))) => {
                    let source = client.source_of(request.mid);
                    self.wanted.extend(source.map(|source| (source.publisher, source.mid)));
                }
                Ok(Output::Event(Event::Connected)) => {
                    let sources = client.sources().map(|source| (source.publisher, source.mid));
                    self.wanted.extend(sources);
                }
                Ok(Output::Event(_)) => {}
                Ok(Output::Timeout(due)) => break Some(due),
                Err(error) => {
                    eprintln!("a client is dropped: {error}");
                    break None;
                }
            }
        };
        self.outbox.flush();
        if let Some(before) = client.due {
            self.timers.remove(&(before, number));
        }
        if let Some(due) = due.filter(|_| client.rtc.is_alive()) {
            client.due = Some(due);
            self.timers.insert((due, number));
        } else {
            self.clients.remove(&number);
            self.by_address.retain(|_, other| *other != number);
        }
    }

    /// Hands the packets that have arrived to the subscribers, and their wishes to publishers.
    fn forward(&mut self) {
        for (publisher, mid) in std::mem::take(&mut self.wanted) {
            let Some(client) = self.clients.get_mut(&publisher) else { continue };
            if let Some(stream) = client.rtc.direct_api().stream_rx_by_mid(mid, None) {
                stream.request_keyframe(KeyframeRequestKind::Pli);
                self.call(publisher, Input::Timeout(Instant::now()));
            }
        }
        if self.packets.is_empty() {
            return;
        }
        let packets = std::mem::take(&mut self.packets);
        let rooms: BTreeSet<usize> = packets
            .iter()
            .filter_map(|(source, _)| self.clients.get(&source.publisher))
            .map(|client| client.room)
            .collect();
        let subscribers: Vec<usize> = self
            .clients
            .iter()
            .filter(|(_, client)| client.role == Role::Subscribe && rooms.contains(&client.room))
            .map(|(&number, _)| number)
            .collect();
        for number in subscribers {
            let Some(client) = self.clients.get_mut(&number) else { continue };
            let mut has_written = false;
            for (source, packet) in &packets {
                has_written |= client.forward(*source, packet);
            }
            if has_written {
                self.call(number, Input::Timeout(Instant::now()));
            }
        }
    }
}

/// The socket, with datagrams of equal size to one destination that wait to be sent together.
struct Outbox {
    socket: UdpSocket,
    state: UdpSocketState,
    run: Run,
}

#[derive(Default)]
struct Run {
    to: Option<SocketAddr>,
    segment: usize,
    segments: usize,
    bytes: Vec<u8>,
}

impl Outbox {
    fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        let fits = self.run.to == Some(to)
            && self.run.segment == datagram.len()
            && self.run.segments < self.state.max_gso_segments()
            && self.run.bytes.len() + datagram.len() <= RUN_BYTES_MAX;
        if !fits {
            self.flush();
            (self.run.to, self.run.segment) = (Some(to), datagram.len());
        }
        self.run.bytes.extend_from_slice(datagram);
        self.run.segments += 1;
    }

    fn flush(&mut self) {
        if let Some(destination) = self.run.to.take() {
            let transmit = quinn_udp::Transmit {
                destination,
                ecn: None,
                contents: &self.run.bytes,
                segment_size: (self.run.segments > 1).then_some(self.run.segment),
                src_ip: None,
            };
            // A full socket buffer is loss, as on any network; the clients count it.
            drop(self.state.try_send(UdpSockRef::from(&self.socket), &transmit));
        }
        self.run.bytes.clear();
        self.run.segments = 0;
    }
}
