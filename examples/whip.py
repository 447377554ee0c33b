"""Publishes a tone and a moving picture to a session by WHIP (RFC 9725), or
plays what is published by its twin, WHEP, with aiortc: a client that shares
nothing with this server.

    python examples/whip.py publish http://localhost:3014/api/v1/sessions/ID/whip TOKEN
    python examples/whip.py play    http://localhost:3014/api/v1/sessions/ID/whep TOKEN

TOKEN is a media token, as `examples/media_token.py` makes it. Runs for SECONDS (default 5); fails when no media flowed.
"""

import asyncio
import fractions
import os
import sys
from urllib.parse import urljoin

import aiohttp
import av
import numpy
from aiortc import (
    AudioStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
    VideoStreamTrack,
)

SECONDS = float(os.environ.get("SECONDS_TO_RUN", "5"))


class Tone(AudioStreamTrack):
    """440 Hz in 20 ms frames, paced by the silent track it replaces."""

    async def recv(self):
        silence = await super().recv()
        count, rate = silence.samples, silence.sample_rate
        moments = (silence.pts + numpy.arange(count)) / rate
        samples = (numpy.sin(moments * 440 * 2 * numpy.pi) * 8000).astype(numpy.int16)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.pts, frame.sample_rate = silence.pts, rate
        frame.time_base = fractions.Fraction(1, rate)
        return frame


class Picture(VideoStreamTrack):
    """A bar that moves."""

    async def recv(self):
        pts, time_base = await self.next_timestamp()
        pixels = numpy.full((240, 320, 3), 40, dtype=numpy.uint8)
        at = pts // 3000 * 4 % 300
        pixels[:, at : at + 20] = (40, 180, 90)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts, frame.time_base = pts, time_base
        return frame


async def count(track, received):
    while True:
        await track.recv()
        received[track.kind] = received.get(track.kind, 0) + 1


async def sent_packets(peer):
    report = await peer.getStats()
    return sum(one.packetsSent for one in report.values() if one.type == "outbound-rtp")


async def main(action, url, token):
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    received, counters = {}, []
    if action == "publish":
        peer.addTransceiver(Tone(), direction="sendonly")
        peer.addTransceiver(Picture(), direction="sendonly")
    else:
        peer.addTransceiver("audio", direction="recvonly")
        peer.addTransceiver("video", direction="recvonly")
        peer.on("track", lambda track: counters.append(asyncio.ensure_future(count(track, received))))
    await peer.setLocalDescription(await peer.createOffer())
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession(headers=headers) as http:
        offer = peer.localDescription.sdp
        async with http.post(url, data=offer, headers={"Content-Type": "application/sdp"}) as answer:
            text = await answer.text()
            if answer.status != 201:
                sys.exit(f"{answer.status}: {text}")
            resource = urljoin(url, answer.headers["Location"])
        await peer.setRemoteDescription(RTCSessionDescription(text, "answer"))
        await asyncio.sleep(SECONDS)
        if action == "publish":
            flowed = await sent_packets(peer)
            print(f"{peer.connectionState}, {flowed} packets sent")
        else:
            flowed = received.get("video", 0)
            print(f"{peer.connectionState}, frames received: {received}")
        connected = peer.connectionState == "connected"
        for counter in counters:
            counter.cancel()
        async with http.delete(resource) as ended:
            ended.raise_for_status()
        await peer.close()
    if not connected or not flowed:
        sys.exit("no media flowed")


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ("publish", "play"):
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:]))
