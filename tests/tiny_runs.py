"""Recipes made small enough to run in a second, here or in a process of their own."""

import os
import subprocess
import sys
from pathlib import Path

import torch

from gtcrn_recipes import settings
from gtcrn_recipes.settings import Recipe
from gtcrn_recipes.training.run_folder import Run

RECIPES = sorted((Path(__file__).parent.parent / "recipes").glob("*.toml"))
SMALL = [
    "train.batch=2",
    "train.steps=4",
    "train.validate_every=2",
    "train.score_every=10",
    "train.log_every=1",
    "train.select=si_sdr",
    "train.warmup=1",
    "data.segment_seconds=0.6",
    "data.rir_seconds=0.2",
    "data.memory=host",
]


def recipe(data: Path, *changes: str, name: str = "corpus") -> Recipe:
    path = next(path for path in RECIPES if path.stem == name)
    return settings.load(path, [f"data.root={data}", *SMALL, *changes])


def weights_of(run: Run) -> torch.Tensor:
    return torch.cat([value.flatten().float() for value in run.model.state_dict().values()])


SCRIPT = """
import sys, torch
from pathlib import Path
from gtcrn_recipes import settings
from gtcrn_recipes.training import trainer as train
torch.set_num_threads(1)
if __name__ == "__main__":
    recipe = settings.load(Path(sys.argv[1]), sys.argv[3:])
    train.train(recipe, Path(sys.argv[2]), device="cpu")
"""


def started(
    tmp_path: Path, data: Path, folder: str, *launcher: str, changes: tuple[str, ...] = ()
) -> subprocess.Popen[bytes]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    path = next(str(path) for path in RECIPES if path.stem == "quick")
    arguments = [path, str(tmp_path / folder), f"data.root={data}", *SMALL, *changes]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, *launcher, str(script), *arguments], env=environment)
