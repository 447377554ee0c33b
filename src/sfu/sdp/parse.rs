//! Parses a peer's session description. Its size is bounded, its values are checked and turned into
//! types, and none of its text reaches other people.

use std::collections::BTreeMap;
use std::io::Cursor;

use rtc_sdp::{MediaDescription, SessionDescription};

use crate::domain::media::MediaKind;
use crate::sfu::plane::{ExtensionIds, Format};
use crate::sfu::sdp::codec::{CodecConfig, PacketizationMode};
use crate::sfu::sdp::{
    AUDIO_LEVEL_URI, Description, Direction, LAYERS_MAX, Limits, MID_BYTES_MAX, MID_URI, Obstacle,
    OfferedFormat, REPAIRED_RID_URI, RID_BYTES_MAX, RID_URI, SdpError, Section, Setup,
    TRANSPORT_CC_URI, TransportParameters,
};
use crate::sfu::transport::{Fingerprint, is_pwd, is_ufrag};

/// Formats read from one section; further ones are ignored.
const FORMATS_MAX: usize = 64;
/// Fingerprints read from one description; further ones are ignored.
const FINGERPRINTS_MAX: usize = 8;
/// Encodings that one section may declare. More than [`LAYERS_MAX`] are accepted, because encoders
/// offer as many as their user has configured.
const RIDS_MAX: usize = 16;
/// Longest token that is repeated to the peer, in bytes.
const TOKEN_BYTES_MAX: usize = 32;

/// Parses a session description.
///
/// # Errors
/// [`SdpError`] for a description that is malformed or not allowed. Sections that this server can't
/// use are no errors: they are returned as rejected.
pub fn parse(text: &str, limits: Limits) -> Result<Description, SdpError> {
    if text.len() > limits.bytes {
        return Err(SdpError("longer than allowed"));
    }
    check_characters(text)?;
    let parsed = SessionDescription::unmarshal(&mut Cursor::new(text))
        .map_err(|_| SdpError("not a session description"))?;
    if parsed.media_descriptions.len() > limits.sections {
        return Err(SdpError("more sections than allowed"));
    }
    let session: Vec<(&str, &str)> = parsed
        .attributes
        .iter()
        .map(|attribute| (attribute.key.as_str(), attribute.value.as_deref().unwrap_or("")))
        .collect();
    let bundle = session
        .iter()
        .filter(|(key, _)| *key == "group")
        .find_map(|(_, value)| value.strip_prefix("BUNDLE"))
        .map(|mids| mids.split_ascii_whitespace().collect::<Vec<_>>());
    if session.iter().any(|(key, _)| *key == "ice-lite") {
        return Err(SdpError("both ends are ICE-lite"));
    }
    let mut sections: Vec<Section> = Vec::with_capacity(parsed.media_descriptions.len());
    let mut carrier = None;
    for media in &parsed.media_descriptions {
        let attributes = Attributes::of(media, &session);
        let mut section = read_section(media, &attributes, bundle.as_deref())?;
        if sections.iter().any(|earlier| earlier.mid == section.mid) {
            return Err(SdpError("two sections have the same mid"));
        }
        // Without BUNDLE each section would need a transport of its own.
        if bundle.is_none() && sections.iter().any(|earlier| !earlier.rejected) {
            section.rejected = true;
            section.obstacle.get_or_insert(Obstacle::Bundle);
        }
        // The section that carries the transport of the bundle may be one that this server can't
        // use otherwise: inactive, or a data channel.
        let bundled = bundle.as_ref().is_some_and(|mids| mids.contains(&section.mid.as_str()));
        let has_credentials = attributes.inherited("ice-ufrag").next().is_some();
        if carrier.is_none() && has_credentials && (bundled || !section.rejected) {
            carrier = Some(attributes);
        }
        sections.push(section);
    }
    let transport = if sections.iter().all(|section| section.rejected) {
        None
    } else {
        Some(read_transport(&carrier.ok_or(SdpError("no ICE credentials"))?)?)
    };
    check_extensions(&sections)?;
    Ok(Description { transport, bundle: bundle.is_some(), sections })
}

/// Some parsers end a line at a lone carriage return and others do not; other control characters
/// are refused for the same reason.
fn check_characters(text: &str) -> Result<(), SdpError> {
    let bytes = text.as_bytes();
    let lone = |index: usize| bytes.get(index + 1) != Some(&b'\n');
    let odd = bytes.iter().enumerate().any(|(index, byte)| match byte {
        b'\r' => lone(index),
        b'\n' => false,
        byte => byte.is_ascii_control() && *byte != b'\t',
    });
    if odd { Err(SdpError("control characters")) } else { Ok(()) }
}

