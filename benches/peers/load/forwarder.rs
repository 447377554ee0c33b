//! The forwarder on str0m: a client offers in one line of JSON and is answered in one.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Instant;

use async_trait::async_trait;
use cabildo::domain::media::MediaKind;
use cabildo::load::LoadError;
use cabildo::load::client::{MediaClient, TrackOptions};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::joined::{Joined, Transport};
use crate::measure::{Entry, MediaServer};
use crate::process::Process;

pub(crate) struct Forwarder {
    process: Process,
    signalling: SocketAddr,
}

impl Forwarder {
    /// Starts the forwarder.
    pub(crate) async fn start(program: &Path, threads: usize) -> Result<Self, LoadError> {
        let (address, threads) = (Ipv4Addr::LOCALHOST.to_string(), threads.to_string());
        let arguments = [OsStr::new(&address), OsStr::new(&threads)];
        let place = tempfile::tempdir()?;
        let (process, ready) = Process::start(program, &arguments, place, "ready ").await?;
        let signalling = ready.split("signalling=").nth(1).and_then(|text| text.parse().ok());
        let signalling = signalling.ok_or(LoadError::Contract("no address for signalling"))?;
        Ok(Self { process, signalling })
    }

    async fn ask(&self, room: usize, role: &str, offer: &str) -> Result<String, LoadError> {
        let mut stream = TcpStream::connect(self.signalling).await?;
        let request = json!({"room": room, "role": role, "sdp": offer});
        stream.write_all(format!("{request}\n").as_bytes()).await?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await?;
        let answer: Value = serde_json::from_str(&line)
            .map_err(|_| LoadError::Contract("the answer is not JSON"))?;
        answer["sdp"].as_str().map(str::to_owned).ok_or_else(|| LoadError::Refused {
            code: "forwarder".to_owned(),
            message: answer["error"].as_str().unwrap_or_default().to_owned(),
        })
    }
}

#[async_trait]
impl MediaServer for Forwarder {
    fn process(&self) -> &Process {
        &self.process
    }

    async fn publish(
        &self,
        entry: Entry<'_>,
        tracks: &[TrackOptions],
    ) -> Result<Joined, LoadError> {
        let opened_at = Instant::now();
        let mut client = MediaClient::publisher(entry.options, tracks);
        let answer = self.ask(entry.room, "publish", &client.offer()).await?;
        let mut transport = Transport::add(entry.driver, client);
        transport.take_answer(answer).await?;
        transport.connected().await?;
        Ok(Joined::client(transport, opened_at))
    }

    async fn subscribe(&self, entry: Entry<'_>, publishers: u32) -> Result<Joined, LoadError> {
        let opened_at = Instant::now();
        let kinds: Vec<MediaKind> =
            (0..publishers).flat_map(|_| [MediaKind::Audio, MediaKind::Video]).collect();
        let mut client = MediaClient::viewer(entry.options, &kinds);
        let answer = self.ask(entry.room, "subscribe", &client.offer()).await?;
        let transport = Transport::add(entry.driver, client);
        transport.take_answer(answer).await?;
        Ok(Joined::client(transport, opened_at))
    }
}
