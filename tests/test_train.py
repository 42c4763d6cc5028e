"""Training: learns, by every recipe and layer, does not depend on the number of processes, and fails in sentences."""

import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from commands import GTCRN
from tiny_runs import RECIPES, SMALL, recipe, started, weights_of

from gtcrn import checkpoint
from gtcrn.cli.app import run
from gtcrn.errors import CheckpointError, ConfigError, GtcrnError
from gtcrn_recipes import settings
from gtcrn_recipes.data import dataset
from gtcrn_recipes.data.loader import ItemSource
from gtcrn_recipes.evaluation import metrics
from gtcrn_recipes.settings import TrainSettings
from gtcrn_recipes.training import packing, validation
from gtcrn_recipes.training import trainer as train
from gtcrn_recipes.training.distributed import SyncedBatchNorm2d
from gtcrn_recipes.training.losses import Loss
from gtcrn_recipes.training.run_folder import Run, rate

CPU = torch.device("cpu")


def test_steps_lower_the_loss_on_one_batch(data: Path, tmp_path: Path) -> None:
    chosen = recipe(data, "train.lr=1e-2")
    fabric = train.make_fabric("cpu", "32-true")
    run = train.open_run(chosen, tmp_path, False, fabric)
    trainer = train.Trainer(fabric, run)
    items = [ItemSource(chosen.data, fabric.device).draw(2, np.random.default_rng(0))]
    losses = []
    for _ in range(4):
        losses.append(trainer.step(trainer.mix(trainer.run.progress.step, items))["loss"].item())
        run.progress.step = 0  # the same random numbers, the same mixture
    assert losses[-1] < losses[0]