/// The attributes of a section, and those of the session that apply to it.
struct Attributes<'a> {
    own: Vec<(&'a str, &'a str)>,
    session: &'a [(&'a str, &'a str)],
}

impl<'a> Attributes<'a> {
    fn of(media: &'a MediaDescription, session: &'a [(&'a str, &'a str)]) -> Self {
        let own = media
            .attributes
            .iter()
            .map(|attribute| (attribute.key.as_str(), attribute.value.as_deref().unwrap_or("")))
            .collect();
        Self { own, session }
    }

    fn has(&self, key: &str) -> bool {
        self.own.iter().any(|(own, _)| *own == key)
    }

    fn all(&self, key: &str) -> impl Iterator<Item = &'a str> {
        self.own.iter().filter(move |(own, _)| *own == key).map(|(_, value)| *value)
    }

    /// The values in the section, or else those of the session.
    fn inherited(&self, key: &str) -> impl Iterator<Item = &'a str> {
        let source = if self.has(key) { &self.own[..] } else { self.session };
        source.iter().filter(move |(own, _)| *own == key).map(|(_, value)| *value)
    }
}

fn read_transport(attributes: &Attributes<'_>) -> Result<TransportParameters, SdpError> {
    let one = |key| attributes.inherited(key).next().map(str::trim);
    let ufrag = one("ice-ufrag").filter(|it| is_ufrag(it)).ok_or(SdpError("no ICE ufrag"))?;
    let pwd = one("ice-pwd").filter(|it| is_pwd(it)).ok_or(SdpError("no ICE password"))?;
    let setup = match one("setup") {
        Some("actpass") | None => Setup::ActiveOrPassive,
        Some("active") => Setup::Active,
        Some("passive") => Setup::Passive,
        Some(_) => return Err(SdpError("a=setup has no usable value")),
    };
    let mut fingerprints: Vec<Fingerprint> = attributes
        .inherited("fingerprint")
        .filter_map(Fingerprint::parse)
        .take(FINGERPRINTS_MAX)
        .collect();
    fingerprints.sort_unstable();
    fingerprints.dedup();
    if fingerprints.is_empty() {
        return Err(SdpError("no fingerprint by SHA-256, SHA-384 or SHA-512"));
    }
    Ok(TransportParameters { ufrag: ufrag.to_owned(), pwd: pwd.to_owned(), fingerprints, setup })
}

fn read_section(
    media: &MediaDescription,
    attributes: &Attributes<'_>,
    bundle: Option<&[&str]>,
) -> Result<Section, SdpError> {
    let name = &media.media_name;
    let mid = attributes.all("mid").next().map(str::trim).unwrap_or_default();
    if !is_token(mid, MID_BYTES_MAX) {
        return Err(SdpError("a section has no usable mid"));
    }
    let proto = name.protos.join("/");
    let format = name.formats.first().map_or("0", String::as_str);
    let echoed = is_token(&name.media, TOKEN_BYTES_MAX)
        && name.protos.iter().all(|it| is_token(it, TOKEN_BYTES_MAX))
        && proto.len() <= 2 * TOKEN_BYTES_MAX
        && is_token(format, TOKEN_BYTES_MAX);
    if !echoed {
        return Err(SdpError("a media line has malformed tokens"));
    }
    let kind = MediaKind::parse(&name.media);
    let bundled = bundle.is_some_and(|mids| mids.contains(&mid));
    // Firefox gives sections port 0 that only exist inside the bundle (RFC 8843 §6).
    let alive = name.port.value != 0 || (bundled && attributes.has("bundle-only"));
    let formats = read_formats(kind, &name.formats, attributes);
    let obstacle = if !alive {
        Some(Obstacle::Stopped)
    } else if proto != "UDP/TLS/RTP/SAVPF" {
        Some(Obstacle::Protocol)
    } else if formats.is_empty() {
        Some(Obstacle::Codec)
    } else if !attributes.has("rtcp-mux") {
        Some(Obstacle::RtcpMux)
    } else if !bundled && bundle.is_some() {
        Some(Obstacle::Bundle)
    } else {
        None
    };
    let (primary_ssrc, rtx_ssrc) = read_sources(attributes);
    let rids = read_rids(attributes)?;
    Ok(Section {
        mid: mid.to_owned(),
        media: name.media.clone(),
        proto,
        format: format.to_owned(),
        kind,
        rejected: obstacle.is_some(),
        obstacle,
        direction: read_direction(attributes),
        formats,
        extensions: read_extensions(attributes)?,
        rids,
        primary_ssrc,
        rtx_ssrc,
    })
}

