"""Weights to a denoiser, a denoiser to streams: the API people use. A whole recording is a stream pushed at once."""

import copy
import os
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np

from gtcrn import kernel, snapshot
from gtcrn.audio.limits import MAX_CHANNELS
from gtcrn.checkpoint import Checkpoint, read
from gtcrn.config import SAMPLE_RATE, GTCRNConfig
from gtcrn.errors import AudioError, CheckpointError
from gtcrn.kernel.fold import fold
from gtcrn.stream import Stream
from gtcrn.types import Integers, Pcm, Samples, as_samples

UNSAID = type("Unsaid", (int,), {})(SAMPLE_RATE)  # Hz; a default that can be told from the same number given
SHIPPED = Path(__file__).with_name("weights")


def load(source: str | os.PathLike[str] | None = None) -> "Denoiser":
    """A denoiser with the weights of `source`: the shipped ones (None), shipped ones of another name, or a file's.

    Files are safetensors as this project writes them or, where torch is installed, a published `.tar`.
    Raises CheckpointError when there are none, or they are damaged or foreign; ConfigError for another network.
    """
    return Denoiser(read(weights_file(source)))


def weights_file(source: str | os.PathLike[str] | None = None) -> Path:
    """Where the weights lie that `load` takes for `source`. Raises CheckpointError for a name that nothing ships by."""
    if not isinstance(source, str | os.PathLike | None):
        raise CheckpointError(f"weights are named by a text or a path, not by {source!r:.40}.")
    if source is not None and (os.path.sep in os.fspath(source) or Path(source).suffix or Path(source).is_file()):
        return Path(source)
    name = "gtcrn" if source is None else os.fspath(source)
    entry = SHIPPED / f"{name}.safetensors"
    if not entry.is_file():
        names = sorted(path.stem for path in SHIPPED.glob("*.safetensors"))
        raise CheckpointError(
            f"no weights named {name!r} come with this version (there are: {', '.join(names) or 'none'}); "
            "give the path of a weights file."
        )
    return entry


