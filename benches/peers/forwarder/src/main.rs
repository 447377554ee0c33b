//! Forwards the audio and video of rooms with str0m, so that the server can be measured beside it:
//! the same work on the same machine, with the same clients.
//!
//!     cabildo-peers-forwarder ADDRESS THREADS
//!
//! Clients offer over TCP on loopback: one line of JSON, answered by one line of JSON. The address
//! of that listener is on the line that begins with `ready`.

mod room;
mod worker;

use std::error::Error;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};

use serde::{Deserialize, Serialize};

use worker::WorkerHandle;

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// To send the sections of its offer.
    Publish,
    /// To receive what the publishers of its room send.
    Subscribe,
}

/// A client's request.
#[derive(Debug, Deserialize)]
pub struct Request {
    /// The number of its room; a room begins with its first client.
    pub room: usize,
    /// What it wants to do there.
    pub role: Role,
    /// Its offer.
    pub sdp: String,
}

/// The answer to a request.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The answer to the offer.
    Sdp(String),
    /// Why there is none.
    Error(String),
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, threads] = &arguments[..] else {
        return Err("usage: cabildo-peers-forwarder ADDRESS THREADS".into());
    };
    let (address, threads): (IpAddr, usize) = (address.parse()?, threads.parse()?);
    let workers = (0..threads.max(1))
        .map(|_| worker::start(address))
        .collect::<Result<Vec<WorkerHandle>, _>>()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("ready signalling={}", listener.local_addr()?);
    for stream in listener.incoming() {
        if let Err(error) = serve(&stream?, &workers) {
            eprintln!("a request was not answered: {error}");
        }
    }
    Ok(())
}

/// Reads one request and answers it.
fn serve(mut stream: &TcpStream, workers: &[WorkerHandle]) -> Result<(), Box<dyn Error>> {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    let answer = match serde_json::from_str::<Request>(&line) {
        // A room belongs to one thread.
        Ok(request) => workers[request.room % workers.len()].ask(request)?,
        Err(error) => Answer::Error(error.to_string()),
    };
    writeln!(stream, "{}", serde_json::to_string(&answer)?)?;
    Ok(())
}
