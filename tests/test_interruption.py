"""A run that is told to stop, or is killed: it ends soon and whole, and no process of it is left."""

import contextlib
import os
import pty
import signal
import subprocess
from pathlib import Path

import pytest
import soundfile
from commands import GTCRN, Process, wait_for
from fragile import work
from streams import noise, write_weights

from gtcrn.cli.report import Report
from gtcrn.cli.workers import Workers
from gtcrn.outcome import Outcome

FILES = 8


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """`gtcrn denoise` of a folder of files that take about a second each."""
    source = tmp_path / "in"
    source.mkdir()
    soundfile.write(source / "0.wav", noise(16_000 * 400), 16_000)
    for number in range(1, FILES):
        os.link(source / "0.wav", source / f"{number}.wav")
    weights = write_weights(tmp_path)
    return [*GTCRN, "denoise", str(source), "-o", str(tmp_path / "out"), "--weights", weights]


def at_work(folder: Path, count: int = 1) -> bool:
    return folder.is_dir() and len([path for path in folder.iterdir() if "partial" in path.name]) >= count


def children(process: Process) -> list[Path]:
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [Path(f"/proc/{number}") for number in found]


def read_all(terminal: int) -> bytes:
    """What was written to a terminal that is closed at its other end."""
    parts = []
    with contextlib.suppress(OSError):
        while part := os.read(terminal, 1 << 16):
            parts.append(part)
    os.close(terminal)
    return b"".join(parts)


def running(folder: Path) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        return (folder / "stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("jobs", "number", "terminal"),
    [
        (1, signal.SIGINT, False),
        (1, signal.SIGTERM, True),
        (2, signal.SIGINT, True),
        (4, signal.SIGINT, True),
        (4, signal.SIGTERM, False),
    ],
)
def test_a_folder_run_ends_within_the_file_at_work(
    tmp_path: Path, command: list[str], jobs: int, number: signal.Signals, terminal: bool
) -> None:
    """A terminal sends Ctrl-C to all processes, `kill` to one."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*command, "--jobs", str(jobs)], start_new_session=True, stderr=theirs if terminal else subprocess.PIPE
    )
    wait_for(lambda: at_work(tmp_path / "out"))
    below = children(process)
    (os.killpg if terminal else os.kill)(process.pid, number)
    os.close(theirs)
    piped = process.communicate(timeout=10)[1]
    assert process.returncode == 128 + number
    said = (read_all(ours) if terminal else piped).decode()
    assert "Traceback" not in said
    assert f"of {FILES} files are done; --skip-existing goes on with the rest." in said.splitlines()[-1]
    assert not at_work(tmp_path / "out")
    left = os.listdir(tmp_path / "out")
    assert len(left) < FILES
    assert all(soundfile.info(tmp_path / "out" / name).frames == 16_000 * 400 for name in left)
    wait_for(lambda: not any(map(running, below)))


def test_files_that_were_there_already_are_not_done(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    for outcome in (Outcome("a", "x", skipped=True), Outcome("b", "y")):
        report.add(outcome)
    report.interrupted(2)
    assert "interrupted: 1 of 2 files are done" in capsys.readouterr().err


def test_a_single_file_is_interrupted_too(tmp_path: Path, command: list[str]) -> None:
    command[4:5] = [f"{command[4]}/0.wav"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    wait_for(lambda: list(tmp_path.glob(".out.partial*")) or at_work(tmp_path))
    process.send_signal(signal.SIGINT)
    assert process.communicate()[1] == b"gtcrn: interrupted: no output was written.\n"
    assert process.returncode == 130
    assert not (tmp_path / "out").exists()
    assert not at_work(tmp_path)


def test_no_process_outlives_one_that_is_killed(tmp_path: Path, command: list[str]) -> None:
    process = subprocess.Popen([*command, "--jobs", "2"])
    wait_for(lambda: at_work(tmp_path / "out", 2))
    below = children(process)
    assert len(below) >= 2
    process.kill()
    process.wait()
    wait_for(lambda: not any(map(running, below)))
    assert not at_work(tmp_path / "out")


def test_what_is_told_to_ignore_a_hangup_does(tmp_path: Path, command: list[str]) -> None:
    command[4:5] = [f"{command[4]}/0.wav"]
    process = subprocess.Popen(["nohup", *command], stderr=subprocess.DEVNULL)
    wait_for(lambda: at_work(tmp_path))
    process.send_signal(signal.SIGHUP)
    assert process.wait() == 0


def test_a_process_that_dies_costs_its_task_only() -> None:
    heard: list[float] = []
    with Workers(work, [1, 2, 3, 4], 2) as pool:
        found = dict(pool.results(heard.append))
    assert found == {1: 10, 2: None, 3: 30, 4: 40}
    assert sum(heard) >= 3  # seconds of those that were done
