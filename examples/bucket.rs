//! An S3 service on loopback for tests and trials, which can be told to fail.
//!
//! ```text
//! bucket DIRECTORY BUCKET ACCESS_KEY_ID SECRET_ACCESS_KEY
//! ```
//!
//! Says `ready http://…` and then takes a mood per line of standard input, each
//! answered by `now <mood>`: `ok`, `error 500`, `error 503`, `slow <ms>`,
//! `hang`, `refuse`. It ends with its input.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};

use anyhow::Context as _;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::serve::Listener;
use clap::Parser;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// An S3 service on loopback, moody on demand.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where buckets lie.
    directory: PathBuf,
    /// A bucket, made when it is missing.
    bucket: String,
    /// Who may ask.
    access_key_id: String,
    /// By which secret.
    secret_access_key: String,
}

/// How requests are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    /// As they should be.
    Well,
    /// With this status, nothing done.
    Error(u16),
    /// As they should be, this much later.
    Slow(Duration),
    /// Not before the mood changes.
    Hang,
    /// Not at all: connections are closed.
    Refuse,
}

impl Mood {
    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["ok"] => Some(Self::Well),
            ["hang"] => Some(Self::Hang),
            ["refuse"] => Some(Self::Refuse),
            ["slow", ms] => ms.parse().ok().map(Duration::from_millis).map(Self::Slow),
            ["error", status] => {
                status.parse().ok().filter(|status| (400..600).contains(status)).map(Self::Error)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Mood {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Well => formatter.write_str("ok"),
            Self::Error(status) => write!(formatter, "error {status}"),
            Self::Slow(by) => write!(formatter, "slow {}", by.as_millis()),
            Self::Hang => formatter.write_str("hang"),
            Self::Refuse => formatter.write_str("refuse"),
        }
    }
}

type Moods = watch::Receiver<Mood>;

async fn answer(mut service: S3Service, mut moods: Moods, request: Request) -> Response {
    loop {
        let mood = *moods.borrow_and_update();
        match mood {
            Mood::Well | Mood::Refuse => break,
            Mood::Slow(by) => {
                tokio::time::sleep(by).await;
                break;
            }
            Mood::Error(status) => {
                let body = "<Error><Code>InternalError</Code><Message>a mood</Message></Error>";
                let mut response = Response::new(Body::from(body));
                *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
                return response;
            }
            Mood::Hang => {
                if moods.changed().await.is_err() {
                    break;
                }
            }
        }
    }
    match tower::Service::call(&mut service, request).await {
        Ok(response) => response.map(Body::new),
        Err(error) => {
            let mut response = Response::new(Body::from(format!("{error:?}")));
            *response.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}

/// Takes connections, and closes them in a refusing mood.
struct Door {
    listener: TcpListener,
    moods: Moods,
}

impl Listener for Door {
    type Io = Line;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Line, SocketAddr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.listener).await;
            if *self.moods.borrow() != Mood::Refuse {
                return (Line { stream, moods: self.moods.clone() }, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection, which breaks at the next byte in a refusing mood.
struct Line {
    stream: TcpStream,
    moods: Moods,
}

impl Line {
    fn check(&self) -> io::Result<()> {
        if *self.moods.borrow() == Mood::Refuse {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl AsyncRead for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// Sets the mood by each line that comes.
fn listen(mood: &watch::Sender<Mood>) -> io::Result<()> {
    for line in io::stdin().lines() {
        if let Some(wanted) = Mood::parse(&line?) {
            mood.send_replace(wanted);
            say(&format!("now {wanted}"))?;
        } else {
            say("no such mood: ok, error <status>, slow <ms>, hang, refuse")?;
        }
    }
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    std::fs::create_dir_all(arguments.directory.join(&arguments.bucket))?;
    let files = s3s_fs::FileSystem::new(&arguments.directory)
        .map_err(|error| anyhow::anyhow!("{error:?}"))
        .context("the directory")?;
    let mut builder = S3ServiceBuilder::new(files);
    let secret = arguments.secret_access_key.as_str();
    builder.set_auth(SimpleAuth::from_single(arguments.access_key_id.as_str(), secret));
    let service = builder.build();

    let (mood, moods) = watch::channel(Mood::Well);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let door = Door { listener, moods: moods.clone() };
    let router = axum::Router::new()
        .fallback(move |request: Request| answer(service.clone(), moods.clone(), request));
    runtime.spawn(async move { axum::serve(door, router).await });
    say(&format!("ready http://{address}"))?;
    listen(&mood)?;
    // A request that hangs may not keep the process.
    runtime.shutdown_background();
    Ok(())
}
