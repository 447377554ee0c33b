#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! The parts of session descriptions (RFC 8866, RFC 8829) that the client needs: it writes its own
//! offers and answers, and parses the server's.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use super::ice::Credentials;
use crate::domain::media::MediaKind;
use crate::load::LoadError;

pub(super) const MID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
pub(super) const RID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
pub(super) const REPAIRED_RID_URI: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";
pub(super) const LEVEL_URI: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
pub(super) const TRANSPORT_CC_URI: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
/// Sections, payload types and SSRCs of one description that are read at most.
const ENTRIES_MAX: usize = 4096;

/// The direction of media, seen from the side that wrote the description.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    SendOnly,
    ReceiveOnly,
    Both,
    Inactive,
}

impl Direction {
    fn as_str(self) -> &'static str {
        match self {
            Self::SendOnly => "sendonly",
            Self::ReceiveOnly => "recvonly",
            Self::Both => "sendrecv",
            Self::Inactive => "inactive",
        }
    }
}

/// A payload type and its codec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Codec {
    pub(super) payload_type: u8,
    /// Name and clock rate, as in `a=rtpmap`.
    pub(super) name: String,
    /// For `rtx`: the payload type that it repairs.
    pub(super) repairs: Option<u8>,
}

impl Codec {
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.split('/').next().is_some_and(|own| own.eq_ignore_ascii_case(name))
    }
}

/// One media section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) kind: MediaKind,
    pub(super) mid: String,
    pub(super) rejected: bool,
    pub(super) direction: Direction,
    pub(super) codecs: Vec<Codec>,
    /// Identifiers of header extensions by URI.
    pub(super) extensions: BTreeMap<String, u8>,
    /// Declared SSRCs, in order.
    pub(super) ssrcs: Vec<u32>,
    /// Declared SSRCs, each with the SSRC of its retransmissions.
    pub(super) repair_pairs: Vec<(u32, u32)>,
    /// Encodings that the describing side sends, lowest quality first.
    pub(super) rids: Vec<String>,
}

/// A description with one transport for all its sections.
pub(super) struct Description {
    pub(super) credentials: Credentials,
    pub(super) fingerprint: String,
    pub(super) candidates: Vec<SocketAddr>,
    pub(super) sections: Vec<Section>,
}

#[derive(Default)]
struct Transport {
    ufrag: Option<String>,
    password: Option<String>,
    fingerprint: Option<String>,
    candidates: Vec<SocketAddr>,
}

impl Description {
    /// Parses a description of the server.
    pub(super) fn parse(text: &str) -> Result<Self, LoadError> {
        let mut transport = Transport::default();
        let mut sections: Vec<Section> = Vec::new();
        if !text.starts_with("v=0") {
            return Err(LoadError::Description("the description does not begin with a version"));
        }
        for line in text.lines().map(str::trim_end).take(ENTRIES_MAX) {
            if let Some(media) = line.strip_prefix("m=") {
                sections.push(section(media)?);
            } else if let Some(attribute) = line.strip_prefix("a=") {
                let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
                if !transport.read(name, value)
                    && let Some(section) = sections.last_mut()
                {
                    section.read(name, value);
                }
            }
        }
        let missing = LoadError::Description;
        let ufrag = transport.ufrag.ok_or(missing("no ice-ufrag"))?;
        let password = transport.password.ok_or(missing("no ice-pwd"))?;
        Ok(Self {
            credentials: Credentials { ufrag, password },
            fingerprint: transport.fingerprint.ok_or(missing("no sha-256 fingerprint"))?,
            candidates: transport.candidates,
            sections,
        })
    }

    pub(super) fn section(&self, mid: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.mid == mid && !section.rejected)
    }
}

impl Transport {
    fn read(&mut self, name: &str, value: &str) -> bool {
        let first = |slot: &mut Option<String>, value: &str| {
            slot.get_or_insert_with(|| value.to_owned());
        };
        match name {
            "ice-ufrag" => first(&mut self.ufrag, value),
            "ice-pwd" => first(&mut self.password, value),
            "fingerprint" => {
                if let Some((algorithm, hash)) = value.split_once(' ')
                    && algorithm.eq_ignore_ascii_case("sha-256")
                {
                    first(&mut self.fingerprint, hash.trim());
                }
            }
            "candidate" => {
                let parts: Vec<&str> = value.split_whitespace().collect();
                if let [_, "1", protocol, _, address, port, "typ", ..] = parts[..]
                    && protocol.eq_ignore_ascii_case("udp")
                    && let (Ok(address), Ok(port)) = (address.parse::<IpAddr>(), port.parse())
                {
                    let candidate = SocketAddr::new(address, port);
                    if !self.candidates.contains(&candidate) {
                        self.candidates.push(candidate);
                    }
                }
            }
            _ => return false,
        }
        true
    }
}

fn section(media: &str) -> Result<Section, LoadError> {
    let mut parts = media.split_whitespace();
    let kind = match parts.next() {
        Some("audio") => MediaKind::Audio,
        Some("video") => MediaKind::Video,
        _ => return Err(LoadError::Description("a section is neither audio nor video")),
    };
    let rejected = parts.next() == Some("0");
    let codecs = parts
        .skip(1)
        .filter_map(|text| text.parse().ok())
        .map(|payload_type| Codec { payload_type, name: String::new(), repairs: None })
        .collect();
    Ok(Section {
        kind,
        mid: String::new(),
        rejected,
        direction: Direction::Both,
        codecs,
        extensions: BTreeMap::new(),
        ssrcs: Vec::new(),
        repair_pairs: Vec::new(),
        rids: Vec::new(),
    })
}

