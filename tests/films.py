"""Films and phones' recordings with clicks at known times: made, read again, denoised by the command."""

import hashlib
import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streams import write_weights

from gtcrn.audio.formats import MEDIA
from gtcrn.cli.app import run
from gtcrn.types import Samples

av = pytest.importorskip("av")

SECONDS = 3
CLICKS = (0.5, 1.25, 2.6)  # seconds
KINDS = {  # a name, its video, its sound, its rate
    "talk.mp4": ("mpeg4", "aac", 44_100),
    "talk.mov": ("mpeg4", "aac", 48_000),
    "talk.mkv": ("mpeg4", "libopus", 48_000),
    "talk.webm": ("libvpx", "libopus", 48_000),
    "talk.3gp": ("mpeg4", "aac", 16_000),
    "memo.m4a": (None, "aac", 44_100),
    "memo.mka": (None, "flac", 32_000),
    "lossless.m4a": (None, "alac", 48_000),
}


def clicks(rate: int, channels: int = 1) -> Samples:
    """Short tones in a little noise at known times."""
    samples = np.random.default_rng(0).normal(0, 0.005, (channels, SECONDS * rate)).astype(np.float32)
    tone = 0.8 * np.sin(2 * np.pi * 2_000 * np.arange(rate // 200) / rate) * np.hanning(rate // 200)
    for second in CLICKS:
        samples[:, int(second * rate) : int(second * rate) + len(tone)] = tone
    return samples


def make(path: Path, video: str | None, codec: str, rate: int, start: float = 0.0, tracks: int = 1) -> Path:
    """A media file with two chapters, a title, a picture stream and clicks; made by the library, read by the same."""
    with av.open(str(path), "w", format=MEDIA[path.suffix]) as output:
        output.metadata["title"] = "My talk"
        pictures = output.add_stream(video, rate=25) if video else None
        if pictures:
            pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        sounds = [output.add_stream(codec, rate=rate, layout="stereo") for _ in range(tracks)]
        for sound in sounds:
            sound.bit_rate = 96_000
            sound.metadata["language"] = "deu"
        output.set_chapters(
            [{"id": n, "start": n * 1000, "end": n * 1000 + 1000, "time_base": Fraction(1, 1000),
              "metadata": {"title": f"Part {n}"}} for n in range(2)]
        )  # fmt: skip
        if pictures:
            for number in range(25 * SECONDS):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number * 3, np.uint8), format="rgb24")
                output.mux(pictures.encode(frame.reformat(format="yuv420p")))
            output.mux(pictures.encode(None))
        samples = clicks(rate, 2)
        for sound in sounds:
            for place in range(0, samples.shape[1], rate // 10):
                frame = av.AudioFrame.from_ndarray(samples[:, place : place + rate // 10].copy(), "fltp", "stereo")
                frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
                frame.pts = place + int(start * rate)
                output.mux(sound.encode(frame))
            output.mux(sound.encode(None))
    return path


def films_in(folder: Path, names: Iterable[str] = KINDS) -> Path:
    """The folder, with these films and small random weights in it."""
    os.rename(write_weights(folder), folder / "weights.safetensors")
    for name in names:
        make(folder / name, *KINDS[name])
    return folder


def heard(path: Path, track: int = 0) -> tuple[Samples, int]:
    """The samples on the time line of the container, first channel, and their rate."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[track]
        line = np.zeros(stream.rate * (SECONDS + 2), np.float32)
        flat = av.AudioResampler(format="fltp", layout=stream.layout, rate=stream.rate)
        end = -1
        for frame in container.decode(stream):
            for piece in flat.resample(frame):
                if end < 0:  # then on and on: some containers round the times of later pieces to ms
                    end = round(piece.pts * piece.time_base * stream.rate)
                samples = piece.to_ndarray()[0]
                line[end : end + len(samples)] = samples
                end += len(samples)
        return line[:end], stream.rate


def times(path: Path, track: int = 0) -> list[int]:
    """Where the clicks begin, in samples."""
    return onsets(*heard(path, track))


def onsets(line: Samples, rate: int) -> list[int]:
    """Where the sound fits best to a click."""
    tone = clicks(rate)[0][int(0.5 * rate) : int(0.5 * rate) + rate // 200]
    fit = np.correlate(line, tone, "valid")
    return [int(np.argmax(fit[int((s - 0.2) * rate) : int((s + 0.3) * rate)])) + int((s - 0.2) * rate) for s in CLICKS]


def is_in_sync(path: Path, other: Path, track: int = 0) -> bool:
    """Whether clicks are at the same samples; what a lossy codec does to one of them may move its best fit by one."""
    shifts = np.subtract(times(path, track), times(other, track))
    return bool(np.median(shifts) == 0 and np.abs(shifts).max() <= 1)


def copied(path: Path) -> dict[int, str]:
    """A digest of each stream that is no sound, with the times of its packets."""
    digests: dict[int, Any] = {}
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.stream.type != "audio" and packet.size:
                entry = digests.setdefault(packet.stream.index, hashlib.sha256())
                entry.update(bytes(packet) + repr(float(packet.pts * packet.time_base)).encode())
        return {index: digest.hexdigest() for index, digest in digests.items()}


def denoise(folder: Path, *arguments: Path | str) -> int:
    """With the folder's weights, without any attenuation, so that clicks stay what they are; the exit code."""
    weights = str(folder / "weights.safetensors")
    return run(["denoise", *map(str, arguments), "--weights", weights, "--attenuation-limit", "0"])
