//! What comes over a connection of RTSP (RFC 2326 §4 and §10.12), taken apart within bounds:
//! a camera may announce a message of any size, and end none of its lines.

use bytes::{Buf as _, Bytes, BytesMut};

use crate::domain::camera::StreamFault;

/// Largest head of a message, in bytes. The largest that cameras were seen to send has less than
/// 2 KiB. Raising it uses more memory for each camera that sends nonsense.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Largest body, which is a description of some KiB. Raising it does the same.
pub const BODY_BYTES_MAX: usize = 64 << 10;
/// Most headers of a message.
const HEADERS_MAX: usize = 64;
/// What begins a frame, and the bytes before its contents.
const FRAME: u8 = b'$';
const FRAME_HEAD: usize = 4;
/// What an answer begins with.
const VERSION: &str = "RTSP/1.0";

/// A message with its head and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The first line, without its end.
    pub first: String,
    /// The headers, as they came.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// What a connection holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A request or an answer.
    Message(Message),
    /// What was sent on a channel.
    Frame {
        /// The channel.
        channel: u8,
        /// What was sent.
        payload: Bytes,
    },
}

impl Message {
    /// The value of the first header with this name, which is in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// The values of all headers with this name.
    pub fn all<'message>(&'message self, name: &str) -> impl Iterator<Item = &'message str> {
        let named = move |(it, _): &&(String, String)| it.eq_ignore_ascii_case(name);
        self.headers.iter().filter(named).map(|(_, value)| value.as_str())
    }

    /// Replaces all headers with this name by one, or by none.
    pub fn set(&mut self, name: &str, value: Option<String>) {
        self.headers.retain(|(it, _)| !it.eq_ignore_ascii_case(name));
        self.headers.extend(value.map(|value| (name.to_owned(), value)));
    }

    /// Method and address of a request.
    #[must_use]
    pub fn request(&self) -> Option<(&str, &str)> {
        let mut words = self.first.split(' ');
        match (words.next()?, words.next()?, words.next()?) {
            (VERSION, _, _) => None,
            (method, uri, VERSION) => Some((method, uri)),
            _ => None,
        }
    }

    /// The status of an answer.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        let rest = self.first.strip_prefix(VERSION)?.strip_prefix(' ')?;
        rest.get(..3)?.parse().ok()
    }

    /// The message as it is sent.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.first);
        for (name, value) in &self.headers {
            text.extend([name.as_str(), ": ", value.as_str(), "\r\n"]);
        }
        if !self.body.is_empty() {
            let length = self.body.len().to_string();
            text.extend(["content-length: ", length.as_str(), "\r\n"]);
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Reads a head, which ends with an empty line.
    fn read(head: &[u8]) -> Option<Self> {
        // What is no UTF-8 stands in names and reasons that nobody needs.
        let text = String::from_utf8_lossy(head);
        let mut lines = text.split('\n').map(|line| line.trim_end_matches('\r'));
        let first = lines.next()?.to_owned();
        let mut headers = Vec::new();
        for line in lines.take_while(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':')?;
            let is_name = !name.is_empty() && name.bytes().all(|it| it.is_ascii_graphic());
            if !is_name || headers.len() == HEADERS_MAX {
                return None;
            }
            let value: String = value.chars().filter(|it| !it.is_control()).collect();
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let message = Self { first, headers, body: Bytes::new() };
        (message.request().is_some() || message.status().is_some()).then_some(message)
    }
}

/// A frame as it is sent; nothing when it is too long to be one.
#[must_use]
pub fn frame(channel: u8, payload: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(payload.len()).ok()?;
    let mut bytes = Vec::with_capacity(FRAME_HEAD + payload.len());
    bytes.extend([FRAME, channel]);
    bytes.extend(length.to_be_bytes());
    bytes.extend_from_slice(payload);
    Some(bytes)
}

/// Reads a connection. It holds one message or frame at most, beside what was just pushed.
#[derive(Debug, Default)]
pub struct Reader {
    held: BytesMut,
    /// Bytes in which no end of a head was found.
    searched: usize,
    /// A head whose body is not there yet, and how long that is.
    head: Option<(Message, usize)>,
}

impl Reader {
    /// Takes bytes that came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next item, once it is there as a whole.
    ///
    /// # Errors
    /// [`StreamFault::MessageTooLarge`], and [`StreamFault::ProtocolViolated`]; then nothing
    /// that follows can be read.
    pub fn poll(&mut self) -> Result<Option<Item>, StreamFault> {
        if self.head.is_none() {
            while let Some(b'\r' | b'\n') = self.held.first() {
                self.held.advance(1);
                self.searched = 0;
            }
            if self.held.first() == Some(&FRAME) {
                return Ok(self.poll_frame());
            }
            self.read_head()?;
        }
        let is_whole = matches!(&self.head, Some((_, body)) if self.held.len() >= *body);
        if !is_whole {
            return Ok(None);
        }
        let Some((mut message, body)) = self.head.take() else { return Ok(None) };
        message.body = self.held.split_to(body).freeze();
        Ok(Some(Item::Message(message)))
    }

    fn poll_frame(&mut self) -> Option<Item> {
        let [_, channel, high, low] = *self.held.first_chunk::<FRAME_HEAD>()?;
        let end = FRAME_HEAD + usize::from(u16::from_be_bytes([high, low]));
        if self.held.len() < end {
            return None;
        }
        let payload = self.held.split_to(end).freeze().slice(FRAME_HEAD..);
        Some(Item::Frame { channel, payload })
    }

