"""What each container holds with each subtype: rates, channels, bytes. Known before libsndfile is asked to write.

libsndfile lists subtypes that it cannot write, writes rates that come back as others, and its Vorbis encoder ends the
process at some channels and rates; a test tries every combination of this table, and those beside it.
"""

from collections.abc import Collection
from dataclasses import dataclass

from gtcrn.audio.limits import HIGHEST_RATE, LOWEST_RATE, MAX_CHANNELS

LARGEST_32 = 0xFFFFFFFF - (9 << 20)  # bytes of samples where lengths have 32 bits, and tags have their place too


@dataclass(frozen=True)
class Capacity:
    """Rates in Hz (in any of the parts) and channels that a container holds with a subtype, as they were given."""

    rates: tuple[range | tuple[int, ...], ...] = (range(LOWEST_RATE, HIGHEST_RATE + 1),)
    channels: Collection[int] = range(1, MAX_CHANNELS + 1)

    def holds_rate(self, sample_rate: int) -> bool:
        return any(sample_rate in part for part in self.rates)

    def holds(self, sample_rate: int, channels: int) -> bool:
        return channels in self.channels and self.holds_rate(sample_rate)

    def words(self) -> str:
        """The rates, for a sentence."""
        return " and ".join(_words(part) for part in self.rates) + " Hz"


def _words(part: range | tuple[int, ...]) -> str:
    if isinstance(part, tuple):
        return ", ".join(map(str, part))
    steps = f" in steps of {part.step}" if part.step > 1 else ""
    return f"{part[0]} to {part[-1]}{steps}"


def _each(*subtypes: str, **limits: object) -> dict[str, Capacity]:
    return dict.fromkeys(subtypes, Capacity(**limits))  # type: ignore[arg-type]


_LINEAR = ("PCM_16", "PCM_24", "PCM_32")
_FLOAT = ("FLOAT", "DOUBLE")
_LAWS = ("ULAW", "ALAW")
_16_BITS = (range(LOWEST_RATE, 65_536),)
_STREAMABLE = (*_16_BITS, range(65_540, HIGHEST_RATE + 1, 10))  # RFC 9639, 7
_OPUS = ((8_000, 12_000, 16_000, 24_000, 48_000),)
_MPEG = ((8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000),)
_FEW = (1, 2)
_WAV = _each("PCM_U8", *_LINEAR, *_FLOAT, *_LAWS)

CAPACITIES: dict[str, dict[str, Capacity]] = {
    "WAV": _WAV,
    "WAVEX": _WAV,
    "RF64": _WAV,
    "W64": _WAV,
    "FLAC": _each("PCM_S8", "PCM_16", "PCM_24", rates=_STREAMABLE, channels=range(1, 9)),
    "OGG": _each("VORBIS") | _each("OPUS", rates=_OPUS),
    "MP3": _each("MPEG_LAYER_III", rates=_MPEG, channels=_FEW),
    "AIFF": _each("PCM_S8", "PCM_U8", *_LINEAR, *_FLOAT, *_LAWS),
    "AU": _each("PCM_S8", *_LINEAR, *_FLOAT, *_LAWS),
    "CAF": _each("PCM_S8", *_LINEAR, *_FLOAT, *_LAWS)
    | _each("ALAC_16", "ALAC_20", "ALAC_24", "ALAC_32", channels=range(1, 9)),
    "AVR": _each("PCM_S8", "PCM_U8", "PCM_16", channels=_FEW),
    "IRCAM": _each("PCM_16", "PCM_32", "FLOAT", *_LAWS),
    "MAT4": _each("PCM_16", "PCM_32", *_FLOAT),
    "MAT5": _each("PCM_U8", "PCM_16", "PCM_32", *_FLOAT),
    "MPC2K": _each("PCM_16", rates=_16_BITS, channels=_FEW),
    "NIST": _each("PCM_S8", *_LINEAR, *_LAWS),
    "PAF": _each("PCM_S8", "PCM_16"),
    "PVF": _each("PCM_S8", "PCM_16", "PCM_32"),
    "SVX": _each("PCM_S8", "PCM_16", rates=_16_BITS, channels=(1,)),
    "VOC": _each("PCM_16", channels=_FEW),
}
ENDLESS_CONTAINERS = ("RF64", "W64", "FLAC", "OGG", "MP3", "CAF")


def that_hold(sample_rate: int, channels: int) -> str:
    """The containers that hold this rate and these channels with some subtype, for a sentence."""
    names = [
        name
        for name, held in CAPACITIES.items()
        if any(capacity.holds(sample_rate, channels) for capacity in held.values())
    ]
    return ", ".join(names)
