//! Writes this server's session descriptions. Every value in them is a number, a checked token, or
//! a text of this server.

use crate::domain::media::MediaKind;
use crate::sfu::plane::ExtensionIds;
use crate::sfu::sdp::{
    AUDIO_LEVEL_URI, Description, Direction, LocalSide, MID_URI, OFFERED_EXTENSIONS, OfferSection,
    OfferedFormat, REPAIRED_RID_URI, RID_URI, Section, SectionAnswer, Setup, Stream,
    TRANSPORT_CC_URI,
};

/// Writes the answer to an offer, with one entry of `answers` per section.
#[must_use]
pub fn answer(offer: &Description, answers: &[SectionAnswer], local: LocalSide<'_>) -> String {
    let mut text = Text::default();
    let taken = offer
        .sections
        .iter()
        .zip(answers)
        .filter(|(_, answer)| **answer != SectionAnswer::Rejected)
        .map(|(section, _)| section.mid.as_str());
    text.session(local, offer.bundle.then_some(taken));
    for (section, answer) in offer.sections.iter().zip(answers) {
        match answer {
            SectionAnswer::Rejected => text.rejected(section),
            SectionAnswer::Inactive => {
                text.answered(section, Direction::Inactive, None, local);
            }
            SectionAnswer::Receive => {
                text.answered(section, Direction::ReceiveOnly, None, local);
            }
            SectionAnswer::Send(stream) => {
                text.answered(section, Direction::SendOnly, Some(stream), local);
            }
        }
    }
    text.0
}

/// Writes an offer to a receiver.
#[must_use]
pub fn offer(sections: &[OfferSection], local: LocalSide<'_>) -> String {
    let mut text = Text::default();
    text.session(local, Some(sections.iter().map(|section| section.mid.as_str())));
    for section in sections {
        let kind = section.config.kind();
        let formats = section.config.offered_as();
        let listed: Vec<u8> = formats
            .iter()
            .flat_map(|config| {
                let (payload_type, rtx) = config.payload_types();
                std::iter::once(payload_type).chain(rtx)
            })
            .collect();
        text.media(kind, &listed, local);
        text.line(format_args!("a=mid:{}", section.mid));
        text.line(format_args!("a=setup:{}", Setup::ActiveOrPassive.as_str()));
        let stream = section.stream.as_ref();
        let sends = if stream.is_some() { Direction::SendOnly } else { Direction::Inactive };
        text.line(format_args!("a={}", sends.as_str()));
        for config in formats {
            let (payload_type, rtx) = config.payload_types();
            text.format(payload_type, config.rtpmap(), config.fmtp(None));
            text.feedback(payload_type, kind, true, true);
            if let Some(rtx) = rtx {
                text.retransmission(rtx, payload_type);
            }
        }
        text.extensions(offered_extensions(kind));
        if let Some(stream) = stream {
            text.stream(stream, kind == MediaKind::Video);
        }
    }
    text.0
}

