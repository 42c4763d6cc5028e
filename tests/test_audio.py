"""Files keep their samples and formats; what is no good audio is refused in a sentence."""

import io
import struct
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
import soundfile
from streams import noise

from gtcrn import AudioError
from gtcrn.audio.files import Reader
from gtcrn.audio.formats import AudioFormat, target_format
from gtcrn.audio.pcm import ENCODINGS, PcmFormat, header, read_header
from gtcrn.audio.pipe import PipeReader
from gtcrn.audio.writer import Writer
from gtcrn.types import Samples

LOSSLESS = [
    ("WAV", ".wav", "PCM_U8"),
    ("WAV", ".wav", "PCM_16"),
    ("WAV", ".wav", "PCM_24"),
    ("WAV", ".wav", "FLOAT"),
    ("RF64", ".wav", "PCM_16"),
    ("W64", ".w64", "PCM_24"),
    ("AIFF", ".aiff", "PCM_S8"),
    ("FLAC", ".flac", "PCM_16"),
    ("CAF", ".caf", "ALAC_16"),
]
LOSSY = [("OGG", ".ogg", "VORBIS"), ("OGG", ".opus", "OPUS"), ("MP3", ".mp3", "MPEG_LAYER_III")]


Target = TypeVar("Target", Path, io.BytesIO)


def write(
    target: Target,
    container: str = "WAV",
    subtype: str = "PCM_16",
    rate: int = 16_000,
    samples: Samples | None = None,
) -> Target:
    samples = noise(5_000, channels=2) if samples is None else samples
    soundfile.write(target, samples.T, rate, format=container, subtype=subtype)
    return target


def copy(source: Path, target: Path, **wanted: Any) -> Writer:
    with Reader(source) as reader:
        form = target_format(reader.format, target.suffix, frames=reader.frames, **wanted)
        with Writer(target, form) as writer:
            for block in reader.blocks(1_000):
                writer.write(block)
    return writer


@pytest.mark.parametrize(("container", "suffix", "subtype"), LOSSLESS)
def test_a_copy_in_blocks_is_equal_to_the_bit(tmp_path: Path, container: str, suffix: str, subtype: str) -> None:
    loud = noise(5_000, channels=2) * 10  # every value of the format, clipping included
    source = write(tmp_path / f"a{suffix}", container, subtype, samples=np.clip(loud, -1, 1))
    writer = copy(source, tmp_path / f"b{suffix}")
    assert writer.clipped == 0
    assert soundfile.info(tmp_path / f"b{suffix}").subtype == subtype
    assert soundfile.info(tmp_path / f"b{suffix}").format == container
    np.testing.assert_array_equal(soundfile.read(tmp_path / f"b{suffix}")[0], soundfile.read(source)[0])


@pytest.mark.parametrize(("container", "suffix", "subtype"), LOSSY)
def test_compressed_formats_keep_container_length_and_sound(
    tmp_path: Path, container: str, suffix: str, subtype: str
) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 48_000).astype(np.float32)[None]
    source = write(tmp_path / f"a{suffix}", container, subtype, 48_000, tone)
    copy(source, tmp_path / f"b{suffix}")
    before, after = soundfile.read(source)[0], soundfile.read(tmp_path / f"b{suffix}")[0]
    assert soundfile.info(tmp_path / f"b{suffix}").subtype == subtype
    assert len(after) == len(before)
    assert np.corrcoef(before[4_000:-4_000], after[4_000:-4_000])[0, 1] > 0.99


def test_what_is_beyond_full_scale_is_clipped_and_counted(tmp_path: Path) -> None:
    loud = np.array([[0.5, 1.5, -1.0, -1.2, 1.0]], np.float32)
    source = write(tmp_path / "a.wav", subtype="FLOAT", samples=loud)
    assert copy(source, tmp_path / "b.wav", subtype="PCM_16").clipped == 2
    found = soundfile.read(tmp_path / "b.wav", dtype="int16")[0]
    np.testing.assert_array_equal(found, [16_384, 32_767, -32_768, -32_768, 32_767])
    assert copy(source, tmp_path / "c.wav").clipped == 0
    np.testing.assert_array_equal(soundfile.read(tmp_path / "c.wav", dtype="float32")[0], loud[0])


def bytes_of(**kind: Any) -> bytes:
    return write(io.BytesIO(), **kind).getvalue()


def zero_channels() -> bytes:
    data = bytearray(bytes_of())
    data[22:24] = b"\0\0"
    return bytes(data)


BAD = {
    "empty": (b"", "is empty"),
    "text": (b"this is no audio\n" * 100, "is not audio that can be read"),
    "header only": (bytes_of(samples=noise(0, channels=1)), "holds no samples"),
    "zero channels": (zero_channels(), "channel count is zero"),
    "half a WAV": (bytes_of()[:10_000], "truncated"),
    "half an AIFF": (bytes_of(container="AIFF")[:10_000], "truncated"),
    "half a W64": (bytes_of(container="W64")[:10_000], "truncated"),
    "half a FLAC": (bytes_of(container="FLAC")[:10_000], "truncated"),
    "half an Opus": (bytes_of(container="OGG", subtype="OPUS")[:1_000], "cannot|is not|truncated|no samples"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_audio_is_refused_by_name_in_a_sentence(tmp_path: Path, kind: str) -> None:
    data, sentence = BAD[kind]
    path = tmp_path / "bad.wav"
    path.write_bytes(data)
    with pytest.raises(AudioError, match=sentence) as caught, Reader(path) as reader:
        list(reader.blocks())
    assert str(path) in str(caught.value)


def test_folders_and_missing_files_are_refused(tmp_path: Path) -> None:
    for path, sentence in ((tmp_path, "is a folder"), (tmp_path / "none.wav", "there is no file")):
        with pytest.raises(AudioError, match=sentence):
            Reader(path)


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x80000000, 0x7FFFFFFF])
def test_lengths_that_streaming_tools_write_are_no_truncation(tmp_path: Path, length: int) -> None:
    data = bytearray(bytes_of())
    struct.pack_into("<I", data, 40, length)
    (tmp_path / "a.wav").write_bytes(data)
    with Reader(tmp_path / "a.wav") as reader:
        assert sum(block.shape[1] for block in reader.blocks()) == 5_000


