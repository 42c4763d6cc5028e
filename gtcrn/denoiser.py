"""Weights to a denoiser, a denoiser to streams: the API people use. A whole recording is a stream pushed at once."""

import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gtcrn import kernel, snapshot
from gtcrn.audio.limits import MAX_CHANNELS
from gtcrn.checkpoint import Checkpoint, read
from gtcrn.errors import AudioError, CheckpointError
from gtcrn.kernel.fold import fold
from gtcrn.stream import Stream, as_floats

Samples = NDArray[np.float32]

SHIPPED = Path(__file__).with_name("weights")


def load(source: str | os.PathLike[str] | None = None) -> "Denoiser":
    """A denoiser with the shipped weights (None), shipped weights of another name, or the weights file at a path.

    Files are safetensors as this project writes them or, where torch is installed, a published `.tar`.
    Raises CheckpointError when there are none, or they are damaged or foreign; ConfigError for another network.
    """
    if source is not None and (os.path.sep in os.fspath(source) or Path(source).suffix or Path(source).is_file()):
        return Denoiser(read(source))
    name = "gtcrn" if source is None else os.fspath(source)
    entry = SHIPPED / f"{name}.safetensors"
    if not entry.is_file():
        names = sorted(path.stem for path in SHIPPED.glob("*.safetensors"))
        raise CheckpointError(
            f"no weights named {name!r} come with this version (there are: {', '.join(names) or 'none'}); "
            "give the path of a weights file."
        )
    return Denoiser(read(entry))


class Denoiser:
    """A network ready to run: immutable, shared by any number of streams and threads."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.config = checkpoint.config
        self.card = checkpoint.card
        self.params = fold(checkpoint)
        self.params.setflags(write=False)

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that tell the weights from others; a snapshot names them."""
        return f"{kernel.fingerprint(self.params):016x}"

    def __call__(
        self,
        audio: NDArray[Any],
        sample_rate: int = 16_000,
        attenuation_limit: float | None = None,
        bypass: bool = False,
    ) -> Samples:
        """Denoise a whole recording: float (n,) or (channels, n) in [-1, 1], any n; same shape and rate, aligned.

        The options are those of `stream`. Raises AudioError for anything that is not such an array.
        """
        audio = as_floats(audio)
        channels = audio.shape[0] if audio.ndim == 2 else 1
        if channels > MAX_CHANNELS and audio.shape[1] <= MAX_CHANNELS:
            raise AudioError(f"audio must have the shape (channels, n), not {audio.shape}; transpose it.")
        stream = self.stream(sample_rate, channels, attenuation_limit, bypass)
        return np.concatenate((stream.push(audio), stream.flush()), axis=-1)

    def stream(
        self,
        sample_rate: int = 16_000,
        channels: int = 1,
        attenuation_limit: float | None = None,
        bypass: bool = False,
    ) -> Stream:
        """A stream of its own state: `sample_rate` 8,000 to 192,000 Hz, `channels` 1 to 64, each denoised by itself.

        `attenuation_limit` says by how many dB noise may be pulled down (0 or more; None: no limit): the input,
        delayed to fit, is mixed in accordingly. `bypass` passes the delayed input on unchanged. The network hears
        up to 8 kHz: what lies above in a stream of a higher rate counts as noise.
        """
        return Stream(self.params, sample_rate, channels, attenuation_limit, bypass)

    def resume(self, saved: bytes, key: bytes | None = None) -> Stream:
        """The stream that gave this snapshot, in this process or another; it goes on as if never interrupted.

        `key` is the one it was signed with. Raises AudioError for bytes that are no snapshot, are damaged or not
        signed so, CheckpointError for a snapshot made with other weights.
        """
        saved = snapshot.verify(saved, key)
        sample_rate, channels, fingerprint = snapshot.form(saved)
        if fingerprint != self.fingerprint:
            raise CheckpointError(f"the snapshot was made with weights {fingerprint}, not {self.fingerprint}.")
        stream = self.stream(sample_rate, channels)
        stream.restore(saved)
        return stream