/// The audio-level extension is offered for audio sections only.
fn offered_extensions(kind: MediaKind) -> ExtensionIds {
    match kind {
        MediaKind::Audio => OFFERED_EXTENSIONS,
        MediaKind::Video => ExtensionIds { audio_level: None, ..OFFERED_EXTENSIONS },
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        self.0.push_str(&std::fmt::format(line));
        self.0.push_str("\r\n");
    }

    fn session<'a>(&mut self, local: LocalSide<'_>, bundle: Option<impl Iterator<Item = &'a str>>) {
        self.line(format_args!("v=0"));
        self.line(format_args!("o=- {} {} IN IP4 0.0.0.0", local.session_id, local.version));
        self.line(format_args!("s=-"));
        self.line(format_args!("t=0 0"));
        if let Some(mids) = bundle {
            let mids = mids.fold(String::new(), |list, mid| list + " " + mid);
            self.line(format_args!("a=group:BUNDLE{mids}"));
        }
        self.line(format_args!("a=ice-lite"));
        self.line(format_args!("a=msid-semantic: WMS *"));
    }

    fn rejected(&mut self, section: &Section) {
        self.line(format_args!("m={} 0 {} {}", section.media, section.proto, section.format));
        self.line(format_args!("c=IN IP4 0.0.0.0"));
        self.line(format_args!("a=mid:{}", section.mid));
        self.line(format_args!("a=inactive"));
    }

    /// Writes the media line and the lines that every active section of a transport has.
    fn media(&mut self, kind: MediaKind, formats: &[u8], local: LocalSide<'_>) {
        let formats = formats.iter().fold(String::new(), |list, it| format!("{list} {it}"));
        self.line(format_args!("m={kind} 9 UDP/TLS/RTP/SAVPF{formats}"));
        self.line(format_args!("c=IN IP4 0.0.0.0"));
        self.line(format_args!("a=ice-ufrag:{}", local.credentials.ufrag));
        self.line(format_args!("a=ice-pwd:{}", local.credentials.pwd.expose()));
        self.line(format_args!("a=fingerprint:{}", local.fingerprint));
        for (index, candidate) in local.candidates.iter().enumerate() {
            // Host candidates of falling preference (RFC 8445 §5.1.2.1).
            let preference = u32::try_from(65_535_usize.saturating_sub(index)).unwrap_or(0);
            let priority = (126 << 24) | (preference << 8) | 255;
            self.line(format_args!(
                "a=candidate:{} 1 udp {priority} {} {} typ host",
                index + 1,
                candidate.ip().to_canonical(),
                candidate.port()
            ));
        }
        for (index, candidate) in local.candidates.iter().enumerate().filter(|_| local.tcp) {
            // Passive host candidates (RFC 6544 §4.2): their preference is below that of every
            // candidate of UDP, so peers use TCP only where UDP does not get through.
            let other = u32::try_from(8_191_usize.saturating_sub(index)).unwrap_or(0);
            let priority = (90 << 24) | ((4 << 13 | other) << 8) | 255;
            self.line(format_args!(
                "a=candidate:{} 1 tcp {priority} {} {} typ host tcptype passive",
                local.candidates.len() + index + 1,
                candidate.ip().to_canonical(),
                candidate.port()
            ));
        }
        self.line(format_args!("a=end-of-candidates"));
        self.line(format_args!("a=rtcp-mux"));
        self.line(format_args!("a=rtcp-rsize"));
    }

    fn answered(
        &mut self,
        section: &Section,
        direction: Direction,
        stream: Option<&Stream>,
        local: LocalSide<'_>,
    ) {
        let Some(kind) = section.kind else { return self.rejected(section) };
        let listed: Vec<u8> = section
            .formats
            .iter()
            .flat_map(|it| {
                std::iter::once(it.format.payload_type).chain(it.format.rtx_payload_type)
            })
            .collect();
        self.media(kind, &listed, local);
        self.line(format_args!("a=mid:{}", section.mid));
        self.line(format_args!("a=setup:{}", local.setup.as_str()));
        self.line(format_args!("a={}", direction.as_str()));
        for OfferedFormat { format, config, level, transport_cc, nack } in &section.formats {
            self.format(format.payload_type, config.rtpmap(), config.fmtp(*level));
            self.feedback(format.payload_type, kind, *transport_cc, *nack);
            if let Some(rtx) = format.rtx_payload_type {
                self.retransmission(rtx, format.payload_type);
            }
        }
        self.extensions(section.extensions);
        // Written also for sections in which nobody sends now. An answer without them refuses
        // simulcast, after which browsers always send one encoding.
        if direction != Direction::SendOnly && !section.rids.is_empty() {
            for rid in &section.rids {
                self.line(format_args!("a=rid:{rid} recv"));
            }
            self.line(format_args!("a=simulcast:recv {}", section.rids.join(";")));
        }
        if let Some(stream) = stream {
            let rtx = section.formats.iter().any(|it| it.format.rtx_payload_type.is_some());
            self.stream(stream, rtx);
        }
    }

    fn format(&mut self, payload_type: u8, rtpmap: &str, fmtp: Option<String>) {
        self.line(format_args!("a=rtpmap:{payload_type} {rtpmap}"));
        if let Some(fmtp) = fmtp {
            self.line(format_args!("a=fmtp:{payload_type} {fmtp}"));
        }
    }

    fn retransmission(&mut self, rtx: u8, primary: u8) {
        self.line(format_args!("a=rtpmap:{rtx} rtx/90000"));
        self.line(format_args!("a=fmtp:{rtx} apt={primary}"));
    }

    fn feedback(&mut self, payload_type: u8, kind: MediaKind, transport_cc: bool, nack: bool) {
        if transport_cc {
            self.line(format_args!("a=rtcp-fb:{payload_type} transport-cc"));
        }
        if kind == MediaKind::Video {
            self.line(format_args!("a=rtcp-fb:{payload_type} ccm fir"));
            if nack {
                self.line(format_args!("a=rtcp-fb:{payload_type} nack"));
            }
            self.line(format_args!("a=rtcp-fb:{payload_type} nack pli"));
        }
    }

    fn extensions(&mut self, ids: ExtensionIds) {
        let named = [
            (ids.mid, MID_URI),
            (ids.rid, RID_URI),
            (ids.repaired_rid, REPAIRED_RID_URI),
            (ids.transport_cc, TRANSPORT_CC_URI),
            (ids.audio_level, AUDIO_LEVEL_URI),
        ];
        for (id, uri) in named {
            if let Some(id) = id {
                self.line(format_args!("a=extmap:{id} {uri}"));
            }
        }
    }

    fn stream(&mut self, stream: &Stream, rtx: bool) {
        let Stream { group, track, ssrc, rtx_ssrc } = stream;
        self.line(format_args!("a=msid:{group} {track}"));
        if rtx {
            self.line(format_args!("a=ssrc-group:FID {ssrc} {rtx_ssrc}"));
        }
        // The primary SSRC comes first: Chromium takes the first SSRC for it, whatever the group
        // says, and decodes nothing otherwise.
        self.line(format_args!("a=ssrc:{ssrc} cname:{group}"));
        if rtx {
            self.line(format_args!("a=ssrc:{rtx_ssrc} cname:{group}"));
        }
    }
}
