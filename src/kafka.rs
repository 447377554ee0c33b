//! How Kafka is reached: the brokers with TLS and a login, a producer that is
//! replaced when it can't go on, and a consumer that keeps its place when it is told
//! to. Nothing here knows what is sent. `docs/adr/0007-kafka.md` gives the reasons.

mod connection;
mod consumer;
mod producer;

pub use connection::{Connection, KafkaProblem, Login, TlsFiles};
pub use consumer::{Consumer, Incoming, NotReceived, Place};
pub use producer::{NotSent, Outgoing, Producer};
