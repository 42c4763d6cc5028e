"""A training run on disk: runs/NAME/{config.toml, history.jsonl, last.ckpt, {last,best}.safetensors, tensorboard}."""

import json
import math
import platform
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tomli_w
import torch
from torch import Tensor, nn, optim
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from gtcrn import checkpoint
from gtcrn.audio.place import whole
from gtcrn.denoiser import weights_file
from gtcrn.errors import CheckpointError, ConfigError
from gtcrn.network.model import GTCRN
from gtcrn_recipes.settings import Recipe, TrainSettings, to_table
from gtcrn_recipes.training.soap import Soap
from gtcrn_recipes.training.widen import widen, widens


@dataclass
class RunProgress:
    """What has happened so far."""

    step: int = 0
    hours: float = 0.0  # of audio trained on
    skipped: int = 0  # batches without a finite gradient
    skipped_in_row: int = 0
    best: float = -math.inf  # of the score that selects
    select: str = ""  # its name
    validations: int = 0


@dataclass
class Run:
    """Everything a run owns."""

    recipe: Recipe
    folder: Path
    model: GTCRN
    optimizer: optim.Optimizer
    schedule: optim.lr_scheduler.LRScheduler
    average: AveragedModel | None
    progress: RunProgress = field(default_factory=RunProgress)

    @classmethod
    def create(cls, recipe: Recipe, folder: Path, device: torch.device) -> "Run":
        """Model, optimiser and schedule at step 0, on the device; seeds torch."""
        torch.manual_seed(recipe.train.seed)
        model = _initialised(recipe).train() if recipe.train.init else GTCRN(recipe.model)
        return cls._of(model.to(device), recipe, folder)

    @classmethod
    def resumed(cls, recipe: Recipe, folder: Path, device: torch.device) -> "Run":
        """As last.ckpt has it. Raises CheckpointError where there is none, or it is damaged or of another network."""
        torch.manual_seed(recipe.train.seed)
        run = cls._of(GTCRN(recipe.model).to(device), recipe, folder)
        run._load()
        return run

    @classmethod
    def _of(cls, model: GTCRN, recipe: Recipe, folder: Path) -> "Run":
        settings = recipe.train
        optimizer = make_optimizer(model, settings)
        schedule = optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, settings))
        average = None
        if settings.ema:
            average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(settings.ema), use_buffers=True)
        return cls(recipe, folder, model, optimizer, schedule, average, RunProgress(select=settings.select))

    @property
    def weights(self) -> GTCRN:
        """The weights to validate and to keep: averaged if the recipe says so."""
        return self.model if self.average is None else self.average.module  # type: ignore[return-value]

    @property
    def outcome(self) -> Path:
        """The file to use: the best weights, or the last where nothing was validated."""
        best = self.folder / "best.safetensors"
        return best if best.is_file() else self.folder / "last.safetensors"

    def save(self) -> None:
        """Write last.ckpt whole or not at all; resuming from it continues exactly."""
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        parts |= {"progress": vars(self.progress), "network": self.recipe.model.to_dict()}
        with whole(self.folder / "last.ckpt") as file:
            torch.save(parts, file)

    def _load(self) -> None:
        path = self.folder / "last.ckpt"
        if not path.is_file():
            raise CheckpointError(f"no run to resume in {self.folder}: {path.name} is missing.")
        try:
            saved = torch.load(path, map_location="cpu", weights_only=True)
            network = self.recipe.model.to_dict()
            if saved.get("network", network) != network:  # shapes alone do not tell
                raise ValueError("another network")
            self.progress = RunProgress(**saved.pop("progress"))
            for name, part in self._parts().items():
                part.load_state_dict(saved[name])
            self._follow(self.recipe.train)
        except Exception as error:  # torch raises many kinds for damaged files and foreign contents
            raise CheckpointError(f"{path} is damaged or belongs to another recipe.") from error

    def _follow(self, settings: TrainSettings) -> None:
        """What the recipe says now counts from here on, not what the saved optimiser remembers of it."""
        self.schedule.base_lrs = [settings.lr] * len(self.optimizer.param_groups)
        for group in self.optimizer.param_groups:
            group.update(lr=settings.lr * rate(self.schedule.last_epoch, settings), initial_lr=settings.lr)
            group.update(betas=settings.betas, weight_decay=settings.weight_decay)
        if self.progress.select not in ("", settings.select):
            self.progress.best = -math.inf
        self.progress.select = settings.select

    def _parts(self) -> dict[str, Any]:
        parts = {"model": self.model, "optimizer": self.optimizer, "schedule": self.schedule}
        return parts if self.average is None else {**parts, "average": self.average}

    def keep(self, scores: dict[str, float]) -> None:
        """Write last.safetensors, and best.safetensors where the selecting score, if there, is the best so far."""
        done = {"step": self.progress.step, "hours": round(self.progress.hours, 2), "scores": scores}
        card = {"recipe": self.recipe.name, "seed": self.recipe.train.seed, **done}
        weights = checkpoint.from_model(self.weights, card)
        checkpoint.write(self.folder / "last.safetensors", weights)
        score = scores.get(self.recipe.train.select, -math.inf)
        if score > self.progress.best:  # which NaN is not
            self.progress.best = score
            checkpoint.write(self.folder / "best.safetensors", weights)

    def describe(self) -> None:
        """Write config.toml: the resolved recipe and the versions it ran with."""
        packages = ("torch", "lightning", "numpy", "gtcrn")
        versions = {"python": platform.python_version(), **{p: version(p) for p in packages}}
        text = "".join(f"# {name} {number}\n" for name, number in versions.items())
        (self.folder / "config.toml").write_text(text + tomli_w.dumps(to_table(self.recipe)))

    def log(self, kind: str, values: dict[str, float]) -> None:
        """Append a line to history.jsonl."""
        line = {"kind": kind, "step": self.progress.step, "hours": round(self.progress.hours, 4), **values}
        with (self.folder / "history.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def trim_history(self) -> None:
        """Drop what a killed run noted after its last checkpoint: those steps come again."""
        path = self.folder / "history.jsonl"
        if path.is_file():
            lines = path.read_text().splitlines(keepends=True)
            with whole(path) as file:
                file.write("".join(line for line in lines if _step(line) <= self.progress.step).encode())


def make_optimizer(model: nn.Module, settings: TrainSettings) -> optim.Optimizer:
    """AdamW, or SOAP (Vyas et al., 2024: Adam in the eigenbasis of Shampoo's preconditioner), whose matrices are cheap
    for weights as small as these."""
    values: dict[str, Any] = {"lr": settings.lr, "betas": settings.betas, "weight_decay": settings.weight_decay}
    if settings.optimizer == "adamw":
        return optim.AdamW(model.parameters(), **values)
    return Soap(model.parameters(), **values)


def _step(line: str) -> float:
    """Of a line of the history; infinity where the kill left only a part of it."""
    try:
        return int(json.loads(line)["step"]) if line.endswith("\n") else math.inf
    except (ValueError, KeyError, TypeError):
        return math.inf


def rate(step: int, settings: TrainSettings) -> float:
    """Learning rate relative to the highest: linear warm-up, a plateau, half a cosine down to lr_min."""
    if step < settings.warmup:
        return (step + 1) / settings.warmup
    start = max(settings.warmup, settings.hold * settings.steps)
    along = min(max((step - start) / max(settings.steps - start, 1), 0.0), 1.0)
    floor = settings.lr_min / settings.lr
    return floor + (1 - floor) * (1 + math.cos(math.pi * along)) / 2


def _initialised(recipe: Recipe) -> GTCRN:
    found = checkpoint.read(weights_file(recipe.train.init))
    if found.config == recipe.model:
        return checkpoint.to_model(found)
    if widens(found.config, recipe.model):
        return widen(checkpoint.to_model(found), recipe.model)
    raise ConfigError(
        f"{recipe.train.init} has another configuration than the recipe's [model] "
        "(only its channels may be several times as many, its dual-path blocks more, and groups of bands new)."
    )


def clip_gradient(model: nn.Module, limit: float) -> Tensor:
    """Scale the gradient down to a norm of `limit`; returns the norm before, which is not finite after an overflow."""
    return nn.utils.clip_grad_norm_(model.parameters(), limit)
