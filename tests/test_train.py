"""Training: learns, resumes exactly, does not depend on the number of processes, and fails in sentences."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_data import make_data

from gtcrn import checkpoint
from gtcrn.errors import CheckpointError, ConfigError, GtcrnError
from gtcrn_recipes import settings
from gtcrn_recipes.data import dataset
from gtcrn_recipes.data.loader import ItemSource
from gtcrn_recipes.data.shards import locked
from gtcrn_recipes.evaluation import metrics
from gtcrn_recipes.mixing.mixture import Mixture
from gtcrn_recipes.settings import Recipe, TrainSettings
from gtcrn_recipes.training import packing, validation
from gtcrn_recipes.training import trainer as train
from gtcrn_recipes.training.distributed import SyncedBatchNorm2d
from gtcrn_recipes.training.losses import Loss
from gtcrn_recipes.training.run_folder import Run, rate

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


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("tiny"))


def recipe(data: Path, *changes: str, name: str = "corpus") -> Recipe:
    path = next(path for path in RECIPES if path.stem == name)
    return settings.load(path, [f"data.root={data}", *SMALL, *changes])


def weights_of(run: Run) -> torch.Tensor:
    return torch.cat([value.flatten().float() for value in run.model.state_dict().values()])


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


@pytest.mark.parametrize("optimizer", ["adamw", "soap"])
def test_a_resumed_run_equals_an_uninterrupted_one(
    optimizer: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = recipe(data, f"train.optimizer={optimizer}")
    whole = train.train(chosen, tmp_path / "whole", quiet=True, device="cpu")
    step = train.Trainer.step

    def stop_after_three(self: train.Trainer, mixture: Mixture) -> dict[str, torch.Tensor]:
        if self.run.progress.step == 3:
            raise KeyboardInterrupt
        return step(self, mixture)

    monkeypatch.setattr(train.Trainer, "step", stop_after_three)
    with pytest.raises(KeyboardInterrupt):
        train.train(chosen, tmp_path / "cut", quiet=True, device="cpu")
    monkeypatch.setattr(train.Trainer, "step", step)
    resumed = train.train(chosen, tmp_path / "cut", resume=True, quiet=True, device="cpu")
    assert resumed.progress == whole.progress
    assert torch.equal(weights_of(resumed), weights_of(whole))
    a, b = (torch.load(tmp_path / name / "last.ckpt", weights_only=True) for name in ("whole", "cut"))
    for part in ("exp_avg", "exp_avg_sq"):
        assert torch.equal(a["optimizer"]["state"][0][part], b["optimizer"]["state"][0][part])


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


def test_a_folder_takes_one_run_at_a_time(data: Path, tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(ConfigError, match="another run is writing"):
        train.train(recipe(data), tmp_path, quiet=True, device="cpu")
    train.train(recipe(data), tmp_path, quiet=True, device="cpu")
    with locked(tmp_path), pytest.raises(ConfigError, match="another run is writing"):
        train.train(recipe(data), tmp_path, resume=True, quiet=True, device="cpu")


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


def test_a_killed_run_resumes(data: Path, tmp_path: Path) -> None:
    first = started(tmp_path, data, "killed", changes=("train.steps=2000",))
    deadline = time.monotonic() + 240  # a machine that does much else
    while not (tmp_path / "killed" / "last.ckpt").exists():
        assert first.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    with (tmp_path / "killed" / "history.jsonl").open("a") as file:
        file.write('{"kind": "train", "step": 1999}\n{"kind": "tr')  # noted after the checkpoint, the last in part
    reached = torch.load(tmp_path / "killed" / "last.ckpt", weights_only=True)["progress"]["step"]
    chosen = recipe(data, f"train.steps={reached + 2}", name="quick")
    train.train(chosen, tmp_path / "killed", resume=True, quiet=True, device="cpu")
    assert torch.load(tmp_path / "killed" / "last.ckpt", weights_only=True)["progress"]["step"] == reached + 2
    noted = [(line["kind"], line["step"]) for line in packing.history(tmp_path / "killed")]
    assert noted[-1][1] == reached + 2
    assert len(set(noted)) == len(noted)


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
    chosen = recipe(data, "train.max_skipped=3", "train.ema=0.0", "loss.waveform=1.0")
    monkeypatch.setattr(Loss, "forward", lambda self, s, enhanced, clean: {"bad": (enhanced * torch.nan).sum()})
    with pytest.raises(GtcrnError, match="3 batches in a row"):
        train.train(chosen, tmp_path, quiet=True, device="cpu")
    before = Run.create(chosen, tmp_path)
    assert torch.isfinite(weights_of(before)).all()


def test_a_run_is_not_overwritten(data: Path, tmp_path: Path) -> None:
    train.train(recipe(data, "train.steps=2"), tmp_path, quiet=True, device="cpu")
    with pytest.raises(ConfigError, match="holds a run already"):
        train.train(recipe(data), tmp_path, quiet=True, device="cpu")


@pytest.mark.parametrize(("content", "sentence"), [(None, "no run to resume"), (b"junk", "is damaged or belongs")])
def test_what_cannot_be_resumed_is_named(data: Path, tmp_path: Path, content: bytes | None, sentence: str) -> None:
    if content:
        (tmp_path / "last.ckpt").write_bytes(content)
    with pytest.raises(CheckpointError, match=sentence):
        train.train(recipe(data), tmp_path, resume=True, quiet=True, device="cpu")


def test_a_resumed_run_follows_the_recipe_as_it_is_now(data: Path, tmp_path: Path) -> None:
    train.train(recipe(data, "train.steps=2"), tmp_path, quiet=True, device="cpu")
    fabric = train.make_fabric("cpu", "32-true")
    changes = ("train.lr=0.5", "train.weight_decay=0.25", "train.warmup=0", "train.hold=1.0")
    run = train.open_run(recipe(data, *changes), tmp_path, True, fabric)
    run.optimizer.step()
    run.schedule.step()
    assert {(group["lr"], group["weight_decay"]) for group in run.optimizer.param_groups} == {(0.5, 0.25)}


def test_a_score_that_is_no_number_is_never_the_best(data: Path, tmp_path: Path) -> None:
    run = Run.create(recipe(data), tmp_path)
    for score in (1.0, float("nan"), 0.5):
        run.keep_best({"pesq": score, "si_sdr": score, "estoi": score})
    assert checkpoint.read(tmp_path / "best.safetensors").card["scores"]["pesq"] == 1.0


def test_training_goes_on_without_the_compiled_layers(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("gtcrn_recipes.native.network.is_built", lambda: False)
    run = train.train(recipe(data, "train.steps=1"), tmp_path, device="cpu")
    assert run.progress.step == 1
    assert "layers: torch" in capfd.readouterr().err


def test_resuming_with_another_network_is_refused(data: Path, tmp_path: Path) -> None:
    train.train(recipe(data, "train.steps=2"), tmp_path, quiet=True, device="cpu")
    with pytest.raises(CheckpointError, match="another recipe"):
        train.train(recipe(data, "model.channels=8"), tmp_path, resume=True, quiet=True, device="cpu")


def test_a_quiet_run_without_validation_is_recorded_and_resumes(data: Path, tmp_path: Path) -> None:
    alone = ("data.validation=", "loss.real_imaginary=0.0", "loss.magnitude=0.0", "loss.over_suppression=0.0")
    run = train.train(recipe(data, *alone, "train.steps=2"), tmp_path, quiet=True, device="cpu")
    assert run.outcome == tmp_path / "last.ckpt"
    assert run.outcome.is_file()
    assert [line["step"] for line in packing.history(tmp_path)] == [1, 2]
    resumed = train.train(recipe(data, *alone), tmp_path, resume=True, quiet=True, device="cpu")
    assert resumed.progress.step == 4


def test_averaged_weights_are_kept_and_packed(data: Path, tmp_path: Path) -> None:
    run = train.train(recipe(data, "train.ema=0.5"), tmp_path, quiet=True, device="cpu")
    best = checkpoint.read(tmp_path / "best.safetensors")
    assert set(best.weights) == set(checkpoint.from_model(run.model).weights)
    packed = packing.pack(tmp_path, tmp_path / "mine.safetensors", licence="MIT", data="buzzes")
    assert checkpoint.read(tmp_path / "mine.safetensors").card["data"] == "buzzes"
    assert f"{packed.card['scores']['si_sdr']:.3f}" in (tmp_path / "mine.md").read_text()


def test_training_goes_on_from_given_weights(data: Path, tmp_path: Path) -> None:
    first = train.train(recipe(data, "train.steps=2"), tmp_path / "a", quiet=True, device="cpu")
    start = f"train.init={tmp_path / 'a' / 'best.safetensors'}"
    second = Run.create(recipe(data, start), tmp_path / "b")
    kept = checkpoint.read(tmp_path / "a" / "best.safetensors").weights
    for name, value in checkpoint.from_model(second.model).weights.items():
        np.testing.assert_array_equal(value, kept[name])
    assert first.progress.step == 2
    with pytest.raises(ConfigError, match="another configuration"):
        Run.create(recipe(data, start, "model.input_exponent=1.0"), tmp_path / "c")


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
