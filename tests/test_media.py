"""Phone, film and browser files: sound denoised in its place to the sample, everything else as it was to the bit."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from films import KINDS, copied, denoise, films_in, heard, is_in_sync, make, onsets, times

from gtcrn.cli.app import run

av = pytest.importorskip("av")


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return films_in(tmp_path_factory.mktemp("films"))


@pytest.mark.parametrize("name", KINDS)
def test_sound_stays_in_its_place_to_the_sample_and_the_rest_to_the_bit(films: Path, tmp_path: Path, name: str) -> None:
    assert denoise(films, films / name, "-o", tmp_path / name) == 0
    assert is_in_sync(tmp_path / name, films / name)
    before, after = len(heard(films / name)[0]), len(heard(tmp_path / name)[0])
    assert abs(before - after) <= 1_024  # of padding at the end
    assert copied(tmp_path / name) == copied(films / name)
    with av.open(str(films / name)) as source, av.open(str(tmp_path / name)) as target:
        assert target.metadata.get("title") == source.metadata.get("title")
        titles = [[chapter["metadata"].get("title") for chapter in file.chapters()] for file in (source, target)]
        assert titles[0] == titles[1]
        ours, theirs = target.streams.audio[0], source.streams.audio[0]
        assert (ours.rate, ours.channels, ours.codec_context.name) == (theirs.rate, 2, theirs.codec_context.name)
        assert ours.metadata.get("language") == theirs.metadata.get("language")


@pytest.mark.parametrize("name", ["late.mp4", "late.mkv"])
def test_sound_that_begins_late_and_several_tracks_stay_where_they_are(films: Path, tmp_path: Path, name: str) -> None:
    codec = "libopus" if name.endswith("mkv") else "aac"
    make(tmp_path / name, "mpeg4", codec, 48_000, start=0.25, tracks=2)
    assert denoise(films, tmp_path / name, "-o", tmp_path / f"out.{name}") == 0
    for track in (0, 1):
        assert is_in_sync(tmp_path / f"out.{name}", tmp_path / name, track)


@pytest.mark.parametrize("name", KINDS)
def test_info_tells_about_how_long_a_film_is(films: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", str(films / name)]) == 0
    told = re.search(r"^length +about (\d+\.\d\d) s$", capsys.readouterr().out, re.MULTILINE)
    samples, rate = heard(films / name)
    assert told
    assert float(told[1]) == pytest.approx(len(samples) / rate, abs=0.3)  # the picture may be longer


def test_noise_goes(films: Path, tmp_path: Path) -> None:
    weights = str(films / "weights.safetensors")
    assert run(["denoise", str(films / "talk.mp4"), "-o", str(tmp_path / "a.mp4"), "--weights", weights]) == 0
    assert not np.allclose(heard(tmp_path / "a.mp4")[0], heard(films / "talk.mp4")[0], atol=0.1)


@pytest.mark.parametrize(("name", "suffix"), [("memo.m4a", ".wav"), ("talk.webm", ".flac"), ("talk.mp4", ".mp3")])
def test_to_audio_files_and_back(films: Path, tmp_path: Path, name: str, suffix: str) -> None:
    middle = tmp_path / f"a{suffix}"
    assert denoise(films, films / name, "-o", middle) == 0
    found, rate = soundfile.read(middle)
    slack = 1_200 if suffix == ".mp3" else 0
    shifts = np.subtract(onsets(found[:, 0], rate), times(films / name))
    assert np.abs(shifts).max() <= slack
    assert denoise(films, middle, "-o", tmp_path / name) == 0
    assert abs(times(tmp_path / name)[0] - times(films / name)[0]) <= slack


def test_a_memo_gets_a_name_beside_it(films: Path, tmp_path: Path) -> None:
    (tmp_path / "memo.m4a").write_bytes((films / "memo.m4a").read_bytes())
    assert denoise(films, tmp_path / "memo.m4a") == 0
    assert sorted(os.listdir(tmp_path)) == ["memo.denoised.m4a", "memo.m4a"]


def test_a_folder_takes_them_in_and_says_what_it_left_out(
    films: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "memo.m4a").write_bytes((films / "memo.m4a").read_bytes())
    (tmp_path / "in" / "notes.txt").write_text("x")
    assert denoise(films, tmp_path / "in", "-o", tmp_path / "out") == 0
    assert os.listdir(tmp_path / "out") == ["memo.m4a"]
    assert "left out, not audio by their names or not to be read: " in (said := capfd.readouterr().err)
    assert "notes.txt" in said


def test_a_folder_that_may_not_be_read_is_told(
    films: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever runs the tests as root may read everything: the system's answer is made up."""
    (tmp_path / "in" / "closed").mkdir(parents=True)
    (tmp_path / "in" / "memo.m4a").write_bytes((films / "memo.m4a").read_bytes())
    monkeypatch.setattr("gtcrn.plan.os.access", lambda path, mode: Path(path).name != "closed")
    assert denoise(films, tmp_path / "in", "-o", tmp_path / "out") == 0
    assert str(tmp_path / "in" / "closed") in capfd.readouterr().err


def test_bit_rate(films: Path, tmp_path: Path) -> None:
    sizes = {}
    for rate in ("32k", "192k"):
        target = tmp_path / f"{rate}.m4a"
        assert denoise(films, films / "memo.m4a", "-o", target, "--bitrate", rate) == 0
        with av.open(str(target)) as container:
            sizes[rate] = sum(packet.size for packet in container.demux(audio=0))
    assert sizes["32k"] < 0.6 * sizes["192k"]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [(b"\0\0\0\x18ftypmp42" + bytes(5_000), "cannot be read"), (b"\x1a\x45\xdf\xa3" * 500, "cannot be read")],
)
def test_damaged_files_are_a_sentence(
    films: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], data: bytes, sentence: str
) -> None:
    (tmp_path / "bad.mp4").write_bytes(data)
    assert denoise(films, tmp_path / "bad.mp4", "-o", tmp_path / "out.mp4") == 2
    said = capfd.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert os.listdir(tmp_path) == ["bad.mp4"]


def test_a_film_without_sound_is_told(films: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with av.open(str(tmp_path / "mute.mp4"), "w") as output:
        pictures = output.add_stream("mpeg4", rate=25)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        output.mux(pictures.encode(av.VideoFrame(64, 48, "yuv420p")))
        output.mux(pictures.encode(None))
    assert denoise(films, tmp_path / "mute.mp4") == 2
    assert "holds no sound" in capfd.readouterr().err


def test_without_the_extra_the_sentence_says_what_to_install(films: Path, tmp_path: Path) -> None:
    (tmp_path / "av.py").write_text("raise ModuleNotFoundError('hidden', name='av')")
    command = [sys.executable, "-m", "gtcrn", "denoise", str(films / "memo.m4a"), "-o", str(tmp_path / "a.wav")]
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert result.returncode == 2
    assert result.stderr == f"gtcrn: {films / 'memo.m4a'} needs the package av: pip install 'gtcrn[media]'.\n"
    assert not Path(tmp_path / "a.wav").exists()