fn is_token(text: &str, bytes_max: usize) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`{|}~".contains(&byte);
    (1..=bytes_max).contains(&text.len()) && text.bytes().all(allowed)
}

fn read_direction(attributes: &Attributes<'_>) -> Direction {
    let said = |key: &str| attributes.inherited(key).next().is_some();
    let own = |key: &str| attributes.has(key);
    let any_own = ["sendrecv", "sendonly", "recvonly", "inactive"].into_iter().any(own);
    let is = |key: &str| if any_own { own(key) } else { said(key) };
    if is("inactive") {
        Direction::Inactive
    } else if is("sendonly") {
        Direction::SendOnly
    } else if is("recvonly") {
        Direction::ReceiveOnly
    } else {
        Direction::SendReceive
    }
}

/// The formats that this server forwards, in the order of the media line, which is the offerer's
/// preference; packetization mode 1 before mode 0.
fn read_formats(
    kind: Option<MediaKind>,
    listed: &[String],
    attributes: &Attributes<'_>,
) -> Vec<OfferedFormat> {
    // Read once, since a description may have thousands of each. The first of a number counts.
    let by_number = |key: &str| {
        let mut found = BTreeMap::new();
        for (number, value) in attributes.all(key).filter_map(|value| value.split_once(' ')) {
            found.entry(number).or_insert(value.trim());
        }
        found
    };
    let (rtpmaps, fmtps) = (by_number("rtpmap"), by_number("fmtp"));
    let of = |key: &str, payload_type: u8| {
        let values = if key == "rtpmap" { &rtpmaps } else { &fmtps };
        values.get(payload_type.to_string().as_str()).copied()
    };
    let listed: Vec<u8> = listed
        .iter()
        .take(FORMATS_MAX)
        .filter_map(|format| format.parse().ok())
        .filter(|payload_type| *payload_type < 128)
        .collect();
    let rtx_of = |primary: u8| {
        let apt = format!("apt={primary}");
        listed.iter().copied().find(|&candidate| {
            of("rtpmap", candidate).is_some_and(|it| it.eq_ignore_ascii_case("rtx/90000"))
                && of("fmtp", candidate).is_some_and(|it| it.split(';').any(|it| it.trim() == apt))
        })
    };
    let feedback = |payload_type: u8, wanted: &str| {
        attributes.all("rtcp-fb").filter_map(|value| value.split_once(' ')).any(|(number, kind)| {
            (number == "*" || number.parse() == Ok(payload_type)) && kind.trim() == wanted
        })
    };
    let mut formats: Vec<OfferedFormat> = Vec::new();
    for &payload_type in &listed {
        let Some((config, level)) = of("rtpmap", payload_type).and_then(|rtpmap| {
            CodecConfig::recognise(rtpmap, of("fmtp", payload_type).unwrap_or_default())
        }) else {
            continue;
        };
        let known = formats.iter().any(|it| it.format.payload_type == payload_type);
        if Some(config.kind()) == kind && !known {
            let rtx_payload_type = rtx_of(payload_type).filter(|_| kind == Some(MediaKind::Video));
            formats.push(OfferedFormat {
                format: Format { payload_type, codec: config.codec(), rtx_payload_type },
                config,
                level,
                transport_cc: feedback(payload_type, "transport-cc"),
                nack: feedback(payload_type, "nack"),
            });
        }
    }
    formats.sort_by_key(|it| {
        matches!(it.config, CodecConfig::H264 { mode: PacketizationMode::SingleUnit, .. })
    });
    formats
}

fn read_extensions(attributes: &Attributes<'_>) -> Result<ExtensionIds, SdpError> {
    let mut ids = ExtensionIds::default();
    for (number, rest) in attributes.all("extmap").filter_map(|value| value.split_once(' ')) {
        let number = number.split_once('/').map_or(number, |(number, _)| number);
        let uri = rest.split(' ').next().unwrap_or_default();
        let slot = match uri {
            MID_URI => &mut ids.mid,
            RID_URI => &mut ids.rid,
            REPAIRED_RID_URI => &mut ids.repaired_rid,
            TRANSPORT_CC_URI => &mut ids.transport_cc,
            AUDIO_LEVEL_URI => &mut ids.audio_level,
            _ => continue,
        };
        // One-byte headers only (RFC 8285 §4.2); higher ones are not answered.
        if let Some(number) = number.parse::<u8>().ok().filter(|it| (1..=14).contains(it)) {
            *slot = Some(number);
        }
    }
    let mut used: Vec<u8> = ids_of(&ids).into_iter().flatten().collect();
    used.sort_unstable();
    if used.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(SdpError("one id is used for two header extensions"));
    }
    Ok(ids)
}

const fn ids_of(ids: &ExtensionIds) -> [Option<u8>; 5] {
    [ids.mid, ids.rid, ids.repaired_rid, ids.transport_cc, ids.audio_level]
}

/// In a bundle, an id must mean the same extension in all sections (RFC 8843 §9.1).
fn check_extensions(sections: &[Section]) -> Result<(), SdpError> {
    let mut meaning = [None; 15];
    for section in sections.iter().filter(|section| !section.rejected) {
        for (which, id) in ids_of(&section.extensions).into_iter().enumerate() {
            let Some(id) = id else { continue };
            let slot = &mut meaning[usize::from(id)];
            if slot.is_some_and(|known| known != which) {
                return Err(SdpError("one id is used for two header extensions"));
            }
            *slot = Some(which);
        }
    }
    Ok(())
}

/// The encodings that a simulcast section sends, in the order in which it lists them. Of more than
/// [`LAYERS_MAX`] the first, the last and those between them at equal distances: encoders list the
/// best one first or last, whatever RFC 8853 §5.2 says of preference. The answer names only those,
/// and packets of the others are dropped.
fn read_rids(attributes: &Attributes<'_>) -> Result<Vec<String>, SdpError> {
    let declared: Vec<&str> = attributes
        .all("rid")
        .filter_map(|value| {
            let mut parts = value.split_ascii_whitespace();
            let rid = parts.next()?;
            (parts.next()? == "send").then_some(rid)
        })
        .collect();
    let usable = |rid: &&str| {
        (1..=RID_BYTES_MAX).contains(&rid.len())
            && rid.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if declared.len() > RIDS_MAX {
        return Err(SdpError("more encodings than allowed"));
    }
    if !declared.iter().all(usable) {
        return Err(SdpError("a malformed rid"));
    }
    if (1..declared.len()).any(|at| declared[..at].contains(&declared[at])) {
        return Err(SdpError("two encodings have the same rid"));
    }
    let Some(listed) = attributes.all("simulcast").find_map(|value| {
        let mut parts = value.split_ascii_whitespace();
        parts.by_ref().find(|part| *part == "send")?;
        parts.next()
    }) else {
        return Ok(spread(declared.into_iter().map(str::to_owned).collect()));
    };
    // Commas separate alternatives; `~` marks an encoding that starts paused.
    let first = |it: &'_ str| -> String {
        it.split(',').next().unwrap_or_default().trim_start_matches('~').to_owned()
    };
    let ordered: Vec<String> = listed.split(';').take(RIDS_MAX + 1).map(first).collect();
    let known = ordered.iter().all(|rid| declared.contains(&rid.as_str()));
    let twice = (1..ordered.len()).any(|at| ordered[..at].contains(&ordered[at]));
    if !known || twice {
        return Err(SdpError("a=simulcast names an unknown rid"));
    }
    Ok(spread(ordered))
}

/// At most [`LAYERS_MAX`] of a list, with its first and its last.
fn spread(all: Vec<String>) -> Vec<String> {
    let last = all.len().saturating_sub(1);
    if last < LAYERS_MAX {
        return all;
    }
    let kept: Vec<usize> = (0..LAYERS_MAX).map(|at| at * last / (LAYERS_MAX - 1)).collect();
    all.into_iter().enumerate().filter(|(at, _)| kept.contains(at)).map(|(_, it)| it).collect()
}

/// The declared SSRCs of packets and retransmissions (RFC 5576 §4.2, `FID`).
fn read_sources(attributes: &Attributes<'_>) -> (Option<u32>, Option<u32>) {
    let first =
        attributes.all("ssrc").find_map(|value| value.split(' ').next()?.parse::<u32>().ok());
    let group = attributes.all("ssrc-group").find_map(|value| {
        let mut parts = value.split_ascii_whitespace();
        parts.next().filter(|semantics| *semantics == "FID")?;
        Some((parts.next()?.parse::<u32>().ok()?, parts.next()?.parse::<u32>().ok()?))
    });
    match group {
        Some((primary, rtx)) if primary != rtx => (Some(primary), Some(rtx)),
        _ => (first, None),
    }
}
