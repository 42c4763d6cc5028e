"""How fast training is, and where its time goes: `python -m gtcrn_recipes.training.speed RECIPE [--set a.b=c]`."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from gtcrn.config import SAMPLE_RATE
from gtcrn_recipes import settings
from gtcrn_recipes.data.loader import ItemSource, draw_generator
from gtcrn_recipes.settings import Recipe
from gtcrn_recipes.training.commands import find_recipe
from gtcrn_recipes.training.trainer import Trainer, make_fabric, open_run

WARM_UP = 2


class Stopwatch:
    """Seconds of named parts, one list of measurements each; waits for the device."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}

    def __call__(self, name: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.seconds.setdefault(name, []).append(time.perf_counter() - start)
        return result

    def medians(self) -> dict[str, float]:
        return {name: float(np.median(values[WARM_UP:])) for name, values in self.seconds.items()}


def measure(recipe: Recipe, device: str, steps: int) -> dict[str, float]:
    """Median seconds of each part of a training step."""
    fabric, watch = make_fabric(device, recipe.train.precision), Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(fabric, open_run(recipe, Path(folder), False, fabric))
        source = ItemSource(recipe.data, fabric.device)
        for step in range(WARM_UP + steps):
            _one_step(trainer, source, watch, step)
    return watch.medians()


def _one_step(trainer: Trainer, source: ItemSource, watch: Stopwatch, step: int) -> None:
    settings = trainer.recipe.train
    items = watch("draw", lambda: [source.draw(settings.batch, draw_generator(settings.seed, step, 0))])
    mixture = watch("mix", lambda: trainer.mix(step, items))
    x, audio = watch("network forward", lambda: trainer._enhance(mixture.noisy))
    total, _ = watch("loss", lambda: trainer.losses[-1].compare(x, audio, mixture.clean))
    trainer.optimizer.zero_grad()
    watch("backward", lambda: trainer.fabric.backward(total))
    watch("optimiser", trainer.optimizer.step)


def main(
    recipe: Path,
    change: Annotated[list[str] | None, typer.Option("--set")] = None,
    device: str = "cpu",
    threads: int = 1,
    steps: int = 10,
) -> None:
    """Print the median time of each part of a step and the seconds of audio trained in a second."""
    torch.set_num_threads(threads)
    resolved = settings.load(find_recipe(recipe), change or ())
    parts = measure(resolved, device, steps)
    audio = resolved.train.batch * round(resolved.data.segment_seconds * SAMPLE_RATE) / SAMPLE_RATE
    total = sum(parts.values())
    for name, seconds in parts.items():
        typer.echo(f"{name:16} {1000 * seconds:8.1f} ms  {seconds / total:6.1%}")
    typer.echo(f"{'step':16} {1000 * total:8.1f} ms  {audio / total:.0f}x real time")


if __name__ == "__main__":
    typer.run(main)
