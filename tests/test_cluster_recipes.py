"""Preparation and evaluation on a real Ray: the same bytes as on one machine, whatever is done first."""

import csv
import functools
import shutil
from pathlib import Path

import dying
import numpy as np
import pyarrow.parquet as pq
import pytest
from audio_trees import dns_tree, folder_contents, hiss, pair_folders, save, voice

from gtcrn.cli.app import run
from gtcrn.cluster import cores, ordered
from gtcrn.cluster.ordered import in_order
from gtcrn.errors import AudioError, GtcrnError
from gtcrn_recipes.evaluation.before_after import NAMES, before_and_after

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("_ray")]
pytest.importorskip("ray")


def test_results_come_in_order_whatever_is_done_first() -> None:
    items = [(0.3 if number % 8 == 0 else 0.0, number) for number in range(40)]
    assert list(in_order(dying.late_first, items)) == list(range(40))


def test_no_more_is_in_flight_than_the_cores_need(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    room = cores.Cores.room

    def noted(self: cores.Cores, running: int) -> int:
        given.append(running)
        return room(self, running)

    monkeypatch.setattr(cores.Cores, "room", noted)
    results = in_order(functools.partial(dying.die_once, __file__), range(100_000))
    for _ in range(100):
        next(results)
    results.close()  # type: ignore[attr-defined]
    assert max(given) < 2 * ordered.AHEAD


def test_a_process_that_is_killed_costs_no_result(tmp_path: Path) -> None:
    found = in_order(functools.partial(dying.die_once, str(tmp_path / "died")), range(200))
    assert list(found) == list(range(200))
    assert (tmp_path / "died").exists()


def test_an_item_over_which_processes_die_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "RETRIES", 0)
    with pytest.raises(GtcrnError, match=r"^processes end over 3 \(out of memory\?\)\.$"):
        list(in_order(dying.die_over_3, range(200)))


def test_what_work_refuses_keeps_its_sentence_and_kind() -> None:
    with pytest.raises(AudioError, match=r"^0 is no good\.$"):
        list(in_order(dying.refuse, range(3)))


def test_prepared_data_are_the_same_bytes(tmp_path: Path) -> None:
    tree = dns_tree(tmp_path / "in", "datasets_fullband/clean_fullband", "datasets_fullband/noise_fullband")
    save(tree / "datasets_fullband/clean_fullband/read_speech/book_9_chp_1_reader_00100_0.wav", np.zeros(16_000))
    chosen = ["--preset", "dns5", "--root", str(tree), "--valid-share", "0.4", "--valid-pairs", "2", "--fill-silence"]
    assert run(["prepare", str(tmp_path / "alone"), *chosen, "--jobs", "1"]) == 0
    assert run(["prepare", str(tmp_path / "ray"), *chosen, "--ray"]) == 0
    alone = folder_contents(tmp_path / "alone")
    assert {
        "speech/index.csv",
        "speech/skipped.csv",
        "speech/0000.pcm",
        "noise/0000.pcm",
        "rir/0000.pcm",
    } <= alone.keys()
    assert folder_contents(tmp_path / "ray") == alone


def test_preparation_goes_on_where_it_was_cut_off_by_a_file_that_is_not_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    paths = [save(tmp_path / f"in/{n:03}.wav", hiss(0.6, n)) for n in range(100)]
    asked = ["--noise", str(tmp_path / "in"), "--ray"]
    monkeypatch.setattr("gtcrn_recipes.data.corpora.audio_files", lambda where: paths)
    shutil.move(paths[70], tmp_path / "070.wav")
    assert run(["prepare", str(tmp_path / "out"), *asked]) == 1
    assert capfd.readouterr().err == f"gtcrn: there is no file {paths[70]} any more, or not on every machine.\n"
    shutil.move(tmp_path / "070.wav", paths[70])
    assert run(["prepare", str(tmp_path / "out"), *asked]) == 0
    assert run(["prepare", str(tmp_path / "alone"), *asked[:2]]) == 0
    assert folder_contents(tmp_path / "out") == folder_contents(tmp_path / "alone")


def test_scores_are_the_same_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pair_folders(tmp_path)
    (tmp_path / "noisy/broken.wav").write_text("no audio")
    asked = ["--noisy", str(tmp_path / "noisy"), "--clean", str(tmp_path / "clean"), "--metrics", "pesq,estoi,si_sdr"]
    said = []
    for name, where in (("alone.csv", ["--jobs", "1"]), ("ray.csv", ["--ray"])):
        assert run(["evaluate", *asked, "--csv", str(tmp_path / name), *where]) == 0
        said.append(capsys.readouterr())
    assert said[0].err == said[1].err
    assert _without_times(said[0].out) == _without_times(said[1].out)
    assert _rows(tmp_path / "alone.csv") == _rows(tmp_path / "ray.csv")
    assert len(_rows(tmp_path / "ray.csv")) == 5


def test_the_manifest_has_scores_before_and_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    noisy = save(tmp_path / "in/a.wav", voice(2.0) + hiss(2.0))
    save(tmp_path / "in/silent.wav", np.zeros(16_000))
    (tmp_path / "in/bad.wav").write_text("no audio")
    assert run(["denoise", "in", "-o", "out", "--ray", "--score", "-q"]) == 2
    rows = {row["input"]: row for row in pq.read_table("out/manifest.parquet").to_pylist()}
    expected = before_and_after(noisy, tmp_path / "out/a.wav")
    assert {name: rows["in/a.wav"][name] for name in NAMES} == pytest.approx(expected, abs=1e-4)
    assert rows["in/silent.wav"]["remark"] == "in/silent.wav has no scores: enhanced is silent."
    assert rows["in/silent.wav"]["status"] == "written"
    assert rows["in/bad.wav"]["noisy_ovrl"] is None
    capfd.readouterr()
    assert run(["denoise", "in", "-o", "out", "--ray", "-q"]) == 2
    assert "is the manifest of a run with other weights or options" in capfd.readouterr().err


def _without_times(report: str) -> list[str]:
    return [line for line in report.splitlines() if not line.startswith("real-time factor")]


def _rows(path: Path) -> list[dict[str, str]]:
    """But for the column that is a measured time."""
    with path.open(newline="") as lines:
        return [{name: cell for name, cell in row.items() if name != "rtf"} for row in csv.DictReader(lines)]
