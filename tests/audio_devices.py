"""A stand-in for PortAudio: a microphone that hears what a test gives it, a loudspeaker that keeps what it gets."""

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import numpy as np

from gtcrn.types import Samples

RATE, BLOCK = 48_000, 768
DEVICES = [
    {"index": 0, "name": "Desk mic", "max_input_channels": 1, "max_output_channels": 0, "default_samplerate": 48_000.0},
    {"index": 1, "name": "Phones", "max_input_channels": 0, "max_output_channels": 2, "default_samplerate": 44_100.0},
    {"index": 2, "name": "Cable", "max_input_channels": 2, "max_output_channels": 2, "default_samplerate": 48_000.0},
]


class Device:
    """A microphone that hears `sound` and a loudspeaker that keeps what it is given; then Ctrl-C, or a pulled plug."""

    def __init__(self, sound: Samples, taken_away: bool = False) -> None:
        self._sound, self._taken_away, self._at = sound, taken_away, 0
        self.played: list[Samples] = []
        self.settings: dict[str, Any] = {}

    def open(self, callback: Callable[..., None], **settings: Any) -> "Device":
        self._callback, self.settings = callback, settings
        if settings["samplerate"] == 8_000:
            raise sys.modules["sounddevice"].PortAudioError("Invalid sample rate [PaErrorCode -9997]", -9997)
        return self

    def __enter__(self) -> "Device":
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    @property
    def active(self) -> bool:
        """What PortAudio's own thread does between two looks of the command."""
        for _ in range(10):
            if self._at + BLOCK > len(self._sound):
                if not self._taken_away:
                    raise KeyboardInterrupt
                return False
            self._call()
        return True

    def _call(self) -> None:
        target = np.empty((BLOCK, self.settings["channels"][1]), np.float32)
        late = self._at == 0
        status = SimpleNamespace(input_overflow=late, input_underflow=False, output_underflow=late)
        times = SimpleNamespace(inputBufferAdcTime=7.0, outputBufferDacTime=7.025)
        self._callback(self._sound[self._at : self._at + BLOCK, None], target, BLOCK, times, status)
        self.played.append(target)
        self._at += BLOCK


def portaudio(device: Device) -> ModuleType:
    """A stand-in for the package sounddevice."""
    module: Any = ModuleType("sounddevice")
    module.PortAudioError = type("PortAudioError", (Exception,), {})
    module.default = SimpleNamespace(device=[0, 1])
    module.Stream = device.open

    def query_devices(wanted: int | str | None = None, kind: str | None = None) -> Any:
        if kind is None:
            return DEVICES
        if wanted is None:
            return DEVICES[0 if kind == "input" else 1]
        if isinstance(wanted, int):
            return DEVICES[wanted]
        found = [device for device in DEVICES if wanted.lower() in str(device["name"]).lower()]
        if len(found) != 1:
            raise ValueError(f"No {kind} device matching {wanted!r}")
        return found[0]

    module.query_devices = query_devices
    return cast(ModuleType, module)
