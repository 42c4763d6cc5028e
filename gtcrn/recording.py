"""A recording through a denoiser: blocks from a source to a sink, and a file to a file."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gtcrn.audio.ending import SLACK_SHARE, Ends
from gtcrn.audio.files import Source
from gtcrn.audio.formats import file_suffix, media_suffix, target_format
from gtcrn.audio.media import MediaReader, open_audio
from gtcrn.audio.rates import refuse_bit_rate
from gtcrn.audio.writer import Sink, Writer
from gtcrn.denoiser import Denoiser, load
from gtcrn.errors import AudioError
from gtcrn.stream import Stream

if TYPE_CHECKING:
    from gtcrn.audio.remux import Counts

Opening = Callable[[int, int], Stream]  # of a sample rate in Hz and a number of channels
Progress = Callable[[float], None]  # told the seconds of audio that have been worked on since the last call
MARK = ".denoised"  # in the name of an output beside its input


@dataclass(frozen=True)
class Denoised:
    """What was written: its `path`, `seconds` of audio, how many samples were `clipped` at full scale, how many were
    `nonfinite` (NaN, infinite or beyond 1e6) and became silence; a `remark` about an input that broke off, if so; the
    `sample_rate` (Hz) and `channels` of what was read."""

    path: Path
    seconds: float
    clipped: int
    nonfinite: int
    remark: str | None = None
    sample_rate: int = 0
    channels: int = 0


def denoise_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str] | None = None,
    denoiser: Denoiser | None = None,
    *,
    attenuation_limit: float | None = None,
    keep_highs: bool = False,
    container: str | None = None,
    subtype: str | None = None,
    bit_rate: int | None = None,
    overwrite: bool = False,
    strict: bool = False,
    progress: Progress | None = None,
) -> Denoised:
    """Denoise a file of any length, kind, rate and channels; memory does not grow with it.

    `target` is by default NAME.denoised.EXT beside the source; it appears complete or not at all, as long as the source
    and aligned with it. `denoiser`: that of the shipped weights unless given. `attenuation_limit` is in dB (None: no
    limit), `keep_highs` as in `Denoiser.stream`. `container` (WAV, FLAC, ...) and `subtype` (PCM_16, FLOAT, ...) stay
    as they are unless given, `bit_rate` (bits a second, of MP3, Ogg, M4A and the like) too. `overwrite` lets the target
    be the source. `progress` is called with the seconds of audio worked on since its last call. A file that breaks off
    is read as far as it goes, with a remark; `strict` refuses it.
    Raises AudioError for what cannot be read or kept so, ConfigError for options that do not fit, GtcrnError where it
    cannot be written.
    """
    path = beside(Path(source), suffix_of(container)) if target is None else Path(target)
    if not overwrite and path.exists() and Path(source).exists() and path.samefile(source):
        raise AudioError(f"the output {path} is the input; overwrite=True replaces it.")
    progress, opened = progress or _nothing, opening(denoiser or load(), attenuation_limit, keep_highs)
    ends: Ends = "told" if strict else "any"
    with open_audio(Path(source), ends=ends) as reader:
        suffix = media_suffix(path.suffix, container)
        if suffix and isinstance(reader, MediaReader):
            counts = _denoise_media(Path(source), path, suffix, opened, bit_rate, ends, progress)
            heard, remark = (counts.seconds, counts.clipped, counts.nonfinite), counts.remark
        else:
            with sink_of(path, reader, container, subtype, bit_rate) as sink:
                heard = denoise_blocks(opened, reader, sink, progress)
            remark = reader.remark
    return Denoised(path, *heard, remark, reader.format.sample_rate, reader.format.channels)


def beside(source: Path, suffix: str | None = None) -> Path:
    """Where the output of a file goes unless something else is said."""
    return source.with_name(f"{source.stem}{MARK}{suffix or source.suffix}")


def suffix_of(container: str | None) -> str | None:
    """The extension of outputs for which a container was asked. Raises AudioError for a name that can be none."""
    if container and not container.isalnum():
        raise AudioError(f"there is no format {container!r}; name one such as WAV, FLAC or M4A.")
    return file_suffix(container) if container else None


def opening(denoiser: Denoiser, attenuation_limit: float | None, keep_highs: bool) -> Opening:
    """What makes a stream with these options of every recording or track."""
    return partial(denoiser.stream, attenuation_limit=attenuation_limit, keep_highs=keep_highs)


def denoise_blocks(opened: Opening, source: Source, sink: Sink, progress: Progress) -> tuple[float, int, int]:
    """All blocks of a source through a stream of its own into a sink: seconds, clipped and non-finite samples."""
    rate, seconds = source.format.sample_rate, 0.0
    stream = opened(rate, source.format.channels)
    for block in source.blocks():
        sink.write(stream.push(block))
        progress(block.shape[1] / rate)
        seconds += block.shape[1] / rate
    sink.write(stream.flush())
    return seconds, sink.clipped, stream.nonfinite


def sink_of(
    target: Path, source: Source, container: str | None = None, subtype: str | None = None, bit_rate: int | None = None
) -> AbstractContextManager[Sink]:
    """The file for what comes from a source. Raises AudioError and ConfigError for what it cannot hold."""
    if suffix := media_suffix(target.suffix, container):
        from gtcrn.audio.remux import MediaWriter

        return MediaWriter(target, source.format, suffix, bit_rate or source.bit_rate(), source.tags())
    form = target_format(source.format, target.suffix, container, subtype, source.frames or _at_most(source))
    refuse_bit_rate(form, bit_rate)
    return Writer(target, form, source.tags(), bit_rate or source.bit_rate())


def _at_most(source: Source) -> int | None:
    """Samples of a source that tells its length in time, and that not exactly."""
    return int(source.seconds * source.format.sample_rate * (1 + SLACK_SHARE)) if source.seconds else None


def _denoise_media(
    source: Path,
    target: Path,
    suffix: str,
    opened: Opening,
    bit_rate: int | None,
    ends: Ends,
    progress: Progress,
) -> "Counts":
    """Every audio track in its place, all else copied."""
    from gtcrn.audio.remux import denoise_media

    return denoise_media(source, target, suffix, opened, bit_rate, ends, progress)


def _nothing(seconds: float) -> None:
    """For those who do not watch."""
