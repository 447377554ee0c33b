//! How the brokers of Kafka are spoken to.

use super::named_values::named_values;

named_values!(
    /// How a login is made.
    Mechanism {
        /// The password as it is; only sensible over TLS.
        Plain => "PLAIN",
        /// RFC 7677.
        ScramSha256 => "SCRAM-SHA-256",
        /// As RFC 7677, with SHA-512.
        ScramSha512 => "SCRAM-SHA-512",
    }
);

named_values!(
    /// How the brokers are spoken to, by Kafka's own names.
    Security {
        /// Neither TLS nor a login.
        Plaintext => "plaintext",
        /// TLS, without a login.
        Ssl => "ssl",
        /// A login without TLS.
        SaslPlaintext => "sasl_plaintext",
        /// A login over TLS.
        SaslSsl => "sasl_ssl",
    }
);

impl Security {
    /// Whether it is TLS.
    #[must_use]
    pub const fn has_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    /// Whether there is a login.
    #[must_use]
    pub const fn has_login(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}
