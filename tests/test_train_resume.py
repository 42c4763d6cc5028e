"""Runs that go on: after they ended or were killed, by the recipe as it is now, from given weights; else refused."""

import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import recipe, started, weights_of

from gtcrn import checkpoint
from gtcrn.errors import CheckpointError, ConfigError
from gtcrn_recipes.data.shards import locked
from gtcrn_recipes.training import packing
from gtcrn_recipes.training import trainer as train
from gtcrn_recipes.training.run_folder import Run
from gtcrn_recipes.training.teacher import Lesson


@pytest.mark.parametrize("optimizer", ["adamw", "soap"])
def test_a_resumed_run_equals_an_uninterrupted_one(
    optimizer: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = recipe(data, f"train.optimizer={optimizer}")
    whole = train.train(chosen, tmp_path / "whole", quiet=True, device="cpu")
    step = train.Trainer.step

    def stop_after_three(self: train.Trainer, mixture: Lesson) -> dict[str, torch.Tensor]:
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


def test_a_run_is_not_overwritten(data: Path, tmp_path: Path) -> None:
    train.train(recipe(data, "train.steps=2"), tmp_path, quiet=True, device="cpu")
    with pytest.raises(ConfigError, match="holds a run already"):
        train.train(recipe(data), tmp_path, quiet=True, device="cpu")


def test_a_folder_takes_one_run_at_a_time(data: Path, tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(ConfigError, match="another run is writing"):
        train.train(recipe(data), tmp_path, quiet=True, device="cpu")
    train.train(recipe(data), tmp_path, quiet=True, device="cpu")
    with locked(tmp_path), pytest.raises(ConfigError, match="another run is writing"):
        train.train(recipe(data), tmp_path, resume=True, quiet=True, device="cpu")


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


def test_resuming_with_another_network_is_refused(data: Path, tmp_path: Path) -> None:
    train.train(recipe(data, "train.steps=2"), tmp_path, quiet=True, device="cpu")
    for change in ("model.channels=8", "model.input_exponent=1.0", "model.dilations=[1, 2, 4]"):
        with pytest.raises(CheckpointError, match="another recipe"):
            train.train(recipe(data, change), tmp_path, resume=True, quiet=True, device="cpu")


def test_another_score_begins_its_own_search_for_the_best(data: Path, tmp_path: Path) -> None:
    """PESQ never reaches the decibels of the best so far."""
    cpu, full = torch.device("cpu"), {"si_sdr": 9.0, "pesq": 2.0}
    run = Run.create(recipe(data), tmp_path, cpu)
    run.keep(full)
    run.save()
    same, other = (Run.resumed(recipe(data, f"train.select={name}"), tmp_path, cpu) for name in ("si_sdr", "pesq"))
    same.keep({**full, "si_sdr": 8.0})
    assert checkpoint.read(run.outcome).card["scores"]["si_sdr"] == 9.0
    other.keep({**full, "si_sdr": 7.0})
    assert checkpoint.read(run.outcome).card["scores"]["si_sdr"] == 7.0


def test_weights_to_begin_with_are_not_needed_any_more(data: Path, tmp_path: Path) -> None:
    first = train.train(recipe(data, "train.steps=2"), tmp_path / "a", quiet=True, device="cpu")
    start = f"train.init={first.outcome}"
    train.train(recipe(data, start, "train.steps=2"), tmp_path / "b", quiet=True, device="cpu")
    first.outcome.unlink()
    assert train.train(recipe(data, start), tmp_path / "b", resume=True, quiet=True, device="cpu").progress.step == 4


def test_a_quiet_run_without_validation_is_recorded_and_resumes(data: Path, tmp_path: Path) -> None:
    alone = ("data.validation=", "loss.real_imaginary=0.0", "loss.magnitude=0.0", "loss.over_suppression=0.0")
    run = train.train(recipe(data, *alone, "train.steps=2"), tmp_path, quiet=True, device="cpu")
    assert run.outcome == tmp_path / "last.safetensors"
    assert checkpoint.read(run.outcome).card["step"] == 2
    assert [line["step"] for line in packing.history(tmp_path)] == [1, 2]
    resumed = train.train(recipe(data, *alone), tmp_path, resume=True, quiet=True, device="cpu")
    assert resumed.progress.step == 4


def test_training_goes_on_from_given_weights(data: Path, tmp_path: Path) -> None:
    first = train.train(recipe(data, "train.steps=2"), tmp_path / "a", quiet=True, device="cpu")
    start = f"train.init={tmp_path / 'a' / 'best.safetensors'}"
    second = Run.create(recipe(data, start), tmp_path / "b", torch.device("cpu"))
    kept = checkpoint.read(tmp_path / "a" / "best.safetensors").weights
    for name, value in checkpoint.from_model(second.model).weights.items():
        np.testing.assert_array_equal(value, kept[name])
    assert first.progress.step == 2
    with pytest.raises(ConfigError, match="another configuration"):
        Run.create(recipe(data, start, "model.input_exponent=1.0"), tmp_path / "c", torch.device("cpu"))
