"""An independent WebRTC client: publishes by WHIP or receives by WHEP.

    peer.py whip|whep ENDPOINT        the access token is in $CABILDO_TOKEN

Tells what happens as one JSON object per line and goes on until its standard
input ends; then it takes the resource away and tells the answer.
"""

import asyncio
import fractions
import json
import math
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

import numpy
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, VideoFrame

RATE_HZ = 48_000
TONE_HZ = 660
SAMPLES = 960
FRAMES_PER_S = 15
WIDTH, HEIGHT = 640, 360


def tell(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


class Tone(MediaStreamTrack):
    """A steady tone in frames of 20 ms."""

    kind = "audio"

    def __init__(self):
        super().__init__()
        self.sent = 0
        self.begun = None

    async def recv(self):
        loop = asyncio.get_running_loop()
        self.begun = self.begun or loop.time()
        await asyncio.sleep(max(0, self.begun + self.sent / RATE_HZ - loop.time()))
        phase = 2 * math.pi * TONE_HZ * (numpy.arange(SAMPLES) + self.sent) / RATE_HZ
        samples = (numpy.sin(phase) * 8_000).astype(numpy.int16).reshape(1, -1)
        frame = AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = RATE_HZ
        frame.pts = self.sent
        frame.time_base = fractions.Fraction(1, RATE_HZ)
        self.sent += SAMPLES
        return frame


class Picture(MediaStreamTrack):
    """A bar that wanders over a grey ground."""

    kind = "video"

    def __init__(self):
        super().__init__()
        self.sent = 0
        self.begun = None

    async def recv(self):
        loop = asyncio.get_running_loop()
        self.begun = self.begun or loop.time()
        await asyncio.sleep(max(0, self.begun + self.sent / FRAMES_PER_S - loop.time()))
        pixels = numpy.full((HEIGHT, WIDTH, 3), 96, dtype=numpy.uint8)
        left = (self.sent * 8) % (WIDTH - 40)
        pixels[:, left : left + 40] = (255, 0, 0)
        frame = VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts = self.sent * 90_000 // FRAMES_PER_S
        frame.time_base = fractions.Fraction(1, 90_000)
        self.sent += 1
        return frame


def call(method, url, body=None):
    headers = {"Authorization": f"Bearer {os.environ['CABILDO_TOKEN']}"}
    if body is not None:
        headers["Content-Type"] = "application/sdp"
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.headers, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


async def listen(track):
    """Tells how much of a track has been decoded, now and then."""
    count = 0
    while True:
        try:
            frame = await track.recv()
        except MediaStreamError:
            return
        count += 1
        if track.kind == "video" and count % 10 == 0:
            tell("video", frames=count, width=frame.width, height=frame.height)
        if track.kind == "audio" and count % 25 == 0:
            samples = frame.to_ndarray().astype(float)
            tell("audio", frames=count, rms=float(numpy.sqrt(numpy.mean(samples**2))))


async def negotiate(peer, kind, endpoint):
    if kind == "whip":
        for track in (Tone(), Picture()):
            peer.addTransceiver(track, direction="sendonly")
    else:
        for media in ("audio", "video"):
            peer.addTransceiver(media, direction="recvonly")
    await peer.setLocalDescription(await peer.createOffer())
    offer = peer.localDescription.sdp.encode()
    status, headers, body = await asyncio.to_thread(call, "POST", endpoint, offer)
    location = headers.get("Location")
    tell("answered", status=status, location=location, type=headers.get("Content-Type"))
    if status != 201:
        tell("refused", body=body)
        return None
    await peer.setRemoteDescription(RTCSessionDescription(body, "answer"))
    return urllib.parse.urljoin(endpoint, location)


async def main():
    kind, endpoint = sys.argv[1:]
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    tasks = set()

    @peer.on("connectionstatechange")
    def _():
        tell("state", state=peer.connectionState)

    @peer.on("track")
    def _(track):
        tasks.add(asyncio.create_task(listen(track)))

    resource = await negotiate(peer, kind, endpoint)
    if resource is not None:
        await asyncio.to_thread(sys.stdin.read)
        status, _, _ = await asyncio.to_thread(call, "DELETE", resource)
        tell("deleted", status=status)
        status, _, body = await asyncio.to_thread(call, "DELETE", resource)
        tell("deleted_again", status=status, body=body)
    await peer.close()


if __name__ == "__main__":
    asyncio.run(main())
