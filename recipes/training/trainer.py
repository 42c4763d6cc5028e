"""Training: draw, mix, enhance, compare, step; validate now and then; keep the best and the last."""

import contextlib
import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from lightning.fabric import Fabric
from lightning.fabric.utilities.exceptions import MisconfigurationException
from torch import Tensor
from torch.distributed import DistError

from gtcrn.config import SAMPLE_RATE
from gtcrn.errors import ConfigError, GtcrnError
from gtcrn_recipes.data.loader import Batch, Items, ItemSource, Prefetcher, draw_generator
from gtcrn_recipes.data.shards import locked
from gtcrn_recipes.mixing.mixture import mix
from gtcrn_recipes.native.loss import NativeLoss
from gtcrn_recipes.native.loss import supports as compiled_terms
from gtcrn_recipes.native.network import NativeGTCRN, supports
from gtcrn_recipes.settings import LossConfig, Recipe
from gtcrn_recipes.training.distributed import join_anew, restarts, synchronise_norms
from gtcrn_recipes.training.enhance import spectrum, waveform
from gtcrn_recipes.training.losses import Compared, Loss
from gtcrn_recipes.training.machine import hand_over_threads, keep_memory
from gtcrn_recipes.training.report import Report
from gtcrn_recipes.training.run_folder import Run, clip_gradient
from gtcrn_recipes.training.teacher import Lesson, Teacher, blended
from gtcrn_recipes.training.validation import Validation

LOST = "gloo"  # in the words of a plain RuntimeError where a process does not answer any more


