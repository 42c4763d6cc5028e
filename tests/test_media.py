"""Phone, film and browser files: sound denoised in its place to the sample, everything else as it was to the bit."""

import hashlib
import os
import re
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from streams import write_weights

from gtcrn.audio.formats import MEDIA
from gtcrn.cli.app import run
from gtcrn.types import Samples

av = pytest.importorskip("av")

SECONDS = 3
CLICKS = (0.5, 1.25, 2.6)  # seconds
KINDS = {  # a name, its video, its sound, its rate
    "talk.mp4": ("mpeg4", "aac", 44_100),
    "talk.mov": ("mpeg4", "aac", 48_000),
    "talk.mkv": ("mpeg4", "libopus", 48_000),
    "talk.webm": ("libvpx", "libopus", 48_000),
    "talk.3gp": ("mpeg4", "aac", 16_000),
    "memo.m4a": (None, "aac", 44_100),
    "memo.mka": (None, "flac", 32_000),
    "lossless.m4a": (None, "alac", 48_000),
}


def clicks(rate: int, channels: int = 1) -> Samples:
    """Short tones in a little noise at known times."""
    samples = np.random.default_rng(0).normal(0, 0.005, (channels, SECONDS * rate)).astype(np.float32)
    tone = 0.8 * np.sin(2 * np.pi * 2_000 * np.arange(rate // 200) / rate) * np.hanning(rate // 200)
    for second in CLICKS:
        samples[:, int(second * rate) : int(second * rate) + len(tone)] = tone
    return samples


def make(path: Path, video: str | None, codec: str, rate: int, start: float = 0.0, tracks: int = 1) -> Path:
    """A media file with two chapters, a title, a picture stream and clicks; made by the library, read by the same."""
    with av.open(str(path), "w", format=MEDIA[path.suffix]) as output:
        output.metadata["title"] = "My talk"
        pictures = output.add_stream(video, rate=25) if video else None
        if pictures:
            pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        sounds = [output.add_stream(codec, rate=rate, layout="stereo") for _ in range(tracks)]
        for sound in sounds:
            sound.bit_rate = 96_000
            sound.metadata["language"] = "deu"
        output.set_chapters(
            [{"id": n, "start": n * 1000, "end": n * 1000 + 1000, "time_base": Fraction(1, 1000),
              "metadata": {"title": f"Part {n}"}} for n in range(2)]
        )  # fmt: skip
        if pictures:
            for number in range(25 * SECONDS):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number * 3, np.uint8), format="rgb24")
                output.mux(pictures.encode(frame.reformat(format="yuv420p")))
            output.mux(pictures.encode(None))
        samples = clicks(rate, 2)
        for sound in sounds:
            for place in range(0, samples.shape[1], rate // 10):
                frame = av.AudioFrame.from_ndarray(samples[:, place : place + rate // 10].copy(), "fltp", "stereo")
                frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
                frame.pts = place + int(start * rate)
                output.mux(sound.encode(frame))
            output.mux(sound.encode(None))
    return path


def heard(path: Path, track: int = 0) -> tuple[Samples, int]:
    """The samples on the time line of the container, first channel, and their rate."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[track]
        line = np.zeros(stream.rate * (SECONDS + 2), np.float32)
        flat = av.AudioResampler(format="fltp", layout=stream.layout, rate=stream.rate)
        end = -1
        for frame in container.decode(stream):
            for piece in flat.resample(frame):
                if end < 0:  # then on and on: some containers round the times of later pieces to ms
                    end = round(piece.pts * piece.time_base * stream.rate)
                samples = piece.to_ndarray()[0]
                line[end : end + len(samples)] = samples
                end += len(samples)
        return line[:end], stream.rate


def times(path: Path, track: int = 0) -> list[int]:
    """Where the clicks begin, in samples."""
    return onsets(*heard(path, track))


def onsets(line: Samples, rate: int) -> list[int]:
    """Where the sound fits best to a click."""
    tone = clicks(rate)[0][int(0.5 * rate) : int(0.5 * rate) + rate // 200]
    fit = np.correlate(line, tone, "valid")
    return [int(np.argmax(fit[int((s - 0.2) * rate) : int((s + 0.3) * rate)])) + int((s - 0.2) * rate) for s in CLICKS]


def is_in_sync(path: Path, other: Path, track: int = 0) -> bool:
    """Whether clicks are at the same samples; what a lossy codec does to one of them may move its best fit by one."""
    shifts = np.subtract(times(path, track), times(other, track))
    return bool(np.median(shifts) == 0 and np.abs(shifts).max() <= 1)


def copied(path: Path) -> dict[int, str]:
    """A digest of each stream that is no sound, with the times of its packets."""
    digests: dict[int, Any] = {}
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.stream.type != "audio" and packet.size:
                entry = digests.setdefault(packet.stream.index, hashlib.sha256())
                entry.update(bytes(packet) + repr(float(packet.pts * packet.time_base)).encode())
        return {index: digest.hexdigest() for index, digest in digests.items()}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    os.rename(write_weights(folder), folder / "weights.safetensors")
    for name, (video, codec, rate) in KINDS.items():
        make(folder / name, video, codec, rate)
    return folder


def denoise(folder: Path, *arguments: Path | str) -> int:
    weights = str(folder / "weights.safetensors")
    return run(["denoise", *map(str, arguments), "--weights", weights, "--attenuation-limit", "0"])


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
