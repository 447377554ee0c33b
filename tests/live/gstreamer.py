"""GStreamer's webrtcbin, on which many encoders and players are built: publishes by WHIP or
receives by WHEP.

    gstreamer.py whip|whep ENDPOINT h264|vp8 [ADDRESS:PORT [trickle]]

The access token is in $CABILDO_TOKEN. The server's media is reached at ADDRESS:PORT instead of
where the answer says, if that is given. With `trickle` the offer goes out before its candidates are
known, and they follow. A publisher sends a tone and a picture that shows the
time as page/clock.js does. It needs the Python for which Debian has GStreamer.

Tells what happens as one JSON object per line and goes on until its standard input ends; then it
takes the resource away and tells the answer.
"""

import json
import os
import re
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

RATE_HZ = 48_000
TONE_HZ = 660
FRAMES_PER_S = 10
WIDTH, HEIGHT = 640, 360
COLUMNS, ROWS = 8, 4
DARK, LIGHT, GREY = 16, 235, 128

ENCODERS = {
    "h264": "x264enc tune=zerolatency speed-preset=ultrafast bitrate=600 key-int-max=30"
    " ! video/x-h264,profile=constrained-baseline"
    " ! rtph264pay aggregate-mode=zero-latency config-interval=-1 pt=96"
    " ! application/x-rtp,media=video,encoding-name=H264,payload=96",
    "vp8": "vp8enc deadline=1 cpu-used=8 target-bitrate=600000 keyframe-max-dist=30"
    " ! rtpvp8pay pt=96 ! application/x-rtp,media=video,encoding-name=VP8,payload=96",
}
DECODERS = {
    "H264": "rtph264depay ! h264parse ! avdec_h264",
    "VP8": "rtpvp8depay ! vp8dec",
    "OPUS": "rtpopusdepay ! opusdec",
}
FORMATS = {
    "h264": "application/x-rtp,media=video,encoding-name=H264,clock-rate=90000,payload=96,"
    "packetization-mode=(string)1,profile-level-id=(string)42e01f",
    "vp8": "application/x-rtp,media=video,encoding-name=VP8,clock-rate=90000,payload=96",
}
SOUND_FORMAT = (
    "application/x-rtp,media=audio,encoding-name=OPUS,clock-rate=48000,"
    "encoding-params=(string)2,payload=97"
)
PEER = "webrtcbin name=peer bundle-policy=max-bundle"
PUBLISHER = (
    f"{PEER} appsrc name=picture is-live=true do-timestamp=true format=time"
    f" caps=video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate={FRAMES_PER_S}/1"
    " ! {encoder} ! queue ! peer."
    f" audiotestsrc is-live=true freq={TONE_HZ} volume=0.3"
    f" ! audio/x-raw,rate={RATE_HZ},channels=2 ! opusenc ! rtpopuspay pt=97"
    " ! application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! queue ! peer."
)
# A pipeline of one element needs to be told that it is one.
PIPELINES = {"whip": PUBLISHER, "whep": f"pipeline.( {PEER} )"}


# Pictures, sound and the connection are told of by threads of their own.
telling = threading.Lock()


def tell(event, **fields):
    with telling:
        print(json.dumps({"event": event, **fields}), flush=True)


def check_of(moment):
    return ((moment >> 16) ^ (moment >> 8) ^ moment) & 0xFF ^ 0xA5