class Trainer:
    """The network on its device, and the two things that a step needs: items and a loss."""

    def __init__(self, fabric: Fabric, run: Run) -> None:
        self.fabric, self.run, self.recipe = fabric, run, run.recipe
        if fabric.world_size > 1:
            synchronise_norms(run.model)
        self.network, self.optimizer = fabric.setup(run.model, run.optimizer)
        self.native = NativeGTCRN(run.model) if self._goes_native() else None
        threads = hand_over_threads() if self.native else torch.get_num_threads()
        self.layers = f"{'compiled' if self.native else 'torch'}, {threads} threads a process"
        loss, settings = self.recipe.loss, self.recipe.train
        early = loss.model_copy(update={"pesq": 0.0}) if settings.pesq_from else loss
        self.losses = [self._loss(config) for config in (early, loss)]
        self.teacher = Teacher(settings.teacher, fabric.device) if settings.teacher else None
        self.taught = self._loss(loss.taught) if self.teacher else None

    def _goes_native(self) -> bool:
        """Whether the compiled layers can do the work: one process, on a CPU, in single precision."""
        settings, fabric = self.recipe.train, self.fabric
        alone = fabric.device.type == "cpu" and fabric.world_size == 1 and settings.precision == "32-true"
        return settings.native and alone and supports(self.recipe.model)

    def _loss(self, config: LossConfig) -> Loss | NativeLoss:
        spectral = self.recipe.model.spectral
        loss = Loss(config, spectral).to(self.fabric.device)
        samples = round(self.recipe.data.segment_seconds * SAMPLE_RATE)
        return NativeLoss(loss) if self.native and compiled_terms(config, spectral, samples) else loss

    def step(self, lesson: Lesson) -> dict[str, Tensor]:
        """One update of the weights; the loss, its terms, and the gradient's norm."""
        total, terms = self._compare(lesson)
        self.optimizer.zero_grad()
        self.fabric.backward(total)
        norm = clip_gradient(self.network, self.recipe.train.clip)
        self._update(bool(torch.isfinite(norm)))
        progress = self.run.progress
        progress.step += 1
        progress.hours += lesson.noisy.numel() * self.fabric.world_size / SAMPLE_RATE / 3600
        return {"loss": total, "gradient": norm, **terms}

    def _compare(self, lesson: Lesson) -> Compared:
        late = self.run.progress.step >= self.recipe.train.pesq_from * self.recipe.train.steps
        enhanced = self._enhance(lesson.noisy)
        own = self.losses[late].compare(*enhanced, lesson.clean)
        if self.taught is None or lesson.taught is None:
            return own
        taught = self.taught.compare(*enhanced, lesson.taught, lesson.clean)
        return blended(own, taught, self.recipe.train.teacher_share)

    def mix(self, step: int, items: list[Items]) -> Lesson:
        """The batch of a step. Each draw is mixed with random numbers of its own."""
        settings = self.recipe.train
        mixed = []
        for draw, item in zip(my_draws(self.fabric, self.recipe), items, strict=True):
            seed = int(draw_generator(settings.seed, step, draw).integers(2**62, endpoint=True)) + 1
            generator = torch.Generator(self.fabric.device).manual_seed(seed)
            speech, noise, rir = (t.float().mul_(2**-15) for t in item.to(self.fabric.device))
            mixed.append(mix(speech, noise, rir, generator, self.recipe.mixing))
        noisy, clean = (torch.cat(parts) for parts in zip(*((m.noisy, m.clean) for m in mixed), strict=True))
        return Lesson(noisy, clean, self.teacher(noisy) if self.teacher else None)

    def _enhance(self, noisy: Tensor) -> tuple[Tensor | None, Tensor]:
        """What the network makes of a batch, its spectrum where the loss wants it, and its waveform."""
        config = self.recipe.model.spectral
        if self.native and self.native.takes(noisy.shape[-1]) and not self.recipe.loss.wants_spectrum:
            return None, self.native.enhance(noisy)
        x = spectrum(noisy, config).contiguous()
        y = self.native(x) if self.native else self.network(x, self.run.model.initial_state(len(noisy)))[0]
        return y.float(), waveform(y.float(), config, noisy.shape[-1])

    def _update(self, finite: bool) -> None:
        """Step unless the gradient overflowed; give up after too many such batches in a row."""
        progress = self.run.progress
        if finite:
            self.optimizer.step()
            self.run.schedule.step()
            progress.skipped_in_row = 0
            if self.run.average is not None:
                self.run.average.update_parameters(self.run.model)
        else:
            progress.skipped += 1
            progress.skipped_in_row += 1
        if progress.skipped_in_row >= self.recipe.train.max_skipped:
            raise GtcrnError(
                f"{progress.skipped_in_row} batches in a row gave no finite gradient at step {progress.step}; "
                "try a lower train.lr, a smaller train.clip or train.precision = '32-true'."
            )


def train(recipe: Recipe, folder: Path, resume: bool = False, quiet: bool = False, device: str = "auto") -> Run:
    """Run a recipe to its last step. Raises GtcrnError and its kinds for whatever a user can mend."""
    fabric = make_fabric(device, recipe.train.precision)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder) if fabric.is_global_zero else contextlib.nullcontext():
        return _train(recipe, folder, resume, quiet, fabric)


def _train(recipe: Recipe, folder: Path, resume: bool, quiet: bool, fabric: Fabric) -> Run:
    run = open_run(recipe, folder, resume or _is_restarted(folder), fabric)
    if fabric.device.type == "cpu":
        keep_memory()
    trainer = Trainer(fabric, run)
    source = ItemSource(recipe.data, fabric.device)
    validation = Validation(recipe.data.root, recipe.data.validation) if recipe.data.validation else None
    settings, first_step = recipe.train, run.progress.step
    loader = Prefetcher(
        source, settings.batch, settings.seed, my_draws(fabric, recipe), first_step, prepare=_prepared(trainer)
    )
    gc.freeze()  # what is here stays and need not be looked through again and again
    try:
        with Report(run, quiet, fabric) as report:
            report.note(f"layers: {trainer.layers}; data: {source.where}")
            for batch in _until_done(run, loader):
                lesson = batch if isinstance(batch, Lesson) else trainer.mix(run.progress.step, batch)
                report.step(trainer.step(lesson), loader.waited)
                if _due(run, settings.validate_every):
                    _checkpoint(trainer, validation, report)
    except (DistError, RuntimeError) as error:
        if isinstance(error, DistError) or LOST in str(error):
            raise GtcrnError(
                "another process of this run has ended; with torchrun --max-restarts it goes on from its last "
                "checkpoint, else with --resume."
            ) from error
        raise
    finally:
        loader.close()
    return run


