//! What of an offer (RFC 8866) a capture can be made of: H.264 in packetization mode 1, and Opus.
//! Everything else is taken out, so that the device sends nothing else.

use std::collections::{BTreeMap, BTreeSet};

/// Longest offer that is looked at, in bytes. The media plane has the same limit for its own.
const OFFER_BYTES_MAX: usize = 64 << 10;

/// A format of a section, as its lines tell.
#[derive(Debug, Default)]
struct Format<'offer> {
    encoding: &'offer str,
    parameters: &'offer str,
}

/// The offer without the formats that captures can't hold.
pub(super) fn restricted(offer: &str) -> Result<String, &'static str> {
    if offer.len() > OFFER_BYTES_MAX {
        return Err("the offer is too long");
    }
    let lines: Vec<&str> = offer.lines().collect();
    let starts = lines.iter().enumerate().filter(|(_, line)| line.starts_with("m="));
    let starts: Vec<usize> = starts.map(|(number, _)| number).collect();
    let mut kept = String::with_capacity(offer.len());
    let mut has_pictures = false;
    let head = starts.first().copied().unwrap_or(lines.len());
    push(&mut kept, lines.iter().take(head));
    for (index, start) in starts.iter().enumerate() {
        let end = starts.get(index + 1).copied().unwrap_or(lines.len());
        let section = lines.get(*start..end).unwrap_or_default();
        let first = section.first().copied().unwrap_or_default();
        let usable = usable(section);
        if usable.is_empty() {
            // The media plane refuses what it does not know, and counts sections.
            if first.starts_with("m=video") {
                return Err("a section of pictures has no H.264 in packetization mode 1");
            }
            push(&mut kept, section.iter());
            continue;
        }
        has_pictures |= first.starts_with("m=video");
        let words = first.split(' ').enumerate();
        let words = words.filter(|(number, word)| *number < 3 || usable.contains(word));
        let words: Vec<&str> = words.map(|(_, word)| word).collect();
        kept.push_str(&words.join(" "));
        kept.push_str("\r\n");
        let rest = section.iter().skip(1);
        push(&mut kept, rest.filter(|it| format_of(it).is_none_or(|it| usable.contains(it))));
    }
    if has_pictures { Ok(kept) } else { Err("the offer has no pictures in H.264") }
}

fn push<'line>(into: &mut String, lines: impl Iterator<Item = &'line &'line str>) {
    for line in lines {
        into.push_str(line);
        into.push_str("\r\n");
    }
}

/// The payload type that a line is about, if it is about one.
fn format_of(line: &str) -> Option<&str> {
    let names = ["a=rtpmap:", "a=fmtp:", "a=rtcp-fb:"];
    let rest = names.iter().find_map(|name| line.strip_prefix(name))?;
    let format = rest.split(' ').next()?;
    (format != "*").then_some(format)
}

/// The payload types of a section that can be used, with those that repeat them (RFC 4588).
fn usable<'offer>(section: &[&'offer str]) -> BTreeSet<&'offer str> {
    let mut formats: BTreeMap<&str, Format<'_>> = BTreeMap::new();
    for line in section {
        let Some(number) = format_of(line) else { continue };
        let value = line.split_once(' ').map_or("", |(_, value)| value);
        let format = formats.entry(number).or_default();
        if line.starts_with("a=rtpmap:") {
            format.encoding = value.split('/').next().unwrap_or(value);
        } else if line.starts_with("a=fmtp:") {
            format.parameters = value;
        }
    }
    let is = |format: &Format<'_>, name: &str| format.encoding.eq_ignore_ascii_case(name);
    let own = formats.iter().filter(|(_, format)| {
        let mode = parameter(format.parameters, "packetization-mode");
        is(format, "opus") || (is(format, "H264") && mode == Some("1"))
    });
    let own: BTreeSet<&str> = own.map(|(number, _)| *number).collect();
    let repeating = formats.iter().filter(|(_, format)| {
        let of = parameter(format.parameters, "apt");
        is(format, "rtx") && of.is_some_and(|of| own.contains(of))
    });
    own.iter().copied().chain(repeating.map(|(number, _)| *number)).collect()
}

fn parameter<'line>(parameters: &'line str, wanted: &str) -> Option<&'line str> {
    let mut pairs = parameters.split(';').filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n";

    fn with(section: &str) -> Result<String, &'static str> {
        restricted(&format!("{HEAD}{section}"))
    }

    #[test]
    fn what_a_capture_can_not_hold_is_taken_out() {
        let audio = "m=audio 9 UDP/TLS/RTP/SAVPF 111 9\r\na=mid:0\r\na=rtpmap:111 opus/48000/2\r\n\
                     a=fmtp:111 minptime=10;useinbandfec=1\r\na=rtpmap:9 G722/8000\r\n";
        let video = "m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 100\r\na=mid:1\r\na=rtpmap:96 VP8/90000\r\n\
                     a=rtcp-fb:96 nack\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n\
                     a=rtpmap:98 H264/90000\r\na=fmtp:98 profile-level-id=42e01f; packetization-mode=1\r\n\
                     a=rtcp-fb:98 nack pli\r\na=rtcp-fb:* transport-cc\r\na=rtpmap:99 rtx/90000\r\n\
                     a=fmtp:99 apt=98\r\na=rtpmap:100 H264/90000\r\na=fmtp:100 packetization-mode=0\r\n";
        let kept = with(&format!("{audio}{video}")).expect("usable");
        let expected = format!(
            "{HEAD}m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=rtpmap:111 opus/48000/2\r\n\
             a=fmtp:111 minptime=10;useinbandfec=1\r\nm=video 9 UDP/TLS/RTP/SAVPF 98 99\r\na=mid:1\r\n\
             a=rtpmap:98 H264/90000\r\na=fmtp:98 profile-level-id=42e01f; packetization-mode=1\r\n\
             a=rtcp-fb:98 nack pli\r\na=rtcp-fb:* transport-cc\r\na=rtpmap:99 rtx/90000\r\n\
             a=fmtp:99 apt=98\r\n"
        );
        assert_eq!(kept, expected);
        assert_eq!(restricted(&kept).as_deref(), Ok(kept.as_str()), "it is kept as it is");
    }

    #[test]
    fn an_offer_without_pictures_that_can_be_kept_is_refused() {
        for section in [
            "",
            "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\n",
            "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\n",
            "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 H264/90000\r\n",
            "m=video 9 UDP/TLS/RTP/SAVPF 96\r\n",
            "m=video",
        ] {
            assert!(with(section).is_err(), "{section:?}");
        }
        let long = "a=x\r\n".repeat(OFFER_BYTES_MAX / 5 + 1);
        assert_eq!(with(&long), Err("the offer is too long"));
    }
}