def picture():
    """A picture that shows the time."""
    moment = time.time_ns() // 1_000_000 % 2**24
    bits = moment << 8 | check_of(moment)
    luma = bytearray()
    for row in range(ROWS):
        line = bytearray()
        for column in range(COLUMNS):
            is_light = bits >> (COLUMNS * ROWS - 1 - row * COLUMNS - column) & 1
            line += bytes([LIGHT if is_light else DARK]) * (WIDTH // COLUMNS)
        luma += line * (HEIGHT // ROWS)
    return bytes(luma) + bytes([GREY]) * (WIDTH * HEIGHT // 2)


def time_of(luma, width, height):
    """The time that a picture shows, or None when it can't be read."""
    bits = 0
    for block in range(COLUMNS * ROWS):
        x = (2 * (block % COLUMNS) + 1) * width // (2 * COLUMNS)
        y = (2 * (block // COLUMNS) + 1) * height // (2 * ROWS)
        bits = bits << 1 | (luma[y * width + x] > 110)
    moment = bits >> 8
    return moment if bits & 0xFF == check_of(moment) else None


def call(method, url, body=None, kind="application/sdp", **headers):
    headers["Authorization"] = f"Bearer {os.environ['CABILDO_TOKEN']}"
    if body is not None:
        headers["Content-Type"] = kind
    data = None if body is None else body.encode()
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.headers, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


def reached_at(sdp, address):
    """The answer with another address for media over UDP, and no other way."""
    host, _, port = address.rpartition(":")
    sdp = re.sub(r"a=candidate:\S+ \d+ tcp .*\r\n", "", sdp, flags=re.IGNORECASE)
    candidate = re.compile(r"^(a=candidate:\S+ \d+ udp \d+) \S+ \d+ ", re.IGNORECASE | re.MULTILINE)
    return candidate.sub(rf"\1 {host} {port} ", sdp)


def fragment_of(offer):
    """The candidates of an offer as a fragment of SDP (RFC 8840)."""
    section = offer[offer.index("m=") :]
    section = section[: section.find("m=", 2)]
    wanted = ("a=ice-ufrag:", "a=ice-pwd:", "m=", "a=mid:", "a=candidate:")
    lines = [line for line in section.splitlines() if line.startswith(wanted)]
    return "\r\n".join([*lines, "a=end-of-candidates", ""])


class Session:
    """One connection, from its offer until its resource is taken away."""

    def __init__(self, kind, endpoint, codec, address=None, trickle=None):
        self.endpoint, self.address, self.trickles = endpoint, address, trickle == "trickle"
        self.resource, self.offered = None, False
        self.loop = GLib.MainLoop()
        self.pipeline = Gst.parse_launch(PIPELINES[kind].format(encoder=ENCODERS[codec]))
        self.peer = self.pipeline.get_by_name("peer")
        self.peer.connect("notify::connection-state", self.handle_state)
        self.peer.connect("notify::ice-gathering-state", self.handle_gathered)
        self.peer.connect("on-negotiation-needed", self.offer)
        self.peer.connect("pad-added", self.receive)
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message::error", self.handle_error)
        if kind == "whep":
            for caps in (FORMATS[codec], SOUND_FORMAT):
                direction = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY
                self.peer.emit("add-transceiver", direction, Gst.Caps.from_string(caps))
        else:
            for index in range(2):
                transceiver = self.peer.emit("get-transceiver", index)
                transceiver.set_property(
                    "direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY
                )
            source = self.pipeline.get_by_name("picture")
            GLib.timeout_add(1_000 // FRAMES_PER_S, self.show, source)

    def run(self):
        threading.Thread(target=self.wait_for_end, daemon=True).start()
        self.pipeline.set_state(Gst.State.PLAYING)
        self.loop.run()
        self.pipeline.set_state(Gst.State.NULL)

    def wait_for_end(self):
        sys.stdin.read()
        if self.resource is not None:
            status, _, _ = call("DELETE", self.resource)
            tell("deleted", status=status)
        self.loop.quit()

    def handle_error(self, _bus, message):
        error, _ = message.parse_error()
        tell("failed", error=error.message)

    def handle_state(self, peer, _property):
        tell("state", state=peer.get_property("connection-state").value_nick)

    def show(self, source):
        source.emit("push-buffer", Gst.Buffer.new_wrapped(picture()))
        return GLib.SOURCE_CONTINUE

    def offer(self, peer):
        promise = Gst.Promise.new_with_change_func(self.handle_offer, None)
        peer.emit("create-offer", None, promise)

    def handle_offer(self, promise, _data):
        # The offer is a part of the reply and ends with it.
        reply = promise.get_reply()
        described = Gst.Promise.new_with_change_func(self.handle_described, None)
        self.peer.emit("set-local-description", reply.get_value("offer"), described)

    def handle_described(self, _promise, _data):
        GLib.idle_add(self.signal)

    def handle_gathered(self, _peer, _property):
        GLib.idle_add(self.signal)

    def signal(self):
        """Sends the offer, and its candidates after it, once they are there."""
        complete = GstWebRTC.WebRTCICEGatheringState.COMPLETE
        gathered = self.peer.get_property("ice-gathering-state") == complete
        offer = self.peer.get_property("local-description").sdp.as_text()
        if not self.offered and (gathered or self.trickles):
            self.offered = True
            self.negotiate(offer)
        if gathered and self.trickles and self.resource is not None:
            kind, tag = "application/trickle-ice-sdpfrag", {"If-Match": self.tag}
            status, _, body = call("PATCH", self.resource, fragment_of(offer), kind, **tag)
            tell("trickled", status=status, body=body)
        return GLib.SOURCE_REMOVE

    def negotiate(self, offer):
        status, headers, body = call("POST", self.endpoint, offer)
        location = headers.get("Location")
        tell("answered", status=status, location=location, offer=offer, body=body)
        if status == 201:
            self.resource, self.tag = urllib.parse.urljoin(self.endpoint, location), headers["ETag"]
            text = body if self.address is None else reached_at(body, self.address)
            _, sdp = GstSdp.SDPMessage.new_from_text(text)
            answer = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
            self.peer.emit("set-remote-description", answer, None)

    def receive(self, _peer, pad):
        if pad.get_direction() != Gst.PadDirection.SRC:
            return
        caps = pad.get_current_caps().get_structure(0)
        decoder = DECODERS[caps.get_string("encoding-name")]
        kind = caps.get_string("media")
        if kind == "video":
            convert = "videoconvert ! video/x-raw,format=I420"
        else:
            convert = f"audioconvert ! audio/x-raw,format=S16LE,channels=1,rate={RATE_HZ}"
        sink = "appsink name=sink emit-signals=true sync=false"
        received = Gst.parse_bin_from_description(f"queue ! {decoder} ! {convert} ! {sink}", True)
        counted = {"frames": 0, "samples": b""}
        listen = self.see if kind == "video" else self.hear
        received.get_by_name("sink").connect("new-sample", listen, counted)
        self.pipeline.add(received)
        received.sync_state_with_parent()
        pad.link(received.get_static_pad("sink"))

    def see(self, sink, counted):
        sample = sink.emit("pull-sample")
        counted["frames"] += 1
        if counted["frames"] % 5 == 0:
            caps = sample.get_caps().get_structure(0)
            width, height = (caps.get_int(name).value for name in ("width", "height"))
            luma = sample.get_buffer().extract_dup(0, width * height)
            shows = time_of(luma, width, height)
            late = None
            if shows is not None:
                late = (time.time_ns() // 1_000_000 - shows) % 2**24
            tell("video", frames=counted["frames"], width=width, late_ms=late)
        return Gst.FlowReturn.OK

    def hear(self, sink, counted):
        buffer = sink.emit("pull-sample").get_buffer()
        counted["frames"] += 1
        counted["samples"] += buffer.extract_dup(0, buffer.get_size())
        if counted["frames"] % 25 == 0:
            samples = memoryview(counted["samples"]).cast("h")
            counted["samples"] = b""
            rises = sum(a < 0 <= b for a, b in zip(samples, samples[1:]))
            rms = (sum(one * one for one in samples) / len(samples)) ** 0.5
            hertz = rises * RATE_HZ / len(samples)
            tell("audio", frames=counted["frames"], rms=rms, hertz=hertz)
        return Gst.FlowReturn.OK


Gst.init(None)
Session(*sys.argv[1:]).run()
