"""Sound in films, phones' and browsers' recordings, by PyAV (FFmpeg): read on an even time line.

A container says when each piece of sound is to be heard: edit lists, codec delay and padding are counted by FFmpeg,
gaps become silence here, overlaps are dropped; where the time begins anew, one recording follows another. What PyAV is
needed for says so where it is missing.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO, Self

import numpy as np
import soundfile

from gtcrn.audio.ending import MICROSECONDS, Ending, Ends, remark_on
from gtcrn.audio.files import Reader, refuse_no_file
from gtcrn.audio.formats import BITS, MEDIA, AudioFormat, is_media
from gtcrn.audio.limits import judge
from gtcrn.audio.tags.media import read_pictures, read_texts
from gtcrn.audio.tags.values import Tags
from gtcrn.errors import AudioError, ConfigError, needs
from gtcrn.types import Samples

if TYPE_CHECKING:
    import av

KINDS = "mov,matroska,webm,asf,ac3,eac3,aac,amr,avi,mpegts,flac,mp3,ogg,wav,aiff,caf,w64"  # FFmpeg's names
ROUNDING_SECONDS = 0.002  # by which time stamps may be off at all
RESTART_SECONDS = 1.0  # by which time jumps back where another recording was put behind the first
JITTER_SECONDS = 0.03  # by which time stamps may be off: some containers round them to ms
PIECE = 65_536  # samples of silence at once
BETTER = {"invalid data found when processing input": "it is damaged, broken off or of another kind"}  # FFmpeg's words


def library(what: str) -> ModuleType:
    """PyAV. Raises ConfigError, which says that `what` needs it, where it is missing."""
    with needs("media", what):
        import av
    return av


def opened(file: BinaryIO) -> Any:
    """A container to be read, of a kind that is itself and names no other files or addresses (as playlists do)."""
    import av

    return av.open(file, metadata_errors="replace", options={"format_whitelist": KINDS, "protocol_whitelist": "none"})


def sounds(container: Any, name: str) -> list[Any]:
    """The audio streams. Raises AudioError when there is none, or one that cannot be decoded."""
    found = list(container.streams.audio)
    if not found:
        raise AudioError(f"{name} holds no sound.")
    if any(stream.codec_context is None for stream in found):
        raise AudioError(f"{name} cannot be read: its sound is of an unknown kind.")
    return found


@contextlib.contextmanager
def faults_of(name: str, doing: str) -> Iterator[None]:
    """FFmpeg's errors as AudioError with the name of the file."""
    import av

    try:
        yield
    except (av.FFmpegError, ValueError, NotImplementedError) as error:
        reason = (getattr(error, "strerror", None) or str(error)).strip().rstrip(".").lower()
        raise AudioError(f"{name} cannot be {doing}: {BETTER.get(reason, reason)}.") from error


class Track:
    """The samples of one audio stream as its packets are decoded, float32 (channels, n), each at its time.

    `start` is the time of the first sample, in samples; `damaged` counts packets that were left out, if `ends` lets
    any file in. Raises AudioError for rates and channels that are refused.
    """

    def __init__(self, stream: "av.AudioStream", name: str, ends: Ends) -> None:
        import av

        self.damaged, self._ends, self._lost = 0, ends, False  # lost: a packet, whose gap is still to come
        judge(stream.rate, stream.channels)
        self.rate, self.channels, self.layout = stream.rate, stream.channels, stream.layout
        self.start: int | None = None
        self._next = self._later = 0  # the time after the last sample; what is added to those of a further recording
        self._held: tuple[Samples, int] | None = None  # decoded last, and its time: it may end in padding
        self._stream, self._name = stream, name
        self._planar = av.AudioResampler(format="fltp", layout=stream.layout, rate=stream.rate)

    def decode(self, packet: "av.Packet[av.AudioStream]") -> Iterator[Samples]:
        with faults_of(self._name, "decoded"):
            for frame in self._frames(packet):
                for planar in self._planar.resample(frame):
                    held, self._held = self._held, (np.asarray(planar.to_ndarray(), np.float32), self._time_of(planar))
                    if held:
                        yield from self._placed(*held)
            if not packet.size and self._held:  # no more will come
                samples, time = self._held
                self._held = None
                yield from self._placed(samples[:, : self._without_padding(samples.shape[1], time)], time)

    def _frames(self, packet: "av.Packet[av.AudioStream]") -> list["av.AudioFrame"]:
        import av

        try:
            return packet.decode()
        except av.FFmpegError:
            if self._ends != "any":
                raise
            self.damaged += 1
            self._lost = True
            return []

    def _without_padding(self, count: int, time: int) -> int:
        """How many samples of the last frame the container wants to be heard, where it says."""
        stream = self._stream
        if stream.duration is None or stream.time_base is None or "mp4" not in stream.container.format.name:
            return count
        end = round((stream.duration + (stream.start_time or 0)) * stream.time_base * self.rate)
        return end - time if 0 < end - time < count else count

    def _time_of(self, frame: "av.AudioFrame") -> int:
        if frame.pts is None or frame.time_base is None:
            return self._next - self._later + (self._held[0].shape[1] if self._held else 0)
        return round(frame.pts * frame.time_base * self.rate)

    def _placed(self, samples: Samples, time: int) -> Iterator[Samples]:
        if self.start is None:
            self.start = self._next = time
        if time + self._later < self._next - RESTART_SECONDS * self.rate:
            self._later = self._next - time
        gap = time + self._later - self._next
        if abs(gap) > (ROUNDING_SECONDS if self._lost else JITTER_SECONDS) * self.rate:
            self._lost = False
            self._next += max(gap, 0)
            samples = samples[:, max(-gap, 0) :]
            for done in range(0, max(gap, 0), PIECE):
                yield np.zeros((self.channels, min(PIECE, gap - done)), np.float32)
        self._next += samples.shape[1]
        if samples.size:
            yield np.ascontiguousarray(samples, np.float32)


