"""Digital silence between words that somebody joined: replaced by the floor of the recording around it."""

from collections.abc import Iterator

import numpy as np

from gtcrn.types import Samples

SHORTEST = 160  # samples of exact zeros that count as silence, 10 ms at 16 kHz
FRAME = 256  # samples in which the floor is looked for
QUIETEST = 0.1  # share of the frames between two silences that make their floor
DEPTH_DB = 25.0  # below the loudest frame of the file: what is louder is speech, not its floor
STEP = 1 / 32768  # of 16-bit audio: what is taken for the floor where no part shows one


def fill_silence(audio: Samples, random: np.random.Generator) -> Samples:
    """`audio` (n,) with its digital silence filled: noise of the spectrum and level of the quietest frames before,
    which fades into that of the frames after.

    A part without a quiet frame, such as a word cut tight, takes the quietest floor of the others; where no part has
    one, the silence stays as quiet as it was, within a step of 16-bit audio.
    """
    silences = list(_silences(audio))
    if not silences:
        return audio
    edges = [0, *(edge for silence in silences for edge in silence), len(audio)]
    floors = _floors([audio[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)])
    filled = audio.copy()
    for (start, end), before, after in zip(silences, floors, floors[1:], strict=False):
        angle = np.linspace(0, np.pi / 2, end - start)
        noises = (_noise(floor, end - start, random) for floor in (before, after))
        filled[start:end] = sum(
            noise * fade for noise, fade in zip(noises, (np.cos(angle), np.sin(angle)), strict=True)
        )
    return filled


def _silences(audio: Samples) -> Iterator[tuple[int, int]]:
    """Start and end of each run of exact zeros."""
    change = np.diff(np.concatenate([[0], audio == 0, [0]]).astype(np.int8))
    for start, end in zip(np.flatnonzero(change == 1), np.flatnonzero(change == -1), strict=True):
        if end - start >= SHORTEST:
            yield int(start), int(end)


def _floors(parts: list[Samples]) -> list[Samples]:
    """For each part magnitudes (FRAME / 2 + 1,) that give white noise of a variance of 1 the sound of its floor."""
    frames = [_frames(part) for part in parts]
    loudest = max((float(_power(some).max()) for some in frames if len(some)), default=0.0)
    found = [_floor(some, loudest * 10 ** (-DEPTH_DB / 10)) for some in frames]
    known = [floor for floor in found if floor is not None]
    default = min(known, key=np.sum) if known else np.full(FRAME // 2 + 1, STEP / 4, np.float32)
    return [default if floor is None else floor for floor in found]


def _floor(frames: Samples, most: float) -> Samples | None:
    """Of the quietest frames (n, FRAME); None where their power exceeds `most`."""
    power = _power(frames)
    quietest = frames[np.argsort(power)[: max(2, round(QUIETEST * len(frames)))]]
    if len(quietest) < 2 or _power(quietest).mean() > most:
        return None
    window = np.hanning(FRAME)
    density = np.square(np.abs(np.fft.rfft(quietest * window))).mean(0) / np.square(window).sum()
    floor: Samples = np.sqrt(density).astype(np.float32)
    return floor


def _frames(part: Samples) -> Samples:
    """Whole frames with some sound: (n, FRAME)."""
    frames = part[: len(part) // FRAME * FRAME].reshape(-1, FRAME)
    return frames[frames.any(1)]


def _power(frames: Samples) -> Samples:
    power: Samples = np.square(frames).mean(1)
    return power


def _noise(floor: Samples, samples: int, random: np.random.Generator) -> Samples:
    spectrum = np.fft.rfft(random.standard_normal(samples + FRAME))
    shape = np.interp(np.linspace(0, 1, len(spectrum)), np.linspace(0, 1, len(floor)), floor)
    return np.fft.irfft(spectrum * shape, samples + FRAME)[:samples].astype(np.float32)
