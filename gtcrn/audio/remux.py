"""Media files out: sound that was denoised beside everything else as it was, to the bit and in its place.

Video, subtitles, attachments and data are copied packet by packet, chapters and metadata as they are; each audio stream
is decoded, denoised and encoded again by its own codec, at its own bit rate unless another is asked for.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np

from gtcrn.audio.encoders import Encoding, bit_rates_of, encoder_of
from gtcrn.audio.ending import Ending, Ends, remark_on
from gtcrn.audio.formats import MEDIA, AudioFormat
from gtcrn.audio.limits import judge
from gtcrn.audio.media import Track, faults_of, library, opened, packets, sounds
from gtcrn.audio.place import Place
from gtcrn.audio.tags.media import is_picture, write_tags
from gtcrn.audio.tags.values import Tags
from gtcrn.errors import AudioError, GtcrnError
from gtcrn.types import Samples

MUXERS = {"ipod": "mp4"}  # its own takes no picture from PyAV
SOUND_ONLY = ("ipod", "ac3", "eac3", "adts", "amr")
FINE_CLOCK = 14_112_000  # Hz: samples of all usual rates are whole ticks
LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}


class Enhancer(Protocol):
    """A stream of the denoiser."""

    @property
    def nonfinite(self) -> int: ...

    def push(self, samples: Samples, /) -> Samples: ...
    def flush(self) -> Samples: ...


Enhance = Callable[[int, int], Enhancer]  # of a rate in Hz and channels


@dataclass
class Counts:
    """What came of a file: seconds of its longest sound, samples clipped, samples that were no numbers.

    `remark` is a sentence about one that broke off.
    """

    seconds: float = 0.0
    clipped: int = 0
    nonfinite: int = 0
    remark: str | None = None


class MediaWriter:
    """A media file with one sound and nothing else, as a context manager; a Sink like `writer.Writer`."""

    def __init__(
        self, path: Path, form: AudioFormat, suffix: str, bit_rate: int | None = None, tags: Tags | None = None
    ) -> None:
        judge(form.sample_rate, form.channels)
        if form.channels not in LAYOUTS:
            raise AudioError(f"{path} cannot hold {form.channels} channels, at most {max(LAYOUTS)}.")
        self._path, self._form, self._suffix, self._bit_rate = path, form, suffix, bit_rate
        self._tags = tags or Tags()
        self._stack = contextlib.ExitStack()
        self.clipped = 0

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            output = stack.enter_context(_opened(self._path, self._suffix))
            layout = LAYOUTS[self._form.channels]
            encoder = encoder_of(self._form.subtype.lower(), MEDIA[self._suffix])
            with faults_of(str(self._path), f"written with {encoder}"):
                self._encoding = Encoding(output, encoder, self._form.sample_rate, layout, self._bit_rate)
                write_tags(output, MEDIA[self._suffix], self._tags)
            self._stack = stack.pop_all()
        return self

    def write(self, samples: Samples) -> None:
        """Append (channels, n)."""
        with faults_of(str(self._path), "written"):
            self._encoding.write(samples)
        self.clipped = self._encoding.clipped

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._stack:
            if kind is None:
                with faults_of(str(self._path), "written"):
                    self._encoding.finish()
            else:
                self._stack.__exit__(kind, error, trace)


def denoise_media(
    source: Path,
    target: Path,
    suffix: str,
    enhance: Enhance,
    bit_rate: int | None,
    ends: Ends,
    progress: Callable[[float], None],
) -> Counts:
    """Every audio stream of `source` through a stream of its own into `target` of `suffix`, all else as it is.

    Raises AudioError for a file without sound, one that breaks off unless it may end in `any` way, and for what the
    target cannot hold; ConfigError where PyAV is missing.
    """
    library(str(source))
    with (
        faults_of(str(source), "read"),
        open(source, "rb") as file,
        opened(file) as container,
    ):
        streams = sounds(container, str(source))
        rates: dict[int, int | None] = (
            {stream.index: bit_rate for stream in streams} if bit_rate else bit_rates_of(container, streams)
        )
    with contextlib.ExitStack() as stack:
        container = stack.enter_context(opened(stack.enter_context(open(source, "rb"))))
        output = stack.enter_context(_opened(target, suffix))
        stack.enter_context(faults_of(str(target), "written"))
        remux, ending = _Remux(container, output, MEDIA[suffix], str(source), enhance, rates, ends), Ending(container)
        for packet in packets(container, str(source)):
            ending.see(packet)
            progress(remux.take(packet))
        counts = remux.finish()
        return replace(counts, remark=remark_on(str(source), ends, ending, remux.damaged))


class _Remux:
    """All streams of an input beside those of its output."""

    def __init__(
        self,
        container: Any,
        output: Any,
        kind: str,
        name: str,
        enhance: Enhance,
        rates: dict[int, int | None],
        ends: Ends,
    ) -> None:
        self._output = output
        self._copies: dict[int, Any] = {}
        self._sounds: dict[int, _Sound] = {}
        for stream in container.streams:
            if stream.type == "audio":
                encoder = encoder_of(stream.codec_context.codec.name, kind)
                track = Track(stream, name, ends)
                encoding = Encoding(output, encoder, track.rate, track.layout.name, rates[stream.index])
                self._sounds[stream.index] = _Sound(track, encoding, enhance(track.rate, track.channels))
                _describe(stream, encoding.stream)
            elif _can_be_copied(stream, kind):
                self._copies[stream.index] = output.add_stream_from_template(stream)
                _describe(stream, self._copies[stream.index])
        output.metadata.update(container.metadata)
        output.set_chapters(container.chapters())
        output.start_encoding()

    @property
    def damaged(self) -> int:
        """Packets of sound that could not be decoded."""
        return sum(sound.track.damaged for sound in self._sounds.values())

    def take(self, packet: Any) -> float:
        """One packet of the input to its place; seconds of sound that were worked on."""
        index = packet.stream.index  # which flushing packets have too
        if index in self._sounds:
            return self._sounds[index].take(packet)
        if index in self._copies and packet.size:
            packet.stream = self._copies[index]
            self._output.mux(packet)
        return 0.0

    def finish(self) -> Counts:
        counts = [sound.finish() for sound in self._sounds.values()]
        return Counts(
            max(count.seconds for count in counts),
            sum(count.clipped for count in counts),
            sum(count.nonfinite for count in counts),
        )


@dataclass
class _Sound:
    """One audio stream on its way: decoded, denoised, encoded."""

    track: Track
    encoding: Encoding
    enhancer: Enhancer
    heard: int = 0  # samples

    def take(self, packet: Any) -> float:
        before = self.heard
        for block in self.track.decode(packet):
            if not self.heard:
                self.encoding.time = self.track.start or 0
            self.heard += block.shape[1]
            self.encoding.write(np.atleast_2d(self.enhancer.push(block)))
        return (self.heard - before) / self.track.rate

    def finish(self) -> Counts:
        self.encoding.write(np.atleast_2d(self.enhancer.flush()))
        self.encoding.finish()
        return Counts(self.heard / self.track.rate, self.encoding.clipped, self.enhancer.nonfinite)


@contextlib.contextmanager
def _opened(target: Path, suffix: str) -> Iterator[Any]:
    """An output container that appears at its place when the block ends without an error."""
    av = library(str(target))
    try:
        with Place(target) as place, open(place.file, "r+b", closefd=False) as file:
            with (
                faults_of(str(target), "written"),
                av.open(file, "w", format=MUXERS.get(MEDIA[suffix], MEDIA[suffix]), options=_options(suffix)) as output,
            ):
                yield output
            file.flush()
    except OSError as error:
        raise GtcrnError(f"{target} cannot be written to its end; the disk may be full.") from error


def _options(suffix: str) -> dict[str, str]:
    """MP4 rounds the begin of its tracks to ms unless it is told a finer clock."""
    if MEDIA[suffix] not in ("mp4", "mov", "ipod", "3gp", "3g2"):
        return {}
    return {"movie_timescale": str(FINE_CLOCK)} | ({"brand": "M4A "} if MEDIA[suffix] == "ipod" else {})


def _can_be_copied(stream: Any, kind: str) -> bool:
    """Chapters of MP4 come as a stream of text too, and are written anew; where only sound fits, pictures are tags."""
    if stream.type == "data" and kind in ("mp4", "mov", "ipod"):
        return False
    return kind not in SOUND_ONLY or (kind == "ipod" and is_picture(stream))


def _describe(source: Any, target: Any) -> None:
    target.metadata.update(source.metadata)
    with contextlib.suppress(AttributeError, TypeError):
        target.disposition = source.disposition
