"""Samples, bytes and arguments as people have them: what is bad becomes silence, or is refused in a sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streams import noise, random_denoiser

import gtcrn
from gtcrn import AudioError, CheckpointError, ConfigError
from gtcrn.audio.pcm import PcmFormat
from gtcrn.types import Samples


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_what_is_not_finite_becomes_silence_and_is_counted(bad: float) -> None:
    samples = noise(5_000)
    samples[1_000:1_010] = bad
    silent = samples.copy()
    silent[1_000:1_010] = 0
    stream = random_denoiser().stream()
    output = np.concatenate((stream.push(samples), stream.flush()))
    assert stream.nonfinite == 10
    np.testing.assert_array_equal(output, random_denoiser()(silent))


def test_doubles_beyond_single_precision_are_silence_too() -> None:
    stream = random_denoiser().stream()
    stream.push(np.array([1e300, 0.5]))
    assert stream.nonfinite == 1


def test_full_scale_and_far_above_stay_finite() -> None:
    square = np.where(np.arange(16_000) // 50 % 2, 1.0, -1.0).astype(np.float32)
    for scale in (1, 32_768, 9e5):
        assert np.isfinite(random_denoiser()(scale * square)).all()


@pytest.mark.parametrize(
    ("samples", "options", "sentence"),
    [
        (np.zeros((16_000, 2), np.float32), {}, "transpose"),
        (np.zeros(10, np.int32), {}, "floating point"),
        (np.zeros((2, 10), np.float32), {}, "say the sample rate"),
        ("abc", {}, "floating point"),
        ([None], {}, "floating point"),
        (np.zeros(3, complex), {}, "floating point"),
        ([[1.0], [1.0, 2.0]], {}, "array of floating point"),
        (b"odd", {}, "multiples of 2"),
        (np.zeros((1, 2, 3), np.float32), {}, "shape"),
        (np.zeros((0, 5), np.float32), {"sample_rate": 16_000}, "1 to 64 channels"),
        (np.zeros(10, np.float32), {"sample_rate": 7_999}, "8000 to 192000"),
        (np.zeros(10, np.float32), {"sample_rate": 192_001}, "8000 to 192000"),
        (np.zeros(10, np.float32), {"sample_rate": 16_000.5}, "8000 to 192000"),
        (np.zeros(10, complex), {}, "floating point"),
        (np.zeros(10, object), {}, "floating point"),
        (["a", "b"], {}, "floating point"),
        (None, {}, "floating point"),
        ([[0.5], [0.5, 0.5]], {}, "floating point"),
    ],
)
def test_other_arrays_are_refused_in_a_sentence(samples: Any, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(AudioError, match=sentence):
        random_denoiser()(samples, **options)


@pytest.mark.parametrize("wrong", [None, np.nan, np.inf, "16000", 1.5, 2j, [1], np.zeros(2), object()])
@pytest.mark.parametrize("argument", ["sample_rate", "channels", "attenuation_limit", "bypass", "keep_highs"])
def test_arguments_of_a_wrong_kind_are_refused_in_a_sentence(argument: str, wrong: Any) -> None:
    if argument == "attenuation_limit" and (wrong is None or isinstance(wrong, float)):
        pytest.skip("a limit, or refused as one out of range")
    with pytest.raises(AudioError, match="not "):
        random_denoiser().stream(**{argument: wrong})


@pytest.mark.parametrize("limit", [-1, np.nan])
def test_an_impossible_limit_is_refused_and_changes_nothing(limit: float) -> None:
    stream = random_denoiser().stream(attenuation_limit=10)
    with pytest.raises(ConfigError, match="0 dB or more"):
        stream.attenuation_limit = limit
    assert stream.attenuation_limit == 10


def as_pcm(samples: Samples) -> tuple[bytes, int]:
    return PcmFormat(48_000, len(samples), "s16le").encode(samples)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("gain", [1, 40])
def test_pcm_is_rounded_and_clipped_as_in_files(channels: int, gain: int) -> None:
    data, _ = as_pcm(np.clip(gain * noise(4_000, channels), -1, 1))
    samples = PcmFormat(48_000, channels, "s16le").decode(data)
    for limit in (None, 0):
        options: dict[str, Any] = {"sample_rate": 48_000, "channels": channels, "attenuation_limit": limit}
        stream, other = random_denoiser().stream(**options), random_denoiser().stream(**options)
        cut = 2 * channels * 1_234
        found = stream.push_pcm16(data[:cut]) + stream.quick_pcm16(memoryview(data)[cut:]) + stream.flush_pcm16()
        assert stream.quick_pcm16(data) == b""
        wanted, clipped = as_pcm(np.concatenate((np.atleast_2d(other.push(samples)), np.atleast_2d(other.flush())), 1))
        assert (found, stream.clipped) == (wanted, clipped)
        assert limit is None or found == data


@pytest.mark.parametrize("bad", [b"123", "1234", None, 4])
def test_what_is_no_pcm_is_refused_in_a_sentence(bad: Any) -> None:
    with pytest.raises(AudioError, match="PCM must be bytes"):
        random_denoiser().stream(16_000, channels=2).push_pcm16(bad)


def test_samples_keep_the_form_they_came_in() -> None:
    stream = random_denoiser().stream()
    assert stream.push(noise(600)).shape == (256,)
    assert stream.push(noise(600, channels=1)).shape == (1, 512)
    assert stream.flush().shape == (1, 432)


def test_unknown_and_missing_weights_are_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no weights named 'nonsense'"):
        gtcrn.load("nonsense")
    with pytest.raises(CheckpointError, match="no weights at"):
        gtcrn.load(tmp_path / "nothing.safetensors")


def test_a_folder_of_a_name_does_not_hide_shipped_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a checkout of this project there is a folder called gtcrn."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gtcrn").mkdir()
    assert gtcrn.load("gtcrn").fingerprint == gtcrn.load().fingerprint
