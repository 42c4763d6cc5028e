"""An exported graph in the real sherpa-onnx: the same audio as the denoiser's."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import gtcrn
from gtcrn.cli.app import run

NOISY = Path(__file__).parents[2] / "samples/noisy.wav"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The configuration of sherpa-onnx for the shipped weights."""
    sherpa = pytest.importorskip("sherpa_onnx")
    path = tmp_path_factory.mktemp("sherpa") / "gtcrn.onnx"
    assert run(["export", "gtcrn", "--format", "sherpa", "-o", str(path)]) == 0
    weights = sherpa.OfflineSpeechDenoiserGtcrnModelConfig(model=str(path))
    return sherpa.OfflineSpeechDenoiserModelConfig(gtcrn=weights, num_threads=1)


@pytest.fixture(scope="module")
def audio() -> tuple[Any, int]:
    samples, rate = soundfile.read(NOISY, dtype="float32")
    return samples, rate


def test_its_stream_equals_ours(model: Any, audio: tuple[Any, int]) -> None:
    import sherpa_onnx

    samples, rate = audio
    denoiser = sherpa_onnx.OnlineSpeechDenoiser(sherpa_onnx.OnlineSpeechDenoiserConfig(model=model))
    pieces = [denoiser.run(samples[start : start + 333], rate) for start in range(0, len(samples), 333)]
    clean = np.concatenate([np.asarray(piece.samples) for piece in (*pieces, denoiser.flush())])
    expected = gtcrn.load()(samples, rate)
    assert len(clean) == len(expected)
    np.testing.assert_allclose(clean, expected, atol=1e-6)


def test_its_whole_file_equals_ours_inside(model: Any, audio: tuple[Any, int]) -> None:
    import sherpa_onnx

    samples, rate = audio
    denoiser = sherpa_onnx.OfflineSpeechDenoiser(sherpa_onnx.OfflineSpeechDenoiserConfig(model=model))
    clean = np.asarray(denoiser.run(samples, rate).samples)
    expected = gtcrn.load()(samples, rate)
    np.testing.assert_allclose(clean[512:-512], expected[512 : len(clean) - 512], atol=2e-2)