def _is_restarted(folder: Path) -> bool:
    """Whether torchrun has started all processes anew because one ended, and there is something to go on from."""
    return restarts() > 0 and (folder / "last.ckpt").is_file()


def make_fabric(device: str, precision: str) -> Fabric:
    """One process, or as many as torchrun started."""
    processes, here = (int(os.environ.get(name, 1)) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    many = {"strategy": "ddp", "devices": here, "num_nodes": processes // here} if processes > 1 else {"devices": 1}
    try:
        fabric = Fabric(accelerator=device, precision=precision, **many)  # type: ignore[arg-type]
    except (ValueError, RuntimeError, MisconfigurationException) as error:
        raise ConfigError(f"device {device!r} with precision {precision!r} is not to be had: {error}") from error
    if fabric.device.type == "cpu" and precision != "32-true":
        raise ConfigError(f"train.precision = {precision!r} is for accelerators; a CPU trains in 32-true.")
    if processes > 1 and restarts():
        join_anew(fabric.device)
    fabric.launch()
    return fabric


def open_run(recipe: Recipe, folder: Path, resume: bool, fabric: Fabric) -> Run:
    """A new run in an empty folder, or the one that was there."""
    if recipe.train.draws % fabric.world_size:
        raise ConfigError(f"train.draws ({recipe.train.draws}) must be a multiple of {fabric.world_size} processes.")
    if not resume and (folder / "last.ckpt").exists():
        raise ConfigError(f"{folder} holds a run already: --resume continues it, --name starts another.")
    folder.mkdir(parents=True, exist_ok=True)
    run = Run.resumed(recipe, folder, fabric.device) if resume else Run.create(recipe, folder, fabric.device)
    if fabric.is_global_zero:
        run.trim_history()
        run.describe()
    return run


def my_draws(fabric: Fabric, recipe: Recipe) -> list[int]:
    """The draws of a step that this process makes."""
    return list(range(fabric.global_rank, recipe.train.draws, fabric.world_size))


def _prepared(trainer: Trainer) -> Callable[[int, list[Items]], Lesson | list[Items]]:
    """What the loader's thread does: on a CPU it mixes too, beside the layers; an accelerator mixes in its turn."""
    return trainer.mix if trainer.fabric.device.type == "cpu" else lambda step, items: items


def _until_done(run: Run, loader: Prefetcher[Batch]) -> Iterator[Batch]:
    for batch in loader:
        if run.progress.step >= run.recipe.train.steps:
            return
        yield batch


def _due(run: Run, every: int) -> bool:
    return run.progress.step % every == 0 or run.progress.step == run.recipe.train.steps


def _checkpoint(trainer: Trainer, validation: Validation | None, report: Report) -> None:
    """Validate and save; one process does it while the others wait."""
    if trainer.fabric.is_global_zero:
        trainer.run.keep(_validate(trainer, validation, report) if validation else {})
        trainer.run.save()
    trainer.fabric.barrier()


def _validate(trainer: Trainer, validation: Validation, report: Report) -> dict[str, float]:
    """Mean scores by name."""
    run, settings = trainer.run, trainer.recipe.train
    run.progress.validations += 1
    last = run.progress.step == settings.steps
    full = settings.score_every > 0 and (last or run.progress.validations % settings.score_every == 0)
    scores, enhanced = validation.score(run.weights, trainer.fabric.device, full)
    report.validation(scores, enhanced[: report.EXAMPLES])
    return scores
