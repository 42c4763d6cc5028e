"""Mutated files through the way that uploads and folders take: a sentence or audio, never a crash, a hang or a flood.

Each family runs in a child process, so that a crash of a library is seen; the seed is fixed.
"""

import subprocess
import sys

import pytest

MUTATIONS = 5_000
CHILD = """
import faulthandler, io, sys, warnings
import numpy as np, soundfile
from gtcrn.audio.formats import target_format
from gtcrn.audio.media import open_audio
from gtcrn.audio.encode import encoder
from gtcrn.errors import GtcrnError

faulthandler.enable()
warnings.simplefilter("error")
family, container, subtype, count, seed = *sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5])
EXTREMES = [b"\\xff" * 4, b"\\0" * 4, b"\\x7f\\xff\\xff\\xff", b"\\x80\\0\\0\\0"]
MOST = 2_000_000  # samples of all channels: what the service's own bound does

def made():
    sound = (0.1 * np.random.default_rng(1).standard_normal((3_000, 2))).astype("f4")
    file = io.BytesIO()
    if family == "libsndfile":
        soundfile.write(file, sound, 16_000, format=container, subtype=subtype)
        return file.getvalue()
    import av
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(subtype, rate=16_000, layout="stereo")
        stream.bit_rate = 64_000
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound.T), "fltp", "stereo")
        frame.sample_rate, frame.pts = 16_000, 0
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()

def mutated(data, random):
    data = bytearray(data)
    for _ in range(random.integers(1, 9)):
        place = int(random.integers(0, min(len(data), 200) if random.random() < 0.6 else len(data)))
        kind = random.integers(0, 5)
        if kind == 0:
            data[place] = random.integers(0, 256)
        elif kind == 1:
            data[place : place + 4] = random.choice(EXTREMES)
        elif kind == 2:
            del data[place:]
        elif kind == 3:
            data[place:place] = random.bytes(int(random.integers(1, 40)))
        else:
            del data[place : place + int(random.integers(1, 40))]
        if not data:
            return b"x"
    return bytes(data)

plain, outcomes = made(), {"audio": 0, "refused": 0}
for number in range(count):
    data = mutated(plain, np.random.default_rng([seed, number]))
    print(number, end="\\r", file=sys.stderr, flush=True)
    try:
        with open_audio(io.BytesIO(data)) as reader:
            form = target_format(reader.format, "", "WAV", "PCM_16")
            out, seen = encoder(form, None), 0
            for block in reader.blocks(16_384):
                assert block.dtype == np.float32 and block.shape[0] == form.channels, "another shape"
                seen += block.size
                out.encode(np.clip(np.nan_to_num(block), -1e6, 1e6))  # as a stream does
                if seen > MOST:
                    break
        outcomes["audio"] += 1
    except GtcrnError as error:
        assert str(error).endswith("."), error
        outcomes["refused"] += 1
print(outcomes["audio"], outcomes["refused"])
"""
FAMILIES = [
    ("libsndfile", "WAV", "PCM_16"),
    ("libsndfile", "WAV", "IMA_ADPCM"),
    ("libsndfile", "W64", "PCM_24"),
    ("libsndfile", "RF64", "FLOAT"),
    ("libsndfile", "FLAC", "PCM_16"),
    ("libsndfile", "OGG", "VORBIS"),
    ("libsndfile", "OGG", "OPUS"),
    ("libsndfile", "MP3", "MPEG_LAYER_III"),
    ("libsndfile", "AIFF", "PCM_16"),
    ("libsndfile", "AU", "ULAW"),
    ("libsndfile", "CAF", "ALAC_16"),
    ("media", "mp4", "aac"),
    ("media", "webm", "libopus"),
    ("media", "asf", "wmav2"),
]


@pytest.mark.attack
@pytest.mark.parametrize(("family", "container", "subtype"), FAMILIES)
def test_mutated_files_are_audio_or_a_sentence(family: str, container: str, subtype: str) -> None:
    if family == "media":
        pytest.importorskip("av")
    command = [sys.executable, "-c", CHILD, family, container, subtype, str(MUTATIONS), "7"]
    child = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=600)
    assert child.returncode == 0, child.stderr[-2_000:]
    heard, refused = map(int, child.stdout.split())
    assert heard + refused == MUTATIONS
    assert refused
