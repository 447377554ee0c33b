"""Hooks of Schemathesis: who calls, and a proof of possession for every call.

Each call is made as a moderator with an access token of the built-in issuer and
a proof (RFC 9449) of its own: the server refuses a proof that it has seen. With
CABILDO_CALLER=service no call has a token; the client certificate says who calls.
Calls that name a session with a well-formed id name one that exists.
"""

import base64
import hashlib
import json
import os
import time
import urllib.request
import uuid

import schemathesis
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

URL = os.environ["CABILDO_URL"]


def part(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def compact(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True).encode()


def post(path: str, body: object) -> dict:
    request = urllib.request.Request(
        URL + path, data=compact(body), headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)


class Person:
    def __init__(self, tenant: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        point = self.key.public_key().public_numbers()
        self.jwk = {
            "crv": "P-256",
            "kty": "EC",
            "x": part(point.x.to_bytes(32)),
            "y": part(point.y.to_bytes(32)),
        }
        self.nonce: str | None = None
        thumbprint = part(hashlib.sha256(compact(self.jwk)).digest())
        identity = {"tenant_id": tenant, "user_id": "contract", "name": "contract"}
        identity |= {"roles": ["moderator", "auditor"], "jkt": thumbprint}
        self.token = post("/dev/token", identity)["access_token"]

    def proof(self, method: str, url: str) -> str:
        header = {"alg": "ES256", "jwk": self.jwk, "typ": "dpop+jwt"}
        claims = {"htm": method, "htu": url, "iat": int(time.time()), "jti": str(uuid.uuid4())}
        claims["ath"] = part(hashlib.sha256(self.token.encode()).digest())
        if self.nonce is not None:
            claims["nonce"] = self.nonce
        signed = f"{part(compact(header))}.{part(compact(claims))}"
        der = self.key.sign(signed.encode(), ec.ECDSA(hashes.SHA256()))
        r, s = utils.decode_dss_signature(der)
        return f"{signed}.{part(r.to_bytes(32) + s.to_bytes(32))}"


TENANT = str(uuid.uuid4())
PERSON = Person(TENANT)
MEETING = {"tenant_id": TENANT, "assembly_id": str(uuid.uuid4())}
SESSION = post("/dev/sessions", MEETING | {"title": "Contract", "modality": "mixed"})["id"]
IS_SERVICE = os.environ.get("CABILDO_CALLER") == "service"


@schemathesis.serializer(
    "application/sdp", "application/trickle-ice-sdpfrag", "application/vnd.cabildo.late"
)
def as_bytes(context, value):
    if isinstance(value, bytes):
        return value
    return (value if isinstance(value, str) else json.dumps(value)).encode(errors="replace")


def is_uuid(value: object) -> bool:
    try:
        return str(uuid.UUID(str(value))) == value
    except ValueError:
        return False


@schemathesis.hook
def before_call(context, case, kwargs):
    # The steps of development would end the session that the other calls need.
    if is_uuid(case.path_parameters.get("id")) and not case.path.startswith("/dev/"):
        case.path_parameters["id"] = SESSION
    if IS_SERVICE:
        return
    case.headers["Authorization"] = f"DPoP {PERSON.token}"
    case.headers["DPoP"] = PERSON.proof(case.method.upper(), URL + case.formatted_path)


@schemathesis.hook
def after_call(context, case, response):
    nonce = response.headers.get("dpop-nonce")
    if nonce:
        PERSON.nonce = nonce[-1] if isinstance(nonce, list) else nonce
