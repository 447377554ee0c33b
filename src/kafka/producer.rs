//! Sending messages, each until the brokers have it or refuse it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};

use super::connection::{Connection, KafkaProblem, code_of};

/// Messages that the library holds at once. Raising it raises the memory while
/// brokers are away; callers hold fewer.
const QUEUED_MAX: &str = "1000";
/// KiB of them.
const QUEUED_KIB_MAX: &str = "8192";
/// Milliseconds that a message waits for others to be sent with. Raising it makes
/// events of one session, which are sent one after the other, slower.
const LINGER_MS: &str = "1";

/// A message to be sent.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing<'a> {
    /// Where to.
    pub topic: &'a str,
    /// Messages of one key are in one partition.
    pub key: &'a [u8],
    /// Its content.
    pub value: &'a [u8],
    /// Its headers, in order.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// When what it tells of happened, in milliseconds since 1970; now when absent.
    pub at_ms: Option<i64>,
}

/// The brokers have not taken a message, or it is not known whether they have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Kafka did not take a message: {code}")]
pub struct NotSent {
    /// The name of the error.
    pub code: String,
    /// Whether the brokers refuse this message, and may take others.
    pub is_refused: bool,
}

impl From<&KafkaError> for NotSent {
    fn from(error: &KafkaError) -> Self {
        use RDKafkaErrorCode as Code;
        let is_refused = matches!(
            error.rdkafka_error_code(),
            Some(Code::MessageSizeTooLarge | Code::InvalidMessage | Code::InvalidMessageSize)
        );
        Self { code: code_of(error), is_refused }
    }
}

/// What is known of the brokers, shared with the library's threads.
#[derive(Debug, Default)]
struct Health {
    has_failed: AtomicBool,
    waiting: AtomicUsize,
}

/// What the library reports.
struct Reports(Arc<Health>);

impl ClientContext for Reports {
    /// Its texts name addresses, so only what they are about is logged.
    fn log(&self, level: RDKafkaLogLevel, fac: &str, _message: &str) {
        tracing::debug!(?level, fac, "the Kafka library reports");
    }

    fn error(&self, error: KafkaError, _reason: &str) {
        let code = error.rdkafka_error_code();
        if code == Some(RDKafkaErrorCode::AllBrokersDown)
            && self.0.waiting.load(Ordering::Relaxed) > 0
            && !self.0.has_failed.swap(true, Ordering::Relaxed)
        {
            tracing::warn!("no Kafka broker can be reached");
        }
        tracing::debug!(?code, "the Kafka library reports an error");
    }
}

type Client = FutureProducer<Reports>;

/// Sends messages. It is idempotent in the sense of Kafka: what the library sends
/// again by itself is stored once and in order. One that has met an error after
/// which it can't go on is replaced by a new one.
pub struct Producer {
    connection: Connection,
    /// Locked for no longer than a message takes to be queued.
    client: Mutex<Option<Client>>,
    health: Arc<Health>,
}

impl Producer {
    /// Time after which a message has failed that the brokers have not taken. Shorter than a lease
    /// that was just renewed: a process that was suspended with messages in the library's queue
    /// gives them up when it resumes, and doesn't send them after another instance has. Raising it
    /// above that makes such duplicates possible; lowering it repeats more while brokers are slow.
    pub const DELIVERY_MAX: Duration = Duration::from_secs(5);

    /// A producer for these brokers. They need not be there yet.
    ///
    /// # Errors
    /// When a setting is refused or a file can't be read.
    pub fn new(connection: Connection) -> Result<Self, KafkaProblem> {
        let health = Arc::default();
        let client = client(&connection, &health)?;
        Ok(Self { connection, client: Mutex::new(Some(client)), health })
    }

    /// Sends a message; ends when every replica that has to has stored it.
    ///
    /// # Errors
    /// When the brokers refuse it or do not answer within [`Self::DELIVERY_MAX`]. It may
    /// have been stored nevertheless.
    pub async fn send(&self, message: Outgoing<'_>) -> Result<(), NotSent> {
        let _counted = Counted::new(&self.health.waiting);
        let sent = match self.queue(message) {
            Ok(sent) => sent.await,
            Err(not_sent) => {
                self.health.has_failed.store(true, Ordering::Relaxed);
                return Err(not_sent);
            }
        };
        let error = match sent {
            Ok(Ok(_)) => {
                self.health.has_failed.store(false, Ordering::Relaxed);
                return Ok(());
            }
            Ok(Err((error, _))) => error,
            Err(_) => KafkaError::Canceled,
        };
        self.health.has_failed.store(true, Ordering::Relaxed);
        self.replace_if_ended();
        Err(NotSent::from(&error))
    }

    /// Whether the last message was taken.
    #[must_use]
    pub fn is_well(&self) -> bool {
        !self.health.has_failed.load(Ordering::Relaxed)
    }

    /// Gives up what is on its way, so that it does not arrive after this: another
    /// instance may send from here on. The next message is sent by a new client.
    pub async fn abandon(&self) {
        let client = lock(&self.client).take();
        if let Some(client) = client {
            discard(client).await;
        }
        // Another instance finds out from here on.
        self.health.has_failed.store(false, Ordering::Relaxed);
    }

    fn queue(&self, message: Outgoing<'_>) -> Result<rdkafka::producer::DeliveryFuture, NotSent> {
        let mut headers = OwnedHeaders::new_with_capacity(message.headers.len());
        for (key, value) in message.headers {
            headers = headers.insert(Header { key, value: Some(*value) });
        }
        let mut record = FutureRecord::to(message.topic)
            .key(message.key)
            .payload(message.value)
            .headers(headers);
        record.timestamp = message.at_ms;
        let mut slot = lock(&self.client);
        let client =
            match &mut *slot {
                Some(client) => client,
                none => {
                    let made = client(&self.connection, &self.health);
                    none.insert(made.map_err(|problem| NotSent {
                        code: problem.to_string(),
                        is_refused: false,
                    })?)
                }
            };
        client.send_result(record).map_err(|(error, _)| NotSent::from(&error))
    }

    /// Discards the client if it has met an error after which it takes no message.
    fn replace_if_ended(&self) {
        let mut slot = lock(&self.client);
        if slot.as_ref().is_some_and(|client| client.client().fatal_error().is_some())
            && let Some(ended) = slot.take()
        {
            tracing::warn!("a Kafka producer can't go on and is replaced");
            tokio::spawn(discard(ended));
        }
    }
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Producer")
    }
}

fn client(connection: &Connection, health: &Arc<Health>) -> Result<Client, KafkaProblem> {
    let mut settings = connection.settings()?;
    settings
        .set("enable.idempotence", "true")
        // As producers in Java do, so that all agree on the partition of a key.
        .set("partitioner", "murmur2_random")
        .set("queue.buffering.max.messages", QUEUED_MAX)
        .set("queue.buffering.max.kbytes", QUEUED_KIB_MAX)
        .set("delivery.timeout.ms", Producer::DELIVERY_MAX.as_millis().to_string())
        .set("linger.ms", LINGER_MS)
        .set("compression.type", "lz4");
    let made = settings.create_with_context(Reports(Arc::clone(health)));
    made.map_err(|error| KafkaProblem::of(&error))
}

/// Drops a client on a thread that may block: it waits for its own threads.
async fn discard(client: Client) {
    if let Err(error) = tokio::task::spawn_blocking(move || drop(client)).await {
        tracing::error!(%error, "a Kafka producer could not be ended");
    }
}

/// Counts what waits for the brokers, also when nobody waits for it any more.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
