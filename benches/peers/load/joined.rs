//! A client in a room of a server under test.

use std::time::{Duration, Instant};

use cabildo::load::LoadError;
use cabildo::load::client::{ClientEvent, MediaClient};
use cabildo::load::driver::{ClientHandle, Driver, Timed};
use cabildo::load::signalling::Participant;
use tokio::sync::mpsc;

/// Time for a transport to connect, or to a subscriber's first key frame.
const MEDIA_TIMEOUT: Duration = Duration::from_secs(15);

/// A client that is in a room.
pub(crate) struct Joined {
    /// The time just before its first connection for signalling was opened.
    opened_at: Instant,
    inner: Inner,
}

enum Inner {
    Publisher(Box<Participant>),
    Subscriber(Box<Participant>),
    Client(Transport),
}

/// A client without the server's own signalling.
pub(crate) struct Transport {
    client: ClientHandle,
    events: mpsc::Receiver<Timed>,
}

impl Transport {
    /// Hands the client to the driver.
    pub(crate) fn add(driver: &Driver, client: MediaClient) -> Self {
        let (client, events) = driver.add(client);
        Self { client, events }
    }

    /// Takes the server's answer.
    pub(crate) async fn take_answer(&self, sdp: String) -> Result<(), LoadError> {
        let taken = self.client.call(move |client, now| client.handle_answer(&sdp, now)).await;
        taken.ok_or(LoadError::Contract("the load driver has stopped"))?
    }

    /// Waits until media can flow.
    pub(crate) async fn connected(&mut self) -> Result<(), LoadError> {
        let is_it = |event: &ClientEvent| matches!(event, ClientEvent::Connected { .. });
        self.first(is_it).await.map(drop).ok_or(LoadError::Contract("the client did not connect"))
    }

    /// Waits for an event; `None` when it does not come.
    async fn first(&mut self, is_it: impl Fn(&ClientEvent) -> bool) -> Option<Instant> {
        let found = async {
            while let Some((at, event)) = self.events.recv().await {
                match event {
                    event if is_it(&event) => return Some(at),
                    ClientEvent::Failed { .. } | ClientEvent::Closed => return None,
                    _ => {}
                }
            }
            None
        };
        tokio::time::timeout(MEDIA_TIMEOUT, found).await.ok().flatten()
    }
}

impl Joined {
    /// A participant of the server who publishes.
    pub(crate) fn publisher(participant: Participant) -> Self {
        let opened_at = participant.opened_at;
        Self { opened_at, inner: Inner::Publisher(Box::new(participant)) }
    }

    /// A participant of the server who subscribes.
    pub(crate) fn subscriber(participant: Participant) -> Self {
        let opened_at = participant.opened_at;
        Self { opened_at, inner: Inner::Subscriber(Box::new(participant)) }
    }

    /// A client of another server.
    pub(crate) fn client(transport: Transport, opened_at: Instant) -> Self {
        Self { opened_at, inner: Inner::Client(transport) }
    }

    /// Its transport.
    pub(crate) fn handle(&self) -> Option<&ClientHandle> {
        match &self.inner {
            Inner::Publisher(participant) => participant.publisher(),
            Inner::Subscriber(participant) => Some(participant.subscriber()),
            Inner::Client(transport) => Some(&transport.client),
        }
    }

    /// Waits for the first complete key frame; returns how long it took from opening the connection.
    pub(crate) async fn first_key_frame(&mut self) -> Option<Duration> {
        let is_it = |event: &ClientEvent| matches!(event, ClientEvent::KeyFrame { .. });
        let at = match &mut self.inner {
            Inner::Publisher(participant) | Inner::Subscriber(participant) => {
                let seen = tokio::time::timeout(MEDIA_TIMEOUT, participant.first_key_frame());
                seen.await.ok().flatten()
            }
            Inner::Client(transport) => transport.first(is_it).await,
        };
        Some(at?.saturating_duration_since(self.opened_at))
    }
}
