#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
//! The sections that the client offers, its answers to sections, and what it takes from an answer.

use super::sdp::{self, Codec, Direction, Section};
use super::send::{Negotiated, Sender};
use crate::domain::media::MediaKind;

const OPUS_PAYLOAD_TYPE: u8 = 111;
const VP8_PAYLOAD_TYPE: u8 = 96;
const RTX_PAYLOAD_TYPE: u8 = 97;

fn codec(payload_type: u8, name: &str, repairs: Option<u8>) -> Codec {
    Codec { payload_type, name: name.to_owned(), repairs }
}

/// A section with the codecs and extensions that this client supports.
pub(super) fn blank_section(mid: String, kind: MediaKind, direction: Direction) -> Section {
    let (codecs, uris) = match kind {
        MediaKind::Audio => (
            vec![codec(OPUS_PAYLOAD_TYPE, "opus/48000/2", None)],
            vec![(sdp::LEVEL_URI, 1), (sdp::TRANSPORT_CC_URI, 3), (sdp::MID_URI, 4)],
        ),
        MediaKind::Video => (
            vec![
                codec(VP8_PAYLOAD_TYPE, "VP8/90000", None),
                codec(RTX_PAYLOAD_TYPE, "rtx/90000", Some(VP8_PAYLOAD_TYPE)),
            ],
            vec![
                (sdp::TRANSPORT_CC_URI, 3),
                (sdp::MID_URI, 4),
                (sdp::RID_URI, 10),
                (sdp::REPAIRED_RID_URI, 11),
            ],
        ),
    };
    Section {
        kind,
        mid,
        rejected: false,
        direction,
        codecs,
        extensions: uris.into_iter().map(|(uri, id)| (uri.to_owned(), id)).collect(),
        ssrcs: Vec::new(),
        repair_pairs: Vec::new(),
        rids: Vec::new(),
    }
}

/// The section that offers a track.
pub(super) fn sending_section(sender: &Sender) -> Section {
    let mut section = blank_section(sender.mid.clone(), sender.kind(), Direction::SendOnly);
    section.rids = sender.encodings.iter().filter_map(|encoding| encoding.rid.clone()).collect();
    // Like browsers: SSRCs are declared without simulcast, and left to `rid` with simulcast.
    if section.rids.is_empty() {
        for encoding in &sender.encodings {
            section.ssrcs.push(encoding.ssrc);
            if sender.kind() == MediaKind::Video {
                section.ssrcs.push(encoding.rtx_ssrc);
                section.repair_pairs.push((encoding.ssrc, encoding.rtx_ssrc));
            }
        }
    }
    section
}

/// Accepts every offered codec, since media is counted and not decoded.
pub(super) fn answering_section(offered: &Section) -> Section {
    let known = [sdp::MID_URI, sdp::LEVEL_URI, sdp::TRANSPORT_CC_URI];
    let extensions = offered.extensions.iter().filter(|(uri, _)| known.contains(&uri.as_str()));
    let sends = matches!(offered.direction, Direction::SendOnly | Direction::Both);
    Section {
        kind: offered.kind,
        mid: offered.mid.clone(),
        rejected: offered.rejected,
        direction: if sends { Direction::ReceiveOnly } else { Direction::Inactive },
        codecs: offered.codecs.clone(),
        extensions: extensions.map(|(uri, id)| (uri.clone(), *id)).collect(),
        ssrcs: Vec::new(),
        repair_pairs: Vec::new(),
        rids: Vec::new(),
    }
}

/// The values that an answer has set; `None` when it refuses the section.
pub(super) fn negotiate(kind: MediaKind, section: &Section) -> Option<Negotiated> {
    let name = match kind {
        MediaKind::Audio => "opus",
        MediaKind::Video => "VP8",
    };
    if !matches!(section.direction, Direction::ReceiveOnly | Direction::Both) {
        return None;
    }
    let primary = section.codecs.iter().find(|codec| codec.is(name))?.payload_type;
    let repair = section.codecs.iter().find(|codec| codec.repairs == Some(primary));
    let extension = |uri: &str| section.extensions.get(uri).copied();
    Some(Negotiated {
        payload_type: primary,
        rtx_payload_type: repair.map(|codec| codec.payload_type),
        mid: extension(sdp::MID_URI),
        rid: extension(sdp::RID_URI),
        repaired_rid: extension(sdp::REPAIRED_RID_URI),
        level: extension(sdp::LEVEL_URI),
        transport_cc: extension(sdp::TRANSPORT_CC_URI),
    })
}
