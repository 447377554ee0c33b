"""An independent WebRTC client that sends a tone and a picture.

Writes its offer as one JSON line, reads the answer as another, tells what becomes of
its connection, and goes on until its standard input ends.
"""

import asyncio
import json
import sys

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from peer import Picture, Tone, tell


async def main():
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))

    @peer.on("connectionstatechange")
    def _():
        tell("state", state=peer.connectionState)

    for track in (Tone(), Picture()):
        peer.addTransceiver(track, direction="sendonly")
    await peer.setLocalDescription(await peer.createOffer())
    tell("offer", sdp=peer.localDescription.sdp)
    answer = json.loads(await asyncio.to_thread(sys.stdin.readline))
    await peer.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
    await asyncio.to_thread(sys.stdin.read)
    await peer.close()


if __name__ == "__main__":
    asyncio.run(main())
