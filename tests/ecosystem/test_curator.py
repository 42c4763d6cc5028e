"""NeMo Curator's own pipeline, reader, writer and Ray executor, with our stage between them."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from audio_trees import hiss, save, voice

import gtcrn
from gtcrn.cluster import connection
from gtcrn.errors import ConfigError, GtcrnError

pytest.importorskip("nemo_curator")

from nemo_curator.backends.ray_data import RayDataExecutor
from nemo_curator.pipeline import Pipeline
from nemo_curator.stages.audio.common import ManifestReader, ManifestWriterStage
from nemo_curator.tasks import AudioTask

from gtcrn.integrations import curator
from gtcrn.integrations.curator import GtcrnStage


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for n in range(3):
        save(tmp_path / f"in/{n}/talk.wav", voice(1.0, n))
    (tmp_path / "in/bad.wav").write_text("no audio")
    paths = [*sorted((tmp_path / "in").rglob("talk.wav")), tmp_path / "in/bad.wav"]
    rows = [{"audio_filepath": str(path), "duration": 1.0, "text": str(n)} for n, path in enumerate(paths)]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


@pytest.fixture
def _ray() -> Iterator[None]:
    with connection.connected(None, 3):
        yield


@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")  # Ray's own settings, by Ray
@pytest.mark.usefixtures("_ray")
def test_a_pipeline_of_curator_denoises_a_manifest(folder: Path) -> None:
    stages = [ManifestReader(str(folder / "in.jsonl")), GtcrnStage("clean", str(folder / "in"))]
    pipeline = Pipeline(name="denoise", stages=[*stages, ManifestWriterStage(str(folder / "out.jsonl"))])
    assert len(pipeline.run(RayDataExecutor()) or []) == 3
    rows = sorted(map(json.loads, Path("out.jsonl").read_text().splitlines()), key=lambda row: row["text"])
    assert [row["text"] for row in rows] == ["0", "1", "2"]
    for n, row in enumerate(rows):
        assert row["audio_filepath"] == str(folder / f"clean/{n}/talk.wav")
        expected = gtcrn.denoise_file(f"in/{n}/talk.wav", f"expected{n}.wav").path
        assert Path(row["audio_filepath"]).read_bytes() == expected.read_bytes()


def test_the_stage_keeps_the_highs_that_it_is_told_to_keep(folder: Path) -> None:
    save(folder / "in/high.wav", hiss(), 48_000)
    made = []
    for keep in (False, True):
        stage = GtcrnStage(f"clean {keep}", str(folder / "in"), keep_highs=keep)
        stage.setup()
        task = stage.process(AudioTask(data={"audio_filepath": "in/high.wav"}))
        expected = gtcrn.denoise_file("in/high.wav", f"expected {keep}.wav", keep_highs=keep).path
        assert task is not None
        made.append(Path(task.data["audio_filepath"]).read_bytes())
        assert made[-1] == expected.read_bytes()
    assert made[0] != made[1]


def test_a_task_outside_the_root_is_refused(folder: Path) -> None:
    stage = GtcrnStage("clean", str(folder / "elsewhere"))
    stage.setup()
    with pytest.raises(ConfigError, match="is not below the stage's input_root"):
        stage.process(AudioTask(data={"audio_filepath": "in/0/talk.wav"}))


def test_a_recording_of_several_tasks_is_denoised_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = denoised(monkeypatch)
    for run in range(1, 3):
        stage = GtcrnStage("clean", str(folder / "in"))
        stage.setup()
        for _ in range(3):
            task = stage.process(AudioTask(data={"audio_filepath": "in/0/talk.wav"}))
            assert task is not None
            assert task.data["audio_filepath"] == str(folder / "clean/0/talk.wav")
        assert len(made) == run  # an earlier run may have had other options
    (folder / "in/gone.wav").symlink_to("nowhere.wav")
    assert stage.process(AudioTask(data={"audio_filepath": "in/gone.wav"})) is None


def test_an_earlier_run_is_taken_where_that_is_asked_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gtcrn.denoise_file("in/0/talk.wav", "clean/0/talk.wav")
    made = denoised(monkeypatch)
    stage = GtcrnStage("clean", str(folder / "in"), skip_existing=True)
    stage.setup()
    assert stage.process(AudioTask(data={"audio_filepath": "in/0/talk.wav"}))
    assert made == []
    os.utime(folder / "in/0/talk.wav", (later := time.time() + 60, later))
    assert stage.process(AudioTask(data={"audio_filepath": "in/0/talk.wav"}))
    assert len(made) == 1
    same = GtcrnStage(str(folder / "in"), str(folder / "in"), skip_existing=True)
    same.setup()
    assert same.process(AudioTask(data={"audio_filepath": "in/1/talk.wav"})) is None  # refused, not taken for clean


def test_another_worker_may_be_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def late(source: str, target: str, *given: Any, **options: Any) -> None:
        if "talk" in source:
            gtcrn.denoise_file(source, target, *given, **options)
        raise GtcrnError(f"{target} was written by another process in the meantime; its file stays.")

    monkeypatch.setattr(curator, "denoise_file", late)
    stage = GtcrnStage("clean", str(folder / "in"))
    stage.setup()
    assert stage.process(AudioTask(data={"audio_filepath": "in/0/talk.wav"}))
    with pytest.raises(GtcrnError):
        stage.process(AudioTask(data={"audio_filepath": "in/bad.wav"}))


def denoised(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that stages denoise from now on."""
    made: list[str] = []

    def noted(source: str, *given: Any, **options: Any) -> object:
        made.append(source)
        return gtcrn.denoise_file(source, *given, **options)

    monkeypatch.setattr(curator, "denoise_file", noted)
    return made
