"""Files that break off are read as far as they go, with a remark; --strict refuses them in a sentence."""

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from streams import noise, random_denoiser, write_weights

import gtcrn
from gtcrn.audio.files import Reader
from gtcrn.cli.app import run

RATE, SECONDS = 16_000, 3
SAMPLES = noise(SECONDS * RATE)


def bytes_of(container: str = "WAV", subtype: str = "PCM_16") -> bytearray:
    file = io.BytesIO()
    soundfile.write(file, SAMPLES, RATE, format=container, subtype=subtype)
    return bytearray(file.getvalue())


def crashed(length: int, keep: float = 1.0) -> bytearray:
    """A WAV whose recorder left these lengths in its header."""
    data = bytes_of()
    struct.pack_into("<I", data, 4, length)
    struct.pack_into("<I", data, 40, length)
    return data[: int(len(data) * keep)]


def half(container: str, subtype: str) -> bytearray:
    data = bytes_of(container, subtype)
    return data[: len(data) // 2]


def without_last_page() -> bytearray:
    data = bytes_of("OGG", "OPUS")
    return data[: data.rindex(b"OggS")]


CUT = {
    "zero": (crashed(0), SECONDS * RATE, "does not say how long it is"),
    "zero, an odd byte": (crashed(0) + b"x", SECONDS * RATE, "does not say how long it is"),
    "unknown": (crashed(0xFFFFFFFF), SECONDS * RATE, "does not say how long it is"),
    "too much": (crashed(10**8), SECONDS * RATE, "is truncated"),
    "half": (half("WAV", "PCM_16"), SECONDS * RATE // 2, "is truncated"),
    "half an RF64": (half("RF64", "PCM_16"), SECONDS * RATE // 2, "is truncated"),
    "half an AIFF": (half("AIFF", "PCM_16"), SECONDS * RATE // 2, "is truncated"),
    "half a FLAC": (half("FLAC", "PCM_16"), SECONDS * RATE // 2, "is truncated"),
    "half an MP3": (half("MP3", "MPEG_LAYER_III"), SECONDS * RATE // 2, "is truncated"),
    "half an Ogg": (half("OGG", "VORBIS"), 20_000, "is truncated"),
    "half an Opus": (half("OGG", "OPUS"), SECONDS * RATE // 2, "is truncated"),
    "an Ogg without its last page": (without_last_page(), 32_000, "does not say that it is complete"),
}


@pytest.fixture(params=CUT)
def cut(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, int, str]:
    """A file, the samples that are in it, and what is said of it."""
    data, samples, words = CUT[request.param]
    (tmp_path / "cut.wav").write_bytes(data)
    return tmp_path / "cut.wav", samples, words


def denoise(path: Path, *options: str) -> int:
    weights = write_weights(path.parent)
    target = str(path.with_name("out.wav"))
    return run(["denoise", str(path), "-o", target, "--format", "wav", "--weights", str(weights), *options])


def test_it_is_read_as_far_as_it_goes(cut: tuple[Path, int, str]) -> None:
    path, samples, words = cut
    target = path.with_name("out.wav")
    done = gtcrn.denoise_file(path, target, random_denoiser(), attenuation_limit=0, container="WAV")
    assert done.remark is not None
    assert str(path) in done.remark
    assert words in done.remark
    found, _ = soundfile.read(target, dtype="float32")
    assert samples - 9_000 <= len(found) <= samples + 200
    assert done.seconds == len(found) / RATE
    found, wanted = found[: samples - 9_000], SAMPLES[: samples - 9_000]
    if path.read_bytes()[:4] in (b"RIFF", b"RF64", b"FORM", b"fLaC"):
        np.testing.assert_allclose(found, wanted, atol=2**-14)
    assert np.corrcoef(found, wanted)[0, 1] > 0.75  # what an MP3 or Opus leaves of white noise


def test_the_command_says_so_once_and_in_its_record(
    cut: tuple[Path, int, str], capfd: pytest.CaptureFixture[str]
) -> None:
    path, _, words = cut
    assert denoise(path) == 0
    said = capfd.readouterr().err.splitlines()
    assert [words in line for line in said] == [True, False]
    assert said[0].startswith(f"gtcrn: {path} ")
    assert denoise(path, "--json") == 0
    assert words in json.loads(capfd.readouterr().out)["remark"]


def test_strict_refuses_it_in_a_sentence(cut: tuple[Path, int, str], capfd: pytest.CaptureFixture[str]) -> None:
    path, _, words = cut
    assert denoise(path, "--strict") == 2
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert words.removeprefix("is ") in said
    assert not path.with_name("out.wav").exists()


@pytest.mark.parametrize(
    ("container", "subtype"),
    [(name, soundfile.default_subtype(name)) for name in ("WAV", "RF64", "FLAC", "OGG", "MP3", "AIFF")]
    + [("OGG", "OPUS"), ("WAV", "IMA_ADPCM"), ("WAV", "MS_ADPCM"), ("WAV", "GSM610")],
)
def test_whole_files_are_taken_strictly_and_without_a_remark(tmp_path: Path, container: str, subtype: str) -> None:
    (tmp_path / "a").write_bytes(bytes_of(container, subtype))
    with Reader(tmp_path / "a", ends="told") as reader:
        assert sum(block.shape[1] for block in reader.blocks()) >= len(SAMPLES)
        assert reader.remark is None


def test_an_empty_recording_with_tags_behind_it_holds_no_samples(tmp_path: Path) -> None:
    data = bytes_of()[:40] + bytes(4) + b"LIST" + struct.pack("<I", 4) + b"INFO"
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(gtcrn.AudioError, match="holds no samples"):
        Reader(tmp_path / "a.wav", ends="any")


@pytest.mark.parametrize("loud_to", [RATE // 2, 3 * RATE])
def test_an_mp3_in_a_wav_is_read_to_its_end(tmp_path: Path, loud_to: int) -> None:
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "a.wav"), "w", format="wav") as output:
        stream = output.add_stream("libmp3lame", rate=RATE, layout="mono")
        stream.codec_context.flags |= 2  # a quality, not a bit rate
        stream.codec_context.global_quality = 6 * 118
        samples = np.where(np.arange(len(SAMPLES)) < loud_to, SAMPLES, 0).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(samples[None], "fltp", "mono")
        frame.sample_rate = RATE
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    with Reader(tmp_path / "a.wav", ends="told") as reader:
        assert reader.format.subtype == "MPEG_LAYER_III"
        assert sum(block.shape[1] for block in reader.blocks()) >= len(SAMPLES)
        assert reader.remark is None
    cut = (tmp_path / "a.wav").read_bytes()[:-1_000]
    with pytest.raises(gtcrn.AudioError, match="is truncated"):
        Reader(io.BytesIO(cut), ends="told")


def mp3(quiet_from: int) -> bytes:
    """An MP3 whose frames become small."""
    file = io.BytesIO()
    samples = np.where(np.arange(4 * len(SAMPLES)) < quiet_from, np.tile(SAMPLES, 4), 0)
    kept: dict[str, Any] = {"bitrate_mode": "VARIABLE", "compression_level": 0.3}
    soundfile.write(file, samples, RATE, format="MP3", **kept)
    return file.getvalue()


def without_length(data: bytes) -> bytes:
    """The frames behind the first, which tells how many there are."""
    return data[data.index(data[:2], 4) :]


TAG = b"ID3\4\0\0\0\0\1\0" + bytes(128)


@pytest.mark.parametrize("quiet_from", [RATE, 11 * RATE])
@pytest.mark.parametrize("before", [b"", TAG, TAG + TAG])
def test_an_mp3_that_does_not_tell_its_length_is_read_to_its_end(
    tmp_path: Path, quiet_from: int, before: bytes
) -> None:
    (tmp_path / "a.mp3").write_bytes(before + without_length(mp3(quiet_from)))
    for file in (tmp_path / "a.mp3", io.BytesIO((tmp_path / "a.mp3").read_bytes())):
        with Reader(file, ends="told") as reader:
            assert reader.frames is not None
            assert 0 <= reader.frames - 4 * len(SAMPLES) <= 4 * 1_152
            assert sum(block.shape[1] for block in reader.blocks()) == reader.frames
            assert reader.remark is None


@pytest.mark.parametrize("between", [b"", TAG, b"TAG" + bytes(125), np.random.default_rng(0).bytes(900)])
def test_mp3_files_put_one_behind_the_other_are_all_read(tmp_path: Path, between: bytes) -> None:
    (tmp_path / "a.mp3").write_bytes(mp3(RATE) + between + mp3(11 * RATE))
    for file in (tmp_path / "a.mp3", io.BytesIO((tmp_path / "a.mp3").read_bytes())):
        with Reader(file, ends="told") as reader:
            found = np.concatenate(list(reader.blocks()), axis=1)[0]
            assert abs(len(found) - 8 * len(SAMPLES)) <= 4 * 1_152
            assert abs(int(np.flatnonzero(np.abs(found) > 0.1)[-1]) - 23 * RATE) <= 4 * 1_152
            assert reader.remark is None


def test_mp3_files_of_other_rates_put_one_behind_the_other_are_told(tmp_path: Path) -> None:
    other = io.BytesIO()
    soundfile.write(other, SAMPLES, 2 * RATE, format="MP3")
    (tmp_path / "a.mp3").write_bytes(mp3(RATE) + other.getvalue())
    with Reader(tmp_path / "a.mp3", ends="any") as reader:
        assert sum(block.shape[1] for block in reader.blocks()) >= 4 * len(SAMPLES)
        assert reader.remark is not None
        assert "is truncated" in reader.remark
    with Reader(tmp_path / "a.mp3", ends="told") as reader, pytest.raises(gtcrn.AudioError, match="is truncated"):
        list(reader.blocks())


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_files_put_one_behind_the_other_are_all_read(tmp_path: Path, subtype: str) -> None:
    first, second = bytes_of("OGG", subtype), io.BytesIO()
    soundfile.write(second, SAMPLES[:RATE], RATE, format="OGG", subtype=subtype)
    (tmp_path / "a.ogg").write_bytes(first + second.getvalue() + first)
    alone = [soundfile.read(io.BytesIO(data), dtype="float32")[0] for data in (first, second.getvalue(), first)]
    for file in (tmp_path / "a.ogg", io.BytesIO((tmp_path / "a.ogg").read_bytes())):
        with Reader(file, ends="told") as reader:
            assert reader.frames == len(np.concatenate(alone))
            found = np.concatenate(list(reader.blocks()), axis=1)[0]
            np.testing.assert_array_equal(found, np.concatenate(alone))
            assert reader.remark is None


def test_an_ogg_that_goes_on_with_sound_of_another_kind_is_told(tmp_path: Path) -> None:
    other = io.BytesIO()
    soundfile.write(other, SAMPLES, 2 * RATE, format="OGG")
    (tmp_path / "a.ogg").write_bytes(bytes_of("OGG", "VORBIS") + other.getvalue())
    with Reader(tmp_path / "a.ogg", ends="any") as reader:
        assert sum(block.shape[1] for block in reader.blocks()) == len(SAMPLES)
        assert reader.remark is not None
        assert "has sound of another kind after 3.0 s; it is read as far as it goes." in reader.remark
    with pytest.raises(gtcrn.AudioError, match="has sound of another kind after 3"):
        Reader(tmp_path / "a.ogg", ends="told")
