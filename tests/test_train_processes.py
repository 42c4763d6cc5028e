"""Training in several processes, under torchrun's agents as on several machines: as in one, and when one is lost."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from commands import Process, children, wait_for
from tiny_runs import SMALL

pytestmark = pytest.mark.cluster
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--no-python")
# AdamW at a low rate: what rounding changes in a sum over processes, a high rate makes larger by the step.
SAME = ("train.optimizer=adamw", "train.lr=3e-4", "train.hold=1.0", "train.draws=4", "train.native=false")


def started(
    folder: Path, data: Path, name: str, *launcher: str, changes: tuple[str, ...], resume: bool = False
) -> Process:
    """`gtcrn train quick` in folder/runs/name by a launcher."""
    told = [f"--set={change}" for change in (*SMALL, *SAME, *changes)]
    rest = ["--resume"] if resume else []
    command = [
        *launcher,
        str(Path(sys.executable).parent / "gtcrn"),
        "train",
        "quick",
        "--data",
        str(data),
        "--device=cpu",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with open(folder / f"{name}.txt", "ab") as said:
        return subprocess.Popen(
            [*command, "--name", name, *told, *rest], cwd=folder, env=environment, stdout=said, stderr=said
        )


def local(processes: int, *more: str) -> tuple[str, ...]:
    return (*TORCHRUN, "--standalone", f"--nproc-per-node={processes}", *more)


def losses(folder: Path, name: str) -> list[float]:
    lines = map(json.loads, (folder / "runs" / name / "history.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if line["kind"] == "train"]


def ended(process: Process, folder: Path, name: str) -> str:
    """What was said of a run that went well."""
    code, said = process.wait(600), (folder / f"{name}.txt").read_text()
    assert code == 0, said
    return said


def test_losses_do_not_depend_on_the_number_of_processes_or_machines(data: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    agent = (*TORCHRUN, "--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}")
    steps = ("train.steps=20", "train.validate_every=20")
    alone = started(tmp_path, data, "one", changes=steps)
    agents = [started(tmp_path, data, "two", *agent, changes=steps) for _ in range(2)]
    for process, name in ((alone, "one"), (agents[0], "two"), (agents[1], "two")):
        ended(process, tmp_path, name)
    ended(
        started(tmp_path, data, "four", *local(4), changes=("train.steps=10", "train.validate_every=10")),
        tmp_path,
        "four",
    )
    ended(started(tmp_path, data, "four", *local(2), changes=steps, resume=True), tmp_path, "four")
    expected = losses(tmp_path, "one")
    assert len(expected) == 20
    assert losses(tmp_path, "two") == pytest.approx(expected, rel=1e-5)
    assert losses(tmp_path, "four") == pytest.approx(expected, rel=1e-5)  # of four processes, then of two


@pytest.mark.parametrize("restarts", [0, 1])
def test_a_process_that_is_killed_ends_the_run_or_starts_it_anew(data: Path, tmp_path: Path, restarts: int) -> None:
    steps = 100 if restarts else 100_000  # more than are done before it is killed
    changes = (f"train.steps={steps}", "train.validate_every=5")
    with started(tmp_path, data, "run", *local(2, f"--max-restarts={restarts}"), changes=changes) as process:
        checkpoint = tmp_path / "runs/run/last.ckpt"
        wait_for(lambda: checkpoint.exists() or process.poll() is not None, 240)
        os.kill(children(process.pid)[-1], signal.SIGKILL)
        code = process.wait(600)
    said = (tmp_path / "run.txt").read_text()
    if restarts:
        assert code == 0, said
        assert len(losses(tmp_path, "run")) == 100
        return
    assert code == 1
    assert "Signal 9 (SIGKILL)" in said
    assert "in train" not in said  # no traceback of ours
    assert torch.load(checkpoint, weights_only=True)["progress"]["step"] < 100_000