class MediaReader:
    """The first audio stream of a file that FFmpeg reads, as a context manager.

    Raises AudioError when there is none, it cannot be decoded or, unless it may end in `any` way, breaks off.
    """

    def __init__(self, path: str | os.PathLike[str] | BinaryIO, name: str, ends: Ends = "whole") -> None:
        self.name, self._ends = name, ends
        self.frames: int | None = None
        self.remark: str | None = None
        self._path = Path(path) if isinstance(path, str | os.PathLike) else None
        library(name)
        self._resources = contextlib.ExitStack()
        with contextlib.ExitStack() as stack, faults_of(name, "read"):
            file = stack.enter_context(open(path, "rb")) if isinstance(path, str | os.PathLike) else path
            self._container = stack.enter_context(opened(file))
            self._stream = sounds(self._container, name)[0]
            self._track = Track(self._stream, name, ends)
            self.format = format_of(self._stream)
            self.seconds: float | None = (self._container.duration or 0) / MICROSECONDS or None  # not to the sample
            self._resources = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def exact_frames(self) -> None:
        """None: media tell their length in time."""

    def tags(self) -> Tags:
        """Title, cover and the like; of a file without a path, titles alone."""
        texts = read_texts({**self._stream.metadata, **self._container.metadata})
        if not self._path:
            return Tags(texts)
        with faults_of(self.name, "read"), open(self._path, "rb") as file, opened(file) as container:
            return Tags(texts, read_pictures(container))

    def bit_rate(self) -> int | None:
        """Bits a second of what loses something, where the header tells."""
        return None if self.format.subtype in BITS else self._stream.codec_context.bit_rate or None

    def blocks(self, size: int = PIECE) -> Iterator[Samples]:
        """The samples in order, from the first that is to be heard; `size` bounds a block as far as a packet allows."""
        found, ending = False, Ending(self._container)
        for packet in packets(self._container, self.name):
            ending.see(packet)
            if packet.stream.index != self._stream.index:
                continue
            for block in self._track.decode(packet):
                found = True
                yield from (block[:, start : start + size] for start in range(0, block.shape[1], size))
        if not found:
            raise AudioError(f"{self.name} holds no samples{' that can be decoded' if self._track.damaged else ''}.")
        self.remark = remark_on(self.name, self._ends, ending, self._track.damaged)


Opened = Reader | MediaReader


def packets(container: Any, name: str) -> Iterator[Any]:
    """What a container holds, in its order. Raises AudioError where it is damaged."""
    with faults_of(name, "read to its end"):
        yield from container.demux()


def format_of(stream: "av.AudioStream") -> AudioFormat:
    """Rate, channels, and what comes nearest to libsndfile's names."""
    lossless = {"s16": "PCM_16", "s16p": "PCM_16", "s32": "PCM_24", "s32p": "PCM_24"}
    codec = stream.codec_context.codec
    known = "lossless" in str(codec.properties).lower() and stream.format is not None
    subtype = lossless.get(stream.format.name if known else "", codec.name.upper())
    container = stream.container.format.name.split(",")[0].upper()
    return AudioFormat(stream.rate, stream.channels, container, subtype)


def open_audio(path: str | os.PathLike[str] | BinaryIO, name: str | None = None, ends: Ends = "whole") -> Opened:
    """A context manager that is a Source: by libsndfile or, for what only PyAV reads, by that.

    Raises AudioError as `Reader` does, ConfigError for a file that PyAV may be able to read where it is missing.
    """
    try:
        return Reader(path, name, ends)
    except AudioError as error:
        if isinstance(path, str | os.PathLike):
            refuse_no_file(Path(path))
            if Path(path).suffix.lower() in MEDIA:
                return MediaReader(path, name or os.fspath(path), ends)
            return _of_another_codec(Path(path), error, ends)
        path.seek(0)
        if not is_media(path):
            raise
        return MediaReader(path, name or "the upload", ends)


def _of_another_codec(path: Path, error: AudioError, ends: Ends) -> MediaReader:
    """A WAV or CAF with a codec that libsndfile lacks, where PyAV is there and knows it. Raises `error` else."""
    with open(path, "rb") as file:
        known = file.read(4) in (b"RIFF", b"caff")
    if known and isinstance(error.__cause__, soundfile.LibsndfileError):
        with contextlib.suppress(AudioError, ConfigError):
            return MediaReader(path, os.fspath(path), ends)
    raise error
