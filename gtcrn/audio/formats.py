"""How audio is kept in a file: container and subtype as libsndfile names them, and which one an output gets."""

from dataclasses import dataclass, replace

import soundfile

from gtcrn.errors import AudioError

BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
UNLIMITED = ("FLOAT", "DOUBLE")  # subtypes that hold what is beyond full scale
LARGEST_WAV = 0xFFFFFFFF - 4096  # bytes; longer ones become RF64
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

    Raises AudioError for a container or subtype that is unknown, or that do not go together.
    """
    chosen = (container or _container(source, suffix)).upper()
    if chosen not in soundfile.available_formats():
        raise AudioError(f"there is no format {chosen!r}; there are {', '.join(soundfile.available_formats())}.")
    kept = (subtype or _subtype(source, suffix, chosen)).upper()
    if not soundfile.check_format(chosen, kept):
        valid = ", ".join(soundfile.available_subtypes(chosen))
        raise AudioError(f"{chosen} cannot hold {kept}; it holds {valid}.")
    width = BITS.get(kept, 64) // 8
    if chosen in ("WAV", "WAVEX") and (frames or 0) * source.channels * width > LARGEST_WAV:
        chosen = "RF64"
    return replace(source, container=chosen, subtype=kept)


def _container(source: AudioFormat, suffix: str) -> str:
    wanted = CONTAINERS.get(suffix.lower(), suffix.lstrip(".").upper())
    family = {"WAVEX": "WAV", "RF64": "WAV"}.get(source.container, source.container)
    if wanted and wanted not in (source.container, family):
        return wanted
    return source.container


def _subtype(source: AudioFormat, suffix: str, container: str) -> str:
    if suffix.lower() == ".opus" and container == "OGG":
        return "OPUS"
    valid = soundfile.available_subtypes(container)
    if source.subtype in valid and (container == source.container or source.subtype in (*BITS, *UNLIMITED)):
        return source.subtype
    if source.subtype in (*UNLIMITED, "PCM_32") and "PCM_24" in valid:
        return "PCM_24"
    return str(soundfile.default_subtype(container))
