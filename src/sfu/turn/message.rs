//! The messages of TURN: views of those that carry packets, which are read without allocating, and
//! the writing of answers with rtc-stun.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;

use rtc_crypto::RTCCrypto;
use rtc_stun::attributes::{
    ATTR_DATA, ATTR_ERROR_CODE, ATTR_FINGERPRINT, ATTR_XOR_PEER_ADDRESS, ATTR_XORMAPPED_ADDRESS,
    AttrType,
};
use rtc_stun::fingerprint::FINGERPRINT;
use rtc_stun::integrity::MessageIntegrity;
use rtc_stun::message::{
    CLASS_ERROR_RESPONSE, CLASS_SUCCESS_RESPONSE, MAGIC_COOKIE, MESSAGE_HEADER_SIZE, Message,
    MessageClass, MessageType, Setter as _,
};
use rtc_stun::xoraddr::XorMappedAddress;

/// Channels that RFC 8656 §12 has left.
pub(super) const CHANNELS: std::ops::RangeInclusive<u16> = 0x4000..=0x4FFF;
const CHANNEL_HEADER_BYTES: usize = 4;
const ATTRIBUTE_HEADER_BYTES: usize = 4;
/// Bits of a message type that state its class; all 0 in a request.
const CLASS_BITS: u16 = 0x0110;
const SEND_INDICATION: u16 = 0x0016;
const DATA_INDICATION: u16 = 0x0017;
const FAMILY_V4: u8 = 1;
const FAMILY_V6: u8 = 2;

/// What a client sends through its allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relayed {
    /// Where it goes.
    pub(super) to: Destination,
    /// Which bytes of the message are the packet.
    pub(super) packet: Range<usize>,
}

/// How a client names a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Destination {
    /// By a channel.
    Channel(u16),
    /// By its address.
    Peer(SocketAddr),
}

/// Reads channel data or a Send indication; `None` for anything else.
pub(super) fn relayed_of(bytes: &[u8]) -> Option<Relayed> {
    match bytes.first()? {
        64..=79 => channel_data(bytes),
        0..=3 if type_of(bytes) == Some(SEND_INDICATION) => send_indication(bytes),
        _ => None,
    }
}

fn channel_data(bytes: &[u8]) -> Option<Relayed> {
    let [n0, n1, l0, l1] = *bytes.first_chunk::<CHANNEL_HEADER_BYTES>()?;
    let end = CHANNEL_HEADER_BYTES + usize::from(u16::from_be_bytes([l0, l1]));
    // Over UDP it may be padded (RFC 8656 §12.5).
    let fits = end <= bytes.len();
    let to = Destination::Channel(u16::from_be_bytes([n0, n1]));
    fits.then_some(Relayed { to, packet: CHANNEL_HEADER_BYTES..end })
}

fn send_indication(bytes: &[u8]) -> Option<Relayed> {
    let (mut peer, mut packet) = (None, None);
    let mut start = MESSAGE_HEADER_SIZE;
    while let Some([t0, t1, l0, l1]) = bytes.get(start..)?.first_chunk::<ATTRIBUTE_HEADER_BYTES>() {
        let kind = AttrType(u16::from_be_bytes([*t0, *t1]));
        let length = usize::from(u16::from_be_bytes([*l0, *l1]));
        let value = start + ATTRIBUTE_HEADER_BYTES..start + ATTRIBUTE_HEADER_BYTES + length;
        let bytes_of = bytes.get(value.clone())?;
        match kind {
            ATTR_XOR_PEER_ADDRESS => peer = Some(xor_address(bytes_of, bytes)?),
            ATTR_DATA => packet = Some(value.clone()),
            // An attribute that must be understood: the indication is dropped (RFC 8489 §6.3.2).
            // DONT-FRAGMENT is one; this server's packets are never fragmented by a relay.
            AttrType(0..=0x7FFF) if kind != rtc_stun::attributes::ATTR_DONT_FRAGMENT => {
                return None;
            }
            _ => {}
        }
        start = value.end.next_multiple_of(4);
    }
    Some(Relayed { to: Destination::Peer(peer?), packet: packet? })
}

