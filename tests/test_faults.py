"""What goes wrong from outside: interruption, a full disk, unwritable targets. Nothing is left half done."""

import os
import resource
import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from commands import GTCRN, Process, children, command_line, wait_for
from streams import noise, write_weights

NAMES = [f"{letter}.wav" for letter in "abcdef"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Weights w.safetensors and files of ten minutes in a folder `in`."""
    os.rename(write_weights(tmp_path), tmp_path / "w.safetensors")
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "a.wav", np.tile(noise(160_000), 60), 16_000)
    for name in NAMES[1:]:
        os.link(tmp_path / "in" / "a.wav", tmp_path / "in" / name)
    return tmp_path


def begin(folder: Path, *arguments: str, **options: Any) -> Process:
    command = [*GTCRN, "denoise", *arguments, "--weights", "w.safetensors"]
    return subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, start_new_session=True, **options)


def partial_files(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.endswith(".partial")] if folder.is_dir() else []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_file_leaves_nothing(folder: Path, number: signal.Signals) -> None:
    process = begin(folder, "in/a.wav", "-o", "out.wav")
    wait_for(lambda: partial_files(folder))
    process.send_signal(number)
    assert process.communicate()[1] == b"gtcrn: interrupted: no output was written.\n"
    assert process.returncode == 128 + number
    assert sorted(os.listdir(folder)) == ["in", "w.safetensors"]


def test_a_process_that_dies_is_reported_and_costs_its_file_only(folder: Path) -> None:
    process = begin(folder, "in", "-o", "out", "--jobs", "2")
    wait_for(lambda: len(partial_files(folder / "out")) == 2)
    worker = next(pid for pid in children(process.pid) if b"spawn_main" in command_line(pid))
    os.kill(worker, signal.SIGKILL)
    assert process.communicate()[1].count(b"its process ended (out of memory?)") == 1
    assert process.returncode == 1
    assert len(set(NAMES) & set(os.listdir(folder / "out"))) == len(NAMES) - 1


@pytest.mark.parametrize("target", ["out.wav", "out.flac", "out.ogg", "out.mp3"])
def test_a_full_disk_leaves_the_old_output(folder: Path, target: str) -> None:
    (folder / target).write_bytes(b"old")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    process = begin(folder, "in/a.wav", "-o", target, preexec_fn=limit)
    _, err = process.communicate()
    assert process.returncode == 1
    assert err.decode() == f"gtcrn: in/a.wav: {target} cannot be written to its end; the disk may be full.\n"
    assert (folder / target).read_bytes() == b"old"
    assert sorted(os.listdir(folder)) == sorted(["in", "w.safetensors", target])


@pytest.mark.parametrize("target", ["w.safetensors/out.wav", "in/a.wav/x/b.wav"])
def test_an_unwritable_target_is_one_line(folder: Path, target: str) -> None:
    process = begin(folder, "in/b.wav", "-o", target)
    _, err = process.communicate()
    assert process.returncode == 1
    assert f"{target} cannot be written: not a directory." in err.decode()
    assert err.count(b"\n") == 1


def test_a_device_is_no_target(folder: Path) -> None:
    process = begin(folder, "in/b.wav", "-o", "/dev/null")
    _, err = process.communicate()
    assert (process.returncode, err) == (2, b"gtcrn: in/b.wav: /dev/null is no ordinary file and cannot be written.\n")


def test_a_full_pipe_is_one_line(folder: Path) -> None:
    with open("/dev/full", "wb") as full:
        process = begin(folder, "in/b.wav", "-o", "-", stdout=full)
        _, err = process.communicate()
    assert process.returncode == 1
    assert b"No space left on device" in err
    assert err.count(b"\n") == 1
