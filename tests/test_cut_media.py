"""Phone and film files that break off or are damaged, come through a pipe, or have a codec in an odd place."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from commands import GTCRN
from films import denoise, films_in, heard, is_in_sync, make

from gtcrn.audio.media import open_audio
from gtcrn.cli.app import run
from gtcrn.types import Samples

av = pytest.importorskip("av")

CUT = {  # how it is told
    "talk.mkv": "talk.mkv is truncated: 1.8 s are left of 3.0 s",
    "talk.webm": "talk.webm is truncated: 1.8 s are left of 3.0 s",
    "bare.aac": "bare.aac is damaged or truncated: 1 packet of its sound cannot be decoded",
}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = films_in(tmp_path_factory.mktemp("films"), ("talk.mkv", "talk.webm", "memo.m4a"))
    make(folder / "bare.aac", None, "aac", 44_100)
    return folder


@pytest.fixture(params=CUT)
def cut(request: pytest.FixtureRequest, films: Path, tmp_path: Path) -> Path:
    """A file that is there to six tenths."""
    data, path = (films / request.param).read_bytes(), tmp_path / str(request.param)
    path.write_bytes(data[: int(0.6 * len(data))])
    return path


def test_they_are_read_as_far_as_they_go_with_a_remark(
    films: Path, cut: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = len(heard(films / cut.name)[0])
    for target in ("out.wav", f"out{cut.suffix}"):
        assert denoise(films, cut, "-o", cut.with_name(target)) == 0
        said = capfd.readouterr().err.splitlines()
        assert said[0] == f"gtcrn: {cut.parent}/{CUT[cut.name]}; it is read as far as it goes."
        assert len(said) == 2
        assert 0.4 * whole < len(heard(cut.with_name(target))[0]) < 0.8 * whole


def test_strict_refuses_them(films: Path, cut: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for target in ("out.wav", f"out{cut.suffix}"):
        assert denoise(films, cut, "-o", cut.with_name(target), "--strict") == 2
        assert capfd.readouterr().err.count("\n") == 1
        assert denoise(films, films / cut.name, "-o", cut.with_name(f"whole.{target}"), "--strict") == 0
        assert capfd.readouterr().err.count("\n") == 1
        assert not cut.with_name(target).exists()


def test_damage_in_the_middle_becomes_silence_and_the_rest_stays_in_its_place(films: Path, tmp_path: Path) -> None:
    data = bytearray((films / "memo.m4a").read_bytes())
    with av.open(str(films / "memo.m4a")) as container:
        hurt = [
            packet for packet in container.demux(audio=0) if packet.size and 1.0 < float(packet.pts / 44_100) < 1.025
        ]
    for packet in hurt:
        data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    (tmp_path / "memo.m4a").write_bytes(data)
    assert denoise(films, tmp_path / "memo.m4a", "-o", tmp_path / "out.wav") == 0
    found = soundfile.read(tmp_path / "out.wav", dtype="float32")[0][:, 0]
    whole = heard(films / "memo.m4a")[0]
    assert abs(len(found) - len(whole)) <= 1_024
    place = slice(int(1.2 * 44_100), int(2.8 * 44_100))
    np.testing.assert_allclose(found[place], whole[place], atol=0.02)  # the codec makes its noise as it goes
    assert np.count_nonzero(found[44_100 : int(1.1 * 44_100)] == 0) >= 1_024  # a packet


def samples_of(path: Path) -> Samples:
    with open_audio(path) as reader:
        samples: Samples = np.concatenate(list(reader.blocks()), axis=1)[0]
    return samples


@pytest.mark.parametrize("start", [0.0, 20.0])
def test_recordings_put_one_behind_the_other_are_all_heard(films: Path, tmp_path: Path, start: float) -> None:
    first = make(tmp_path / "a.ts", None, "aac", 48_000, start)
    second = make(tmp_path / "b.ts", None, "aac", 48_000)
    alone = np.concatenate([samples_of(first), samples_of(second)])
    (tmp_path / "both.ts").write_bytes(first.read_bytes() + second.read_bytes())
    for target in ("out.wav", "out.ts"):
        assert denoise(films, tmp_path / "both.ts", "-o", tmp_path / target) == 0
        found = samples_of(tmp_path / target)
        assert abs(len(found) - len(alone)) <= 2 * 1_024  # of padding, and what the encoder begins with
        assert abs(int(np.flatnonzero(abs(found) > 0.5)[-1]) - int(np.flatnonzero(abs(alone) > 0.5)[-1])) <= 1_100


@pytest.mark.parametrize(("limit", "container"), [(500_000, "RF64"), (600_000, "WAV")])
def test_a_film_that_is_too_long_for_wav_becomes_rf64(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, container: str
) -> None:
    monkeypatch.setattr("gtcrn.audio.formats.LARGEST_32", limit)  # bytes; the film has 2 * 2 * 3 * 44,100
    assert denoise(films, films / "memo.m4a", "-o", tmp_path / "out.wav") == 0
    assert soundfile.info(tmp_path / "out.wav").format == container


def test_through_a_pipe_as_from_a_file(films: Path, tmp_path: Path) -> None:
    assert denoise(films, films / "memo.m4a", "-o", tmp_path / "a.wav") == 0
    options = ["--weights", str(films / "weights.safetensors"), "--attenuation-limit", "0"]
    command = [*GTCRN, "denoise", "-", "-o", str(tmp_path / "b.wav"), *options]
    subprocess.run(command, input=(films / "memo.m4a").read_bytes(), check=True)
    assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


@pytest.mark.parametrize(("name", "codec"), [("a.wav", "g722"), ("a.wav", "adpcm_yamaha")])
def test_codecs_that_libsndfile_lacks_are_read_from_the_containers_that_it_has(
    films: Path, tmp_path: Path, name: str, codec: str
) -> None:
    with av.open(str(tmp_path / name), "w") as output:
        stream = output.add_stream(codec, rate=16_000, layout="mono")
        samples = (8_000 * np.sin(np.arange(16_000) / 9)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
        frame.sample_rate = 16_000
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    assert denoise(films, tmp_path / name, "-o", tmp_path / "out.wav") == 0
    found = soundfile.read(tmp_path / "out.wav", dtype="int16")[0]
    assert soundfile.info(tmp_path / "out.wav").subtype == "PCM_16"
    assert abs(len(found) - 16_000) <= 1_024  # of padding at the end
    assert np.abs(found).max() == pytest.approx(8_000, rel=0.1)


def test_a_wav_that_nobody_can_read_is_told_as_before(
    films: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.wav").write_bytes(b"RIFF\x24\0\0\0WAVEfmt " + bytes(40))
    assert denoise(films, tmp_path / "a.wav") == 2
    assert "is not audio that can be read" in capfd.readouterr().err


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "libmp3lame"), ("a.avi", "ac3")])
def test_what_has_no_place_for_a_delay_loses_it(films: Path, tmp_path: Path, name: str, codec: str) -> None:
    make(tmp_path / name, "mpeg4", codec, 48_000)
    assert denoise(films, tmp_path / name, "-o", tmp_path / f"out.{name}") == 0
    assert is_in_sync(tmp_path / f"out.{name}", tmp_path / name)


def test_a_memo_for_old_telephones(films: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", 0.1 * np.sin(np.arange(32_000) / 9), 16_000)
    weights = str(films / "weights.safetensors")
    assert run(["denoise", str(tmp_path / "a.wav"), "-o", str(tmp_path / "a.amr"), "--weights", weights]) == 0
    with av.open(str(tmp_path / "a.amr")) as container:
        assert (container.streams.audio[0].rate, container.streams.audio[0].channels) == (8_000, 1)


@pytest.mark.parametrize(("name", "most"), [("a.amr", 1), ("a.wma", 2)])
def test_channels_that_an_encoder_does_not_take_are_told(
    films: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, most: int
) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((8_000, 6)), 16_000)
    assert denoise(films, tmp_path / "a.wav", "-o", tmp_path / name) == 2
    assert f"cannot hold 6 channels, at most {most}." in capfd.readouterr().err
