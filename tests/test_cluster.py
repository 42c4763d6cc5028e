"""Corpora on a real Ray: outputs, manifests and lists; processes, machines and runs that die."""

import json
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dying
import numpy as np
import pytest
import soundfile
from audio_trees import save, voice
from commands import GTCRN, Process, wait_for
from ray_runs import identical, manifest, sounds, workers

import gtcrn
from gtcrn.cli.app import run
from gtcrn.cluster import cores, denoise_files, tasks
from gtcrn.cluster.items import Item
from gtcrn.outcome import DenoiseOptions

pytestmark = pytest.mark.cluster
ray = pytest.importorskip("ray")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def corpus(folder: Path) -> Path:
    """in/ with all that differs: kinds, rates, channels, lengths; one file that is no audio."""
    for n in range(20):
        save(folder / f"in/{n % 3}/{n}.wav", voice(0.2 + 0.05 * n, seed=n))
    save(folder / "in/stereo.flac", np.stack([voice(0.7, 1, 48_000)] * 2, 1), 48_000)
    for name in ("talk.mp3", "talk.ogg"):
        save(folder / "in" / name, voice(1.0, 5, 44_100), 44_100)
    save(folder / "in/long.wav", voice(60.0, 7))
    (folder / "in/bad.wav").write_text("no audio")
    return folder / "in"


@pytest.mark.usefixtures("_ray")
def test_outputs_are_those_of_one_machine_and_each_file_has_a_row(corpus: Path) -> None:
    assert run(["denoise", "in", "-o", "local", "-q"]) == 2
    told = []
    summary = denoise_files(["in"], "out", told=lambda outcome, summary: told.append((outcome.name, summary.done)))
    assert identical(sounds("out"), sounds("local"))
    rows = manifest()
    assert sorted(rows) == sorted(str(path) for path in Path("in").rglob("*") if path.is_file())
    assert sorted(rows) == sorted(name for name, _ in told)
    assert [done for _, done in told] == list(range(1, 26))
    assert (summary.planned, summary.written, summary.failed, summary.refused) == (25, 24, 1, 1)
    assert summary.seconds == pytest.approx(sum(row["seconds"] for row in rows.values()))
    bad = rows.pop("in/bad.wav")
    assert (bad["status"], bad["output"]) == ("failed", None)
    assert bad["error"] == "in/bad.wav is not audio that can be read: format not recognised."
    stereo = rows["in/stereo.flac"]
    assert (stereo["output"], stereo["status"], stereo["error"]) == ("out/stereo.flac", "written", None)
    assert (stereo["seconds"], stereo["sample_rate"], stereo["channels"]) == (0.7, 48_000, 2)
    assert all(row["times_real_time"] > 0 and row["clipped"] == row["nonfinite"] == 0 for row in rows.values())


@pytest.mark.usefixtures("_ray")
def test_a_second_run_does_what_is_missing(corpus: Path) -> None:
    denoise_files(["in"], "out")
    before = {path: path.stat().st_mtime_ns for path in Path("out").rglob("*.wav")}
    os.unlink("out/long.wav")
    save(corpus / "bad.wav", voice(0.3))
    save(corpus / "new.wav", voice(0.3))
    told = []
    summary = denoise_files(["in"], "out", told=lambda outcome, _: told.append(outcome.name))
    assert sorted(told) == ["in/bad.wav", "in/long.wav", "in/new.wav"]
    assert (summary.planned, summary.failed) == (3, 0)
    rows = manifest()
    assert len(rows) == 26
    assert {row["status"] for row in rows.values()} == {"written"}
    unchanged = {path: path.stat().st_mtime_ns for path in before if path.name != "long.wav"}
    assert unchanged.items() <= before.items()
    with pytest.raises(gtcrn.ConfigError, match="of a run with other weights or options"):
        denoise_files(["in"], "out", attenuation_limit=6)


@pytest.mark.usefixtures("_ray")
def test_existing_outputs_are_left_where_that_is_asked(corpus: Path) -> None:
    Path("out").mkdir()
    Path("out/long.wav").write_text("kept")
    summary = denoise_files(["in/long.wav", "in/talk.mp3"], "out", skip_existing=True)
    assert (summary.written, summary.skipped) == (1, 1)
    assert Path("out/long.wav").read_text() == "kept"
    assert manifest()["in/long.wav"]["status"] == "skipped"


@pytest.mark.usefixtures("_ray")
def test_lists_with_duplicates_come_out_with_the_outputs_names(corpus: Path) -> None:
    cut = {"audio_filepath": "in/long.wav", "duration": 10}
    lines = [json.dumps({**cut, "offset": n}) + "\n" for n in range(0, 60, 10)]
    Path("nemo.jsonl").write_text("".join(lines) + '{"audio_filepath": "in/bad.wav", "duration": 1}\n')
    summary = denoise_files(["nemo.jsonl"], "out")
    assert (summary.written, summary.failed, summary.left_out) == (1, 1, {"out/nemo.jsonl": 1})
    assert Path("out/nemo.jsonl").read_text() == "".join(lines)
    assert soundfile.info("out/in/long.wav").duration == 60


