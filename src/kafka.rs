//! How Kafka is reached: the brokers with TLS and a login, and a producer that is
//! replaced when it can't go on. Nothing here knows what is sent.
//! `docs/adr/0007-kafka.md` gives the reasons.

mod connection;
mod producer;

pub use connection::{Connection, KafkaProblem, Login, TlsFiles};
pub use producer::{NotSent, Outgoing, Producer};
