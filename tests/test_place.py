"""An output appears whole or not at all, follows no link, and has one writer."""

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from gtcrn.audio.formats import AudioFormat
from gtcrn.audio.place import Place
from gtcrn.audio.writer import Writer
from gtcrn.errors import AudioError, GtcrnError

FORM = AudioFormat(16_000, 1, "WAV", "PCM_16")
WRITE = """
import sys, time, numpy as np
from gtcrn.audio.formats import AudioFormat
from gtcrn.audio.writer import Writer
from gtcrn.errors import GtcrnError
value, form = float(sys.argv[2]), AudioFormat(16_000, 1, "WAV", "FLOAT")
try:
    with Writer(sys.argv[1], form) as writer:
        print("open", flush=True)
        sys.stdin.readline()
        for _ in range(20):
            writer.write(np.full((1, 10_000), value, np.float32))
except GtcrnError as error:
    sys.exit(str(error))
"""


def sound(path: Path, form: AudioFormat = FORM) -> None:
    with Writer(path, form) as writer:
        writer.write(np.zeros((1, 100), np.float32))


def test_two_processes_on_one_output_one_wins_whole_the_other_says_so(tmp_path: Path) -> None:
    for _ in range(3):  # not there before, then there
        pair = [
            subprocess.Popen(
                [sys.executable, "-c", WRITE, str(tmp_path / "a.wav"), value],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )
            for value in ("0.25", "0.5")
        ]  # fmt: skip
        assert [process.stdout and process.stdout.readline() for process in pair] == ["open\n", "open\n"]
        said = [process.communicate("\n")[1] for process in pair]
        assert sorted(process.returncode for process in pair) == [0, 1]
        assert "a.wav was written by another process in the meantime; its file stays." in "".join(said)
        winner = "0.25" if pair[0].returncode == 0 else "0.5"
        found, _rate = soundfile.read(tmp_path / "a.wav")
        np.testing.assert_array_equal(found, np.full(200_000, float(winner)))
        assert os.listdir(tmp_path) == ["a.wav"]


def test_the_mode_of_an_output_is_kept_and_a_new_one_has_the_user_s(tmp_path: Path) -> None:
    sound(tmp_path / "a.wav")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(os.stat(tmp_path / "a.wav").st_mode) == 0o666 & ~umask
    os.chmod(tmp_path / "a.wav", 0o640)
    sound(tmp_path / "a.wav")
    assert stat.S_IMODE(os.stat(tmp_path / "a.wav").st_mode) == 0o640


def test_temporary_names_are_unique_and_follow_no_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Place(tmp_path / "a.wav").partial != Place(tmp_path / "a.wav").partial
    (tmp_path / "victim").write_bytes(b"kept")
    monkeypatch.setattr("os.urandom", lambda count: b"\0" * count)  # a name that can be guessed
    Place(tmp_path / "a.wav").partial.symlink_to(tmp_path / "victim")
    with pytest.raises(GtcrnError):
        sound(tmp_path / "a.wav")
    assert (tmp_path / "victim").read_bytes() == b"kept"


def test_names_at_the_limit_and_beyond(tmp_path: Path) -> None:
    sound(tmp_path / ("n" * 251 + ".wav"))
    assert len(os.listdir(tmp_path)) == 1
    with pytest.raises(GtcrnError, match="file name too long"):
        sound(tmp_path / ("n" * 252 + ".wav"))
    assert len(os.listdir(tmp_path)) == 1


def test_nothing_is_made_before_the_block_and_nothing_left_after_an_interruption(tmp_path: Path) -> None:
    Writer(tmp_path / "deep" / "a.wav", FORM)
    assert not (tmp_path / "deep").exists()
    for wait in (0.0, 0.002, 0.005):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITE, str(tmp_path / "a.wav"), "0"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == b"open\n"
        process.stdin.write(b"\n")
        process.stdin.flush()
        time.sleep(wait)
        process.send_signal(signal.SIGINT)
        process.communicate()
        assert set(os.listdir(tmp_path)) <= {"a.wav"}


@pytest.mark.parametrize("fault", [KeyboardInterrupt, MemoryError])
def test_a_fault_while_it_is_opened_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: type[BaseException]
) -> None:
    def fail(*_args: Any, **_named: Any) -> None:
        raise fault

    monkeypatch.setattr(soundfile, "SoundFile", fail)
    handles = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    with pytest.raises(fault):
        sound(tmp_path / "a.wav")
    assert os.listdir(tmp_path) == []
    assert not handles or len(os.listdir("/proc/self/fd")) == handles


def test_what_is_no_ordinary_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(AudioError, match="no ordinary file"):
        sound(tmp_path / "pipe.wav")


@pytest.mark.parametrize("path", ["", ".", "/"])
def test_what_has_no_name_is_no_place(path: str) -> None:
    with pytest.raises(AudioError, match="no ordinary file"):
        Writer(Path(path), FORM)
