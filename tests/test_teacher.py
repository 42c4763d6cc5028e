"""A student learns from what a finished network makes of the same items, beside the clean ones."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from networks import random_network
from tiny_runs import recipe

import gtcrn
from gtcrn import checkpoint
from gtcrn.errors import CheckpointError, ConfigError
from gtcrn_recipes.data.loader import ItemSource
from gtcrn_recipes.training import teacher
from gtcrn_recipes.training import trainer as train
from gtcrn_recipes.training.teacher import Lesson, Teacher

TAUGHT = "train.teacher=gtcrn"


def trainer_of(data: Path, folder: Path, *changes: str) -> train.Trainer:
    fabric = train.make_fabric("cpu", "32-true")
    return train.Trainer(fabric, train.open_run(recipe(data, *changes), folder, False, fabric))


def mixed(trainer: train.Trainer, draws: int = 1) -> Lesson:
    source = ItemSource(trainer.recipe.data, trainer.fabric.device)
    return trainer.mix(0, [source.draw(2, np.random.default_rng(i)) for i in range(draws)])


@pytest.mark.parametrize("draws", [1, 2])
def test_a_batch_has_what_the_teacher_makes_of_it(data: Path, tmp_path: Path, draws: int) -> None:
    plain = mixed(trainer_of(data, tmp_path / "plain", f"train.draws={draws}"), draws)
    batch = mixed(trainer_of(data, tmp_path / "taught", f"train.draws={draws}", TAUGHT), draws)
    assert plain.taught is None
    assert batch.taught is not None
    for name in ("noisy", "clean"):
        torch.testing.assert_close(getattr(batch, name), getattr(plain, name), rtol=0, atol=0)
    expected = [gtcrn.load()(item, 16_000) for item in batch.noisy.numpy()]
    np.testing.assert_allclose(batch.taught.numpy(), expected, rtol=0, atol=1e-6)


def test_an_accelerators_teacher_is_the_kernels() -> None:
    """For whole hops; of others the transform for training drops the end."""
    noisy = 0.05 * torch.randn(2, 38 * 256, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        by_torch = teacher._by_torch("gtcrn", torch.device("cpu"))(noisy)
    torch.testing.assert_close(by_torch, teacher._by_kernel("gtcrn")(noisy), rtol=0, atol=1e-5)


@pytest.mark.parametrize("native", ["true", "false"])
def test_the_loss_is_shared_between_both_targets(data: Path, tmp_path: Path, native: str) -> None:
    """The teacher's share has the terms that compare signals only; all terms add up to the loss."""
    losses = {}
    for share in (0.0, 0.25, 1.0):
        changes = TAUGHT, f"train.teacher_share={share}", f"train.native={native}", "loss.estoi=3"
        trainer = trainer_of(data, tmp_path / str(share), *changes)
        terms = trainer.step(mixed(trainer))
        total, _ = terms.pop("loss"), terms.pop("gradient")
        torch.testing.assert_close(sum(terms.values()), total)
        losses[share] = total.item()
    assert losses[0.25] == pytest.approx(0.75 * losses[0.0] + 0.25 * losses[1.0], rel=1e-4)
    alone = trainer_of(data, tmp_path / "alone", "loss.estoi=3", f"train.native={native}")
    assert alone.step(mixed(alone))["loss"].item() == pytest.approx(losses[0.0], rel=1e-5)


@pytest.mark.parametrize("native", ["true", "false"])
def test_what_a_teacher_leaves_of_noise_is_not_taken_for_speech(
    data: Path, tmp_path: Path, native: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Brought to the level of speech it cost more than all else, and the noise would have been learned."""
    changes = TAUGHT, "train.teacher_share=1.0", "loss.equal_levels=true", f"train.native={native}"
    trainer, generator = trainer_of(data, tmp_path, *changes), torch.Generator().manual_seed(0)
    left, output = 0.001 * torch.randn(2, 2, 9600, generator=generator)
    monkeypatch.setattr(trainer, "_enhance", lambda noisy: (None, output))
    as_noise, as_speech = (trainer._compare(Lesson(output, clean, left)).total for clean in (0 * left, left))
    assert as_noise < 0.1 * as_speech


def test_a_network_that_no_kernel_is_compiled_for_can_teach(tmp_path: Path) -> None:
    config = replace(gtcrn.load().config, dual_path_blocks=3)
    checkpoint.write(tmp_path / "three.safetensors", checkpoint.from_model(random_network(0, config), {}))
    noisy = 0.05 * torch.randn(2, 4096, generator=torch.Generator().manual_seed(0))
    taught = Teacher(str(tmp_path / "three.safetensors"), torch.device("cpu"))(noisy)
    assert taught.shape == noisy.shape
    assert taught.abs().max() > 0


def test_torchs_pesq_term_that_counts_in_double_is_shared_too(data: Path, tmp_path: Path) -> None:
    changes = TAUGHT, "loss.pesq=1", "train.pesq_from=0"
    by_both = [trainer_of(data, tmp_path / native, *changes, f"train.native={native}") for native in ("true", "false")]
    compiled, by_torch = (trainer.step(mixed(trainer))["loss"].item() for trainer in by_both)
    assert by_torch == pytest.approx(compiled, rel=1e-3)


def test_a_teacher_that_cannot_teach_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no weights"):
        Teacher(str(tmp_path / "none.safetensors"), torch.device("cpu"))
    others = "loss.real_imaginary=0", "loss.magnitude=0", "loss.si_snr=0", "loss.over_suppression=1"
    with pytest.raises(ConfigError, match=r"train\.teacher has no loss"):
        recipe(data, TAUGHT, *others)
