"""Draws depend on seed, step and number only; every memory mode gives the same audio; data sets can be left out."""

import numpy as np
import pytest
import torch
from tiny_data import make_data

from gtcrn.errors import ConfigError
from gtcrn_recipes.data.loader import Prefetcher, Source, draw_generator, named
from gtcrn_recipes.settings import DataSettings

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> DataSettings:
    return DataSettings(root=str(make_data(tmp_path_factory.mktemp("tiny"))), segment_seconds=0.5, rir_seconds=0.25)


@pytest.mark.parametrize("memory", ["mapped", "device"])
def test_memory_modes_give_the_same_audio(settings: DataSettings, memory: str) -> None:
    host, other = (Source(settings.model_copy(update={"memory": m}), CPU) for m in ("host", memory))
    for step in range(5):
        a, b = (source.draw(4, draw_generator(1, step, 0)) for source in (host, other))
        assert [t.shape for t in a] == [(4, 8000), (4, 2, 8000), (4, 4000)]
        for x, y in zip(a, b, strict=True):
            assert torch.equal(x, y)


def test_items_run_on_into_the_next_clip(settings: DataSettings) -> None:
    """Items longer than a clip (2 s) are drawn alike from memory and from disk."""
    long = settings.model_copy(update={"segment_seconds": 5.0})
    a, b = (
        Source(long.model_copy(update={"memory": m}), CPU).draw(3, draw_generator(1, 0, 0)) for m in ("host", "mapped")
    )
    assert torch.equal(a.speech, b.speech)


def test_prefetching_from_a_step_equals_skipping_to_it(settings: DataSettings) -> None:
    source = Source(settings, CPU)
    loaders = [Prefetcher(source, 2, seed=3, draws=[0, 1], first_step=step) for step in (0, 2)]
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
    source = Source(settings, CPU)
    source.samples = 10**9
    loader = Prefetcher(source, 2, seed=3, draws=[0], first_step=0)
    with pytest.raises(ConfigError, match="less than one item"):
        next(iter(loader))
    loader.close()


def test_data_sets_are_chosen_by_role_and_name(settings: DataSettings) -> None:
    assert named(("speech/emodb", "noise/esc10"), "speech") == ["emodb"]
    assert named(("speech/emodb",), "noise") is None
    with pytest.raises(ConfigError, match="tiny"):
        Source(settings.model_copy(update={"exclude": ("noise/tiny",)}), CPU)
    with pytest.raises(ConfigError, match="esc10"):
        Source(settings.model_copy(update={"exclude": ("noise/esc10",)}), CPU)


def test_rooms_are_padded_with_silence(settings: DataSettings) -> None:
    rooms = Source(settings, CPU).draw(3, np.random.default_rng(0)).rir
    assert (rooms[:, 0].abs() > 20_000).all()  # the direct sound
    assert (rooms[:, 2001:] == 0).all()