def test_a_file_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav")
    before = path.read_bytes()
    form = AudioFormat(16_000, 1, "WAV", "PCM_16")
    with pytest.raises(ValueError, match="Expected 1 channels"), Writer(path, form) as writer:
        writer.write(np.zeros((2, 100), np.float32))  # two channels into a file of one
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("source", "suffix", "wanted", "found"),
    [
        (("WAV", "FLOAT"), ".wav", {}, ("WAV", "FLOAT")),
        (("WAV", "FLOAT"), ".flac", {}, ("FLAC", "PCM_24")),
        (("WAV", "PCM_16"), ".ogg", {}, ("OGG", "VORBIS")),
        (("WAV", "PCM_16"), ".opus", {}, ("OGG", "OPUS")),
        (("MP3", "MPEG_LAYER_III"), ".wav", {}, ("WAV", "PCM_16")),
        (("RF64", "PCM_24"), ".wav", {}, ("RF64", "PCM_24")),
        (("FLAC", "PCM_16"), ".flac", {"subtype": "pcm_24"}, ("FLAC", "PCM_24")),
        (("FLAC", "PCM_16"), ".flac", {"container": "wav", "subtype": "float"}, ("WAV", "FLOAT")),
        (("WAV", "PCM_16"), ".wav", {"frames": 3_000_000_000}, ("RF64", "PCM_16")),
    ],
)
def test_the_format_of_an_output(
    source: tuple[str, str], suffix: str, wanted: dict[str, Any], found: tuple[str, str]
) -> None:
    form = target_format(AudioFormat(16_000, 1, *source), suffix, **wanted)
    assert (form.container, form.subtype) == found


@pytest.mark.parametrize(
    ("wanted", "sentence"),
    [({"container": "XYZ"}, "no format 'XYZ'"), ({"subtype": "VORBIS"}, "WAV cannot hold VORBIS")],
)
def test_impossible_formats_are_refused(wanted: dict[str, Any], sentence: str) -> None:
    with pytest.raises(AudioError, match=sentence):
        target_format(AudioFormat(16_000, 1, "WAV", "PCM_16"), ".wav", **wanted)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_pcm_and_its_header_are_what_libsndfile_reads_and_writes(encoding: str) -> None:
    form, samples = PcmFormat(44_100, 2, encoding), noise(1_001, channels=2) * 3
    data, clipped = form.encode(np.clip(samples, -1, 1 - 2**-20))
    file = io.BytesIO(header(form, len(data)) + data)
    found, rate = soundfile.read(file, dtype="float32", always_2d=True)
    assert (rate, clipped) == (44_100, 0)
    np.testing.assert_array_equal(found.T, form.decode(data))
    step = 2.0**-5 if encoding.endswith("law") else 2.0 ** (1 - min(form.bits, 20))
    np.testing.assert_allclose(found.T, np.clip(samples, -1, 1), rtol=0, atol=step)


def test_a_header_is_read_past_foreign_chunks() -> None:
    form = PcmFormat(16_000, 1, "s16le")
    plain = header(form, 8)
    file = io.BytesIO(plain[:12] + b"LIST" + struct.pack("<I", 5) + b"abcde\0" + plain[12:])
    assert read_header(file.read, "x") == (form, 8)


def test_an_rf64_in_a_pipe_ends_where_its_samples_do() -> None:
    samples = noise(1_000)
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format="RF64", subtype="PCM_16")
    data = file.getvalue()
    (found,) = PipeReader(io.BytesIO(data + b"LIST" + struct.pack("<I", 400) + b"x" * 400)).blocks()
    np.testing.assert_allclose(found[0], samples, atol=2**-15)
    with pytest.raises(AudioError, match="truncated: it breaks off after 900 samples"):
        list(PipeReader(io.BytesIO(data[:-200])).blocks())


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is empty"),
        (b"plain text that is no WAV", "is not WAV"),
        (header(PcmFormat(16_000, 1, "s16le"), None), "holds no samples"),
        (header(PcmFormat(16_000, 1, "s16le"), None)[:20], "within its header"),
        (header(PcmFormat(16_000, 1, "s16le"), 100) + bytes(60), "truncated"),
        (header(PcmFormat(16_000, 1, "s16le"), None) + bytes(61), "truncated"),
        (header(PcmFormat(16_000, 0, "s16le"), 100) + bytes(100), "channels, not 0"),
    ],
)
def test_bad_pipes_are_refused_in_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(AudioError, match=sentence):
        list(PipeReader(io.BytesIO(data)).blocks())


@pytest.mark.parametrize("encoding", ["ulaw", "alaw"])
def test_telephone_samples_are_libsndfile_s_and_come_back(encoding: str) -> None:
    form = PcmFormat(8_000, 1, encoding)
    codes = bytes(range(256))
    theirs, _ = soundfile.read(io.BytesIO(header(form, 256) + codes), dtype="float32")
    np.testing.assert_array_equal(form.decode(codes)[0], theirs)
    again, clipped = form.encode(form.decode(codes))
    np.testing.assert_array_equal(form.decode(again), form.decode(codes))
    assert clipped == 0
    assert form.encode(np.array([[1.5, -2, 0]], np.float32)) == (form.encode(np.array([[1, -1, 0]], np.float32))[0], 2)
