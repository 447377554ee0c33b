//! The brokers and how they are spoken to.

use std::path::PathBuf;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::domain::kafka::{Mechanism, Security};
use crate::domain::secret::Secret;

/// Whom brokers have to be and who this server is to them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM file of the only authorities that are trusted; those of the system
    /// when absent.
    pub ca: Option<PathBuf>,
    /// PEM files of our certificate chain and of its key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// A login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// How it is made.
    pub mechanism: Mechanism,
    /// As whom.
    pub username: String,
    /// By what.
    pub password: Secret<String>,
}

/// The brokers and how they are spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Some of the brokers, `host:port`; they name the others.
    pub brokers: Vec<String>,
    /// Whether there are TLS and a login.
    pub security: Security,
    /// With TLS.
    pub tls: TlsFiles,
    /// With a login.
    pub login: Option<Login>,
}

/// Why Kafka can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KafkaProblem {
    /// This program was built without OpenSSL.
    #[error("this build has neither TLS nor SCRAM for Kafka: build with --features kafka-tls")]
    NoTls,
    /// The library refuses a setting.
    #[error("the setting {setting} is refused: {reason}")]
    Setting {
        /// Its name in the library.
        setting: String,
        /// Why; never the value.
        reason: String,
    },
    /// The library can't make a client, for example because a file can't be read.
    #[error("no client can be made: {0}")]
    Client(String),
}

impl KafkaProblem {
    pub(super) fn of(error: &KafkaError) -> Self {
        match error {
            KafkaError::ClientConfig(_, reason, setting, _) => {
                Self::Setting { setting: setting.clone(), reason: reason.clone() }
            }
            KafkaError::ClientCreation(reason) => Self::Client(reason.clone()),
            other => Self::Client(code_of(other)),
        }
    }
}

/// The name of an error, without addresses and texts of the brokers.
pub(super) fn code_of(error: &KafkaError) -> String {
    let code = error.rdkafka_error_code();
    code.map_or_else(|| "no code".to_owned(), |code: RDKafkaErrorCode| format!("{code:?}"))
}

impl Connection {
    /// The settings that all clients share.
    ///
    /// # Errors
    /// [`KafkaProblem::NoTls`].
    pub(super) fn settings(&self) -> Result<ClientConfig, KafkaProblem> {
        let needs_openssl =
            self.login.as_ref().is_some_and(|login| login.mechanism != Mechanism::Plain);
        if (self.security.has_tls() || needs_openssl) && !cfg!(feature = "kafka-tls") {
            return Err(KafkaProblem::NoTls);
        }
        let mut settings = ClientConfig::new();
        settings
            .set("bootstrap.servers", self.brokers.join(","))
            .set("client.id", "cabildo")
            .set("security.protocol", self.security.as_str())
            // Brokers close idle connections; that is no error.
            .set("log.connection.close", "false")
            .set("socket.keepalive.enable", "true");
        if let Some(ca) = &self.tls.ca {
            settings.set("ssl.ca.location", ca.to_string_lossy());
        }
        if let Some((cert, key)) = &self.tls.identity {
            settings
                .set("ssl.certificate.location", cert.to_string_lossy())
                .set("ssl.key.location", key.to_string_lossy());
        }
        if let Some(Login { mechanism, username, password }) = &self.login {
            settings
                .set("sasl.mechanism", mechanism.as_str())
                .set("sasl.username", username)
                .set("sasl.password", password.expose());
        }
        Ok(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(security: Security, mechanism: Option<Mechanism>) -> Connection {
        let login = mechanism.map(|mechanism| Login {
            mechanism,
            username: "cabildo".to_owned(),
            password: Secret::new("hunter2".to_owned()),
        });
        Connection {
            brokers: vec!["127.0.0.1:1".to_owned()],
            security,
            tls: TlsFiles::default(),
            login,
        }
    }

    #[test]
    fn a_build_without_openssl_says_what_it_lacks() {
        let outcome = |security, mechanism| connection(security, mechanism).settings().map(drop);
        let lacking = if cfg!(feature = "kafka-tls") { Ok(()) } else { Err(KafkaProblem::NoTls) };
        assert_eq!(outcome(Security::Ssl, None), lacking);
        assert_eq!(outcome(Security::SaslSsl, Some(Mechanism::Plain)), lacking);
        let scram = Some(Mechanism::ScramSha512);
        assert_eq!(outcome(Security::SaslPlaintext, scram), lacking);
        assert_eq!(outcome(Security::Plaintext, None), Ok(()));
        assert_eq!(outcome(Security::SaslPlaintext, Some(Mechanism::Plain)), Ok(()));
    }

    #[test]
    fn no_password_is_printed() {
        let connection = connection(Security::SaslPlaintext, Some(Mechanism::Plain));
        assert!(!format!("{connection:?}").contains("hunter2"));
    }
}