impl Section {
    fn codec_mut(&mut self, payload_type: &str) -> Option<&mut Codec> {
        let payload_type = payload_type.parse::<u8>().ok()?;
        self.codecs.iter_mut().find(|codec| codec.payload_type == payload_type)
    }

    fn read(&mut self, name: &str, value: &str) {
        let (head, rest) = value.split_once(' ').unwrap_or((value, ""));
        match name {
            "mid" => value.clone_into(&mut self.mid),
            "sendonly" => self.direction = Direction::SendOnly,
            "recvonly" => self.direction = Direction::ReceiveOnly,
            "sendrecv" => self.direction = Direction::Both,
            "inactive" => self.direction = Direction::Inactive,
            "rtpmap" => {
                if let Some(codec) = self.codec_mut(head) {
                    rest.clone_into(&mut codec.name);
                }
            }
            "fmtp" => {
                let repairs = rest
                    .split(';')
                    .find_map(|parameter| parameter.trim().strip_prefix("apt="))
                    .and_then(|text| text.parse().ok());
                if let Some(codec) = self.codec_mut(head) {
                    codec.repairs = codec.repairs.or(repairs);
                }
            }
            "extmap" => {
                let id = head.split('/').next().and_then(|text| text.parse().ok());
                if let (Some(id), Some(uri)) = (id, rest.split_whitespace().next()) {
                    self.extensions.insert(uri.to_owned(), id);
                }
            }
            "ssrc" => {
                if let Ok(ssrc) = head.parse()
                    && !self.ssrcs.contains(&ssrc)
                {
                    self.ssrcs.push(ssrc);
                }
            }
            "ssrc-group" if head == "FID" => {
                let mut pair = rest.split_whitespace().filter_map(|text| text.parse().ok());
                if let (Some(primary), Some(repair)) = (pair.next(), pair.next()) {
                    self.repair_pairs.push((primary, repair));
                }
            }
            "rid" if rest.starts_with("send") => self.rids.push(head.to_owned()),
            _ => {}
        }
    }

    fn write(&self, out: &mut String, cname: &str, transport: &str) {
        let kind = self.kind.as_str();
        let port = if self.rejected { 0 } else { 9 };
        let types =
            self.codecs.iter().fold(String::new(), |all, c| format!("{all} {}", c.payload_type));
        let mut line = |text: std::fmt::Arguments<'_>| {
            out.push_str(&text.to_string());
            out.push_str("\r\n");
        };
        line(format_args!("m={kind} {port} UDP/TLS/RTP/SAVPF{types}"));
        line(format_args!("c=IN IP4 0.0.0.0\r\n{transport}"));
        line(format_args!("a=mid:{}", self.mid));
        line(format_args!("a={}", self.direction.as_str()));
        line(format_args!("a=rtcp-mux"));
        for (uri, id) in &self.extensions {
            line(format_args!("a=extmap:{id} {uri}"));
        }
        for Codec { payload_type, name, repairs } in &self.codecs {
            line(format_args!("a=rtpmap:{payload_type} {name}"));
            if repairs.is_none() && self.extensions.contains_key(TRANSPORT_CC_URI) {
                line(format_args!("a=rtcp-fb:{payload_type} transport-cc"));
            }
            if let Some(repaired) = repairs {
                line(format_args!("a=fmtp:{payload_type} apt={repaired}"));
            } else if self.kind == MediaKind::Audio {
                line(format_args!("a=fmtp:{payload_type} minptime=10;useinbandfec=1"));
            } else {
                for feedback in ["nack", "nack pli", "ccm fir"] {
                    line(format_args!("a=rtcp-fb:{payload_type} {feedback}"));
                }
            }
        }
        for rid in &self.rids {
            line(format_args!("a=rid:{rid} send"));
        }
        if !self.rids.is_empty() {
            line(format_args!("a=simulcast:send {}", self.rids.join(";")));
        }
        for (primary, repair) in &self.repair_pairs {
            line(format_args!("a=ssrc-group:FID {primary} {repair}"));
        }
        for ssrc in &self.ssrcs {
            line(format_args!("a=ssrc:{ssrc} cname:{cname}"));
        }
        if matches!(self.direction, Direction::SendOnly | Direction::Both) {
            line(format_args!("a=msid:{cname} {cname}-{}", self.mid));
        }
    }
}

/// The roles in the DTLS handshake, as `a=setup` names them (RFC 4145 §4).
#[derive(Clone, Copy)]
pub(super) enum Setup {
    /// `actpass`, in an offer.
    Either,
    /// `active`, in an answer: this side is the client.
    Active,
}

/// Writes a description of the client.
pub(super) fn write(
    sections: &[Section],
    credentials: &Credentials,
    fingerprint: &str,
    setup: Setup,
    (id, version): (u32, u32),
) -> String {
    let mids: Vec<&str> =
        sections.iter().filter(|s| !s.rejected).map(|section| section.mid.as_str()).collect();
    let setup = match setup {
        Setup::Either => "actpass",
        Setup::Active => "active",
    };
    let Credentials { ufrag, password } = credentials;
    let mut out = format!(
        "v=0\r\no=- {id} {version} IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n\
         a=group:BUNDLE {}\r\na=extmap-allow-mixed\r\n",
        mids.join(" ")
    );
    let transport = format!(
        "a=ice-ufrag:{ufrag}\r\na=ice-pwd:{password}\r\na=ice-options:trickle\r\n\
         a=fingerprint:sha-256 {fingerprint}\r\na=setup:{setup}"
    );
    for section in sections {
        section.write(&mut out, &format!("load{id}"), &transport);
    }
    out
}
