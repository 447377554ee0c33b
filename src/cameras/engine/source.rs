//! Addresses of cameras: what is taken, and what of it may be shown.

use std::fmt;
use std::net::SocketAddr;

use crate::domain::secret::Secret;

/// Longest address taken, in bytes. Raising it makes rows larger.
const ADDRESS_BYTES_MAX: usize = 2_048;
/// The port of RTSP (RFC 2326 §3.2).
const RTSP_PORT: u16 = 554;
/// What stands for what is not shown.
const HIDDEN: &str = "***";
/// Names of values that no camera uses for credentials. The value of every other name is hidden:
/// makers have names of their own for passwords, tokens and signatures.
const SHOWN_NAMES: [&str; 28] = [
    "audio",
    "audiocodec",
    "bitrate",
    "cam",
    "camera",
    "ch",
    "channel",
    "codec",
    "fps",
    "framerate",
    "height",
    "inst",
    "line",
    "mode",
    "multicast",
    "profile",
    "proto",
    "quality",
    "resolution",
    "stream",
    "streamtype",
    "subtype",
    "tcp",
    "track",
    "transportmode",
    "unicast",
    "video",
    "videocodec",
];

/// Why a text is no address of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SourceInvalid {
    /// It has more than 2,048 bytes, or characters that no address has.
    #[error("an address has at most 2048 printable ASCII characters without spaces")]
    Text,
    /// It does not begin with `rtsp://`.
    #[error("an address begins with rtsp://")]
    Scheme,
    /// It names no host, or a port that is none.
    #[error("an address names a host, and a port from 1 to 65535 if any")]
    Host,
    /// Its credentials can't be decoded.
    #[error("the credentials of an address are percent-encoded UTF-8")]
    Credentials,
    /// It has a fragment.
    #[error("an address has no fragment")]
    Fragment,
}

/// The address of a camera. Not printed: it may hold credentials anywhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    whole: Secret<String>,
    host: String,
    port: u16,
    /// Path and query, with the slash they begin with; empty when there is none.
    rest: String,
    credentials: Option<(String, Secret<String>)>,
}

impl Source {
    /// Reads an address.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(text: &str) -> Result<Self, SourceInvalid> {
        let plain = |byte: u8| (b'!'..=b'~').contains(&byte);
        if text.len() > ADDRESS_BYTES_MAX || !text.bytes().all(plain) {
            return Err(SourceInvalid::Text);
        }
        let scheme = text.get(..7).ok_or(SourceInvalid::Scheme)?;
        if !scheme.eq_ignore_ascii_case("rtsp://") {
            return Err(SourceInvalid::Scheme);
        }
        if text.contains('#') {
            return Err(SourceInvalid::Fragment);
        }
        let after = text.get(7..).unwrap_or_default();
        let end = after.find(['/', '?']).unwrap_or(after.len());
        let (authority, rest) = after.split_at(end);
        // Credentials with an unencoded slash or question mark would be stored and shown in clear.
        if rest.contains('@') {
            return Err(SourceInvalid::Credentials);
        }
        let (login, place) = match authority.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, authority),
        };
        let (host, port) = host_and_port(place).ok_or(SourceInvalid::Host)?;
        let credentials = match login {
            None | Some("") => None,
            Some(login) => {
                let (user, password) = login.split_once(':').unwrap_or((login, ""));
                let user = decoded(user).ok_or(SourceInvalid::Credentials)?;
                let password = decoded(password).ok_or(SourceInvalid::Credentials)?;
                Some((user, Secret::new(password)))
            }
        };
        let whole = Secret::new(text.to_owned());
        Ok(Self { whole, host, port, rest: rest.to_owned(), credentials })
    }

    /// The address as it was given, to be sealed.
    #[must_use]
    pub const fn whole(&self) -> &Secret<String> {
        &self.whole
    }

    /// Its host: a name, or an address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Its port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// User name and password, if it has some.
    #[must_use]
    pub fn credentials(&self) -> Option<(&str, &Secret<String>)> {
        self.credentials.as_ref().map(|(user, password)| (user.as_str(), password))
    }

    /// The address with `place` instead of its host and port, and without its
    /// credentials, which are sent apart.
    #[must_use]
    pub fn at(&self, place: SocketAddr) -> Secret<String> {
        Secret::new(format!("rtsp://{place}{}", self.rest))
    }

    /// The address as it may be shown: without credentials, and without values
    /// of path or query that are named like some.
    #[must_use]
    pub fn masked(&self) -> String {
        let login = if self.credentials.is_some() { "***:***@" } else { "" };
        let host = bracketed(&self.host);
        let port = if self.port == RTSP_PORT { String::new() } else { format!(":{}", self.port) };
        format!("rtsp://{login}{host}{port}{}", masked_rest(&self.rest))
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Source(…)")
    }
}

/// An IPv6 address as it stands in an address.
fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn host_and_port(place: &str) -> Option<(String, u16)> {
    let (host, port) = match place.strip_prefix('[') {
        Some(inner) => {
            let (host, after) = inner.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            let port = match after {
                "" => None,
                after => Some(after.strip_prefix(':')?),
            };
            (host, port)
        }
        None => match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        },
    };
    let named = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    if host.is_empty() || host.len() > 253 || !host.bytes().all(named) {
        return None;
    }
    let port = match port {
        None => RTSP_PORT,
        Some(port) => port.parse().ok().filter(|port| *port > 0)?,
    };
    Some((host.to_ascii_lowercase(), port))
}