    fn read_head(&mut self) -> Result<(), StreamFault> {
        let Some(end) = self.end_of_head() else {
            let is_too_large = self.held.len() > HEAD_BYTES_MAX;
            return if is_too_large { Err(StreamFault::MessageTooLarge) } else { Ok(()) };
        };
        if end > HEAD_BYTES_MAX {
            return Err(StreamFault::MessageTooLarge);
        }
        let head = self.held.split_to(end);
        self.searched = 0;
        let mut message = Message::read(&head).ok_or(StreamFault::ProtocolViolated)?;
        let body = match message.header("content-length") {
            None => 0,
            // What has more digits than a number of the machine is too large as well.
            Some(length) if length.bytes().all(|it| it.is_ascii_digit()) => {
                length.parse().unwrap_or(usize::MAX)
            }
            Some(_) => return Err(StreamFault::ProtocolViolated),
        };
        if body > BODY_BYTES_MAX {
            return Err(StreamFault::MessageTooLarge);
        }
        message.set("content-length", None);
        self.head = Some((message, body));
        Ok(())
    }

    /// Where the first empty line ends.
    fn end_of_head(&mut self) -> Option<usize> {
        let from = self.searched.saturating_sub(3);
        let rest = self.held.get(from..)?;
        let ends = |at: &usize| {
            let rest = rest.get(*at..).unwrap_or_default();
            rest.starts_with(b"\n\n") || rest.starts_with(b"\n\r\n")
        };
        let Some(at) = (0..rest.len()).find(ends) else {
            self.searched = self.held.len();
            return None;
        };
        let length = if rest.get(at + 1) == Some(&b'\n') { 2 } else { 3 };
        Some(from + at + length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(reader: &mut Reader) -> Vec<Item> {
        std::iter::from_fn(|| reader.poll().expect("well formed")).collect()
    }

    #[test]
    fn messages_and_frames_are_taken_apart_wherever_they_are_cut() {
        let mut sent =
            b"\r\nRTSP/1.0 200 OK\r\nCSeq: 7\r\nContent-Length: 5\r\n\r\nv=0\r\n".to_vec();
        sent.extend(frame(2, b"packet").expect("short"));
        sent.extend(b"OPTIONS * RTSP/1.0\nCSeq: 1\n\n");
        let mut whole = Reader::default();
        whole.push(&sent);
        let items = all(&mut whole);
        let [Item::Message(answer), Item::Frame { channel, payload }, Item::Message(request)] =
            items.as_slice()
        else {
            panic!("{items:?}")
        };
        assert_eq!((answer.status(), answer.header("cseq")), (Some(200), Some("7")));
        assert_eq!(
            (&answer.body[..], *channel, &payload[..]),
            (&b"v=0\r\n"[..], 2, &b"packet"[..])
        );
        assert_eq!(request.request(), Some(("OPTIONS", "*")));
        let mut cut = Reader::default();
        let mut found = Vec::new();
        for byte in &sent {
            cut.push(&[*byte]);
            found.extend(all(&mut cut));
        }
        assert_eq!(found, items);
        let mut again = Reader::default();
        again.push(&answer.bytes());
        assert_eq!(again.poll(), Ok(Some(Item::Message(answer.clone()))));
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_came() {
        for giant in [
            "RTSP/1.0 200 OK\r\nContent-Length: 4000000000\r\n\r\n".to_owned(),
            format!("RTSP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", "9".repeat(99)),
            format!("RTSP/1.0 200 {}", "x".repeat(HEAD_BYTES_MAX)),
            format!("RTSP/1.0 200 OK\r\n{}", "a: b\r\n".repeat(HEAD_BYTES_MAX / 6)),
        ] {
            let mut reader = Reader::default();
            reader.push(giant.as_bytes());
            assert_eq!(reader.poll(), Err(StreamFault::MessageTooLarge));
        }
    }

    #[test]
    fn what_is_no_message_is_refused() {
        for nonsense in [
            "HTTP/1.1 200 OK\r\n\r\n",
            "\0\x01\x02\r\n\r\n",
            "RTSP/1.0 20\r\n\r\n",
            "RTSP/1.0 200 OK\r\nno header\r\n\r\n",
            "RTSP/1.0 200 OK\r\nContent-Length: -1\r\n\r\n",
            &format!("RTSP/1.0 200 OK\r\n{}\r\n", "a: b\r\n".repeat(HEADERS_MAX + 1)),
        ] {
            let mut reader = Reader::default();
            reader.push(nonsense.as_bytes());
            assert_eq!(reader.poll(), Err(StreamFault::ProtocolViolated), "{nonsense:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_no_more_is_held_than_one_item(
            pieces in proptest::collection::vec(
                prop_oneof![
                    Just(b"RTSP/1.0 200 OK\r\n".to_vec()),
                    Just(b"content-length: 70000\r\n\r\n".to_vec()),
                    Just(b"$\0\xFF\xFF".to_vec()),
                    Just(b"\r\n\r\n".to_vec()),
                    proptest::collection::vec(any::<u8>(), 0..64),
                ],
                0..40,
            )
        ) {
            let mut reader = Reader::default();
            for piece in pieces {
                reader.push(&piece);
                loop {
                    match reader.poll() {
                        Ok(Some(_)) => {}
                        Ok(None) => break,
                        Err(_) => return Ok(()),
                    }
                }
                prop_assert!(reader.held.len() <= FRAME_HEAD + usize::from(u16::MAX));
            }
        }
    }
}
