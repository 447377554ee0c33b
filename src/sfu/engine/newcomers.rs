//! Receivers that have just come begin with what was sent since the last key frame, when it began a
//! moment ago: they need not wait, and the publisher need not send another one.

use crate::sfu::plane::Gate;

use super::Forwarder;
use super::subscription::Origin;

/// How long a new transport is left alone: its peer can read nothing before it has the last message
/// of the handshake, which is sent when the transport is already there.
const SETTLES_US: u64 = 10_000;

impl Forwarder {
    /// Sends the receivers of a publication that have just come what they begin with.
    pub(super) fn serve_newcomers(&mut self, at: usize, now_us: u64) {
        let Some(publication) = self.publications.at_mut(at) else { return };
        let is_asked = std::mem::take(&mut publication.has_newcomers);
        if !is_asked || publication.gate == Gate::Closed {
            return;
        }
        let mut next = 0;
        while let Some(&of) = self.publications.at(at).and_then(|it| it.subscribers.get(next)) {
            self.serve_newcomer(at, of, now_us);
            next += 1;
        }
    }

    fn serve_newcomer(&mut self, at: usize, of: usize, now_us: u64) {
        let Self { publications, subscriptions, transports, outbound, totals, .. } = self;
        let Some(publication) = publications.at_mut(at) else { return };
        let Some(subscription) = subscriptions.at_mut(of) else { return };
        let target = subscription.target;
        let Some(encoding) = publication.encodings.get_mut(usize::from(target)) else { return };
        if !subscription.is_new() || !subscription.awaits_key_frame(encoding.generation) {
            return;
        }
        let Some(slot) = subscription.transport else { return };
        let Some(transport) = transports.at_mut(slot) else { return };
        let Some(recent) = encoding.recent(now_us) else {
            encoding.key_frames.want();
            return;
        };
        if now_us < transport.since_us + SETTLES_US {
            publication.has_newcomers = true;
            return;
        }
        let origin = Origin {
            publication: at,
            encoding: target,
            generation: encoding.generation,
            clock: encoding.clock,
        };
        let first = *recent.start();
        for extended in recent {
            let Some(mut packet) = encoding.ring.packet(extended) else { break };
            packet.key_frame_start = extended == first;
            if !subscription.understands(packet.codec) {
                encoding.key_frames.want();
                break;
            }
            let Some(index) = subscription.number(origin, &packet, |_| None, now_us) else { break };
            if subscription.forward(transport, &packet, index, now_us) {
                totals.packets_forwarded += 1;
                totals.payload_bytes_forwarded += packet.payload.len() as u64;
            } else {
                totals.dropped_full += 1;
            }
        }
        outbound.queue(slot, transport);
    }
}
