"""The data set as training sees it."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from audio_trees import hiss, plain_tree, save, voice

from gtcrn.errors import ConfigError
from gtcrn_recipes.data.corpora import by_pattern, plain
from gtcrn_recipes.data.dataset import ClipStore, PairSet
from gtcrn_recipes.data.prepare import gather, prepare


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two data sets of speech, one of noise, three pairs."""
    tree = plain_tree(tmp_path_factory.mktemp("in"), speakers=2)
    save(tree / "speech/setB/s07-0.wav", voice(1.0, seed=70))
    for name in ("c", "a", "b"):
        save(tree / f"valid/noisy/{name}.wav", voice() + hiss())
        save(tree / f"valid/clean/{name}.wav", voice())
    out = tmp_path_factory.mktemp("out")
    prepare(out, plain([tree / "speech"], [tree / "noise"], speaker=by_pattern(r"s\d\d")))
    prepare(out, gather("", None, [], [], [], [tree / "valid"]))
    return out


def test_parts_of_a_clip(data: Path) -> None:
    store = ClipStore.open(data, "speech")
    whole = store.read(2)
    np.testing.assert_array_equal(store.read(2, 100, 50), whole[100:150])
    np.testing.assert_array_equal(store.read(2, 12_700, 500), whole[12_700:])
    assert len(store.read(2, 20_000, 5)) == 0


def test_a_role_held_in_memory_is_the_role_on_disk(data: Path) -> None:
    store = ClipStore.open(data, "speech")
    samples, starts = store.concatenate()
    assert len(samples) == round(store.seconds * 16_000)
    for clip, start in enumerate(starts):
        np.testing.assert_array_equal(samples[start : start + store.clips["samples"][clip]], store.read(clip))


def test_data_sets_can_be_left_out(data: Path) -> None:
    assert set(ClipStore.open(data, "speech").sets) == {"setA", "setB"}
    only, without = ClipStore.open(data, "speech", include=["setB"]), ClipStore.open(data, "speech", exclude=["setB"])
    assert (only.sets, set(without.sets)) == (["setB"], {"setA"})
    assert [only.speakers[i] for i in only.clips["speaker"]] == ["setB/s07"]
    np.testing.assert_array_equal(only.read(0), ClipStore.open(data, "speech").read(len(without)))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"exclude": ["setC"]}, "no data set 'setC'; it has setA, setB"),
        ({"exclude": ["setA", "setB"]}, "holds no clips of the split 'train'"),
        ({"split": "valid"}, "holds no clips of the split 'valid'"),
    ],
)
def test_choices_that_leave_nothing_are_told(data: Path, options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        ClipStore.open(data, "speech", **options)  # type: ignore[arg-type]


def test_nothing_prepared_is_told(data: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing prepared in .*rir; run gtcrn prepare"):
        ClipStore.open(data, "rir")
    with pytest.raises(ConfigError, match=r"nothing prepared in .*pairs.test"):
        PairSet.open(data, "test")


def test_a_store_travels_to_another_process(data: Path) -> None:
    store = ClipStore.open(data, "noise")
    samples = store.read(1)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(store)).read(1), samples)


def test_a_shard_that_was_cut_is_told(data: Path, tmp_path: Path) -> None:
    (tmp_path / "noise").mkdir()
    (tmp_path / "noise/index.csv").write_bytes((data / "noise/index.csv").read_bytes())
    (tmp_path / "noise/0000.pcm").write_bytes((data / "noise/0000.pcm").read_bytes()[:1000])
    with pytest.raises(ConfigError, match="shorter than its index says"):
        ClipStore.open(tmp_path, "noise").read(0)


def test_pairs_come_in_order_and_aligned(data: Path) -> None:
    pairs = PairSet.open(data, "valid")
    assert [pair.name for pair in pairs] == ["a", "b", "c"]
    for pair in pairs:
        np.testing.assert_allclose(pair.clean, voice(), atol=1 / 32768)
        np.testing.assert_allclose(pair.noisy, voice() + hiss(), atol=1 / 32768)
        assert np.isnan(pair.snr_db)
