"""Preparation: what goes in comes out, and runs can be repeated, interrupted and shared among processes."""

import csv
import errno
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from audio_trees import RATE, folder_contents, plain_tree, save, take_in, voice

from gtcrn.errors import ConfigError, GtcrnError
from gtcrn_recipes.data.corpora import plain
from gtcrn_recipes.data.dataset import ClipStore
from gtcrn_recipes.data.intake import Rules, read_mono, take, take_pair
from gtcrn_recipes.data.prepare import prepare
from gtcrn_recipes.data.shards import CLIP_FIELDS, ShardWriter, telling_disk_errors
from gtcrn_recipes.parallel import jobs_for, ordered_map


def test_samples_come_back_as_they_were(tmp_path: Path) -> None:
    tree = plain_tree(tmp_path / "in", speakers=2)
    take_in(tmp_path / "out", tree)
    store = ClipStore.open(tmp_path / "out", "speech")
    paths = sorted((tree / "speech/setA").iterdir())
    assert len(store) == len(paths)
    for clip, path in enumerate(paths):
        np.testing.assert_array_equal(store.read(clip), np.round(read_mono(path) * 32768))
    assert store.speakers == ["setA/s00", "setA/s01"]


@pytest.mark.parametrize(("rate", "name"), [(48_000, "a.wav"), (8_000, "a.flac"), (44_100, "a.ogg"), (16_000, "a.wav")])
def test_any_rate_and_format_becomes_16_khz(tmp_path: Path, rate: int, name: str) -> None:
    t = np.arange(2 * rate) / rate
    save(tmp_path / "in" / name, np.stack([0.4 * np.sin(2 * np.pi * 440 * t)] * 2, axis=1), rate)
    prepare(tmp_path / "out", plain([tmp_path / "in"]))
    store = ClipStore.open(tmp_path / "out", "speech")
    samples = store.read(0)[1000:-1000] / 32768
    expected = 0.4 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)[1000 : 1000 + len(samples)]
    assert store.seconds == pytest.approx(2, abs=1e-3)
    assert np.abs(samples - expected).max() < (0.05 if name.endswith("ogg") else 2e-3)


def test_room_responses_start_at_their_onset_with_one_level(tmp_path: Path) -> None:
    take_in(tmp_path / "out", plain_tree(tmp_path / "in", speakers=1))
    response = ClipStore.open(tmp_path / "out", "rir").read(0)
    assert np.argmax(np.abs(response)) == 16
    assert np.abs(response).max() == round(0.9 * 32768)
    assert response[316] == pytest.approx(0.9 * 32768 * 0.4, abs=2)


def test_a_second_run_writes_nothing_and_a_third_only_what_is_new(tmp_path: Path) -> None:
    tree, out = plain_tree(tmp_path / "in"), tmp_path / "out"
    take_in(out, tree)
    before = folder_contents(out)
    assert {role: s.added for role, s in take_in(out, tree).items()} == {"speech": 0, "noise": 0, "rir": 0}
    assert folder_contents(out) == before
    save(tree / "speech/setA/s09-0.wav", voice(0.8, seed=99))
    assert take_in(out, tree)["speech"].added == 1
    assert (out / "speech/0000.pcm").read_bytes().startswith(before["speech/0000.pcm"])


def test_processes_change_nothing(tmp_path: Path) -> None:
    tree = plain_tree(tmp_path / "in", speakers=2)
    for jobs in (1, 2):
        take_in(tmp_path / f"out{jobs}", tree, jobs=jobs)
    assert folder_contents(tmp_path / "out1") == folder_contents(tmp_path / "out2")


def test_a_killed_run_continues_to_the_same_data_set(tmp_path: Path) -> None:
    """Killed after samples were written and in the middle of their row."""
    tree = plain_tree(tmp_path / "in")
    take_in(tmp_path / "whole", tree, valid_share=0.3)
    take_in(tmp_path / "killed", tree, valid_share=0.3)
    index = tmp_path / "killed/speech/index.csv"
    index.write_bytes(b"".join(index.read_bytes().splitlines(keepends=True)[:6]) + b"0,64000,12")
    take_in(tmp_path / "killed", tree, valid_share=0.3)
    assert folder_contents(tmp_path / "killed") == folder_contents(tmp_path / "whole")


LIMITED = """
import resource, sys
from gtcrn.cli.app import run
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # bytes of a file
sys.exit(run(sys.argv[1:]))
"""


def test_a_disk_that_fills_up_is_told_and_the_run_can_go_on(tmp_path: Path) -> None:
    tree, arguments = plain_tree(tmp_path / "in"), ["--jobs", "1", "--speaker-pattern", r"s\d\d"]
    roles = [x for role in ("speech", "noise", "rir") for x in (f"--{role}", str(tree / role))]
    command = [sys.executable, "-c", LIMITED, "prepare", str(tmp_path / "out"), *roles, *arguments]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (told.returncode, told.stderr.count("\n")) == (1, 1)
    assert "holds what was written so far; make room and run again." in told.stderr
    assert 0 < len(ClipStore.open(tmp_path / "out", "speech")) < 12
    for out in ("out", "whole"):
        take_in(tmp_path / out, tree)
    assert folder_contents(tmp_path / "out") == folder_contents(tmp_path / "whole")


