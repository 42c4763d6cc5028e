"""`gtcrn bench --peers` with denoisers whose cost and sound are known."""

import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile

from gtcrn import ConfigError
from gtcrn.cli import comparison
from gtcrn.cli.app import run
from gtcrn.cli.comparison import Line, compare, delay, draw, enhanced, markdown, one_core
from gtcrn.cli.peers import PEERS, Peer, Step
from gtcrn.types import Samples


def late_copy(samples: int) -> Step:
    held = np.zeros(samples, np.float32)

    def step(hop: Samples) -> Samples:
        nonlocal held
        both = np.concatenate((held, hop))
        held = both[len(hop) :]
        return both[: len(hop)]

    return step


def missing() -> Step:
    raise ModuleNotFoundError("No module named 'nowhere'", name="nowhere")


def broken() -> Step:
    raise RuntimeError("no weights\nin the wheel")


class NoSuchFile(Exception):
    """As ONNX Runtime's own errors: of no kind that Python knows."""


def fileless() -> Step:
    raise NoSuchFile("no model.onnx")


LATE = Peer("late", "late", 16_000, 160, lambda: late_copy(777))
HIGH = Peer("high", "high", 48_000, 480, lambda: late_copy(0))
WHOLE = Peer("whole", "whole", 16_000, 0, lambda: lambda samples: samples)
ABSENT = Peer("absent", "absent-package gtcrn[export]", 16_000, 160, missing)
FILELESS = Peer("fileless", "fileless", 16_000, 160, fileless)
BROKEN = Peer("broken", "broken", 16_000, 160, broken)
MUTE = Peer("mute", "mute", 16_000, 160, lambda: np.zeros_like)


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "PEERS", (LATE, HIGH, WHOLE, ABSENT, BROKEN, FILELESS))


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """One pair of synthetic speech, as far as PESQ is concerned: noise in syllables."""
    random, n = np.random.default_rng(0), 32_000
    loud = np.maximum(0, np.sin(np.arange(n) * (2 * np.pi * 4 / 16_000)))
    clean = 0.1 * np.convolve(random.standard_normal(n) * loud, np.ones(8) / 8, "same")
    for side, audio in (("clean", clean), ("noisy", clean + 0.01 * random.standard_normal(n))):
        (tmp_path / side).mkdir()
        soundfile.write(tmp_path / side / "a.wav", audio.astype(np.float32), 16_000, subtype="FLOAT")
    return tmp_path


@pytest.mark.parametrize("peer", [LATE, HIGH, WHOLE], ids=lambda peer: peer.name)
def test_a_peer_is_moved_back_by_its_delay(peer: Peer) -> None:
    noisy = np.convolve(np.random.default_rng(1).standard_normal(9_001), np.hanning(64) / 32, "same").astype(np.float32)
    back = enhanced(peer, noisy)
    assert len(back) == len(noisy)
    np.testing.assert_allclose(back[200:-200], noisy[200:-200], atol=5e-3)


def test_delay_is_found() -> None:
    noise = np.random.default_rng(2).standard_normal(4_000).astype(np.float32)
    assert delay(noise, np.concatenate((np.zeros(1_234, np.float32), noise))) == 1_234


@pytest.mark.usefixtures("peers")
def test_costs_scores_and_what_is_missing(pairs: Path, tmp_path: Path) -> None:
    lines = compare(pairs)
    table = markdown(lines, "a machine")
    by_name = {line.peer.name: line for line in lines}
    assert all(by_name[name].microseconds > 0 for name in ("late", "high", "whole"))
    assert by_name["whole"].scores == pytest.approx(by_name["noisy"].scores)
    assert "skipped: absent: nowhere is not installed (pip install absent-package 'gtcrn[export]')" in table
    assert "skipped: fileless: it does not start: no model.onnx" in table
    assert "skipped: broken: it does not start: no weights in the wheel" in table
    assert table.count("\n| ") == 2 + 4  # head and rule, noisy and three peers
    draw(lines, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("peers")
def test_a_part_of_them_and_no_pairs() -> None:
    lines = compare(None, ["late", "absent"])
    assert [line.peer.name for line in lines] == ["late", "absent"]
    with pytest.raises(ConfigError, match="no peer is called 'else'"):
        compare(None, ["else"])
    with pytest.raises(ConfigError, match="needs --pairs"):
        draw(lines, Path("plot.png"))


@pytest.mark.usefixtures("peers")
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--pairs", "{empty}"], "there is no folder"),
        (["--json"], "--peers goes with"),
        (["--weights", "gtcrn"], "--peers goes with"),
        (["--quick"], "--peers goes with"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], told: str
) -> None:
    assert run(["bench", "--peers", *(option.format(empty=tmp_path) for option in options)]) == 2
    assert told in capsys.readouterr().err


def test_what_cannot_be_scored_is_told_and_left_out(
    pairs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(comparison, "PEERS", (MUTE, WHOLE))
    mute, whole = compare(pairs)[1:]
    assert np.isnan(list(mute.scores.values())).all()
    assert whole.scores["si_sdr"] > 0
    assert "not scored: mute, a: pesq:" in capsys.readouterr().err


def test_weights_that_were_scored_already_are_not_scored_again() -> None:
    twin = Line(Peer("twin", "", 16_000, 160, lambda: late_copy(0), same=True), microseconds=10.0)
    scored = Line(LATE, microseconds=20.0, scores={"pesq": 2.0, "estoi": 0.5, "si_sdr": 3.25})
    table = markdown([scored, twin], "")
    assert "| twin | 10 | 1600 | as ours |  |  |\n| late | 20 | 800 | 2.000 | 0.500 | 3.2 |" in table


def test_dtln_is_alone_and_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its package mixes half of the noise in and opens its sessions without options."""
    onnxruntime = pytest.importorskip("onnxruntime")
    given: list[tuple[float, int, int]] = []

    def session(path: str, sess_options: Any) -> None:
        given.append((strengths[0], sess_options.intra_op_num_threads, sess_options.inter_op_num_threads))

    def noise_suppression(strength: float = 0.5) -> None:
        strengths.append(strength)
        onnxruntime.InferenceSession("model.onnx")

    strengths: list[float] = []
    plugins = SimpleNamespace(dtln=SimpleNamespace(noise_suppression=noise_suppression))
    modules = {"livekit": SimpleNamespace(rtc=None, plugins=plugins), "livekit.plugins": plugins}
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    next(peer for peer in PEERS if peer.name.startswith("DTLN")).open()
    assert given == [(1.0, 1, 1)]
    assert onnxruntime.InferenceSession is session


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="where threads are not told")
def test_threads_that_were_there_before_share_the_one_core() -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("where there is one processor")
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    try:
        before = os.sched_getaffinity(thread.native_id or 0)
        with one_core():
            assert os.sched_getaffinity(thread.native_id or 0) == os.sched_getaffinity(0) == {max(before)}
        assert os.sched_getaffinity(thread.native_id or 0) == os.sched_getaffinity(0) == before
    finally:
        over.set()
        thread.join()
