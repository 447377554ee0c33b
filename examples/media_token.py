"""Makes a media token with a proof of possession (RFC 9449) and prints it.

    python3 examples/media_token.py http://localhost:3014 TENANT SESSION USER whip|whep [ROLE] [--speak-without-turn]

The access token comes from the issuer of `cabildo serve --dev`; elsewhere it comes
from the identity service, and the rest is the same.
"""

import base64
import hashlib
import json
import sys
import time
import urllib.error
import urllib.request
import uuid

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

LIFE_SECONDS = 3600


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def post(url, body, headers):
    """Status, headers and JSON of the answer."""
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **headers})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers, json.load(answer)
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.headers, json.load(refusal)


class Key:
    def __init__(self):
        self.private = ec.generate_private_key(ec.SECP256R1())
        numbers = self.private.public_key().public_numbers()
        x, y = (b64(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
        self.jwk = {"crv": "P-256", "kty": "EC", "x": x, "y": y}

    def thumbprint(self):
        """RFC 7638: the members in the order of their names, without spaces."""
        text = json.dumps(self.jwk, sort_keys=True, separators=(",", ":"))
        return b64(hashlib.sha256(text.encode()).digest())

    def proof(self, method, url, token, nonce):
        header = {"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk}
        claims = {
            "jti": str(uuid.uuid4()),
            "htm": method,
            "htu": url,
            "iat": int(time.time()),
            "ath": b64(hashlib.sha256(token.encode()).digest()),
        }
        if nonce:
            claims["nonce"] = nonce
        signed = ".".join(b64(json.dumps(part).encode()) for part in (header, claims))
        r, s = decode_dss_signature(self.private.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return signed + "." + b64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def main(server, tenant, session, user, kind, role="participant", *flags):
    key = Key()
    wanted = {"kind": kind, "ttl_s": LIFE_SECONDS}
    if "--speak-without-turn" in flags:
        wanted["speak_without_turn"] = True
    who = {"tenant_id": tenant, "user_id": user, "name": user, "roles": [role]}
    status, _, answer = post(f"{server}/dev/token", {**who, "jkt": key.thumbprint()}, {})
    if status != 200:
        sys.exit(f"{status}: {answer}")
    token = answer["access_token"]
    url = f"{server}/api/v1/sessions/{session}/media-tokens"
    nonce = None
    for _ in range(2):
        headers = {"Authorization": f"DPoP {token}", "DPoP": key.proof("POST", url, token, nonce)}
        status, answered, answer = post(url, wanted, headers)
        nonce = answered.get("DPoP-Nonce")
        if answer.get("code") != "DPOP_NONCE_REQUIRED":
            break
    if status != 201:
        sys.exit(f"{status}: {answer}")
    print(answer["token"])


if __name__ == "__main__":
    if len(sys.argv) < 6 or sys.argv[5] not in ("whip", "whep"):
        sys.exit(__doc__)
    main(*sys.argv[1:])