/// The type of a STUN message, if its header is one.
fn type_of(bytes: &[u8]) -> Option<u16> {
    let header = bytes.first_chunk::<MESSAGE_HEADER_SIZE>()?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let whole = bytes.len() == MESSAGE_HEADER_SIZE + length;
    let cookie = header[4..8] == MAGIC_COOKIE.to_be_bytes();
    (whole && cookie).then(|| u16::from_be_bytes([header[0], header[1]]))
}

/// Whether it is a request of STUN or TURN.
pub(in crate::sfu) fn is_request(bytes: &[u8]) -> bool {
    type_of(bytes).is_some_and(|kind| kind & CLASS_BITS == 0)
}

/// Decodes an XOR-PEER-ADDRESS (RFC 8489 §14.2); IPv6 is masked with the transaction id as well.
pub(super) fn xor_address(value: &[u8], message: &[u8]) -> Option<SocketAddr> {
    let [_, family, p0, p1] = *value.first_chunk::<4>()?;
    let [c0, c1, ..] = MAGIC_COOKIE.to_be_bytes();
    let port = u16::from_be_bytes([p0 ^ c0, p1 ^ c1]);
    let mask = message.get(4..MESSAGE_HEADER_SIZE)?;
    let address = value.get(4..)?;
    let mut octets = [0; 16];
    for (octet, (byte, mask)) in octets.iter_mut().zip(address.iter().zip(mask)) {
        *octet = byte ^ mask;
    }
    let ip = match (family, address.len()) {
        (FAMILY_V4, 4) => Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]).into(),
        (FAMILY_V6, 16) => IpAddr::V6(Ipv6Addr::from(octets)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

/// Appends a Data indication.
pub(super) fn append_data(peer: SocketAddr, number: u64, packet: &[u8], out: &mut Vec<u8>) {
    let mut mask = [0; 16];
    mask[..4].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
    // Nobody answers indications, so their transaction ids need only differ.
    mask[8..].copy_from_slice(&number.to_be_bytes());
    let mut address = vec![0];
    let masked_port = peer.port() ^ u16::from_be_bytes([mask[0], mask[1]]);
    match peer.ip().to_canonical() {
        IpAddr::V4(v4) => {
            address.push(FAMILY_V4);
            address.extend_from_slice(&masked_port.to_be_bytes());
            address.extend(v4.octets().iter().zip(mask).map(|(byte, mask)| byte ^ mask));
        }
        IpAddr::V6(v6) => {
            address.push(FAMILY_V6);
            address.extend_from_slice(&masked_port.to_be_bytes());
            address.extend(v6.octets().iter().zip(mask).map(|(byte, mask)| byte ^ mask));
        }
    }
    let padded = packet.len().next_multiple_of(4);
    let length = 2 * ATTRIBUTE_HEADER_BYTES + address.len() + padded;
    let two_bytes = |length: usize| u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes();
    out.extend_from_slice(&DATA_INDICATION.to_be_bytes());
    out.extend_from_slice(&two_bytes(length));
    out.extend_from_slice(&mask);
    out.extend_from_slice(&ATTR_XOR_PEER_ADDRESS.0.to_be_bytes());
    out.extend_from_slice(&two_bytes(address.len()));
    out.extend_from_slice(&address);
    out.extend_from_slice(&ATTR_DATA.0.to_be_bytes());
    out.extend_from_slice(&two_bytes(packet.len()));
    out.extend_from_slice(packet);
    out.extend_from_slice(&[0; 3][..padded - packet.len()]);
}

/// Appends channel data, without padding, which a stream adds.
pub(super) fn append_channel_data(channel: u16, packet: &[u8], out: &mut Vec<u8>) {
    let length = u16::try_from(packet.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&channel.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(packet);
}

/// How an answer is protected.
pub(super) type Integrity<'a> = Option<(&'a [u8], &'a dyn RTCCrypto)>;

/// Writes a successful answer.
pub(super) fn success(
    request: &Message,
    attributes: impl FnOnce(&mut Message) -> Option<()>,
    integrity: Integrity<'_>,
) -> Option<Vec<u8>> {
    write(request, CLASS_SUCCESS_RESPONSE, attributes, integrity)
}

/// Writes a refusal. Without a phrase for people, so that it stays short.
pub(super) fn refusal(
    request: &Message,
    code: u16,
    attributes: impl FnOnce(&mut Message) -> Option<()>,
    integrity: Integrity<'_>,
) -> Option<Vec<u8>> {
    let [class, number] = [code / 100, code % 100].map(|part| u8::try_from(part).unwrap_or(0));
    let all = |message: &mut Message| {
        message.add(ATTR_ERROR_CODE, &[0, 0, class, number]);
        attributes(message)
    };
    write(request, CLASS_ERROR_RESPONSE, all, integrity)
}

fn write(
    request: &Message,
    class: MessageClass,
    attributes: impl FnOnce(&mut Message) -> Option<()>,
    integrity: Integrity<'_>,
) -> Option<Vec<u8>> {
    let mut reply = Message::new();
    let kind = MessageType::new(request.typ.method, class);
    reply.build(&[Box::new(kind), Box::new(request.transaction_id)]).ok()?;
    attributes(&mut reply)?;
    if let Some((key, crypto)) = integrity {
        MessageIntegrity::new_raw_integrity_with_provider(key, crypto).add_to(&mut reply).ok()?;
    }
    if request.contains(ATTR_FINGERPRINT) {
        FINGERPRINT.add_to(&mut reply).ok()?;
    }
    Some(reply.raw)
}

/// Adds an address to an answer.
pub(super) fn add_address(reply: &mut Message, kind: AttrType, address: SocketAddr) -> Option<()> {
    let address = XorMappedAddress { ip: address.ip().to_canonical(), port: address.port() };
    address.add_to_as(reply, kind).ok()
}

/// Adds the address that the client was seen at.
pub(super) fn add_mapped(reply: &mut Message, client: SocketAddr) -> Option<()> {
    add_address(reply, ATTR_XORMAPPED_ADDRESS, client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_comes_out_of_an_indication_as_it_went_in() {
        for peer in ["192.0.2.7:3478", "[2001:db8::7]:3478"] {
            let peer: SocketAddr = peer.parse().expect("an address");
            for packet in [&b""[..], b"a", b"abc", b"abcd", &[9; 1_200]] {
                let mut out = Vec::new();
                append_data(peer, 77, packet, &mut out);
                // A Send indication has the same attributes as a Data indication.
                out[..2].copy_from_slice(&SEND_INDICATION.to_be_bytes());
                let relayed = relayed_of(&out).expect("an indication");
                assert_eq!(relayed.to, Destination::Peer(peer));
                assert_eq!(&out[relayed.packet], packet);
                for cut in 1..out.len() {
                    assert_eq!(relayed_of(&out[..cut]), None, "{cut} bytes of it");
                }
            }
        }
    }

    #[test]
    fn channel_data_may_be_padded_but_not_cut() {
        let mut out = Vec::new();
        append_channel_data(0x4001, b"abcde", &mut out);
        let whole = relayed_of(&out).expect("channel data");
        assert_eq!(
            (whole.to, &out[whole.packet.clone()]),
            (Destination::Channel(0x4001), &b"abcde"[..])
        );
        assert_eq!(relayed_of(&out[..8]), None);
        out.extend_from_slice(&[0; 3]);
        assert_eq!(relayed_of(&out), Some(whole));
        out[0] = 0x50;
        assert_eq!(relayed_of(&out), None, "RFC 8656 has left channels to 0x4FFF");
    }
}