/// Percent-encoding undone (RFC 3986 §2.1).
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let value = digit(rest.next())? * 16 + digit(rest.next())?;
        bytes.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control))
}

/// Whether the value of a name, with its percent-encoding, may be shown.
fn is_shown(name: &str) -> bool {
    SHOWN_NAMES.iter().any(|shown| name.eq_ignore_ascii_case(shown))
}

/// Path and query with hidden values. Some cameras have their credentials in the
/// path (`/user=a_password=b_channel=1.sdp`); such a path is hidden as a whole.
fn masked_rest(rest: &str) -> String {
    let (path, query) = match rest.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (rest, None),
    };
    // What can't be decoded may be anything.
    let has_values = decoded(path).is_none_or(|path| path.contains('='));
    let path = if has_values { format!("/{HIDDEN}") } else { path.to_owned() };
    let Some(query) = query else { return path };
    let shown: Vec<String> = query
        .split('&')
        .map(|pair| match pair.split_once('=') {
            Some((name, _)) if !is_shown(name) => format!("{name}={HIDDEN}"),
            None if !is_shown(pair) && !pair.is_empty() => HIDDEN.to_owned(),
            Some(_) | None => pair.to_owned(),
        })
        .collect();
    format!("{path}?{}", shown.join("&"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_taken_apart_and_shown_without_its_secrets() {
        for (text, host, port, masked) in [
            ("rtsp://cam.example/live", "cam.example", 554, "rtsp://cam.example/live"),
            ("RTSP://Cam:8554", "cam", 8_554, "rtsp://cam:8554"),
            ("rtsp://root:p%40ss@10.0.0.7/a", "10.0.0.7", 554, "rtsp://***:***@10.0.0.7/a"),
            (
                "rtsp://a:b@c@[2001:db8::1]:99/",
                "2001:db8::1",
                99,
                "rtsp://***:***@[2001:db8::1]:99/",
            ),
            (
                "rtsp://h/s?channel=1&password=x&token",
                "h",
                554,
                "rtsp://h/s?channel=1&password=***&***",
            ),
            ("rtsp://h/user=a_password=b_channel=1.sdp", "h", 554, "rtsp://h/***"),
            ("rtsp://h/user%3Da_p%61ss%3Db.sdp", "h", 554, "rtsp://h/***"),
            ("rtsp://h/a%zz", "h", 554, "rtsp://h/***"),
            (
                "rtsp://h/l?p%61ssword=x&signature=y&sid=z&subtype=1&w",
                "h",
                554,
                "rtsp://h/l?p%61ssword=***&signature=***&sid=***&subtype=1&***",
            ),
        ] {
            let source = Source::parse(text).expect(text);
            assert_eq!((source.host(), source.port()), (host, port), "{text}");
            assert_eq!(source.masked(), masked, "{text}");
            assert_eq!(format!("{source:?}"), "Source(…)");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for (text, wanted) in [
            ("", SourceInvalid::Scheme),
            ("http://cam/", SourceInvalid::Scheme),
            ("rtsps://cam/", SourceInvalid::Scheme),
            ("rtsp://", SourceInvalid::Host),
            ("rtsp://cam:0/", SourceInvalid::Host),
            ("rtsp://cam:70000/", SourceInvalid::Host),
            ("rtsp://[::1/", SourceInvalid::Host),
            ("rtsp://[nonsense]/", SourceInvalid::Host),
            ("rtsp://a%zz@cam/", SourceInvalid::Credentials),
            ("rtsp://a:%00@cam/", SourceInvalid::Credentials),
            ("rtsp://admin:12/34@cam/live", SourceInvalid::Credentials),
            ("rtsp://admin:12?34@cam/live", SourceInvalid::Credentials),
            ("rtsp://cam/#x", SourceInvalid::Fragment),
            ("rtsp://cam/a b", SourceInvalid::Text),
            ("rtsp://cam/\r\nX: y", SourceInvalid::Text),
        ] {
            assert_eq!(Source::parse(text).err(), Some(wanted), "{text}");
        }
        let long = format!("rtsp://cam/{}", "x".repeat(ADDRESS_BYTES_MAX));
        assert_eq!(Source::parse(&long).err(), Some(SourceInvalid::Text));
    }

    proptest! {
        #[test]
        fn no_password_is_ever_shown(password in "[a-zA-Z0-9]{6,20}", user in "[a-z]{3,9}") {
            let text = format!("rtsp://{user}:{password}@cam.example:8554/live?pwd={password}");
            let source = Source::parse(&text).expect("an address");
            prop_assert!(!source.masked().contains(&password));
        }

        #[test]
        fn no_text_panics(text in ".{0,80}") {
            if let Ok(source) = Source::parse(&text) {
                std::hint::black_box(source.masked());
            }
            if let Ok(source) = Source::parse(&format!("rtsp://{text}")) {
                std::hint::black_box(source.masked());
            }
        }
    }
}
