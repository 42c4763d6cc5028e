"""Snapshots of any content are refused in a sentence or make streams that are finite for ever: 20,000 by Hypothesis."""

import ctypes
import itertools
import struct
from collections.abc import Callable

import numpy as np
import pytest
from hostile import in_a_sentence
from hypothesis import given, settings
from hypothesis import strategies as st
from streams import noise, random_denoiser

from gtcrn import AudioError, Stream
from gtcrn.errors import CheckpointError
from gtcrn.kernel import _gtcrn

pytestmark = pytest.mark.attack
FORMS = [(8_000, 2), (16_000, 1), (16_000, 3), (44_100, 1), (48_000, 2), (96_000, 1), (191_999, 1), (11_025, 2)]
EXAMPLES = 20_000 // len(FORMS)
FORM = {  # of the header behind its eight bytes of magic
    "version": "I", "sample_rate": "I", "channels": "I", "flags": "I", "network": "I", "unused": "I",
    "fingerprint": "Q", "taken": "q", "fade_done": "q", "limit": "d", "fade_start": "d", "fade_target": "d",
    "nonfinite": "Q", "clipped": "Q", "recovered": "Q",
}  # fmt: skip
HEADER, HASH = 8 + struct.calcsize("<" + "".join(FORM.values())), 8  # bytes
PLACES = dict(zip(FORM, itertools.accumulate(map(struct.calcsize, FORM.values()), initial=8), strict=False))
ODD = [float("nan"), float("inf"), -float("inf"), 3e38, 1e12, -1e12, 1e8, 1e6, 1e-45, -0.0]
Mutation = Callable[[bytearray], None]
native_hash = ctypes.CDLL(_gtcrn.__file__).gtcrn_hash
native_hash.restype, native_hash.argtypes = ctypes.c_uint64, [ctypes.c_char_p, ctypes.c_size_t]


def saved_stream(rate: int, channels: int, taken: int = 2_500) -> bytes:
    stream = random_denoiser().stream(rate, channels, attenuation_limit=12)
    stream.push(noise(taken, channels) if channels > 1 else noise(taken))
    return stream.snapshot()


def sealed(data: bytes | bytearray) -> bytes:
    """With the hash that belongs to the bytes before it."""
    body = bytes(data[:-HASH])
    return body + struct.pack("<Q", native_hash(body, len(body)))


within = st.floats(-(2.0**19), 2.0**19, width=32)
places = st.floats(0, 1, exclude_max=True)  # of all bytes
integers = st.integers(-(1 << 63), (1 << 64) - 1) | st.sampled_from(
    [0, 1, 2, 3, 64, 65, 1 << 31, 1 << 45, (1 << 45) + 1]
)


@st.composite
def flips(draw: st.DrawFn) -> Mutation:
    place, bit, front = draw(places), draw(st.integers(0, 7)), draw(st.booleans())

    def mutate(data: bytearray) -> None:
        if data:
            data[int(place * (min(HEADER, len(data)) if front else len(data)))] ^= 1 << bit

    return mutate


@st.composite
def headers(draw: st.DrawFn) -> Mutation:
    name = draw(st.sampled_from(list(FORM)))
    place, form = PLACES[name], "<" + FORM[name]
    value: float = draw(st.floats() if form == "<d" else integers)
    if isinstance(value, int):
        bits = 8 * struct.calcsize(form)
        value = value % (1 << bits) - ((1 << bits) if form == "<q" and value % (1 << bits) >> (bits - 1) else 0)

    def mutate(data: bytearray) -> None:
        if len(data) >= HEADER:
            struct.pack_into(form, data, place, value)

    return mutate


@st.composite
def numbers(draw: st.DrawFn) -> Mutation:
    """A run of floats of the state becomes one that is odd."""
    place, count, value = draw(places), draw(st.integers(1, 300)), draw(st.sampled_from(ODD) | within)

    def mutate(data: bytearray) -> None:
        floats = (len(data) - HEADER - HASH) // 4
        if floats > 0:
            first = int(place * floats)
            run = np.full(min(count, floats - first), value, np.float32).tobytes()
            data[HEADER + 4 * first : HEADER + 4 * first + len(run)] = run

    return mutate


@st.composite
def lengths(draw: st.DrawFn) -> Mutation:
    place, more = draw(places), draw(st.binary(max_size=40))

    def mutate(data: bytearray) -> None:
        data[int(place * len(data)) :] = more

    return mutate


@st.composite
def splices(draw: st.DrawFn) -> Mutation:
    """A part of it becomes another stream's."""
    place, count, form = draw(places), draw(st.integers(1, 20_000)), draw(st.sampled_from(FORMS[:4]))

    def mutate(data: bytearray) -> None:
        start, other = int(place * len(data)), saved(form)
        data[start : start + count] = other[start : start + count]

    return mutate


known: dict[tuple[int, int], bytes] = {}


def saved(form: tuple[int, int]) -> bytes:
    return known.setdefault(form, saved_stream(*form))


def finite_for_ever(stream: Stream) -> None:
    """Through its whole memory and on: quiet, as loud as is let in, silent, its tail."""
    count = stream.latency + stream.sample_rate // 50
    rising = np.geomspace(1e-3, 1e6, count, dtype=np.float32) * np.sign(noise(count))
    for samples in (noise(count), rising, np.zeros(count, np.float32)):
        assert np.isfinite(stream.push(np.tile(samples, (stream.channels, 1)))).all()
    assert np.isfinite(stream.flush()).all()


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form[0]} Hz x {form[1]}")
@settings(max_examples=EXAMPLES)
@given(
    changes=st.lists(st.one_of(flips(), headers(), numbers(), lengths(), splices()), min_size=1, max_size=4),
    resealed=st.sampled_from([True, True, True, False]),  # most are refused for their hash else
)
def test_mutated_snapshots(form: tuple[int, int], changes: list[Mutation], resealed: bool) -> None:
    whole = saved(form)
    data = bytearray(whole)
    for change in changes:
        change(data)
    if resealed and len(data) >= HASH:
        data = bytearray(sealed(data))
    if data == whole:
        return
    try:
        stream = random_denoiser().resume(bytes(data))
    except (AudioError, CheckpointError) as error:  # the latter for those of other weights
        in_a_sentence(error)
        return
    assert resealed, "damaged bytes were taken"
    if not stream._flushed:
        finite_for_ever(stream)


def test_sealed_snapshots_are_taken() -> None:
    """The test above reaches behind the hash."""
    data = bytearray(saved((16_000, 1)))
    struct.pack_into("<d", data, PLACES["limit"], 40.0)
    assert random_denoiser().resume(sealed(data)).attenuation_limit == 40
    for place in range(HEADER, len(data) - HASH, 4_000):
        odd = bytearray(data)
        struct.pack_into("<f", odd, place, float("nan"))
        with pytest.raises(AudioError, match="damaged"):
            random_denoiser().resume(sealed(odd))