def test_the_sentence_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(GtcrnError, match="the disk is full: "), telling_disk_errors(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_data_set_that_lost_samples_is_refused(tmp_path: Path) -> None:
    tree = plain_tree(tmp_path / "in")
    take_in(tmp_path / "out", tree)
    (tmp_path / "out/noise/0000.pcm").write_bytes(b"")
    with pytest.raises(ConfigError, match="shorter than its index says"):
        take_in(tmp_path / "out", tree)


def test_two_runs_cannot_write_at_once(tmp_path: Path) -> None:
    tree = plain_tree(tmp_path / "in", speakers=1)
    with ShardWriter(tmp_path / "out/speech", CLIP_FIELDS), pytest.raises(ConfigError, match="another run is writing"):
        take_in(tmp_path / "out", tree)
    assert take_in(tmp_path / "out", tree)["speech"].added == 3


def dies(_: int) -> int:
    os._exit(9)


def test_a_worker_that_dies_is_told() -> None:
    with pytest.raises(GtcrnError, match="a worker process died"):
        list(ordered_map(dies, range(8), jobs=2))


def test_one_process_a_core_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    with jobs_for(0, None) as jobs:
        assert jobs == 1


def test_shards_are_bounded_and_a_longer_clip_has_one_of_its_own(tmp_path: Path) -> None:
    with ShardWriter(tmp_path, CLIP_FIELDS, limit=1000) as writer:
        for samples in (600, 600, 300, 2500, 100):
            row = {"samples": samples, "set": "a", "speaker": "b", "split": "train", "path": samples}
            writer.add(np.full(samples, samples, np.int16), row)
    assert [p.stat().st_size // 2 for p in sorted(tmp_path.glob("*.pcm"))] == [600, 900, 2500, 100]


def test_what_is_skipped_is_counted_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "in/setA"
    (folder / "broken.wav").parent.mkdir(parents=True)
    (folder / "broken.wav").write_text("no audio")
    save(folder / "short.wav", voice(0.1))
    save(folder / "silent.wav", np.zeros(RATE))
    save(folder / "clipped.wav", np.clip(20 * voice(), -1, 1))
    save(folder / "nan.wav", np.r_[voice(), np.nan], subtype="FLOAT")
    save(folder / "good.wav", voice())
    summary = prepare(tmp_path / "out", plain([folder.parent]))[0]
    assert (summary.added, summary.skipped) == (
        1,
        Counter({"unreadable": 1, "too short": 1, "silent": 1, "clipped": 1, "not finite": 1}),
    )
    with (tmp_path / "out/speech/skipped.csv").open() as lines:
        named = {Path(row["path"]).stem: row["reason"] for row in csv.DictReader(lines)}
    assert named.keys() == {"broken", "short", "silent", "clipped", "nan"}
    assert named["short"] == "too short: 0.10 s"


def test_a_name_that_is_not_utf_8_is_taken_and_known_again(tmp_path: Path) -> None:
    tree = plain_tree(tmp_path / "in")
    odd = save(tree / "speech/setA/s09-0.wav", voice(0.8)).rename(tree / os.fsdecode(b"speech/setA/s09-caf\xe9.wav"))
    assert take_in(tmp_path / "out", tree, valid_share=0.3)["speech"].added == 13
    with (tmp_path / "out/speech/index.csv").open("rb") as lines:
        assert os.fsencode(odd) in lines.read()
    assert take_in(tmp_path / "out", tree)["speech"].added == 0
    stores = (ClipStore.open(tmp_path / "out", "speech", split) for split in ("train", "valid"))
    assert sum(map(len, stores)) == 13


@pytest.mark.parametrize("rate", [1, 2_000_000_000])
def test_a_header_that_tells_nonsense_is_unreadable(tmp_path: Path, rate: int) -> None:
    path = save(tmp_path / "in/a.wav", voice())
    header = bytearray(path.read_bytes())
    header[24:32] = rate.to_bytes(4, "little") + (2 * rate).to_bytes(4, "little")
    path.write_bytes(header)
    told = take(path, Rules()).reason
    assert told == f"unreadable: sample rate must be 8000 to 192000 Hz, not {rate}."


def test_a_file_that_may_not_be_read_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.wav", voice())

    def denied(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    assert "a.wav cannot be read: " in take(path, Rules()).reason
    assert "a.wav cannot be read: " in take_pair(path, path).reason


@pytest.mark.parametrize("side", ["noisy", "clean"])
def test_both_sides_of_a_pair_are_finite(tmp_path: Path, side: str) -> None:
    noisy, clean = (save(tmp_path / f"{name}.wav", voice(), subtype="FLOAT") for name in ("noisy", "clean"))
    assert take_pair(noisy, clean).reason == ""
    save(tmp_path / f"{side}.wav", np.r_[voice()[1:], np.inf], subtype="FLOAT")
    assert take_pair(noisy, clean).reason == f"{side} is not finite: NaN or infinity among the samples"


def test_a_file_system_without_locks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(number: int) -> Callable[..., None]:
        def flock(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        return flock

    monkeypatch.setattr("fcntl.flock", fails(errno.ENOLCK))
    with ShardWriter(tmp_path, CLIP_FIELDS) as writer:
        assert writer.known == set()
    assert capsys.readouterr().err == f"note: {tmp_path} cannot be locked; let no second run write to it.\n"
    monkeypatch.setattr("fcntl.flock", fails(errno.EIO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        ShardWriter(tmp_path, CLIP_FIELDS)
