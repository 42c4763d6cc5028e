"""Frames of hostile clients against the compiled lane: `python lane_fuzz.py [its library]`, also under sanitizers."""

import importlib.util
import random
import sys
from types import ModuleType

WIDTH, LONGEST = 4, 2_000  # bytes
RATE = 16_000  # Hz


def library(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("_lane", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wanted(frame: bytes) -> bytes | None:
    """The payload of what a lane has to take, as RFC 6455, 5.2 has it; None for anything else."""
    if len(frame) < 6 or frame[0] != 0x82 or not frame[1] & 0x80:
        return None
    length, start = frame[1] & 0x7F, 2
    if length == 127:
        return None
    if length == 126:
        length, start = int.from_bytes(frame[2:4]), 4
    mask, data = frame[start : start + 4], frame[start + 4 :]
    if len(mask) < 4 or len(data) != length or length % WIDTH or length > LONGEST:
        return None
    return bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))


def framed(data: bytes) -> bytes:
    """The frame of a server, nothing for nothing."""
    size = len(data)
    if not size:
        return b""
    if size < 126:
        return bytes([0x82, size]) + data
    return b"\x82" + (b"\x7e" + size.to_bytes(2) if size < 65_536 else b"\x7f" + size.to_bytes(8)) + data


def draw(generator: random.Random) -> bytes:
    """A client's frame as it should be, or nearly, or not at all."""
    size = generator.choice((0, 1, 3, 4, 8, 124, 125, 126, 127, 128, 640, LONGEST, LONGEST + 4, 65_535, 65_536))
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + (size & 0xFFFF).to_bytes(2)
    frame = bytearray(b"\x82" + length + generator.randbytes(4 + size))
    kind = generator.randrange(4)
    if kind == 1:
        frame[generator.randrange(min(8, len(frame)))] ^= 1 << generator.randrange(8)
    elif kind == 2:
        del frame[generator.randrange(len(frame)) :]
    elif kind == 3:
        frame += generator.randbytes(generator.randrange(12))
    return bytes(frame)


def fuzz(module: ModuleType, rounds: int) -> None:
    """What the lane does with each is what the plain Python above would."""
    generator, counted, meter = random.Random(0), 0, module.Meter(1.0)
    taken, given = b"", b""

    def process(data: bytes) -> bytes:
        nonlocal taken, given
        taken, given = data, data[::-1] * generator.choice((0, 1, 40))
        return given

    lane = module.Lane(process, lambda: 1e9, module.Pace(1e6, 1.0, 0.0), meter, WIDTH, LONGEST, 256, 2, RATE)
    for _ in range(rounds):
        frame = draw(generator)
        payload, answer = wanted(frame), lane.answer(frame)
        if payload is None:
            assert answer is None
        else:
            assert (taken, answer) == (payload, framed(given))
            counted += len(payload)
    assert meter.bytes_in == counted == lane.received * WIDTH > 0


if __name__ == "__main__":
    fuzz(library(sys.argv[1]), 20_000)
