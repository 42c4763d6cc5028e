"""Bit rates of MP3, Vorbis and Opus by libsndfile, which is told a level from 0 (the most bits) to 1 instead."""

import io
from functools import cache
from pathlib import Path

import soundfile

from gtcrn.audio.formats import AudioFormat
from gtcrn.audio.tags.values import Picture
from gtcrn.errors import ConfigError

COMPRESSED = ("MPEG_LAYER_III", "VORBIS", "OPUS")
MP3_RANGES = ((32_000, 32_000, 320_000), (16_000, 8_000, 160_000), (0, 8_000, 64_000))  # from a rate in Hz on: bits/s
OPUS_RANGE = (6_000, 256_000)  # bits a second and channel
NOMINAL = 48  # where Vorbis tells its bits a second: behind a page's 28 bytes, 7 of a mark, 13 of version, rates, most
STEPS = 10  # of the search for Vorbis' level
LEAST_LEVEL = 0.999  # libsndfile takes no MP3 of 1


def bit_rate_of(path: Path, form: AudioFormat, frames: int, pictures: tuple[Picture, ...]) -> int | None:
    """Bits a second of a compressed file: what its header tells or, else, of its bytes without pictures."""
    if form.subtype not in COMPRESSED or not frames:
        return None
    with open(path, "rb") as file:
        if form.subtype == "VORBIS" and (told := _nominal(file.read(NOMINAL + 4))):
            return told
    beside = sum(len(picture.data) for picture in pictures)
    size = path.stat().st_size - (beside * 4 // 3 if form.container == "OGG" else beside)
    return max(1, 8 * size * form.sample_rate // frames)


def refuse_bit_rate(form: AudioFormat, bit_rate: int | None) -> None:
    """Raises ConfigError for a bit rate that is asked of a format without one."""
    if bit_rate and form.subtype not in COMPRESSED:
        raise ConfigError(f"--bitrate is for MP3, Ogg, M4A and the like; {form.container} {form.subtype} has none.")


def level(form: AudioFormat, bit_rate: int | None) -> dict[str, float | str]:
    """What soundfile is told so that a file of this format gets the bit rate, or the nearest that it can have."""
    if bit_rate is None or form.subtype not in COMPRESSED:
        return {}
    if form.subtype == "VORBIS":
        return {"compression_level": _vorbis_level(form.sample_rate, form.channels, bit_rate)}
    if form.subtype == "OPUS":
        return {"compression_level": _within(bit_rate / form.channels, *OPUS_RANGE)}
    lowest, highest = next(each[1:] for each in MP3_RANGES if form.sample_rate >= each[0])
    return {"compression_level": _within(bit_rate, lowest, highest), "bitrate_mode": "CONSTANT"}


def _within(bit_rate: float, lowest: int, highest: int) -> float:
    return min(max(1 - (bit_rate - lowest) / (highest - lowest), 0.0), LEAST_LEVEL)


@cache
def _vorbis_level(sample_rate: int, channels: int, bit_rate: int) -> float:
    """The level whose nominal rate comes nearest: it falls as the level rises."""
    low, high = 0.0, LEAST_LEVEL
    for _ in range(STEPS):
        middle = (low + high) / 2
        file = io.BytesIO()
        form = {"format": "OGG", "subtype": "VORBIS", "compression_level": middle}
        soundfile.SoundFile(file, "w", sample_rate, channels, **form).close()
        low, high = (middle, high) if _nominal(file.getvalue()) > bit_rate else (low, middle)
    return (low + high) / 2


def _nominal(start: bytes) -> int:
    return int.from_bytes(start[NOMINAL : NOMINAL + 4], "little", signed=True) if start[28:35] == b"\x01vorbis" else 0
