//! The section about Kafka.

use std::path::PathBuf;

use super::reader::Reader;
use crate::domain::kafka::{Mechanism, Security};
use crate::domain::secret::Secret;

/// How Kafka is reached, and which topics are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaConfig {
    /// Some of the brokers, `host:port`.
    pub brokers: Vec<String>,
    /// Whether there are TLS and a login.
    pub security: Security,
    /// PEM file of the only authorities that are trusted.
    pub ca: Option<PathBuf>,
    /// PEM files of our certificate chain and of its key.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// How the login is made, as whom, and by what password.
    pub login: Option<(Mechanism, String, Secret<String>)>,
    /// The topic of what other services are told.
    pub topic: String,
    /// The topic of what governance tells; nothing is read without it.
    pub governance_topic: Option<String>,
    /// The group of consumers that all instances are in.
    pub group: String,
}

/// Most brokers that may be given; they name the others.
const BROKERS_MAX: usize = 32;
/// Longest name of a topic, as Kafka has it.
const TOPIC_CHARS_MAX: usize = 249;
const TOPIC_DEFAULT: &str = "cabildo.events";
const GROUP_DEFAULT: &str = "cabildo";

pub(super) fn read(reader: &mut Reader) -> Option<KafkaConfig> {
    let brokers: Vec<String> = reader.list("kafka.brokers", "host:port");
    if brokers.len() > BROKERS_MAX {
        reader.problem("kafka.brokers", format_args!("has more than {BROKERS_MAX} brokers"));
    }
    if !brokers.iter().all(|broker| is_host_and_port(broker)) {
        reader.problem("kafka.brokers", "expected a list of host:port");
    }
    let security = read_word(reader, "kafka.security", Security::parse, Security::ALL);
    let security = security.unwrap_or(Security::Plaintext);
    let ca = reader.text("kafka.ca").map(PathBuf::from);
    let identity = read_identity(reader);
    if !security.has_tls() && (ca.is_some() || identity.is_some()) {
        reader.problem("kafka.security", "must be ssl or sasl_ssl when certificates are given");
    }
    let login = read_login(reader, security);
    let topic = read_topic(reader, "kafka.topic").unwrap_or_else(|| TOPIC_DEFAULT.to_owned());
    let governance_topic = read_topic(reader, "kafka.governance_topic");
    let group = read_topic(reader, "kafka.group").unwrap_or_else(|| GROUP_DEFAULT.to_owned());
    if brokers.is_empty() {
        if ca.is_some() || identity.is_some() || login.is_some() || governance_topic.is_some() {
            reader.problem("kafka.brokers", "must be given");
        }
        return None;
    }
    Some(KafkaConfig { brokers, security, ca, identity, login, topic, governance_topic, group })
}

fn read_identity(reader: &mut Reader) -> Option<(PathBuf, PathBuf)> {
    let cert = reader.text("kafka.cert").map(PathBuf::from);
    match (cert, reader.text("kafka.key").map(PathBuf::from)) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        _ => {
            reader.problem("kafka.cert", "cert and key are given together or not at all");
            None
        }
    }
}

fn read_login(
    reader: &mut Reader,
    security: Security,
) -> Option<(Mechanism, String, Secret<String>)> {
    let mechanism = read_word(reader, "kafka.mechanism", Mechanism::parse, Mechanism::ALL);
    let username = reader.text("kafka.username");
    let password = reader.secret("kafka.password");
    match (security.has_login(), username, password) {
        (true, Some(username), Some(password)) => {
            Some((mechanism.unwrap_or(Mechanism::ScramSha512), username, password))
        }
        (false, None, None) => None,
        (true, ..) => {
            if !reader.has_problem("kafka.password") {
                reader.problem("kafka.username", "username and password must be given");
            }
            None
        }
        (false, ..) => {
            let expected = "must be sasl_ssl or sasl_plaintext when a login is given";
            reader.problem("kafka.security", expected);
            None
        }
    }
}

fn read_word<T: Copy + ToString>(
    reader: &mut Reader,
    key: &str,
    parse: impl Fn(&str) -> Option<T>,
    all: &[T],
) -> Option<T> {
    let text = reader.text(key)?;
    let word = parse(&text);
    if word.is_none() {
        let words: Vec<String> = all.iter().map(ToString::to_string).collect();
        reader.problem(key, format_args!("expected one of {}", words.join(", ")));
    }
    word
}

fn read_topic(reader: &mut Reader, key: &str) -> Option<String> {
    let topic = reader.text(key)?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let fits = (1..=TOPIC_CHARS_MAX).contains(&topic.len()) && topic.bytes().all(is_plain);
    if !fits || topic == "." || topic == ".." {
        reader.problem(key, "expected a name of letters, digits, `.`, `-` and `_`");
    }
    Some(topic)
}

fn is_host_and_port(broker: &str) -> bool {
    broker.rsplit_once(':').is_some_and(|(host, port)| {
        let is_plain = |c: char| c.is_ascii_graphic() && !",/@".contains(c);
        !host.is_empty() && host.chars().all(is_plain) && port.parse::<u16>().is_ok_and(|it| it > 0)
    })
}
