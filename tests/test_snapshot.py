"""Snapshots from outside: whatever was done to the bytes, they are refused in a sentence."""

from typing import Any

import numpy as np
import pytest
from streams import noise, random_denoiser

from gtcrn import AudioError, CheckpointError


def saved_stream(rate: int = 44_100, key: bytes | None = None) -> bytes:
    stream = random_denoiser().stream(rate, attenuation_limit=12)
    stream.push(noise(3_000))
    return stream.snapshot(key)


def test_one_flipped_bit_is_refused() -> None:
    saved, rng = saved_stream(), np.random.default_rng(0)
    places = {*range(200), *rng.integers(0, len(saved), 1_000), *range(len(saved) - 8, len(saved))}
    for place in places:
        changed = bytearray(saved)
        changed[place] ^= 1 << rng.integers(8)
        with pytest.raises(AudioError, match="snapshot"):
            random_denoiser().resume(bytes(changed))


@pytest.mark.parametrize("wrong", [None, "text", 5, b"", np.zeros(3), b"GTCRNkey", b"GTCRNsnp", bytes(80_000)])
def test_what_is_no_snapshot_is_refused(wrong: Any) -> None:
    for key in (None, b"key"):
        with pytest.raises(AudioError, match="snapshot"):
            random_denoiser().resume(wrong, key)


def test_a_snapshot_of_another_rate_is_refused() -> None:
    with pytest.raises(AudioError, match="not the snapshot of such a stream"):
        random_denoiser().stream(48_000).restore(saved_stream(44_100))


def test_a_snapshot_says_which_size_its_network_had() -> None:
    saved = random_denoiser(channels=32).stream().snapshot()
    with pytest.raises(CheckpointError, match="a network of 32 channels, not of 16"):
        random_denoiser().resume(saved)


def test_a_signed_snapshot_needs_its_key() -> None:
    saved = saved_stream(key=b"a key")
    resumed = random_denoiser().resume(saved, key=b"a key")
    assert resumed.snapshot() == random_denoiser().resume(saved_stream()).snapshot()
    with pytest.raises(AudioError, match="is signed"):
        random_denoiser().resume(saved)
    for bad in (saved[:-1], saved + b"1", saved[:20] + b"x" + saved[21:], saved_stream()):
        with pytest.raises(AudioError, match="not signed with this key"):
            random_denoiser().resume(bad, key=b"a key")
    with pytest.raises(AudioError, match="not signed with this key"):
        random_denoiser().resume(saved, key=b"another")


def test_equal_samples_give_equal_snapshots_whatever_the_chunks() -> None:
    stream = random_denoiser().stream(44_100, attenuation_limit=12)
    for start in range(0, 3_000, 7):
        stream.push(noise(3_000)[start : min(start + 7, 3_000)])
    assert stream.snapshot() == saved_stream()


def test_options_and_counts_come_back() -> None:
    stream = random_denoiser().stream(16_000, channels=2, bypass=True, keep_highs=True)
    stream.push(np.full((2, 700), np.nan))
    stream.flush()
    resumed = random_denoiser().resume(stream.snapshot())
    assert (resumed.bypass, resumed.keep_highs, resumed.attenuation_limit) == (True, True, None)
    assert resumed.nonfinite == 1_400
    with pytest.raises(AudioError, match="flushed"):
        resumed.push(np.zeros((2, 1)))


@pytest.mark.parametrize("pushed", [np.zeros((1, 700), np.int16), bytes(1_400)])
def test_until_the_next_push_a_resumed_stream_is_one_of_floats(pushed: Any) -> None:
    stream = random_denoiser().stream()
    stream.push(pushed)
    saved = stream.snapshot()
    stream.restore(saved)
    for resumed in (stream, random_denoiser().resume(saved)):
        rest = resumed.flush()
        assert (rest.dtype, rest.shape) == (np.dtype(np.float32), (444,))


def test_a_closed_stream_has_no_snapshot() -> None:
    with random_denoiser().stream() as stream:
        stream.push(noise(700))
    with pytest.raises(AudioError, match="closed"):
        stream.snapshot()
    with random_denoiser().stream() as stream:
        stream.flush()
    with pytest.raises(AudioError, match="flushed"):
        random_denoiser().resume(stream.snapshot()).flush()
