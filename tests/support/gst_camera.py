"""Cameras that share no code with this project: a server of gst-rtsp-server.

Tells its port in one line and serves until its standard input ends:
    /opus     H.264 with a key picture every thirty seconds, and sound in Opus
    /slices   several slices for each picture, in small packets
    /bframes  pictures that are sent in another order than they are shown
    /often    as /opus, with a key picture every second
    /aac      H.264, and sound in AAC
    /pcmu     H.264, and sound in G.711
    /hevc     H.265, and sound in AAC
    /hd       1280 by 720 pictures of at most 2 Mbit/s, and sound in Opus
    /udp      as /often, by UDP and not over the connection
    /clock    pictures that show when each was taken, as in tests/live/page/clock.js
"""

import sys
import threading
import time

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

PICTURES = "videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=15/1 ! "
TONE = "audiotestsrc is-live=true ! audioconvert ! audioresample ! "
SOUND = TONE + "opusenc ! rtpopuspay name=pay1 pt=97"
AAC = (
    TONE + "audio/x-raw,rate=48000,channels=2 ! voaacenc ! aacparse ! rtpmp4gpay name=pay1 pt=97"
)
BASELINE = " ! video/x-h264,profile=constrained-baseline ! rtph264pay name=pay0 pt=96 "
OFTEN = "x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max=15"
HD = (
    "videotestsrc is-live=true pattern=ball ! video/x-raw,width=1280,height=720,framerate=25/1 ! "
    "x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max=25 pass=cbr bitrate=2000"
)
CLOCK_COLUMNS, CLOCK_ROWS, CLOCK_RATE = 8, 4, 15
CLOCK_WIDTH, CLOCK_HEIGHT = 640, 360
CLOCK = (
    "appsrc name=clock is-live=true format=time do-timestamp=true stream-type=seekable ! "
    f"video/x-raw,format=GRAY8,width={CLOCK_WIDTH},height={CLOCK_HEIGHT},"
    f"framerate={CLOCK_RATE}/1 ! videoconvert ! video/x-raw,format=I420 ! "
)
CAMERAS = {
    "/opus": "x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max=450"
    + BASELINE
    + SOUND,
    "/slices": "x264enc tune=zerolatency speed-preset=ultrafast sliced-threads=true threads=4 "
    "key-int-max=15" + BASELINE + "mtu=700",
    "/often": OFTEN + BASELINE + SOUND,
    "/udp": OFTEN + BASELINE + SOUND,
    "/clock": CLOCK + OFTEN + BASELINE + SOUND,
    "/hd": HD + BASELINE + SOUND,
    "/aac": OFTEN + BASELINE + AAC,
    "/pcmu": OFTEN + BASELINE + TONE + "audio/x-raw,rate=8000,channels=1 ! mulawenc "
    "! rtppcmupay name=pay1",
    "/hevc": "x265enc tune=zerolatency speed-preset=ultrafast key-int-max=15 "
    "! video/x-h265,profile=main ! h265parse ! rtph265pay name=pay0 pt=96 " + AAC,
    "/bframes": "x264enc bframes=3 key-int-max=15 ! video/x-h264,profile=main "
    "! rtph264pay name=pay0 pt=96",
}


def clock_picture():
    """A picture that shows the milliseconds since 1970."""
    now = time.time_ns() // 1_000_000 % 2**24
    check = ((now >> 16 ^ now >> 8 ^ now) & 0xFF) ^ 0xA5
    blocks = [255 if bit == "1" else 0 for bit in f"{now * 256 + check:032b}"]
    picture = b""
    for row in range(CLOCK_ROWS):
        shown = blocks[row * CLOCK_COLUMNS : (row + 1) * CLOCK_COLUMNS]
        line = b"".join(bytes([light]) * (CLOCK_WIDTH // CLOCK_COLUMNS) for light in shown)
        picture += line * (CLOCK_HEIGHT // CLOCK_ROWS)
    return picture


def show_the_time(_factory, media):
    source = media.get_element().get_by_name("clock")

    # A client that begins to play has everything sought to the beginning.
    source.connect("seek-data", lambda _source, _position: True)

    def take():
        # Refused until it plays.
        source.emit("push-buffer", Gst.Buffer.new_wrapped(clock_picture()))
        return GLib.SOURCE_CONTINUE

    timer = GLib.timeout_add(1000 // CLOCK_RATE, take)
    media.connect("unprepared", lambda _media: GLib.source_remove(timer))


def main():
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    for path, encoder in CAMERAS.items():
        factory = GstRtspServer.RTSPMediaFactory()
        pictures = "" if path in ("/hd", "/clock") else PICTURES
        factory.set_launch(f"( {pictures}{encoder} )")
        factory.set_shared(True)
        if path == "/clock":
            factory.connect("media-configure", show_the_time)
        if path == "/udp":
            factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP)
        server.get_mount_points().add_factory(path, factory)
    server.attach(None)
    loop = GLib.MainLoop()
    print(server.get_bound_port(), flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    loop.run()


main()
