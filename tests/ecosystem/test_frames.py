"""PCM frames in, frames of the same size out: what every framework of voice agents is given."""

import gc
import tracemalloc

import pytest
from agents import MILLISECONDS, RATES, agrees, noise

import gtcrn
from gtcrn import AudioError, Denoiser
from gtcrn.integrations.frames import FrameFilter


@pytest.fixture(scope="module")
def shipped() -> Denoiser:
    return gtcrn.load()


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("milliseconds", MILLISECONDS)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_frame_gives_a_frame(shipped: Denoiser, rate: int, milliseconds: int, channels: int) -> None:
    pcm = noise(0.6, rate, channels)
    filtering = FrameFilter(shipped, rate, channels)
    size = rate * milliseconds // 1000
    pieces = [pcm[start : start + size].tobytes() for start in range(0, len(pcm), size)]
    answers = [filtering(piece) for piece in pieces]
    assert [len(answer) for answer in answers] == [len(piece) for piece in pieces]
    agrees(b"".join(answers), pcm, shipped, rate, filtering.delay)


def test_half_a_sample_is_refused(shipped: Denoiser) -> None:
    with pytest.raises(AudioError, match="whole samples of 4 bytes"):
        FrameFilter(shipped, 16_000, 2)(bytes(6))


def test_nothing_grows_in_ten_minutes(shipped: Denoiser) -> None:
    filtering, frame = FrameFilter(shipped, 16_000), noise(0.02, 16_000).tobytes()
    held = []
    tracemalloc.start()
    for _ in range(10):
        for _ in range(60 * 50):
            filtering(frame)
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert held[-1] <= held[1] + 2_000  # bytes: lists of the measurement itself
