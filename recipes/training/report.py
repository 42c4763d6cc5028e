"""What a run tells: history.jsonl, TensorBoard, a progress line. Losses leave the device once a logging interval."""

import sys
import time
from types import TracebackType
from typing import cast

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from gtcrn.config import SAMPLE_RATE
from gtcrn_recipes.training.run_folder import Run


class Report:
    """Collects steps and validations of a run; a context, so that files close."""

    EXAMPLES = 3  # enhanced validation items that TensorBoard keeps to listen to

    def __init__(self, run: Run, quiet: bool, fabric: Fabric) -> None:
        self.run, self.fabric, self.records = run, fabric, fabric.is_global_zero
        self.quiet = quiet or not self.records
        again = run.progress.step + 1  # a killed run's later steps are repeated: forget them
        self.writer = SummaryWriter(str(run.folder / "tensorboard"), purge_step=again) if self.records else None
        console = Console(stderr=True)
        self.live = not self.quiet and console.is_terminal
        self.bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn(), console=console,
            disable=not self.live,
        )  # fmt: skip
        self.task = self.bar.add_task(run.recipe.name, total=run.recipe.train.steps, completed=run.progress.step)
        self.pending: list[dict[str, Tensor]] = []
        self._mark(0.0)

    def __enter__(self) -> "Report":
        self.bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.bar.stop()
        if self.writer:
            self.writer.close()

    def note(self, text: str) -> None:
        """A line for people, above the progress."""
        if not self.quiet:
            self.bar.console.print(text)

    def step(self, values: dict[str, Tensor], waited: float) -> None:
        """Note a step; every `log_every` steps write their means."""
        self.pending.append({name: value.detach() for name, value in values.items()})
        self.bar.update(self.task, completed=self.run.progress.step)
        if self.run.progress.step % self.run.recipe.train.log_every == 0:
            self._flush(waited)

    def validation(self, scores: dict[str, float], examples: list[NDArray[np.float32]]) -> None:
        """Write the scores and a few enhanced items."""
        self._write("validation", scores)
        if self.writer:
            for index, audio in enumerate(examples):
                self.writer.add_audio(f"enhanced/{index}", audio[None], self.run.progress.step, SAMPLE_RATE)
        self._say("validation " + "  ".join(f"{name} {value:.3f}" for name, value in scores.items()))

    def _flush(self, waited: float) -> None:
        elapsed = time.perf_counter() - self.started
        hours = self.run.progress.hours - self.hours
        means = self._means()
        speed = {"real_time": 3600 * hours / elapsed, "waiting": (waited - self.waited) / elapsed}
        rate = float(self.run.schedule.get_last_lr()[0])
        self._write("train", {**means, **speed, "lr": rate, "skipped": self.run.progress.skipped})
        self._say(f"loss {means['loss']:.4f}  {speed['real_time']:.0f}x real time  waiting {speed['waiting']:.1%}")
        self._mark(waited)

    def _means(self) -> dict[str, float]:
        """Of the interval's steps, over the batches of all processes; a term that begins within it was 0 before."""
        names = list(dict.fromkeys(name for step in self.pending for name in step))
        none = torch.zeros_like(self.pending[0]["loss"])
        values = torch.stack([torch.stack([step.get(name, none) for name in names]) for step in self.pending]).mean(0)
        everywhere = cast(Tensor, self.fabric.all_reduce(values))
        return dict(zip(names, everywhere.tolist(), strict=True))

    def _mark(self, waited: float) -> None:
        """Begin a logging interval."""
        self.pending.clear()
        self.started, self.hours, self.waited = time.perf_counter(), self.run.progress.hours, waited

    def _write(self, kind: str, values: dict[str, float]) -> None:
        if not self.records:
            return
        self.run.log(kind, values)
        for name, value in values.items():
            if self.writer:
                self.writer.add_scalar(f"{kind}/{name}", value, self.run.progress.step)

    def _say(self, text: str) -> None:
        """On the progress line of a terminal, else a line on stderr."""
        if self.live:
            self.bar.update(self.task, description=f"{self.run.recipe.name}  {text}")
        elif not self.quiet:
            step, steps = self.run.progress.step, self.run.recipe.train.steps
            print(f"step {step}/{steps}  {self.run.progress.hours:.1f} h  {text}", file=sys.stderr, flush=True)
