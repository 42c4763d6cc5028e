"""Digital silence between joined words gets the floor of the recording around it; nothing else changes."""

from pathlib import Path

import numpy as np
from audio_trees import RATE, save, voice

from gtcrn.cli.app import run
from gtcrn_recipes.data.dataset import ClipStore
from gtcrn_recipes.data.silence import fill_silence


def joined(floors: list[float], gap: int = 4000) -> np.ndarray:
    """Words over a floor of white noise each, with digital silence between them."""
    random = np.random.default_rng(0)
    words = [voice(1.0, seed=n) + floor * random.standard_normal(RATE) for n, floor in enumerate(floors)]
    parts = [part for word in words for part in (word, np.zeros(gap))][:-1]
    return np.concatenate(parts).astype(np.float32)


def level_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(samples.astype(float) ** 2) + 1e-20))


def test_a_gap_has_the_floor_of_the_words_beside_it() -> None:
    audio = joined([1e-3, 1e-3])
    filled = fill_silence(audio, np.random.default_rng(1))
    gap = slice(RATE, RATE + 4000)
    assert abs(level_db(filled[gap]) - -60) < 2
    assert np.array_equal(np.delete(filled, np.r_[gap]), np.delete(audio, np.r_[gap]))


def test_a_gap_fades_from_one_floor_into_the_other() -> None:
    filled = fill_silence(joined([3e-3, 1e-4]), np.random.default_rng(1))
    first, last = (level_db(filled[RATE + start : RATE + start + 200]) for start in (0, 3800))
    assert abs(first - 20 * np.log10(3e-3)) < 3
    assert last < -60


def test_the_colour_of_the_floor_is_kept() -> None:
    random = np.random.default_rng(2)
    rumble = np.convolve(1e-3 * random.standard_normal(2 * RATE), np.ones(32) / 4, "same").astype(np.float32)
    rumble[:8000] += voice(0.5)
    rumble[12_000:20_000] = 0
    filled = fill_silence(rumble, random)[12_000:20_000]
    power = np.abs(np.fft.rfft(filled)) ** 2
    assert 10 * np.log10(power[:200].mean() / power[2000:].mean()) > 20


def test_gated_recordings_and_short_zeros_stay() -> None:
    gated = joined([0.0, 0.0])
    gated[np.abs(gated) < 1e-3] = 0  # the pauses of the words themselves are digital silence
    assert np.abs(fill_silence(gated, np.random.default_rng(0)) - gated).max() < 0.01
    crossing = joined([1e-3])
    crossing[500:600] = 0
    assert fill_silence(crossing, np.random.default_rng(0)) is crossing
    assert np.abs(fill_silence(np.zeros(RATE, np.float32), np.random.default_rng(0))).max() < 4 / 32768


def test_the_command_fills_speech_alone(tmp_path: Path) -> None:
    save(tmp_path / "speech/anna/1.wav", joined([1e-3, 1e-3]))
    save(tmp_path / "noise/1.wav", joined([1e-3, 1e-3]))
    roles = [x for role in ("speech", "noise") for x in (f"--{role}", str(tmp_path / role))]
    for out, options in (("plain", []), ("filled", ["--fill-silence"])):
        assert run(["prepare", str(tmp_path / out), *roles, "--jobs", "1", *options]) == 0
    zeros = {
        (out, role): float(np.mean(ClipStore.open(tmp_path / out, role).read(0)[RATE : RATE + 4000] == 0))
        for out in ("plain", "filled")
        for role in ("speech", "noise")
    }
    assert zeros["plain", "speech"] == zeros["plain", "noise"] == zeros["filled", "noise"] == 1
    assert zeros["filled", "speech"] < 0.1
