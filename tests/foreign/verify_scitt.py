"""Judges what tests/foreign/cases.mjs made with scitt-cose: one JSON case a line
comes in, one JSON answer a line goes out, true for what it accepts."""

import json
import sys
from base64 import b64encode

import scitt_cose


def pem(spki):
    text = b64encode(spki).decode()
    lines = "\n".join(text[at : at + 64] for at in range(0, len(text), 64))
    return f"-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n".encode()


def judge(case):
    key = pem(bytes.fromhex(case["spki"]))
    cose = bytes.fromhex(case["cose"])
    if case["kind"] == "head":
        scitt_cose.verify_sign1(cose, public_key_pem=key)
        return True
    if case["kind"] == "inclusion":
        answer = scitt_cose.verify_receipt(
            cose, leaf_entry_hex=case["entry"], log_public_key_pem=key
        )
        return answer.ok
    # It has no consistency receipts, but their two halves: the signature over
    # the new root, and the path between the roots.
    scitt_cose.verify_sign1(
        cose, public_key_pem=key, detached_payload=bytes.fromhex(case["newRoot"])
    )
    return scitt_cose.verify_consistency(
        case["oldRoot"], case["newRoot"], case["first"], case["second"], case["path"]
    )


for line in sys.stdin:
    try:
        accepted = bool(judge(json.loads(line)))
    except Exception:  # Whatever it raises, it did not accept.
        accepted = False
    print(json.dumps(accepted), flush=True)
