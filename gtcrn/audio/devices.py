"""Microphones and loudspeakers, by PortAudio (extra `live`): found by number or part of a name, opened as one."""

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

from gtcrn.errors import ConfigError, needs

Callback = Callable[[Any, Any, int, Any, Any], None]  # input, output (n, channels), n, times in s, what went wrong
HOP_SECONDS = 0.016  # of a callback's samples
NONE_GIVEN = "see gtcrn live --list-devices"


def library() -> ModuleType:
    """sounddevice. Raises ConfigError, which says what to install, where it or PortAudio is missing."""
    with needs("live"):
        try:
            import sounddevice
        except OSError as error:
            raise ConfigError("there is no PortAudio: install it (on Debian: apt install libportaudio2).") from error
    return sounddevice  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Device:
    """What PortAudio knows of one: `rate` in Hz is its own, `channels` those of the direction that was asked for."""

    number: int
    name: str
    rate: int
    channels: int


def find(wanted: str | None, kind: Literal["input", "output"]) -> Device:
    """The device of this number or with this in its name; None: the system's default. Raises ConfigError for none."""
    audio = library()
    try:
        named = int(wanted) if wanted and wanted.isdecimal() else wanted
        found = audio.query_devices(named, kind)
    except (ValueError, audio.PortAudioError) as error:
        what = f"no {kind} device {wanted!r}, or more than one" if wanted else f"no {kind} device"
        raise ConfigError(f"there is {what}; {NONE_GIVEN}.") from error
    channels = int(found[f"max_{kind}_channels"])
    if not channels:
        raise ConfigError(f"{found['name']} is no {kind} device; {NONE_GIVEN}.")
    return Device(int(found["index"]), str(found["name"]), int(found["default_samplerate"]), channels)


def table() -> list[str]:
    """A line for each device: its number, * for a default, its name, channels in and out, rate."""
    audio = library()
    defaults = set(audio.default.device)
    return [
        f"{'*' if device['index'] in defaults else ' '}{device['index']:3}  {device['name']}  "
        f"({device['max_input_channels']} in, {device['max_output_channels']} out, {device['default_samplerate']:g} Hz)"
        for device in audio.query_devices()
    ]


def opened(source: Device, target: Device, rate: int, callback: Callback) -> Any:
    """One channel in and one or two out, as a context manager that runs meanwhile. Raises ConfigError if it cannot."""
    audio = library()
    settings = {"samplerate": rate, "blocksize": round(rate * HOP_SECONDS), "dtype": "float32", "latency": "low"}
    channels = (1, min(2, target.channels))
    try:
        return audio.Stream(device=(source.number, target.number), channels=channels, callback=callback, **settings)
    except audio.PortAudioError as error:
        words = str(error.args[0] if error.args else error).removesuffix(".")
        raise ConfigError(f"{source.name} to {target.name} cannot be opened at {rate} Hz: {words}.") from error
