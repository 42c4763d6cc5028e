"""How audio is kept in a file: container and subtype as libsndfile names them, and which one an output gets."""

from dataclasses import dataclass, replace
from typing import BinaryIO

import soundfile

from gtcrn.audio.capacity import CAPACITIES, ENDLESS_CONTAINERS, LARGEST_32, that_hold
from gtcrn.audio.limits import judge
from gtcrn.audio.pcm import ENCODINGS, FLOAT, PCM
from gtcrn.errors import AudioError

BITS = {"PCM_S8": 8} | {form.subtype: form.bits for form in ENCODINGS.values() if form.tag == PCM}
UNLIMITED = tuple(form.subtype for form in ENCODINGS.values() if form.tag == FLOAT)  # hold what is beyond full scale
BYTES = {"PCM_S8": 1} | {form.subtype: form.bits // 8 for form in ENCODINGS.values()}
CONTAINERS = {
    ".wav": "WAV",
    ".flac": "FLAC",
    ".ogg": "OGG",
    ".oga": "OGG",
    ".opus": "OGG",
    ".mp3": "MP3",
    ".aif": "AIFF",
    ".aiff": "AIFF",
    ".aifc": "AIFF",
    ".w64": "W64",
    ".rf64": "RF64",
    ".au": "AU",
    ".snd": "AU",
    ".caf": "CAF",
}
MEDIA = {  # what needs PyAV, and FFmpeg's names of it
    ".m4a": "ipod",
    ".m4b": "ipod",
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".3gp": "3gp",
    ".3g2": "3g2",
    ".webm": "webm",
    ".mkv": "matroska",
    ".mka": "matroska",
    ".wma": "asf",
    ".wmv": "asf",
    ".ac3": "ac3",
    ".eac3": "eac3",
    ".aac": "adts",
    ".amr": "amr",
    ".avi": "avi",
    ".ts": "mpegts",
}
CODECS = {"OPUS": "OGG", "VORBIS": "OGG"}  # that people name where a container is asked for


@dataclass(frozen=True)
class AudioFormat:
    """How samples are kept: rate in Hz, channels, libsndfile's container and subtype (WAV, PCM_16)."""

    sample_rate: int
    channels: int
    container: str
    subtype: str

    def __str__(self) -> str:
        return f"{self.container} {self.subtype}, {self.sample_rate} Hz, {self.channels} channels"


def target_format(
    source: AudioFormat,
    suffix: str,
    container: str | None = None,
    subtype: str | None = None,
    frames: int | None = None,
) -> AudioFormat:
    """The format of a file with this `suffix` for audio from `source`: what is not asked for is kept where possible.

    The gate before anything is opened for writing. Raises AudioError for a rate or channels that the denoiser does not
    take, a container or subtype that is unknown, and what they cannot hold, `frames` of samples a channel included.
    """
    judge(source.sample_rate, source.channels)
    chosen = (container or _container(source, suffix)).upper()
    if chosen in CODECS:
        chosen, subtype = CODECS[chosen], subtype or chosen
    if chosen not in CAPACITIES:
        raise AudioError(f"there is no format {chosen!r}; there are {', '.join((*CAPACITIES, *CODECS))}.")
    kept = (subtype or _subtype(source, suffix, chosen)).upper()
    form = replace(source, container=chosen, subtype=kept)
    if chosen in ("WAV", "WAVEX") and _size(form, frames) > LARGEST_32:
        form = replace(form, container="RF64")
    _refuse_unholdable(form)
    refuse_too_long(form, frames)
    return form


def refuse_too_long(form: AudioFormat, frames: int | None) -> None:
    """Raises AudioError for more samples a channel than the container's lengths of 32 bits can tell."""
    if form.container not in ENDLESS_CONTAINERS and _size(form, frames) > LARGEST_32:
        what = f"{form.container} {form.subtype}"
        raise AudioError(f"{what} holds at most 4 GB; these hold more: {', '.join(ENDLESS_CONTAINERS)}.")


def media_suffix(suffix: str, container: str | None) -> str | None:
    """The extension that names the media format of an output, where it is one."""
    wanted = f".{container}".lower() if container else suffix.lower()
    return wanted if wanted in MEDIA else None


def is_media(file: BinaryIO) -> bool:
    """Whether a file begins as MP4, WebM and the like do, or ASF."""
    start = file.read(16)
    file.seek(0)
    return start[4:8] == b"ftyp" or start[:4] in (b"\x1a\x45\xdf\xa3", b"\x30\x26\xb2\x75")


def file_suffix(container: str) -> str:
    """The extension of files whose container (or codec) was asked for by this name."""
    name = container.upper()
    named = [suffix for suffix, kept in CONTAINERS.items() if name in (kept, suffix[1:].upper())]
    return named[0] if named else file_suffix(CODECS[name]) if name in CODECS else f".{name.lower()}"


def _size(form: AudioFormat, frames: int | None) -> int:
    """Bytes of samples; 0 where they are compressed or of unknown number."""
    return (frames or 0) * form.channels * BYTES.get(form.subtype, 0)


def _refuse_unholdable(form: AudioFormat) -> None:
    capacity = CAPACITIES[form.container].get(form.subtype)
    if capacity is None:
        raise AudioError(
            f"{form.container} cannot hold {form.subtype}; it holds {', '.join(CAPACITIES[form.container])}."
        )
    what = f"{form.container} {form.subtype}"
    others = f"these can: {that_hold(form.sample_rate, form.channels)}."
    if not capacity.holds_rate(form.sample_rate):
        raise AudioError(f"{what} cannot hold {form.sample_rate} Hz, only {capacity.words()}; {others}")
    if form.channels not in capacity.channels:
        raise AudioError(f"{what} cannot hold {form.channels} channels, at most {max(capacity.channels)}; {others}")


def _container(source: AudioFormat, suffix: str) -> str:
    wanted = CONTAINERS.get(suffix.lower(), suffix.lstrip(".").upper())
    family = {"WAVEX": "WAV", "RF64": "WAV"}.get(source.container, source.container)
    if wanted and wanted not in (source.container, family):
        return wanted
    return source.container


def _subtype(source: AudioFormat, suffix: str, container: str) -> str:
    if suffix.lower() == ".opus" and container == "OGG":
        return "OPUS"
    valid = CAPACITIES[container]
    if source.subtype in valid and (container == source.container or source.subtype in (*BITS, *UNLIMITED)):
        return source.subtype
    if source.subtype in (*UNLIMITED, "PCM_32") and "PCM_24" in valid:
        return "PCM_24"
    return str(soundfile.default_subtype(container))
