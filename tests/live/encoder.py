"""FFmpeg's own WHIP muxer, as the PyAV package carries it: publishes a tone and a
picture, H.264 and Opus.

    encoder.py whip ENDPOINT          the access token is in $CABILDO_TOKEN

The certificate is given to it: where FFmpeg is built with GnuTLS, the one that it
makes by itself has a key on the curve P-224, which the server can't verify.

Tells what happens as one JSON object per line and goes on until its standard
input ends.
"""

import datetime
import fractions
import json
import os
import sys
import tempfile
import threading
import time

import av
import numpy
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

FRAMES_PER_S = 25
WIDTH, HEIGHT = 320, 240
RATE_HZ = 48_000
SAMPLES = 960
TONE_HZ = 660


def tell(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def picture(number):
    pixels = numpy.full((HEIGHT, WIDTH, 3), number * 5 % 255, dtype=numpy.uint8)
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format="yuv420p")
    frame.pts = number
    frame.time_base = fractions.Fraction(1, FRAMES_PER_S)
    return frame


def sound(number):
    phase = 2 * numpy.pi * TONE_HZ * (numpy.arange(SAMPLES) + number * SAMPLES) / RATE_HZ
    samples = (numpy.sin(phase) * 8_000).astype(numpy.int16).repeat(2).reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
    frame.sample_rate = RATE_HZ
    frame.pts = number * SAMPLES
    frame.time_base = fractions.Fraction(1, RATE_HZ)
    return frame


def certificate(folder):
    """Writes a key on the curve P-384 and its certificate; returns both paths."""
    key = ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "encoder")])
    begins = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(begins + datetime.timedelta(days=30))
        .sign(key, hashes.SHA384())
    )
    paths = [os.path.join(folder, name) for name in ("certificate.pem", "key.pem")]
    pem = serialization.Encoding.PEM
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for path, content in zip(paths, (made.public_bytes(pem), private)):
        with open(path, "wb") as file:
            file.write(content)
    return paths


def main(folder):
    _, _, endpoint = sys.argv
    cert_file, key_file = certificate(folder)
    options = {
        "authorization": os.environ["CABILDO_TOKEN"],
        "cert_file": cert_file,
        "key_file": key_file,
    }
    output = av.open(endpoint, "w", format="whip", options=options)
    video = output.add_stream(
        "libx264",
        rate=FRAMES_PER_S,
        options={"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline", "g": "25"},
    )
    video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    audio = output.add_stream("libopus", rate=RATE_HZ, layout="stereo")
    try:
        # Makes the offer, and returns once DTLS has completed.
        output.start_encoding()
    except av.error.FFmpegError as error:
        tell("refused", error=str(error))
        return
    tell("connected")
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    begun, number = time.monotonic(), 0
    while not ended.is_set():
        for packet in video.encode(picture(number)):
            output.mux(packet)
        for half in range(2):
            for packet in audio.encode(sound(2 * number + half)):
                output.mux(packet)
        number += 1
        time.sleep(max(0, begun + number / FRAMES_PER_S - time.monotonic()))
    output.close()
    tell("closed")


with tempfile.TemporaryDirectory() as folder:
    main(folder)