class Denoiser:
    """A network ready to run: immutable, shared by any number of streams and threads; it can be pickled.

    `config` are the network's numbers, `params` its parameters as the kernel takes them (float32, read-only).
    """

    config: GTCRNConfig
    params: Samples
    _checkpoint: Checkpoint

    def __init__(self, checkpoint: Checkpoint) -> None:
        """From a `checkpoint`, weights in memory; `load` reads them from a file. Raises CheckpointError for what does
        not fit."""
        if not isinstance(checkpoint, Checkpoint):
            raise CheckpointError(f"a Denoiser is made from a Checkpoint, not from {checkpoint!r:.40}; see gtcrn.load.")
        params = fold(checkpoint)
        params.setflags(write=False)
        vars(self).update(_checkpoint=copy.deepcopy(checkpoint), config=checkpoint.config, params=params)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a Denoiser is immutable: {name} cannot be set.")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a Denoiser is immutable: {name} cannot be deleted.")

    def __reduce__(self) -> tuple[type["Denoiser"], tuple[Checkpoint]]:
        return Denoiser, (self.checkpoint,)

    def __repr__(self) -> str:
        return f"<gtcrn.Denoiser: {self.card.get('name', 'unnamed')}, weights {self.fingerprint}>"

    @property
    def checkpoint(self) -> Checkpoint:
        """A copy of the weights, their configuration and their card."""
        return copy.deepcopy(self._checkpoint)

    @property
    def card(self) -> dict[str, Any]:
        """A copy of what is told of the weights: name, licence, data, scores."""
        return copy.deepcopy(self._checkpoint.card)

    @cached_property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that tell the weights from others; a snapshot names them."""
        return f"{kernel.fingerprint(self.params):016x}"

    @overload
    def __call__(
        self,
        audio: Pcm,
        sample_rate: int = UNSAID,
        attenuation_limit: float | None = None,
        bypass: bool = False,
        channels: int = 1,
        keep_highs: bool = False,
    ) -> bytes: ...
    @overload
    def __call__(
        self,
        audio: Integers,
        sample_rate: int = UNSAID,
        attenuation_limit: float | None = None,
        bypass: bool = False,
        channels: int = 1,
        keep_highs: bool = False,
    ) -> Integers: ...
    @overload
    def __call__(
        self,
        audio: Any,
        sample_rate: int = UNSAID,
        attenuation_limit: float | None = None,
        bypass: bool = False,
        channels: int = 1,
        keep_highs: bool = False,
    ) -> Samples: ...
    def __call__(
        self,
        audio: Any,
        sample_rate: int = UNSAID,
        attenuation_limit: float | None = None,
        bypass: bool = False,
        channels: int = 1,
        keep_highs: bool = False,
    ) -> Any:
        """Denoise a whole recording of any length; same kind, shape and rate, aligned.

        `audio` is an array (n,) or (channels, n) of floats in [-1, 1] or of int16, or bytes of interleaved PCM (signed,
        16 bits, little-endian) of as many `channels` as are said. `sample_rate` (Hz), `attenuation_limit` (dB),
        `bypass` and `keep_highs` are those of `stream`. Raises AudioError for anything else, ConfigError for a limit
        below 0.
        """
        if isinstance(audio, Pcm):
            stream = self.stream(sample_rate, channels, attenuation_limit, bypass, keep_highs)
            return stream.push_pcm16(audio) + stream.flush_pcm16()
        audio = as_samples(audio)
        channels = audio.shape[0] if audio.ndim == 2 else 1
        if channels > MAX_CHANNELS and audio.shape[1] <= MAX_CHANNELS:
            raise AudioError(f"audio must have the shape (channels, n), not {audio.shape}; transpose it.")
        stream = self.stream(sample_rate, channels, attenuation_limit, bypass, keep_highs)
        return np.concatenate((stream.push(audio), stream.flush()), axis=-1)

    def stream(
        self,
        sample_rate: int = UNSAID,
        channels: int = 1,
        attenuation_limit: float | None = None,
        bypass: bool = False,
        keep_highs: bool = False,
    ) -> Stream:
        """A stream of its own state: `sample_rate` 8,000 to 192,000 Hz, `channels` 1 to 64, each denoised by itself.

        Without a rate one channel is taken to be at the network's own, 16,000 Hz; several channels, which hardly ever
        are, are refused. Raises AudioError for that and for arguments out of range or of another kind.
        `attenuation_limit` says by how many dB noise may be pulled down (0 or more; None: no limit): the input,
        delayed to fit, is mixed in accordingly. `bypass` passes the delayed input on unchanged. The network hears
        up to 8 kHz: what lies above in a stream of a higher rate counts as noise; with `keep_highs` it passes, in each
        frame of 32 ms with one gain, which follows from what the network lets pass from 5.6 to 7.1 kHz and from the
        probability that someone speaks. At rates up to 16 kHz that changes nothing.
        """
        stream = Stream(self.params, sample_rate, channels, attenuation_limit, bypass, keep_highs)
        if sample_rate is UNSAID and stream.channels > 1:
            raise AudioError(f"say the sample rate of {channels} channels: only one alone is taken to be at 16000 Hz.")
        return stream

    def resume(self, saved: bytes, key: bytes | None = None) -> Stream:
        """The stream that gave the snapshot `saved`, in this process or another; it goes on as if never interrupted.

        `key` is the one it was signed with. A `flush` before the next push gives float32. Raises AudioError for bytes
        that are no snapshot, are damaged or not signed so, CheckpointError for a snapshot made with other weights.
        """
        saved = snapshot.verify(saved, key)
        sample_rate, channels, network, fingerprint = snapshot.form(saved)
        if network != self.config.channels:
            raise CheckpointError(
                f"the snapshot was made with a network of {network} channels, not of {self.config.channels}."
            )
        if fingerprint != self.fingerprint:
            raise CheckpointError(f"the snapshot was made with weights {fingerprint}, not {self.fingerprint}.")
        stream = self.stream(sample_rate, channels)
        stream.restore(saved)
        return stream
