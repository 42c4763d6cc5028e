"""Which part of a recording is judged before and after, and the level of what went. DNSMOS is in test_metrics."""

from pathlib import Path

import numpy as np
import pytest
from audio_trees import hiss, save, voice

from gtcrn.errors import AudioError
from gtcrn.types import Samples
from gtcrn_recipes.data.intake import read_mono
from gtcrn_recipes.evaluation import metrics
from gtcrn_recipes.evaluation.before_after import NAMES, SECONDS, before_and_after
from gtcrn_recipes.evaluation.evaluate import DNSMOS


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[Samples]:
    """What DNSMOS is asked about; the score is a number."""
    heard: list[Samples] = []

    def dnsmos(audio: Samples) -> dict[str, float]:
        heard.append(audio)
        return dict.fromkeys(DNSMOS, float(len(heard)))

    monkeypatch.setattr(metrics, "dnsmos", dnsmos)
    return heard


def test_the_level_is_that_of_the_difference(tmp_path: Path, judged: list[Samples]) -> None:
    clean, noise = voice(2.0), hiss(2.0)
    noisy = save(tmp_path / "noisy.wav", clean + noise, subtype="FLOAT")
    found = before_and_after(noisy, save(tmp_path / "clean.wav", clean, subtype="FLOAT"))
    assert tuple(found) == NAMES
    assert (found["noisy_ovrl"], found["enhanced_ovrl"]) == (1, 2)
    assert found["removed_dbfs"] == pytest.approx(10 * np.log10(np.mean(noise**2)), abs=1e-3)
    assert before_and_after(noisy, noisy)["removed_dbfs"] == pytest.approx(-120)


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_of_long_recordings_the_middle_is_judged(tmp_path: Path, judged: list[Samples], rate: int) -> None:
    audio = np.stack([voice(30.0, 1, rate), voice(30.0, 2, rate)], 1)
    path = save(tmp_path / "long.flac", audio, rate)
    before_and_after(path, path)
    middle = read_mono(path)[5 * 16_000 : (5 + SECONDS) * 16_000]
    for heard in judged:
        assert len(heard) == len(middle)
        np.testing.assert_allclose(heard[500:-500], middle[500:-500], atol=1e-3)  # resampled at other edges


def test_silence_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("speechmos")
    silent = save(tmp_path / "silent.wav", np.zeros(16_000))
    with pytest.raises(AudioError, match="is silent"):
        before_and_after(silent, silent)
