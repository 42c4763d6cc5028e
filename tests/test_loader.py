"""Draws depend on seed, step and number only; every memory mode gives the same audio; data sets can be left out."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tiny_data import make_data

from gtcrn.errors import ConfigError
from gtcrn_recipes.data import loader
from gtcrn_recipes.data.drawing import cross_fade
from gtcrn_recipes.data.loader import Items, ItemSource, Prefetcher, draw_generator, named
from gtcrn_recipes.data.shards import CLIP_FIELDS, ShardWriter
from gtcrn_recipes.settings import Balance, DataSettings, Drawing

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> DataSettings:
    return DataSettings(root=str(make_data(tmp_path_factory.mktemp("tiny"))), segment_seconds=0.5, rir_seconds=0.25)


@pytest.mark.parametrize("memory", ["mapped", "device"])
def test_memory_modes_give_the_same_audio(settings: DataSettings, memory: str) -> None:
    host, other = (ItemSource(settings.model_copy(update={"memory": m}), CPU) for m in ("host", memory))
    for step in range(5):
        a, b = (source.draw(4, draw_generator(1, step, 0)) for source in (host, other))
        assert [t.shape for t in a] == [(4, 8000), (4, 2, 8000), (4, 4000)]
        for x, y in zip(a, b, strict=True):
            assert torch.equal(x, y)


def test_items_run_on_into_the_next_clip(settings: DataSettings) -> None:
    """Items longer than a clip (2 s) are drawn alike from memory and from disk."""
    long = settings.model_copy(update={"segment_seconds": 5.0})
    a, b = (
        ItemSource(long.model_copy(update={"memory": m}), CPU).draw(3, draw_generator(1, 0, 0))
        for m in ("host", "mapped")
    )
    assert torch.equal(a.speech, b.speech)


def as_drawn(step: int, items: list[Items]) -> list[Items]:
    return items


def test_prefetching_from_a_step_equals_skipping_to_it(settings: DataSettings) -> None:
    source = ItemSource(settings, CPU)
    loaders = [Prefetcher(source, 2, seed=3, draws=[0, 1], first_step=step, prepare=as_drawn) for step in (0, 2)]
    try:
        early, late = (iter(loader) for loader in loaders)
        skipped = [next(early) for _ in range(3)][2]
        for a, b in zip(skipped, next(late), strict=True):
            assert torch.equal(a.speech, b.speech)
            assert torch.equal(a.noise, b.noise)
        assert not torch.equal(skipped[0].speech, skipped[1].speech)
    finally:
        for loader in loaders:
            loader.close()


def test_an_error_in_the_thread_reaches_the_loop(settings: DataSettings) -> None:
    source = ItemSource(settings, CPU)
    source.samples = 10**9
    loader = Prefetcher(source, 2, seed=3, draws=[0], first_step=0, prepare=as_drawn)
    with pytest.raises(ConfigError, match="less than one item"):
        next(iter(loader))
    loader.close()


def test_batches_are_prepared_in_the_thread_for_their_step(settings: DataSettings) -> None:
    def prepare(step: int, items: list[Items]) -> tuple[int, int, int]:
        return step, len(items), threading.get_ident()

    loader = Prefetcher(ItemSource(settings, CPU), 2, seed=3, draws=[0, 1], first_step=5, prepare=prepare)
    try:
        batches = iter(loader)
        found = [next(batches) for _ in range(3)]
    finally:
        loader.close()
    assert [batch[:2] for batch in found] == [(5, 2), (6, 2), (7, 2)]
    assert threading.get_ident() not in {batch[2] for batch in found}


def test_data_sets_are_chosen_by_role_and_name(settings: DataSettings) -> None:
    assert named(("speech/emodb", "noise/esc10"), "speech") == ["emodb"]
    assert named(("speech/emodb",), "noise") is None
    with pytest.raises(ConfigError, match="tiny"):
        ItemSource(settings.model_copy(update={"exclude": ("noise/tiny",)}), CPU)
    with pytest.raises(ConfigError, match="esc10"):
        ItemSource(settings.model_copy(update={"exclude": ("noise/esc10",)}), CPU)


def test_rooms_are_padded_with_silence(settings: DataSettings) -> None:
    rooms = ItemSource(settings, CPU).draw(3, np.random.default_rng(0)).rir
    assert (rooms[:, 0].abs() > 20_000).all()  # the direct sound
    assert (rooms[:, 2001:] == 0).all()


# which audio: by seconds, by group, by data set; from one clip or several


def stored(root: Path, role: str, clips: list[tuple[str, str, int, int]]) -> None:
    """A role of a data set: (set, group, length, value of every sample) of each clip."""
    with ShardWriter(root / role, CLIP_FIELDS) as writer:
        for number, (name, group, samples, value) in enumerate(clips):
            row = {"samples": samples, "set": name, "speaker": group, "split": "train", "path": number}
            writer.add(np.full(samples, value, np.int16), row)


@pytest.fixture
def uneven(tmp_path: Path) -> DataSettings:
    """Set a: one speaker of 90 s, value 1. Set b: nine of 1 s each, 10 to 18, and two clips of one speaker, 20, 21."""
    small = [("b", f"b/s{n}", 16_000, 10 + n) for n in range(9)]
    stored(tmp_path, "speech", [("a", "a/s", 90 * 16_000, 1), *small, ("b", "b/t", 8000, 20), ("b", "b/t", 8000, 21)])
    stored(tmp_path, "noise", [("n", "n/1", 90_000, 5)])
    stored(tmp_path, "rir", [("real", "real/1", 100, 7), *[("made", f"made/{n}", 100, 8) for n in range(9)]])
    return DataSettings(root=str(tmp_path), segment_seconds=0.1, rir_seconds=0.01)


def first_samples(settings: DataSettings, role: str, items: int = 2000) -> NDArray[np.float32]:
    items_drawn = ItemSource(settings, CPU).draw(items, draw_generator(1, 0, 0))
    return np.asarray(getattr(items_drawn, role)[:, 0])


@pytest.mark.parametrize(
    ("balance", "share"),
    [
        ({}, 90 / 100),
        ({"by_group": 1.0}, 1 / 11),
        ({"by_set": 1.0}, 1 / 2),
        ({"by_group": 0.5, "by_set": 0.25}, 0.5 / 11 + 0.25 / 2 + 0.25 * 0.9),
    ],
)
def test_the_balance_of_the_draws(uneven: DataSettings, balance: dict[str, float], share: float) -> None:
    for memory in ("host", "mapped"):
        settings = uneven.model_copy(update={"speech": Drawing(**balance), "memory": memory})
        assert (first_samples(settings, "speech") == 1).mean() == pytest.approx(share, abs=0.03)


def test_rooms_are_balanced_too(uneven: DataSettings) -> None:
    assert (first_samples(uneven, "rir") == 7).mean() == pytest.approx(0.1, abs=0.03)
    by_set = uneven.model_copy(update={"rir": Balance(by_set=1.0)})
    assert (first_samples(by_set, "rir") == 7).mean() == pytest.approx(0.5, abs=0.04)


@pytest.mark.parametrize("memory", ["host", "mapped", "device"])
def test_joined_items_stay_with_their_speaker(uneven: DataSettings, memory: str) -> None:
    """Items of 1.5 s of speakers of 1 s: never a sample of another, and both clips of the one who has two."""
    drawing = Drawing(by_group=1.0, join=1.0, join_fade_ms=0.0)
    settings = uneven.model_copy(update={"speech": drawing, "memory": memory, "segment_seconds": 1.5})
    speech = ItemSource(settings, CPU).draw(200, draw_generator(1, 0, 0)).speech.cpu().numpy()
    heard = {tuple(np.unique(row)) for row in speech}
    assert heard == {(1,), (20, 21), *((10 + n,) for n in range(9))}


def test_a_cross_fade_keeps_the_power_of_noise_and_the_length() -> None:
    a, b = torch.randn(2, 400, 1000, generator=torch.Generator().manual_seed(0))
    joined = torch.stack([cross_fade(x, y, 200) for x, y in zip(a, b, strict=True)])
    assert joined.shape[1] == 1800
    assert joined[:, 800:1000].square().mean() == pytest.approx(1.0, abs=0.05)
    assert torch.equal(joined[:, :800], a[:, :800])
    assert torch.equal(joined[:, 1000:], b[:, 200:])
    assert len(cross_fade(torch.ones(3), torch.ones(1), 100)) == 4


def test_a_large_role_is_read_from_disk_unless_asked_otherwise(
    settings: DataSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same draws, and the audio is not held."""
    held = ItemSource(settings, CPU)
    monkeypatch.setattr(loader, "HELD_BYTES", 1000)
    bounded, asked = ItemSource(settings, CPU), ItemSource(settings.model_copy(update={"memory": "host"}), CPU)
    assert [source.speech.mapped for source in (held, bounded, asked)] == [False, True, False]
    assert "read from disk" in bounded.where
    assert not hasattr(bounded.speech, "audio")
    for a, b in zip(*(source.draw(3, draw_generator(1, 0, 0)) for source in (held, bounded)), strict=True):
        assert torch.equal(a, b)
