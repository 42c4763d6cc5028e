"""What comes out of a corpus is read by the field's own packages: lhotse, datasets, webdataset."""

from pathlib import Path

import numpy as np
import pytest
from audio_trees import save, voice
from streams import random_denoiser

from gtcrn.cluster.items import Corpus, Item
from gtcrn.cluster.work import denoise_item
from gtcrn.outcome import DenoiseOptions


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for n in range(3):
        save(tmp_path / f"data/{n}.wav", voice(1.0, n))
    return tmp_path


def denoise(source: str, target: str) -> None:
    assert denoise_item(random_denoiser(), DenoiseOptions(), Item(source, target))[-1].error is None


def denoise_list(name: str) -> None:
    corpus = Corpus([name], "out")
    for item in corpus.items(corpus.claims(set())):
        denoise(item.source, item.target)
    target, renamed = corpus.rewritten(corpus.lists[0], lambda source: True)
    corpus.lists[0].rewrite(target, renamed)


@pytest.mark.parametrize("name", ["recordings.jsonl.gz", "cuts.jsonl.gz"])
def test_lhotse_reads_the_list_of_the_outputs(folder: Path, name: str) -> None:
    lhotse = pytest.importorskip("lhotse")
    recordings = lhotse.RecordingSet.from_dir(folder / "data", "*.wav")
    cuts = lhotse.CutSet.from_manifests(recordings=recordings).cut_into_windows(0.5)
    (recordings if name.startswith("rec") else cuts).to_file(name)
    denoise_list(name)
    found = lhotse.load_manifest(f"out/{name}")
    assert len(found) == (3 if name.startswith("rec") else 6)
    for one, before in zip(found, recordings if name.startswith("rec") else cuts, strict=True):
        clean, noisy = one.load_audio(), before.load_audio()
        assert (one.id, one.duration, clean.shape) == (before.id, before.duration, noisy.shape)
        assert not np.array_equal(clean, noisy)


def test_datasets_reads_a_shard(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    made = datasets.Dataset.from_dict({"audio": [f"data/{n}.wav" for n in range(3)], "text": ["a", "b", "c"]})
    made = made.cast_column("audio", datasets.Audio(decode=False))
    made.to_parquet("s.parquet")
    denoise("s.parquet", "out/s.parquet")
    found = datasets.Dataset.from_parquet("out/s.parquet", cache_dir=str(folder / "cache"))
    assert found.features == made.features
    assert found["text"][:] == ["a", "b", "c"]
    denoise("data/0.wav", "out/0.wav")
    assert found[0]["audio"]["bytes"] == Path("out/0.wav").read_bytes()


@pytest.mark.filterwarnings("ignore:.*FileIO:pytest.PytestUnraisableExceptionWarning")  # webdataset leaves it open
def test_webdataset_writes_and_reads_a_shard(folder: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    with webdataset.TarWriter("s.tar") as writer:
        for n in range(3):
            data = Path(f"data/{n}.wav").read_bytes()
            writer.write({"__key__": f"{n:03}", "wav": data, "json": {"n": n}})
    denoise("s.tar", "out/s.tar")
    denoise("data/1.wav", "out/1.wav")
    found = list(webdataset.WebDataset("out/s.tar", shardshuffle=False).decode())
    assert [(row["__key__"], row["json"]) for row in found] == [(f"{n:03}", {"n": n}) for n in range(3)]
    assert bytes(found[1]["wav"]) == Path("out/1.wav").read_bytes()