def test_the_compiled_layers_give_the_same_loss(data: Path, tmp_path: Path) -> None:
    losses = []
    for native in ("true", "false"):
        chosen = recipe(data, f"train.native={native}")
        fabric = train.make_fabric("cpu", "32-true")
        trainer = train.Trainer(fabric, train.open_run(chosen, tmp_path / native, False, fabric))
        assert (trainer.native is not None) == (native == "true")
        items = [ItemSource(chosen.data, fabric.device).draw(2, np.random.default_rng(0))]
        losses.append([trainer.step(trainer.mix(trainer.run.progress.step, items))["loss"].item() for _ in range(2)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_the_compiled_layers_have_all_threads(data: Path, tmp_path: Path) -> None:
    """Torch's would spin beside them and take their cores."""
    torch.set_num_threads(2)
    fabric = train.make_fabric("cpu", "32-true")
    trainer = train.Trainer(fabric, train.open_run(recipe(data), tmp_path, False, fabric))
    assert torch.get_num_threads() == 1
    assert int(trainer.layers.split()[1]) >= 2


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what others do with freed memory is not settled")
def test_the_memory_of_a_batch_is_kept_for_the_next() -> None:
    """In a process of its own, whose heap holds nothing of other tests."""
    code = """
import resource
from concurrent.futures import ThreadPoolExecutor
import torch
from gtcrn_recipes.training.machine import keep_memory

def new_pages():
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    batch = [torch.ones(500_000) for _ in range(12)]
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before

keep_memory()
with ThreadPoolExecutor(1) as loader:
    print([loader.submit(new_pages).result() for _ in range(4)][-1])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert int(done.stdout) < 500  # of 5900


@pytest.mark.parametrize(("gain", "word"), [(1.0, "below"), (4.0, "as expected"), (9.0, "better")])
def test_a_verdict_says_whether_a_run_went_as_it_should(data: Path, gain: float, word: str) -> None:
    pairs = list(dataset.PairSet.open(str(data), "valid"))
    noisy = np.mean([metrics.si_sdr(pair.clean, pair.noisy) for pair in pairs])
    recipe = settings.build(settings.Recipe, {"data": {"root": str(data)}, "train": {"expected_gain_db": (2.0, 6.0)}})
    assert word in validation.verdict(recipe, float(noisy) + gain)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_no_recipe_expects_a_run_that_does_not_help(path: Path) -> None:
    lowest, highest = settings.load(path, []).train.expected_gain_db
    assert lowest == highest or lowest > 0


@pytest.mark.slow
def test_two_processes_equal_one_with_the_double_batch(data: Path, tmp_path: Path) -> None:
    """In the gradient (which the optimiser's first moment holds after one step) and the normalisation's statistics."""
    # AdamW: the first step of SOAP only looks at the gradient.
    changes = ("train.optimizer=adamw", "train.draws=2", "train.steps=1", "mixing.noise_only_probability=0.0")
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    two = started(tmp_path, data, "two", *launcher, changes=changes)
    train.train(recipe(data, *changes, name="quick"), tmp_path / "one", quiet=True, device="cpu")
    assert two.wait(300) == 0
    a, b = (torch.load(tmp_path / name / "last.ckpt", weights_only=True) for name in ("one", "two"))
    for name in a["model"]:
        if "running" in name:
            torch.testing.assert_close(a["model"][name], b["model"][name], atol=1e-5, rtol=1e-4, msg=name)
    moments = [torch.cat([s["exp_avg"].flatten() for s in c["optimizer"]["state"].values()]) for c in (a, b)]
    assert (moments[0] - moments[1]).norm() < 1e-4 * moments[0].norm()


@pytest.mark.slow
def test_the_number_of_threads_changes_no_weight(data: Path, tmp_path: Path) -> None:
    """Processes of their own: threads that were made once stay."""
    told = [f"--set={change}" for change in (*SMALL, "train.batch=5", "train.steps=2")]
    for threads in ("1", "2"):
        command = [*GTCRN, "train", "quick", "--data", str(data), "--name", threads, "--threads", threads, *told]
        done = subprocess.run([*command, "--device", "cpu"], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert f"compiled, {threads} threads" in done.stderr
    one, two = (checkpoint.read(tmp_path / "runs" / name / "last.safetensors").weights for name in ("1", "2"))
    for name, value in one.items():
        np.testing.assert_array_equal(two[name], value)


def test_a_run_s_folder_has_its_recipe_and_its_logs(data: Path, tmp_path: Path) -> None:
    run = train.train(recipe(data), tmp_path, quiet=True, device="cpu")
    assert settings.load(tmp_path / "config.toml") == run.recipe
    (log,) = (tmp_path / "tensorboard").iterdir()
    for name in (b"loss", b"si_sdr"):
        assert name in log.read_bytes()


@pytest.mark.parametrize("name", [path.stem for path in RECIPES])
def test_every_recipe_runs_two_steps(data: Path, tmp_path: Path, name: str) -> None:
    chosen = recipe(data, "train.steps=2", name=name)
    run = train.train(chosen, tmp_path / name, quiet=True, device="cpu")
    assert run.progress.step == 2
    assert torch.isfinite(weights_of(run)).all()
    found = checkpoint.read(tmp_path / name / "best.safetensors")
    assert checkpoint.to_model(found).config == run.recipe.model


def test_batches_without_a_finite_gradient_are_skipped_then_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = recipe(data, "train.max_skipped=3", "train.ema=0.0", "loss.from_network=true")
    monkeypatch.setattr(Loss, "forward", lambda self, s, enhanced, *_: {"bad": (enhanced * torch.nan).sum()})
    with pytest.raises(GtcrnError, match="3 batches in a row"):
        train.train(chosen, tmp_path, quiet=True, device="cpu")
    before = Run.create(chosen, tmp_path, CPU)
    assert torch.isfinite(weights_of(before)).all()


def test_a_term_that_begins_between_two_lines_of_the_log_is_in_both_means(data: Path, tmp_path: Path) -> None:
    changes = ("loss.pesq=1", "train.pesq_from=0.25", "train.log_every=2", "mixing.noise_only_probability=0")
    train.train(recipe(data, *changes, "data.validation="), tmp_path, quiet=True, device="cpu")
    first, second = packing.history(tmp_path)
    assert 0 < first["pesq"] < second["pesq"]  # half of the first interval had none


def test_a_cpu_trains_in_single_precision(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="bf16-mixed"):
        train.train(recipe(data, "train.precision=bf16-mixed"), tmp_path, quiet=True, device="cpu")


def test_a_score_that_is_no_number_is_never_the_best(data: Path, tmp_path: Path) -> None:
    run = Run.create(recipe(data), tmp_path, CPU)
    for score in (1.0, float("nan"), 0.5):
        run.keep({"pesq": score, "si_sdr": score, "estoi": score})
    assert checkpoint.read(tmp_path / "best.safetensors").card["scores"]["pesq"] == 1.0
    assert checkpoint.read(tmp_path / "last.safetensors").card["scores"]["pesq"] == 0.5


def test_training_goes_on_without_the_compiled_layers(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gtcrn_recipes.native.network.is_built", lambda: False)
    run = train.train(recipe(data, "train.steps=1"), tmp_path, device="cpu")
    assert run.progress.step == 1
    assert "layers: torch" in capfd.readouterr().err


def test_averaged_weights_are_kept_and_packed(data: Path, tmp_path: Path) -> None:
    run = train.train(recipe(data, "train.ema=0.5"), tmp_path, quiet=True, device="cpu")
    best = checkpoint.read(tmp_path / "best.safetensors")
    assert set(best.weights) == set(checkpoint.from_model(run.model).weights)
    packed = packing.pack(tmp_path, tmp_path / "mine.safetensors", licence="MIT", data="buzzes")
    assert checkpoint.read(tmp_path / "mine.safetensors").card["data"] == "buzzes"
    card = (tmp_path / "mine.md").read_text()
    assert f"{packed.card['scores']['si_sdr']:.3f}" in card
    assert f"| selected by | {run.recipe.train.select} on the validation pairs |" in card


def test_the_last_step_is_packed_where_it_is_asked_for(data: Path, tmp_path: Path) -> None:
    run = train.train(recipe(data, "train.steps=2"), tmp_path, quiet=True, device="cpu")
    run.progress.step = 3
    with torch.no_grad():
        next(run.model.parameters()).add_(1.0)
    run.keep({"pesq": -1.0})
    best, last = (packing.pack(tmp_path, tmp_path / "w.safetensors", "MIT", "buzzes", last=x) for x in (False, True))
    assert (best.card["step"], last.card["step"]) == (2, 3)
    for name, value in checkpoint.from_model(run.model).weights.items():
        np.testing.assert_array_equal(checkpoint.read(tmp_path / "w.safetensors").weights[name], value)
    assert "| selected by | none: the last step |" in (tmp_path / "w.md").read_text()
    (tmp_path / "last.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"no last\.safetensors yet: the first checkpoint writes it"):
        packing.pack(tmp_path, tmp_path / "w.safetensors", "MIT", "buzzes", last=True)


def test_the_rate_warms_up_holds_and_falls() -> None:
    plan = TrainSettings(steps=100, warmup=10, hold=0.5, lr=1e-3, lr_min=1e-6)
    assert rate(0, plan) == pytest.approx(0.1)
    assert rate(10, plan) == rate(50, plan) == 1
    assert rate(75, plan) == pytest.approx(0.5, abs=1e-2)
    assert rate(100, plan) == pytest.approx(1e-3)
    assert rate(50, plan.model_copy(update={"hold": 0.0})) < 0.7


def test_synchronised_normalisation_equals_the_ordinary_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one process, where all_reduce is the identity."""
    monkeypatch.setattr("gtcrn_recipes.training.distributed.all_reduce", lambda x: x)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 1)
    torch.manual_seed(0)
    ordinary, synced = torch.nn.BatchNorm2d(3), SyncedBatchNorm2d(3)
    x = torch.randn(4, 3, 5, 6) * 3 + 2
    torch.testing.assert_close(synced(x), ordinary(x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(synced.running_var, ordinary.running_var)
    torch.testing.assert_close(synced.eval()(x), ordinary.eval()(x), atol=1e-5, rtol=1e-5)


def test_a_folder_with_the_name_of_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["train", "quick", "--data", "2024"]) == 2
    assert "there is nothing prepared in 2024/" in capsys.readouterr().err
