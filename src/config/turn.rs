//! The section about TURN.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::reader::Reader;
use crate::domain::secret::Secret;

/// TURN at the media port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnConfig {
    /// What credentials are made with; made at start when `None`.
    pub secret: Option<Secret<Vec<u8>>>,
    /// How long credentials can be used to make allocations.
    pub credentials_ttl: Duration,
    /// How long an allocation lasts at most without a refresh.
    pub lifetime_max: Duration,
    /// Most allocations of one person.
    pub max_per_person: usize,
    /// Most allocations of one IPv4 address or IPv6 network.
    pub max_per_address: usize,
    /// Most allocations in all.
    pub max_total: usize,
    /// Addresses beside the announced ones at which clients reach the media port over UDP.
    pub udp: Vec<SocketAddr>,
    /// TURN over TLS, if it is served.
    pub tls: Option<TurnTlsConfig>,
}

/// TURN over TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnTlsConfig {
    /// The address at which it listens.
    pub bind: SocketAddr,
    /// The host that clients are told.
    pub host: String,
    /// The port that clients are told, if it is not the one that it listens at.
    pub port: Option<u16>,
    /// PEM file of its certificate chain.
    pub cert: PathBuf,
    /// PEM file of the key of that certificate.
    pub key: PathBuf,
}

/// Reads the section; `None` when TURN is switched off.
pub(super) fn read(reader: &mut Reader) -> Option<TurnConfig> {
    let is_enabled = reader.parsed("media.turn.enabled", "true or false").unwrap_or(true);
    let secret = read_secret(reader);
    let mut seconds = |name: &str, default, range| {
        let seconds = reader.number_u32(&format!("media.turn.{name}"), default, range);
        Duration::from_secs(seconds.into())
    };
    let credentials_ttl = seconds("credentials_ttl_s", 14_400, 300..=86_400);
    // RFC 8656 §7.2 advises against more than an hour.
    let lifetime_max = seconds("lifetime_max_s", 3_600, 60..=3_600);
    let mut most = |name: &str, default| {
        // There are 16,384 relayed ports.
        let most = reader.number_u32(&format!("media.turn.{name}"), default, 1..=16_000);
        usize::try_from(most).unwrap_or(usize::MAX)
    };
    let config = TurnConfig {
        secret,
        credentials_ttl,
        lifetime_max,
        max_per_person: most("max_per_person", 48),
        max_per_address: most("max_per_address", 2_048),
        max_total: most("max_total", 8_192),
        udp: reader.list("media.turn.udp", "addresses and ports"),
        tls: read_tls(reader),
    };
    is_enabled.then_some(config)
}

fn read_tls(reader: &mut Reader) -> Option<TurnTlsConfig> {
    let mut beside =
        ["host", "port", "cert", "key"].map(|it| format!("media.turn.tls_{it}")).to_vec();
    beside.retain(|key| reader.is_given(key));
    let bind = reader.parsed("media.turn.tls_bind", "an address and port, like 0.0.0.0:443");
    let host = reader.text("media.turn.tls_host");
    let port = reader.parsed::<NonZeroU16>("media.turn.tls_port", "a port");
    let cert = reader.text("media.turn.tls_cert");
    let key = reader.text("media.turn.tls_key");
    let Some(bind) = bind else {
        // Of an address that can't be read, only that is told.
        if !reader.has_problem("media.turn.tls_bind") {
            for key in beside {
                reader.problem(&key, "has no effect without tls_bind");
            }
        }
        return None;
    };
    let mut given = |name: &str, value: Option<String>| {
        if value.is_none() {
            reader.problem(&format!("media.turn.{name}"), "must be given beside tls_bind");
        }
        value
    };
    let host = given("tls_host", host);
    let (cert, key) = (given("tls_cert", cert), given("tls_key", key));
    let host = host?;
    let is_host = |letter: char| letter.is_ascii_alphanumeric() || "-.:[]".contains(letter);
    if host.is_empty() || host.len() > 253 || !host.chars().all(is_host) {
        let expected = "expected a host name as the certificate has it, like turn.example";
        reader.problem("media.turn.tls_host", expected);
    }
    let port = port.map(NonZeroU16::get);
    Some(TurnTlsConfig { bind, host, port, cert: cert?.into(), key: key?.into() })
}

fn read_secret(reader: &mut Reader) -> Option<Secret<Vec<u8>>> {
    /// Bytes of a secret as strong as the MAC made with it.
    const SECRET_BYTES_MIN: usize = 32;
    let text = reader.secret("media.turn.secret")?;
    match STANDARD.decode(text.expose().trim()) {
        Ok(bytes) if bytes.len() >= SECRET_BYTES_MIN => Some(Secret::new(bytes)),
        _ => {
            let expected = "expected base64 of 32 random bytes or more";
            reader.problem("media.turn.secret", expected);
            None
        }
    }
}
