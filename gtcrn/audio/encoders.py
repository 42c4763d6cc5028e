"""The encoders of media files: which one a container takes for a decoder, and one sound through it, in time."""

import os
from fractions import Fraction
from typing import Any

import numpy as np

from gtcrn.errors import AudioError
from gtcrn.types import Samples

ENCODERS = {  # of a decoder's name, where they differ
    "opus": "libopus",
    "vorbis": "libopus",
    "mp3": "libmp3lame",
    "mp3float": "libmp3lame",
    "wmav1": "wmav2",
    "wmapro": "wmav2",
    "amrnb": "libopencore_amrnb",
    "amr_nb": "libopencore_amrnb",
}
DEFAULTS = {  # the encoder of a container for what it cannot hold otherwise
    "webm": "libopus",
    "matroska": "libopus",
    "asf": "wmav2",
    "ac3": "ac3",
    "eac3": "eac3",
    "amr": "libopencore_amrnb",
}
DELAYS = {"ac3": 256, "eac3": 256, "adts": 1024, "amr": 40}  # samples, of the codec, where its container cannot say so
DELAYS_IN_AVI = {"libmp3lame": 1105, "ac3": 256, "aac": 1024}  # nor can this one
MOST_CHANNELS = {"libopencore_amrnb": 1, "libmp3lame": 2, "wmav2": 2}
RATES = {"libopencore_amrnb": (8_000,)}  # Hz, where the encoder does not tell
LEAST_AAC = 24_000  # bits a second and channel: an average over silence must not become the rate of speech
PREFERRED = ("fltp", "flt", "s32p", "s32", "s16p", "s16")  # sample formats, by how much they hold
MS_CLOCKS = ("matroska", "webm")


class Encoding:
    """One audio stream of an output: samples (channels, n) in, packets out, each at its time."""

    def __init__(self, output: Any, encoder: str, rate: int, layout: str, bit_rate: int | None) -> None:
        import av

        codec = av.Codec(encoder, "w")
        if (channels := av.AudioLayout(layout).nb_channels) > (most := MOST_CHANNELS.get(encoder, channels)):
            raise AudioError(f"{output.format.long_name} cannot hold {channels} channels, at most {most}.")
        self.rate, self._layout, self._output = rate, layout, output
        self.stream: Any = output.add_stream(encoder, rate=_held_rate(codec, rate), layout=layout)
        names = [form.name for form in codec.audio_formats or ()]
        self.stream.format = next((name for name in PREFERRED if name in names), names[0])
        if bit_rate and not encoder.startswith(("pcm_", "flac", "alac")):
            least = LEAST_AAC * self.stream.codec_context.channels if encoder == "aac" else 0
            self.stream.bit_rate = max(bit_rate, least)
        self.time = 0  # of the next sample
        self.clipped = 0
        rounded = output.format.name in MS_CLOCKS and encoder == "libopus"
        self._early = rate // 2000 if rounded else 0  # its delay of 6.5 ms is rounded to 7: half a ms too late
        avi = output.format.name == "avi"
        self._late = (
            DELAYS_IN_AVI.get(encoder, 0) if avi else DELAYS.get(output.format.name, 0)
        )  # samples left out, so that the rest is in time

    def write(self, samples: Samples) -> None:
        import av

        skipped = min(self._late, samples.shape[1])
        self._late, samples = self._late - skipped, samples[:, skipped:]
        if not samples.shape[1]:
            return
        self.clipped += int(np.count_nonzero(np.abs(samples) > 1))
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.clip(-1, 1)), "fltp", self._layout)
        frame.sample_rate, frame.pts, frame.time_base = self.rate, self.time - self._early, Fraction(1, self.rate)
        self.time += samples.shape[1]
        self._output.mux(self.stream.encode(frame))

    def finish(self) -> None:
        self._output.mux(self.stream.encode(None))


def encoder_of(codec: str, container: str) -> str:
    """The encoder that fits a decoder and a container."""
    import av

    wanted = ENCODERS.get(codec, codec)
    kept = av.ContainerFormat(container, "w")
    default = DEFAULTS.get(container, "aac")
    if wanted not in av.codecs_available:
        return default
    try:
        name = av.Codec(wanted, "w").canonical_name
    except ValueError:
        return default
    return wanted if _holds(kept, name) else default


def _holds(container: Any, codec: str) -> bool:
    import av

    with open(os.devnull, "wb") as nothing, av.open(nothing, "w", format=container.name) as probe:
        return codec in probe.supported_codecs


def _held_rate(codec: Any, rate: int) -> int:
    """The rate, or the next that the codec has: time stays."""
    rates = sorted(codec.audio_rates or RATES.get(codec.name, (rate,)))
    return int(next((held for held in rates if held >= rate), rates[-1]))


def bit_rates_of(container: Any, streams: list[Any]) -> dict[int, int | None]:
    """Bits a second of each stream, by the header or, where it does not tell, by all packets, which are then read."""
    rates = {stream.index: stream.codec_context.bit_rate for stream in streams}
    if all(rates.values()):
        return rates
    sizes, seconds = dict.fromkeys(rates, 0), dict.fromkeys(rates, Fraction(0))
    for packet in container.demux(*streams):
        index = packet.stream.index
        sizes[index] += packet.size
        seconds[index] += (packet.duration or 0) * packet.time_base if packet.size else 0
    counted = {index: int(8 * sizes[index] / length) if length else None for index, length in seconds.items()}
    return {index: rate or counted[index] for index, rate in rates.items()}
