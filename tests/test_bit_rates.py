"""Compressed files keep their bit rate, or get the one that is asked for; odd codecs of WAV are read."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from streams import noise, random_denoiser, write_weights

import gtcrn
from gtcrn.audio.files import Reader
from gtcrn.audio.formats import AudioFormat, target_format
from gtcrn.audio.tags.values import Picture, Tags
from gtcrn.audio.writer import Writer
from gtcrn.cli.app import run

COVER = Picture(b"\xff\xd8\xff\xe0" + bytes(100_000), "image/jpeg")
SECONDS = 4


def compressed(path: Path, bit_rate: int, rate: int = 48_000, channels: int = 1, tags: Tags | None = None) -> Path:
    form = target_format(AudioFormat(rate, channels, "WAV", "PCM_16"), path.suffix)
    with Writer(path, form, tags, bit_rate) as writer:
        writer.write(noise(SECONDS * rate, channels))
    return path


def measured(path: Path) -> float:
    """Bits a second of the sound, or what Vorbis says it should be."""
    with Reader(path) as reader:
        return float(reader.bit_rate() or 0)


@pytest.mark.parametrize("suffix", [".mp3", ".opus", ".ogg"])
@pytest.mark.parametrize("bit_rate", [64_000, 96_000, 160_000])
def test_it_stays_as_the_input_s(tmp_path: Path, suffix: str, bit_rate: int) -> None:
    source = compressed(tmp_path / f"a{suffix}", bit_rate, tags=Tags({}, (COVER,)))
    assert measured(source) == pytest.approx(bit_rate, rel=0.2)  # Opus spends more on noise
    gtcrn.denoise_file(source, tmp_path / f"b{suffix}", random_denoiser(), attenuation_limit=0)
    assert measured(tmp_path / f"b{suffix}") == pytest.approx(measured(source), rel=0.2)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100])
def test_at_other_sample_rates(tmp_path: Path, rate: int) -> None:
    source = compressed(tmp_path / "a.mp3", 24_000 if rate < 16_000 else 48_000, rate)
    gtcrn.denoise_file(source, tmp_path / "b.mp3", random_denoiser())
    assert measured(tmp_path / "b.mp3") == pytest.approx(measured(source), rel=0.05)


def test_other_programs_find_the_bit_rate_that_was_asked_for(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    source = compressed(tmp_path / "a.mp3", 128_000)
    options = ["--bitrate", "64k", "--weights", str(write_weights(tmp_path))]
    for suffix in (".mp3", ".ogg"):
        assert run(["denoise", str(source), "-o", str(tmp_path / f"b{suffix}"), *options]) == 0
        with av.open(str(tmp_path / f"b{suffix}")) as container:
            assert container.streams.audio[0].bit_rate == pytest.approx(64_000, rel=0.08)


@pytest.mark.parametrize(("source", "target"), [("a.m4a", "b.mp3"), ("a.mp3", "b.m4a")])
def test_it_stays_across_phones_memos(tmp_path: Path, source: str, target: str) -> None:
    pytest.importorskip("av")
    made = compressed(tmp_path / "x.mp3", 64_000)
    gtcrn.denoise_file(made, tmp_path / source, random_denoiser(), bit_rate=64_000, attenuation_limit=0)
    gtcrn.denoise_file(tmp_path / source, tmp_path / target, random_denoiser(), attenuation_limit=0)
    assert 8 * (tmp_path / target).stat().st_size / SECONDS == pytest.approx(64_000, rel=0.15)


def test_what_loses_nothing_has_none(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "a.wav", noise(16_000), 16_000)
    options = ["--bitrate", "64k", "--weights", str(write_weights(tmp_path))]
    assert run(["denoise", str(tmp_path / "a.wav"), "-o", str(tmp_path / "b.flac"), *options]) == 2
    said = capfd.readouterr().err
    assert said.endswith("--bitrate is for MP3, Ogg, M4A and the like; FLAC PCM_16 has none.\n")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("subtype", "rate", "channels"),
    [("IMA_ADPCM", 16_000, 1), ("IMA_ADPCM", 44_100, 2), ("MS_ADPCM", 22_050, 2), ("GSM610", 8_000, 1)],
)
def test_adpcm_and_gsm_are_read_and_become_16_bits(tmp_path: Path, subtype: str, rate: int, channels: int) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(rate) / rate)
    soundfile.write(tmp_path / "a.wav", np.stack([tone] * channels, 1), rate, subtype=subtype)
    weights = str(write_weights(tmp_path))
    target = tmp_path / "b.wav"
    options = ["--weights", weights, "--attenuation-limit", "0"]
    assert run(["denoise", str(tmp_path / "a.wav"), "-o", str(target), *options]) == 0
    found, info = soundfile.read(target, always_2d=True)[0], soundfile.info(target)
    assert (info.samplerate, info.channels, info.subtype) == (rate, channels, "PCM_16")
    assert info.frames == soundfile.info(tmp_path / "a.wav").frames
    assert np.corrcoef(found[:rate, 0], tone[: len(found)])[0, 1] > 0.98


def test_words_of_libmpg123_never_reach_the_terminal(tmp_path: Path) -> None:
    data = compressed(tmp_path / "a.mp3", 64_000).read_bytes()
    (tmp_path / "a.mp3").write_bytes(data[:-9_000])
    script = f"import soundfile; soundfile.read({str(tmp_path / 'a.mp3')!r})"
    assert b"Xing" in subprocess.run([sys.executable, "-c", script], capture_output=True).stderr
    command = [sys.executable, "-m", "gtcrn", "denoise", str(tmp_path / "a.mp3"), "-o", str(tmp_path / "b.mp3")]
    for arguments in (command, [sys.executable, "-m", "gtcrn", "info", str(tmp_path / "a.mp3")]):
        process = subprocess.run(arguments, capture_output=True, text=True)
        assert process.returncode == 0
        assert all(line.startswith("gtcrn: ") for line in process.stderr.splitlines())


def test_a_stream_of_mp3_frames_in_memory_has_no_path_to_measure() -> None:
    file = io.BytesIO()
    soundfile.write(file, noise(48_000), 48_000, format="MP3")
    file.seek(0)
    with Reader(file) as reader:
        assert reader.bit_rate() is None