@pytest.mark.usefixtures("_ray")
def test_a_worker_that_is_killed_costs_no_file(corpus: Path) -> None:
    for n in range(4):
        save(corpus / f"more{n}.wav", voice(120.0, n))
    killed: list[int] = []

    def kill(*_: object) -> None:
        if not killed and (found := workers()):
            killed.append(found[0])
            os.kill(found[0], signal.SIGKILL)

    summary = denoise_files(["in"], "out", told=kill)
    assert killed
    assert (summary.written, summary.failed) == (28, 1)
    assert run(["denoise", "in", "-o", "local", "-q"]) == 2
    there = {name: data for name, data in sounds("out").items() if not Path(name).name.startswith(".")}
    assert identical(there, sounds("local"))


@pytest.mark.usefixtures("_ray")
def test_a_file_over_which_processes_die_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "denoise_batch", dying.die_over_b)
    monkeypatch.setattr(cores, "RETRIES", 0)
    batch = [Item(name, "") for name in "abc"]
    found = {outcome.name: outcome for outcome in tasks.outcomes([batch], DenoiseOptions(), gtcrn.load())}
    assert sorted(found) == ["a", "b", "c"]
    assert found["b"].error == "b: its process ended (out of memory?)."
    assert not found["b"].refused
    assert found["a"].error is found["c"].error is None


@pytest.mark.usefixtures("_ray")
def test_a_disk_that_is_full_costs_the_files_that_had_no_room(corpus: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "denoise_batch", dying.on_a_small_disk)
        summary = denoise_files(["in"], "out")
    assert (summary.failed, summary.refused) == (2, 1)
    assert manifest()["in/long.wav"]["error"].endswith("cannot be written to its end; the disk may be full.")
    assert not any(name.startswith(("long", ".")) for name in sounds("out"))
    assert run(["denoise", "in", "-o", "local", "-q"]) == 2
    assert denoise_files(["in"], "out").planned == 2
    assert identical(sounds("out"), sounds("local"))


@pytest.mark.usefixtures("_ray")
def test_a_disk_without_room_for_the_manifest_ends_the_run_in_a_sentence(
    corpus: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with dying.small_disk(1_000):
        assert run(["denoise", "in", "-o", "out", "--ray", "-q"]) == 1
    assert "too large" in capfd.readouterr().err.splitlines()[-1]
    assert denoise_files(["in"], "out").failed == 1
    assert len(manifest()) == 25


@pytest.mark.usefixtures("_ray")
def test_machines_without_this_package_end_the_run_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "denoise_batch", dying.fail)
    with pytest.raises(gtcrn.GtcrnError, match=r"^the cluster cannot do this: .*No module named 'gtcrn'[^\n]*$"):
        list(tasks.outcomes([[Item("a", "")]], DenoiseOptions(), gtcrn.load()))


@pytest.mark.usefixtures("_ray")
def test_no_more_is_in_flight_than_the_cores_need() -> None:
    taken: list[int] = []

    def endless() -> Iterator[list[Item]]:
        for n in range(10_000):
            taken.append(n)
            yield [Item(f"{n}.wav", f"out/{n}.wav")]

    results = tasks.outcomes(endless(), DenoiseOptions(), gtcrn.load())
    for _ in range(10):
        next(results)
    results.close()  # type: ignore[attr-defined]
    assert len(taken) <= 10 + 2 * cores.AHEAD


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:{port}", "ray://127.0.0.1:{port}"])
def test_an_address_that_does_not_answer_is_a_sentence(
    corpus: Path, address: str, capfd: pytest.CaptureFixture[str]
) -> None:
    ray.shutdown()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = address.format(port=silent.getsockname()[1])
        assert run(["denoise", "in", "-o", "out", "--ray", address]) == 1
    assert capfd.readouterr().err.startswith(f"gtcrn: no Ray answers at {address}: ")


def command(*arguments: str) -> Process:
    return subprocess.Popen([*GTCRN, "denoise", *arguments], stderr=subprocess.PIPE)


def test_a_run_that_is_killed_goes_on(corpus: Path) -> None:
    for n in range(6):
        save(corpus / f"more{n}.wav", voice(200.0, n))
    with command("in", "-o", "out", "--ray", "--jobs", "2") as process:
        wait_for(lambda: list(Path("out").glob("*.wav")), 120)
        process.kill()
    written = [path for path in Path("out").rglob("[!.]*.*") if path.suffix in (".wav", ".flac", ".mp3", ".ogg")]
    assert all(soundfile.info(path).frames for path in written)  # what has its name is whole
    with command("in", "-o", "out", "--ray", "--jobs", "2") as process:
        assert process.wait() == 2
        assert process.stderr
        said = process.stderr.read().decode().splitlines()
    assert said[0] == "gtcrn: in/bad.wav is not audio that can be read: format not recognised."
    assert len(said) == 3  # that one failed, and what was written
    assert len(manifest()) == 31


def test_a_machine_that_is_lost_costs_no_file(corpus: Path) -> None:
    from ray.cluster_utils import Cluster

    for n in range(6):
        save(corpus / f"more{n}.wav", voice(200.0, n))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": 100 << 20})
    try:
        lost = cluster.add_node(num_cpus=1, object_store_memory=100 << 20)
        with command("in", "-o", "out", "--ray", cluster.address) as process:
            wait_for(lambda: list(Path("out").glob("*.wav")), 120)
            cluster.remove_node(lost, allow_graceful=False)
            assert process.wait() == 2
    finally:
        cluster.shutdown()  # type: ignore[no-untyped-call]
    assert sorted(row["input"] for row in manifest().values() if row["status"] != "written") == ["in/bad.wav"]
    assert len(manifest()) == 31
