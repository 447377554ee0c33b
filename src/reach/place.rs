//! The address that is tested.

use url::{Host, Url};
use uuid::Uuid;

/// Why an address can't be used. The address is not repeated: it may have a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PlaceInvalid {
    /// It is no URL.
    #[error("the address is not a URL such as https://cabildo.example")]
    Url,
    /// It is not HTTP.
    #[error("the address does not begin with https:// or http://")]
    Scheme,
    /// It has a user name or a password.
    #[error("the address has a user name or a password; give it without")]
    Credentials,
}

/// What a WHIP or WHEP endpoint does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Publish,
    Play,
}

impl Direction {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Publish => "whip",
            Self::Play => "whep",
        }
    }
}

/// A server and what its address says of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) is_https: bool,
    pub(super) host: Host<String>,
    pub(super) port: u16,
    /// Scheme, host and port, without a slash at the end.
    pub(super) origin: String,
    pub(super) session: Option<String>,
    pub(super) direction: Option<Direction>,
}

impl Place {
    pub(super) fn parse(text: &str) -> Result<Self, PlaceInvalid> {
        let url = Url::parse(text.trim()).map_err(|_| PlaceInvalid::Url)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(PlaceInvalid::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(PlaceInvalid::Credentials);
        }
        let host = url.host().ok_or(PlaceInvalid::Url)?.to_owned();
        let port = url.port_or_known_default().ok_or(PlaceInvalid::Url)?;
        let (session, direction) = named_by(&url);
        let origin = url.origin().ascii_serialization();
        Ok(Self { is_https: url.scheme() == "https", host, port, origin, session, direction })
    }

    /// Whether the host is this machine itself.
    pub(super) fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
            Host::Ipv4(ip) => ip.is_loopback(),
            Host::Ipv6(ip) => ip.is_loopback(),
        }
    }

    /// The host as certificates name it.
    pub(super) fn name(&self) -> String {
        match &self.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(ip) => ip.to_string(),
            Host::Ipv6(ip) => ip.to_string(),
        }
    }
}

/// The session and the direction in `…/sessions/{id}/whip` and `/whep`.
fn named_by(url: &Url) -> (Option<String>, Option<Direction>) {
    let mut segments = url.path_segments().into_iter().flatten();
    if !segments.any(|segment| segment == "sessions") {
        return (None, None);
    }
    let Some(id) = segments.next().and_then(|text| Uuid::parse_str(text).ok()) else {
        return (None, None);
    };
    let direction = match segments.next() {
        Some("whip") => Some(Direction::Publish),
        Some("whep") => Some(Direction::Play),
        _ => None,
    };
    (Some(id.hyphenated().to_string()), direction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_names_its_server_session_and_direction() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        let place =
            Place::parse(&format!("https://a.example:8443/api/v1/sessions/{id}/whep")).unwrap();
        assert_eq!(place.origin, "https://a.example:8443");
        assert_eq!(place.session.as_deref(), Some(id));
        assert_eq!(place.direction, Some(Direction::Play));
        let plain = Place::parse("http://[::1]:3014/").unwrap();
        assert_eq!((plain.session, plain.direction, plain.port), (None, None, 3014));
        assert_eq!(Place::parse("https://a.example/sessions/x/whip").unwrap().session, None);
    }

    #[test]
    fn what_is_no_address_of_a_server_is_refused() {
        for (text, why) in [
            ("", PlaceInvalid::Url),
            ("cabildo.example", PlaceInvalid::Url),
            ("ftp://cabildo.example", PlaceInvalid::Scheme),
            ("https://ana:secret@cabildo.example", PlaceInvalid::Credentials),
        ] {
            assert_eq!(Place::parse(text), Err(why), "{text}");
        }
    }
}
