"""Cameras that share no code with this project: a server of gst-rtsp-server.

Tells its port in one line and serves until its standard input ends:
    /opus     H.264 with a key picture every thirty seconds, and sound in Opus
    /slices   several slices for each picture, in small packets
    /bframes  pictures that are sent in another order than they are shown
"""

import sys
import threading

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

PICTURES = "videotestsrc is-live=true ! video/x-raw,width=320,height=180,framerate=15/1 ! "
SOUND = (
    "audiotestsrc is-live=true ! audioconvert ! audioresample ! opusenc ! rtpopuspay name=pay1 pt=97"
)
BASELINE = " ! video/x-h264,profile=constrained-baseline ! rtph264pay name=pay0 pt=96 "
CAMERAS = {
    "/opus": "x264enc tune=zerolatency speed-preset=ultrafast threads=1 key-int-max=450"
    + BASELINE
    + SOUND,
    "/slices": "x264enc tune=zerolatency speed-preset=ultrafast sliced-threads=true threads=4 "
    "key-int-max=15" + BASELINE + "mtu=700",
    "/bframes": "x264enc bframes=3 key-int-max=15 ! video/x-h264,profile=main "
    "! rtph264pay name=pay0 pt=96",
}


def main():
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    for path, encoder in CAMERAS.items():
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(f"( {PICTURES}{encoder} )")
        factory.set_shared(True)
        server.get_mount_points().add_factory(path, factory)
    server.attach(None)
    loop = GLib.MainLoop()
    print(server.get_bound_port(), flush=True)
    threading.Thread(target=lambda: (sys.stdin.read(), loop.quit()), daemon=True).start()
    loop.run()


main()
