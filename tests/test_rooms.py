"""Simulated rooms: drawn from a seed and a number, the same in any order and number of processes, and like rooms."""

import sys
from pathlib import Path

import numpy as np
import pytest

from gtcrn.cli.app import run
from gtcrn_recipes.data.dataset import ClipStore
from gtcrn_recipes.data.rooms import ABSORPTION, DISTANCE_M, MARGIN_M, absorption_for, draw_room, simulate

SEEDED = [np.random.default_rng((1, number)) for number in range(300)]


@pytest.fixture
def library() -> None:
    pytest.importorskip("pyroomacoustics")


def decay_seconds(response: np.ndarray) -> float:
    """RT60 by Schroeder's integral, from -5 to -25 dB."""
    energy = np.cumsum((response.astype(float) ** 2)[::-1])[::-1]
    level = 10 * np.log10(energy / energy[0] + 1e-12)
    start, end = (int(np.argmax(level < db)) for db in (-5, -25))
    return 3 * (end - start) / 16_000


def test_mouth_and_microphone_are_in_the_room_and_apart() -> None:
    for random in SEEDED:
        room = draw_room(random)
        for place in (room.mouth, room.microphone):
            assert (place >= MARGIN_M - 1e-9).all()
            assert (place <= room.size - MARGIN_M + 1e-9).all()
        assert np.linalg.norm((room.mouth - room.microphone)[:2]) <= DISTANCE_M[1] + 1e-9
        assert room.absorption.shape == (6, 6)
        assert (room.absorption >= ABSORPTION[0]).all()
        assert (room.absorption <= ABSORPTION[1]).all()


def test_absorption_is_that_of_sabine() -> None:
    assert absorption_for(0.5, np.array([5.0, 4.0, 3.0])) == pytest.approx(0.161 * 60 / (94 * 0.5))
    assert absorption_for(0.01, np.array([5.0, 4.0, 3.0])) == ABSORPTION[1]


@pytest.mark.usefixtures("library")
def test_a_set_can_be_interrupted_enlarged_and_shared_among_processes(tmp_path: Path) -> None:
    assert simulate(tmp_path / "once", 5).added == 5
    assert [simulate(tmp_path / "twice", count, jobs=jobs).added for count, jobs in ((2, 1), (5, 2), (5, 1))] == [
        2,
        3,
        0,
    ]
    for name in ("0000.pcm", "index.csv"):
        assert (tmp_path / "once/rir" / name).read_bytes() == (tmp_path / "twice/rir" / name).read_bytes()
    simulate(tmp_path / "other", 1, seed=2)
    ours, other = (ClipStore.open(tmp_path / name, "rir").read(0) for name in ("once", "other"))
    assert not np.array_equal(ours[:1000], other[:1000])


@pytest.mark.usefixtures("library")
def test_responses_begin_with_the_direct_sound_and_decay_as_rooms_do(tmp_path: Path) -> None:
    simulate(tmp_path, 8)
    store = ClipStore.open(tmp_path, "rir")
    responses = [store.read(clip) for clip in range(8)]
    assert len(store.speakers) == 8
    assert all(np.abs(r).max() == round(0.9 * 32768) for r in responses)
    assert all(np.abs(r[:32]).max() > 0.3 * np.abs(r).max() for r in responses)
    times = [decay_seconds(r) for r in responses]
    assert 0.03 < min(times) < 0.4 < max(times) < 1.2


@pytest.mark.usefixtures("library")
def test_the_command_simulates_rooms_alone_or_beside_recorded_audio(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["prepare", str(tmp_path / "out"), "--simulate-rooms", "2", "--jobs", "1"]) == 0
    printed = capsys.readouterr().out
    assert "rir/simulated: 2 files added" in printed
    assert [line.split() for line in printed.splitlines()][-1] == ["rir", "simulated", "train", "0.00", "2", "2"]


def test_a_missing_library_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyroomacoustics", None)
    assert run(["prepare", str(tmp_path / "out"), "--simulate-rooms", "2"]) == 2
    assert (
        capsys.readouterr()
        .err.strip()
        .endswith("--simulate-rooms needs the package pyroomacoustics: pip install 'gtcrn[rooms]'.")
    )
    assert not (tmp_path / "out/rir").exists()
