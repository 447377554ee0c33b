"""An independent client of TURN: offers by WHIP, takes a TURN server from the `Link` headers of
the answer, and runs ICE through it only.

    relay.py udp|tcp|tls ENDPOINT     the access token is in $CABILDO_TOKEN

Tells what happens as one JSON object per line and goes on until its standard input ends.
"""

import asyncio
import json
import os
import re
import sys
import urllib.request

from aioice import Candidate, Connection, TransportPolicy

OFFER = """v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=ice-ufrag:{ufrag}
a=ice-pwd:{pwd}
a=fingerprint:sha-256 {fingerprint}
a=setup:actpass
a=mid:0
a=sendonly
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=ssrc:11110 cname:c
"""
LINK = re.compile(
    r'<(?P<scheme>turns?):(?P<host>[^:>]+):(?P<port>\d+)\?transport=(?P<transport>\w+)>; '
    r'rel="ice-server"; username="(?P<username>[^"]*)"; credential="(?P<credential>[^"]*)"; '
    r'credential-type="password"'
)


def tell(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def post(endpoint, offer):
    headers = {
        "Authorization": f"Bearer {os.environ['CABILDO_TOKEN']}",
        "Content-Type": "application/sdp",
    }
    request = urllib.request.Request(endpoint, offer.encode(), headers, method="POST")
    with urllib.request.urlopen(request, timeout=60) as response:
        return response.headers.get_all("Link", []), response.read().decode()


def server_of(links, way):
    """The TURN server; over UDP it is at the address at which it is told over TCP."""
    wanted = "turns" if way == "tls" else "turn"
    for link in links:
        found = LINK.fullmatch(link)
        if found and (found["scheme"], found["transport"]) == (wanted, "tcp"):
            return found
    raise SystemExit(f"no server for {way} in {links}")


def value(sdp, key):
    return re.search(rf"^a={key}:(\S+)", sdp, re.MULTILINE)[1]


async def main():
    way, endpoint = sys.argv[1:]
    connection = Connection(ice_controlling=True, transport_policy=TransportPolicy.RELAY)
    offer = OFFER.format(
        ufrag=connection.local_username,
        pwd=connection.local_password,
        fingerprint=":".join(["07"] * 32),
    )
    links, answer = await asyncio.to_thread(post, endpoint, offer.replace("\n", "\r\n"))
    server = server_of(links, way)
    connection.turn_server = (server["host"], int(server["port"]))
    connection.turn_username = server["username"]
    connection.turn_password = server["credential"]
    connection.turn_transport = "udp" if way == "udp" else "tcp"
    connection.turn_ssl = server["scheme"] == "turns"
    await connection.gather_candidates()
    tell("gathered", types=[candidate.type for candidate in connection.local_candidates])
    connection.remote_username = value(answer, "ice-ufrag")
    connection.remote_password = value(answer, "ice-pwd")
    for line in re.findall(r"^a=candidate:(.* udp .*?)\r?$", answer, re.MULTILINE):
        await connection.add_remote_candidate(Candidate.from_sdp(line))
    await connection.add_remote_candidate(None)
    await connection.connect()
    tell("connected")
    await asyncio.to_thread(sys.stdin.read)
    await connection.close()


asyncio.run(main())
